from decimal import Decimal

import pytest

from engine.core.accounting.lives import OrderLife, lives
from engine.core.accounting.settle import order_record
from engine.core.domain.order import OrderStatus, Side
from engine.core.domain.records import FillRecord, Record
from tests.builders import CLOSE, command_record, cycle_record
from tests.core_builders import resting, traded

ENTRY = resting("e", quantity="10").request


def filled(quantity: str, price: str = "100", number: str = "1", **changed: str) -> FillRecord:
    return FillRecord(
        f"f-{number}", CLOSE, traded(quantity=quantity, price=price, trade_id=number, fee="0.5")
    )


def life(*records: Record) -> OrderLife:
    (found,) = lives(records).values()
    return found


def test_an_order_is_an_intent_from_the_record_that_planned_it() -> None:
    cycle = cycle_record("entered")

    found = lives([cycle])

    assert [each.client_id for each in found.values()] == [o.client_id for o in cycle.result.orders]
    assert {each.state for each in found.values()} == {"intent"}


def test_what_a_command_made_the_desk_send_is_there_too() -> None:
    order = resting("x", Side.SELL).request

    assert life(command_record(orders=(order,))).client_id == order.client_id


@pytest.mark.parametrize(
    ("records", "state", "so_far"),
    [
        ((), "accepted", 0),
        ((filled("4"),), "partial", 4),
        ((filled("4"), filled("6", number="2")), "filled", 10),
        ((filled("4"), order_record(ENTRY, OrderStatus.CANCELLED, CLOSE)), "cancelled", 4),
        ((order_record(ENTRY, OrderStatus.CANCELLED, CLOSE), filled("4")), "cancelled", 4),
        ((order_record(ENTRY, OrderStatus.CANCELLED, CLOSE), filled("10")), "filled", 10),
        ((filled("10"), order_record(ENTRY, OrderStatus.ACCEPTED, CLOSE)), "filled", 10),
        ((order_record(ENTRY, OrderStatus.UNKNOWN, CLOSE),), "unknown", 0),
    ],
)
def test_it_goes_where_its_records_say(records: tuple[Record, ...], state: str, so_far: int) -> None:
    found = life(order_record(ENTRY, OrderStatus.ACCEPTED, CLOSE, venue_id="77"), *records)

    assert (found.state, found.filled, found.venue_id) == (state, so_far, "77")


def test_costs_and_fees_add_up() -> None:
    found = life(
        order_record(ENTRY, OrderStatus.ACCEPTED, CLOSE), filled("4", "100"), filled("6", "110", number="2")
    )

    assert (found.cost, found.fee) == (Decimal(1060), Decimal("1.0"))


def test_a_fill_of_an_order_that_nobody_wrote_down_is_no_order() -> None:
    assert lives([filled("4")]) == {}
