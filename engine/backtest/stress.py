"""The desk in days that broke others: the same pipeline over bars on which a scenario was laid.

Shocks begin at several places of a file, drawn with the desk's seed, and after its last bar. At each of them the desk
stands in three forms. *As it was*: with what it held and knew there after trading the `LEAD` bars before on fresh
money. *Full*: with the largest position that its own review lets a person enter (`decide_wish`), in every instrument,
an equal part of the permitted gross each. The wish is decided a bar before the last one, fills at the open of the
last one, and the desk takes no decision of its own there, so that all of it is held when the shock begins. *Cut off*
is the full desk at a venue that takes and fills nothing until prices are at their lowest: no stop acts, no exit
leaves. The last two are also run at twice the size: with limits of size twice as wide, and the limits on losses as
they are.

From then on everything is at work as always: stops at the venue, the position manager, breakers, data checks. Bars
come in through those checks as they would from a file or an exchange: a price at or below zero is refused there, and
the desk has no bar. What is written to nothing, and what borrowed money costs, is taken from the books between two
moments.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from configs.schema.desk import TIMEFRAME_MS
from configs.schema.settings import Settings, settings_hash
from engine.backtest.market import BatchPredictor, Look, Series, moments, tell
from engine.backtest.replay import step_moment, submit
from engine.core.accounting.fold import DeskState, apply
from engine.core.accounting.ledger import mark
from engine.core.accounting.settle import settled
from engine.core.analytics import shock
from engine.core.analytics.resilience import Reach, score, smallest
from engine.core.analytics.scenarios import RECORDED, SCENARIOS, Knot, Loss, Recorded, Scenario, Span
from engine.core.domain.errors import BadInput
from engine.core.domain.ids import decision_id, epoch_ms, from_epoch_ms
from engine.core.domain.instrument import exact, whole_lots
from engine.core.domain.market import BarArrays, Ints
from engine.core.domain.order import OrderStatus, Side
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import (
    CycleRecord,
    FillRecord,
    Identity,
    OrderRecord,
    OutcomeKind,
    Record,
    Wish,
)
from engine.core.domain.risk import TradingState
from engine.core.execution.book import Book, Conditions
from engine.core.market.quality import check_bars, repair
from engine.core.pipeline import NEED, decide_wish

PLACES = 4
"""Where shocks begin: after the last bar, and at so many less one drawn places."""
LEAD = 1000
"""Bars that the desk has traded before a shock."""
AFTER = 24
"""Bars that are told after the path has ended."""
TRIES = 24
"""Bars before a place among which the newest is taken at which the full desk could be built."""
FEWEST = NEED + 2 * TRIES
"""Bars that a file must have."""
AS_WAS, FULL, CUT_OFF = "as it was", "full", "cut off"
FORMS = ((AS_WAS, 1), (FULL, 1), (FULL, 2), (CUT_OFF, 1), (CUT_OFF, 2))
GAP = Scenario("gap", "one gap, between two bars, in everything at once", (Knot(0, 0.0),), 1.0, 1.0, ())
_SIZED = (
    "max_order_value", "max_order_money", "max_position_value", "max_crypto_position", "max_stock_position",
    "max_fx_position", "max_group_value", "max_trade_risk", "max_participation", "max_gross", "max_crypto_leverage",
    "max_stock_leverage", "max_fx_leverage",
)  # fmt: skip
_BY = "stress"


class Outcome(NamedTuple):
    """What one shock did to one desk. Shares are of `equity`, that at the begin; bars are counted from there, 1
    first.

    `loss_low` is to the lowest equity at a close (prices that were refused count: `refused` bars of them), `low_at`
    its bar; `loss_end` to the last. `beyond_stop` is the furthest fill of a stop past its price, as a share of that.
    `unsent` counts orders that a closed venue refused. `curve` is equity as a share of that at the begin.
    """

    scenario: str
    form: str
    size: int
    begins: datetime
    bars: int
    equity: float
    gross: float
    held: int
    loss_low: float
    low_at: int
    loss_end: float
    worst_bar: float
    stopped_at: int | None
    stops: int
    beyond_stop: float | None
    halted_at: int | None
    why: str
    state: str
    flat_at: int | None
    unsent: int
    dark: int
    refused: int
    written_off: float
    financing: float
    curve: tuple[float, ...]

    @property
    def above_zero(self) -> bool:
        """Whether anything was left at every close."""
        return self.loss_low < 1


class Reverse(NamedTuple):
    """The smallest scale of one scenario that takes each of the four limits from a desk of a form and a size.

    The limits are those of the day's halt and of the drawdown, half of the equity, and all of it; `most` is the
    largest scale that was tried.
    """

    scenario: str
    form: str
    size: int
    most: float
    reaches: tuple[Reach, ...]


class Stress(NamedTuple):
    """Everything that was run. `score` is None where nothing could be held anywhere."""

    settings: Settings
    instruments: tuple[str, ...]
    places: tuple[datetime, ...]
    per_day: float
    scenarios: tuple[Scenario, ...]
    outcomes: tuple[Outcome, ...]
    recorded: tuple[Outcome, ...]
    reverse: tuple[Reverse, ...]
    score: float | None

    def of(self, scenario: str, form: str, size: int = 1) -> tuple[Outcome, ...]:
        """What one scenario did to one form of the desk, place by place."""
        return tuple(o for o in self.outcomes if (o.scenario, o.form, o.size) == (scenario, form, size))

    def worst(self, scenario: str, form: str, size: int = 1) -> Outcome:
        """Of all places the one where most was lost."""
        return max(self.of(scenario, form, size), key=lambda outcome: outcome.loss_low)


class Stand(NamedTuple):
    """A desk at the moment before a shock: `at` counts moments of the ground."""

    at: int
    state: DeskState


class _Ground(NamedTuple):
    """The bars of all instruments, carried on past their end, and the moments at which any of them closes.

    No shock begins before the moment `first`; `known` of the moments are of the files.
    """

    series: dict[str, BarArrays]
    moments: Ints
    first: int
    known: int
    per_day: float
    identity: Identity
    predictor: BatchPredictor | None

    @property
    def settings(self) -> Settings:
        return self.identity.settings

    def told(self, first: int, stop: int) -> list[Series]:
        """The bars of the moments `first` up to but without `stop`, with what windows need before them."""
        found = []
        for name, bars in self.series.items():
            begin, end = bars.end_ms.searchsorted((self.moments[first], self.moments[stop - 1] + 1))
            if end > begin:
                history = max(0, int(begin) - NEED)
                found.append(Series(name, bars.slice(history, int(end)), int(begin) - history))
        return found


def chosen(names: Sequence[str]) -> tuple[Scenario, ...]:
    """The scenarios of these names, all of them for none; BadInput for a name that is none of theirs."""
    known = {scenario.name: scenario for scenario in SCENARIOS}
    if unknown := [name for name in names if name not in known]:
        raise BadInput(f"{unknown[0]!r} is no scenario; there are {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names)) or SCENARIOS


def enough(series: Mapping[str, BarArrays]) -> None:
    """BadInput when a file has too few bars to stand a desk on."""
    for name, bars in series.items():
        if bars.size < FEWEST:
            raise BadInput(
                f"{name}: {bars.size} bars are too few for a stress run, expected {FEWEST} at least"
            )


def stress(
    series: Mapping[str, BarArrays],
    settings: Settings,
    predictor: BatchPredictor | None = None,
    *,
    scenarios: Sequence[Scenario] = SCENARIOS,
    start: datetime | None = None,
    code_version: str = "",
) -> Stress:
    """Run every scenario at every place in every form, recorded stretches that the files cover, and all in reverse.

    No shock begins before `start`. BadInput when a file has too few bars to stand a desk on.
    """
    ground = _ground(series, settings, predictor, start, code_version)
    stands = [_stands(ground, place) for place in _places(ground)]
    outcomes = tuple(
        endure(ground, stand, scenario, 1.0, form, size)
        for scenario in scenarios
        for stood in stands
        for (form, size), stand in stood.items()
    )
    losses: dict[tuple[str, str], float] = {}
    for outcome in outcomes:
        if outcome.form in (FULL, CUT_OFF) and outcome.size == 1 and outcome.held:
            key = outcome.scenario, outcome.form
            losses[key] = max(losses.get(key, 0.0), outcome.loss_low)
    return Stress(
        settings=settings,
        instruments=tuple(ground.series),
        places=tuple(_when(ground, stood[FORMS[0]].at) for stood in stands),
        per_day=ground.per_day,
        scenarios=tuple(scenarios),
        outcomes=outcomes,
        recorded=tuple(_as_recorded(ground)),
        reverse=tuple(_reverse(ground, stands, scenarios)),
        score=score(list(losses.values())),
    )


# --- where and how the desk stands ----------------------------------------------------------------


def _ground(
    series: Mapping[str, BarArrays],
    settings: Settings,
    predictor: BatchPredictor | None,
    start: datetime | None,
    code_version: str,
) -> _Ground:
    enough(series)
    step = TIMEFRAME_MS[settings.desk.timeframe]
    more = shock.LONGEST + AFTER + 1
    last = max(int(bars.end_ms[-1]) for bars in series.values())
    carried = {
        name: shock.carried_on(
            series[name], more + (last - int(series[name].end_ms[-1])) // step, step, _digits(settings, name)
        )
        if int(series[name].end_ms[-1]) + more * step >= last
        else series[name]
        for name in sorted(series)
    }
    ends = np.unique(np.concatenate([bars.end_ms for bars in carried.values()]))
    known = int(ends.searchsorted(last, side="right"))
    per_day = shock.bars_per_day(ends[:known], step)
    identity = Identity(settings, settings_hash(settings), code_version)
    first = max(FEWEST, 0 if start is None else int(ends.searchsorted(epoch_ms(start))))
    return _Ground(carried, ends, first, known, per_day, identity, predictor)


def _digits(settings: Settings, name: str) -> int:
    """Decimals of a price."""
    return max(0, -int(settings.instrument(name).tick.normalize().as_tuple().exponent))


def _places(ground: _Ground) -> list[int]:
    """Moments after which shocks begin: drawn ones, and the last of the file."""
    first, last = min(ground.first, ground.known - 1), ground.known - 1
    chance = np.random.default_rng(ground.settings.desk.seed)
    drawn = chance.integers(first, last, PLACES - 1).tolist() if last > first else []
    return sorted({*drawn, last})


def _stands(ground: _Ground, place: int) -> dict[tuple[str, int], Stand]:
    """The desk in all forms, at the place or at the newest moment before it at which something could be held."""
    first = max(NEED, place - LEAD) if place > NEED + TRIES else NEED
    steps = list(_lead(ground, first, place + 1))
    tried = steps[-TRIES:]
    for before, now in zip(reversed(tried[:-1]), reversed(tried[1:]), strict=True):
        full = fill(before, now.looks, ground.identity)
        if full.portfolio.positions:
            break
    else:
        before, now = tried[-2], tried[-1]
        full = fill(before, now.looks, ground.identity)
    twice = fill(before, now.looks, ground.identity, size=2)
    states = (now.state, full, twice, full, twice)
    return {form: Stand(now.at, state) for form, state in zip(FORMS, states, strict=True)}


class _Step(NamedTuple):
    """One moment of the lead: what was seen, the newest look at every instrument, and the state after it."""

    at: int
    looks: tuple[Look, ...]
    seen: dict[str, CycleRecord]
    state: DeskState


def _lead(ground: _Ground, first: int, stop: int) -> Iterator[_Step]:
    """The desk on fresh money over the bars before a shock."""
    book, seen = Book(ground.settings), dict[str, CycleRecord]()
    state = DeskState(Portfolio(cash=ground.settings.desk.cash))
    for looks in moments([tell(one, ground.settings, ground.predictor) for one in ground.told(first, stop)]):
        state, records = step_moment(looks, state, book, ground.identity)
        seen = seen | {record.instrument: record for record in records if isinstance(record, CycleRecord)}
        at = int(ground.moments.searchsorted(epoch_ms(looks[0].bar.end)))
        yield _Step(at, looks, seen, state)


def fill(before: _Step, looks: Sequence[Look], identity: Identity, size: int = 1) -> DeskState:
    """The largest position that the review permits in every instrument that has a bar there, filled a bar later."""
    settings = identity.settings
    newest = {name: record for name, record in before.seen.items() if record.at == before.looks[0].bar.end}
    marks = {name: record.observation.bar.close for name, record in newest.items()}
    state = DeskState(
        Portfolio(cash=settings.desk.cash, marks=marks, marked_at={name: r.at for name, r in newest.items()}),
        ensembles=before.state.ensembles,
    )
    wider = identity._replace(settings=_widened(settings, size))
    book, records = Book(settings), list[Record]()
    for record in newest.values():
        decided = _largest(record, state, wider, len(newest))
        if decided is not None:
            state = apply(state, decided)
            state = submit(decided.result.orders, decided.at, state, book, records)
    for look in looks:
        state, _ = settled(state, book.on_bar(look.bar), look.bar.end)
    portfolio = state.portfolio
    for look in looks:
        portfolio = mark(portfolio, look.bar)
    return replace(state, portfolio=portfolio)


def _widened(settings: Settings, size: int) -> Settings:
    """The limits of size, so many times as wide."""
    wider = {name: getattr(settings.risk, name) * size for name in _SIZED}
    return replace(settings, risk=replace(settings.risk, **wider)) if size > 1 else settings


def _largest(seen: CycleRecord, state: DeskState, identity: Identity, parts: int) -> CycleRecord | None:
    """The approved wish for the most lots, by halves; None where the review lets nothing through."""
    settings, close = identity.settings, seen.observation.bar.close
    instrument = settings.instrument(seen.instrument)
    room = state.portfolio.cash * exact(settings.risk.max_gross) / parts
    most = int(whole_lots(instrument, room / close) / instrument.lot)
    decision = decision_id(seen.cycle, f"{seen.instrument} {_BY}")

    def asked(lots: int) -> CycleRecord | None:
        wish = Wish(Side.BUY, lots * instrument.lot, Decimal(0), _BY, _BY, "as full as the limits allow")
        decided = decide_wish(seen, wish, decision, seen.at, state, identity)
        return decided if decided.result.outcome is OutcomeKind.ENTERED else None

    if most and (whole := asked(most)) is not None:
        return whole
    found, under, over = None, 0, most
    while over - under > 1:
        middle = (under + over) // 2
        if (part := asked(middle)) is not None:
            found, under = part, middle
        else:
            over = middle
    return found


# --- one shock ------------------------------------------------------------------------------------


class _Field(NamedTuple):
    """The stressed bars of one run. `refused` are closes that the data checks did not let in, by moment."""

    series: list[Series]
    refused: dict[int, dict[str, float]]
    dark: int


def endure(
    ground: _Ground,
    stand: Stand,
    scenario: Scenario,
    scale: float,
    form: str,
    size: int,
    per_day: float | None = None,
) -> Outcome:
    """One scenario at one scale, from the moment after `stand` to `AFTER` bars past the end of its path."""
    per_day = shock.pace(scenario, ground.per_day) if per_day is None else per_day
    scenario = shock.cut_off(scenario, per_day) if form == CUT_OFF else scenario
    covered = shock.length(scenario, per_day)
    stop = min(stand.at + 1 + covered + AFTER, ground.moments.size)
    field = _lay(ground, stand, scenario, scale, per_day, stop)
    books = _Books(stand.state, scenario, scale, per_day, covered)
    book = _book(ground.settings, stand.state)
    waiting = sorted(field.refused.items())
    for looks in moments([tell(one, ground.settings, ground.predictor) for one in field.series]):
        end = epoch_ms(looks[0].bar.end)
        number = int(ground.moments.searchsorted(end)) - stand.at - 1
        while waiting and waiting[0][0] < end:
            books.unread(int(ground.moments.searchsorted(waiting[0][0])) - stand.at - 1, waiting.pop(0)[1])
        if books.take(number):
            book = _book(ground.settings, books.state)
        closed = bool(shock.within(np.array([number]), scenario.closed, scale, per_day)[0])
        book.conditions = Conditions(shock.spread_at(number, scenario, scale, per_day), closed)
        before = books.state
        state, records = step_moment(looks, before, book, ground.identity)
        books.moment(number, before, state, records)
    for end, closes in waiting:
        books.unread(int(ground.moments.searchsorted(end)) - stand.at - 1, closes)
    return books.outcome(form, size, _when(ground, stand.at), field, stop - stand.at - 1)


def _lay(
    ground: _Ground, stand: Stand, scenario: Scenario, scale: float, per_day: float, stop: int
) -> _Field:
    """All instruments walk the same path; each bar passes the data checks, or does not come."""
    found: list[Series] = []
    refused: dict[int, dict[str, float]] = {}
    settings, step, dark = ground.settings, TIMEFRAME_MS[ground.settings.desk.timeframe], 0
    # Row by row, as bars come from an exchange: no share of bad ones refuses the rest.
    check = replace(settings.data, max_bad_share=1.0, max_gap_share=1.0)
    for name, bars, first in ground.told(stand.at + 1, stop):
        number = ground.moments.searchsorted(bars.end_ms).astype(np.int64) - stand.at - 1
        laid = shock.lay(bars, number, scenario, scale, per_day, _digits(settings, name))
        gone = shock.within(number, scenario.dark, scale, per_day) & (number >= 0)
        dark = max(dark, int(gone.sum()))
        laid = BarArrays(laid.end_ms[~gone], *(column[~gone] for column in laid[1:]))
        bad = ~(np.minimum(np.minimum(laid.open, laid.high), np.minimum(laid.low, laid.close)) > 0)
        for end, close in zip(laid.end_ms[bad].tolist(), laid.close[bad].tolist(), strict=True):
            refused.setdefault(end, {})[name] = close
        as_of = int(laid.end_ms[-1])
        taken = repair(laid, check_bars(laid, step, check, as_of), as_of)
        found.append(Series(name, taken, first))
    return _Field(found, refused, dark)


def _book(settings: Settings, state: DeskState) -> Book:
    book = Book(settings)
    book.restore(state.portfolio.orders, {p.instrument: p.quantity for p in state.portfolio.positions})
    return book


class _Books:
    """Follows the account through one shock."""

    def __init__(
        self, state: DeskState, scenario: Scenario, scale: float, per_day: float, covered: int
    ) -> None:
        self.state = state
        self._begin = state
        self._scenario, self._scale, self._per_day, self._covered = scenario, scale, per_day, covered
        self._equity = float(state.portfolio.equity)
        self._curve: list[tuple[int, float]] = []
        self._stops: list[tuple[int, float]] = []
        self._halted: int | None = None
        self._flat: int | None = None
        self._unsent = 0
        self._written = self._financing = 0.0
        self._taken = scenario.written_off is Loss.NOTHING or not scale

    def moment(self, number: int, before: DeskState, state: DeskState, records: Sequence[Record]) -> None:
        """What a moment left."""
        self.state = state
        stops = {p.instrument: p for p in before.portfolio.positions}
        for record in records:
            if isinstance(record, FillRecord) and record.fill.reason == "stop":
                held = stops.get(record.fill.instrument)
                if held is not None and held.stop > 0:
                    past = held.side.sign * (held.stop - record.fill.price) / held.stop
                    self._stops.append((number, float(past)))
            elif isinstance(record, OrderRecord) and record.status is OrderStatus.REFUSED:
                self._unsent += 1
        if self._halted is None and state.risk.trading is TradingState.HALTED:
            self._halted = number
        self._pay(number)
        self._seen(number, float(self.state.portfolio.equity))

    def _seen(self, number: int, equity: float) -> None:
        self._curve.append((number, equity))
        if self._flat is None and not self.state.portfolio.positions:
            self._flat = number

    def unread(self, number: int, closes: Mapping[str, float]) -> None:
        """A moment whose prices were refused: the account is worth what they say all the same."""
        worth = float(self.state.portfolio.cash)
        for position in self.state.portfolio.positions:
            mark_ = float(self.state.portfolio.marks[position.instrument])
            worth += float(position.quantity) * closes.get(position.instrument, mark_)
        self._seen(number, worth)

    def _pay(self, number: int) -> None:
        """Borrowed money, and what was sold short, cost by the day."""
        held = self.state.portfolio
        short = sum(
            (-p.quantity * held.marks[p.instrument] for p in held.positions if p.quantity < 0), Decimal(0)
        )
        borrowed = max(-held.cash, Decimal(0)) + short
        if not borrowed or not self._scenario.financing_bps or not 0 <= number < self._covered:
            return
        rate = self._scenario.financing_bps * self._scale / 1e4 / self._per_day
        cost = (borrowed * exact(rate)).quantize(Decimal("0.00000001"))
        self._financing += float(cost)
        self.state = replace(self.state, portfolio=replace(held, cash=held.cash - cost))

    def take(self, number: int) -> bool:
        """Write to nothing what the scenario takes, once its day has come; whether the venue must be told."""
        when = min(int(self._scenario.written_day * self._per_day), self._covered - 1)
        if self._taken or number < when:
            return False
        self._taken = True
        share, held = min(1.0, self._scale), self.state.portfolio
        before = float(held.equity)
        self.state = replace(self.state, portfolio=_without(held, self._scenario.written_off, share))
        after = float(self.state.portfolio.equity)
        self._written = (before - after) / self._equity
        self._seen(number, after)
        return True

    def outcome(self, form: str, size: int, begins: datetime, field: _Field, bars: int) -> Outcome:
        """All of it, as shares of the equity at the begin."""
        values = [self._equity, *(equity for _, equity in self._curve)]
        shares = np.array(values) / self._equity
        lowest = int(shares.argmin())
        falls = shares[:-1] - shares[1:]
        positions, risk = self._begin.portfolio.positions, self.state.risk
        return Outcome(
            scenario=self._scenario.name,
            form=form,
            size=size,
            begins=begins,
            bars=bars,
            equity=self._equity,
            gross=float(self._begin.portfolio.gross) / self._equity,
            held=len(positions),
            loss_low=max(0.0, float(1 - shares[lowest])),
            low_at=self._curve[lowest - 1][0] + 1 if lowest else 0,
            loss_end=float(1 - shares[-1]),
            worst_bar=max(0.0, float(falls.max(initial=0.0))),
            stopped_at=self._stops[0][0] + 1 if self._stops else None,
            stops=len(self._stops),
            beyond_stop=max(past for _, past in self._stops) if self._stops else None,
            halted_at=None if self._halted is None else self._halted + 1,
            why=risk.why,
            state=risk.trading.value,
            flat_at=None if self._flat is None or not positions else self._flat + 1,
            unsent=self._unsent,
            dark=field.dark,
            refused=len(field.refused),
            written_off=self._written,
            financing=self._financing,
            curve=tuple(shares.tolist()),
        )


def _without(held: Portfolio, what: Loss, share: float) -> Portfolio:
    """The books after a loss without a trade: all of it, or a part that is taken from the cash."""
    if what is Loss.BALANCE:
        if share == 1:
            return replace(held, cash=Decimal(0), positions=(), orders=(), plans={})
        return replace(held, cash=held.cash - max(held.equity, Decimal(0)) * exact(share))
    if not held.positions:
        return held
    lost = max(held.positions, key=lambda p: (abs(p.quantity) * held.marks[p.instrument], p.instrument))
    if share < 1:
        worth = lost.quantity * held.marks[lost.instrument]
        return replace(held, cash=held.cash - max(worth, Decimal(0)) * exact(share))
    orders = tuple(order for order in held.orders if order.request.instrument != lost.instrument)
    positions = tuple(p for p in held.positions if p is not lost)
    waiting = {order.request.decision for order in orders if not order.request.reduce_only}
    plans = {decision: plan for decision, plan in held.plans.items() if decision in waiting}
    return replace(held, positions=positions, orders=orders, plans=plans)


# --- history as it was, and the way back ----------------------------------------------------------


def _as_recorded(ground: _Ground) -> Iterator[Outcome]:
    """Stretches that all files hold from their begin to their end."""
    for stretch in RECORDED:
        start, stop = _ms(stretch.start), _ms(stretch.stop)
        at = int(ground.moments.searchsorted(start, side="right")) - 1
        end = int(ground.moments[: ground.known].searchsorted(stop, side="right"))
        if at < ground.first or end >= ground.known or not _covers(ground, start, stop):
            continue
        for (form, size), stand in _stands(ground, at).items():
            scenario = _calm(ground, stretch, stand.at, end)
            if form != CUT_OFF:
                scenario = replace(scenario, closed=())
            yield endure(ground, stand, scenario, 1.0, form, size, ground.per_day)


def _covers(ground: _Ground, start: int, stop: int) -> bool:
    """Whether any instrument was traded from well before to after; others are told from where they begin."""
    return any(
        bars.end_ms.searchsorted(start) >= FEWEST and int(bars.end_ms[-1]) > stop
        for bars in ground.series.values()
    )


def _calm(ground: _Ground, stretch: Recorded, at: int, end: int) -> Scenario:
    """Nothing on top of what was recorded, and a venue that is closed until the bar of the deepest fall is over."""
    deepest, over = 1.0, 0
    for _, bars, first in ground.told(at + 1, end):
        lows = bars.low[first:] / bars.open[first]
        row = int(lows.argmin())
        if lows[row] < deepest:
            deepest = float(lows[row])
            over = int(ground.moments.searchsorted(bars.end_ms[first + row])) - at
    days = (end - 1 - at) / ground.per_day
    path = Knot(0, 1.0), Knot(days, 1.0)
    return Scenario(
        stretch.name, stretch.title, path, 1.0, 1.0, (), closed=(Span(0.0, over / ground.per_day),)
    )


def _reverse(
    ground: _Ground, stands: list[dict[tuple[str, int], Stand]], scenarios: Sequence[Scenario]
) -> Iterator[Reverse]:
    """From the newest place at which the full desk holds something."""
    full = [stood for stood in stands if stood[FULL, 1].state.portfolio.positions]
    if not full:
        return
    risk = ground.settings.risk
    limits = (risk.halt_daily_loss, risk.max_drawdown, 0.5, 1.0)
    for scenario in (GAP, *scenarios):
        for form, size in FORMS:
            # A gap leaves no time in which a venue could be gone.
            if form == AS_WAS or (form == CUT_OFF and scenario is GAP):
                continue
            most = shock.deepest(scenario)
            loss = partial(_lost, ground, full[-1][form, size], scenario, form, size)
            yield Reverse(scenario.name, form, size, most, smallest(loss, limits, most))


def _lost(ground: _Ground, stand: Stand, scenario: Scenario, form: str, size: int, scale: float) -> float:
    return endure(ground, stand, scenario, scale, form, size).loss_low


def _ms(text: str) -> int:
    return int(np.datetime64(text, "ms").astype(np.int64))


def _when(ground: _Ground, at: int) -> datetime:
    return from_epoch_ms(int(ground.moments[at]))
