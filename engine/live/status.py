"""The desk in plain values, for display: prices and money as exact text."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from configs.schema.settings import Settings
from engine.core.accounting.fold import DeskState
from engine.core.domain.portfolio import Portfolio, Position
from engine.core.domain.risk import Lock, RiskState
from engine.core.risk.daily import day_loss
from engine.core.risk.killswitch import lockable
from engine.core.risk.limits import LARGER_IS_TIGHTER, NAMES
from engine.core.risk.panel import panel
from engine.core.risk.system import drawdown
from engine.ports import HaltRow, LockRow


def status(state: DeskState, sequence: int, currency: str) -> dict[str, Any]:
    """State, since, by, money in `currency` and the last bar. `sequence` is the last record in the state."""
    portfolio, risk = state.portfolio, state.risk
    equity = portfolio.equity
    last = max(state.last_bars.values(), default=None)
    return {
        "state": risk.trading.value,
        "since": risk.since.isoformat() if risk.since else None,
        "by": risk.by,
        "reason": risk.why,
        "currency": currency,
        "equity": str(equity),
        "cash": str(portfolio.cash),
        "day_loss": day_loss(risk, float(equity)),
        "drawdown": drawdown(risk, float(equity)),
        "positions": positions(portfolio),
        "open_orders": len(portfolio.orders),
        "instruments": sorted(state.last_bars),
        "holds": dict(risk.holds),
        "locks": {name: lock.why for name, lock in risk.locks.items()},
        "last_bar": last.isoformat() if last else None,
        "records": sequence,
    }


def risk_panel(
    state: DeskState,
    settings: Settings,
    at: datetime,
    halt: HaltRow | None = None,
    rows: Sequence[LockRow] = (),
) -> dict[str, Any]:
    """Every limit with its use, what is locked and what was tightened. `halt` and `rows` are newer than any record."""
    risk = state.risk
    if halt is not None and halt.version and halt.state is not risk.trading:
        risk = replace(risk, trading=halt.state, since=halt.since, by=halt.by, why=halt.reason)
    risk = replace(risk, locks=locks_now(risk, rows))
    locks = {name: _lock(lock.by, lock.why, lock.since) for name, lock in risk.locks.items()}
    return {
        "state": risk.trading.value,
        "since": risk.since.isoformat() if risk.since else None,
        "by": risk.by,
        "reason": risk.why,
        "as_of": at.isoformat(),
        "checks": [
            {name: getattr(check, name) for name in check.__struct_fields__}
            for check in panel(state.portfolio, risk, settings, at)
        ],
        "holds": dict(risk.holds),
        "locks": locks,
        "tightened": dict(risk.limits),
        "lockable": list(lockable(settings)),
        "limits": {name: getattr(settings.risk, name) for name in NAMES},
        "larger_is_tighter": sorted(LARGER_IS_TIGHTER),
    }


def locks_now(risk: RiskState, rows: Iterable[LockRow]) -> dict[str, Lock]:
    """What the records say is locked, and what the rows say of it since; a decision may have locked it after them."""
    locks = dict(risk.locks)
    for row in rows:
        if row.name in locks and row.since < locks[row.name].since:
            continue
        locks.pop(row.name, None)
        if row.locked:
            locks[row.name] = Lock(row.since, row.by, row.reason)
    return locks


def _lock(by: str, why: str, since: datetime) -> dict[str, str]:
    return {"by": by, "reason": why, "since": since.isoformat()}


def status_with_halt(
    state: DeskState, sequence: int, row: HaltRow, currency: str, rows: Sequence[LockRow] = ()
) -> dict[str, Any]:
    """The same for a desk seen through its store: the halt row and the rows of locks are newer than any record."""
    shown = status(state, sequence, currency)
    shown["locks"] = {name: lock.why for name, lock in locks_now(state.risk, rows).items()}
    if row.version and row.state is not state.risk.trading:
        shown |= {
            "state": row.state.value,
            "since": row.since.isoformat(),
            "by": row.by,
            "reason": row.reason,
        }
    return shown


def positions(portfolio: Portfolio) -> tuple[dict[str, Any], ...]:
    """Open positions with their stops, targets and profit so far."""
    return tuple(_position(position, portfolio) for position in portfolio.positions)


def _position(position: Position, portfolio: Portfolio) -> dict[str, Any]:
    mark = portfolio.marks[position.instrument]
    return {
        "instrument": position.instrument,
        "quantity": str(position.quantity),
        "average_price": str(position.average_price),
        "price": str(mark),
        "profit": str((mark - position.average_price) * position.quantity - position.fees),
        "stop": str(position.stop),
        "target": str(position.target),
        "bars_held": position.bars_held,
        "opened_at": position.opened_at.isoformat(),
        "entry": position.entry_decision,
    }
