import itertools
from decimal import Decimal

import pytest

from engine.core.domain.errors import Impossible
from engine.core.domain.order import NEXT, OrderStatus, Side, moved
from tests.core_builders import resting

INTENT, ACCEPTED, PARTIAL, FILLED, CANCELLED, REFUSED, EXPIRED, UNKNOWN = OrderStatus
# The table written out a second time, by hand: what each state may become.
MAY_BECOME = {
    INTENT: {ACCEPTED, PARTIAL, FILLED, CANCELLED, REFUSED, EXPIRED, UNKNOWN},
    UNKNOWN: {ACCEPTED, PARTIAL, FILLED, CANCELLED, REFUSED, EXPIRED},
    ACCEPTED: {PARTIAL, FILLED, CANCELLED, REFUSED, EXPIRED, UNKNOWN},
    PARTIAL: {FILLED, CANCELLED, REFUSED, EXPIRED},
    CANCELLED: {PARTIAL, FILLED},
    EXPIRED: {PARTIAL, FILLED},
    FILLED: set(),
    REFUSED: set(),
}


@pytest.mark.parametrize(("current", "new"), [*itertools.product(OrderStatus, OrderStatus)])
def test_an_order_moves_only_along_its_table(current: OrderStatus, new: OrderStatus) -> None:
    if new is current or new in MAY_BECOME[current]:
        assert moved(current, new) is new
    else:
        with pytest.raises(Impossible, match=f"from {current} to {new}"):
            moved(current, new)


def test_every_state_has_its_row() -> None:
    assert set(NEXT) == set(OrderStatus)


def test_only_orders_that_may_still_fill_are_open() -> None:
    assert {status for status in OrderStatus if status.open} == {INTENT, ACCEPTED, PARTIAL, UNKNOWN}


def test_what_has_not_filled_remains() -> None:
    assert resting(quantity="10", filled="3").remaining == Decimal(7)


def test_sides_are_opposites() -> None:
    assert [side.opposite for side in Side] == [Side.SELL, Side.BUY]
    assert [side.sign for side in Side] == [1, -1]
