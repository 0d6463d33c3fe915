"""Prices: a few seeded series, made once, that every world shares; and the way of the price inside each bar.

Features are the dear part of a decision and depend on the bars alone, so what was worked out for one window is kept for
every world of the process that comes to the same window.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from hashlib import blake2b
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np

from engine.core import pipeline
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.instrument import exact
from engine.core.domain.market import Bar, BarArrays
from engine.core.features.build import build_rows
from engine.core.pipeline import NEED
from engine.live import supervise

MINUTE = timedelta(minutes=1)
FIRST = datetime(2001, 1, 2, tzinfo=UTC)
SERIES, STARTS, APART, LENGTH = 12, 10, 9, 24
"""Series, moments in them at which a world may begin, bars between those, bars that a world needs."""
BAR_S = 60.0


@cache
def series(number: int) -> BarArrays:
    """A walk that mostly rises, so that a desk that only buys has reasons to; its bars reach far enough for stops."""
    chance = np.random.default_rng(number)
    bars = NEED + STARTS * APART + LENGTH
    drift = np.repeat(chance.choice([0.004, 0.003, 0.002], bars // 12 + 1), 12)[:bars]
    close = np.round(100 * np.exp(np.cumsum(drift + chance.normal(0, 0.003, bars))), 2)
    opened = np.append(100.0, close[:-1])
    reach = 1 + np.abs(chance.normal(0, 0.005, (2, bars)))
    high = np.round(np.maximum(opened, close) * reach[0], 2)
    low = np.round(np.minimum(opened, close) / reach[1], 2)
    end = np.array([int((FIRST + MINUTE * n).timestamp() * 1000) for n in range(bars)], dtype=np.int64)
    volume = chance.integers(100_000, 1_000_000, bars).astype(np.float64)
    return BarArrays(end, opened, high, low, close, volume)


_rows: dict[bytes, Any] = {}


def remembered_rows(bars: BarArrays, count: int) -> Any:
    """The production features of a window, worked out once in a process."""
    key = blake2b(digest_size=16)
    for column in bars:
        key.update(column.tobytes())
    known = _rows.get(key.digest())
    if known is None:
        known = _rows[key.digest()] = build_rows(bars, count)
    return known


def remember_features() -> None:
    """From now on, in this process; and measure how late the loop is less often, for here it never is."""
    setattr(pipeline, "build_rows", remembered_rows)  # noqa: B010 - the name is not the module's own
    supervise.LAG_EVERY_S = 2.0


class Market:
    """The prices of one world by instrument. Second 0 is the close of the bar at `origin`."""

    def __init__(self, names: tuple[str, ...], chance: Random, frozen_from: Callable[[], float]) -> None:
        self.names = names
        self._frozen_from = frozen_from
        start = NEED + 12 + APART * chance.randrange(STARTS)
        picked = chance.sample(range(SERIES), len(names))
        self._bars = {name: series(number) for name, number in zip(names, picked, strict=True)}
        self._start = start
        self.origin = from_epoch_ms(int(self._bars[names[0]].end_ms[start]))
        self._ways = {name: [self._way(name, n, chance) for n in range(LENGTH - 13)] for name in names}

    def _way(self, name: str, number: int, chance: Random) -> tuple[tuple[float, float], ...]:
        """Where the price is when, inside one bar."""
        bars, row = self._bars[name], self._start + 1 + number
        reached = [float(bars.low[row]), float(bars.high[row])]
        if chance.random() < 0.5:
            reached.reverse()
        opened, close = float(bars.open[row]), float(bars.close[row])
        return (
            (0.0, opened),
            (chance.uniform(6, 25), reached[0]),
            (chance.uniform(30, 54), reached[1]),
            (BAR_S, close),
        )

    def price(self, name: str, now: float) -> Decimal:
        """Where the market stands; it stands still once it is frozen."""
        now = min(now, self._frozen_from())
        number, inside = int(now // BAR_S), now % BAR_S
        way = self._ways[name][number]
        for (before, low), (after, high) in pairwise(way):
            if inside <= after:
                return exact(round(low + (high - low) * (inside - before) / (after - before), 2))
        raise AssertionError("a bar has an end")

    def bar(self, name: str, number: int) -> Bar:
        """The bar that closes at second `60 * number`; earlier ones have numbers below 1."""
        bars, row = self._bars[name], self._start + number
        values = [exact(float(column[row])) for column in bars[1:]]
        return Bar(name, self.origin + MINUTE * number, *values)

    def history(self, name: str, before: datetime, count: int) -> BarArrays:
        """Closed bars known before a moment."""
        bars = self._bars[name]
        stop = int(np.searchsorted(bars.end_ms, round(before.timestamp() * 1000)))
        return bars.slice(max(0, stop - count), stop)
