"""Whatever a venue tells of an order: it never comes back from its end, and never fills beyond itself."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from engine.core.accounting.ledger import apply_fill, apply_order, place_orders
from engine.core.domain.errors import Impossible
from engine.core.domain.order import NEXT, OrderStatus, Side, moved
from tests.builders import order_record, portfolio
from tests.core_builders import bracket, traded

ENDS = {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REFUSED, OrderStatus.EXPIRED}


@given(st.lists(st.sampled_from(OrderStatus), max_size=12))
def test_an_order_that_ended_is_ended_but_for_fills(told: list[OrderStatus]) -> None:
    status, ended = OrderStatus.INTENT, False
    for news in told:
        try:
            status = moved(status, news)
        except Impossible:
            assert news not in NEXT[status]
        ended = ended or status in ENDS
        if ended:
            assert status in ENDS | {OrderStatus.PARTIAL}


@given(st.lists(st.one_of(st.sampled_from(OrderStatus), st.integers(1, 5)), max_size=15))
def test_the_ledger_keeps_one_order_at_most_and_only_while_it_is_open(
    told: list[OrderStatus | int],
) -> None:
    """Numbers are fills."""
    entry = bracket("10")[0]
    state, ended, filled = place_orders(portfolio(), [entry]), False, 0
    for news in told:
        try:
            if isinstance(news, OrderStatus):
                state = apply_order(state, order_record(entry, news))
            elif filled + news <= 10:
                state, _ = apply_fill(state, traded(Side.BUY, str(news), "100"))
                filled += news
        except Impossible:
            continue
        ended = ended or not state.orders
        assert len(state.orders) == (0 if ended else 1)
        assert all(order.status.open and 0 <= order.filled <= 10 for order in state.orders)
        assert sum((p.quantity for p in state.positions), Decimal(0)) == filled
