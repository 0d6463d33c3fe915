"""The life of every order, from its records: what was asked, what became of it, how much filled and at what price.

The whole fold, not the newest state: orders that ended long ago are here too. For other programs, and for whoever holds
the desk's books against a venue's own.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from engine.core.domain.order import OrderRequest, OrderStatus
from engine.core.domain.records import CommandRecord, CycleRecord, FillRecord, OrderRecord, Record


class OrderLife(msgspec.Struct, frozen=True):
    """One order. `filled` counts what the venue kept as its fee; `cost` is the sum of quantity times price."""

    client_id: str
    venue_id: str
    decision: str
    instrument: str
    leg: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal | None
    filled: Decimal
    cost: Decimal
    fee: Decimal
    state: str
    reason: str
    placed_at: datetime
    at: datetime


def lives(records: Iterable[Record]) -> dict[str, OrderLife]:
    """Every order by its client id, in the order in which they were first written down."""
    found: dict[str, OrderLife] = {}
    for record in records:
        if isinstance(record, CycleRecord):
            for request in record.result.orders:
                found.setdefault(request.client_id, _begun(request, record.at))
        elif isinstance(record, CommandRecord):
            for request in record.orders:
                found.setdefault(request.client_id, _begun(request, record.at))
        elif isinstance(record, OrderRecord):
            known = found.get(record.request.client_id) or _begun(record.request, record.at)
            found[known.client_id] = _moved(known, record)
        elif isinstance(record, FillRecord) and record.fill.client_id in found:
            found[record.fill.client_id] = _filled(found[record.fill.client_id], record)
    return found


def _begun(request: OrderRequest, at: datetime) -> OrderLife:
    return OrderLife(
        client_id=request.client_id,
        venue_id="",
        decision=request.decision,
        instrument=request.instrument,
        leg=request.leg,
        side=request.side.value,
        type=request.type.value,
        quantity=request.quantity,
        price=request.price,
        filled=Decimal(0),
        cost=Decimal(0),
        fee=Decimal(0),
        state=OrderStatus.INTENT.value,
        reason=request.reason,
        placed_at=request.placed_at,
        at=at,
    )


def _moved(life: OrderLife, record: OrderRecord) -> OrderLife:
    """Late news of an order that is done change nothing but its venue's id."""
    venue_id = record.venue_id or life.venue_id
    if life.state == OrderStatus.FILLED:
        return replace(life, venue_id=venue_id)
    quantity = record.request.quantity
    return replace(life, venue_id=venue_id, state=record.status.value, quantity=quantity, at=record.at)


def _filled(life: OrderLife, record: FillRecord) -> OrderLife:
    fill = record.fill
    total = fill.quantity + fill.withheld
    filled = life.filled + total
    done = OrderStatus.FILLED if filled >= life.quantity else OrderStatus.PARTIAL
    ended = life.state in (OrderStatus.CANCELLED, OrderStatus.EXPIRED) and done is OrderStatus.PARTIAL
    return replace(
        life,
        filled=filled,
        cost=life.cost + total * fill.price,
        fee=life.fee + fill.fee,
        state=life.state if ended else done.value,
        at=record.at,
    )
