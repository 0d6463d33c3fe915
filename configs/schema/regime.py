"""The thresholds of the published regime rule."""

from typing import Annotated

import msgspec
from msgspec import Meta


class RegimeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one market regime ends and the next begins. The handbook shows the rule with these values."""

    strong_t: Annotated[float, Meta(gt=0, le=100)] = 12.0
    """|trend_t_60| at which a trend may be called strong."""
    weak_t: Annotated[float, Meta(gt=0, le=100)] = 6.0
    """|trend_t_60| below which there is no trend but a range."""
    confirm_t: Annotated[float, Meta(gt=0, le=100)] = 4.0
    """trend_t_20 in the trend's direction that a strong trend needs; the same against it ends a weak one."""
    strong_adx: Annotated[float, Meta(gt=0, le=100)] = 25.0
    """adx_14 that a strong trend needs."""
    volatile_rank: Annotated[float, Meta(gt=0, lt=1)] = 0.6
    """vol_rank_250 from which a range is volatile, not quiet."""
    crash_sigmas: Annotated[float, Meta(gt=0, le=20)] = 2.5
    """Five-bar fall, in 60-bar standard deviations, that makes a crash together with `crash_depth`."""
    crash_depth: Annotated[float, Meta(gt=0, le=20)] = 1.0
    """Fall from the 60-bar high, in 60-bar standard deviations of a 60-bar move."""
    softness: Annotated[float, Meta(gt=0, le=10)] = 0.5
    """How gradually scores pass from one regime to the next: the temperature of the softmax."""

    def __post_init__(self) -> None:
        if self.strong_t <= self.weak_t:
            raise ValueError(f"strong_t ({self.strong_t}) must be above weak_t ({self.weak_t})")
