"""Looking after orders where the venue answers late, wrongly, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from configs.schema.venue import VenueSettings
from engine.core.accounting.fold import DeskState
from engine.core.domain.errors import VenueDown
from engine.core.domain.order import Order, OrderRequest, OrderStatus, OrderType, Side, Submission
from engine.core.domain.records import OrderRecord
from engine.core.domain.venue import Sighting, Traits
from engine.live.bus import Bus
from engine.live.holds import Holds, Refusals
from engine.live.orders import OrderManager
from engine.live.recover import repair_orders
from engine.live.tend import ROUNDS, Tender
from engine.live.writer import Writer
from engine.store.state import SqlStateStore
from engine.venues.paper import PaperVenue
from tests.builders import CLOSE, open_order, order_request, portfolio, position, settings
from tests.fakes import FakeClock, ListJournal
from tests.life import Life, life

ENTRY = order_request(leg="e")
STOP = order_request(leg="s", side=Side.SELL, type_=OrderType.STOP, price="1180", reason="stop")
HASTY = settings(venue=VenueSettings(request_timeout_s=0.01))


class Bare(PaperVenue):
    """A venue that holds no protection, and never answers what is in `silent`."""

    def __init__(self, *silent: str, refuses: bool = False) -> None:
        super().__init__(HASTY)
        self.silent = silent
        self.refuses = refuses
        self.sent: list[str] = []

    @property
    def traits(self) -> Traits:
        return Traits("bare", False, 18.0, 3.0)

    async def _perhaps(self, name: str) -> None:
        if name in self.silent:
            await asyncio.Event().wait()

    async def submit(self, order: OrderRequest) -> Submission:
        self.sent.append(order.leg)
        await self._perhaps("submit")
        if self.refuses:
            return Submission(OrderStatus.REFUSED, "no")
        return await super().submit(order)

    async def cancel(self, order: OrderRequest) -> Submission:
        await self._perhaps("cancel")
        return await super().cancel(order)

    async def lookup(self, order: OrderRequest) -> Sighting | None:
        await self._perhaps("lookup")
        return await super().lookup(order)

    async def price(self, instrument: str, side: Side) -> Decimal:
        await self._perhaps("price")
        return Decimal(1240)


class Rushing(FakeClock):
    """Minutes pass whenever one looks at it."""

    passed = 0.0

    def monotonic(self) -> float:
        self.passed += 100
        return self.passed


class Room:
    """A tender over a venue, with nothing else around."""

    def __init__(self, home: Path, venue: Bare, state: DeskState, clock: FakeClock | None = None) -> None:
        self.journal, self.clock, self.venue = ListJournal(), clock or FakeClock(), venue
        self.store = SqlStateStore(home / "desk.db")
        self.writer = Writer(self.journal, Bus(), state, 0)
        self.orders = OrderManager(self.writer, self.journal, venue, self.store, self.clock, HASTY)
        self.holds = Holds(self.writer, self.clock)
        refusals = Refusals(self.writer, self.journal, self.holds, self.clock)
        self.tender = Tender(self.writer, venue, self.orders, self.holds, refusals, HASTY, self.clock)

    def records(self) -> list[OrderRecord]:
        return [s.record for s in self.journal.read() if isinstance(s.record, OrderRecord)]


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Any]:
    made: list[Room] = []

    def make(venue: Bare, *orders: Order, held: bool = False, clock: FakeClock | None = None) -> Room:
        owned = (position(),) if held else ()
        made.append(Room(tmp_path, venue, DeskState(portfolio=portfolio(*owned, orders=orders)), clock))
        return made[-1]

    yield make
    for room in made:
        room.store.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Life]:
    async with life(tmp_path) as one:
        yield one


async def test_b8_an_order_that_is_not_answered_in_time_is_unknown(rooms: Any) -> None:
    room = rooms(Bare("submit"), open_order(STOP, OrderStatus.INTENT), held=True)

    assert await room.orders.send_due(STOP, "") is OrderStatus.UNKNOWN

    assert room.writer.state.portfolio.order(STOP.client_id).status is OrderStatus.UNKNOWN


async def test_b8_a_cancel_that_is_not_answered_in_time_is_not_over(rooms: Any) -> None:
    room = rooms(Bare("cancel"), open_order(STOP), held=True)

    assert not await room.orders.cancel(STOP, "because")
    assert room.records() == []


async def test_b8_a_cancel_whose_order_cannot_be_looked_at_afterwards_is_not_over(rooms: Any) -> None:
    """Unless the venue says how much had filled: see `test_a10_an_exit_goes_on_...`."""
    venue = Bare("lookup")
    room = rooms(venue, open_order(STOP), held=True)
    venue.restore(room.writer.state)

    assert not await room.orders.cancel(STOP, "because")


async def test_b8_a_look_up_that_is_not_answered_in_time_is_a_venue_that_is_down(rooms: Any) -> None:
    room = rooms(Bare("lookup"), open_order(ENTRY, OrderStatus.UNKNOWN))

    with pytest.raises(VenueDown, match=r"no answer within 0.03 s"):
        await room.orders.look(ENTRY)
    for _ in range(3):
        await room.tender.tend()

    assert room.writer.state.risk.holds == {"venue": "the venue cannot be asked: no answer within 0.03 s"}


async def test_b8_a_start_does_not_wait_for_a_look_up_without_end(rooms: Any) -> None:
    room = rooms(Bare("lookup"), open_order(ENTRY, OrderStatus.UNKNOWN))

    assert await repair_orders(room.writer, room.venue, CLOSE, 0.01) == []
    assert room.writer.state.portfolio.orders[0].status is OrderStatus.UNKNOWN


async def test_b8_without_a_price_the_stop_is_placed_all_the_same(rooms: Any) -> None:
    room = rooms(Bare("price"), held=True)

    await room.tender.tend()

    assert room.venue.sent == ["s1"]


async def test_what_is_not_open_is_not_cancelled(rooms: Any) -> None:
    room = rooms(Bare())

    assert not await room.orders.cancel(STOP, "because")


async def test_steps_that_would_go_in_circles_end(rooms: Any) -> None:
    """A venue that refuses everything, and a clock by which no pause ever lasts."""
    room = rooms(Bare(refuses=True), held=True, clock=Rushing())

    await room.tender.tend()

    assert 2 < len(room.venue.sent) <= ROUNDS
    assert room.venue.sent[:2] == ["s1", "s2"]
    assert room.venue.sent[2].startswith("x"), "then it is closed"


async def test_a16_an_order_that_the_venue_has_forgotten_is_given_up_after_the_time_of_absence(
    desk: Life,
) -> None:
    await desk.buy()
    first = desk.stop().request.client_id
    for order in desk.exchange.books.orders.values():
        if order.client_id == first:
            desk.exchange.books._end(order, "CANCELED", desk.exchange.now_ms())
            order.visible_at = desk.exchange.now_ms() + 10**9
    await desk.tend_for(40)

    reasons = [r.reason for r in desk.written(OrderRecord) if r.request.client_id == first]
    assert reasons[-1].startswith("the venue has not known it for ")
    assert desk.stop().request.leg == "s1"


async def test_a_venue_that_holds_protection_by_itself_is_not_tended(tmp_path: Path) -> None:
    class Whole(Bare):
        @property
        def traits(self) -> Traits:
            return Traits()

    room = Room(tmp_path, Whole(), DeskState(portfolio=portfolio(position())))

    await room.tender.tend()

    assert room.venue.sent == []
    room.store.close()


async def test_an_entry_that_no_decision_stands_behind_is_not_sent(rooms: Any) -> None:
    """It has no stop that its price could be held against."""
    room = rooms(Bare(), open_order(ENTRY, OrderStatus.INTENT))

    assert await room.orders.submit([ENTRY]) == "it was reviewed at no price, or has no stop"

    assert room.venue.sent == []
    assert [(record.status, record.reason) for record in room.records()] == [
        (OrderStatus.EXPIRED, "it was reviewed at no price, or has no stop")
    ]
