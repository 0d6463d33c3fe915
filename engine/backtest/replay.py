"""A back-test as live runs: the same functions in the same order, bar by bar, with the same records.

Two ways of looking at the market that give the same trades: `batch` works features, regimes and model answers
out for thousands of bars at once, `exact` slides a window as the live desk does. What is decided on what was
seen is one function for both, `step_moment`.

What a person would do is not simulated: a desk that a breaker has halted stays halted to the end, and the result
says so.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from msgspec.structs import replace

from configs.schema.settings import Settings, settings_hash
from engine.backtest.market import BatchPredictor, Look, Series, cut, moments, others_of, slide, tell
from engine.backtest.result import Result, Tally
from engine.core.accounting.fold import DeskState, apply
from engine.core.accounting.ledger import mark
from engine.core.accounting.settle import order_record, settled
from engine.core.domain.ids import epoch_ms, from_epoch_ms, record_id
from engine.core.domain.market import BarArrays
from engine.core.domain.order import OrderRequest
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import (
    Identity,
    Record,
    StartRecord,
    plain,
)
from engine.core.domain.regime import REGIMES
from engine.core.domain.risk import TradingState
from engine.core.domain.signal import Prediction
from engine.core.execution.book import Book
from engine.core.pipeline import FEATURE_SET, decide_on
from engine.core.risk.breakers import incident_of

Recorder = Callable[[Sequence[Record]], object]


class Progress(NamedTuple):
    """How far a run is: bars told of bars in all, the moment, and what the account is worth."""

    done: int
    bars: int
    at: datetime
    equity: float
    trades: int


class Nobody:
    """For desks that serve no model."""

    def versions(self) -> dict[str, str]:
        """Nothing answers."""
        return {}

    def predict(self, observation: object) -> tuple[Prediction, ...]:
        """Nothing is said."""
        return ()


def run(
    series: Mapping[str, BarArrays],
    settings: Settings,
    predictor: BatchPredictor | None = None,
    *,
    record: Recorder | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    progress: Callable[[Progress], None] | None = None,
    mode: Literal["batch", "exact"] = "batch",
    code_version: str = "",
) -> Result:
    """Replay bars from `start` up to but without `end`; earlier ones only fill the windows.

    `record` is given the records of each moment, in order, as a journal would get them. A predictor must have
    no deadline here, or the result depends on how busy the machine is. BadInput when the series do not fit.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    cuts = cut(series, settings, start, end)
    identity = Identity(settings, settings_hash(settings), code_version)
    state, book, tally = DeskState(Portfolio(cash=settings.desk.cash)), Book(settings), Tally(settings)
    models = predictor.versions() if predictor else {}
    first: list[Record] = [_start(identity, models, cuts)]
    write = record or _forget
    write(first)
    tally.records += 1
    total = sum(one.told for one in cuts)
    for looks in moments([_told(one, cuts, settings, predictor, mode) for one in cuts]):
        state, records = step_moment(looks, state, book, identity)
        write(records)
        tally.count(records)
        equity = float(state.portfolio.equity)
        seen = looks[0].observation
        tally.ready += not any(look.observation.features for look in looks)
        tally.bars += len(looks)
        regime = REGIMES.index(seen.regime.label) if seen.regime else -1
        tally.moment(epoch_ms(seen.bar.end), equity, bool(state.portfolio.positions), regime)
        if progress is not None:
            progress(Progress(tally.bars, total, seen.bar.end, equity, tally.trades))
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    told = {one.instrument: one.bars.slice(one.first, one.bars.size) for one in cuts}
    return tally.result(told, state, FEATURE_SET, models, seconds)


def step_moment(
    looks: Sequence[Look], state: DeskState, book: Book, identity: Identity
) -> tuple[DeskState, list[Record]]:
    """One moment: settle what the bars did to the orders, look at every instrument, then act.

    The state after it, and its records in the order in which a live desk writes them.
    """
    records: list[Record] = []
    for look in looks:
        state, new = settled(state, book.on_bar(look.bar), look.bar.end)
        records += new
    portfolio = state.portfolio
    for look in looks:
        portfolio = mark(portfolio, look.bar)
    before = state.risk.trading
    state = replace(state, portfolio=portfolio)
    requests: list[OrderRequest] = []
    for look in looks:
        decided = decide_on(look.observation, look.predictions, state, identity)
        state = apply(state, decided)
        records.append(decided)
        requests += decided.result.orders
    state = announce_breaker(before, looks[0].bar.end, state, book, records)
    return submit(requests, looks[0].bar.end, state, book, records), records


def announce_breaker(
    before: TradingState, at: datetime, state: DeskState, book: Book, records: list[Record]
) -> DeskState:
    """A breaker that tripped in a decision ends every order that could still add risk."""
    incident = incident_of(state.risk)
    if incident is None or before is TradingState.HALTED:
        return state
    records.append(incident)
    adding = [order for order in state.portfolio.orders if not order.request.reduce_only]
    for order in adding:
        state, new = settled(state, book.cancel(order.request.client_id, state.risk.why), at)
        records += new
    return state


def submit(
    requests: Sequence[OrderRequest], at: datetime, state: DeskState, book: Book, records: list[Record]
) -> DeskState:
    """Send the orders; the book takes all that a review has let through."""
    for request in requests:
        order = book.place(request)
        record = order_record(request, order.status, at, venue_id=f"paper-{request.client_id}")
        state = apply(state, record)
        records.append(record)
    return state


def _told(
    series: Series,
    cuts: Sequence[Series],
    settings: Settings,
    predictor: BatchPredictor | None,
    mode: Literal["batch", "exact"],
) -> Iterator[Look]:
    others = others_of(series, cuts, settings)
    if mode == "exact":
        return slide(series, settings, predictor or Nobody(), others)
    return tell(series, settings, predictor, others)


def _start(identity: Identity, models: dict[str, str], cuts: Sequence[Series]) -> StartRecord:
    """What this run was made with, so that its journal can be replayed."""
    at = from_epoch_ms(min(int(one.bars.end_ms[one.first]) for one in cuts if one.told))
    return StartRecord(
        id=record_id("s", at, identity.settings.desk.name, identity.settings_hash, "backtest"),
        at=at,
        desk=identity.settings.desk.name,
        settings_hash=identity.settings_hash,
        values=plain(identity.settings),
        feature_set=FEATURE_SET,
        models=models,
        code_version=identity.code_version,
        recovered_records=0,
    )


def _forget(records: Sequence[Record]) -> None:
    """For runs that keep no journal."""
