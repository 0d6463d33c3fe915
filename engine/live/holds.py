"""Why nothing new is opened for now: set and lifted by the desk itself, each time as a record of the journal."""

from msgspec.structs import replace

from engine.core.domain.ids import record_id
from engine.core.domain.records import IncidentRecord
from engine.live.writer import Writer
from engine.ports import Clock

ACCOUNT, CLOCK, DATA, VENUE = "account", "clock", "data", "venue"


class Holds:
    """A hold refuses entries, in decisions and at the door; exits and protection pass. Unlike a halt it ends by
    itself, when its cause does."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    async def set(self, name: str, why: str) -> None:
        """Hold; a hold that stands already keeps its first reason."""
        if name not in self._writer.state.risk.holds:
            await self._record(name, why, self._writer.state.risk.holds | {name: why})

    async def lift(self, name: str) -> None:
        """Let go; nothing to do when it does not stand."""
        holds = self._writer.state.risk.holds
        if name in holds:
            kept = {other: why for other, why in holds.items() if other != name}
            await self._record(name, f"over: {holds[name]}", kept)

    async def _record(self, name: str, text: str, holds: dict[str, str]) -> None:
        at = self._clock.now()
        risk = replace(self._writer.state.risk, holds=holds)
        key = record_id("i", at, "hold", name, str(self._writer.sequence))
        await self._writer.write([IncidentRecord(key, at, f"hold {name}", text, {}, risk)])
