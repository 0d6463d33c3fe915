"""Limits that somebody tightens while the desk runs. Wider than the profile is for the profile, and a restart."""

import math

import msgspec
from msgspec.structs import asdict

from configs.schema.risk import RiskSettings
from engine.core.domain.errors import BadQuestion

LARGER_IS_TIGHTER = frozenset({"entries_within_min", "duplicate_s", "pattern_bars", "loss_pause_bars"})
"""Of these a larger value is the more careful one; of all others a smaller one."""
NAMES = tuple(name for name, value in asdict(RiskSettings()).items() if isinstance(value, int | float))
"""What can be tightened."""


def tightened(profile: RiskSettings, limits: dict[str, float], name: str, value: float) -> dict[str, float]:
    """`limits` with one more, or without it where `value` is the profile's own. BadQuestion for what may not be.

    >>> tightened(RiskSettings(max_order_value=0.25), {}, "max_order_value", 0.1)
    {'max_order_value': 0.1}
    >>> tightened(RiskSettings(max_order_value=0.25), {"max_order_value": 0.1}, "max_order_value", 0.25)
    {}
    """
    if name not in NAMES:
        raise BadQuestion(f"risk has no limit {name[:40]!r}; it has {', '.join(NAMES)}")
    allowed = float(getattr(profile, name))
    if not math.isfinite(value):
        raise BadQuestion(f"risk.{name} must be a number, was {value}")
    if value == allowed:
        return {other: kept for other, kept in limits.items() if other != name}
    if allows_more(name, value, allowed):
        side = "below" if name in LARGER_IS_TIGHTER else "above"
        raise BadQuestion(
            f"risk.{name} cannot be {value:g}, {side} the profile's {allowed:g}:"
            " to allow more, change the profile and restart"
        )
    try:
        msgspec.convert(asdict(profile) | {name: _whole(value)}, RiskSettings)
    except msgspec.ValidationError as error:
        raise BadQuestion(f"risk.{name} cannot be {value:g}: {error}") from None
    return limits | {name: value}


def allows_more(name: str, value: float, than: float) -> bool:
    """Whether a limit of `value` lets more through.

    >>> allows_more("max_order_value", 0.2, than=0.1), allows_more("loss_pause_bars", 9, than=5)
    (True, False)
    """
    return value < than if name in LARGER_IS_TIGHTER else value > than


def within(profile: RiskSettings, limits: dict[str, float]) -> RiskSettings:
    """The profile's limits, each the tighter of it and what was tightened. Whatever `limits` hold, there is an answer:

    a decision that raised because of them could close nothing either. What is no limit any more is left out, and the
    day's loss stays within its own halt.
    """
    if not limits:
        return profile
    kept = asdict(profile)
    for name, value in limits.items():
        if name in NAMES and math.isfinite(value) and allows_more(name, float(kept[name]), value):
            kept[name] = _whole(value)
    kept["max_daily_loss"] = min(kept["max_daily_loss"], kept["halt_daily_loss"])
    return RiskSettings(**kept)


def _whole(value: float) -> float:
    return int(value) if value == int(value) else value
