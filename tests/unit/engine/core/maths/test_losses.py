"""Each estimate and each exception, held against its definition written out bar by bar."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.maths.losses import ESTIMATORS, LEVEL, NEEDED, TESTED, WINDOW, Losses
from engine.core.maths.rolling import Floats
from engine.core.maths.tails import FEWEST, historical_tail, normal_tail, pareto_fit, pareto_tail
from engine.core.pipeline import NEED

SIZE = 700


def prices(seed: int, size: int = SIZE, spread: float = 0.01) -> Floats:
    chance = np.random.default_rng(seed)
    calm = np.exp(0.5 * np.sin(np.arange(size) / 40))
    path: Floats = 100 * np.exp(np.cumsum(chance.standard_t(4, size) * spread * calm))
    return path


def by_definition(closes: Floats) -> dict[str, float | None]:
    """What may be lost after the last close, from nothing but the closes up to it."""
    moves = np.diff(np.log(closes))
    normal = normal_tail(0.0, moves[-60:].std(ddof=1), LEVEL).var if moves.size >= 60 else None
    plain = historical_tail(moves[-WINDOW:], LEVEL).var if moves.size >= WINDOW else None
    evt = None
    if moves.size >= WINDOW + 20:
        before = [moves[row - 20 : row].std(ddof=1) for row in range(moves.size - WINDOW, moves.size)]
        lost = np.sort(-moves[-WINDOW:] / np.array(before))
        threshold = lost[-FEWEST - 1]
        fit = pareto_fit(lost[-FEWEST:] - threshold)
        assert fit is not None
        evt = pareto_tail(fit, threshold, FEWEST / WINDOW, LEVEL).var * moves[-20:].std(ddof=1)
    told = {"normal": normal, "historical": plain, "evt": evt}
    return {name: None if var is None else max(0.0, float(var)) for name, var in told.items()}


@pytest.mark.parametrize("seed", [1, 2])
def test_every_estimate_is_what_its_definition_says(seed: int) -> None:
    closes = prices(seed)
    told = Losses(closes).estimates(0, SIZE)

    for row in (0, 59, 60, 61, 274, 275, 294, 295, 296, 545, SIZE - 1):
        for name, expected in by_definition(closes[: row + 1]).items():
            var = told[name][0][row]
            assert math.isnan(var) if expected is None else var == pytest.approx(expected, rel=1e-9)


def test_a_bar_is_an_exception_when_it_lost_more_than_was_said_before_it() -> None:
    closes = prices(3)
    losses = Losses(closes)
    for name in ESTIMATORS:
        tested, hits = losses.tests(name)
        for row in range(1, SIZE):
            said = by_definition(closes[:row])[name]
            assert tested[row] == (said is not None)
            if said is not None:
                assert hits[row] == (math.log(closes[row] / closes[row - 1]) < -said)
        assert hits.sum() > 5


def test_nothing_of_a_bar_enters_the_estimate_it_is_tested_against() -> None:
    calm, fallen = prices(4), prices(4)
    fallen[-1] *= 0.5

    for name in ESTIMATORS:
        before = Losses(calm).estimates(0, SIZE - 1)[name]
        after = Losses(fallen).estimates(0, SIZE - 1)[name]
        assert np.array_equal(before, after, equal_nan=True)
        assert Losses(fallen).tests(name)[1][-1]


def test_the_live_window_says_what_the_whole_series_says_to_the_last_bit() -> None:
    closes = prices(5, 2000)
    whole = Losses(closes)

    assert NEED == NEEDED
    for stop in (NEED, NEED + 1, 777, 1500, 2000):
        window = Losses(closes[stop - NEED : stop])
        for name in ESTIMATORS:
            ours, theirs = whole.estimates(stop - 1, stop)[name], window.estimates(NEED - 1, NEED)[name]
            assert [column.tolist() for column in ours] == [column.tolist() for column in theirs]
            counted = [int(column[stop - 1]) for column in whole.counts(name)]
            assert counted == [int(column[-1]) for column in window.counts(name)]
            assert counted[0] == TESTED


def test_what_is_asked_in_parts_is_what_is_asked_at_once() -> None:
    losses = Losses(prices(6, 1500))
    whole = losses.estimates(0, 1500)

    for name in ESTIMATORS:
        parts = [losses.estimates(start, start + 100)[name][0] for start in range(0, 1500, 100)]
        assert np.array_equal(np.concatenate(parts), whole[name][0], equal_nan=True)


def test_independent_losses_are_passed_about_as_often_as_promised() -> None:
    losses = Losses(100 * np.exp(np.cumsum(np.random.default_rng(8).standard_normal(20_000) * 0.01)))

    for name in ESTIMATORS:
        tested, hits = losses.tests(name)
        assert hits[tested].mean() == pytest.approx(0.05, abs=0.006)


def test_a_market_that_stands_still_can_lose_nothing_and_has_no_extreme_values() -> None:
    losses = Losses(np.full(600, 100.0))
    told = losses.estimates(599, 600)

    assert told["normal"][0][0] == told["historical"][0][0] == 0.0
    assert math.isnan(told["evt"][0][0])
    assert not any(losses.tests(name)[1].any() for name in ESTIMATORS)


@given(
    st.lists(st.sampled_from([1e-12, 1.0, 1.0, 100.0, 1e12, math.nan, math.inf, -1.0, 0.0]), max_size=40),
    st.integers(0, 560),
)
def test_hostile_closes_raise_nothing_and_no_estimate_is_negative(odd: list[float], at: int) -> None:
    closes = prices(7, 600)
    closes[at : at + len(odd)] = odd
    losses = Losses(closes)

    for name in ESTIMATORS:
        for column in losses.estimates(0, 600)[name]:
            assert not (column < 0).any()
        tested, hits = losses.tests(name)
        assert not (hits & ~tested).any()


@pytest.mark.parametrize("size", [1, 2, 20, 21, 60, 275, 296])
def test_a_short_history_is_no_reason_to_stumble(size: int) -> None:
    losses = Losses(prices(9, size))

    assert set(losses.estimates(0, size)) == set(ESTIMATORS)
    assert all(losses.tests(name)[0].shape == (size,) for name in ESTIMATORS)
