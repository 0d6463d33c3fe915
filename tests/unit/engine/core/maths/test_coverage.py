from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.maths.coverage import (
    KUPIEC_95,
    Transitions,
    accepts,
    at_most_chance,
    basel_light,
    chance_of,
    christoffersen,
    kupiec,
    kupiec_region,
    transitions,
)


def test_kupiecs_ratio_is_the_published_one() -> None:
    assert kupiec(20, 252) == pytest.approx(3.91, abs=5e-3)  # J.P. Morgan 1998, in Jorion
    assert kupiec(6, 252, 0.01) == pytest.approx(3.498, abs=5e-3)


@pytest.mark.parametrize(
    ("bars", "rare", "region"),
    [
        (255, 0.01, (1, 6)),
        (255, 0.05, (7, 20)),
        (510, 0.01, (2, 10)),
        (510, 0.05, (17, 35)),
        (1000, 0.01, (5, 16)),
        (1000, 0.05, (38, 64)),
    ],
)
def test_the_regions_are_those_of_kupiecs_table(bars: int, rare: float, region: tuple[int, int]) -> None:
    assert kupiec_region(bars, rare) == region


def test_no_exception_at_all_and_nothing_but_exceptions_have_a_ratio() -> None:
    assert kupiec(0, 250) == pytest.approx(-2 * 250 * np.log(0.95))
    assert kupiec(250, 250) == pytest.approx(-2 * 250 * np.log(0.05))


@pytest.mark.parametrize(("exceptions", "bars"), [(-1, 10), (11, 10), (0, 0)])
def test_more_exceptions_than_bars_are_refused(exceptions: int, bars: int) -> None:
    with pytest.raises(ValueError, match=f"was {exceptions} of {bars}"):
        kupiec(exceptions, bars)


@given(st.integers(1, 2000), st.sampled_from([0.01, 0.025, 0.05]))
def test_inside_the_region_the_ratio_is_small_and_just_outside_it_is_not(bars: int, rare: float) -> None:
    low, high = kupiec_region(bars, rare)

    assert all(kupiec(count, bars, rare) < KUPIEC_95 for count in {low, high, round(bars * rare)})
    assert low == 0 or kupiec(low - 1, bars, rare) >= KUPIEC_95
    assert high == bars or kupiec(high + 1, bars, rare) >= KUPIEC_95


def test_what_was_counted_over_too_few_bars_is_accepted_never() -> None:
    assert not any(accepts(count, 99) for count in range(100))


def test_christoffersens_ratio_is_the_published_one_by_the_textbooks_count() -> None:
    assert christoffersen(Transitions(218, 14, 14, 6)) == pytest.approx(9.53, abs=5e-3)
    assert christoffersen(Transitions(244, 2, 2, 4)) == pytest.approx(25.837, abs=5e-3)


def test_libraries_count_one_transition_fewer() -> None:
    assert christoffersen(Transitions(217, 14, 14, 6)) == pytest.approx(9.489, abs=5e-3)


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_transitions_are_those_between_the_bars_there_are(hits: list[bool]) -> None:
    pairs = list(pairwise(hits))
    asked = [(False, False), (False, True), (True, False), (True, True)]

    assert transitions(np.array(hits)) == tuple(pairs.count(pair) for pair in asked)


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_the_ratio_of_heaps_is_a_finite_number_whatever_happened(hits: list[bool]) -> None:
    assert 0 <= christoffersen(transitions(np.array(hits))) < 1e6


def test_exceptions_one_after_the_other_are_heaps_and_scattered_ones_are_not() -> None:
    heap, scattered = np.zeros(250, dtype=np.bool_), np.zeros(250, dtype=np.bool_)
    heap[100:112], scattered[::21] = True, True

    assert christoffersen(transitions(heap)) > 30
    assert christoffersen(transitions(scattered)) < KUPIEC_95


def test_chances_are_those_of_the_chi_square_distribution() -> None:
    stats = pytest.importorskip("scipy.stats")
    for ratio in (0.0, 0.1, 1.0, 3.84, 9.53, 25.837):
        assert chance_of(ratio) == pytest.approx(stats.chi2.sf(ratio, 1), abs=1e-12)
        assert chance_of(ratio, 2) == pytest.approx(stats.chi2.sf(ratio, 2), abs=1e-12)


def test_basels_cumulative_chances_are_the_published_ones() -> None:
    published = [8.11, 28.58, 54.32, 75.81, 89.22, 95.88, 98.63, 99.60, 99.89, 99.97]

    told = [100 * at_most_chance(count, 250, 0.01) for count in range(10)]

    assert told == pytest.approx(published, abs=5.1e-3)


def test_green_ends_at_four_and_yellow_at_nine() -> None:
    lights = [basel_light(count, 250, 0.01) for count in range(15)]

    assert lights == ["green"] * 5 + ["yellow"] * 5 + ["red"] * 5
