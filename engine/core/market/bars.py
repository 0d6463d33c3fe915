"""Bars as arrays, and coarser bars from finer ones."""

from collections.abc import Sequence

import numpy as np

from engine.core.domain.errors import BadData
from engine.core.domain.market import Bar, BarArrays


def to_arrays(bars: Sequence[Bar]) -> BarArrays:
    """Return bars of one instrument as arrays, in the order given."""
    return BarArrays(
        np.array([round(bar.end.timestamp() * 1000) for bar in bars], dtype=np.int64),
        *(np.array([float(getattr(bar, name)) for bar in bars]) for name in BarArrays._fields[1:]),
    )


def resample(bars: BarArrays, step_ms: int, to_ms: int) -> BarArrays:
    """Join bars of `step_ms` into bars of `to_ms`, whole ones only. Bars must be clean and in order.

    Coarse bars end at multiples of `to_ms` since 1970 (UTC). The newest is left out until the fine bar that closes
    it is there, and the oldest when the series begins inside it. A hole in between makes a coarse bar of what
    was seen; a coarse bar of which nothing was seen is missing too.
    """
    if step_ms <= 0 or to_ms % step_ms:
        raise BadData(f"bars of {step_ms} ms do not fit into bars of {to_ms} ms")
    if not bars.size:
        return bars
    if np.any(bars.end_ms % step_ms):
        raise BadData(f"bars of {step_ms} ms must end at multiples of it")
    end = -(-bars.end_ms // to_ms) * to_ms
    first = np.flatnonzero(np.r_[True, end[1:] != end[:-1]])
    last = np.r_[first[1:], bars.size] - 1
    joined = BarArrays(
        end[first],
        bars.open[first],
        np.maximum.reduceat(bars.high, first),
        np.minimum.reduceat(bars.low, first),
        bars.close[last],
        np.add.reduceat(bars.volume, first),
    )
    begins_inside = bars.end_ms[0] - step_ms > end[0] - to_ms
    still_open = bars.end_ms[-1] < end[-1]
    return joined.slice(int(begins_inside), max(int(begins_inside), joined.size - int(still_open)))
