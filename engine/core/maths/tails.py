"""Value at risk and expected shortfall of returns, as positive shares of loss.

Historical: the value at risk is the quantile between order statistics, linearly interpolated (type 7 of
Hyndman and Fan 1996, the default of R and numpy), and the shortfall is the mean of the order statistics
below it.
Libraries that print other figures for the same returns use another quantile or another set below it.
These run in every risk check: one partition, no sort.

Extreme values: losses beyond a high threshold follow a generalised Pareto distribution (peaks over threshold;
McNeil 1999), with the shape `xi` > 0 for a heavy tail and the scale `beta`. Fitted by probability-weighted moments
(Hosking and Wallis 1987), which are a closed form and hold for `xi` < 1: beyond that the mean of the losses does not
exist, and nothing is said. scipy's `genpareto` calls the shape `c`, with the same sign.
"""

from typing import NamedTuple

import numpy as np

from engine.core.maths.rolling import Floats
from engine.core.maths.statistics import normal_density, normal_quantile

FEWEST = 50
"""Exceedances below which no tail is fitted."""
_STRAIGHT = 1e-9  # a shape this near to 0 is taken as the exponential distribution, its limit


class Pareto(NamedTuple):
    """A generalised Pareto distribution of what losses are beyond a threshold."""

    xi: float
    beta: float


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


def historical_rows(rows: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return value at risk and shortfall of each row of a matrix, as `historical_tail` does of one.

    >>> var, es = historical_rows(np.array([[-0.04, 0.01, -0.02, 0.03, 0.02]]), level=0.80)
    >>> var.round(6).tolist(), es.round(6).tolist()
    ([0.024], [0.04])
    """
    below, part = lowest(rows.shape[1], level)
    worst = np.sort(np.partition(rows, below + 1, axis=1)[:, : below + 2], axis=1)
    return historical_sorted(worst, below, part)


def lowest(count: int, level: float) -> tuple[int, float]:
    """Return which of `count` sorted returns the quantile lies behind, and how far on the way to the next.

    >>> lowest(11, 0.75)
    (2, 0.5)
    """
    place = (count - 1) * (1 - level)
    below = int(place + 1e-9)
    return below, max(0.0, place - below)


def historical_sorted(worst: Floats, below: int, part: float) -> tuple[Floats, Floats]:
    """Return the same of rows whose `below + 2` lowest returns come first, in order."""
    edge = worst[:, below]
    quantile = edge + part * (worst[:, below + 1] - edge)
    return -quantile, -np.add.reduce(worst[:, : below + 1], axis=1) / (below + 1)


def pareto_fit(exceedances: Floats) -> Pareto | None:
    """Return the distribution of what at least 50 losses are beyond a threshold.

    None with fewer, where they do not differ, and for a shape of 1 or more.

    >>> even = -np.log(1 - (np.arange(100) + 0.65) / 100)  # an exponential tail: shape 0, scale 1
    >>> pareto_fit(even[:49]) is None, round(pareto_fit(even).xi, 1), round(pareto_fit(even).beta, 1)
    (True, 0.0, 1.0)
    """
    if exceedances.size < FEWEST or not (exceedances > 0).all():
        return None
    xi, beta = pareto_rows(np.sort(exceedances)[None, :])
    return Pareto(float(xi[0]), float(beta[0])) if np.isfinite(xi[0]) else None


def pareto_rows(exceedances: Floats) -> tuple[Floats, Floats]:
    """Return shape and scale for each row of sorted exceedances, smallest first; NaN where there is no tail."""
    count = exceedances.shape[1]
    rest = np.arange(count - 1, -1, -1) / (
        count - 1
    )  # how many are larger, of those that there are beside it
    mean = np.add.reduce(exceedances, axis=1) / count
    weighted = np.add.reduce(exceedances * rest, axis=1) / count
    spread = mean - 2 * weighted
    with np.errstate(all="ignore"):
        xi = 2 - mean / spread
        beta = 2 * mean * weighted / spread
    absent = ~((spread > _STRAIGHT * mean) & (beta > 0) & (xi < 1) & (exceedances[:, 0] > 0))
    xi[absent], beta[absent] = np.nan, np.nan
    return xi, beta


def pareto_tail(fit: Pareto, threshold: float, share: float, level: float = 0.95) -> Tail:
    """Return the tail of losses of which a `share` lies beyond `threshold` and is distributed like `fit`.

    `VaR = u + beta/xi ((n/Nu (1-q))^-xi - 1)`, `ES = (VaR + beta - xi u) / (1 - xi)`. ValueError where the level does
    not lie beyond the threshold.

    >>> danish = pareto_tail(Pareto(0.497, 6.975), threshold=10.0, share=109 / 2167, level=0.99)
    >>> [round(figure, 1) for figure in danish]  # McNeil 1999: fire losses in millions of kroner
    [27.3, 58.2]
    """
    if not 0 < 1 - level <= share:
        raise ValueError(
            f"a level of {level} does not lie beyond a threshold that {share:.3g} of losses pass"
        )
    var, es = pareto_quantiles(
        np.array([fit.xi]), np.array([fit.beta]), np.array([threshold]), (1 - level) / share
    )
    return Tail(float(var[0]), float(es[0]))


def pareto_quantiles(xi: Floats, beta: Floats, threshold: Floats, rare: float) -> tuple[Floats, Floats]:
    """Return value at risk and shortfall of many tails, at a level that a `rare` share of exceedances passes."""
    straight = np.abs(xi) < _STRAIGHT
    shape = np.where(straight, 1.0, xi)
    beyond = np.where(straight, -np.log(rare), (rare**-shape - 1) / shape)
    var = threshold + beta * beyond
    es = (var + beta - xi * threshold) / (1 - xi)
    return var, es
