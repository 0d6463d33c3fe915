"""How much may be added before everything together may lose too much."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Holding(NamedTuple):
    """Something held: its direction, the share of equity it may lose in one bar, and how it moves with what is new.

    `correlation` is None when it is unknown, which counts as moving against us altogether.
    """

    sign: int
    var: float
    correlation: float | None


def book_room(held: Sequence[Holding], sign: int, var: float, limit: float) -> float:
    """Return the largest share of equity, never negative, with which the whole book may lose `limit` in one bar.

    The value at risk of two is `sqrt(a^2 + b^2 + 2 c a b)`. What is held already counts in full, as if it all fell
    together; against it the new share of `sign` is set by the correlations. `var` is the loss of a share of one.

    >>> round(book_room([Holding(1, 0.02, 0.0)], 1, 0.1, 0.03), 4)  # unrelated: sqrt(0.03^2 - 0.02^2) / 0.1
    0.2236
    >>> round(book_room([Holding(1, 0.02, None)], 1, 0.1, 0.03), 4)  # unknown: what is left of the limit
    0.1
    """
    if not var > 0:
        return 1e9 if var <= 0 else 0.0
    before = sum([holding.var for holding in held])
    beside = sum([holding.var * _together(holding, sign) for holding in held])
    spare = beside * beside + limit * limit - before * before
    if not (before <= limit and spare >= 0):  # a volatility below zero is no figure to count on
        return 0.0
    return max(0.0, (math.sqrt(spare) - beside) / var)


def _together(holding: Holding, sign: int) -> float:
    """1 where the two lose together, -1 where one wins what the other loses."""
    if holding.correlation is None or not -1 <= holding.correlation <= 1:
        return 1.0
    return holding.sign * sign * holding.correlation
