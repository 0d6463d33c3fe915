"""The tail of every bar, as the record keeps it."""

from engine.core.domain.market import Floats
from engine.core.domain.tail import Tail, TailEstimate
from engine.core.maths.coverage import accepts
from engine.core.maths.losses import ESTIMATORS, WINDOW, Losses
from engine.core.maths.tails import FEWEST


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
        var, es = told[name]
        tested, exceptions = losses.counts(name)
        columns.append(
            [
                TailEstimate(name, v, e, n, t, accepts(n, t)) if v == v else None
                for v, e, n, t in zip(
                    var.tolist(),
                    es.tolist(),
                    exceptions[rows].tolist(),
                    tested[rows].tolist(),
                    strict=True,
                )
            ]
        )
    return [
        Tail(WINDOW, FEWEST, tuple([one for one in estimates if one is not None]))
        for estimates in zip(*columns, strict=True)
    ]
