"""A venue under stress: wide, or closed."""

from decimal import Decimal

from configs.schema.execution import ExecutionSettings
from engine.core.domain.order import OrderStatus, Side
from engine.core.execution.book import Book, Conditions
from tests.builders import CLOSE, DAY, bar, order_request, settings
from tests.core_builders import bracket

COSTS = ExecutionSettings(fee_bps=0, spread_bps=10, slippage_bps=0, impact_bps=0, participation=0.1)


def book(position: str = "10", **conditions: float) -> Book:
    made = Book(settings(execution=COSTS))
    made.restore((), {"SP500": Decimal(position)})
    made.conditions = Conditions(**conditions)
    return made


def sold(made: Book, close: str = "100", **prices: str) -> Decimal:
    made.place(order_request("", "x", Side.SELL, "10"))
    update = made.on_bar(bar(end=CLOSE + DAY, close=close, **prices))[0]
    assert update.fill is not None
    return update.fill.price


def test_a_wider_spread_sells_below_the_bar_for_a_bar_tells_of_trades() -> None:
    assert sold(book(spread=1)) == Decimal(
        "100"
    )  # the bar has one price, and half a spread would lie outside of it
    assert sold(book(spread=50)) == Decimal("97.55")


def test_a_wider_spread_buys_above_it() -> None:
    made = book("0", spread=50)
    made.place(order_request("", "e", Side.BUY, "10"))

    fill = made.on_bar(bar(end=CLOSE + DAY, close="100"))[0].fill

    assert fill is not None
    assert fill.price == Decimal("102.45")


def test_no_spread_takes_a_price_below_one_tick() -> None:
    wide = ExecutionSettings(fee_bps=0, spread_bps=1000, slippage_bps=0, impact_bps=0)
    made = Book(settings(execution=wide))
    made.restore((), {"SP500": Decimal(10)})
    made.conditions = Conditions(spread=50)

    assert sold(made) == Decimal("0.01")


def test_a_closed_venue_refuses_what_is_new_and_fills_nothing() -> None:
    made = book("0")
    for request in bracket():
        made.place(request)
    made.conditions = Conditions(closed=True)

    assert made.on_bar(bar(end=CLOSE + DAY, close="80")) == []
    assert made.place(order_request("", "x", Side.SELL, "10")).status is OrderStatus.REFUSED
    assert made.get(order_request("", "x", Side.SELL, "10").client_id) is None
    assert made.place(bracket()[1]).status is OrderStatus.ACCEPTED, "it has this one already"


def test_a_stop_that_was_passed_while_the_venue_was_closed_fills_at_the_next_open() -> None:
    made = book("0")
    for request in bracket(stop="95"):
        made.place(request)
    made.on_bar(bar(end=CLOSE + DAY, close="100"))
    made.conditions = Conditions(closed=True)
    made.on_bar(bar(end=CLOSE + 2 * DAY, close="60"))
    made.conditions = Conditions()

    updates = made.on_bar(bar(end=CLOSE + 3 * DAY, close="61", open="62", low="60"))

    fill = updates[0].fill
    assert fill is not None
    assert (fill.leg, fill.reference) == ("s", Decimal("62"))


def test_a_cancel_is_done_before_a_closed_venue_opens_again() -> None:
    made = book("0", closed=True)
    made.conditions = Conditions()
    entry = made.place(bracket()[0])
    made.conditions = Conditions(closed=True)

    assert made.cancel(entry.request.client_id, "halt")[0].order.status is OrderStatus.CANCELLED
