"""What the venue tells becomes records: fills, the trades they close, orders that ended."""

from collections.abc import Sequence
from datetime import datetime

from engine.core.accounting.fold import DeskState, apply, settle
from engine.core.domain.ids import record_id
from engine.core.domain.order import Order
from engine.core.domain.records import OrderRecord, Record
from engine.ports import VenueUpdate


def settled(state: DeskState, updates: Sequence[VenueUpdate], at: datetime) -> list[Record]:
    """The records of the updates, each made against the state that the ones before it leave."""
    records: list[Record] = []
    for update in updates:
        new = _of_fill(state, update) if update.fill else _of_order(update.order, update.reason, at)
        for record in new:
            state = apply(state, record)
        records += new
    return records


def _of_fill(state: DeskState, update: VenueUpdate) -> list[Record]:
    assert update.fill is not None
    fill, trade = settle(state, update.fill)
    return [fill] if trade is None else [fill, trade]


def _of_order(order: Order | None, reason: str, at: datetime) -> list[Record]:
    assert order is not None, "an update tells of an order or of a fill"
    request = order.request
    return [
        OrderRecord(
            id=record_id("o", at, request.client_id, order.status),
            at=at,
            request=request,
            status=order.status,
            reason=reason,
        )
    ]
