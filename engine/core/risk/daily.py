"""Tier 2: the day. A day is a UTC date; a bar that closes at midnight belongs to the day it covers."""

from datetime import datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from configs.schema.risk import RiskSettings
from engine.core.domain.instrument import exact
from engine.core.domain.risk import Approved, Check, RiskState, at_least, at_most
from engine.core.risk.case import COUNT, WHOLE, Case, bars_between, share, taken

TIER = "daily"
LONGEST = 6
"""A pause is doubled so often at most."""
_MICROSECOND = timedelta(microseconds=1)


def day_of(moment: datetime) -> str:
    """The UTC date that a bar known at `moment` covers."""
    return (moment - _MICROSECOND).date().isoformat()


def open_day(risk: RiskState, as_of: datetime, equity: Decimal) -> RiskState:
    """Start the counters again when the date has changed, and keep the high-water mark.

    The day's loss is measured from the equity at the close before it. A bar of an earlier day that comes late, from
    another instrument, belongs to the day under way: it must not give the counters a second start.
    """
    high = max(risk.high_water, equity)
    day = day_of(as_of)
    if day <= risk.day:
        return replace(risk, high_water=high, last_equity=equity)
    return replace(
        risk,
        day=day,
        day_equity=risk.last_equity or equity,
        last_equity=equity,
        high_water=high,
        day_entries=0,
        day_turnover=Decimal(0),
        instrument_entries={},
        bar_losses=0,
    )


def count_decision(risk: RiskState, approved: Approved, close: float) -> RiskState:
    """Entries and turnover are counted when they are approved: an order on its way has used its place."""
    turnover = risk.day_turnover + approved.quantity * exact(close)
    if approved.reduce_only:
        return replace(risk, day_turnover=turnover)
    entries = risk.instrument_entries.get(approved.instrument, 0) + 1
    return replace(
        risk,
        day_turnover=turnover,
        day_entries=risk.day_entries + 1,
        instrument_entries=risk.instrument_entries | {approved.instrument: entries},
    )


def day_loss(risk: RiskState, equity: float) -> float:
    """The day's loss as a share of the equity it began with; negative when the day earns."""
    start = float(risk.day_equity)
    return (start - equity) / start if start > 0 else 0.0


def daily_checks(case: Case) -> tuple[Check, ...]:
    """Loss, pace and losing streaks."""
    limits, risk, equity = case.settings.risk, case.risk, case.equity
    over = risk.losses_in_a_row - limits.max_consecutive_losses
    turnover = share(float(risk.day_turnover) + case.value, equity)
    # after the pause one entry must have won before there is a second
    on_trial = over >= 0 or risk.last_bar_loss is not None
    return (
        at_most(
            "daily loss",
            TIER,
            day_loss(risk, equity),
            limits.max_daily_loss,
            WHOLE,
            "risk.max_daily_loss",
        ),
        at_most(
            "daily entries",
            TIER,
            risk.day_entries + 1,
            limits.max_daily_entries,
            COUNT,
            "risk.max_daily_entries",
        ),
        at_most(
            "daily turnover", TIER, turnover, limits.max_daily_turnover, WHOLE, "risk.max_daily_turnover"
        ),
        at_least(
            "losing streak",
            TIER,
            case.bars_since_loss,
            pause(over, limits),
            "bars",
            "risk.max_consecutive_losses",
        ),
        at_least(
            "bar loss",
            TIER,
            bars_between(risk.last_bar_loss, case.as_of, case.settings.desk.timeframe),
            pause(risk.bar_loss_streak - 1, limits),
            "bars",
            "risk.max_bar_loss",
        ),
        at_most(
            "half open",
            TIER,
            len(taken(case)) if on_trial else 0,
            0,
            COUNT,
            "risk.loss_pause_bars",
        ),
    )


def pause(again: int, limits: RiskSettings) -> int:
    """Bars to wait after a breaker of the day has tripped for the `again`-th time more; 0 when it has not.

    >>> [pause(again, RiskSettings(loss_pause_bars=5)) for again in (-1, 0, 1, 2, 99)]
    [0, 5, 10, 20, 320]
    """
    return int(limits.loss_pause_bars * 2 ** min(again, LONGEST)) if again >= 0 else 0


def count_bar_loss(
    before: RiskState, risk: RiskState, equity: float, at: datetime, limits: RiskSettings
) -> RiskState:
    """The state with one more bar that lost more than is allowed for, if the equity fell so far since `before`."""
    last = float(before.last_equity)
    if last <= 0 or (last - equity) / last <= limits.max_bar_loss:
        return risk  # what is not a number is not within any limit
    return replace(
        risk,
        bar_losses=risk.bar_losses + 1,
        bar_loss_streak=risk.bar_loss_streak + 1,
        last_bar_loss=at,
    )
