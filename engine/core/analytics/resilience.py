"""How much a desk withstands, as one number and as the smallest shock that takes a given part of its money."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

RUIN = 0.5
"""A loss from which a scenario earns no points: to get back what is gone, what is left must double."""


def points(loss: float) -> float:
    """What one loss earns, 0 to 100: `100 * (1 - loss / 0.5)`, nothing from half of the money on.

    >>> points(0.0), points(0.25), points(0.8)
    (100.0, 50.0, 0.0)
    """
    return 100 * min(1.0, max(0.0, 1 - loss / RUIN))


def score(losses: Sequence[float]) -> float | None:
    """The resilience score, 0 to 100: the mean of the points; None without any loss to judge.

    `losses` are those to the lowest equity, as shares of the equity at the begin of the shock: for each scenario that
    of the worst place with the venue there, and that with the venue gone until the low.
    """
    return sum(map(points, losses)) / len(losses) if losses else None


class Reach(NamedTuple):
    """The smallest scale at which a limit is lost, None where no scale up to the largest does it.

    `rising` says whether the loss never fell from one scale that was tried to the next larger one; where it did,
    `scale` is the smallest of those tried, and a smaller one may do it too.
    """

    limit: float
    scale: float | None
    rising: bool


def smallest(
    loss: Callable[[float], float],
    limits: Sequence[float],
    most: float,
    steps: int = 8,
    precision: float = 0.01,
) -> tuple[Reach, ...]:
    """For each limit, the smallest scale in (0, `most`] with `loss(scale) >= limit`, to `precision` of `most`.

    The loss is looked at on a grid of `steps` first, and by halves between its two neighbours after that.

    >>> [reach.scale for reach in smallest(lambda scale: scale / 4, (0.1, 0.9), 2.0, precision=0.001)]
    [0.400390625, None]
    """
    known: dict[float, float] = {}

    def ask(scale: float) -> float:
        if scale not in known:
            known[scale] = loss(scale)
        return known[scale]

    grid = [most * step / steps for step in range(1, steps + 1)]
    found = []
    for limit in limits:
        over = next((scale for scale in grid if ask(scale) >= limit), None)
        found.append(None if over is None else _halve(ask, limit, over - grid[0], over, most * precision))
    for scale in grid:
        ask(scale)
    tried = [known[scale] for scale in sorted(known)]
    rising = all(later >= earlier - 1e-9 for earlier, later in pairwise(tried))
    return tuple(Reach(limit, scale, rising) for limit, scale in zip(limits, found, strict=True))


def _halve(ask: Callable[[float], float], limit: float, under: float, over: float, width: float) -> float:
    while over - under > width:
        middle = (under + over) / 2
        if ask(middle) >= limit:
            over = middle
        else:
            under = middle
    return over
