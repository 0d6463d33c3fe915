"""From when on nobody can send an order any more: the first start after it, by the seconds of one machine."""

from msgspec.structs import replace

from engine.core.accounting.fold import DeskState, apply
from engine.core.accounting.settle import order_record
from engine.core.domain.order import SENDING, OrderStatus, Side
from tests.builders import CLOSE, portfolio, start_record
from tests.core_builders import resting, with_orders

UNKNOWN = OrderStatus.UNKNOWN
ENTRY = resting("e", status=UNKNOWN)
FIRST = replace(start_record(), machine="one", second=100.0)
SECOND = replace(start_record(), machine="one", second=130.0)
OTHER = replace(start_record(), machine="two", second=5.0)


def since(state: DeskState) -> list[tuple[str, float]]:
    return [(order.machine, order.second) for order in state.portfolio.orders]


def waiting(*orders: object) -> DeskState:
    return DeskState(portfolio=with_orders(portfolio(), *(orders or (ENTRY,))))


def test_it_counts_from_the_first_start_and_not_from_later_ones() -> None:
    state = apply(waiting(), FIRST)

    assert since(state) == [("one", 100.0)]
    assert since(apply(state, SECOND)) == [("one", 100.0)]


def test_another_start_of_the_machine_counts_anew() -> None:
    assert since(apply(apply(waiting(), FIRST), OTHER)) == [("two", 5.0)]


def test_only_what_has_no_answer_is_waited_for() -> None:
    intent = resting("s", Side.SELL, status=OrderStatus.INTENT)
    accepted = resting("t", Side.SELL)

    state = apply(waiting(intent, accepted), FIRST)

    assert since(state) == [("one", 100.0), ("", 0.0)]
    assert apply(waiting(accepted), FIRST) == waiting(accepted)


def test_a_look_that_found_no_trace_keeps_it_and_a_new_send_does_not() -> None:
    state = apply(waiting(), FIRST)

    still = apply(state, order_record(ENTRY.request, UNKNOWN, CLOSE, "may have been sent before the restart"))
    again = apply(state, order_record(ENTRY.request, UNKNOWN, CLOSE, SENDING))

    assert since(still) == [("one", 100.0)]
    assert since(again) == [("", 0.0)], "it may just be leaving"
