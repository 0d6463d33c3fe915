"""The triple barrier on OHLC bars (Lopez de Prado 2018, chapter 3): what a buyer would have met first.

Features of bar `t` are known at its close, so the entry is at the open of bar `t + 1`, the first price that could
be had. Barriers stand `width` average true ranges (those of bar `t`) above and below the entry and are watched by
the highs and lows of bars `t + 1` to `t + horizon`; the last of them is the vertical barrier. Bars count, not hours:
a span simply steps over missing bars.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.core.domain.market import BarArrays, Floats, Ints


class Labels(NamedTuple):
    """Finished spans, oldest first: `start` is the deciding bar, `end` the bar that settled it, both included.

    `value` is 1 (upper first), -1 (lower first) or 0 (neither in time). `ambiguous` counts bars that held both
    barriers: their order cannot be known, and the one that hurts a buyer is taken. `unfinished` spans ran into the
    end of the data and are left out, `unmeasured` ones had no positive range or a lower barrier at or below zero.
    """

    start: Ints
    end: Ints
    value: Ints
    ambiguous: int
    unfinished: int
    unmeasured: int


def triple_barrier(bars: BarArrays, atr: Floats, width: float, horizon: int) -> Labels:
    """Label every bar whose outcome is known.

    >>> column = np.array([10.0, 10.0, 10.0, 10.0])
    >>> bars = BarArrays(np.arange(4), column, column + [0, 0, 1, 0], column, column, column)
    >>> triple_barrier(bars, np.ones(4), width=1.0, horizon=2)[:3]
    (array([0, 1]), array([2, 2]), array([1, 1]))
    """
    n = bars.size
    with np.errstate(invalid="ignore"):
        measured = np.isfinite(atr) & (atr > 0)
    entry = np.append(bars.open[1:], np.nan)[:n]
    distance = width * np.where(measured, atr, np.nan)
    upper, lower = entry + distance, entry - distance
    with np.errstate(invalid="ignore"):
        measured &= ~(lower <= 0)
    end = np.full(n, -1, dtype=np.int64)
    value = np.zeros(n, dtype=np.int64)
    ambiguous = 0
    waiting = measured.copy()
    for ahead in range(1, min(horizon, n - 1) + 1):
        row = np.flatnonzero(waiting[: n - ahead])
        bar = row + ahead
        up, down = bars.high[bar] >= upper[row], bars.low[bar] <= lower[row]
        ambiguous += int(np.count_nonzero(up & down))
        hit = up | down
        _settle(end, value, waiting, row[hit], bar[hit], np.where(down[hit], -1, 1))
        if ahead == horizon:
            late = ~hit
            _settle(
                end, value, waiting, row[late], bar[late], np.zeros(np.count_nonzero(late), dtype=np.int64)
            )
    start = np.flatnonzero(end >= 0).astype(np.int64)
    return Labels(
        start=start,
        end=end[start],
        value=value[start],
        ambiguous=ambiguous,
        unfinished=int(np.count_nonzero(waiting)),
        unmeasured=int(np.count_nonzero(~measured)),
    )


def _settle(end: Ints, value: Ints, waiting: NDArray[np.bool_], row: Ints, bar: Ints, outcome: Ints) -> None:
    end[row] = bar
    value[row] = outcome
    waiting[row] = False
