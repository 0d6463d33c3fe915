"""Kelly's share of equity, scaled down for what we do not know."""


def continuous_kelly(mean: float, variance: float) -> float:
    """Growth-optimal share of equity for returns of this mean and variance per bar; never negative.

    Thorp 2006: `f = mean / variance`.

    >>> round(continuous_kelly(mean=0.05, variance=0.0225), 2)
    2.22
    >>> continuous_kelly(mean=-0.01, variance=0.02)
    0.0
    """
    if variance <= 0:
        return 0.0
    return max(0.0, mean / variance)


def estimation_shrink(mean: float, variance: float, bars: float) -> float:
    """How much of an estimated Kelly share to believe, `SR^2 / (SR^2 + 1/T)`: none without evidence.

    >>> round(estimation_shrink(mean=0.5, variance=1.0, bars=5), 2)
    0.56
    """
    if variance <= 0 or bars <= 0:
        return 0.0
    sharpe_square = mean * mean / variance
    if not sharpe_square > 0:
        return 0.0
    return sharpe_square / (sharpe_square + 1 / bars)
