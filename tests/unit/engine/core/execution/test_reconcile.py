import pytest

from engine.core.domain.order import Order, OrderStatus, Side
from engine.core.domain.portfolio import Portfolio
from engine.core.execution.reconcile import Repair, repair
from tests.builders import portfolio, position
from tests.core_builders import resting, with_orders

ENTRY = resting("e", status=OrderStatus.UNKNOWN)
STOP = resting("s", Side.SELL, status=OrderStatus.UNKNOWN)
EMPTY, HELD = portfolio(), portfolio(position())


@pytest.mark.parametrize(
    ("order", "known", "state", "choice"),
    [
        (ENTRY, resting("e"), EMPTY, Repair.ADOPT),
        (STOP, resting("s"), EMPTY, Repair.ADOPT),
        (ENTRY, None, EMPTY, Repair.EXPIRE),
        (ENTRY, None, HELD, Repair.EXPIRE),
        (STOP, None, HELD, Repair.SEND),
        (STOP, None, with_orders(EMPTY, ENTRY, STOP), Repair.SEND),
        (STOP, None, with_orders(EMPTY, STOP), Repair.EXPIRE),
        (STOP, None, portfolio(position(instrument="OTHER")), Repair.EXPIRE),
    ],
)
def test_entries_are_never_sent_late_and_protection_is_where_it_is_needed(
    order: Order, known: Order | None, state: Portfolio, choice: Repair
) -> None:
    assert repair(order, known, state) is choice
