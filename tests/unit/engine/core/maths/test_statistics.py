import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.maths.statistics import (
    autocorrelation,
    bootstrap_means,
    moments,
    normal_quantile,
    wilson_interval,
)


def noise(bars: int, seed: int = 1) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).normal(size=bars)


def follower(bars: int, rho: float, seed: int = 1) -> np.ndarray:
    values = noise(bars, seed)
    for bar in range(1, bars):
        values[bar] += rho * values[bar - 1]
    return values


def test_moments_of_a_large_normal_sample_are_those_of_the_normal() -> None:
    shape = moments(noise(200_000))

    assert shape.skew == pytest.approx(0.0, abs=0.02)
    assert shape.kurtosis == pytest.approx(3.0, abs=0.05)
    assert shape.std == pytest.approx(1.0, abs=0.01)


def test_a_value_repeated_does_not_move_whatever_rounding_says() -> None:
    assert moments(np.full(1000, 0.1)).std == 0.0
    assert autocorrelation(np.full(1000, 0.1)) == 0.0


def test_autocorrelation_finds_the_one_that_was_planted() -> None:
    assert autocorrelation(follower(50_000, 0.3)) == pytest.approx(0.3, abs=0.02)
    assert autocorrelation(follower(50_000, 0.3), lag=2) == pytest.approx(0.09, abs=0.02)


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_the_one_in_newcombe_1998(
    successes: int, count: int, low: float, high: float
) -> None:
    assert wilson_interval(successes, count) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_wilsons_interval_holds_the_share_and_stays_within_0_and_1(trial: tuple[int, int]) -> None:
    successes, count = trial

    low, high = wilson_interval(successes, count)

    assert 0.0 <= low <= successes / count + 1e-12
    assert successes / count - 1e-12 <= high <= 1.0


def test_quantiles_are_the_printed_ones() -> None:
    assert [round(normal_quantile(p), 4) for p in (0.95, 0.975, 0.99)] == [1.6449, 1.96, 2.3263]


def test_the_same_seed_draws_the_same_histories_and_another_seed_others() -> None:
    column = noise(300)[:, None]

    once, again, other = (bootstrap_means(column, block=5, draws=50, seed=seed) for seed in (7, 7, 8))

    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_resampled_means_lie_around_the_mean_with_the_textbook_error() -> None:
    column = noise(1000)[:, None]

    means = bootstrap_means(column, block=1, draws=4000, seed=3)

    assert means.mean() == pytest.approx(column.mean(), abs=0.003)
    assert means.std() == pytest.approx(column.std() / 1000**0.5, rel=0.05)


def test_blocks_see_that_neighbours_resemble_each_other() -> None:
    column = follower(4000, 0.6)[:, None]

    alone = bootstrap_means(column, block=1, draws=2000, seed=3).std()
    in_blocks = bootstrap_means(column, block=40, draws=2000, seed=3).std()

    # The error of a mean grows by sqrt((1 + rho) / (1 - rho)), which is 2 here.
    assert in_blocks / alone == pytest.approx(2.0, abs=0.2)


def test_columns_are_resampled_together() -> None:
    values = noise(200)

    means = bootstrap_means(np.column_stack((values, -values)), block=4, draws=30, seed=2)

    assert means[:, 0] == pytest.approx(-means[:, 1])


def test_many_draws_are_made_in_pieces_and_stay_whole() -> None:
    means = bootstrap_means(np.ones((200_000, 1)), block=1, draws=7, seed=2)

    assert means.ravel() == pytest.approx(np.ones(7))


@pytest.mark.parametrize("block", [0, 11])
def test_a_block_longer_than_history_is_refused(block: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 10 bars"):
        bootstrap_means(np.ones((10, 1)), block=block, draws=1, seed=0)
