"""The one way that anything becomes true: durable first, then part of the state, then told."""

import asyncio
from collections.abc import Sequence

from engine.core.accounting.fold import DeskState, apply
from engine.core.domain.events import Recorded
from engine.core.domain.records import Record
from engine.live.bus import Bus
from engine.ports import Journal


class Writer:
    """Holds the state of the desk; only what it has written may change it.

    `sequence` is the last record in the state. A record that was already in the journal is in the state too,
    and is not applied again.
    """

    def __init__(self, journal: Journal, bus: Bus, state: DeskState, sequence: int) -> None:
        self._journal = journal
        self._bus = bus
        self._turn = asyncio.Lock()  # two callers must be folded in the order in which they became durable
        self.state = state
        self.sequence = sequence

    async def write(self, records: Sequence[Record]) -> None:
        """All of them or none. StoreFailed leaves the state as it was."""
        if not records:
            return
        async with self._turn:
            for stored in await self._journal.append(records):
                if stored.sequence > self.sequence:
                    self.sequence = stored.sequence
                    self.state = apply(self.state, stored.record)
                    self._bus.publish(Recorded(stored.sequence, stored.record))
