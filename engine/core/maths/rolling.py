"""Rolling statistics whose value depends on nothing but the window.

A running sum remembers where it began: two runs that start at different bars end with different last digits,
and a sum of squares loses all digits when the spread is small beside the level. Here every window is put
together from halves of halves (1, 2, 4, 8 ... bars), all windows at once. A window of `w` bars takes about
`log2(w)` passes over the array, its value is the same wherever the series starts or ends, and a window of equal
numbers has a mean of exactly that number and a spread of exactly zero. Means and squared deviations of two
halves are joined by the update of Chan, Golub and LeVeque (1979).

Live wants only the newest values: with `last`, that many windows are summed directly, the others stay NaN, and
the values are the same but for the last digit.

All functions return arrays as long as their input. The first `w - 1` values are NaN, and a NaN in the input
makes every window that touches it NaN.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BLOCK = 512  # windows that are copied at once: bounds the memory and stays in the cache


class Halves:
    """Windows of one series, put together from blocks of 1, 2, 4, 8 ... bars that all its windows share."""

    def __init__(self, x: Floats) -> None:
        self._n = x.shape[0]
        self._means: list[Floats] = [x]
        self._squares: list[Floats] = [np.zeros_like(x)]

    def mean(self, w: int) -> Floats:
        """Return the mean of the last `w` values; exact when they are all the same."""
        sizes = self._sizes(w)
        level, filled = sizes[0]
        mean = self._means[level]
        for level, size in sizes[1:]:
            mean = _mean(*_aligned(self._means[level], size, mean), filled / (size + filled))
            filled += size
        return padded(mean, self._n)

    def moments(self, w: int) -> tuple[Floats, Floats]:
        """Return the mean and the sum of squared deviations from it.

        >>> Halves(np.array([1.0, 2.0, 3.0, 3.0])).moments(3)[1]
        array([       nan,        nan, 2.        , 0.66666667])
        """
        sizes = self._sizes(w)
        level, filled = sizes[0]
        mean, squares = self._means[level], self._squares[level]
        for level, size in sizes[1:]:
            older, newer = _aligned(self._means[level], size, mean)
            mean = _mean(older, newer, filled / (size + filled))
            within = _aligned(self._squares[level], size, squares)
            squares = _squares(older, newer, *within, size * filled / (size + filled))
            filled += size
        return padded(mean, self._n), padded(squares, self._n)

    def _sizes(self, w: int) -> list[tuple[int, int]]:
        """The blocks, newest and smallest first, that make a window of `w`; those missing are worked out now."""
        while 2 ** len(self._means) <= w:
            size = 2 ** (len(self._means) - 1)
            older, newer = _aligned(self._means[-1], size, self._means[-1])
            within = _aligned(self._squares[-1], size, self._squares[-1])
            self._means.append(_mean(older, newer, 0.5))
            self._squares.append(_squares(older, newer, *within, size / 2))
        return [(level, 2**level) for level in range(w.bit_length()) if w & 2**level]


def rolling_mean(x: Floats, w: int, last: int | None = None) -> Floats:
    """Return the mean of the last `w` values; exact when they are all the same.

    >>> rolling_mean(np.array([1.0, 2.0, 6.0, 7.0]), 3)
    array([nan, nan,  3.,  5.])
    """
    if last is not None:
        return rolling_windows((x,), w, lambda rows: _centred(rows)[1], last)
    block, size, filled = x, 1, 0
    mean = x
    while size <= w:
        if w & size:
            mean = _mean(*_aligned(block, size, mean), filled / (size + filled)) if filled else block
            filled += size
        if 2 * size <= w:
            block = _mean(*_aligned(block, size, block), 0.5)
        size *= 2
    return padded(mean, x.shape[0])


def rolling_sum(x: Floats, w: int, last: int | None = None) -> Floats:
    """Return the sum of the last `w` values.

    >>> rolling_sum(np.array([1.0, 2.0, 4.0, 8.0]), 3)
    array([nan, nan,  7., 14.])
    """
    if last is not None:
        return rolling_windows((x,), w, lambda rows: np.add.reduce(rows, axis=1), last)
    block, size, filled = x, 1, 0
    total = x
    while size <= w:
        if w & size:
            total = np.add(*_aligned(block, size, total)) if filled else block
            filled += size
        if 2 * size <= w:
            block = np.add(*_aligned(block, size, block))
        size *= 2
    return padded(total, x.shape[0])


def rolling_moments(x: Floats, w: int, last: int | None = None) -> tuple[Floats, Floats]:
    """Return the mean and the sum of squared deviations from it; see `Halves` for several windows of a series."""
    if last is None:
        return Halves(x).moments(w)
    mean, squares = rolling_windows((x,), w, _moments, last, outputs=2)
    return mean, squares


def rolling_trend(x: Floats, w: int, last: int | None = None) -> tuple[Floats, Floats, Floats]:
    """Return the mean, the sum of squared deviations, and the sum of products with the bar number.

    The slope of the least-squares line through the window is the last of them divided by `(w**3 - w) / 12`.

    >>> (rolling_trend(np.array([1.0, 3.0, 5.0]), 3)[2] / ((3**3 - 3) / 12)).tolist()
    [nan, nan, 2.0]
    """
    ramp = np.arange(w) - (w - 1) / 2.0

    def sums(rows: Floats) -> tuple[Floats, Floats, Floats]:
        away, mean = _centred(rows)
        return mean, _dot(away, away), away @ ramp

    mean, squares, products = rolling_windows((x,), w, sums, last, outputs=3)
    return mean, squares, products


def rolling_correlation(
    x: Floats, y: Floats, w: int, floors: tuple[float, Floats | float], last: int | None = None
) -> Floats:
    """Return Pearson's correlation; 0 where a standard deviation is not above its floor."""
    deviation_x, deviation_y, covariance = rolling_windows((x, y), w, _joint_moments, last, outputs=3)
    out = ratio(covariance, deviation_x * deviation_y)
    out[(deviation_x <= floors[0]) | (deviation_y <= floors[1])] = 0.0
    return np.minimum(np.maximum(out, -1.0), 1.0)


def rolling_rank(x: Floats, w: int, last: int | None = None) -> Floats:
    """Return the share of the window below its newest value, ties counted half: above 0, below 1, flat 0.5.

    Values closer than 1e-9 of each other are ties: otherwise the last digit, which changes with the unit of
    price, would decide the rank.

    >>> rolling_rank(np.array([1.0, 3.0, 2.0, 2.0]), 4).tolist()
    [nan, nan, nan, 0.5]
    """
    out = rolling_windows((x,), w, _rank_of_newest, last)
    unknown = np.isnan(x if last is None else x[-(w + last - 1) :])
    if unknown.any():
        out[-unknown.shape[0] :][rolling_sum(unknown.astype(np.float64), w) > 0.0] = np.nan
    return out


def rolling_windows(
    columns: tuple[Floats, ...],
    w: int,
    reduce: Callable[..., Floats | tuple[Floats, ...]],
    last: int | None = None,
    outputs: int = 1,
) -> Floats:
    """Return `reduce` of every window, in blocks; it gets a matrix for each column, with a window in each row.

    For what cannot be put together from halves: it costs `w` steps a bar. With more than one output the result
    has a row for each.
    """
    n = columns[0].shape[0]
    out = np.empty(n if outputs == 1 else (outputs, n))
    out.fill(np.nan)
    count = n - w + 1
    first = 0 if last is None else max(0, count - last)
    for start in range(first, count, _BLOCK):
        rows = min(_BLOCK, count - start)
        # numpy's sliding_window_view does the same, with checks that cost more than what is done here
        views = [
            np.ndarray((rows, w), np.float64, np.ascontiguousarray(x), 8 * start, (8, 8)) for x in columns
        ]
        out[..., start + w - 1 : start + w - 1 + rows] = reduce(*views)
    return out


def lag(x: Floats, bars: int) -> Floats:
    """Return `x` as it was `bars` ago.

    >>> lag(np.array([1.0, 2.0, 3.0]), 1)
    array([nan,  1.,  2.])
    """
    return padded(x[: max(0, x.shape[0] - bars)], x.shape[0])


def padded(x: Floats, n: int) -> Floats:
    """Lead with NaN up to length `n`."""
    out = np.empty(n)
    out[: n - x.shape[0]] = np.nan
    out[n - x.shape[0] :] = x
    return out


def ratio(over: Floats, under: Floats, neutral: float = 0.0, floor: Floats | float = 0.0) -> Floats:
    """Return `over / under`, and `neutral` where `under` is not above `floor`. NaN stays NaN.

    >>> with np.errstate(all="ignore"):
    ...     ratio(np.array([1.0, 0.0, np.nan]), np.array([4.0, 0.0, 2.0]), neutral=0.5)
    array([0.25, 0.5 ,  nan])
    """
    out = over / under
    out[under <= floor] = neutral
    return out


def _rank_of_newest(rows: Floats) -> Floats:
    newest = rows[:, -1:]
    tie = np.abs(newest) * 1e-9
    rank: Floats = (_count(rows < newest - tie) + _count(rows <= newest + tie)) / (2.0 * rows.shape[1])
    return rank


def _count(holds: NDArray[np.bool_]) -> Floats:
    """Count along rows; small integers are added many at a time."""
    small = np.uint8 if holds.shape[1] < 256 else np.uint32
    return np.asarray(np.add.reduce(holds.view(np.uint8), axis=1, dtype=small), dtype=np.float64)


def _centred(rows: Floats) -> tuple[Floats, Floats]:
    """Return the deviations from the mean, and the mean. The first value is taken off before: equal ones give zero."""
    first = rows[:, :1]
    away = rows - first
    offset = np.add.reduce(away, axis=1, keepdims=True)
    offset /= rows.shape[1]
    away -= offset
    offset += first
    return away, offset[:, 0]


def _dot(a: Floats, b: Floats) -> Floats:
    out: Floats = np.einsum("ij,ij->i", a, b)
    return out


def _moments(rows: Floats) -> tuple[Floats, Floats]:
    away, mean = _centred(rows)
    return mean, _dot(away, away)


def _joint_moments(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    w = x.shape[1]
    x, y = _centred(x)[0], _centred(y)[0]
    return np.sqrt(_dot(x, x) / w), np.sqrt(_dot(y, y) / w), _dot(x, y) / w


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
