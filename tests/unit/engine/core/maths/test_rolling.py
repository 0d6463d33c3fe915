from typing import Any

import numpy as np
import pytest

from engine.core.maths.rolling import (
    Halves,
    lag,
    ratio,
    rolling_correlation,
    rolling_mean,
    rolling_moments,
    rolling_rank,
    rolling_sum,
    rolling_trend,
    rolling_windows,
)

DRAW = np.random.default_rng(3)
X = DRAW.normal(5.0, 2.0, 400)
Y = DRAW.normal(-1.0, 1.0, 400) + 0.3 * X
WINDOWS = (1, 2, 3, 7, 20, 60, 64, 129, 255, 300)


def naive(w: int, of: Any) -> np.ndarray:
    return np.array([np.nan] * (w - 1) + [of(X[i - w + 1 : i + 1]) for i in range(w - 1, len(X))])


@pytest.mark.parametrize("w", WINDOWS)
@pytest.mark.parametrize("last", [None, 400, 3])
def test_sums_means_and_deviations_are_those_of_the_window(w: int, last: int | None) -> None:
    some = slice(None) if last is None else slice(-last, None)
    pairs = (
        (rolling_sum(X, w, last), naive(w, np.sum)),
        (rolling_mean(X, w, last), naive(w, np.mean)),
        (rolling_moments(X, w, last)[0], naive(w, np.mean)),
        (rolling_moments(X, w, last)[1] / w, naive(w, np.var)),
    )
    for found, wanted in pairs:
        np.testing.assert_allclose(found[some], wanted[some], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("w", WINDOWS)
def test_windows_that_share_their_halves_are_right_in_any_order(w: int) -> None:
    halves = Halves(X)
    for other in (300, 5, w):
        np.testing.assert_allclose(halves.mean(other), naive(other, np.mean), rtol=1e-12)
        np.testing.assert_allclose(
            halves.moments(other)[1] / other, naive(other, np.var), rtol=1e-12, atol=1e-13
        )


@pytest.mark.parametrize("w", WINDOWS)
def test_a_value_is_bit_for_bit_the_same_wherever_the_series_begins(w: int) -> None:
    for start in (1, 37, 80):
        np.testing.assert_array_equal(
            Halves(X[start:]).moments(w)[1][w:], Halves(X).moments(w)[1][start + w :]
        )
        np.testing.assert_array_equal(rolling_sum(X[start:], w)[w:], rolling_sum(X, w)[start + w :])
        np.testing.assert_array_equal(rolling_mean(X[start:], w)[w:], rolling_mean(X, w)[start + w :])


@pytest.mark.parametrize("w", WINDOWS)
@pytest.mark.parametrize("last", [None, 2])
def test_equal_values_have_exactly_their_mean_and_no_spread(w: int, last: int | None) -> None:
    same = np.full(310, 0.1)
    mean, squares = rolling_moments(same, w, last)
    assert mean[-1] == rolling_mean(same, w, last)[-1] == 0.1
    assert squares[-1] == 0.0


def test_a_small_spread_beside_a_large_level_keeps_its_digits() -> None:
    # squares of the level have no digit left for it: their difference would be off by hundreds
    found = np.sqrt(rolling_moments(1e9 + X, 20)[1] / 20)[-1]
    assert found == pytest.approx(np.std((1e9 + X)[-20:] - 1e9), rel=1e-8)


@pytest.mark.parametrize("w", [3, 20, 60])
@pytest.mark.parametrize("last", [None, 5])
def test_trend_and_correlation_are_those_of_the_window(w: int, last: int | None) -> None:
    _, squares, products = rolling_trend(X, w, last)
    slope = products[-5:] / ((w**3 - w) / 12)
    wanted = [np.polyfit(np.arange(w), X[i - w + 1 : i + 1], 1)[0] for i in range(395, 400)]
    np.testing.assert_allclose(slope, wanted, rtol=1e-9)
    found = rolling_correlation(X, Y, w, (0.0, 0.0), last)[-5:]
    wanted = [np.corrcoef(X[i - w + 1 : i + 1], Y[i - w + 1 : i + 1])[0, 1] for i in range(395, 400)]
    np.testing.assert_allclose(found, wanted, rtol=1e-10)
    assert squares[-1] == pytest.approx(w * np.var(X[-w:]))


def test_correlation_with_something_that_stands_still_is_zero() -> None:
    with np.errstate(all="ignore"):
        assert rolling_correlation(X, np.ones(400), 20, (0.0, 0.0))[-1] == 0.0


@pytest.mark.parametrize("w", [2, 60, 255, 256, 300])
def test_rank_counts_what_lies_below_and_half_of_the_ties(w: int) -> None:
    coarse = np.round(X)
    wanted = [
        (np.sum(row < row[-1]) + 0.5 * np.sum(row == row[-1])) / w
        for row in np.lib.stride_tricks.sliding_window_view(coarse, w)
    ]
    np.testing.assert_allclose(rolling_rank(coarse, w)[w - 1 :], wanted, rtol=1e-12)
    np.testing.assert_allclose(rolling_rank(coarse, w, 4)[-4:], wanted[-4:], rtol=1e-12)
    assert np.isnan(rolling_rank(coarse, w, 4)[:-4]).all()


def test_rank_does_not_see_differences_in_the_last_digit() -> None:
    tied = np.array([0.3, 0.1 + 0.2, 0.3, 0.3])
    assert rolling_rank(tied, 4)[-1] == 0.5


def test_nan_spoils_exactly_the_windows_that_touch_it() -> None:
    holed = X.copy()
    holed[100] = np.nan
    for found in (
        rolling_sum(holed, 7),
        rolling_mean(holed, 7),
        rolling_rank(holed, 7),
        Halves(holed).mean(7),
    ):
        assert np.flatnonzero(np.isnan(found[6:])).tolist() == list(range(94, 101))


@pytest.mark.parametrize("n", [0, 1, 6])
def test_fewer_values_than_the_window_give_only_nan(n: int) -> None:
    for found in (
        rolling_sum(X[:n], 7),
        rolling_mean(X[:n], 7),
        rolling_rank(X[:n], 7),
        Halves(X[:n]).mean(7),
    ):
        assert found.shape == (n,)
        assert np.isnan(found).all()
    assert rolling_trend(X[:n], 7)[0].shape == (n,)
    assert lag(X[:n], 7).shape == (n,)


def test_windows_across_blocks_are_none_missing() -> None:
    long = np.arange(5000.0)
    np.testing.assert_array_equal(rolling_windows((long,), 3, lambda rows: rows[:, 0])[2:], long[:-2])


def test_ratio_is_neutral_where_there_is_nothing_to_divide_by() -> None:
    with np.errstate(all="ignore"):
        found = ratio(np.array([6.0, 1.0, 1.0, np.nan]), np.array([2.0, 0.0, 1e-9, 1.0]), 0.5, 1e-6)
    np.testing.assert_array_equal(found, [3.0, 0.5, 0.5, np.nan])
