"""What one bar may lose, by three estimators, at every bar of a series, and how often each was wrong before.

* `normal`: 1.645 standard deviations of the newest 60 log returns, around a mean of zero.
* `historical`: the quantile of the newest 275 log returns.
* `evt`: each of those returns divided by the deviation of the 20 before it; beyond the 51st largest of these losses a
  generalised Pareto tail (McNeil and Frey 2000, with that deviation for their GARCH model); times the deviation now.

Each looks at a fixed number of bars up to the one it is asked at, so an estimate depends on its window alone, and the
estimates that were made before the newest 250 bars test the very estimator that speaks now. A bar is tested against
the estimate of the bar before it: its own return is no part of it. Windows of 20 + 275 bars before 250 that are tested
are the 545 returns of the live window.

Only bars that may be exceptions are estimated in a test: a return that is not among the lowest of its window cannot lie
beyond the quantile, whatever the quantile comes to.
"""

import numpy as np
from numpy.typing import NDArray

from engine.core.maths.rolling import Floats, Halves, lag, padded
from engine.core.maths.statistics import normal_density, normal_quantile
from engine.core.maths.tails import (
    FEWEST,
    historical_sorted,
    lowest,
    pareto_quantiles,
    pareto_rows,
)

ESTIMATORS = ("normal", "historical", "evt")
LEVEL, FAR = 0.95, 0.975
"""Of the value at risk, and of the expected shortfall."""
RARE = 0.05
WINDOW, TESTED = 275, 250
QUICK, SLOW = 20, 60
FLAT = 1e-9
"""A deviation not above this is no movement."""
NEEDED = QUICK + WINDOW + TESTED + 1
"""Bars after which everything is said."""

_BLOCK = 512
_NORMAL_VAR = normal_quantile(LEVEL)
_NORMAL_ES = normal_density(normal_quantile(FAR)) / (1 - FAR)
_NEAR, _NEAR_PART = lowest(WINDOW, LEVEL)
_DEEP, _DEEP_PART = lowest(WINDOW, FAR)

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Estimate = tuple[Floats, Floats]
"""Value at risk and expected shortfall, by bar; NaN where nothing can be said. Never negative."""


class Losses:
    """The three estimators over the closes of one instrument, oldest first. Rows are bars.

    What an estimator says at a row is for the bar after it. Tests are worked out when first asked for.
    """

    def __init__(self, closes: Floats) -> None:
        with np.errstate(all="ignore"):
            moves = np.diff(np.log(closes))
            halves = Halves(moves)
            size = closes.shape[0]
            self.returns = padded(moves, size)
            self._slow = padded(_deviation(halves, SLOW), size)
            self._quick = padded(_deviation(halves, QUICK), size)
            before = lag(self._quick, 1)
            scaled = self.returns / before
            scaled[~(before > FLAT)] = np.nan
            self._scaled = scaled
        self._plain_windows, self._plain_whole = _windows(self.returns)
        self._scaled_windows, self._scaled_whole = _windows(scaled)
        self._tests: dict[str, tuple[Bools, Bools]] = {}
        self._counts: dict[str, tuple[Ints, Ints]] = {}

    def estimates(self, start: int, stop: int) -> dict[str, Estimate]:
        """What each estimator says at rows `start` up to but without `stop`."""
        rows = slice(start, stop)
        normal, quick = self._slow[rows], self._quick[rows]
        with np.errstate(all="ignore"):
            plain = _historical(self._plain_windows[rows], self._plain_whole[rows])
            tail = _evt(self._scaled_windows[rows], self._scaled_whole[rows] & (quick > FLAT))
        return {
            "normal": (_NORMAL_VAR * normal, _NORMAL_ES * normal),
            "historical": plain,
            "evt": (tail[0] * quick, tail[1] * quick),
        }

    def tests(self, name: str) -> tuple[Bools, Bools]:
        """Which bars an estimator spoke before, and on which of them more was lost than it said."""
        if name not in self._tests:
            with np.errstate(all="ignore"):
                self._tests[name] = _TESTS[name](self)
        return self._tests[name]

    def counts(self, name: str) -> tuple[Ints, Ints]:
        """Of the newest 250 bars at each row: how many were tested, and on how many of them more was lost."""
        if name not in self._counts:
            tested, hits = self.tests(name)
            self._counts[name] = newest(tested), newest(hits)
        return self._counts[name]

    def _test_normal(self) -> tuple[Bools, Bools]:
        before = lag(self._slow, 1)
        tested = np.isfinite(before) & np.isfinite(self.returns)
        return tested, tested & (self.returns < -_NORMAL_VAR * before)

    def _test_historical(self) -> tuple[Bools, Bools]:
        tested = np.concatenate(([False], self._plain_whole[:-1])) & np.isfinite(self.returns)
        hits = np.zeros(tested.shape[0], dtype=np.bool_)
        for rows in _lowest_of(self.returns, self._plain_windows, tested, _NEAR + 1):
            var, _ = _historical(self._plain_windows[rows - 1], self._plain_whole[rows - 1])
            hits[rows] = self.returns[rows] < -var
        return tested, hits

    def _test_evt(self) -> tuple[Bools, Bools]:
        tested = np.concatenate(([False], self._scaled_whole[:-1])) & np.isfinite(self._scaled)
        hits = np.zeros(tested.shape[0], dtype=np.bool_)
        for rows in _lowest_of(self._scaled, self._scaled_windows, tested, FEWEST):
            var, _ = _evt(self._scaled_windows[rows - 1], self._scaled_whole[rows - 1])
            hits[rows] = self.returns[rows] < -(var * self._quick[rows - 1])
            tested[rows[np.isnan(var)]] = False  # no tail was fitted, so that nothing was said
        return tested, hits


_TESTS = {
    "normal": Losses._test_normal,
    "historical": Losses._test_historical,
    "evt": Losses._test_evt,
}


def newest(marks: Bools, bars: int = TESTED) -> Ints:
    """How many of the `bars` up to each row are marked.

    >>> newest(np.array([True, True, False, True]), bars=2).tolist()
    [1, 2, 1, 1]
    """
    total: Ints = np.concatenate((np.zeros(bars, dtype=np.int64), np.cumsum(marks, dtype=np.int64)))
    return np.subtract(total[bars:], total[: marks.shape[0]])


def _deviation(halves: Halves, bars: int) -> Floats:
    spread: Floats = np.sqrt(halves.moments(bars)[1] / (bars - 1))
    spread[spread <= FLAT] = 0.0
    return spread


def _windows(values: Floats) -> tuple[Floats, Bools]:
    """The window that ends at each row, as a view, and whether all of it is known."""
    lead = np.concatenate((np.full(WINDOW - 1, np.nan), values))
    view: Floats = np.ndarray((values.shape[0], WINDOW), np.float64, lead, 0, (8, 8))
    unknown = np.concatenate(([0], np.cumsum(~np.isfinite(lead))))
    return view, unknown[WINDOW:] == unknown[:-WINDOW]


def _lowest_of(values: Floats, windows: Floats, tested: Bools, place: int) -> list[Ints]:
    """The tested rows, in blocks, with at most `place` smaller values in the window that ended before them."""
    found = []
    asked = np.flatnonzero(tested)
    for start in range(0, asked.size, _BLOCK):
        rows = asked[start : start + _BLOCK]
        first, last = int(rows[0]), int(rows[-1]) + 1
        smaller = windows[first - 1 : last - 1] < values[first:last, None]
        count = np.add.reduce(smaller.view(np.uint8), axis=1, dtype=np.uint32)
        low = rows[count[rows - first] <= place]
        if low.size:
            found.append(low)
    return found


def _historical(rows: Floats, whole: Bools) -> Estimate:
    worst = np.sort(np.partition(rows, _NEAR + 1, axis=1)[:, : _NEAR + 2], axis=1)
    var = historical_sorted(worst, _NEAR, _NEAR_PART)[0]
    es = historical_sorted(worst, _DEEP, _DEEP_PART)[1]
    return _told(var, whole), _told(es, whole)


def _evt(rows: Floats, whole: Bools) -> Estimate:
    """In units of the deviation before each return."""
    worst = np.sort(np.partition(rows, FEWEST, axis=1)[:, : FEWEST + 1], axis=1)
    threshold = -worst[:, FEWEST]
    xi, beta = pareto_rows(-worst[:, FEWEST - 1 :: -1] - threshold[:, None])
    share = FEWEST / WINDOW
    var, _ = pareto_quantiles(xi, beta, threshold, (1 - LEVEL) / share)
    _, es = pareto_quantiles(xi, beta, threshold, (1 - FAR) / share)
    return _told(var, whole), _told(es, whole)


def _told(figure: Floats, whole: Bools) -> Floats:
    return np.where(whole, np.maximum(figure, 0.0), np.nan)
