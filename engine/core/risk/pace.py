"""How fast orders leave: what a runaway loop would do to a venue in a minute, this desk does not do in a day."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from configs.schema.risk import RiskSettings

RESERVE = 0.2
"""Of each rate so much is kept for cancels and exits: an entry must leave it."""
LONGEST = timedelta(days=1)


def too_fast(sent: Sequence[datetime], now: datetime, limits: RiskSettings) -> str:
    """Why an entry must wait, from the times at which requests left, oldest first; empty when it may go.

    >>> noon = datetime(2026, 1, 1, 12)
    >>> too_fast([noon] * 4, noon, RiskSettings(max_requests_per_second=5))
    '4 requests to the venue within a second; 4 of 5 are for entries (risk.max_requests_per_second)'
    """
    for name, words, span in WINDOWS:
        most = getattr(limits, name)
        free = most - int(most * RESERVE)
        since, count = now - span, 0
        for moment in reversed(sent):
            if moment <= since:
                break
            count += 1
        if count >= free:
            return f"{count} requests to the venue within a {words}; {free} of {most} are for entries (risk.{name})"
    return ""


WINDOWS = (
    ("max_requests_per_second", "second", timedelta(seconds=1)),
    ("max_requests_per_minute", "minute", timedelta(minutes=1)),
    ("max_requests_per_day", "day", LONGEST),
)
