"""The test of a whole run counts what happened, and says wrong where it was wrong."""

import numpy as np
import pytest

from engine.core.analytics.value_at_risk import USED, TailTest, value_at_risk
from engine.core.maths.losses import NEEDED, Losses
from engine.core.maths.rolling import Floats


def prices(spread: Floats, seed: int = 1) -> Floats:
    path: Floats = 100 * np.exp(np.cumsum(np.random.default_rng(seed).standard_normal(spread.size) * spread))
    return path


def told(closes: Floats) -> dict[str, TailTest]:
    return {test.estimator: test for test in value_at_risk("X", closes)}


def test_of_a_market_that_never_changes_every_estimator_is_right() -> None:
    tests = told(prices(np.full(8000, 0.01)))

    assert {name for name, test in tests.items() if test.verdict == "right"} >= {
        "normal",
        "historical",
        "evt",
    }
    assert not any(test.heaps for test in tests.values())


def test_a_market_that_grows_wilder_all_the_time_proves_the_slow_one_wrong_and_not_the_quick_one() -> None:
    tests = told(prices(0.002 * np.exp(np.arange(5000) / 900)))

    assert (tests["historical"].verdict, tests["evt"].verdict) == ("wrong", "right")


def test_losses_that_come_in_heaps_are_told() -> None:
    waves = 0.01 * np.exp(1.5 * np.sign(np.sin(np.arange(6000) / 60)))

    assert told(prices(waves))["historical"].heaps


def test_what_is_used_is_passed_more_rarely_than_any_one_that_it_is_chosen_from() -> None:
    tests = told(prices(np.full(8000, 0.01), seed=4))

    assert tests[USED].exceptions <= min(test.exceptions for test in tests.values())
    assert tests[USED].verdict == "too careful"


def test_the_counts_are_of_the_bars_that_a_live_desk_could_have_been_told_of() -> None:
    closes = prices(np.full(2000, 0.01))
    tested, hits = Losses(closes).tests("evt")

    evt = told(closes)["evt"]

    assert (evt.bars, evt.exceptions) == (tested[NEEDED:].sum(), hits[NEEDED:].sum())
    assert evt.both == pytest.approx(evt.kupiec + evt.independence)


@pytest.mark.parametrize("size", [1, 100, NEEDED + 249])
def test_of_too_few_bars_nothing_is_said(size: int) -> None:
    assert value_at_risk("X", prices(np.full(size, 0.01))) == ()


def test_of_a_market_that_stands_still_no_tail_is_judged() -> None:
    assert "evt" not in told(np.full(2000, 100.0))
