"""Whether everything that runs beside the bars still comes round: what hangs does not fail, and nobody would see."""

from engine.ports import Clock

PATIENCE_S = 120.0
"""So much longer than its period and two dozen answers a round may take: a venue that hangs is no hanging task."""
ANSWERS = 25


class Pulse:
    """When each piece of periodic work last came round."""

    def __init__(self, clock: Clock, answer_s: float) -> None:
        """`answer_s` is how long one question to the venue may take."""
        self._clock = clock
        self._patience_s = max(PATIENCE_S, ANSWERS * answer_s)
        self._within: dict[str, float] = {}
        self._turned: dict[str, float] = {}

    def expect(self, name: str, period_s: float) -> None:
        """Work of this name comes round every so many seconds, from now on."""
        self._within[name] = period_s + self._patience_s
        self._turned[name] = self._clock.monotonic()

    def turned(self, name: str) -> None:
        """It has come round."""
        self._turned[name] = self._clock.monotonic()

    def stuck(self) -> str:
        """What has not for too long, with the seconds; empty when everything has."""
        now = self._clock.monotonic()
        late = {name: now - at for name, at in self._turned.items() if now - at > self._within[name]}
        return ", ".join(f"{name} has not come round for {late[name]:.0f} s" for name in sorted(late))
