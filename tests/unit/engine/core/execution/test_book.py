"""The simulated venue: brackets, their ends, and what it may never do."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from configs.schema.execution import ExecutionSettings
from engine.core.domain.market import Bar
from engine.core.domain.order import OrderRequest, OrderStatus, OrderType, OrderUpdate, Side
from engine.core.execution.book import NO_PURPOSE, Book
from tests.builders import CLOSE, DAY, bar, order_request, settings
from tests.core_builders import bracket, resting

FREE = ExecutionSettings(fee_bps=0, spread_bps=0, slippage_bps=0, impact_bps=0, participation=0.1)


def book(*requests: OrderRequest, position: str = "0", timeframe: str = "1d") -> Book:
    chosen = settings(execution=FREE)
    made = Book(replace(chosen, desk=replace(chosen.desk, timeframe=timeframe)))
    made.restore((), {"SP500": Decimal(position)} if Decimal(position) else {})
    for request in requests:
        made.place(request)
    return made


def day(number: int, close: str = "100", **prices: Any) -> Bar:
    return bar(end=CLOSE + number * DAY, close=close, **prices)


def plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def story(updates: Sequence[OrderUpdate]) -> list[tuple[str, str, str]]:
    """Leg, what it became, and how much of it filled at which price."""
    return [
        (
            update.order.request.leg,
            update.order.status.value,
            f"{plain(update.fill.quantity)} at {plain(update.fill.price)}" if update.fill else update.reason,
        )
        for update in updates
    ]


# --- time ---


def test_an_order_meets_the_bar_after_the_one_that_decided() -> None:
    market = book(*bracket())

    assert market.on_bar(day(0)) == []
    assert story(market.on_bar(day(1))) == [("e", "filled", "10 at 100")]


def test_an_order_placed_within_a_bar_waits_for_the_next() -> None:
    """Its open was long gone when the order came: to fill there would be to trade in the past."""
    market = book(order_request("", "m", Side.SELL, "10", at=CLOSE + timedelta(hours=9)), position="10")

    assert market.on_bar(day(1, close="90", open="110")) == []
    assert story(market.on_bar(day(2, close="91", open="90"))) == [("m", "filled", "10 at 90")]


def test_a_bar_after_a_weekend_began_after_the_order() -> None:
    market = book(*bracket())

    assert story(market.on_bar(day(4))) == [("e", "filled", "10 at 100")]


def test_a_bar_covers_its_timeframe() -> None:
    late = order_request("", "m", Side.SELL, "10", at=CLOSE + timedelta(minutes=1))
    market = book(late, position="10", timeframe="1h")

    assert market.on_bar(bar(end=CLOSE + timedelta(hours=1), close="100")) == []
    assert len(market.on_bar(bar(end=CLOSE + timedelta(hours=2), close="100"))) == 1


# --- brackets ---


def test_protection_rests_until_the_entry_fills() -> None:
    market = book(*bracket())

    assert market.on_bar(day(1, volume="0", low="50", high="200")) == []
    assert [market.get(request.client_id) is not None for request in bracket()] == [True] * 3


def test_a_stop_ends_its_target() -> None:
    market = book(*bracket())
    market.on_bar(day(1))

    assert story(market.on_bar(day(2, close="94", open="100"))) == [
        ("s", "filled", "10 at 95"),
        ("t", "cancelled", NO_PURPOSE),
    ]
    assert market.on_bar(day(3, close="200")) == []


def test_a_target_ends_its_stop() -> None:
    market = book(*bracket())
    market.on_bar(day(1))

    assert story(market.on_bar(day(2, close="111", open="100"))) == [
        ("t", "filled", "10 at 110"),
        ("s", "cancelled", NO_PURPOSE),
    ]


def test_a_bar_that_holds_both_barriers_takes_the_stop() -> None:
    market = book(*bracket())
    market.on_bar(day(1))

    assert story(market.on_bar(day(2, close="100", low="90", high="120")))[0] == ("s", "filled", "10 at 95")


def test_the_bar_of_the_entry_can_stop_it() -> None:
    assert story(book(*bracket()).on_bar(day(1, close="94", open="100"))) == [
        ("e", "filled", "10 at 100"),
        ("s", "filled", "10 at 95"),
        ("t", "cancelled", NO_PURPOSE),
    ]


def test_an_entry_that_opens_below_its_own_stop_leaves_at_the_same_price() -> None:
    assert story(book(*bracket()).on_bar(day(1, close="94", open="93"))) == [
        ("e", "filled", "10 at 93"),
        ("s", "filled", "10 at 93"),
        ("t", "cancelled", NO_PURPOSE),
    ]


def test_a_short_bracket_is_its_mirror() -> None:
    market = book(*bracket(stop="105", target="90", side=Side.SELL))

    assert story(market.on_bar(day(1))) == [("e", "filled", "10 at 100")]
    assert story(market.on_bar(day(2, close="106", open="100")))[0] == ("s", "filled", "10 at 105")


def test_an_exit_goes_before_the_protection_and_ends_it() -> None:
    market = book(*bracket())
    market.on_bar(day(1))
    market.place(order_request("", "x", Side.SELL, "10", at=CLOSE + DAY))

    assert story(market.on_bar(day(2, close="90", open="100"))) == [
        ("x", "filled", "10 at 100"),
        ("s", "cancelled", NO_PURPOSE),
        ("t", "cancelled", NO_PURPOSE),
    ]


def test_orders_in_other_instruments_are_left_alone() -> None:
    market = book(*bracket())

    assert market.on_bar(bar("NASDAQ", CLOSE + DAY)) == []


# --- partial fills: a bar spares a tenth of its volume ---


def test_an_entry_fills_over_several_bars() -> None:
    market = book(*bracket())

    assert story(market.on_bar(day(1, volume="60"))) == [("e", "partial", "6 at 100")]
    assert story(market.on_bar(day(2, volume="60", close="101"))) == [("e", "filled", "4 at 101")]


def test_protection_covers_what_has_filled_so_far_and_its_fill_ends_the_entry() -> None:
    market = book(*bracket())
    market.on_bar(day(1, volume="60"))

    assert story(market.on_bar(day(2, close="94", open="94", volume="100"))) == [
        ("e", "filled", "4 at 94"),
        ("s", "filled", "10 at 94"),
        ("t", "cancelled", NO_PURPOSE),
    ]
    market = book(*bracket())
    assert story(market.on_bar(day(1, close="94", open="100", volume="60"))) == [
        ("e", "partial", "6 at 100"),
        ("s", "partial", "6 at 95"),
        ("e", "cancelled", NO_PURPOSE),
        ("s", "cancelled", NO_PURPOSE),
        ("t", "cancelled", NO_PURPOSE),
    ]


def test_once_an_exit_has_begun_the_entry_buys_no_more() -> None:
    market = book(*bracket("100"))
    market.on_bar(day(1, volume="600"))  # 60 bought

    assert story(market.on_bar(day(2, close="94", open="94", volume="100"))) == [
        ("e", "partial", "10 at 94"),
        ("s", "partial", "10 at 94"),
        ("e", "cancelled", NO_PURPOSE),
    ]
    assert [leg for leg, _, _ in story(market.on_bar(day(3, close="94", volume="100")))] == ["s"]


def test_a_stop_that_was_touched_stays_a_market_order() -> None:
    """The price recovers, but what is left of the position is sold all the same, as any venue would."""
    market = book(*bracket())
    market.on_bar(day(1))
    market.on_bar(day(2, close="94", volume="40", open="100"))

    assert story(market.on_bar(day(3, close="108", open="108"))) == [
        ("s", "filled", "6 at 108"),
        ("t", "cancelled", NO_PURPOSE),
    ]


def test_after_a_stop_that_did_not_fill_whole_the_target_does_not_take_the_rest() -> None:
    market = book(*bracket())
    market.on_bar(day(1))

    assert story(market.on_bar(day(2, close="100", low="90", high="120", volume="40"))) == [
        ("s", "partial", "4 at 95")
    ]


def test_a_target_fills_over_several_bars_while_the_stop_guards_the_rest() -> None:
    market = book(*bracket())
    market.on_bar(day(1))

    assert story(market.on_bar(day(2, close="111", volume="40", open="100"))) == [
        ("t", "partial", "4 at 110")
    ]
    assert story(market.on_bar(day(3, close="94", open="100"))) == [
        ("s", "partial", "6 at 95"),
        ("s", "cancelled", NO_PURPOSE),
        ("t", "cancelled", NO_PURPOSE),
    ]


def test_an_exit_never_sells_more_than_is_held() -> None:
    market = book(order_request("", "x", Side.SELL, "10"), position="4")

    assert story(market.on_bar(day(1))) == [("x", "partial", "4 at 100"), ("x", "cancelled", NO_PURPOSE)]


@pytest.mark.parametrize("position", ["0", "-5"])
def test_an_exit_on_the_side_of_the_position_fills_nothing(position: str) -> None:
    market = book(order_request("", "x", Side.SELL, "10"), position=position)
    updates = market.on_bar(day(1))

    assert all(update.fill is None for update in updates)
    assert [update.order.status for update in updates] == ([OrderStatus.CANCELLED] if position == "0" else [])


# --- placing, cancelling, restoring ---


def test_the_same_id_again_is_the_order_already_there() -> None:
    entry, *_ = bracket()
    market = book(entry)
    market.on_bar(day(1, volume="60"))

    assert market.place(entry).filled == 6
    assert story(market.on_bar(day(2))) == [("e", "filled", "4 at 100")]


def test_an_entry_cancelled_before_it_fills_takes_its_protection_with_it() -> None:
    entry, *_ = bracket()
    market = book(*bracket())

    assert story(market.cancel(entry.client_id, "the desk is halted")) == [
        ("e", "cancelled", "the desk is halted"),
        ("s", "cancelled", NO_PURPOSE),
        ("t", "cancelled", NO_PURPOSE),
    ]
    assert market.on_bar(day(1)) == []


def test_an_entry_cancelled_half_way_keeps_its_protection() -> None:
    entry, stop, _ = bracket()
    market = book(*bracket())
    market.on_bar(day(1, volume="60"))

    assert story(market.cancel(entry.client_id, "halt")) == [("e", "cancelled", "halt")]
    assert market.get(stop.client_id) is not None


def test_a_cancelled_stop_leaves_the_rest_as_it_is() -> None:
    _, stop, _ = bracket()
    market = book(*bracket())

    assert story(market.cancel(stop.client_id, "moved")) == [("s", "cancelled", "moved")]
    assert market.cancel(stop.client_id, "again") == []


def test_a_book_takes_up_where_it_stood() -> None:
    market = book()
    stop = resting("s", Side.SELL, "10", OrderType.STOP, "95", filled="4", status=OrderStatus.PARTIAL)
    market.restore((stop,), {"SP500": Decimal(6)})

    assert story(market.on_bar(day(1))) == [("s", "filled", "6 at 100")]


def test_protection_that_lost_its_position_is_dropped_at_the_next_bar() -> None:
    market = book(*bracket()[1:])

    assert story(market.on_bar(day(1))) == [("s", "cancelled", NO_PURPOSE), ("t", "cancelled", NO_PURPOSE)]
