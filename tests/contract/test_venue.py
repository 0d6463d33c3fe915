"""What the port of a venue promises, shown on the paper venue: it is the one that every other is compared with."""

from datetime import timedelta
from decimal import Decimal

import pytest

from configs.schema.execution import ExecutionSettings
from engine.core.accounting.fold import DeskState
from engine.core.accounting.settle import settled
from engine.core.domain.errors import VenueDown
from engine.core.domain.market import Bar
from engine.core.domain.order import OrderRequest, OrderStatus, OrderType, Side
from engine.core.domain.portfolio import Portfolio
from engine.venues.paper import PaperVenue
from tests.builders import CLOSE, INSTRUMENT, bar, open_order, order_request, portfolio, position, settings

DAY = timedelta(days=1)
ENTRY = order_request(leg="e", quantity="10")
STOP = order_request(
    leg="s", side=Side.SELL, quantity="10", type_=OrderType.STOP, price="1200", reason="stop"
)
TARGET = order_request(
    leg="t", side=Side.SELL, quantity="10", type_=OrderType.LIMIT, price="1300", reason="target"
)


def next_bar(days: int = 1, close: str = "1240", **prices: str) -> Bar:
    return bar(end=CLOSE + days * DAY, close=close, **prices)


@pytest.fixture
def venue() -> PaperVenue:
    return PaperVenue(settings())


async def placed(venue: PaperVenue, *orders: OrderRequest) -> None:
    for order in orders:
        assert (await venue.submit(order)).status is OrderStatus.ACCEPTED


async def test_an_order_sent_twice_is_one_order_and_fills_once(venue: PaperVenue) -> None:
    await placed(venue, ENTRY, ENTRY)

    told = await venue.updates([next_bar()])

    assert [update.fill.quantity for update in told if update.fill] == [Decimal(10)]
    assert not await venue.updates([next_bar(2)])


async def test_a_lookup_knows_an_open_order_and_no_other(venue: PaperVenue) -> None:
    await placed(venue, ENTRY)

    found = await venue.lookup(ENTRY)

    assert found is not None
    assert (found.status, found.filled) == (OrderStatus.ACCEPTED, 0)
    assert await venue.lookup(order_request(cause="d-never-seen")) is None


async def test_nothing_is_told_before_its_time(venue: PaperVenue) -> None:
    await placed(venue, ENTRY)

    assert not await venue.updates([bar(end=CLOSE)])
    assert not await venue.updates([])
    assert len(await venue.updates([next_bar()])) == 1


async def test_a_fill_lies_within_the_bar_that_made_it(venue: PaperVenue) -> None:
    await placed(venue, ENTRY, STOP)
    up = next_bar(close="1250", open="1245", high="1255", low="1241")
    gap = next_bar(2, close="1150", open="1160", high="1165", low="1140")

    (bought,) = [update.fill for update in await venue.updates([up]) if update.fill]
    (sold,) = [update.fill for update in await venue.updates([gap]) if update.fill]

    assert up.low <= bought.price <= up.high
    assert bought.price > bought.reference == up.open
    assert gap.low <= sold.price <= gap.high
    assert sold.reference == gap.open, "a stop that is jumped over fills at the open, not at its price"


async def test_a_stop_that_fills_ends_its_target_and_says_so(venue: PaperVenue) -> None:
    await placed(venue, ENTRY, STOP, TARGET)
    await venue.updates([next_bar()])

    told = await venue.updates([next_bar(2, close="1190", high="1310", low="1180")])

    assert [(u.order.request.leg, u.order.status) for u in told] == [
        ("s", OrderStatus.FILLED),
        ("t", OrderStatus.CANCELLED),
    ]
    assert await venue.lookup(TARGET) is None


async def test_an_order_that_only_reduces_never_turns_a_position_round(venue: PaperVenue) -> None:
    await placed(venue, order_request(leg="e", quantity="4"), STOP)
    await venue.updates([next_bar()])

    told = await venue.updates([next_bar(2, close="1190")])

    assert [update.fill.quantity for update in told if update.fill] == [Decimal(4)]


async def test_a_cancel_ends_the_order_at_once(venue: PaperVenue) -> None:
    await placed(venue, ENTRY)

    assert (await venue.cancel(ENTRY)).status is OrderStatus.CANCELLED
    assert await venue.lookup(ENTRY) is None
    assert not await venue.updates([next_bar()])


async def test_a_cancel_of_what_is_not_there_is_refused(venue: PaperVenue) -> None:
    answer = await venue.cancel(order_request(cause="d-never-seen"))

    assert (answer.status, answer.reason) == (OrderStatus.REFUSED, "no such open order")


async def test_what_a_cancel_leaves_without_a_purpose_is_told_once(venue: PaperVenue) -> None:
    """Otherwise the desk would go on counting a stop and a target that no venue knows."""
    await placed(venue, ENTRY, STOP, TARGET)
    await venue.cancel(ENTRY)

    told = await venue.updates([next_bar()])

    assert [(u.order.request.client_id, u.order.status) for u in told] == [
        (STOP.client_id, OrderStatus.CANCELLED),
        (TARGET.client_id, OrderStatus.CANCELLED),
    ]
    assert not await venue.updates([next_bar(2)])


async def test_a_restored_venue_stands_where_the_journal_says() -> None:
    """An order that was partly filled goes on with its rest; an intent was never sent."""
    venue = PaperVenue(settings())
    rest = open_order(ENTRY, OrderStatus.PARTIAL)
    rest = type(rest)(rest.request, OrderStatus.PARTIAL, filled=Decimal(7))
    orders = (rest, open_order(STOP), open_order(TARGET, OrderStatus.INTENT))
    state = DeskState(
        portfolio=Portfolio(cash=Decimal(1000), positions=(position(quantity="7"),), orders=orders)
    )

    venue.restore(state)
    told = await venue.updates([next_bar()])

    assert await venue.lookup(TARGET) is None
    assert [(u.fill.client_id, u.fill.quantity) for u in told if u.fill] == [(ENTRY.client_id, Decimal(3))]
    assert told[0].order is not None
    assert told[0].order.status is OrderStatus.FILLED


async def test_a_bar_that_was_settled_before_a_restart_is_not_settled_again() -> None:
    venue = PaperVenue(settings())
    state = DeskState(portfolio=portfolio(orders=(open_order(ENTRY),)), settled={INSTRUMENT: CLOSE + DAY})

    venue.restore(state)

    assert not await venue.updates([next_bar()])
    assert len(await venue.updates([next_bar(2)])) == 1


async def test_a_big_order_fills_over_several_bars_and_never_more_than_asked() -> None:
    venue = PaperVenue(settings(execution=ExecutionSettings(participation=0.5)))
    await placed(venue, ENTRY)
    quantities: list[Decimal] = []
    ids: set[str] = set()

    for day in range(1, 6):
        for update in await venue.updates([next_bar(day, volume="8")]):
            assert update.fill is not None
            quantities.append(update.fill.quantity)
            ids.add(update.fill.trade_id)

    assert quantities == [Decimal(4), Decimal(4), Decimal(2)]
    assert len(ids) == 3


async def test_what_is_told_books_to_the_cent_what_was_filled(venue: PaperVenue) -> None:
    await placed(venue, ENTRY, STOP, TARGET)
    state = DeskState(portfolio=portfolio(orders=(open_order(ENTRY), open_order(STOP), open_order(TARGET))))
    told = [*await venue.updates([next_bar()]), *await venue.updates([next_bar(2, close="1190")])]

    _, records = settled(state, told, CLOSE)

    kinds = [type(record).__name__ for record in records]
    assert kinds == ["FillRecord", "FillRecord", "TradeRecord", "OrderRecord"]


async def test_it_tells_a_price_once_a_bar_has_closed_and_has_neither_account_nor_clock_of_its_own(
    venue: PaperVenue,
) -> None:
    with pytest.raises(VenueDown, match=f"no bar of {INSTRUMENT} has closed yet"):
        await venue.price(INSTRUMENT, Side.BUY)

    await venue.updates([next_bar(close="1240"), next_bar(2, close="1250")])

    assert {await venue.price(INSTRUMENT, side) for side in Side} == {Decimal(1250)}
    assert [await venue.depth(INSTRUMENT, side) for side in Side] == [None, None]
    assert not venue.traits.tells_depth
    assert await venue.account(CLOSE) == ({}, (), ())
    assert await venue.balances() == {}
    assert (await venue.clock_offset(), venue.unwell()) == (0, "")
