"""The two clocks: the one on the wall, and the one that a replay turns."""

import time
from datetime import UTC, datetime
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class WallClock:
    """The present."""

    def now(self) -> datetime:
        """Now, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since the machine was started."""
        return time.monotonic()

    def machine(self) -> str:
        """The system's own name for this start of the machine; empty where it has none."""
        try:
            return _BOOT.read_text().strip()
        except OSError:
            return ""


class ReplayClock:
    """Stands at the bar that is being told, so that a replay is the same whenever it is run."""

    def __init__(self, start: datetime) -> None:
        self._start = self._now = start

    def now(self) -> datetime:
        """The moment that the replay has reached."""
        return self._now

    def monotonic(self) -> float:
        """Seconds of the replay's time since it began."""
        return (self._now - self._start).total_seconds()

    def machine(self) -> str:
        """A replay's time is its own."""
        return ""

    def turn(self, moment: datetime) -> None:
        """Go on to `moment`; never back."""
        self._now = max(self._now, moment)
