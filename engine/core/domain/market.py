"""What the market said: bars, as values for the record and as arrays for arithmetic."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from engine.core.domain.errors import BadData

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
else:
    Floats = Ints = Any  # whoever only asks for the desk's state need not wait for numpy


class Bar(msgspec.Struct, frozen=True, gc=False):
    """One closed candle. `end` is the moment it became known (UTC)."""

    instrument: str
    end: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    def __post_init__(self) -> None:
        if self.end.tzinfo is None:
            raise BadData(f"{self.instrument}: Bar.end must be timezone-aware, was {self.end}")
        if not self.low > 0:
            raise BadData(f"{self.instrument} {self.end}: prices must be positive, low was {self.low}")
        if not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise BadData(f"{self.instrument} {self.end}: low <= open, close <= high does not hold")
        if not self.volume >= 0:
            raise BadData(f"{self.instrument} {self.end}: volume must not be negative, was {self.volume}")


class BarArrays(NamedTuple):
    """Bars of one instrument, oldest first, as equally long arrays; `end_ms` is when each bar became known."""

    end_ms: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    @property
    def size(self) -> int:
        """How many bars there are (`len` counts the columns of a named tuple)."""
        return int(self.end_ms.shape[0])

    def tail(self, n: int) -> "BarArrays":
        """The last `n` bars, as views."""
        return self.slice(max(0, self.size - n), self.size)

    def slice(self, start: int, stop: int) -> "BarArrays":
        """Bars `start` up to but without `stop`, as views."""
        part = slice(start, stop)
        return BarArrays(
            self.end_ms[part],
            self.open[part],
            self.high[part],
            self.low[part],
            self.close[part],
            self.volume[part],
        )


class QualityIssue(msgspec.Struct, frozen=True, gc=False):
    """One thing wrong with one bar: the kind, what was seen, and one line for people."""

    kind: str
    value: str
    text: str


class MarketWindow(NamedTuple):
    """What one decision may look at: the instrument's recent bars and what is wrong with the last one."""

    instrument: str
    bars: BarArrays
    last: Bar
    issues: tuple[QualityIssue, ...] = ()
