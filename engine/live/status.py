"""The desk in plain values, for display: prices and money as exact text."""

from typing import Any

from engine.core.accounting.fold import DeskState
from engine.core.domain.portfolio import Portfolio, Position
from engine.core.risk.daily import day_loss
from engine.core.risk.system import drawdown
from engine.ports import HaltRow


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
        "last_bar": last.isoformat() if last else None,
        "records": sequence,
    }


def status_with_halt(state: DeskState, sequence: int, row: HaltRow, currency: str) -> dict[str, Any]:
    """The same for a desk seen through its store: the halt row is newer than any record."""
    shown = status(state, sequence, currency)
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
