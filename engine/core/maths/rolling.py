"""Rolling statistics whose value depends on nothing but the window.

A running sum remembers where it began: two runs that start at different bars end with different last digits,
and a sum of squares loses all digits when the spread is small beside the level. Here every window is put
together from halves of halves (1, 2, 4, 8 ... bars), all windows at once. A window of `w` bars takes about
`log2(w)` passes over the array, its value is bit for bit the same wherever the series starts or ends, and a
window of equal numbers has a mean of exactly that number and a spread of exactly zero. Means and squared
deviations of two halves are joined by the update of Chan, Golub and LeVeque (1979).

All functions return arrays as long as their input. The first `w - 1` values are NaN, and a NaN in the input
makes every window that touches it NaN.
"""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Columns = tuple[Floats, ...]

_BLOCK = 512  # rows of a window view that are copied at once: bounds the memory, stays in the cache


class Halves:
    """Windows of one series, put together from blocks of 1, 2, 4, 8 ... bars that all its windows share."""

    def __init__(self, x: Floats) -> None:
        self._n = x.shape[0]
        self._means: list[Floats] = [x]
        self._squares: list[Floats] = [np.zeros_like(x)]

    def mean(self, w: int) -> Floats:
        """Return the mean of the last `w` values; exact when they are all the same."""
        mean, filled = None, 0
        for level, size in self._sizes(w):
            block = self._means[level]
            mean = block if mean is None else _mean(*_aligned(block, size, mean), filled / (size + filled))
            filled += size
        return _padded(mean, self._n)

    def moments(self, w: int) -> tuple[Floats, Floats]:
        """Return the mean and the sum of squared deviations from it.

        >>> Halves(np.array([1.0, 2.0, 3.0, 3.0])).moments(3)[1]
        array([       nan,        nan, 2.        , 0.66666667])
        """
        mean, squares, filled = None, None, 0
        for level, size in self._sizes(w):
            if mean is None or squares is None:
                mean, squares = self._means[level], self._squares[level]
            else:
                older, newer = _aligned(self._means[level], size, mean)
                mean = _mean(older, newer, filled / (size + filled))
                within = _aligned(self._squares[level], size, squares)
                squares = _squares(older, newer, *within, size * filled / (size + filled))
            filled += size
        return _padded(mean, self._n), _padded(squares, self._n)

    def _sizes(self, w: int) -> list[tuple[int, int]]:
        """The blocks, newest and smallest first, that make a window of `w`; those missing are worked out now."""
        if w < 1:
            raise ValueError(f"a window has at least one bar, was {w}")
        while 2 ** len(self._means) <= w:
            size = 2 ** (len(self._means) - 1)
            older, newer = _aligned(self._means[-1], size, self._means[-1])
            within = _aligned(self._squares[-1], size, self._squares[-1])
            self._means.append(_mean(older, newer, 0.5))
            self._squares.append(_squares(older, newer, *within, size / 2))
        return [(level, 2**level) for level in range(w.bit_length()) if w & 2**level]


def rolling_mean(x: Floats, w: int) -> Floats:
    """Return the mean of the last `w` values; exact when they are all the same.

    >>> rolling_mean(np.array([1.0, 2.0, 6.0, 7.0]), 3)
    array([nan, nan,  3.,  5.])
    """
    block, size = x, 1
    mean, filled = None, 0
    while size <= w:
        if w & size:
            mean = block if mean is None else _mean(*_aligned(block, size, mean), filled / (size + filled))
            filled += size
        if 2 * size <= w:
            block = _mean(*_aligned(block, size, block), 0.5)
        size *= 2
    return _padded(mean, x.shape[0])


def rolling_sum(x: Floats, w: int) -> Floats:
    """Return the sum of the last `w` values.

    >>> rolling_sum(np.array([1.0, 2.0, 4.0, 8.0]), 3)
    array([nan, nan,  7., 14.])
    """
    block, size = x, 1
    total = None
    while size <= w:
        if w & size:
            total = block if total is None else np.add(*_aligned(block, size, total))
        if 2 * size <= w:
            block = np.add(*_aligned(block, size, block))
        size *= 2
    return _padded(total, x.shape[0])


def rolling_correlation(
    x: Floats, y: Floats, w: int, floor_x: float, floor_y: Floats | float, last: int | None = None
) -> Floats:
    """Return Pearson's correlation; 0 where a standard deviation is not above its floor."""
    both = rolling_windows((x, y), w, _joint_moments, last, outputs=3)
    xx, yy, xy = both
    out = ratio(xy, np.sqrt(xx) * np.sqrt(yy))
    out[(np.sqrt(xx / w) <= floor_x) | (np.sqrt(yy / w) <= floor_y)] = 0.0
    return np.clip(out, -1.0, 1.0)


def rolling_trend(x: Floats, w: int, last: int | None = None) -> Floats:
    """Return three rows: the mean, the squared deviations from it, and the products with the bar number.

    The slope of the least-squares line through the window is the last of them divided by `(w**3 - w) / 12`.

    >>> (rolling_trend(np.array([1.0, 3.0, 5.0]), 3)[2] / ((3**3 - 3) / 12)).tolist()
    [nan, nan, 2.0]
    """
    ramp = np.arange(w) - (w - 1) / 2.0

    def sums(rows: Floats) -> Floats:
        away, mean = _centred(rows)
        return np.stack((mean, np.einsum("ij,ij->i", away, away), np.einsum("ij,j->i", away, ramp)))

    return rolling_windows((x,), w, sums, last, outputs=3)


def rolling_rank(x: Floats, w: int, last: int | None = None) -> Floats:
    """Return the share of the window below its newest value, ties counted half: above 0, below 1, flat 0.5.

    Values closer than 1e-9 of each other are ties: otherwise the last digit, which changes with the unit of
    price, would decide the rank.

    >>> rolling_rank(np.array([1.0, 3.0, 2.0, 2.0]), 4).tolist()
    [nan, nan, nan, 0.5]
    """
    out = rolling_windows((x,), w, _rank_of_newest, last)
    unknown = np.isnan(x)
    if unknown.any():
        out[rolling_sum(unknown.astype(np.float64), w) > 0.0] = np.nan
    return out


def rolling_windows(
    columns: Columns, w: int, reduce: Callable[..., Floats], last: int | None = None, outputs: int = 1
) -> Floats:
    """Return `reduce` of every window, in blocks; it gets a matrix for each column, with a window in each row.

    For what cannot be put together from halves. It costs `w` steps a bar, so `last` limits it to the newest
    bars; the others stay NaN. With more than one output the result has a row for each.
    """
    n = columns[0].shape[0]
    out = np.full(n if outputs == 1 else (outputs, n), np.nan)
    if n < w:
        return out
    views = [sliding_window_view(column, w) for column in columns]
    count = n - w + 1
    first = 0 if last is None else max(0, count - last)
    for start in range(first, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        out[..., start + w - 1 : stop + w - 1] = reduce(*(view[start:stop] for view in views))
    return out


def lag(x: Floats, bars: int) -> Floats:
    """Return `x` as it was `bars` ago.

    >>> lag(np.array([1.0, 2.0, 3.0]), 1)
    array([nan,  1.,  2.])
    """
    return _padded(x[: max(0, x.shape[0] - bars)], x.shape[0])


def ratio(over: Floats, under: Floats, neutral: float = 0.0, floor: Floats | float = 0.0) -> Floats:
    """Return `over / under`, and `neutral` where `under` is not above `floor`. NaN stays NaN.

    >>> ratio(np.array([1.0, 0.0, np.nan]), np.array([4.0, 0.0, 2.0]), neutral=0.5)
    array([0.25, 0.5 ,  nan])
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        out = over / under
    out[under <= floor] = neutral
    return out


def _rank_of_newest(rows: Floats) -> Floats:
    newest = rows[:, -1:]
    tie = np.abs(newest) * 1e-9
    return (_count(rows < newest - tie) + _count(rows <= newest + tie)) / (2.0 * rows.shape[1])


def _count(holds: NDArray[np.bool_]) -> Floats:
    """Count along rows; small integers are added many at a time."""
    small = np.uint8 if holds.shape[1] < 256 else np.uint16
    return np.add.reduce(holds.view(np.uint8), axis=1, dtype=small).astype(np.float64)


def _centred(rows: Floats) -> tuple[Floats, Floats]:
    """Return the deviations from the mean, and the mean; a first value is taken off so that equal ones give zero."""
    first = rows[:, :1]
    away = rows - first
    offset = away.mean(axis=1, keepdims=True)
    away -= offset
    return away, (first + offset)[:, 0]


def _joint_moments(x: Floats, y: Floats) -> Floats:
    x, y = _centred(x)[0], _centred(y)[0]
    return np.stack([np.einsum("ij,ij->i", a, b) for a, b in ((x, x), (y, y), (x, y))])


def _aligned(older: Floats, size: int, newer: Floats) -> tuple[Floats, Floats]:
    """Pair the block of `size` bars that starts at `i` with the one that starts right after it."""
    newer = newer[size:]
    return older[: newer.shape[0]], newer


def _mean(older: Floats, newer: Floats, share: float) -> Floats:
    mean = newer - older
    mean *= share
    mean += older
    return mean


def _squares(older: Floats, newer: Floats, in_older: Floats, in_newer: Floats, weight: float) -> Floats:
    """Add what lies within both blocks to what lies between their means."""
    squares = newer - older
    squares *= squares
    squares *= weight
    squares += in_older
    squares += in_newer
    return squares


def _padded(x: Floats | None, n: int) -> Floats:
    """Lead with NaN up to length `n`."""
    if x is None:
        raise ValueError("a window has at least one bar")
    out = np.empty(n)
    out[: n - x.shape[0]] = np.nan
    out[n - x.shape[0] :] = x
    return out
