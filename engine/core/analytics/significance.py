"""Is a difference noise? The Sharpe ratio of one account less another's, with an interval.

Both accounts are resampled together, bar by bar of the same dates, in blocks of neighbouring bars: what they
have in common stays in common and cancels, and volatility that comes in spells stays in spells. Ledoit and
Wolf (2008) show that the textbook test, which takes returns as normal and independent, finds differences
that are not there.
"""

import math

import msgspec
import numpy as np

from engine.core.analytics.performance import sharpe_ratio
from engine.core.domain.errors import BadData
from engine.core.maths.rolling import Floats
from engine.core.maths.statistics import bootstrap_means, moments

FEWEST_BARS = 20


class Difference(msgspec.Struct, frozen=True):
    """Annual Sharpe ratio of one account less the other's. `low` to `high` is the 95 % interval.

    `p_value` is two-sided: how often resampling alone moves the difference as far as it is from zero.
    """

    sharpe: float
    low: float
    high: float
    p_value: float
    block: int
    draws: int

    @property
    def is_noise(self) -> bool:
        """True while zero lies within the interval."""
        return self.low <= 0 <= self.high


def sharpe_difference(
    ours: Floats, theirs: Floats, bars_per_year: float, seed: int, draws: int = 2000, block: int | None = None
) -> Difference:
    """Compare two accounts' returns of the same bars. Without `block` it is the cube root of the bars.

    >>> wave = np.sin(np.arange(400.0)) / 100
    >>> same = sharpe_difference(wave, wave, bars_per_year=365, seed=1, draws=100)
    >>> same.sharpe, same.p_value, same.is_noise
    (0.0, 1.0, True)
    """
    if ours.shape != theirs.shape or ours.size < FEWEST_BARS:
        raise BadData(f"the same {FEWEST_BARS} bars or more are compared, not {ours.size} with {theirs.size}")
    size = block or math.ceil(ours.size ** (1 / 3))
    here = _annual(ours, bars_per_year) - _annual(theirs, bars_per_year)
    columns = np.column_stack((*_centred(ours), *_centred(theirs)))
    means = bootstrap_means(columns, size, draws, seed)
    moved = _sharpes(means[:, :2], ours, bars_per_year) - _sharpes(means[:, 2:], theirs, bars_per_year)
    low, high = np.quantile(moved, (0.025, 0.975))
    as_far = int((np.abs(moved - here) >= abs(here)).sum())
    return Difference(here, float(low), float(high), (1 + as_far) / (draws + 1), size, draws)


def _annual(returns: Floats, bars_per_year: float) -> float:
    return sharpe_ratio(moments(returns), bars_per_year) or 0.0


def _centred(returns: Floats) -> tuple[Floats, Floats]:
    """Deviations and their squares: around the mean, so that small spreads keep their digits."""
    deviations = returns - returns.mean()
    return deviations, deviations * deviations


def _sharpes(means: Floats, returns: Floats, bars_per_year: float) -> Floats:
    bars = returns.size
    variance = (means[:, 1] - means[:, 0] ** 2) * bars / (bars - 1)
    moved = variance > 0
    annual = (means[:, 0] + returns.mean()) * math.sqrt(bars_per_year)
    sharpes: Floats = np.where(moved, annual / np.sqrt(np.where(moved, variance, 1.0)), 0.0)
    return sharpes
