"""Was the value at risk right over a whole run? Each estimator, and the figure that sizing counted with.

The same estimates and the same exceptions as the desk's own test of the newest 250 bars, over all bars that the
estimators could be asked before. Kupiec counts, Christoffersen looks for heaps, the Basel light is of the newest 250.
"""

from typing import Literal

import msgspec
import numpy as np

from engine.core.domain.market import Floats
from engine.core.domain.tail import YELLOW
from engine.core.maths.coverage import (
    KUPIEC_95,
    Light,
    accepts,
    basel_light,
    chance_of,
    christoffersen,
    kupiec,
    kupiec_region,
    transitions,
)
from engine.core.maths.losses import ESTIMATORS, NEEDED, RARE, TESTED, Bools, Losses

USED = "used"
"""The name under which the figure is tested that sizing counted with. It is the largest of several, so that it is meant
to be passed more rarely than promised."""
Verdict = Literal["right", "too careful", "wrong"]
_FEW = 250
_BLOCK = 4096


class TailTest(msgspec.Struct, frozen=True):
    """One estimator over all bars of one instrument.

    `low` and `high` are the fewest and the most `exceptions` inside Kupiec's region at 5 %. `kupiec`, `independence`
    and `both` are likelihood ratios, the chances those of ratios at least as large; transitions are counted between
    the bars that there are (T - 1). `heaps` says that exceptions follow each other more often than chance has it.
    Only what is `right` lies inside the region.
    """

    instrument: str
    estimator: str
    bars: int
    exceptions: int
    low: int
    high: int
    kupiec: float
    kupiec_chance: float
    independence: float
    both: float
    both_chance: float
    heaps: bool
    light: Light
    verdict: Verdict


def value_at_risk(instrument: str, closes: Floats) -> tuple[TailTest, ...]:
    """Every estimator and what was used; empty when there are fewer than 250 bars to test."""
    if closes.shape[0] < NEEDED + _FEW:
        return ()
    losses = Losses(closes)
    found = [_judged(instrument, name, *losses.tests(name)) for name in ESTIMATORS]
    return (*[one for one in found if one is not None], *_used(instrument, losses))


def _used(instrument: str, losses: Losses) -> tuple[TailTest, ...]:
    size = losses.returns.shape[0]
    said = np.full(size, np.nan)
    for start in range(0, size, _BLOCK):
        stop = min(size, start + _BLOCK)
        said[start:stop] = _counted(losses, start, stop)
    before = np.concatenate(([np.nan], said[:-1]))
    tested = np.isfinite(before) & np.isfinite(losses.returns)
    with np.errstate(invalid="ignore"):
        hits = tested & (losses.returns < -before)
    judged = _judged(instrument, USED, tested, hits)
    return (judged,) if judged else ()


def _counted(losses: Losses, start: int, stop: int) -> Floats:
    """The largest of the accepted estimates at each row, or the most careful, times the yellow zone's factor."""
    told, rows = losses.estimates(start, stop), slice(start, stop)
    accepted, anyway = np.full(stop - start, -1.0), np.full(stop - start, -1.0)
    for name in ESTIMATORS:
        var = np.nan_to_num(told[name][0], nan=-1.0)
        tested, hits = (column[rows].tolist() for column in losses.counts(name))
        good = np.array(
            [accepts(hit, count) for hit, count in zip(hits, tested, strict=True)], dtype=np.bool_
        )
        accepted = np.where(good, np.maximum(accepted, var), accepted)
        anyway = np.maximum(anyway, var)
    loss = np.where(accepted >= 0, accepted, anyway * YELLOW)
    return np.where(loss >= 0, loss, np.nan)


def _judged(instrument: str, name: str, tested: Bools, hits: Bools) -> TailTest | None:
    """From the first bar on before which a live window would have been full."""
    fell = hits[NEEDED:][tested[NEEDED:]]
    bars, exceptions = fell.size, int(fell.sum())
    if bars < _FEW:
        return None
    low, high = kupiec_region(bars)
    counted = transitions(fell)
    count, heaps = kupiec(exceptions, bars), christoffersen(counted)
    after_hit = counted.hit_hit * (counted.calm_calm + counted.calm_hit)
    after_calm = counted.calm_hit * (counted.hit_calm + counted.hit_hit)
    return TailTest(
        instrument=instrument,
        estimator=name,
        bars=bars,
        exceptions=exceptions,
        low=low,
        high=high,
        kupiec=count,
        kupiec_chance=chance_of(count),
        independence=heaps,
        both=count + heaps,
        both_chance=chance_of(count + heaps, 2),
        heaps=heaps >= KUPIEC_95 and after_hit > after_calm,
        light=basel_light(int(fell[-TESTED:].sum()), TESTED, RARE),
        verdict="wrong" if exceptions > high else "too careful" if exceptions < low else "right",
    )
