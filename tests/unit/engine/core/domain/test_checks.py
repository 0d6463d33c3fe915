import math

import pytest

from engine.core.domain.risk import at_least, at_most


@pytest.mark.parametrize(
    ("value", "passed", "headroom"), [(0.9, True, 0.1), (1.0, True, 0.0), (1.1, False, -0.1)]
)
def test_at_most_holds_up_to_and_at_its_limit(value: float, passed: bool, headroom: float) -> None:
    check = at_most("x", "tier", value, 1.0, "share", "risk.x")

    assert (check.passed, check.operator) == (passed, "<=")
    assert check.headroom == pytest.approx(headroom)


@pytest.mark.parametrize(
    ("value", "passed", "headroom"), [(1.1, True, 0.1), (1.0, True, 0.0), (0.9, False, -0.1)]
)
def test_at_least_holds_from_its_limit_on(value: float, passed: bool, headroom: float) -> None:
    check = at_least("x", "tier", value, 1.0, "share", "risk.x")

    assert (check.passed, check.operator) == (passed, ">=")
    assert check.headroom == pytest.approx(headroom)


def test_what_is_not_a_number_passes_no_check() -> None:
    assert not at_most("x", "tier", math.nan, 1.0, "share", "risk.x").passed
    assert not at_least("x", "tier", math.nan, 1.0, "share", "risk.x").passed
    assert not at_most("x", "tier", 0.0, math.nan, "share", "risk.x").passed
    assert not at_least("x", "tier", 2.0, math.nan, "share", "risk.x").passed
