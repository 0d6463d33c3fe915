import re
from decimal import Decimal

import pytest

from engine.core.domain.order import OrderType, Side
from engine.core.domain.records import Proposal
from engine.core.domain.risk import Approved
from engine.core.execution.plan import plan_orders
from tests.builders import CLOSE, decision

STOP, TARGET = Decimal(95), Decimal(110)


def approved(side: Side = Side.BUY, *, reduce_only: bool = False) -> Approved:
    return Approved(decision(), "SP500", side, Decimal(3), reduce_only)


@pytest.mark.parametrize("side", Side)
def test_an_entry_carries_its_protection(side: Side) -> None:
    wish = Proposal("enter", side, "signal", stop=STOP, target=TARGET, max_bars=5)
    entry, stop, target = plan_orders(approved(side), wish, CLOSE)

    assert (entry.type, entry.side, entry.price, entry.reduce_only) == (OrderType.MARKET, side, None, False)
    assert (stop.type, stop.side, stop.price) == (OrderType.STOP, side.opposite, STOP)
    assert (target.type, target.side, target.price) == (OrderType.LIMIT, side.opposite, TARGET)
    assert stop.reduce_only and target.reduce_only
    assert {order.quantity for order in (entry, stop, target)} == {Decimal(3)}
    assert [order.reason for order in (entry, stop, target)] == ["signal", "stop", "target"]


def test_an_exit_is_one_market_order_that_only_reduces() -> None:
    (order,) = plan_orders(approved(Side.SELL, reduce_only=True), Proposal("exit", Side.SELL, "time"), CLOSE)

    assert (order.type, order.side, order.price, order.reduce_only) == (
        OrderType.MARKET,
        Side.SELL,
        None,
        True,
    )
    assert (order.leg, order.reason, order.placed_at, order.decision) == ("x", "time", CLOSE, decision())


def test_a_second_plan_is_the_same_orders() -> None:
    wish = Proposal("enter", Side.BUY, "signal", stop=STOP, target=TARGET)
    once, again = (plan_orders(approved(), wish, CLOSE) for _ in range(2))

    assert once == again
    assert len({order.client_id for order in once}) == 3
    assert all(re.fullmatch(r"[a-z0-9]{1,32}", order.client_id) for order in once)
