"""How much may still be asked: the venue's request weight by the minute, and silence while it demands silence."""

from collections import deque
from collections.abc import Callable

WINDOW_S = 60.0
RESERVED = 0.2
"""The share that only cancels, exits and look-ups may use."""
SILENCE_S = {429: 60.0, 418: 120.0}
"""For how long nothing is sent when the venue names no time."""
SHORTEST_S = 1.0
LONGEST_S = 3 * 86_400.0
"""Binance bans for at most three days."""


class Budget:
    """A sliding minute. It is never waited for here: whoever is told no decides whether to ask again."""

    def __init__(self, weight_per_minute: int, monotonic: Callable[[], float]) -> None:
        self._limit = weight_per_minute
        self._monotonic = monotonic
        self._spent: deque[tuple[float, int]] = deque()
        self._sum = 0
        self._silent_until = 0.0

    @property
    def silent_until(self) -> float | None:
        """The monotonic second until which nothing may be sent; None when it may."""
        return self._silent_until if self._silent_until > self._monotonic() else None

    @property
    def used(self) -> int:
        """The weight of the last minute."""
        self._forget()
        return self._sum

    def take(self, weight: int, *, urgent: bool) -> str:
        """Spend `weight`, or say why not. Not even what is urgent is sent while the venue demands silence."""
        now = self._monotonic()
        if now < self._silent_until:
            return f"the venue demands silence for another {self._silent_until - now:.1f} s"
        most = self._limit if urgent else int(self._limit * (1 - RESERVED))
        used = self.used
        if used + weight > most:
            return f"the request budget of this minute is used up ({used} of {most})"
        self._spend(now, weight)
        return ""

    def told(self, used: int) -> None:
        """The venue's own count for our address. What others there have used is not ours to use."""
        missing = min(used, 10 * self._limit) - self.used
        if missing > 0:
            self._spend(self._monotonic(), missing)

    def silence(self, status: int, retry_after: str | None) -> float:
        """Send nothing for as long as the venue asks after a 429 or a 418. Returns the seconds."""
        try:
            asked = float(retry_after) if retry_after is not None and len(retry_after) < 20 else -1.0
        except ValueError:
            asked = -1.0
        seconds = min(max(asked, SHORTEST_S), LONGEST_S) if asked >= 0 else SILENCE_S[status]
        self._silent_until = max(self._silent_until, self._monotonic() + seconds)
        return seconds

    def _spend(self, now: float, weight: int) -> None:
        self._spent.append((now, weight))
        self._sum += weight

    def _forget(self) -> None:
        oldest = self._monotonic() - WINDOW_S
        while self._spent and self._spent[0][0] <= oldest:
            self._sum -= self._spent.popleft()[1]
