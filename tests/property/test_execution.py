"""The simulated venue never gives what a market would not: no price outside the bar, no volume that was not there."""

from decimal import Decimal
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from configs.schema.desk import Instrument
from configs.schema.execution import ExecutionSettings
from engine.core.accounting.fold import DeskState, apply, settle
from engine.core.accounting.ledger import place_orders
from engine.core.domain.market import Bar
from engine.core.domain.order import OrderRequest, OrderStatus, OrderType, Side
from engine.core.execution.book import Book, acts_as
from engine.core.execution.fills import match, permitted
from tests.builders import CLOSE, DAY, bar, decision, order_record, order_request, portfolio
from tests.builders import settings as desk
from tests.core_builders import bracket

PRICES = st.decimals("0.01", "10000", places=2)
COSTS = st.builds(
    ExecutionSettings,
    fee_bps=st.floats(0, 100),
    spread_bps=st.floats(0, 500),
    slippage_bps=st.floats(0, 500),
    impact_bps=st.floats(0, 1000),
    participation=st.floats(0.001, 1),
    volume_is_known=st.booleans(),
)


@st.composite
def bars(draw: st.DrawFn, number: int = 1) -> Bar:
    low, one, two, high = sorted(draw(st.tuples(PRICES, PRICES, PRICES, PRICES)))
    opened, close = draw(st.permutations([one, two]))
    volume = draw(st.one_of(st.just(Decimal(0)), st.decimals("0", "1000000", places=3)))
    return bar(end=CLOSE + number * DAY, close=close, open=opened, high=high, low=low, volume=volume)


@given(bars(), st.sampled_from(Side), st.sampled_from(OrderType), PRICES, COSTS)
def test_a_fill_is_within_the_bar_its_volume_and_its_price(
    told: Bar, side: Side, type_: OrderType, price: Decimal, costs: ExecutionSettings
) -> None:
    instrument, wanted = Instrument("SP500", tick=Decimal("0.05")), Decimal("123.456")
    request = order_request("", "e", side, wanted, type_, None if type_ is OrderType.MARKET else price)
    fill = match(request, type_, wanted, told, instrument, costs)
    if fill is None:
        return

    assert told.low <= fill.price <= told.high
    assert told.low <= fill.reference <= told.high
    assert side.sign * (fill.price - fill.reference) >= 0
    assert 0 < fill.quantity <= wanted
    assert fill.fee >= 0
    most = permitted(told, instrument, costs)
    assert most is None or fill.quantity <= most <= told.volume * Decimal(repr(costs.participation))
    if type_ is OrderType.LIMIT:
        assert side.sign * (fill.price - price) <= 0
    if type_ is OrderType.STOP:
        assert side.sign * (fill.price - price) >= 0


class Turn(NamedTuple):
    """One bar in the life of a desk; before it, orders may come or go."""

    told: Bar
    act: str


@st.composite
def lives(draw: st.DrawFn) -> list[Turn]:
    acts = st.sampled_from(["", "", "", "enter", "enter short", "exit", "cancel entry"])
    size = draw(st.integers(1, 12))
    return [Turn(draw(bars(number)), draw(acts)) for number in range(1, size + 1)]


@given(lives())
def test_book_and_ledger_agree_and_every_position_is_guarded(life: list[Turn]) -> None:
    """Brackets come and go over random bars; the desk learns of it only by what the venue tells."""
    chosen = desk(execution=ExecutionSettings(participation=0.1))
    venue, state = Book(chosen), DeskState(portfolio(marks={"SP500": Decimal(100)}))
    filled: dict[str, Decimal] = {}
    for number, (told, act) in enumerate(life):
        state = _act(venue, state, act, number)
        for update in venue.on_bar(told):
            if update.fill is None:
                state = apply(
                    state, order_record(update.order.request, update.order.status, update.reason, told.end)
                )
                continue
            fill, request = update.fill, update.order.request
            assert told.low <= fill.price <= told.high
            filled[fill.client_id] = filled.get(fill.client_id, Decimal(0)) + fill.quantity
            assert filled[fill.client_id] <= request.quantity
            before = state.portfolio.position("SP500")
            if request.reduce_only:
                assert before is not None
                assert before.side is not fill.side
                assert fill.quantity <= abs(before.quantity)
            for record in settle(state, fill):
                state = apply(state, record) if record is not None else state
        held = state.portfolio.position("SP500")
        assert {o.request.client_id for o in state.portfolio.orders} == {
            order.request.client_id
            for order in state.portfolio.orders
            if venue.get(order.request.client_id) == order
        }
        if held is not None:
            guards = [
                order
                for order in state.portfolio.orders
                if order.request.type is OrderType.STOP and order.request.side is not held.side
            ]
            assert any(
                order.remaining >= abs(held.quantity) or acts_as(order) is OrderType.MARKET
                for order in guards
            )
        elif not any(not order.request.reduce_only for order in state.portfolio.orders):
            assert state.portfolio.orders == ()


def _act(venue: Book, state: DeskState, act: str, number: int) -> DeskState:
    """What a desk may do between two bars, with the records that it writes."""
    at = CLOSE + number * DAY
    held, waiting = state.portfolio.position("SP500"), state.portfolio.orders
    if act.startswith("enter") and held is None and not waiting:
        short = act.endswith("short")
        stop, target = ("120", "80") if short else ("80", "120")
        orders: tuple[OrderRequest, ...] = bracket(
            "500", stop, target, side=Side.SELL if short else Side.BUY, at=at
        )
    elif act == "exit" and held is not None and not any(order.request.leg == "x" for order in waiting):
        orders = (order_request(decision(at), "x", held.side.opposite, abs(held.quantity), at=at),)
    elif act == "cancel entry":
        for order in waiting:
            if not order.request.reduce_only:
                for update in venue.cancel(order.request.client_id, "cancelled"):
                    state = apply(state, order_record(update.order.request, update.order.status, "", at))
        return state
    else:
        return state
    state = replace(state, portfolio=place_orders(state.portfolio, orders))
    for request in orders:
        state = apply(state, order_record(request, venue.place(request).status))
    assert all(order.status is not OrderStatus.INTENT for order in state.portfolio.orders)
    return state
