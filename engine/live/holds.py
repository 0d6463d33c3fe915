"""Why nothing new is opened for now: set and lifted by the desk itself, each time as a record of the journal."""

from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from engine.core.domain.ids import record_id
from engine.core.domain.order import OrderStatus
from engine.core.domain.records import CycleRecord, IncidentRecord, OrderRecord
from engine.core.domain.signal import Prediction
from engine.core.risk.refusals import WITHIN, refusing
from engine.live.writer import Writer
from engine.ports import Clock, Journal

ACCOUNT, CHANGE, CLOCK, DATA, JOURNAL, MODEL = "account", "change", "clock", "data", "journal", "model"
UNREAD, UNTOLD, VENUE = "unread", "untold", "venue"
"""Of the whole desk. A hold on one instrument has its name behind a space."""
FOR_A_PERSON = (ACCOUNT, JOURNAL)
"""What somebody has to look at: a resume says that they have."""
REFUSED = "refused "
SILENT, SAME = 3, 50
"""So often in a row a model may be silent, or answer the same in one instrument, before it is not believed."""


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

    async def renew(self, name: str, why: str) -> None:
        """Hold for this reason, whatever the one before."""
        if self._writer.state.risk.holds.get(name) != why:
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


class Refusals:
    """What a venue keeps refusing for one reason is not tried again for a while: somebody should look at it."""

    def __init__(self, writer: Writer, journal: Journal, holds: Holds, clock: Clock) -> None:
        self._writer = writer
        self._journal = journal
        self._holds = holds
        self._clock = clock

    async def look(self) -> None:
        """Hold entries in the instruments of which that is so, and let go of those of which it is not any more."""
        since = self._clock.now() - WITHIN
        found = self._journal.find(kind="order", outcome=OrderStatus.REFUSED, since=since, limit=1000)
        now = {
            REFUSED + name: why
            for name, why in refusing([r.record for r in found if isinstance(r.record, OrderRecord)]).items()
        }
        for name, why in now.items():
            await self._holds.set(name, why)
        for name in self._writer.state.risk.holds:
            if name.startswith(REFUSED) and name not in now:
                await self._holds.lift(name)


class Models:
    """A served model that does not answer, or always answers the same, is not itself: nothing new is opened on it."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._silent: Counter[str] = Counter()
        self._same: dict[tuple[str, str], tuple[float | None, int]] = {}

    async def look(self, records: Sequence[CycleRecord]) -> None:
        """Hold entries while it is so, from what the newest decisions were told."""
        for record in records:
            if record.observation.features and record.wish is None:
                for told in record.predictions:
                    self._count(record.instrument, told)
        why = [
            f"{name} has not answered {count} times in a row"
            for name, count in self._silent.items()
            if count >= SILENT
        ]
        why += [
            f"{model} has answered {answer} for {name} {count} times in a row"
            for (model, name), (answer, count) in self._same.items()
            if count >= SAME
        ]
        if why:
            await self._holds.renew(MODEL, "; ".join(why))
        elif records:
            await self._holds.lift(MODEL)

    def _count(self, instrument: str, told: Prediction) -> None:
        if told.probability is None:
            self._silent[told.model] += 1
            return
        self._silent[told.model] = 0
        answer, count = self._same.get((told.model, instrument), (None, 0))
        self._same[told.model, instrument] = (told.raw, count + 1 if told.raw == answer else 1)
