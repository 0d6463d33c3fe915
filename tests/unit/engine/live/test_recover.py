"""What a start makes of orders that were written down and never answered."""

from datetime import timedelta
from decimal import Decimal

import pytest

from engine.core.accounting.fold import DeskState
from engine.core.accounting.settle import settled
from engine.core.domain.order import (
    Order,
    OrderRequest,
    OrderStatus,
    OrderType,
    OrderUpdate,
    Side,
    Submission,
)
from engine.core.domain.portfolio import Position
from engine.core.domain.records import OrderRecord
from engine.core.domain.venue import Sighting
from engine.live.bus import Bus
from engine.live.recover import rebuild, repair_orders
from engine.live.writer import Writer
from engine.venues.paper import PaperVenue
from tests import builders
from tests.builders import CLOSE, bar, cycle_record, open_order, order_request, portfolio, position, settings
from tests.fakes import ListJournal

DAY = timedelta(days=1)
ENTRY = order_request(leg="e")
STOP = order_request(leg="s", side=Side.SELL, type_=OrderType.STOP, price="1200", reason="stop")
EXIT = order_request(leg="x", side=Side.SELL, reason="time")
INTENT, UNKNOWN = OrderStatus.INTENT, OrderStatus.UNKNOWN


class Venue(PaperVenue):
    """A venue that may know orders from before; it counts what it is sent."""

    def __init__(self, *known: Order) -> None:
        super().__init__(settings())
        self._known = {order.request.client_id: order for order in known}
        self.sent: list[str] = []

    async def lookup(self, order: OrderRequest) -> Sighting | None:
        known = self._known.get(order.client_id)
        return Sighting(known.status, known.filled, ()) if known else None

    async def submit(self, order: OrderRequest) -> Submission:
        self.sent.append(order.client_id)
        return await super().submit(order)


async def repaired(
    venue: Venue, *orders: Order, held: tuple[Position, ...] = ()
) -> tuple[dict[str, tuple[OrderStatus, str]], Writer]:
    writer = Writer(ListJournal(), Bus(), DeskState(portfolio=portfolio(*held, orders=orders)), 0)
    records = await repair_orders(writer, venue, CLOSE)
    return {record.request.leg: (record.status, record.reason) for record in records}, writer


@pytest.mark.parametrize("status", [INTENT, UNKNOWN])
async def test_an_entry_that_the_venue_never_saw_expires_with_its_protection(status: OrderStatus) -> None:
    venue = Venue()

    found, writer = await repaired(venue, open_order(STOP, INTENT), open_order(ENTRY, status))

    assert {leg: each[0] for leg, each in found.items()} == {
        "e": OrderStatus.EXPIRED,
        "s": OrderStatus.EXPIRED,
    }
    assert venue.sent == []
    assert writer.state.portfolio.orders == ()


async def test_an_entry_that_the_venue_has_is_taken_over_and_gets_its_protection() -> None:
    venue = Venue(open_order(ENTRY))

    found, _ = await repaired(venue, open_order(STOP, INTENT), open_order(ENTRY, UNKNOWN))

    assert found["e"] == (OrderStatus.ACCEPTED, "found at the venue after the restart")
    assert found["s"] == (OrderStatus.ACCEPTED, "sent again after the restart")
    assert venue.sent == [STOP.client_id]


@pytest.mark.parametrize("status", [OrderStatus.PARTIAL, OrderStatus.FILLED])
async def test_an_entry_that_filled_meanwhile_waits_for_its_fills_and_gets_its_protection(
    status: OrderStatus,
) -> None:
    """Were it booked as filled at once, its plan and with it the stop would be forgotten before the fill is told."""
    venue = Venue(Order(ENTRY, status, filled=Decimal(5)))

    found, writer = await repaired(venue, open_order(ENTRY, INTENT), open_order(STOP, INTENT))

    assert found["e"][0] is OrderStatus.ACCEPTED
    assert venue.sent == [STOP.client_id]
    await writer.write([builders.fill(ENTRY)])
    assert [order.request.leg for order in writer.state.portfolio.orders] == ["s"]


async def test_an_exit_of_what_is_held_is_sent_again() -> None:
    venue = Venue()

    found, _ = await repaired(venue, open_order(EXIT, INTENT), held=(position(),))

    assert found == {"x": (OrderStatus.ACCEPTED, "sent again after the restart")}


async def test_what_was_answered_is_left_alone() -> None:
    found, _ = await repaired(Venue(), open_order(ENTRY), open_order(STOP, OrderStatus.PARTIAL))

    assert found == {}


async def test_repairing_twice_changes_nothing_the_second_time() -> None:
    venue = Venue()
    _, writer = await repaired(
        venue, open_order(EXIT, UNKNOWN), open_order(ENTRY, INTENT), held=(position(),)
    )

    assert await repair_orders(writer, venue, CLOSE) == []
    assert len(venue.sent) == 1


def test_an_empty_journal_is_a_fresh_account() -> None:
    found = rebuild(ListJournal(), settings())

    assert found.state.portfolio.cash == settings().desk.cash
    assert (found.sequence, found.records_read) == (0, 0)


def test_a_start_reads_the_newest_cycle_and_what_came_after_it() -> None:
    days = [cycle_record(at=CLOSE + n * DAY) for n in range(50)]
    journal = ListJournal(*days, builders.incident(at=CLOSE + 50 * DAY))

    found = rebuild(journal, settings())

    assert (found.sequence, found.records_read) == (51, 2)
    assert max(found.state.last_bars.values()) == days[-1].observation.bar.end


# --- settling -------------------------------------------------------------------------------------


async def test_a_trade_that_opens_and_closes_in_one_batch_is_settled_in_order() -> None:
    venue = PaperVenue(settings())
    for order in (ENTRY, STOP):
        await venue.submit(order)
    told = [
        *await venue.updates([bar(end=CLOSE + DAY)]),
        *await venue.updates([bar(end=CLOSE + 2 * DAY, close="1190")]),
    ]
    state = DeskState(portfolio=portfolio(orders=(open_order(ENTRY), open_order(STOP))))

    _, records = settled(state, told, CLOSE + 2 * DAY)

    assert [type(record).__name__ for record in records] == ["FillRecord", "FillRecord", "TradeRecord"]


def test_an_order_that_ended_without_a_fill_is_a_record_with_its_reason() -> None:
    ended = OrderUpdate(open_order(STOP, OrderStatus.CANCELLED), "nothing left to reduce", None)

    _, (record,) = settled(DeskState(portfolio=portfolio(orders=(open_order(STOP),))), [ended], CLOSE)

    assert isinstance(record, OrderRecord)
    assert (record.status, record.reason) == (OrderStatus.CANCELLED, "nothing left to reduce")
