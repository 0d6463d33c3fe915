"""The one way that anything becomes true: durable first, then part of the state, then told."""

import asyncio
from collections.abc import Sequence
from functools import reduce

from engine.core.accounting.fold import DeskState, apply
from engine.core.domain.errors import Impossible
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
        """All of them or none. StoreFailed and Impossible leave the journal and the state as they were."""
        if not records:
            return
        async with self._turn:
            foreseen = self._foreseen(records)
            fresh = []
            for stored in await self._journal.append(records):
                if stored.sequence > self.sequence:
                    self.sequence = stored.sequence
                    fresh.append(stored)
            if len(fresh) < len(records):  # the others are in the state already
                foreseen = reduce(apply, (stored.record for stored in fresh), self.state)
            self.state = foreseen
            for stored in fresh:
                self._bus.publish(Recorded(stored.sequence, stored.record))

    def _foreseen(self, records: Sequence[Record]) -> DeskState:
        """The state that they make, before they are durable: what cannot follow must not be what a start reads."""
        try:
            return reduce(apply, records, self.state)
        except Impossible:
            new = [record for record in records if self._journal.get(record.id) is None]
            if len(new) == len(records):
                raise
            return reduce(apply, new, self.state)
