"""Small desks for tests of the shell: seeded bars that make it trade, settings that make it trade often, and the
audit that every journal must pass, however its desk was treated."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from configs.schema.decision import DecisionSettings, SizingSettings
from configs.schema.desk import DeskSettings, Instrument
from configs.schema.execution import ExecutionSettings
from configs.schema.risk import RiskSettings
from configs.schema.settings import Settings
from engine.core.accounting.fold import DeskState, apply
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.market import BarArrays
from engine.core.domain.order import Fill, OrderStatus, OrderType
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import (
    CommandRecord,
    CycleRecord,
    FillRecord,
    OrderRecord,
    Record,
    ReportRecord,
    TradeRecord,
)
from engine.live.recover import rebuild
from engine.store.journal import SqlJournal
from jobs.replay_day import replay
from tests.builders import AGAIN_AND_AGAIN

FIRST = datetime(2001, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
NOT_SENT = "not sent before the restart"


def trending_bars(
    seed: int, bars: int, step: timedelta = DAY, volume: tuple[int, int] = (100_000, 1_000_000)
) -> BarArrays:
    """A seeded walk whose drift changes every sixty bars, from 2 January 2001 (the close of the first bar)."""
    chance = np.random.default_rng(seed)
    drift = np.repeat(chance.choice([0.004, 0.002, -0.002], bars // 60 + 1), 60)[:bars]
    close = np.round(100 * np.exp(np.cumsum(drift + chance.normal(0, 0.01, bars))), 2)
    opened = np.round(np.append(100.0, close[:-1]) * (1 + chance.normal(0, 0.002, bars)), 2)
    reach = 1 + np.abs(chance.normal(0, 0.004, (2, bars)))
    high = np.round(np.maximum(opened, close) * reach[0], 2)
    low = np.round(np.minimum(opened, close) / reach[1], 2)
    end = np.array([int((FIRST + step * n).timestamp() * 1000) for n in range(bars)], dtype=np.int64)
    return BarArrays(end, opened, high, low, close, chance.integers(*volume, bars).astype(np.float64))


def write_csv(path: Path, bars: BarArrays, step: timedelta = DAY) -> Path:
    """The bars as a file: times are opens."""
    rows = ["ts,open,high,low,close,volume"]
    for end_ms, *values in zip(*(column.tolist() for column in bars), strict=True):
        opened = from_epoch_ms(end_ms) - step
        rows.append(",".join([opened.strftime("%Y-%m-%dT%H:%M:%SZ"), *map(repr, values)]))
    path.write_text("\n".join(rows) + "\n")
    return path


def brisk(*names: str, lot: str = "0.001", participation: float = 0.05, **risk: Any) -> Settings:
    """Settings that enter whenever they may and leave within days: many orders in few bars."""
    wide = {
        "max_entries_per_instrument": 1000,
        "max_daily_entries": 1000,
        "max_consecutive_losses": 1000,
        "max_drawdown": 0.9,
        "halt_daily_loss": 0.9,
        "max_daily_loss": 0.9,
        "max_daily_turnover": 100.0,
        "max_gross": 1.0,
    } | AGAIN_AND_AGAIN
    return Settings(
        desk=DeskSettings(instruments=tuple(Instrument(name=name, lot=Decimal(lot)) for name in names)),
        decision=DecisionSettings(
            confidence=0.5, stop_atr=0.8, target_atr=0.8, max_bars=4, cooldown_bars=0, blocked_regimes=()
        ),
        sizing=SizingSettings(kelly_fraction=1.0, target_volatility=1.0),
        risk=RiskSettings(**wide | risk),
        execution=ExecutionSettings(participation=participation),
    )


def opened_journal(home: Path) -> SqlJournal:
    """The journal of a home, for looking."""
    return SqlJournal(home / "desk.sqlite3", read_only=True)


class Audit(NamedTuple):
    """What a journal shows of its desk, after every invariant has held."""

    state: DeskState
    fills: tuple[Fill, ...]
    trades: tuple[TradeRecord, ...]
    cycles: Mapping[str, tuple[datetime, ...]]
    expired: tuple[str, ...]
    """Entries that were written down, but not sent before a crash."""
    orders: tuple[OrderRecord, ...]
    commands: tuple[CommandRecord, ...]
    reports: tuple[ReportRecord, ...]
    records: tuple[Record, ...]

    @property
    def story(self) -> list[tuple[str, str, str, str]]:
        """The trades, without what a restart may change: when, how much, what it earned and why it ended."""
        return [(t.instrument, str(t.opened_at), str(t.net), t.exit_reason) for t in self.trades]


def audit(journal: SqlJournal, settings: Settings) -> Audit:
    """Check every promise that a journal can show; AssertionError names the one that is broken."""
    walked = journal.verify(deep=True)
    assert walked.chain_ok, walked.reason
    stored = list(journal.read())
    records = [each.record for each in stored]
    again = replay(stored)
    assert (again.mismatches, again.without_settings) == (0, 0), again.first_mismatches

    accepted = Counter(
        record.request.client_id
        for record in records
        if isinstance(record, OrderRecord) and record.status is OrderStatus.ACCEPTED
    )
    assert all(count == 1 for count in accepted.values()), f"accepted twice: {accepted.most_common(3)}"
    fills = [record.fill for record in records if isinstance(record, FillRecord)]
    assert len({fill.trade_id for fill in fills}) == len(fills), "a fill was booked twice"
    decisions = [record for record in records if isinstance(record, CycleRecord)]
    assert len({record.id for record in decisions}) == len(decisions), "a decision was taken twice"
    _nothing_was_sent_before_it_was_written(records)

    found = rebuild(journal, settings)
    state = DeskState(portfolio=Portfolio(cash=settings.desk.cash))
    for record in records:
        state = apply(state, record)
    assert found.state.portfolio == state.portfolio, "the snapshot and the whole fold differ"
    assert found.state.risk == state.risk
    cash, held = flows(fills, settings.desk.cash)
    assert state.portfolio.cash == cash, "the ledger's cash is not what the fills add up to"
    assert {p.instrument: p.quantity for p in state.portfolio.positions} == held
    trades = [record for record in records if isinstance(record, TradeRecord)]
    assert len({trade.trade for trade in trades}) == len(trades), "a trade was closed twice"
    cycles: dict[str, list[datetime]] = {}
    for decision in decisions:
        cycles.setdefault(decision.instrument, []).append(decision.at)
    return Audit(
        state=state,
        fills=tuple(fills),
        trades=tuple(trades),
        cycles={name: tuple(times) for name, times in cycles.items()},
        expired=tuple(
            record.request.client_id
            for record in records
            if isinstance(record, OrderRecord)
            and record.reason == NOT_SENT
            and not record.request.reduce_only
        ),
        orders=tuple(record for record in records if isinstance(record, OrderRecord)),
        commands=tuple(record for record in records if isinstance(record, CommandRecord)),
        reports=tuple(record for record in records if isinstance(record, ReportRecord)),
        records=tuple(records),
    )


def flows(fills: Sequence[Fill], cash: Decimal) -> tuple[Decimal, dict[str, Decimal]]:
    """Cash and holdings by adding fills up, without the ledger."""
    held: dict[str, Decimal] = {}
    for fill in fills:
        sign = 1 if fill.side.value == "buy" else -1
        cash -= sign * fill.quantity * fill.price + fill.fee
        held[fill.instrument] = held.get(fill.instrument, Decimal(0)) + sign * fill.quantity
    return cash, {name: quantity for name, quantity in held.items() if quantity}


def unprotected(state: DeskState) -> list[str]:
    """Instruments that are held without a stop at the venue, or an exit on its way."""
    guarded = {
        order.request.instrument
        for order in state.portfolio.orders
        if order.request.reduce_only
        and order.request.type in (OrderType.STOP, OrderType.MARKET)
        and order.status in (OrderStatus.ACCEPTED, OrderStatus.PARTIAL)
    }
    return [p.instrument for p in state.portfolio.positions if p.instrument not in guarded]


def _nothing_was_sent_before_it_was_written(records: Sequence[Record]) -> None:
    intents: set[str] = set()
    for record in records:
        if isinstance(record, CycleRecord):
            intents |= {order.client_id for order in record.result.orders}
        elif isinstance(record, CommandRecord):
            intents |= {order.client_id for order in record.orders}
        elif isinstance(record, OrderRecord):
            assert record.request.client_id in intents, f"{record.id} has no intent"
        elif isinstance(record, FillRecord):
            assert record.fill.client_id in intents, f"{record.id} has no intent"


def profile(path: Path, settings: Settings) -> Path:
    """The settings as a profile: JSON is YAML."""
    path.write_text(json.dumps(msgspec.to_builtins(settings)))
    return path
