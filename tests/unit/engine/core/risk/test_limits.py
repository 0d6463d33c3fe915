import math

import pytest

from configs.schema.risk import RiskSettings
from engine.core.domain.errors import BadQuestion
from engine.core.risk.limits import LARGER_IS_TIGHTER, NAMES, tightened, within

PROFILE = RiskSettings()


def a_step(name: str) -> float:
    """A step tighter than the profile."""
    value = getattr(PROFILE, name)
    away = 1 if isinstance(value, int) else value / 10
    return float(value + away if name in LARGER_IS_TIGHTER else value - away)


@pytest.mark.parametrize("name", [name for name in NAMES if getattr(PROFILE, name)])
def test_every_limit_can_be_made_tighter_and_taken_back(name: str) -> None:
    tight = tightened(PROFILE, {}, name, a_step(name))

    assert tight == {name: a_step(name)}
    assert tightened(PROFILE, tight, name, float(getattr(PROFILE, name))) == {}


@pytest.mark.parametrize("name", NAMES)
def test_no_limit_can_be_made_wider_than_the_profile(name: str) -> None:
    value = float(getattr(PROFILE, name))
    wider = value - 1 if name in LARGER_IS_TIGHTER else value + 1

    with pytest.raises(BadQuestion, match="to allow more, change the profile and restart"):
        tightened(PROFILE, {}, name, wider)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_limit(value: float) -> None:
    with pytest.raises(BadQuestion, match="must be a number"):
        tightened(PROFILE, {}, "max_gross", value)


@pytest.mark.parametrize(("name", "value"), [("max_gross", 0.0), ("max_gross", -0.1), ("max_positions", 1.5)])
def test_a_limit_out_of_its_range_is_refused_with_the_range(name: str, value: float) -> None:
    with pytest.raises(BadQuestion, match="Expected"):
        tightened(PROFILE, {}, name, value)


def test_a_limit_that_contradicts_another_is_refused() -> None:
    with pytest.raises(BadQuestion, match="halt_daily_loss"):
        tightened(PROFILE, {}, "halt_daily_loss", 0.01)


def test_an_unknown_limit_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadQuestion, match="risk has no limit 'max_grss'; it has max_order_value"):
        tightened(PROFILE, {}, "max_grss", 0.1)


def test_counts_stay_counts() -> None:
    assert within(PROFILE, {"max_positions": 3.0}).max_positions == 3


def test_whatever_was_stored_there_are_limits_and_never_wider_ones_than_the_profile() -> None:
    """Three wishes that were each allowed, a profile that changed since, a limit that is gone, and nonsense."""
    crossed = within(PROFILE, {"halt_daily_loss": 0.015})
    later = RiskSettings(max_order_value=0.02)

    assert (crossed.max_daily_loss, crossed.halt_daily_loss) == (0.015, 0.015)
    assert within(later, {"max_order_value": 0.2}) == later
    assert within(PROFILE, {"renamed": 1.0, "max_gross": math.nan}) == PROFILE
    assert within(PROFILE, {"loss_pause_bars": 3.0}) == PROFILE
