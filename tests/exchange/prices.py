"""What things cost, at any moment past or present: a seeded walk, on which a test may put prices of its own.

The walk is fractal noise: one smooth wave for every period from a minute to two years, each as high as the square
root of its period, which is how far a random walk gets. So any candle of any length can be computed by itself.
"""

import math
from bisect import bisect_right
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np

MINUTE_MS = 60_000
OCTAVES = 21
PER_MINUTE = 0.0004
SAMPLES = 9  # of each candle, its two ends among them


class Prices:
    """One symbol's. Until a test says otherwise the price stands where it began, with the walk behind it."""

    def __init__(
        self, price: Decimal, tick: Decimal, start_ms: int, seed: int, *, moving: bool = False
    ) -> None:
        self.tick = tick
        self._seed = seed
        # (from when, at what price, standing or walking on from there)
        self._events: list[tuple[int, float, bool]] = [(start_ms, float(price), not moving)]

    def set(self, price: Decimal, ms: int, *, moving: bool = False) -> None:
        """From then on it costs that, and stands there or walks on."""
        self._events.append((ms, float(price), not moving))
        self._events.sort(key=lambda event: event[0])

    def at(self, ms: int) -> Decimal:
        """The price of that moment, in whole ticks."""
        return self._exact(float(self._many(np.array([ms]))[0]))

    def changes(self, after_ms: int, until_ms: int) -> list[int]:
        """The moments in between at which the price was put somewhere."""
        return [ms for ms, _, _ in self._events if after_ms < ms <= until_ms]

    def candles(self, step_ms: int, first_open: int, count: int, now_ms: int) -> list[list[Any]]:
        """Rows as the exchange tells them; the last may not be closed yet."""
        opens = [first_open + step_ms * i for i in range(count) if first_open + step_ms * i <= now_ms]
        if not opens:
            return []
        offsets = np.linspace(0, step_ms, SAMPLES).astype(np.int64)
        times = np.minimum(np.array(opens)[:, None] + offsets[None, :], now_ms)
        values = self._many(times.ravel()).reshape(times.shape)
        rows = []
        for open_ms, line in zip(opens, values.tolist(), strict=True):
            inside = [self.at(ms) for ms in self.changes(open_ms, min(open_ms + step_ms - 1, now_ms))]
            told = [self._exact(value) for value in line]
            high, low = max(told + inside), min(told + inside)
            volume = f"{10 + 90 * (self._noise(np.array([open_ms // MINUTE_MS]), 77)[0] + 1) / 2:.5f}"
            rows.append(
                [open_ms, str(told[0]), str(high), str(low), str(told[-1]), volume, open_ms + step_ms - 1,
                 "0", 100, "0", "0", "0"]
            )  # fmt: skip
        return rows

    def _exact(self, value: float) -> Decimal:
        steps = (Decimal(repr(value)) / self.tick).to_integral_value(ROUND_HALF_EVEN)
        return max(steps, Decimal(1)) * self.tick

    def _many(self, times: np.ndarray) -> np.ndarray:
        starts = [event[0] for event in self._events]
        found = np.empty(len(times))
        which = np.array([max(bisect_right(starts, int(ms)) - 1, -1) for ms in times])
        for index in set(which.tolist()):
            here = which == index
            ms, price, stands = self._events[max(index, 0)]
            if index >= 0 and stands:
                found[here] = price
            else:  # before the first event the walk leads up to its price
                found[here] = price * np.exp(self._walk(times[here]) - self._walk(np.array([ms])))
        return found

    def _walk(self, times: np.ndarray) -> np.ndarray:
        total = np.zeros(len(times))
        for octave in range(OCTAVES):
            period = MINUTE_MS << octave
            place, part = times // period, (times % period) / period
            smooth = part * part * (3 - 2 * part)
            left, right = self._noise(place, octave), self._noise(place + 1, octave)
            total += PER_MINUTE * math.sqrt(1 << octave) * (left + (right - left) * smooth)
        return total

    def _noise(self, place: np.ndarray, octave: int) -> np.ndarray:
        """From -1 to 1, by place, octave and seed (splitmix64)."""
        with np.errstate(over="ignore"):
            z = place.astype(np.uint64) + np.uint64((self._seed * 1_000_003 + octave * 7_919 + 1) % 2**63)
            z = z * np.uint64(0x9E3779B97F4A7C15)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
        return z.astype(np.float64) / 2**63 - 1
