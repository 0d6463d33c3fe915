from engine.core.accounting.fold import DeskState, apply
from engine.core.accounting.settle import order_record, settled
from engine.core.domain.order import Order, OrderStatus, OrderUpdate, Side
from engine.core.domain.records import FillRecord, OrderRecord, TradeRecord
from tests.builders import CLOSE, portfolio
from tests.core_builders import bracket, traded, with_orders

ENTRY, STOP, TARGET = bracket("10")
WAITING = tuple(Order(request, OrderStatus.ACCEPTED) for request in (ENTRY, STOP, TARGET))
STATE = DeskState(with_orders(portfolio(cash="10000"), *WAITING))
BOUGHT = OrderUpdate(WAITING[0], "", traded(Side.BUY, "10", "100"))
STOPPED = OrderUpdate(WAITING[1], "", traded(Side.SELL, "10", "95", leg="s", reason="stop"))
DROPPED = OrderUpdate(Order(TARGET, OrderStatus.CANCELLED), "nothing left to reduce", None)


def test_what_a_venue_tells_becomes_records_in_its_order() -> None:
    """The trade is made against the state that the entry's fill has left."""
    state, records = settled(STATE, [BOUGHT, STOPPED, DROPPED], CLOSE)

    assert [type(record) for record in records] == [FillRecord, FillRecord, TradeRecord, OrderRecord]
    assert (state.portfolio.positions, state.portfolio.orders) == ((), ())
    assert state.portfolio.cash == 10_000 - 50
    assert state.risk.losses_in_a_row == 1


def test_the_state_is_that_of_folding_the_records() -> None:
    state, records = settled(STATE, [BOUGHT, STOPPED, DROPPED], CLOSE)
    again = STATE
    for record in records:
        again = apply(again, record)

    assert again == state


def test_nothing_told_changes_nothing() -> None:
    assert settled(STATE, [], CLOSE) == (STATE, [])


def test_the_same_move_at_the_same_moment_is_the_same_record() -> None:
    once, again = (order_record(ENTRY, OrderStatus.ACCEPTED, CLOSE) for _ in range(2))
    other = order_record(ENTRY, OrderStatus.CANCELLED, CLOSE, "halt")

    assert once == again
    assert other.id != once.id
    assert other.reason == "halt"
