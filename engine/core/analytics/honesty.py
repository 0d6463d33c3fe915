"""How far a result can be told from luck, and how to say it.

A Sharpe ratio without the number of tries means nothing: the best of a hundred worthless variants shows more
than 2 over two years one time in five. So a Sharpe ratio is put beside its standard error (probabilistic Sharpe
ratio, Bailey and Lopez de Prado 2012), beside what the best of N worthless tries would show (deflated Sharpe
ratio, 2014), beside the length of record that it would need, and the search that found it is put to the test of
combinatorially symmetric cross-validation (Bailey, Borwein, Lopez de Prado and Zhu 2017).

Sharpe ratios here are **per bar** unless a name says annual, and kurtosis is 3 for a normal: the two mistakes
with which most published code differs from the papers. The PSR is the form of 2012, with the variance at the
observed Sharpe ratio; the form of 2025 puts it at the benchmark and gives other figures for the same data.
"""

import math
from itertools import combinations

import msgspec
import numpy as np

from engine.core.analytics.performance import Performance
from engine.core.domain.errors import BadData
from engine.core.maths.rolling import Floats
from engine.core.maths.scores import normal_cdf
from engine.core.maths.statistics import FLAT, normal_quantile

ENOUGH = 0.95  # the deflated Sharpe ratio below which nothing is claimed
_EULER = 0.5772156649015329
_CHUNK = 1_000_000  # split x configuration cells that are scored at once: bounds the memory


def probabilistic_sharpe(
    sharpe: float, count: int, skew: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0
) -> float:
    """Return the probability that the true Sharpe ratio is above `benchmark`, both per bar, from `count` bars.

    >>> round(probabilistic_sharpe(0.458, 24), 3)  # Bailey and Lopez de Prado 2012
    0.982
    >>> round(probabilistic_sharpe(0.458, 24, skew=-2.448, kurtosis=10.164), 3)
    0.913
    """
    if count < 2:
        return 0.5
    return normal_cdf((sharpe - benchmark) / math.sqrt(_spread(sharpe, skew, kurtosis) / (count - 1)))


def expected_maximum_sharpe(trials: float, variance: float) -> float:
    """Return the Sharpe ratio that the best of `trials` worthless tries shows on average.

    `variance` is that of the trials' Sharpe ratios. One trial, chosen before looking, has no selection in it: 0.

    >>> round(expected_maximum_sharpe(10, 1.0), 2), round(expected_maximum_sharpe(100, 0.5 / 250), 4)
    (1.57, 0.1132)
    >>> expected_maximum_sharpe(1, 1.0)
    0.0
    """
    if trials < 1:
        raise BadData(f"there was at least one trial, not {trials}")
    if trials == 1:
        return 0.0
    low, high = normal_quantile(1 - 1 / trials), normal_quantile(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * max(0.0, (1 - _EULER) * low + _EULER * high)


def deflated_sharpe(
    sharpe: float, count: int, trials: float, variance: float, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Return the probability that the true Sharpe ratio is above what the best of `trials` shows by luck.

    `variance` is that of the trials' Sharpe ratios per bar. `trials` counts everything that was tried,
    thrown-away ideas too; trials that resemble each other are already in the variance.

    >>> round(deflated_sharpe(2.5 / 250**0.5, 1250, 100, 0.5 / 250, skew=-3.0, kurtosis=10.0), 4)
    0.9004
    >>> round(deflated_sharpe(2.5 / 250**0.5, 1250, 46, 0.5 / 250, skew=-3.0, kurtosis=10.0), 4)
    0.9505
    """
    return probabilistic_sharpe(sharpe, count, skew, kurtosis, expected_maximum_sharpe(trials, variance))


def minimum_track_record(
    sharpe: float,
    skew: float = 0.0,
    kurtosis: float = 3.0,
    benchmark: float = 0.0,
    confidence: float = ENOUGH,
) -> float | None:
    """Return the bars needed to tell this Sharpe ratio from `benchmark`; None when it is not above it.

    >>> round(minimum_track_record(2 / 250**0.5, benchmark=1 / 250**0.5) / 250, 2)  # years of daily bars
    2.73
    >>> round(minimum_track_record(2 / 12**0.5, -0.72, 5.78, benchmark=1 / 12**0.5) / 12, 2)  # months
    4.99
    """
    if sharpe <= benchmark:
        return None
    return 1 + _spread(sharpe, skew, kurtosis) * (normal_quantile(confidence) / (sharpe - benchmark)) ** 2


def minimum_backtest_years(trials: float, annual_sharpe: float) -> float:
    """Return the years below which the best of `trials` worthless tries is expected to show this much.

    Bailey, Borwein, Lopez de Prado and Zhu 2014: 45 tries find a Sharpe ratio of 1 in five years of noise.

    >>> round(minimum_backtest_years(45, annual_sharpe=1.0), 3)
    4.998
    """
    return (expected_maximum_sharpe(trials, 1.0) / annual_sharpe) ** 2


class Overfitting(msgspec.Struct, frozen=True):
    """What choosing the best configuration is worth out of sample.

    `pbo`: share of splits in which the winner came out at or below the median of all. `loss_probability`:
    share in which its Sharpe ratio out of sample was negative. `splits`: how many there were.
    """

    pbo: float
    loss_probability: float
    splits: int


def backtest_overfitting(returns: Floats, blocks: int = 16) -> Overfitting:
    """Return the probability of backtest overfitting by CSCV, from returns of shape (bars, configurations).

    Every half of the blocks is once in-sample and its complement out of sample; the score is the Sharpe ratio.
    The relative rank is rank / (configurations + 1), ties sharing their mean rank. Bars that do not fill the
    last block are left out. A configuration that does not move (one that never trades) scores 0.

    >>> skilled = np.tile([[0.00, 0.01, 0.03], [0.01, 0.00, 0.02]], (8, 1))
    >>> backtest_overfitting(skilled, blocks=4)
    Overfitting(pbo=0.0, loss_probability=0.0, splits=6)
    """
    bars, configurations = _matrix_shape(returns, blocks)
    size = bars // blocks
    used = returns[: size * blocks]
    level = used.mean(axis=0)  # sums of squares are taken around it, or small spreads would drown
    centred = (used - level).reshape(blocks, size, configurations)
    sums, squares = centred.sum(axis=1), (centred * centred).sum(axis=1)
    chosen = np.array(list(combinations(range(blocks), blocks // 2)))
    step = max(1, _CHUNK // configurations)
    low = losing = 0
    for first in range(0, len(chosen), step):
        inside = np.zeros((len(chosen[first : first + step]), blocks))
        np.put_along_axis(inside, chosen[first : first + step], 1.0, axis=1)
        winner = np.argmax(_scores(inside, sums, squares, level, size), axis=1)
        outside = _scores(1.0 - inside, sums, squares, level, size)
        score = np.take_along_axis(outside, winner[:, None], axis=1)
        rank = (outside < score).sum(axis=1) + ((outside == score).sum(axis=1) + 1) / 2
        low += int((rank / (configurations + 1) <= 0.5).sum())
        losing += int((score < 0).sum())
    return Overfitting(low / len(chosen), losing / len(chosen), len(chosen))


class Honesty(msgspec.Struct, frozen=True):
    """How far one result can be told from luck. None where it was not asked or cannot be said.

    `psr`: probability that the true Sharpe ratio is above zero. `dsr`: that it is above `luck_sharpe`, the
    annual Sharpe ratio that the best of `n_trials` worthless tries shows. `needed_years`: record needed to
    tell it from zero. `percentile`: share of random entries, 0 to 100, that did worse. `convincing`:
    dsr >= 0.95.
    """

    psr: float | None
    dsr: float | None
    n_trials: int
    luck_sharpe: float
    needed_years: float | None
    pbo: float | None
    percentile: float | None
    convincing: bool


def assess(
    result: Performance,
    trials: int = 1,
    trial_variance: float | None = None,
    pbo: float | None = None,
    percentile: float | None = None,
) -> Honesty:
    """Judge a result that was the best of `trials`.

    `trial_variance` is the variance of the trials' **annual** Sharpe ratios. When it was not kept, that of the
    Sharpe ratios of pure noise over the same record stands in, 1 / years: the least that trials can differ.
    """
    if result.sharpe is None:
        return Honesty(None, None, trials, 0.0, None, pbo, percentile, convincing=False)
    a_year = math.sqrt(result.bars_per_year)
    sharpe, skew, kurtosis = result.sharpe / a_year, result.skew, result.kurtosis
    variance = (1 / result.years if trial_variance is None else trial_variance) / result.bars_per_year
    dsr = deflated_sharpe(sharpe, result.bars, trials, variance, skew, kurtosis)
    needed = minimum_track_record(sharpe, skew, kurtosis)
    return Honesty(
        psr=probabilistic_sharpe(sharpe, result.bars, skew, kurtosis),
        dsr=dsr,
        n_trials=trials,
        luck_sharpe=expected_maximum_sharpe(trials, variance) * a_year,
        needed_years=None if needed is None else needed / result.bars_per_year,
        pbo=pbo,
        percentile=percentile,
        convincing=dsr >= ENOUGH,
    )


def honest_summary(result: Performance, honesty: Honesty, hold: Performance | None = None) -> tuple[str, ...]:
    """Return the result in plain sentences, the doubtful part first. `hold` is buying and holding, if known.

    >>> from engine.core.analytics.performance import performance
    >>> steps = np.tile([1.0, 1.02, 0.985], 122)
    >>> bars = performance(np.cumprod(steps), bars_per_year=365)
    >>> for part in honest_summary(bars, assess(bars, trials=20))[0].split("; "): print(part)
    Sharpe 2.22 (95 % interval 0.28 to 4.17) over 1.0 years
    after 20 trials the deflated Sharpe is 0.62: not distinguishable from luck (needs 0.95).
    """
    said = (
        _sharpe_sentence(result, honesty),
        _record_sentence(result, honesty),
        _return_sentence(result),
        _hold_sentence(result, hold),
        _percentile_sentence(honesty.percentile),
        _pbo_sentence(honesty.pbo),
        *result.notes,
    )
    return tuple(sentence for sentence in said if sentence)


def _spread(sharpe: float, skew: float, kurtosis: float) -> float:
    """The variance of a Sharpe ratio per bar, times the number of bars; zero is kept out of divisions."""
    return max(FLAT, 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe * sharpe)


def _matrix_shape(returns: Floats, blocks: int) -> tuple[int, int]:
    if returns.ndim != 2 or returns.shape[1] < 2 or not np.isfinite(returns).all():
        raise BadData("overfitting needs finite returns of shape (bars, configurations), two at least")
    if blocks < 2 or blocks % 2 or returns.shape[0] < 2 * blocks:
        raise BadData(
            f"{returns.shape[0]} bars do not give {blocks} blocks: an even number, of two bars each"
        )
    return returns.shape[0], returns.shape[1]


def _scores(chosen: Floats, sums: Floats, squares: Floats, level: Floats, size: int) -> Floats:
    """Sharpe ratios, shape (splits, configurations), from sums by block of returns around `level`."""
    count = size * chosen.shape[1] / 2
    mean = chosen @ sums / count
    variance = (chosen @ squares - count * mean * mean) / (count - 1)
    moved = variance > (FLAT * np.maximum(np.abs(level), FLAT)) ** 2
    scores: Floats = np.where(moved, (mean + level) / np.sqrt(np.where(moved, variance, 1.0)), 0.0)
    return scores


def _sharpe_sentence(result: Performance, honesty: Honesty) -> str:
    if result.sharpe is None or honesty.dsr is None:
        return f"Over {result.years:.1f} years there is nothing to judge."
    lost = result.sharpe_ci_high is not None and result.sharpe_ci_high < 0
    doubt = "distinguishable from luck" if honesty.convincing else "not distinguishable from luck"
    verdict = "worse than doing nothing, and not by bad luck." if lost else f"{doubt} (needs {ENOUGH:.2f})."
    trials = "1 trial" if honesty.n_trials == 1 else f"{honesty.n_trials} trials"
    return (
        f"Sharpe {result.sharpe:.2f} (95 % interval {result.sharpe_ci_low:.2f} to {result.sharpe_ci_high:.2f}) "
        f"over {result.years:.1f} years; after {trials} the deflated Sharpe is {_floor2(honesty.dsr):.2f}: "
        f"{verdict}"
    )


def _record_sentence(result: Performance, honesty: Honesty) -> str:
    if result.sharpe is None:
        return ""
    luck = ""
    if honesty.n_trials > 1:
        luck = f"The best of {honesty.n_trials} worthless tries would show a Sharpe of {honesty.luck_sharpe:.2f}; "
    if honesty.needed_years is None:
        need = "no length of such a record would show that it earns anything."
    else:
        need = f"telling {result.sharpe:.2f} from zero takes {honesty.needed_years:.1f} years."
    return luck + need if luck else need[0].upper() + need[1:]


def _return_sentence(result: Performance) -> str:
    return (
        f"Return {result.net_return:.1%} after costs ({result.gross_return:.1%} before fees), "
        f"deepest fall {result.max_drawdown:.1%}."
    ).replace("%", " %")


def _hold_sentence(result: Performance, hold: Performance | None) -> str:
    if hold is None:
        return ""
    better = "earned more" if result.total_return > hold.total_return else "earned no more"
    if result.total_return < 0 and result.total_return > hold.total_return:
        better = "lost less"
    sharpe = "none" if hold.sharpe is None else f"{hold.sharpe:.2f}"
    return (
        f"Buying and holding returned {hold.total_return:.1%} (Sharpe {sharpe}, deepest fall "
        f"{hold.max_drawdown:.1%}): the desk {better}."
    ).replace("%", " %")


def _percentile_sentence(percentile: float | None) -> str:
    if percentile is None:
        return ""
    return f"The same number of trades, entered at random, did worse in {percentile:.0f} of 100 draws."


def _pbo_sentence(pbo: float | None) -> str:
    if pbo is None:
        return ""
    return f"The configuration that looked best came out below the median in {100 * pbo:.0f} % of the splits."


def _floor2(probability: float) -> float:
    """Cut, not rounded: 0.9496 must not be printed as the 0.95 that it has not reached."""
    return math.floor(probability * 100 + 1e-9) / 100
