"""Sample statistics with one convention each, and the block bootstrap.

Libraries that disagree about a Sharpe ratio mostly disagree about a divisor. Here the spread is the sample
standard deviation (n - 1), skewness and kurtosis are the plain moments (n), and kurtosis is 3 for a normal.

The bootstrap draws whole blocks of neighbouring bars, for returns that follow each other are not independent
(circular blocks, Politis and Romano 1992). All that is asked of it are means of columns, so the blocks are
differences of running sums: the work grows with the number of blocks, not of bars, and the memory not at all.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from engine.core.maths.rolling import Floats

_NORMAL = NormalDist()
_CHUNK = 500_000  # blocks that are looked up at once: bounds the memory
FLAT = 1e-12  # a spread smaller than this share of the level is rounding, not movement


class Moments(NamedTuple):
    """What a sample looks like. `std` divides by n - 1; `skew` and `kurtosis` (3 for a normal) by n."""

    size: int
    mean: float
    std: float
    skew: float
    kurtosis: float


def moments(values: Floats) -> Moments:
    """Return the moments of at least one finite value; a sample that does not move has those of a normal.

    >>> moments(np.array([1.0, 2.0, 3.0, 6.0]))
    Moments(size=4, mean=3.0, std=2.160246899469287, skew=0.6872431934890912, kurtosis=2.0)
    >>> moments(np.array([0.5, 0.5, 0.5]))
    Moments(size=3, mean=0.5, std=0.0, skew=0.0, kurtosis=3.0)
    """
    mean = float(values.mean())
    deviations = values - mean
    squares = deviations * deviations
    variance = float(squares.mean())
    if math.sqrt(variance) <= FLAT * max(abs(mean), FLAT):
        return Moments(values.size, mean, 0.0, 0.0, 3.0)
    skew = float((squares * deviations).mean()) / variance**1.5
    kurtosis = float((squares * squares).mean()) / variance**2
    return Moments(values.size, mean, math.sqrt(variance * values.size / (values.size - 1)), skew, kurtosis)


def autocorrelation(values: Floats, lag: int = 1) -> float:
    """Return the correlation of the values with themselves `lag` earlier; 0 when they do not move.

    Both sides use the mean and the variance of the whole sample, as in Box and Jenkins.

    >>> round(autocorrelation(np.array([1.0, -1.0, 1.0, -1.0])), 2)
    -0.75
    """
    deviations = values - values.mean()
    total = float(deviations @ deviations)
    if values.size <= lag or total <= (FLAT * max(float(np.abs(values).max()), FLAT)) ** 2 * values.size:
        return 0.0
    return float(deviations[lag:] @ deviations[:-lag]) / total


def normal_quantile(probability: float) -> float:
    """Return the value that a standard normal stays below with this probability, strictly between 0 and 1.

    >>> round(normal_quantile(0.975), 4)
    1.96
    """
    return _NORMAL.inv_cdf(probability)


def normal_density(z: float) -> float:
    """Return the density of the standard normal.

    >>> round(normal_density(0.0), 4)
    0.3989
    """
    return _NORMAL.pdf(z)


def wilson_interval(successes: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of a share (Wilson 1927), honest also for few trials and shares near 0 or 1.

    >>> [round(edge, 4) for edge in wilson_interval(15, 148)]  # Newcombe 1998, table I
    [0.0624, 0.1605]
    >>> wilson_interval(0, 0)
    (0.0, 1.0)
    """
    if count == 0:
        return 0.0, 1.0
    z = normal_quantile((1 + confidence) / 2)
    share = successes / count
    scale = 1 + z * z / count
    centre = (share + z * z / (2 * count)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_means(columns: Floats, block: int, draws: int, seed: int) -> Floats:
    """Return the column means of `draws` resampled histories, shape (draws, columns).

    `columns` has one row a bar. Every history is made of blocks of `block` bars that begin anywhere and run
    over the end into the beginning; the last block is not cut, so a history has up to `block - 1` bars more.

    >>> bars = np.arange(10.0).reshape(10, 1)
    >>> bootstrap_means(bars, block=10, draws=3, seed=7).ravel()  # one block is the whole history
    array([4.5, 4.5, 4.5])
    """
    bars = columns.shape[0]
    if not 1 <= block <= bars:
        raise ValueError(f"a block must have between 1 and {bars} bars, was {block}")
    wrapped = np.concatenate((columns, columns[: block - 1]))
    running = np.concatenate((np.zeros((1, columns.shape[1])), np.cumsum(wrapped, axis=0)))
    sums = running[block:] - running[:-block]
    count = -(-bars // block)
    chance = np.random.Generator(np.random.PCG64(seed))
    step = max(1, _CHUNK // (count * columns.shape[1]))
    means = np.empty((draws, columns.shape[1]))
    for first in range(0, draws, step):
        rows = min(step, draws - first)
        starts = chance.integers(0, bars, size=(rows, count))
        means[first : first + rows] = sums[starts].sum(axis=1) / (count * block)
    return means
