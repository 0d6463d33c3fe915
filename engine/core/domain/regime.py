"""The seven regimes and what was said of one bar."""

import msgspec

REGIMES = ("strong_up", "weak_up", "strong_down", "weak_down", "quiet_range", "volatile_range", "crash")


class RegimeEstimate(msgspec.Struct, frozen=True, gc=False):
    """The label in force, the label before it, and seven memberships that add up to one."""

    label: str
    previous: str
    scores: dict[str, float]
