from decimal import Decimal
from typing import Any

import pytest

from engine.core.domain.order import Order, OrderStatus, OrderType, Side
from engine.core.domain.risk import RiskState, TradingState, at_least, at_most
from engine.core.risk.case import Reduction
from engine.core.risk.review import nearest_miss, review, review_data, review_reduction
from tests.builders import issue, portfolio, position
from tests.core_builders import case, observation, resting, with_orders


def reduction(quantity: str = "10", *orders: Order, **changed: Any) -> Reduction:
    """A wish to sell of 10 units held."""
    values: dict[str, Any] = {
        "decision": "d-1",
        "instrument": "SP500",
        "side": Side.SELL,
        "quantity": Decimal(quantity),
        "portfolio": with_orders(portfolio(position("10")), *orders),
        "risk": RiskState(),
    }
    return Reduction(**(values | changed))


# --- exits ---


@pytest.mark.parametrize(("quantity", "allowed"), [("9.999", True), ("10", True), ("10.001", False)])
def test_an_exit_takes_no_more_than_is_held(quantity: str, allowed: bool) -> None:
    verdict = review_reduction(reduction(quantity))

    assert (verdict.approved is not None) is allowed
    assert verdict.refused_by == ("" if allowed else "reduces only")


def test_an_approved_exit_can_only_reduce() -> None:
    approved = review_reduction(reduction()).approved

    assert approved is not None
    assert (approved.side, approved.quantity, approved.reduce_only) == (Side.SELL, Decimal(10), True)


def test_where_nothing_is_held_nothing_is_sold() -> None:
    assert review_reduction(reduction(portfolio=portfolio())).refused_by == "reduces only"


@pytest.mark.parametrize(
    ("state", "flatten", "by_person", "allowed"),
    [
        (TradingState.ACTIVE, False, False, True),
        (TradingState.REDUCING, False, False, True),
        (TradingState.HALTED, False, False, False),
        (TradingState.HALTED, True, False, True),
        (TradingState.HALTED, False, True, True),
    ],
)
def test_a_halted_desk_closes_when_it_flattens_or_a_person_asks(
    state: TradingState, flatten: bool, by_person: bool, allowed: bool
) -> None:
    risk = RiskState(trading=state, flatten=flatten)
    verdict = review_reduction(reduction(risk=risk, by_person=by_person))

    assert (verdict.approved is not None) is allowed
    assert verdict.refused_by == ("" if allowed else "trading state")


@pytest.mark.parametrize(
    ("order", "refused_by"),
    [
        (resting("x", Side.SELL), "exit pending"),
        (resting("x", Side.SELL, status=OrderStatus.UNKNOWN), "exit pending"),
        (resting("s", Side.SELL, type_=OrderType.STOP, price="95"), ""),
        (resting("t", Side.SELL, type_=OrderType.LIMIT, price="110"), ""),
        (resting("e", Side.BUY), ""),
        (resting("x", Side.SELL, instrument="OTHER"), ""),
    ],
)
def test_one_exit_at_a_time(order: Order, refused_by: str) -> None:
    assert review_reduction(reduction("10", order)).refused_by == refused_by


def test_equity_is_not_asked_of_an_exit() -> None:
    assert (
        review_reduction(reduction(portfolio=portfolio(position("10"), cash="-1000000"))).approved is not None
    )


# --- entries ---


def test_every_check_is_made_also_after_the_first_has_failed() -> None:
    good, bad = case(), case(observation=observation(issues=(issue(),)), equity=-1.0)

    assert [check.name for check in review(bad).checks] == [check.name for check in review(good).checks]
    assert review(bad).refused_by == "data quality"
    assert sum(not check.passed for check in review(bad).checks) > 3


@pytest.mark.parametrize(
    ("changed", "refused_by"),
    [
        ({"have": 10}, "warm-up"),
        ({"issues": (issue(),)}, "data quality"),
        ({"have": 10, "issues": (issue(),)}, "warm-up"),
        ({}, "warm-up"),
    ],
)
def test_a_bar_of_which_nothing_was_said_is_always_refused(changed: dict[str, Any], refused_by: str) -> None:
    verdict = review_data(observation(**changed))

    assert (verdict.approved, verdict.refused_by) == (None, refused_by)


# --- the nearest miss ---


def test_the_nearest_miss_is_relative_to_its_limit() -> None:
    checks = (
        at_most("near", "t", 1.1, 1.0, "share", "k"),
        at_least("far", "t", 50.0, 100.0, "bars", "k"),
        at_most("passed", "t", 0.0, 1.0, "share", "k"),
    )
    miss = nearest_miss(checks)

    assert miss is not None
    assert (miss.check, miss.unit) == ("near", "share")
    assert (miss.gap, miss.relative) == (pytest.approx(0.1), pytest.approx(0.1))


def test_a_limit_of_zero_is_measured_as_one() -> None:
    miss = nearest_miss((at_most("issues", "t", 2.0, 0.0, "issues", "data"),))

    assert miss is not None
    assert miss.relative == 2.0


def test_of_equal_misses_the_first_is_told() -> None:
    checks = tuple(at_most(name, "t", 2.0, 1.0, "share", "k") for name in ("first", "second"))

    assert (nearest_miss(checks) or pytest.fail("missed")).check == "first"


def test_where_all_passed_nothing_was_missed() -> None:
    assert nearest_miss((at_most("passed", "t", 0.0, 1.0, "share", "k"),)) is None
