"""The only way to start: the newest cycles, what came after them, and then the venue is asked.

Each cycle record holds the whole portfolio, so the newest cycle of each instrument and the records that follow
the oldest of those are enough; a start costs the same after a day and after ten years.
"""

from datetime import datetime
from typing import NamedTuple

from configs.schema.settings import Settings
from engine.core.accounting.fold import DeskState, apply
from engine.core.accounting.settle import order_record
from engine.core.domain.order import Order, OrderStatus
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import OrderRecord
from engine.core.execution.reconcile import Repair, repair
from engine.live.writer import Writer
from engine.ports import Journal, Venue


class Recovered(NamedTuple):
    """Where the desk stood: its state, the last record in it, and how many records were read for that."""

    state: DeskState
    sequence: int
    records_read: int


def rebuild(journal: Journal, settings: Settings) -> Recovered:
    """The state of the desk as its journal tells it; a fresh account when the journal is empty."""
    state = DeskState(portfolio=Portfolio(cash=settings.desk.cash))
    newest = [
        found[0].sequence
        for instrument in settings.desk.instruments
        if (found := journal.find(kind="cycle", instrument=instrument.name, limit=1))
    ]
    sequence, read = 0, 0
    for stored in journal.read(first=min(newest, default=1)):
        state = apply(state, stored.record)
        sequence, read = stored.sequence, read + 1
    return Recovered(state, sequence, read)


async def repair_orders(writer: Writer, venue: Venue, at: datetime) -> list[OrderRecord]:
    """Ask the venue for every order without an answer, and write down what is now known of it.

    Protection of what is held, or may still be, is sent again; entries whose moment has passed are not.
    """
    unanswered = [
        order
        for order in writer.state.portfolio.orders
        if order.status in (OrderStatus.INTENT, OrderStatus.UNKNOWN)
    ]
    records = []
    # Entries first, each written at once: the protection of an entry that expires must expire with it.
    for order in sorted(unanswered, key=lambda order: order.request.reduce_only):
        record = await _repair(order, writer.state.portfolio, venue, at)
        await writer.write([record])
        records.append(record)
    return records


async def _repair(order: Order, portfolio: Portfolio, venue: Venue, at: datetime) -> OrderRecord:
    request = order.request
    known = await venue.lookup(request.client_id)
    choice = repair(order, known, portfolio)
    status, reason, venue_id = OrderStatus.EXPIRED, "not sent before the restart", ""
    if choice is Repair.ADOPT:
        assert known is not None
        # What it has filled is told as fills, which also carry the price: until then it is an open order.
        filling = known.status in (OrderStatus.PARTIAL, OrderStatus.FILLED)
        status = OrderStatus.ACCEPTED if filling else known.status
        reason = "found at the venue after the restart"
    elif choice is Repair.SEND:
        answer = await venue.submit(request)
        status, venue_id = answer.status, answer.venue_id
        reason = answer.reason or "sent again after the restart"
    return order_record(request, status, at, reason, venue_id)
