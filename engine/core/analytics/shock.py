"""A scenario laid on bars: what they would have been if all that had happened on top of what did.

A path is told in market days, and a day is as many bars as the file has in one (24 of an hour round the clock, 7 of
an hour at a stock exchange, one of a day). Bar `k` of the shock covers the piece from `k` to `k + 1` bars after its
begin: its open and close are the path at both ends, its low and high the lowest and the highest in between, each
times what the bar was without the shock. So a long bar holds a whole crash as its low, and short bars walk through
it. Where a path would take more than `LONGEST` bars it is walked in so many: then each of them falls further than it
did.

The scale turns everything up or down: at 0 bars are as they were, bit for bit, at 1 the scenario as told, at 2 a fall
twice as deep. Prices stop at a ten-thousandth of what they were, but where the scenario itself goes below zero.
"""

import math

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from engine.core.analytics.scenarios import Loss, Scenario, Span
from engine.core.domain.market import BarArrays, Floats, Ints

LONGEST = 400
"""Bars in which the longest path is walked."""
FLOOR = 1e-4
"""What is left of a price at least, unless it is said to have gone below zero."""
SHALLOWEST = 1e-3
"""What is left of a volume at least."""
_DAY_MS = 86_400_000
_EDGE = (
    1e-9  # of a day: a bar's open lies just after a jump at its begin, its close just before one at its end
)


def bars_per_day(end_ms: Ints, step_ms: int) -> float:
    """How many bars of `step_ms` a day of this market has: the median over the days that have any."""
    if step_ms >= _DAY_MS or not end_ms.size:
        return 1.0
    _, counts = np.unique((end_ms - 1) // _DAY_MS, return_counts=True)
    return float(np.median(counts))


def pace(scenario: Scenario, per_day: float) -> float:
    """Bars in a day of the path: those of the market, or fewer where it would take more than `LONGEST` of them."""
    return min(per_day, LONGEST / scenario.days) if scenario.days else per_day


def length(scenario: Scenario, per_day: float) -> int:
    """Bars that the path covers, one at least."""
    return max(1, math.ceil(scenario.days * per_day - _EDGE))


def deepest(scenario: Scenario) -> float:
    """The scale at which prices reach the floor, at most 10: also where money is written off, or prices pass zero."""
    fall = 1 - scenario.lowest
    if scenario.written_off is not Loss.NOTHING or scenario.lowest < 0 or fall <= 0:
        return 10.0 if scenario.lowest >= 0 else 2.0
    return min(10.0, (1 - FLOOR) / fall)


def lay(
    bars: BarArrays, number: Ints, scenario: Scenario, scale: float, per_day: float, digits: int
) -> BarArrays:
    """The bars with the shock on top. `number` counts each bar from the begin of the shock; those before it are
    negative.

    Prices are rounded to `digits` decimals. A price at or below zero is left as it is: whoever takes bars in refuses
    it.
    """
    if scale == 0:
        return bars
    shocked = number >= 0
    first, last = number[shocked] / per_day, (number[shocked] + 1) / per_day
    opened, closed = _level(scenario, scale, first + _EDGE), _level(scenario, scale, last - _EDGE)
    low, high = np.minimum(opened, closed), np.maximum(opened, closed)
    for knot in scenario.path:
        inside = (first < knot.day) & (knot.day < last)
        level = float(_level(scenario, scale, np.array([knot.day]))[0])
        low = np.where(inside, np.minimum(low, level), low)
        high = np.where(inside, np.maximum(high, level), high)
    factors = {"open": opened, "high": high, "low": low, "close": closed}
    columns = {
        name: _on(getattr(bars, name), shocked, factor, scenario, digits) for name, factor in factors.items()
    }
    thin = shocked & (number < length(scenario, per_day))
    volume = np.where(thin, bars.volume * max(scenario.depth**scale, SHALLOWEST), bars.volume)
    return BarArrays(bars.end_ms, columns["open"], columns["high"], columns["low"], columns["close"], volume)


def cut_off(scenario: Scenario, per_day: float) -> Scenario:
    """The same with a venue that takes and fills nothing until the bar that holds the lowest price is over."""
    low = min(scenario.path, key=lambda knot: knot.level)
    bars = math.ceil(low.day * per_day - _EDGE)
    return replace(scenario, closed=(*scenario.closed, Span(0.0, bars / per_day)))


def spread_at(number: int, scenario: Scenario, scale: float, per_day: float) -> float:
    """How many times as wide as usual the spread is at a bar of the shock."""
    within = 0 <= number < length(scenario, per_day)
    return 1 + (scenario.spread - 1) * scale if within else 1.0


def within(number: Ints, spans: tuple[Span, ...], scale: float, per_day: float) -> NDArray[np.bool_]:
    """Whether the middle of each bar of the shock lies in one of the spans, which are shorter below scale 1."""
    middle = (number + 0.5) / per_day
    found = np.zeros(number.size, dtype=bool)
    for span in spans:
        stop = span.start + (span.stop - span.start) * min(1.0, scale)
        found |= (span.start <= middle) & (middle < stop)
    return found


def _level(scenario: Scenario, scale: float, day: Floats) -> Floats:
    """Prices at these moments of the path, as a share of what they were; after its end they stay."""
    days = [knot.day for knot in scenario.path]
    level = 1 + scale * (np.interp(day, days, [knot.level for knot in scenario.path]) - 1)
    lowered: Floats = level if scenario.lowest < 0 else np.maximum(level, FLOOR)
    return lowered


def _on(
    column: Floats, shocked: NDArray[np.bool_], factor: Floats, scenario: Scenario, digits: int
) -> Floats:
    """One column of prices times its factors, on the grid of prices."""
    found: Floats = column.copy()
    moved = np.round(column[shocked] * factor, digits)
    if scenario.lowest >= 0:
        moved = np.maximum(moved, 10.0**-digits)
    found[shocked] = np.where(factor == 1.0, column[shocked], moved)
    return found


def carried_on(bars: BarArrays, more: int, step_ms: int, digits: int) -> BarArrays:
    """The bars and `more` after them: the last ones told again from where the prices stand, a step apart.

    What comes after the end of a file is not known, and a shock needs bars to lie on: these have the usual shape.
    """
    again = bars.tail(min(bars.size, more))
    # every bar relative to the close before it, told once more from the last close
    before = np.concatenate((again.open[:1], again.close[:-1]))
    rows = np.arange(more) % again.size
    steps = (again.close / before)[rows]
    base = np.concatenate(([1.0], np.cumprod(steps)[:-1])) * bars.close[-1]
    least = 10.0**-digits
    shaped = [np.maximum(np.round(base * (column / before)[rows], digits), least) for column in again[1:5]]
    top, bottom = np.maximum(shaped[0], shaped[3]), np.minimum(shaped[0], shaped[3])
    shaped[1], shaped[2] = np.maximum(shaped[1], top), np.minimum(shaped[2], bottom)
    end_ms = bars.end_ms[-1] + step_ms * np.arange(1, more + 1)
    columns = (end_ms, *shaped, again.volume[rows])
    return BarArrays(*(np.concatenate(pair) for pair in zip(bars, columns, strict=True)))
