"""How one instrument moves with the others of the desk.

An instrument's bars do not close when another's do. What counts is what was known: at the end of each of its newest
bars, the last close of the other. Returns between those are set side by side with its own.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from engine.core.domain.market import BarArrays, Floats
from engine.core.maths.rolling import Halves, padded, rolling_correlation

BARS = 60
"""Returns that are set side by side."""
MOST = 20
"""Others that are looked at, so that the work of a bar has a bound: the first of the desk's list."""
_FLAT = 1e-9


class Beside(NamedTuple):
    """By bar: the correlation with one other instrument and that one's deviation, NaN where there is none."""

    correlation: Floats
    volatility: Floats


def beside(bars: BarArrays, other: BarArrays, most_bars: int, last: int | None = None) -> Beside:
    """Set another instrument's returns beside the bars' own. `last` is how many newest bars are wanted.

    What lies further back than the other's `most_bars` newest at that moment is not known to a live desk, nor here.
    """
    if not other.size:
        nothing = np.full(bars.size, np.nan)
        return Beside(nothing, nothing)
    place = other.end_ms.searchsorted(bars.end_ms, side="right") - 1
    close = np.where(place >= 0, other.close[np.maximum(place, 0)], np.nan)
    with np.errstate(all="ignore"):
        theirs, ours = np.diff(np.log(close)), np.diff(np.log(bars.close))
        size = bars.size
        volatility = padded(_deviation(theirs), size)
        moving = (padded(_deviation(ours), size) > _FLAT) & (volatility > _FLAT)
        correlation = padded(rolling_correlation(ours, theirs, BARS, (0.0, 0.0), last), size)
    reach = np.full(size, False)
    reach[BARS:] = place[: size - BARS] > place[BARS:] - most_bars
    return Beside(
        np.where(moving & reach, correlation, np.nan),
        np.where(reach, volatility, np.nan),
    )


def newest(
    name: str, bars: BarArrays, others: Mapping[str, BarArrays], most_bars: int
) -> dict[str, tuple[float, float]]:
    """Correlation and volatility of each of the others at the newest bar, NaN where there is none."""
    own = bars.tail(BARS + 1)
    found = {}
    for other in chosen(name, tuple(others)):
        told = beside(own, others[other], most_bars, last=1)
        found[other] = (float(told.correlation[-1]), float(told.volatility[-1]))
    return found


def chosen(name: str, instruments: Sequence[str]) -> tuple[str, ...]:
    """The others that are looked at.

    >>> chosen("ETH", ("BTC", "ETH", "SOL"))
    ('BTC', 'SOL')
    """
    return tuple([other for other in instruments if other != name])[:MOST]


def _deviation(returns: Floats) -> Floats:
    spread: Floats = np.sqrt(Halves(returns).moments(BARS)[1] / (BARS - 1))
    return spread
