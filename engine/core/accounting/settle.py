"""What a venue tells becomes records: fills, the trades they close, orders that moved."""

from collections.abc import Sequence
from datetime import datetime

from engine.core.accounting.fold import DeskState, apply, settle
from engine.core.domain.ids import record_id
from engine.core.domain.order import OrderRequest, OrderStatus, OrderUpdate
from engine.core.domain.records import OrderRecord, Record


def settled(state: DeskState, updates: Sequence[OrderUpdate], at: datetime) -> tuple[DeskState, list[Record]]:
    """The records of the updates, each made against the state that the ones before it leave, and the state after.

    A venue must not tell a fill twice: whoever listens to one that does skips what the journal has.
    """
    records: list[Record] = []
    for update in updates:
        new = _of(state, update, at)
        for record in new:
            state = apply(state, record)
        records += new
    return state, records


def order_record(
    request: OrderRequest, status: OrderStatus, at: datetime, reason: str = "", venue_id: str = ""
) -> OrderRecord:
    """An order moved: the same move at the same moment is the same record."""
    key = record_id("o", at, request.client_id, status)
    return OrderRecord(key, at, request, status, reason, venue_id)


def _of(state: DeskState, update: OrderUpdate, at: datetime) -> list[Record]:
    if update.fill is None:
        return [order_record(update.order.request, update.order.status, at, update.reason)]
    fill, trade = settle(state, update.fill)
    return [fill] if trade is None else [fill, trade]
