import numpy as np
import pytest

from engine.core.analytics.significance import sharpe_difference
from engine.core.domain.errors import BadData


def noise(bars: int, seed: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).normal(size=bars) * 0.01


def test_two_accounts_of_noise_are_told_apart_about_one_time_in_twenty() -> None:
    told = [
        not sharpe_difference(noise(500, seed), noise(500, 1000 + seed), 365, seed=1, draws=300).is_noise
        for seed in range(200)
    ]

    assert 0.01 <= np.mean(told) <= 0.10


def test_what_two_accounts_have_in_common_cancels() -> None:
    market, edge = noise(1500, 1), np.abs(noise(1500, 2)) / 10

    difference = sharpe_difference(market + edge, market, 365, seed=1)

    assert not difference.is_noise and difference.low > 0
    assert difference.p_value < 0.01


def test_the_interval_holds_the_difference_and_turns_with_it() -> None:
    ours, theirs = noise(600, 3) + 0.0005, noise(600, 4)

    forth, back = sharpe_difference(ours, theirs, 252, seed=9), sharpe_difference(theirs, ours, 252, seed=9)

    assert forth.low < forth.sharpe < forth.high
    assert (back.sharpe, back.low, back.high) == pytest.approx((-forth.sharpe, -forth.high, -forth.low))


def test_the_error_is_the_textbooks_where_the_textbook_holds() -> None:
    bars = 5000

    difference = sharpe_difference(noise(bars, 5), noise(bars, 6), 1, seed=2, block=1)

    # Two independent normal accounts: each Sharpe ratio has a variance of about 1 / T (Lo 2002).
    assert difference.high - difference.low == pytest.approx(2 * 1.96 * (2 / bars) ** 0.5, rel=0.06)


def test_an_account_that_stands_still_has_a_sharpe_ratio_of_zero() -> None:
    difference = sharpe_difference(noise(200, 3), np.zeros(200), 365, seed=1, draws=100)

    assert difference.low < difference.high


def test_accounts_of_other_bars_or_too_few_are_refused() -> None:
    with pytest.raises(BadData, match="20 bars or more"):
        sharpe_difference(noise(100, 1), noise(99, 1), 365, seed=1)
    with pytest.raises(BadData, match="20 bars or more"):
        sharpe_difference(noise(19, 1), noise(19, 2), 365, seed=1)
