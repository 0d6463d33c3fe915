import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.analytics.honesty import (
    assess,
    backtest_overfitting,
    deflated_sharpe,
    expected_maximum_sharpe,
    honest_summary,
    minimum_backtest_years,
    minimum_track_record,
    probabilistic_sharpe,
)
from engine.core.analytics.performance import Performance, performance
from engine.core.domain.errors import BadData

DAILY = 2.5 / math.sqrt(250)  # the example of Bailey and Lopez de Prado 2014
VARIANCE = 0.5 / 250


def noise(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).normal(size=shape) * 0.01


def result_of(returns: np.ndarray, bars_per_year: float = 365) -> Performance:
    return performance(np.cumprod(np.concatenate(([1.0], 1 + returns)), dtype=np.float64), bars_per_year)


def test_the_probabilistic_sharpe_ratio_is_the_one_printed_in_2012() -> None:
    assert probabilistic_sharpe(0.458, 24) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(0.458, 24, skew=-2.448, kurtosis=10.164) == pytest.approx(0.913, abs=5e-4)


def test_the_deflated_sharpe_ratio_is_the_one_printed_in_2014() -> None:
    assert expected_maximum_sharpe(100, VARIANCE) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(DAILY, 1250, 100, VARIANCE, -3.0, 10.0) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(DAILY, 1250, 46, VARIANCE, -3.0, 10.0) == pytest.approx(0.9505, abs=5e-5)
    assert deflated_sharpe(DAILY, 1250, 88, VARIANCE) == pytest.approx(0.9505, abs=5e-5)


@pytest.mark.parametrize(
    ("bars_per_year", "skew", "kurtosis", "years"),
    [(250, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_the_minimum_track_record_is_the_one_printed_in_2012(
    bars_per_year: float, skew: float, kurtosis: float, years: float
) -> None:
    bars = minimum_track_record(
        2 / math.sqrt(bars_per_year), skew, kurtosis, benchmark=1 / math.sqrt(bars_per_year)
    )

    assert bars is not None
    assert bars / bars_per_year == pytest.approx(years, abs=5e-3)


def test_no_record_is_long_enough_for_what_does_not_earn() -> None:
    assert minimum_track_record(-0.1) is None
    assert minimum_track_record(0.05, benchmark=0.05) is None


def test_45_tries_find_a_sharpe_of_1_in_five_years_of_noise() -> None:
    assert minimum_backtest_years(45, annual_sharpe=1.0) == pytest.approx(4.998, abs=5e-4)


def test_the_expected_maximum_is_what_simulated_noise_shows() -> None:
    best = np.random.Generator(np.random.PCG64(4)).normal(size=(20_000, 50)).max(axis=1).mean()

    assert expected_maximum_sharpe(50, 1.0) == pytest.approx(
        best, rel=0.02
    )  # an approximation for many trials


def test_fewer_than_one_trial_is_refused() -> None:
    with pytest.raises(BadData, match="at least one trial"):
        expected_maximum_sharpe(0, 1.0)


@given(st.floats(-0.5, 0.5), st.integers(2, 5000), st.integers(1, 1000))
def test_more_trials_never_make_a_result_more_convincing(sharpe: float, bars: int, trials: int) -> None:
    alone = deflated_sharpe(sharpe, bars, 1, VARIANCE)
    one_of_many = deflated_sharpe(sharpe, bars, trials, VARIANCE)
    one_of_more = deflated_sharpe(sharpe, bars, trials + 1, VARIANCE)

    assert 0.0 <= one_of_more <= one_of_many <= alone <= 1.0


def test_a_record_as_long_as_needed_is_just_enough() -> None:
    bars = minimum_track_record(0.05, skew=-1.0, kurtosis=6.0)

    assert bars is not None
    assert probabilistic_sharpe(0.05, math.ceil(bars), -1.0, 6.0) == pytest.approx(0.95, abs=1e-3)


def by_hand(returns: np.ndarray, blocks: int) -> tuple[float, float]:
    """CSCV as the paper tells it, one split after the other."""
    size = returns.shape[0] // blocks
    low = losing = splits = 0
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.isin(np.arange(size * blocks) // size, chosen)
        here, there = returns[: size * blocks][inside], returns[: size * blocks][~inside]
        winner = np.argmax(here.mean(axis=0) / here.std(axis=0, ddof=1))
        scores = there.mean(axis=0) / there.std(axis=0, ddof=1)
        rank = (scores <= scores[winner]).sum()
        low += rank / (returns.shape[1] + 1) <= 0.5
        losing += scores[winner] < 0
        splits += 1
    return low / splits, losing / splits


@pytest.mark.parametrize(("bars", "configurations", "blocks"), [(100, 7, 4), (243, 20, 8), (60, 2, 6)])
def test_overfitting_is_counted_as_the_paper_tells_it(bars: int, configurations: int, blocks: int) -> None:
    returns = noise(bars, configurations, seed=bars) + noise(configurations, seed=2) / 10

    measured = backtest_overfitting(returns, blocks)

    assert (measured.pbo, measured.loss_probability) == pytest.approx(by_hand(returns, blocks), abs=1e-12)
    assert measured.splits == math.comb(blocks, blocks // 2)


def test_overfitting_of_a_fixed_matrix_is_what_an_independent_library_gives() -> None:
    measured = backtest_overfitting(noise(240, 20, seed=2014), blocks=8)

    assert measured.pbo == pytest.approx(44 / 70, abs=1e-12)  # vetted 0.1.0
    assert measured.loss_probability == pytest.approx(46 / 70, abs=1e-12)


def test_choosing_among_noise_is_overfitting_and_choosing_skill_is_not() -> None:
    pure = noise(1600, 40, seed=5)
    skilled = pure.copy()
    skilled[:, 3] += 0.005

    assert backtest_overfitting(pure).pbo > 0.25
    assert backtest_overfitting(skilled).pbo == 0.0


def test_a_configuration_that_never_trades_scores_zero_and_breaks_nothing() -> None:
    returns = noise(64, 3, seed=9)
    returns[:, 1] = 0.0

    assert 0.0 <= backtest_overfitting(returns, blocks=4).pbo <= 1.0


@pytest.mark.parametrize(
    ("returns", "blocks"),
    [
        (np.ones((100, 1)), 4),
        (np.ones(100), 4),
        (np.full((100, 2), np.nan), 4),
        (noise(100, 2), 5),
        (noise(6, 2), 4),
    ],
)
def test_a_matrix_that_cannot_be_judged_is_refused(returns: np.ndarray, blocks: int) -> None:
    with pytest.raises(BadData):
        backtest_overfitting(returns, blocks)


def test_the_same_result_convinces_alone_and_not_as_the_best_of_a_thousand() -> None:
    result = result_of(noise(1500, seed=3) + 0.0006)

    alone, chosen = assess(result), assess(result, trials=1000)

    assert alone.convincing and not chosen.convincing
    assert alone.luck_sharpe == 0.0 < chosen.luck_sharpe


def test_trials_that_differed_more_set_the_bar_higher() -> None:
    result = result_of(noise(1500, seed=3) + 0.0006)

    near, far = (assess(result, trials=50, trial_variance=variance) for variance in (0.1, 1.0))

    assert near.dsr is not None and far.dsr is not None
    assert near.dsr > far.dsr


def test_a_loss_that_luck_does_not_explain_is_called_one_and_losing_less_is_not_earning() -> None:
    falling = np.cumprod(np.tile([1.0, 0.99, 1.002], 400))
    worse = np.cumprod(np.tile([1.0, 0.97, 1.002], 400))
    ours, hold = performance(falling, 252), performance(worse, 252)

    said = honest_summary(ours, assess(ours), hold)

    assert said[0].endswith("worse than doing nothing, and not by bad luck.")
    assert any(sentence.endswith("the desk lost less.") for sentence in said)


def test_the_summary_puts_the_doubt_first() -> None:
    result = result_of(noise(4000, seed=12))
    hold = result_of(noise(4000, seed=13) + 0.001)
    honesty = assess(result, trials=12, pbo=0.45, percentile=37.4)

    said = honest_summary(result, honesty, hold)

    assert said[0].startswith(f"Sharpe {result.sharpe:.2f} (95 % interval ")
    assert "over 11.0 years; after 12 trials the deflated Sharpe is" in said[0]
    assert said[0].endswith("not distinguishable from luck (needs 0.95).")
    assert any("did worse in 37 of 100 draws" in sentence for sentence in said)
    assert any("below the median in 45 % of the splits" in sentence for sentence in said)
    assert any(sentence.startswith("Buying and holding returned") for sentence in said)


def test_a_deflated_sharpe_just_below_the_bar_is_not_printed_as_the_bar() -> None:
    result = result_of(noise(1000, seed=3))
    honesty = assess(result)

    said = honest_summary(result, type(honesty)(0.96, 0.9496, 1, 0.0, 1.0, None, None, convincing=False))

    assert "deflated Sharpe is 0.94: not distinguishable" in said[0]


def test_an_account_that_did_nothing_is_not_judged() -> None:
    result = performance(np.full(100, 5.0), bars_per_year=365)

    assert assess(result).dsr is None
    assert honest_summary(result, assess(result))[0] == "Over 0.3 years there is nothing to judge."
