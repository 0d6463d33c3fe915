"""What counts as a good bar: the thresholds of the data check."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Session = Literal["24/7", "weekdays"]


class DataQualitySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When bars are refused, when they are only pointed at, and which pauses are normal."""

    session: Session = "24/7"
    """`weekdays`: Saturdays, Sundays and pauses of up to `holiday_days` are not gaps."""
    holiday_days: Annotated[int, Meta(ge=0, le=14)] = 4
    """Longest pause, weekend included, that a `weekdays` market may take without it being a gap."""
    max_bad_share: Annotated[float, Meta(ge=0, le=1)] = 0.01
    """Refuse the whole series when more than this share of its rows is unusable."""
    max_gap_share: Annotated[float, Meta(ge=0, le=1)] = 0.05
    """Refuse the whole series when more than this share of the expected bars is missing."""
    spike_sigmas: Annotated[float, Meta(gt=0, le=1000)] = 20.0
    """A return this many robust standard deviations from the median is flagged; it is never dropped."""
    stale_bars: Annotated[int, Meta(ge=2, le=10_000)] = 10
    """So many identical bars in a row count as a frozen feed."""
    zero_volume_bars: Annotated[int, Meta(ge=1, le=10_000)] = 10
    """So many bars without volume in a row are flagged."""
