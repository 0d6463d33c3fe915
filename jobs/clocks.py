"""The two clocks: the one on the wall, and the one that a replay turns."""

from datetime import UTC, datetime


class WallClock:
    """The present."""

    def now(self) -> datetime:
        """Now, in UTC."""
        return datetime.now(UTC)


class ReplayClock:
    """Stands at the bar that is being told, so that a replay is the same whenever it is run."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """The moment that the replay has reached."""
        return self._now

    def turn(self, moment: datetime) -> None:
        """Go on to `moment`; never back."""
        self._now = max(self._now, moment)
