"""No approval without every yes, no way back from a halt but the long one, no limit that orders on their way escape."""

import math
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from configs.schema.risk import RiskSettings
from engine.core.domain.commands import CommandKind
from engine.core.domain.order import Order, OrderStatus, Side
from engine.core.domain.risk import RiskState, TradingState
from engine.core.risk.breakers import trip
from engine.core.risk.case import committed
from engine.core.risk.killswitch import next_state, switched
from engine.core.risk.review import nearest_miss, review
from tests.builders import CLOSE, DAY, portfolio, settings
from tests.core_builders import QUIET, case, resting, with_orders

ANY_EQUITY = st.one_of(st.floats(-1e12, 1e12), st.sampled_from([0.0, math.nan, math.inf, -math.inf]))
QUANTITIES = st.decimals("0", "1000000000", places=3)
ORDERS = st.lists(
    st.builds(
        resting,
        st.sampled_from("es"),
        st.sampled_from(Side),
        st.decimals("0.001", "10000", places=3),
        instrument=st.sampled_from(["X", "Y", "Z"]),
        status=st.sampled_from(OrderStatus),
    ),
    max_size=8,
)


@given(ANY_EQUITY, QUANTITIES, st.decimals("0.01", "200", places=2), st.floats(0, 100), st.sampled_from(Side))
def test_an_approval_means_that_every_check_passed(
    equity: float, quantity: Decimal, stop: Decimal, volatility: float, side: Side
) -> None:
    verdict = review(case(equity=equity, quantity=quantity, stop=stop, volatility=volatility, side=side))
    failed = [check.name for check in verdict.checks if not check.passed]

    assert (verdict.approved is None) is bool(failed)
    assert verdict.refused_by == (failed[0] if failed else "")
    miss = nearest_miss(verdict.checks)
    assert (miss is None) is (not failed)
    assert miss is None or miss.check in failed
    if verdict.approved is not None:
        assert equity > 0
        assert 0 < verdict.approved.quantity == quantity
        assert float(quantity) * 100 <= 0.25 * equity
        assert side.sign * (100 - stop) > 0


@given(ORDERS)
def test_orders_on_their_way_never_make_room(orders: list[Order]) -> None:
    """With more orders open, no check can turn from no to yes."""
    marks = {name: Decimal(100) for name in "XYZ"}
    chosen = settings(risk=RiskSettings(max_gross=0.3, max_positions=2, max_open_orders=6))
    less, more = ({c.name: c for c in review(case(chosen, portfolio=p)).checks} for p in (
        with_orders(portfolio(marks=marks), *orders[:-1]), with_orders(portfolio(marks=marks), *orders)
    ))  # fmt: skip

    for name, check in more.items():
        assert less[name].passed or not check.passed
        assert check.headroom <= less[name].headroom
    assert committed(with_orders(portfolio(marks=marks), *orders)) >= 0


WISHES = st.lists(
    st.one_of(
        st.sampled_from([CommandKind.KILL, CommandKind.FLATTEN, CommandKind.RESUME]),
        st.integers(50_000, 150_000),
    ),
    max_size=20,
)


@given(WISHES)
def test_a_desk_is_never_active_right_after_a_halt(wishes: list[CommandKind | int]) -> None:
    """Numbers are the equity at a bar, at which a breaker may trip."""
    risk, equity = QUIET, 100_000
    for number, wish in enumerate(wishes):
        before, at = risk, CLOSE + number * DAY
        if isinstance(wish, CommandKind):
            state = next_state(risk.trading, wish)
            risk = switched(risk, state, "ana", "", at, Decimal(equity), wish is CommandKind.FLATTEN)
            if wish is not CommandKind.RESUME:
                assert risk.trading is TradingState.HALTED
            if risk.trading is not TradingState.HALTED:
                assert trip(risk, float(equity), at, RiskSettings()) is risk or risk is before
        else:
            equity = wish
            risk = trip(risk, float(equity), at, RiskSettings())
        if before.trading is TradingState.HALTED:
            assert risk.trading is not TradingState.ACTIVE


@given(st.floats(0, 1e9), st.floats(-1e9, 1e9))
def test_a_breaker_trips_for_less_equity_if_it_trips_for_more(equity: float, less: float) -> None:
    def halts(at: float) -> bool:
        return trip(QUIET, at, CLOSE, RiskSettings()).trading is TradingState.HALTED

    assert halts(min(equity, less)) or not halts(max(equity, less))
    assert not halts(float(QUIET.day_equity))
    assert isinstance(trip(RiskState(), equity, CLOSE, RiskSettings()), RiskState)
