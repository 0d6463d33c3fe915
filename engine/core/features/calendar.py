"""Where in the day, week, month and year the bar ended (UTC), as points on circles.

A pair of sine and cosine has no jump between Sunday and Monday, or December and January. A daily bar that ends at
midnight carries the day that begins then: `end` is when the bar became known.
"""

from collections.abc import Callable
from typing import cast

import numpy as np

from engine.core.features.feature import Feature
from engine.core.features.workings import Floats, Workings
from engine.core.maths.rolling import padded

_DAY = 86_400_000


def _hour(w: Workings) -> Floats:
    return (w.end_ms % _DAY) / _DAY


def _weekday(w: Workings) -> Floats:
    return ((w.end_ms // _DAY + 3) % 7) / 7.0  # 1 January 1970 was a Thursday; Monday is 0


def _month(w: Workings) -> Floats:
    return (_months(w) % 12) / 12.0  # January is 0


def _day_of_month(w: Workings) -> Floats:
    months = _months(w)
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    after = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return cast(
        Floats, (w.end_ms // _DAY - first) / (after - first)
    )  # the first is 0; months differ in length


def _months(w: Workings) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Months since January 1970."""
    days = (w.end_ms // _DAY).astype("datetime64[D]")
    return w.once("months", lambda: days.astype("datetime64[M]").astype(np.int64))


def _circle(name: str, share: Callable[[Workings], Floats], note: str) -> tuple[Feature, Feature]:
    def angle(w: Workings) -> Floats:
        return w.once(name, lambda: 2.0 * np.pi * share(w))

    def sine(w: Workings) -> Floats:
        return padded(np.sin(angle(w)), w.bars.size)

    def cosine(w: Workings) -> Floats:
        return padded(np.cos(angle(w)), w.bars.size)

    return (
        Feature(f"{name}_sin", "calendar", ("end_ms",), 1, sine, f"sine of the {note}"),
        Feature(f"{name}_cos", "calendar", ("end_ms",), 1, cosine, f"cosine of the {note}"),
    )


FEATURES: tuple[Feature, ...] = (
    *_circle("hour", _hour, "time of day (UTC) as an angle; midnight is 0"),
    *_circle("weekday", _weekday, "day of the week as an angle; Monday is 0"),
    *_circle("monthday", _day_of_month, "day of the month as an angle; the first is 0"),
    *_circle("month", _month, "month as an angle; January is 0"),
)
