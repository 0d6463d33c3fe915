"""Orders and fills, and the table of how an order may move."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

import msgspec

from engine.core.domain.errors import Impossible


class Side(StrEnum):
    """Which way an order trades."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for buy, -1 for sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        """The side that undoes this one."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    """Market at the next bar, limit at a price or better, stop that becomes a market order at its price."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"


class OrderStatus(StrEnum):
    """Where an order is in its life. UNKNOWN is a state: the answer was lost and is being looked up."""

    INTENT = "intent"
    ACCEPTED = "accepted"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    EXPIRED = "expired"
    UNKNOWN = "unknown"

    @property
    def open(self) -> bool:
        """True while the order may still fill."""
        return self in _OPEN


_OPEN = frozenset({OrderStatus.INTENT, OrderStatus.ACCEPTED, OrderStatus.PARTIAL, OrderStatus.UNKNOWN})

# Every move an order may make. Fills after a cancel do happen: a venue may fill while the cancel travels. It may
# also refuse what it had accepted, for it looks at the account again when a stop is triggered.
NEXT: dict[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.INTENT: frozenset(set(OrderStatus) - {OrderStatus.INTENT}),
    OrderStatus.UNKNOWN: frozenset(set(OrderStatus) - {OrderStatus.INTENT}),
    OrderStatus.ACCEPTED: frozenset(
        {
            OrderStatus.PARTIAL,
            OrderStatus.FILLED,
            OrderStatus.CANCELLED,
            OrderStatus.REFUSED,
            OrderStatus.EXPIRED,
            OrderStatus.UNKNOWN,
        }
    ),
    OrderStatus.PARTIAL: frozenset(
        {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REFUSED, OrderStatus.EXPIRED}
    ),
    OrderStatus.CANCELLED: frozenset({OrderStatus.PARTIAL, OrderStatus.FILLED}),
    OrderStatus.EXPIRED: frozenset({OrderStatus.PARTIAL, OrderStatus.FILLED}),
    OrderStatus.FILLED: frozenset(),
    OrderStatus.REFUSED: frozenset(),
}


def moved(current: OrderStatus, new: OrderStatus) -> OrderStatus:
    """Return `new` if the table allows the move; a repeated message changes nothing."""
    if new is current:
        return current
    if new not in NEXT[current]:
        raise Impossible(f"an order cannot go from {current} to {new}")
    return new


SENDING = "sending"
"""The reason of a record that an order is unknown because it is just about to leave."""


class OrderRequest(msgspec.Struct, frozen=True):
    """What is to be sent. `price` is the trigger of a stop or the worst price of a limit; None for market.

    A `reduce_only` order can only make a position smaller, and the venue drops it when there is none.
    """

    client_id: str
    decision: str
    instrument: str
    side: Side
    quantity: Decimal
    type: OrderType
    price: Decimal | None
    reduce_only: bool
    leg: str
    reason: str
    placed_at: datetime


class Order(msgspec.Struct, frozen=True):
    """An order as last known.

    `second` of `machine` is, for one without an answer, the monotonic second of the first start after it was to leave:
    whoever might have sent it was dead by then, so that the venue's window is counted from there, however often the
    desk starts again. No machine: the process that sent it may still live, or there was no start on this machine.
    """

    request: OrderRequest
    status: OrderStatus
    filled: Decimal = Decimal(0)
    machine: str = ""
    second: float = 0.0

    @property
    def remaining(self) -> Decimal:
        """What may still fill."""
        return self.request.quantity - self.filled


class Fill(msgspec.Struct, frozen=True):
    """One execution. `reference` is the price that the market showed before our costs (open, stop or limit).

    `quantity` is what came into the position or left it, `fee` is in the account's currency. Where a venue keeps its
    fee out of what was bought, `withheld` is that part: the order filled `quantity + withheld`, and `fee` is its
    worth, so that cash pays for all of it. Where it took its fee in another asset, `paid` of `paid_asset` is
    what it took: the books charge `fee` all the same, and `external` holds the difference.
    """

    trade_id: str
    client_id: str
    decision: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    reference: Decimal
    fee: Decimal
    leg: str
    reason: str
    at: datetime
    withheld: Decimal = Decimal(0)
    paid_asset: str = ""
    paid: Decimal = Decimal(0)


class Submission(msgspec.Struct, frozen=True):
    """What a venue answered: accepted, refused with a reason, or unknown. A lost answer is never a refusal.

    `filled` is how much of a cancelled order had filled before, where the venue tells.
    """

    status: OrderStatus
    reason: str = ""
    venue_id: str = ""
    filled: Decimal | None = None


class OrderUpdate(NamedTuple):
    """What a venue tells by itself: an order moved, with the fill that moved it if there was one."""

    order: Order
    reason: str
    fill: Fill | None
