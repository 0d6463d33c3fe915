"""The tail of every bar, as the record keeps it."""

from functools import lru_cache

from engine.core.domain.market import Floats
from engine.core.domain.tail import Tail, TailEstimate
from engine.core.maths.coverage import kupiec_region
from engine.core.maths.losses import ESTIMATORS, WINDOW, Losses, newest
from engine.core.maths.tails import FEWEST

FEWEST_TESTED = 100
"""Bars below which a test says nothing, and the estimator is not accepted."""


def tail(closes: Floats) -> Tail:
    """What may be lost on the bar after the newest close."""
    size = closes.shape[0]
    return tails(Losses(closes), size - 1, size)[0]


def tails(losses: Losses, start: int, stop: int) -> list[Tail]:
    """The same after each of many bars: rows `start` up to but without `stop`."""
    rows = slice(start, stop)
    told = losses.estimates(start, stop)
    columns = []
    for name in ESTIMATORS:
        tested, hits = losses.tests(name)
        var, es = told[name]
        columns.append(
            [
                TailEstimate(name, v, e, n, t, accepts(n, t)) if v == v else None
                for v, e, n, t in zip(
                    var.tolist(),
                    es.tolist(),
                    newest(hits, rows).tolist(),
                    newest(tested, rows).tolist(),
                    strict=True,
                )
            ]
        )
    return [
        Tail(WINDOW, FEWEST, tuple([one for one in estimates if one is not None]))
        for estimates in zip(*columns, strict=True)
    ]


@lru_cache(maxsize=65_536)
def accepts(exceptions: int, tested: int) -> bool:
    """Whether so many exceptions contradict the promise of one bar in twenty."""
    if tested < FEWEST_TESTED:
        return False
    low, high = kupiec_region(tested)
    return low <= exceptions <= high
