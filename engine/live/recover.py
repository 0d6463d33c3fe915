"""The only way to start: the newest cycles, what came after them, and then the venue is asked.

Each cycle record holds the whole portfolio, so the newest cycle of each instrument and the records that follow
the oldest of those are enough; a start costs the same after a day and after ten years.
"""

import asyncio
from datetime import datetime
from typing import NamedTuple

from configs.schema.settings import Settings
from engine.core.accounting.fold import DeskState, apply
from engine.core.accounting.settle import order_record
from engine.core.domain.errors import VenueDown
from engine.core.domain.order import Order, OrderStatus
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import OrderRecord
from engine.core.execution.reconcile import Repair, repair
from engine.live.writer import Writer
from engine.ports import Journal, Venue

ANSWER_S = 30.0
"""A look-up that takes longer is left to whoever tends to orders."""


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


async def repair_orders(
    writer: Writer, venue: Venue, at: datetime, answer_s: float = ANSWER_S
) -> list[OrderRecord]:
    """Ask the venue for every order that may have left, and write down what is now known of it.

    Protection of what is held, or may still be, is sent again; entries whose moment has passed are not. Where no
    trace is no proof, or no answer can be had, the order stays unknown and whoever tends to orders goes on asking.
    """
    unanswered = [order for order in writer.state.portfolio.orders if _may_have_left(order, venue)]
    records = []
    # Entries first, each written at once: the protection of an entry that expires must expire with it.
    for order in sorted(unanswered, key=lambda order: order.request.reduce_only):
        record = await _repair(order, writer.state.portfolio, venue, at, answer_s)
        if record.status is not order.status:
            await writer.write([record])
            records.append(record)
    return records


def _may_have_left(order: Order, venue: Venue) -> bool:
    """What only reduces leaves as an intent for nowhere at a venue that holds no protection: see `send_due`."""
    if order.status is OrderStatus.INTENT:
        return venue.traits.holds_protection or not order.request.reduce_only
    return order.status is OrderStatus.UNKNOWN


async def _repair(
    order: Order, portfolio: Portfolio, venue: Venue, at: datetime, answer_s: float
) -> OrderRecord:
    request = order.request
    try:
        async with asyncio.timeout(answer_s):
            seen = await venue.lookup(request)
        choice = repair(order, seen, portfolio, venue.traits)
    except (VenueDown, TimeoutError):
        seen, choice = None, Repair.WAIT
    status, reason, venue_id = OrderStatus.EXPIRED, "not sent before the restart", ""
    if choice is Repair.WAIT:
        status, reason = OrderStatus.UNKNOWN, "may have been sent before the restart"
    elif choice is Repair.ADOPT:
        assert seen is not None
        # What it has filled is told as fills, which also carry the price: until then it is an open order.
        status = OrderStatus.ACCEPTED if seen.filled else seen.status
        reason, venue_id = "found at the venue after the restart", seen.venue_id
    elif choice is Repair.SEND:
        answer = await venue.submit(request)
        status, venue_id = answer.status, answer.venue_id
        reason = answer.reason or "sent again after the restart"
    return order_record(request, status, at, reason, venue_id)
