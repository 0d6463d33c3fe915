"""The one door for people, over the running engine."""

import asyncio
from typing import Any

from engine.core.accounting.fold import DeskState
from engine.core.domain.commands import Command, Outcome
from engine.core.domain.portfolio import Portfolio, Position
from engine.core.risk.daily import day_loss
from engine.core.risk.system import drawdown
from engine.live.bus import Bus, Listener
from engine.live.control import Control
from engine.live.writer import Writer


class LiveDesk:
    """Commands and cycles take turns: one lock, so that a command never sees half a cycle."""

    def __init__(self, writer: Writer, control: Control, bus: Bus) -> None:
        self._writer = writer
        self._control = control
        self._bus = bus
        self.turn = asyncio.Lock()

    async def submit(self, command: Command) -> Outcome:
        """Carry out a command, once for each key."""
        async with self.turn:
            return await self._control.handle(command)

    def listen(self, listener: Listener) -> None:
        """Be told of every record once it is durable."""
        self._bus.listen(listener)

    def status(self) -> dict[str, Any]:
        """The desk in plain values."""
        return status(self._writer.state, self._writer.sequence)

    def positions(self) -> tuple[dict[str, Any], ...]:
        """Open positions in plain values."""
        portfolio = self._writer.state.portfolio
        return tuple(_position(position, portfolio) for position in portfolio.positions)


def status(state: DeskState, sequence: int) -> dict[str, Any]:
    """State, since, by, money and the last bar, as plain values; prices and money as exact text."""
    portfolio, risk = state.portfolio, state.risk
    equity = portfolio.equity
    last = max(state.last_bars.values(), default=None)
    return {
        "state": risk.trading.value,
        "since": risk.since.isoformat() if risk.since else None,
        "by": risk.by,
        "reason": risk.why,
        "equity": str(equity),
        "cash": str(portfolio.cash),
        "day_loss": day_loss(risk, float(equity)),
        "drawdown": drawdown(risk, float(equity)),
        "positions": [_position(position, portfolio) for position in portfolio.positions],
        "open_orders": len(portfolio.orders),
        "last_bar": last.isoformat() if last else None,
        "records": sequence,
    }


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
