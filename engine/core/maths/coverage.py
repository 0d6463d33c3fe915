"""Was a value at risk right? Counting the bars on which more was lost.

An exception is a return below minus the value at risk that was known before the bar. Right are about as many as were
promised (Kupiec 1995, proportion of failures), scattered and not in heaps (Christoffersen 1998); the Basel
Committee's light says how surprising the count is. The likelihood ratios are held against a chi-square distribution
with one degree of freedom, and two for both together.

Transitions: the textbooks count as many as there are bars, as if the bar before the first had been none; libraries
count one fewer. Here `transitions` counts those there are, and the textbooks' figure comes from counts given by hand.
"""

import math
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Light = Literal["green", "yellow", "red"]

KUPIEC_95 = 3.841458820694124
"""What a chi-square variable with one degree of freedom stays below with 95 %."""
BOTH_95 = 5.991464547107979
"""The same with two."""
FEWEST_BARS = 100
"""Bars below which a count says nothing, and nothing is accepted."""
_YELLOW, _RED = 0.95, 0.9999


class Transitions(NamedTuple):
    """How often a bar of one kind followed one of another: `calm_hit` is an exception after a bar without one."""

    calm_calm: int
    calm_hit: int
    hit_calm: int
    hit_hit: int


def kupiec(exceptions: int, bars: int, rare: float = 0.05) -> float:
    """Return the likelihood ratio of that many exceptions in so many bars, where a share of `rare` was promised.

    >>> round(kupiec(20, 252), 2)  # J.P. Morgan 1998, in Jorion
    3.91
    >>> round(kupiec(0, 250), 2)
    25.65
    """
    if not 0 <= exceptions <= bars or bars < 1:
        raise ValueError(
            f"exceptions must be from 0 to the bars, of which there is one, was {exceptions} of {bars}"
        )
    share = exceptions / bars
    promised = _log(bars - exceptions, 1 - rare) + _log(exceptions, rare)
    seen = _log(bars - exceptions, 1 - share) + _log(exceptions, share)
    return max(0.0, 2 * (seen - promised))


@lru_cache(maxsize=1024)
def kupiec_region(bars: int, rare: float = 0.05) -> tuple[int, int]:
    """Return the fewest and the most exceptions that do not contradict the promise, at 5 %.

    Kupiec (1995) prints 6 < N < 21 for one in twenty and N < 7 for one in a hundred; his ratio leaves out none at all
    there, too.

    >>> kupiec_region(255), kupiec_region(255, 0.01)
    ((7, 20), (1, 6))
    """
    inside = round(bars * rare)
    low = high = inside
    while low > 0 and kupiec(low - 1, bars, rare) < KUPIEC_95:
        low -= 1
    while high < bars and kupiec(high + 1, bars, rare) < KUPIEC_95:
        high += 1
    return low, high


@lru_cache(maxsize=65_536)
def accepts(exceptions: int, bars: int) -> bool:
    """Whether so many exceptions are inside the region of a promise of one bar in twenty.

    >>> accepts(12, 250), accepts(3, 250), accepts(25, 250), accepts(5, 99)
    (True, False, False, False)
    """
    if bars < FEWEST_BARS:
        return False
    low, high = kupiec_region(bars)
    return low <= exceptions <= high


def transitions(hits: NDArray[np.bool_]) -> Transitions:
    """Count from bar to bar, oldest first: one fewer than there are bars.

    >>> transitions(np.array([False, True, True, False]))
    Transitions(calm_calm=0, calm_hit=1, hit_calm=1, hit_hit=1)
    """
    before, after = hits[:-1], hits[1:]
    both, first, second = int((before & after).sum()), int(before.sum()), int(after.sum())
    return Transitions(before.size - first - second + both, second - both, first - both, both)


def christoffersen(counted: Transitions) -> float:
    """Return the likelihood ratio of exceptions that come in heaps; 0 where there was no choice.

    >>> round(christoffersen(Transitions(218, 14, 14, 6)), 2)  # J.P. Morgan 1998, the day before the first counted
    9.53
    >>> round(christoffersen(Transitions(217, 14, 14, 6)), 3)  # and without it, as libraries do
    9.489
    """
    calm, hit = counted.calm_calm + counted.calm_hit, counted.hit_calm + counted.hit_hit
    hits, calms = counted.calm_hit + counted.hit_hit, counted.calm_calm + counted.hit_calm
    if not calm or not hit:
        return 0.0
    after_calm, after_hit, anyway = counted.calm_hit / calm, counted.hit_hit / hit, hits / (calm + hit)
    depends = (
        _log(counted.calm_calm, 1 - after_calm)
        + _log(counted.calm_hit, after_calm)
        + _log(counted.hit_calm, 1 - after_hit)
        + _log(counted.hit_hit, after_hit)
    )
    return max(0.0, 2 * (depends - _log(calms, 1 - anyway) - _log(hits, anyway)))


def chance_of(ratio: float, freedom: Literal[1, 2] = 1) -> float:
    """Return the probability of a likelihood ratio at least as large, if all was as promised.

    >>> round(chance_of(KUPIEC_95), 4), round(chance_of(BOTH_95, 2), 4)
    (0.05, 0.05)
    """
    return math.erfc(math.sqrt(ratio / 2)) if freedom == 1 else math.exp(-ratio / 2)


def at_most_chance(exceptions: int, bars: int, rare: float) -> float:
    """Return the probability of that many exceptions or fewer, if they were independent and as rare as promised.

    >>> [round(100 * at_most_chance(n, 250, 0.01), 2) for n in (0, 1, 2, 3, 4, 5)]  # Basel Committee 1996
    [8.11, 28.58, 54.32, 75.81, 89.22, 95.88]
    """
    logs = [
        math.lgamma(bars + 1)
        - math.lgamma(n + 1)
        - math.lgamma(bars - n + 1)
        + _log(n, rare)
        + _log(bars - n, 1 - rare)
        for n in range(exceptions + 1)
    ]
    return min(1.0, math.fsum(math.exp(log) for log in logs))


def basel_light(exceptions: int, bars: int, rare: float) -> Light:
    """Return the zone: yellow from where so few or fewer have a chance of 95 %, red from 99.99 %.

    >>> [basel_light(n, 250, 0.01) for n in (4, 5, 9, 10)]
    ['green', 'yellow', 'yellow', 'red']
    """
    chance = at_most_chance(exceptions, bars, rare)
    return "green" if chance < _YELLOW else "yellow" if chance < _RED else "red"


def _log(times: int, probability: float) -> float:
    """`times` the logarithm: nothing where it never happened, however impossible it was."""
    return times * math.log(probability) if times else 0.0
