"""What a venue is and what it shows: its traits, one order as it knows it, and the whole account."""

from decimal import Decimal
from typing import NamedTuple

from engine.core.domain.order import Fill, OrderStatus, Side


class Traits(NamedTuple):
    """What a venue can do, and for how long it may leave us in the dark.

    `holds_protection`: stops and targets that only reduce may be sent with the entry; they wait for the position, and
    one ends the other. Where it does not, the desk places a stop once something is held, and watches targets itself.
    `absent_after_s`: a request of which the venue shows no trace that long after it was sent has never arrived.
    `retry_exit_after_s`: the same for orders that can sell only what the account holds, where that is all ours: a
    second one cannot do harm, for the venue has nothing left to sell.
    `tells_depth`: it can be asked for its order book.
    """

    name: str = "paper"
    holds_protection: bool = True
    absent_after_s: float = 0.0
    retry_exit_after_s: float = 0.0
    tells_depth: bool = False


class Depth(NamedTuple):
    """One side of a venue's order book: prices and quantities, the best price first.

    `whole`: that is all of it. Otherwise there may be more behind the last level that was told.
    """

    levels: tuple[tuple[Decimal, Decimal], ...]
    whole: bool = True


class Sighting(NamedTuple):
    """An order as the venue shows it: how it stands, and every execution of it so far.

    `untold` is what it counts as executed beyond the executions that it lists.
    """

    status: OrderStatus
    filled: Decimal
    fills: tuple[Fill, ...]
    venue_id: str = ""
    reason: str = ""
    untold: Decimal = Decimal(0)


class OpenOrder(NamedTuple):
    """One order that rests at the venue, ours or not. `client_id` is whatever its sender gave it."""

    client_id: str
    venue_id: str
    instrument: str
    side: Side
    quantity: Decimal
    filled: Decimal


class Account(NamedTuple):
    """What the venue says that is there: free and locked together by asset, open orders, executions since asked.

    `fills` are of all orders in the desk's instruments, also of those that it does not know.
    """

    balances: dict[str, Decimal]
    orders: tuple[OpenOrder, ...]
    fills: tuple[Fill, ...]
