from decimal import Decimal

import pytest

from engine.core.domain.order import Order, OrderStatus, Side
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.venue import Sighting, Traits
from engine.core.execution.reconcile import Repair, repair
from tests.builders import portfolio, position
from tests.core_builders import resting, with_orders

ENTRY = resting("e", status=OrderStatus.UNKNOWN)
STOP = resting("s", Side.SELL, status=OrderStatus.UNKNOWN)
RESTS = Sighting(OrderStatus.ACCEPTED, Decimal(0), ())
EMPTY, HELD = portfolio(), portfolio(position())


@pytest.mark.parametrize(
    ("order", "seen", "state", "choice"),
    [
        (ENTRY, RESTS, EMPTY, Repair.ADOPT),
        (STOP, RESTS, EMPTY, Repair.ADOPT),
        (ENTRY, None, EMPTY, Repair.EXPIRE),
        (ENTRY, None, HELD, Repair.EXPIRE),
        (STOP, None, HELD, Repair.SEND),
        (STOP, None, with_orders(EMPTY, ENTRY, STOP), Repair.SEND),
        (STOP, None, with_orders(EMPTY, STOP), Repair.EXPIRE),
        (STOP, None, portfolio(position(instrument="OTHER")), Repair.EXPIRE),
    ],
)
def test_entries_are_never_sent_late_and_protection_is_where_it_is_needed(
    order: Order, seen: Sighting | None, state: Portfolio, choice: Repair
) -> None:
    assert repair(order, seen, state, Traits()) is choice


def test_where_the_view_of_a_venue_lags_no_trace_proves_nothing() -> None:
    lagging = Traits(holds_protection=False, absent_after_s=18)

    assert repair(ENTRY, None, EMPTY, lagging) is Repair.WAIT
    assert repair(ENTRY, RESTS, EMPTY, lagging) is Repair.ADOPT
