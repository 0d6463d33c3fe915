"""The newest bars of one instrument, as arrays, while new ones keep coming."""

import numpy as np

from engine.core.domain.errors import BadData
from engine.core.domain.market import Bar, BarArrays


class BarWindow:
    """Keeps at least the last `capacity` bars in one block of memory.

    The block has room for twice as many. When it is full, the newest `capacity` move to a fresh block, so a bar
    costs the same whatever the capacity, and arrays that were handed out never change afterwards.
    """

    def __init__(self, capacity: int, bars: BarArrays | None = None) -> None:
        if capacity < 1:
            raise ValueError(f"a window has room for at least one bar, was {capacity}")
        self._capacity = capacity
        self._size = 0
        self._block = _empty(2 * capacity)
        if bars is not None:
            self._fill(bars.tail(capacity))

    def __len__(self) -> int:
        return min(self._size, self._capacity)

    @property
    def last_end_ms(self) -> int | None:
        """When the newest bar ended; None while there is none."""
        return int(self._block.end_ms[self._size - 1]) if self._size else None

    def append(self, bar: Bar) -> None:
        """Add a bar that is newer than all others."""
        end_ms, last = round(bar.end.timestamp() * 1000), self.last_end_ms
        if last is not None and end_ms <= last:
            raise BadData(
                f"{bar.instrument}: a bar that ends at {end_ms} cannot follow one that ends at {last}"
            )
        if self._size == 2 * self._capacity:
            self._fill(self.arrays())
        self._block.end_ms[self._size] = end_ms
        self._block.open[self._size] = bar.open
        self._block.high[self._size] = bar.high
        self._block.low[self._size] = bar.low
        self._block.close[self._size] = bar.close
        self._block.volume[self._size] = bar.volume
        self._size += 1

    def arrays(self, n: int | None = None) -> BarArrays:
        """Return the last `n` bars, or as many of them as there are."""
        wanted = len(self) if n is None else min(max(0, n), len(self))
        return self._block.slice(self._size - wanted, self._size)

    def _fill(self, bars: BarArrays) -> None:
        if np.any(np.diff(bars.end_ms) <= 0):
            raise BadData("the bars of a window must be in order, each of its own time")
        block = _empty(2 * self._capacity)
        for column, values in zip(block, bars, strict=True):
            column[: bars.size] = values
        self._block, self._size = block, bars.size


def _empty(n: int) -> BarArrays:
    return BarArrays(np.zeros(n, dtype=np.int64), *(np.zeros(n) for _ in range(5)))
