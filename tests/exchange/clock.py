"""A clock that a test turns, for the desk and for the exchange alike."""

from datetime import UTC, datetime, timedelta


class TurnedClock:
    """Stands still until it is turned. The wall clock may also be set, the monotonic one only grows."""

    def __init__(self, start: datetime = datetime(2026, 3, 2, 12, tzinfo=UTC)) -> None:
        self._wall = start
        self._seconds = 1000.0

    def now(self) -> datetime:
        """What the clock on the wall shows."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds that passed."""
        return self._seconds

    def machine(self) -> str:
        """Whoever turns it restarts no machine."""
        return "turned"

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._wall += timedelta(seconds=seconds)
        self._seconds += seconds

    def set(self, seconds: float) -> None:
        """Somebody sets the clock on the wall; no time passes."""
        self._wall += timedelta(seconds=seconds)


class RealClock:
    """The present, plus whatever the exchange was told to add."""

    def __init__(self) -> None:
        self._added = timedelta()

    def now(self) -> datetime:
        """The present moment."""
        return datetime.now(UTC) + self._added

    def advance(self, seconds: float) -> None:
        """Jump ahead."""
        self._added += timedelta(seconds=seconds)
