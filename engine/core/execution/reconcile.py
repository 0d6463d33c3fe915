"""What to do with an order that was written down but of which no answer was, once the venue has been asked.

An entry that never left is not sent late: its moment has passed. Protection is different: a position, or an entry
that may still fill, must not stand without its stop, and an order that can only reduce may be sent again under
the same id once the venue has said that it does not know it.
"""

from enum import StrEnum

from engine.core.domain.order import Order
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.venue import Sighting, Traits


class Repair(StrEnum):
    """Four ways to go on."""

    ADOPT = "adopt"
    SEND = "send"
    EXPIRE = "expire"
    WAIT = "wait"


def repair(order: Order, seen: Sighting | None, portfolio: Portfolio, traits: Traits) -> Repair:
    """Choose for an order without an answer; `seen` is what the venue shows of it, None for no trace.

    No trace proves nothing yet at a venue whose view lags: the order is unknown until its time is up.
    """
    if seen is not None:
        return Repair.ADOPT
    if traits.absent_after_s:
        return Repair.WAIT
    request = order.request
    if not request.reduce_only:
        return Repair.EXPIRE
    held = portfolio.position(request.instrument) is not None
    coming = any(
        other.request.decision == request.decision and not other.request.reduce_only
        for other in portfolio.orders
    )
    return Repair.SEND if held or coming else Repair.EXPIRE
