"""The intermediate series that many features share, each worked out once for one set of bars.

The only recursion in the house's features is TA-Lib's EMA. It forgets where it began at a known rate, which is
what makes a warm-up possible. Wilder's average of `n` is the EMA of `2n - 1` with another seed, so ATR, RSI and
ADX equal TA-Lib's once the seed is forgotten. They are not called from TA-Lib because it compares sums with
fixed small numbers, which means different things for a coin at 0.0001 and an index at 40,000.
"""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

import numpy as np
import talib
from numpy.typing import NDArray

from engine.core.domain.market import BarArrays
from engine.core.maths.rolling import (
    Halves,
    lag,
    ratio,
    rolling_mean,
    rolling_moments,
    rolling_sum,
    rolling_trend,
)

Floats = NDArray[np.float64]
T = TypeVar("T")

QUIET = 1e-6
"""An average move below this share of price (a hundredth of a basis point) counts as no move at all.

After a halt the averages of moves fade for ever but never reach zero. Their ratio would then repeat what the
market did before the halt, and depend on how much history one has.
"""
FLAT = 1e-9
"""A standard deviation below this share of its level is rounding, and counts as zero."""


class Workings:
    """Bars with a memory of what was already computed from them. `last` is how many newest values are wanted."""

    def __init__(self, bars: BarArrays, last: int | None = None) -> None:
        self.bars = bars
        self.last = last
        self.end_ms = bars.end_ms if last is None else bars.end_ms[-last:]  # the calendar needs no past
        self.open, self.high, self.low, self.close, self.volume = bars[1:]
        self._known: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` gave the first time that `key` was asked for."""
        if key not in self._known:
            self._known[key] = make()
        return cast(T, self._known[key])

    # prices

    def previous_close(self) -> Floats:
        return self.once("previous_close", lambda: lag(self.close, 1))

    def change(self) -> Floats:
        return self.once("change", lambda: self.close - self.previous_close())

    def path(self) -> Floats:
        """Absolute change of the close."""
        return self.once("path", lambda: np.abs(self.change()))

    def spread(self) -> Floats:
        return self.once("spread", lambda: self.high - self.low)

    def typical(self) -> Floats:
        return self.once("typical", lambda: (self.high + self.low + self.close) / 3.0)

    def quiet(self) -> Floats:
        """The price move that counts as none."""
        return self.once("quiet", lambda: self.close * QUIET)

    def true_range(self) -> Floats:
        return self.once("true_range", self._true_range)

    def _true_range(self) -> Floats:
        before = self.previous_close()
        return np.maximum(self.high, before) - np.minimum(self.low, before)

    def log_return(self, bars: int = 1) -> Floats:
        """Log return over `bars`, as a fraction."""
        return self.once(("log_return", bars), lambda: np.log(self.close / lag(self.close, bars)))

    def log_close(self) -> Floats:
        return self.once("log_close", lambda: np.log(self.close))

    # averages

    def mean(self, x: Floats, w: int) -> Floats:
        return rolling_mean(x, w, self.last)

    def sum(self, x: Floats, w: int) -> Floats:
        return rolling_sum(x, w, self.last)

    def sma(self, w: int) -> Floats:
        if self.last is None:
            return self.once(("sma", w), lambda: self._halves("close", self.close).mean(w))
        return self.once(("sma", w), lambda: self.mean(self.close, w))

    def close_moments(self, w: int) -> tuple[Floats, Floats]:
        """Mean and standard deviation (over `w`, as in Bollinger bands) of the close."""
        return self.once(("close_moments", w), lambda: self._moments("close", self.close, w, w))

    def volume_moments(self, w: int) -> tuple[Floats, Floats]:
        return self.once(("volume_moments", w), lambda: self._moments("volume", self.volume, w, w))

    def return_moments(self, w: int) -> tuple[Floats, Floats]:
        """Mean and sample standard deviation (over `w - 1`) of log returns; rounding counts as zero."""
        return self.once(("return_moments", w), lambda: self._return_moments(w))

    def volatility(self, w: int) -> Floats:
        return self.return_moments(w)[1]

    def past_volatility(self, w: int) -> Floats:
        """The same on every bar, also when only the newest are wanted."""
        if self.last is None:
            return self.volatility(w)
        _, squares = rolling_moments(self.log_return(), w)
        return _settled(np.sqrt(squares / (w - 1)))

    def _return_moments(self, w: int) -> tuple[Floats, Floats]:
        mean, deviation = self._moments("return", self.log_return(), w, w - 1)
        return mean, _settled(deviation)

    def _moments(self, name: str, x: Floats, w: int, freedom: int) -> tuple[Floats, Floats]:
        if self.last is None:
            mean, squares = self._halves(name, x).moments(w)
        else:
            mean, squares = rolling_moments(x, w, self.last)
        return mean, np.sqrt(squares / freedom)

    def _halves(self, name: str, x: Floats) -> Halves:
        return self.once(("halves", name), lambda: Halves(x))

    def log_trend(self, w: int) -> tuple[Floats, Floats, Floats]:
        """Mean, squared deviations and products with the bar number of the log close."""
        return self.once(("log_trend", w), lambda: rolling_trend(self.log_close(), w, self.last))

    def ema(self, span: int) -> Floats:
        return self.once(("ema", span), lambda: ema(self.close, span))

    def atr(self, period: int) -> Floats:
        """Wilder's average true range, in price."""
        return self.once(("atr", period), lambda: ema(self.true_range(), 2 * period - 1))

    # extremes

    def highest(self, w: int) -> Floats:
        return self.once(("highest", w), lambda: highest(self.high, w))

    def lowest(self, w: int) -> Floats:
        return self.once(("lowest", w), lambda: lowest(self.low, w))

    def per_atr(self, distance: Floats, period: int = 14) -> Floats:
        """Express a distance in average true ranges; 0 in a market that does not move."""
        return ratio(distance, self.atr(period), 0.0, self.quiet())


def ema(x: Floats, span: int) -> Floats:
    return talib.EMA(x, span) if x.shape[0] else x


def highest(x: Floats, w: int) -> Floats:
    return talib.MAX(x, w) if x.shape[0] else x


def lowest(x: Floats, w: int) -> Floats:
    return talib.MIN(x, w) if x.shape[0] else x


def _settled(deviation: Floats) -> Floats:
    deviation[deviation <= FLAT] = 0.0
    return deviation
