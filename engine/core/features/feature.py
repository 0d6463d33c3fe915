"""What a feature is: a row of the table in `registry.py`."""

from collections.abc import Callable
from math import ceil, log
from typing import Literal

import msgspec

from engine.core.features.workings import Floats, Workings

Family = Literal["trend", "momentum", "volatility", "volume", "calendar", "normalise"]

FORGOTTEN = 1e-14
"""Share of a moving average's seed that may be left when its first value counts."""


class Feature(msgspec.Struct, frozen=True):
    """One named number for each bar.

    `warm_up` is how many bars the newest value needs, itself included, to equal the value over any longer
    history to 1e-9. `note` is the definition with its unit, and the value where the definition divides nothing
    by nothing.
    """

    name: str
    family: Family
    inputs: tuple[str, ...]
    warm_up: int
    function: Callable[[Workings], Floats]
    note: str


def ema_warm_up(span: int) -> int:
    """Return the bars after which an exponential average has forgotten the simple mean that it began with.

    >>> ema_warm_up(3)
    50
    """
    return span + ceil(log(FORGOTTEN) / log(1 - 2 / (span + 1)))


def wilder_warm_up(period: int) -> int:
    """Return the same for Wilder's average, whose weight of 1/period is that of an EMA over 2 * period - 1."""
    return ema_warm_up(2 * period - 1)
