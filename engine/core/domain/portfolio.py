"""What the desk owns: cash, positions and the orders that may still change them."""

from datetime import datetime
from decimal import Decimal

import msgspec

from engine.core.domain.order import Order, Side


class Position(msgspec.Struct, frozen=True, gc=False):
    """One open position. `quantity` is signed; `trade` is the id that its whole life is filed under.

    `stop`, `target` and `expires_bars` were fixed at entry; `best` is the best close since. `entered` and
    `entered_value` are what all entry fills bought; `votes` are the contributions that opened it. `attempts` counts
    the orders that the desk made to protect or close it beside those of its decisions, `refusals` the protection that
    the venue would not take. `left_by`, `left_order` and `left_at` tell of the newest exit fill. `leaving` is the
    reason of an exit that was decided on, down to `keep` units: it stands until it is done, whatever becomes of the
    orders that try it. `added` are the decisions that made it larger, after the one that opened it.
    """

    trade: str
    instrument: str
    quantity: Decimal
    average_price: Decimal
    opened_at: datetime
    entry_decision: str
    stop: Decimal
    target: Decimal
    expires_bars: int
    best: Decimal
    bars_held: int = 0
    fees: Decimal = Decimal(0)
    slippage: Decimal = Decimal(0)
    realised: Decimal = Decimal(0)
    entered: Decimal = Decimal(0)
    entered_value: Decimal = Decimal(0)
    votes: dict[str, float] = {}
    attempts: int = 0
    refusals: int = 0
    left_by: str = ""
    left_order: str = ""
    left_at: datetime | None = None
    leaving: str = ""
    keep: Decimal = Decimal(0)
    added: tuple[str, ...] = ()

    @property
    def side(self) -> Side:
        """The side that opened it."""
        return Side.BUY if self.quantity > 0 else Side.SELL


class EntryPlan(msgspec.Struct, frozen=True, gc=False):
    """What an entry that is still on its way will become: the geometry and the votes of its decision."""

    stop: Decimal
    target: Decimal
    max_bars: int
    votes: dict[str, float]


class Portfolio(msgspec.Struct, frozen=True, gc=False):
    """Balances, positions and open orders.

    `marks` is the last price of every instrument and `marked_at` the bar it came from, so that a bar that is
    told twice ages nothing twice. `plans` belong to open entries, by decision. `dust` is what was left of closed
    positions, too little to be sold, by instrument. `external` is what the venue's account holds beside what is ours,
    by asset; empty where the account is the desk's alone.
    """

    cash: Decimal
    positions: tuple[Position, ...] = ()
    orders: tuple[Order, ...] = ()
    plans: dict[str, EntryPlan] = {}
    marks: dict[str, Decimal] = {}
    marked_at: dict[str, datetime] = {}
    dust: dict[str, Decimal] = {}
    external: dict[str, Decimal] = {}

    def position(self, instrument: str) -> Position | None:
        """The position in `instrument`, if there is one."""
        for position in self.positions:
            if position.instrument == instrument:
                return position
        return None

    def order(self, client_id: str) -> Order | None:
        """The open order of that id, if there is one."""
        for order in self.orders:
            if order.request.client_id == client_id:
                return order
        return None

    @property
    def equity(self) -> Decimal:
        """Cash and everything held at its last price."""
        worth = self.cash
        for position in self.positions:
            worth += position.quantity * self.marks[position.instrument]
        return worth

    @property
    def gross(self) -> Decimal:
        """The sum of the positions' values, long or short."""
        total = Decimal(0)
        for position in self.positions:
            total += abs(position.quantity) * self.marks[position.instrument]
        return total
