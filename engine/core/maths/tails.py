"""Value at risk and expected shortfall of returns, as positive shares of loss.

Historical: the value at risk is the quantile between order statistics, linearly interpolated (type 7 of
Hyndman and Fan 1996, the default of R and numpy), and the shortfall is the mean of the order statistics
below it.
Libraries that print other figures for the same returns use another quantile or another set below it.
These run in every risk check: one partition, no sort.
"""

from typing import NamedTuple

import numpy as np

from engine.core.maths.rolling import Floats
from engine.core.maths.statistics import normal_density, normal_quantile


class Tail(NamedTuple):
    """Losses as positive shares: `var` is exceeded with probability 1 - level, `es` is the mean beyond it."""

    var: float
    es: float


def historical_tail(returns: Floats, level: float = 0.95) -> Tail:
    """Return the tail of at least one finite return. A negative figure is a gain.

    >>> tail = historical_tail(np.array([-0.04, 0.01, -0.02, 0.03, 0.02]), level=0.80)
    >>> round(tail.var, 6), round(tail.es, 6)
    (0.024, 0.04)
    """
    if returns.size == 0:
        raise ValueError("a tail needs at least one return")
    place = (returns.size - 1) * (1 - level)
    below = int(place + 1e-9)  # 100 * (1 - 0.95) is 5, not a hair above or below it
    if below + 1 >= returns.size:
        return Tail(-float(returns.max()), -float(returns.mean()))
    ordered = np.partition(returns, below + 1)
    tail = ordered[: below + 1]
    worst = float(tail.max())
    quantile = worst + max(0.0, place - below) * (float(ordered[below + 1]) - worst)
    return Tail(-quantile, -float(np.add.reduce(tail)) / (below + 1))


def normal_tail(mean: float, std: float, level: float = 0.95) -> Tail:
    """Return the tail of normal returns with this mean and standard deviation.

    >>> round(normal_tail(0.0, 1.0, level=0.99).var, 3), round(normal_tail(0.0, 1.0, level=0.975).es, 3)
    (2.326, 2.338)
    """
    z = normal_quantile(level)
    return Tail(z * std - mean, normal_density(z) / (1 - level) * std - mean)
