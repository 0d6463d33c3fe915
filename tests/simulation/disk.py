"""The disk and what lies on it: the journal and the halt row. They outlive the process; what was not written does not.

An append is under way for a while. Whoever dies meanwhile leaves it wholly written or not at all, as transactions do:
which of the two is drawn. The rules about ids are those of the real journal.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.core.domain.errors import Impossible, Refused, StoreFailed
from engine.core.domain.ids import epoch_ms
from engine.core.domain.records import Columns, Record, columns, encode
from engine.core.domain.risk import TradingState
from engine.ports import HaltRow, LockRow, StoredRecord, Verification
from engine.store.audit import GENESIS, leaf, link
from tests.simulation.loop import pause

if TYPE_CHECKING:
    from tests.simulation.life import Life

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Disk:
    """What is durable. `written` is told of each record as it becomes so."""

    def __init__(self, written: Callable[[StoredRecord], None]) -> None:
        self.records: list[StoredRecord] = []
        self.row = HaltRow(TradingState.ACTIVE, EPOCH, "", "", 0)
        self.rows: list[tuple[float, HaltRow]] = []
        self.locks: dict[str, LockRow] = {}
        self._written = written
        self._by_id: dict[str, StoredRecord] = {}
        self._columns: list[Columns] = []
        self._at_ms: list[int] = []
        self._of_kind: dict[str, list[int]] = {}
        self._of_order: dict[str, list[int]] = {}

    def commit(self, records: Sequence[Record]) -> tuple[StoredRecord, ...]:
        """All or none; a known id with the same content is the record that is there."""
        for record in records:
            known = self._by_id.get(record.id)
            if known is not None and encode(known.record) != encode(record):
                raise Impossible(f"record {record.id} is stored already, with other content")
        return tuple([self._by_id.get(record.id) or self._add(record) for record in records])

    def _add(self, record: Record) -> StoredRecord:
        place, filters = len(self.records), columns(record)
        stored = StoredRecord(place + 1, "", record)
        self.records.append(stored)
        self._by_id[record.id] = stored
        self._columns.append(filters)
        self._at_ms.append(epoch_ms(record.at))
        self._of_kind.setdefault(filters.kind, []).append(place)
        if filters.client_id:
            self._of_order.setdefault(filters.client_id, []).append(place)
        self._written(stored)
        return stored

    def cut(self, newest: int) -> None:
        """Lose the newest records, as a disk does that was not told to flush."""
        for _ in range(min(newest, len(self.records))):
            lost, filters = self.records.pop(), self._columns.pop()
            self._at_ms.pop()
            del self._by_id[lost.record.id]
            self._of_kind[filters.kind].pop()
            if filters.client_id:
                self._of_order[filters.client_id].pop()

    def get(self, record_id: str) -> StoredRecord | None:
        """By id."""
        return self._by_id.get(record_id)

    def find(self, wanted: dict[str, str], low: int | None, high: int | None) -> list[tuple[int, int]]:
        """Time and place of the records that fit, in the order of their time, then of their number."""
        if "client_id" in wanted:
            places: Iterable[int] = self._of_order.get(wanted["client_id"], ())
        elif "kind" in wanted:
            places = self._of_kind.get(wanted["kind"], ())
        else:
            places = range(len(self.records))
        found = []
        for place in places:
            filters, at = self._columns[place], self._at_ms[place]
            in_time = (low is None or at >= low) and (high is None or at < high)
            if in_time and all(getattr(filters, name) == value for name, value in wanted.items()):
                found.append((at, place))
        return sorted(found)

    def walk(self) -> Verification:
        """Hash the whole chain as the real journal does, and see that each record can be read again."""
        head = GENESIS
        for stored in self.records:
            head = link(head, stored.sequence, leaf(encode(stored.record)))
        return Verification(len(self.records), True, None, "", head.hex())


class SimJournal:
    """The journal as one process sees it."""

    def __init__(self, life: "Life", disk: Disk) -> None:
        self._life = life
        self._disk = disk
        self._waiting: list[Sequence[Record]] = []

    async def append(self, records: Sequence[Record]) -> tuple[StoredRecord, ...]:
        """Durable, then answered; StoreFailed while the disk is full."""
        life = self._life
        what = "+".join(type(record).__name__.removesuffix("Record") for record in records)
        await life.passage(f"before writing {what}")
        world = life.world
        self._waiting.append(records)
        await pause(world.chance.uniform(0.2, 2.0) if world.faults.hit("slow disk") else 0.004)
        await life.passage(f"while writing {what}")
        self._waiting.remove(records)
        if world.faults.during("disk full", world.now):
            raise StoreFailed("the disk is full")
        stored = self._disk.commit(records)
        await life.passage(f"after writing {what}")
        return stored

    def lost(self) -> None:
        """The process is gone: what it was writing is there or not, and nothing that came after what is not."""
        for records in self._waiting:
            if self._life.world.chance.random() < 0.5:
                return
            self._disk.commit(records)

    def read(self, first: int = 1, last: int | None = None) -> Iterator[StoredRecord]:
        """In order."""
        self._life.must_live()
        return iter(self._disk.records[first - 1 : last])

    def get(self, record_id: str) -> StoredRecord | None:
        """By id."""
        self._life.must_live()
        return self._disk.get(record_id)

    def find(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        newest_first: bool = True,
        **columns: str,
    ) -> tuple[StoredRecord, ...]:
        """By column."""
        self._life.must_live()
        low, high = (None if moment is None else epoch_ms(moment) for moment in (since, until))
        found = self._disk.find({name: value for name, value in columns.items() if value}, low, high)
        ordered = found[::-1] if newest_first else found
        return tuple([self._disk.records[place] for _, place in ordered[:limit]])

    def count(self) -> int:
        """How many."""
        return len(self._disk.records)

    def head(self) -> tuple[int, str]:
        """The newest number and link."""
        return len(self._disk.records), self._disk.walk().head

    def verify(self) -> Verification:
        """Walk the chain."""
        return self._disk.walk()

    def close(self) -> None:
        """Nothing is held."""


class SimStore:
    """The halt row as one process sees it. A kill needs no room on the disk."""

    def __init__(self, life: "Life", disk: Disk) -> None:
        self._life = life
        self._disk = disk

    def halt(self) -> HaltRow:
        """As it stands now."""
        self._life.passage_at_once("before reading the halt")
        return self._disk.row

    def set_halt(
        self, state: TradingState, by: str, reason: str, at: datetime, after: int | None = None
    ) -> HaltRow:
        """Durable when it returns."""
        life = self._life
        life.passage_at_once("before the halt row")
        if state is not TradingState.HALTED and life.world.faults.during("disk full", life.world.now):
            raise StoreFailed("the disk is full")
        row = change_halt(self._disk, life.world.now, state, by, reason, at, after)
        life.passage_at_once("after the halt row")
        return row

    def locks(self) -> tuple[LockRow, ...]:
        """As they stand now."""
        self._life.passage_at_once("before reading the locks")
        return tuple(self._disk.locks.values())

    def set_lock(
        self, name: str, locked: bool, by: str, reason: str, at: datetime, after: int | None = None
    ) -> LockRow:
        """Durable when it returns."""
        life = self._life
        life.passage_at_once("before the row of a lock")
        if life.world.faults.during("disk full", life.world.now):
            raise StoreFailed("the disk is full")
        version = self._disk.locks[name].version if name in self._disk.locks else 0
        if after is not None and after != version:
            raise Refused(f"the lock on {name} was changed meanwhile: look at it and say it again")
        row = self._disk.locks[name] = LockRow(name, locked, at, by, reason, version + 1)
        life.passage_at_once("after the row of a lock")
        return row

    def close(self) -> None:
        """Nothing is held."""


def change_halt(
    disk: Disk, now: float, state: TradingState, by: str, reason: str, at: datetime, after: int | None = None
) -> HaltRow:
    """The row as any process may change it."""
    if after is not None and after != disk.row.version:
        raise Refused("the halt was changed meanwhile: look at the status and say it again")
    disk.row = HaltRow(state, at, by, reason, disk.row.version + 1)
    disk.rows.append((now, disk.row))
    return disk.row


async def forever() -> None:
    """Where the tasks of a process that is gone stay."""
    await asyncio.get_running_loop().create_future()
