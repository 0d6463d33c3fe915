"""The journal in a database: append-only, chained, one writer that commits for all who wait.

A commit costs a flush of the disk whether it carries one record or a hundred. So appends queue up while a
flush is under way and the next transaction takes all of them: each caller still waits for its own records to be
durable, and each caller's records are written all or none. When the disk refuses, everybody who waited is told,
nothing half-written stays, and the next append tries anew on a fresh connection.

The number of a record is the table's key. So a writer that does not know of another one's records cannot fork
the chain: its insert fails, and it reads the head and goes on from there.

A writer that holds a lease gives its fence with it. Each insert then holds the lease's row until it is committed,
and finds nothing to do when the row has another token: whoever was frozen while another copy took over writes
nothing any more, however late it wakes up.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from engine.core.domain.errors import BadInput, Fenced, Impossible, StoreFailed, WhydeskError
from engine.core.domain.ids import epoch_ms
from engine.core.domain.records import Columns, Record, columns, decode, encode, readable
from engine.ports import StoredRecord, Verification
from engine.store.audit import GENESIS, Walk, leaf, link, walk
from engine.store.driver import (
    Connection,
    Readers,
    connect,
    driver_errors,
    one_line,
    place,
    prepare,
    taken_errors,
)
from engine.store.lease import HELD, Fence

QUEUE = 1024
"""How many appends may wait; more than that means a disk that has stopped."""

_GROUP = 1000  # records in one transaction, and rows in one batch of reading

_HEAD = "SELECT sequence, payload, hash FROM records ORDER BY sequence DESC LIMIT 2"
_HEAD_LINK = "SELECT sequence, hash FROM records ORDER BY sequence DESC LIMIT 1"
_LINK = "SELECT hash FROM records WHERE sequence = ?"
_COUNT = "SELECT COALESCE(MAX(sequence), 0) FROM records"
_INTO = (
    "INSERT INTO records (sequence, id, at_ms, kind, instrument, outcome, refused_by, decision, client_id,"
    " trade, hash, payload)"
)
_INSERT = f"{_INTO} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ROWS = "SELECT sequence, hash, payload FROM records WHERE "
_LINKS = "SELECT sequence, payload, hash FROM records WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"
_COLUMNS = (
    "SELECT sequence, payload, hash, id, at_ms, kind, instrument, outcome, refused_by, decision, client_id,"
    " trade FROM records WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"
)

# A failed flush may have lost what earlier ones reported as safe: nothing is tried again after one. These may
# be, for they say that nothing was written: a full disk, a limit, a lock held too long, rights taken away.
_PASSING = (
    "SQLITE_FULL",
    "SQLITE_IOERR_WRITE",
    "SQLITE_BUSY",
    "SQLITE_READONLY",
    "SQLITE_CANTOPEN",
    "SQLITE_PERM",
)


_UNREADABLE = (msgspec.MsgspecError, BadInput, TypeError, ValueError)


class _Entry(NamedTuple):
    """A record ready to be written: all that needs no number yet."""

    record: Record
    id: str
    at_ms: int
    filters: tuple[str | None, ...]
    payload: bytes
    leaf: bytes


class _Head(NamedTuple):
    """The newest record's number and link."""

    sequence: int
    link: bytes


class _Batch(NamedTuple):
    """One caller's records, and where the answer goes."""

    entries: list[_Entry]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[tuple[StoredRecord, ...]]


Answer = tuple[StoredRecord, ...] | WhydeskError


def _entry(record: Record) -> _Entry:
    payload = encode(record)
    filters = columns(record)
    return _Entry(record, record.id, epoch_ms(record.at), _stored(filters), payload, leaf(payload))


def _stored(filters: Columns) -> tuple[str | None, ...]:
    """The filter columns as they are kept: the kind, and null where one does not apply."""
    return tuple(value or None for value in filters)


def chain(
    head: _Head, batches: Sequence[Sequence[_Entry]], known: dict[str, tuple[int, bytes, bytes]]
) -> tuple[_Head, list[tuple[Any, ...]], list[Answer]]:
    """Give numbers and links to what is new; the new head, the rows to write and each batch's answer.

    `known` holds (sequence, link, payload) by id for every id that is stored already. A batch that gives a
    known id other content is refused whole and leaves no mark.
    """
    rows: list[tuple[Any, ...]] = []
    answers: list[Answer] = []
    for batch in batches:
        start, added, fresh, stored = head, len(rows), [], []
        for entry in batch:
            found = known.get(entry.id)
            if found is None:
                head = _Head(head.sequence + 1, link(head.link, head.sequence + 1, entry.leaf))
                found = known[entry.id] = (*head, entry.payload)
                fresh.append(entry.id)
                rows.append((head.sequence, entry.id, entry.at_ms, *entry.filters, head.link, entry.payload))
            elif not _holds(found[2], entry):
                head = start
                del rows[added:]
                for record_id in fresh:
                    del known[record_id]
                answers.append(Impossible(f"record {entry.id} is stored already, with other content"))
                break
            stored.append(StoredRecord(found[0], found[1].hex(), entry.record))
        else:
            answers.append(tuple(stored))
    return head, rows, answers


def _holds(payload: bytes, entry: _Entry) -> bool:
    """Whether these stored bytes are this record. They may be in JSON, as a record was first kept."""
    if payload == entry.payload:
        return True
    with contextlib.suppress(*_UNREADABLE):
        return decode(payload) == entry.record
    return False


class SqlJournal:
    """The journal in SQLite or PostgreSQL.

    `url` is a file's path, `sqlite:///FILE` or `postgresql://...`. `synchronous` FULL flushes the disk at every
    commit; NORMAL (for replays) survives a killed process, but a power cut may take the last commits.
    Opening for writing refuses a chain whose end does not fit; `read_only` opens whatever is there. With a `fence`
    an append raises Fenced, and every later one too, once another copy has taken the lease over.
    """

    def __init__(
        self,
        url: str | Path,
        *,
        read_only: bool = False,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        fence: Fence | None = None,
    ) -> None:
        self._where = place(url)
        self._synchronous = synchronous
        self._errors = driver_errors(self._where)
        self._readers = Readers(self._where)
        self._write = threading.Lock()  # held for the length of a transaction
        self._connection: Connection | None = None
        self._head = _Head(0, GENESIS)
        self._fence = fence
        self._refusal = f"the journal at {self._where} is open for reading only" if read_only else ""
        self._refuse: type[StoreFailed] = StoreFailed
        self._queue: deque[_Batch] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._taken = taken_errors(self._where)
        self._insert, self._last, self._newest, self._linked = map(
            self._where.sql, (_INSERT, _HEAD, _HEAD_LINK, _LINK)
        )
        self._held = self._where.sql(f"{HELD}{self._where.dialect.share}")
        row = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
        self._fenced = self._where.sql(f"{_INTO} SELECT {row} FROM ({self._held}) AS held")  # noqa: S608 - constants
        prepare(self._where, write=not read_only)
        if not read_only:
            self._open()

    # --- writing ---

    async def append(self, records: Sequence[Record]) -> tuple[StoredRecord, ...]:
        """Make the records durable, in order, all or none. Only then return. StoreFailed if it cannot be done."""
        loop = asyncio.get_running_loop()
        batch = _Batch([_entry(record) for record in records], loop, loop.create_future())
        with self._changed:
            if self._closing:
                raise StoreFailed("the journal is closed")
            if len(self._queue) >= QUEUE:
                raise StoreFailed(f"{QUEUE} appends already wait for the disk at {self._where}")
            self._queue.append(batch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="journal", daemon=True)
                self._thread.start()
            self._changed.notify()
        return await batch.answer

    def append_sync(self, records: Sequence[Record]) -> tuple[StoredRecord, ...]:
        """The same from a thread that may wait. Appends that are queued meanwhile may come before or after."""
        (answer,) = self._commit([[_entry(record) for record in records]])
        if isinstance(answer, WhydeskError):
            raise answer
        return answer

    def append_many(self, records: Iterable[Record]) -> int:
        """Write any number of records, a thousand to a transaction; how many there were."""
        source, count = iter(records), 0
        while group := list(islice(source, _GROUP)):
            count += len(self.append_sync(group))
        return count

    def close(self) -> None:
        """Write what is queued, then let go of everything. Appends after this are refused."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        with self._write:
            self._refusal = self._refusal or "the journal is closed"
            self._disconnect()
        self._readers.close()

    def _serve(self) -> None:
        while group := self._next_group():
            answers = self._commit([batch.entries for batch in group])
            told: dict[asyncio.AbstractEventLoop, list[tuple[_Batch, Answer]]] = {}
            for batch, answer in zip(group, answers, strict=True):
                told.setdefault(batch.loop, []).append((batch, answer))
            for loop, pairs in told.items():
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(_tell, pairs)

    def _next_group(self) -> list[_Batch]:
        """Wait for batches and take as many as go into one transaction; none when it is time to end."""
        group: list[_Batch] = []
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            size = 0
            while self._queue and (not group or size + len(self._queue[0].entries) <= _GROUP):
                group.append(self._queue.popleft())
                size += len(group[-1].entries)
        return group

    def _commit(self, batches: Sequence[Sequence[_Entry]]) -> list[Answer]:
        """One transaction for all batches: an answer for each, after it is durable. Never raises."""
        with self._write:
            if self._refusal:
                return [self._refuse(self._refusal) for _ in batches]
            try:
                return self._transact(self._connection or self._open(), batches)
            except Fenced as error:
                self._disconnect()
                self._refusal, self._refuse = str(error), Fenced
                return [Fenced(self._refusal) for _ in batches]
            except StoreFailed as error:
                self._disconnect()
                return [StoreFailed(str(error)) for _ in batches]
            except self._errors as error:
                self._disconnect()
                text = f"the journal at {self._where} could not be written: {one_line(error)}"
                if _is_lasting(error):
                    text = self._refusal = f"{text}; it takes no more records until it is opened anew"
                return [StoreFailed(text) for _ in batches]
            except Exception as error:  # noqa: BLE001 - whoever waits must be told, whatever it was
                self._disconnect()
                self._refusal = f"the journal stopped: {type(error).__name__}: {one_line(error)}"
                return [Impossible(self._refusal) for _ in batches]

    def _transact(self, connection: Connection, batches: Sequence[Sequence[_Entry]]) -> list[Answer]:
        """Write on from the head as last seen. Where a number or an id is taken already, look, and write again."""
        head, rows, answers = chain(self._head, batches, {})
        try:
            if len(rows) == 1:
                self._insert_one(connection, rows[0])
            elif rows:
                self._begin(connection)
                connection.cursor().executemany(self._insert, rows)
                connection.execute("COMMIT")
        except self._taken:
            if len(rows) > 1:
                connection.execute("ROLLBACK")
            self._begin(connection)
            seen = self._checked_head(connection)
            head, rows, answers = chain(seen, batches, self._known(connection, batches))
            if rows:
                connection.cursor().executemany(self._insert, rows)
            connection.execute("COMMIT")
        self._head = head
        return answers

    def _insert_one(self, connection: Connection, row: tuple[Any, ...]) -> None:
        """Alone, a statement is its own transaction; it looks at the lease by itself."""
        if self._fence is None:
            connection.execute(self._insert, row)
        elif connection.execute(self._fenced, (*row, *self._fence)).rowcount == 0:
            raise self._fence.refusal()

    def _begin(self, connection: Connection) -> None:
        """Begin, with other writers kept out, and the lease kept as it is until the end."""
        for statement in self._where.dialect.begin:
            connection.execute(statement)
        if self._fence is not None and not connection.execute(self._held, self._fence).fetchone():
            raise self._fence.refusal()

    def _known(
        self, connection: Connection, batches: Sequence[Sequence[_Entry]]
    ) -> dict[str, tuple[int, bytes, bytes]]:
        ids = [entry.id for batch in batches for entry in batch]
        known = {}
        for first in range(0, len(ids), _GROUP):
            some = ids[first : first + _GROUP]
            marks = ", ".join("?" * len(some))
            sql = f"SELECT id, sequence, hash, payload FROM records WHERE id IN ({marks})"  # noqa: S608 - marks only
            for record_id, *stored in connection.execute(self._where.sql(sql), some).fetchall():
                known[record_id] = (stored[0], stored[1], stored[2])
        return known

    def _open(self) -> Connection:
        """Connect for writing, and see that the end of the chain fits."""
        try:
            connection = connect(self._where, write=True, synchronous=self._synchronous)
            try:
                self._head = self._checked_head(connection)
            except BaseException:
                connection.close()
                raise
        except self._errors as error:
            raise StoreFailed(f"the journal at {self._where} cannot be opened: {one_line(error)}") from error
        self._connection = connection
        return connection

    def _checked_head(self, connection: Connection) -> _Head:
        rows = connection.execute(self._last).fetchall()[::-1]
        before = Walk(rows[0][0], rows[0][2]) if len(rows) == 2 else Walk(0, GENESIS)
        end = walk(rows[-1:], before)
        if end.first_break is not None:
            raise StoreFailed(
                f"the journal at {self._where} is damaged at its end ({end.reason}) and takes no records:"
                " verify it, then restore a backup"
            )
        return _Head(end.sequence, end.link)

    def _disconnect(self) -> None:
        """Drop the connection, and with it any transaction that is under way."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*self._errors):
                connection.close()

    # --- reading ---

    def read(self, first: int = 1, last: int | None = None) -> Iterator[StoredRecord]:
        """The records numbered `first` to `last`, in order; a batch at a time is in memory."""
        return map(_record, self._rows(first, last))

    def export(self, first: int = 1, last: int | None = None) -> Iterator[dict[str, Any]]:
        """The records as plain JSON values, one a line: number, id, link, and the record with all its names."""
        for sequence, hashed, record in self.read(first, last):
            yield {"sequence": sequence, "id": record.id, "hash": hashed, "record": readable(record)}

    def _rows(self, first: int, last: int | None) -> Iterator[tuple[int, bytes, bytes]]:
        end = self.count() if last is None else last
        sql = self._where.sql(f"{_ROWS}sequence >= ? AND sequence <= ? ORDER BY sequence LIMIT ?")
        while rows := self._readers.rows(sql, (first, end, _GROUP)):
            yield from rows
            first = rows[-1][0] + 1

    def get(self, record_id: str) -> StoredRecord | None:
        """The record of that id."""
        rows = self._readers.rows(self._where.sql(f"{_ROWS}id = ?"), (record_id,))
        return _record(rows[0]) if rows else None

    def find(
        self,
        *,
        kind: str = "",
        instrument: str = "",
        outcome: str = "",
        decision: str = "",
        client_id: str = "",
        trade: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        newest_first: bool = True,
    ) -> tuple[StoredRecord, ...]:
        """Records by column, sorted by their time, then by their number.

        Empty text means any; `since` is included, `until` is not, both to the millisecond.
        """
        asked: dict[str, str | int] = {
            "kind = ?": kind,
            "instrument = ?": instrument,
            "outcome = ?": outcome,
            "decision = ?": decision,
            "client_id = ?": client_id,
            "trade = ?": trade,
        }
        terms = {term: value for term, value in asked.items() if value}
        if since is not None:
            terms["at_ms >= ?"] = epoch_ms(since)
        if until is not None:
            terms["at_ms < ?"] = epoch_ms(until)
        direction = "DESC" if newest_first else "ASC"
        sql = (
            f"{_ROWS}{' AND '.join(terms) or 'sequence > 0'}"
            f" ORDER BY at_ms {direction}, sequence {direction} LIMIT ?"
        )
        return tuple(map(_record, self._readers.rows(self._where.sql(sql), (*terms.values(), limit))))

    def head(self) -> tuple[int, str]:
        """The newest record's number and link (hex): what to note elsewhere, so that a cut-off end shows."""
        rows = self._readers.rows(self._newest)
        if not rows:
            return 0, GENESIS.hex()
        if type(rows[0][0]) is not int or type(rows[0][1]) is not bytes:
            raise StoreFailed(f"the newest record of the journal at {self._where} is damaged: verify it")
        return rows[0][0], rows[0][1].hex()

    def count(self) -> int:
        """How many records there are: numbers have no gaps, so the newest one tells."""
        count = self._readers.rows(_COUNT)[0][0]
        if type(count) is not int:
            raise StoreFailed(
                f"the newest record of the journal at {self._where} is damaged: it has no number"
            )
        return count

    def link(self, sequence: int) -> str:
        """The link (hex) that is stored of a record; empty when there is none of that number."""
        if sequence == 0:
            return GENESIS.hex()
        rows = self._readers.rows(self._linked, (sequence,))
        return rows[0][0].hex() if rows and isinstance(rows[0][0], bytes) else ""

    def verify(self, *, deep: bool = False) -> Verification:
        """Walk the whole chain; `deep` also decodes each record and compares the columns that questions use."""
        return self.walk(deep=deep)[0]

    def walk(self, marks: Sequence[int] = (), *, deep: bool = False) -> tuple[Verification, dict[int, str]]:
        """The same, with the links (hex) of the records numbered in `marks`, sorted, that the walk came over.

        Where the file itself is damaged the walk goes on row by row, to name the first that cannot be read.
        """
        waiting = deque(marks)
        links = {0: GENESIS.hex()}
        while waiting and waiting[0] <= 0:
            waiting.popleft()
        sql = self._where.sql(_COLUMNS if deep else _LINKS)
        at, below, size = Walk(0, GENESIS), -(2**62), _GROUP
        last = self.count()
        while at.first_break is None:
            try:
                rows = self._readers.rows(sql, (below, last, size))
            except StoreFailed as error:
                if size > 1:
                    size = 1
                    continue
                at = at._replace(first_break=at.sequence + 1, reason=str(error))
                break
            if not rows:
                # A damaged file may hide records from a walk that a look by number finds.
                if at.sequence < last:
                    at = at._replace(
                        first_break=at.sequence + 1,
                        reason=f"record {at.sequence + 1} is missing, and {last} is there",
                    )
                break
            below, before = rows[-1][0], at.sequence
            at = _walk_deep(rows, at) if deep else walk(rows, at)
            while waiting and waiting[0] <= at.sequence:
                links[waiting[0]] = rows[waiting[0] - before - 1][2].hex()
                waiting.popleft()
        whole = at.first_break is None
        return Verification(at.sequence, whole, at.first_break, at.reason, at.link.hex()), links


def _walk_deep(rows: Iterable[tuple[Any, ...]], start: Walk) -> Walk:
    at = start
    for row in rows:
        after = walk([(row[0], row[1], row[2])], at)
        if after.first_break is not None:
            return after
        try:
            record = decode(row[1])
            expected = (record.id, epoch_ms(record.at), *_stored(columns(record)))
        except _UNREADABLE as error:
            return at._replace(
                first_break=row[0], reason=f"record {row[0]} cannot be read: {one_line(error)}"
            )
        if expected != tuple(row[3:]):
            return at._replace(
                first_break=row[0], reason=f"the columns of record {row[0]} differ from the record"
            )
        at = after
    return at


def _record(row: tuple[int, bytes, bytes]) -> StoredRecord:
    try:
        return StoredRecord(row[0], memoryview(row[1]).hex(), decode(row[2]))
    except _UNREADABLE as error:
        raise StoreFailed(f"record {row[0]} cannot be read: {one_line(error)}") from error


def _tell(pairs: list[tuple[_Batch, Answer]]) -> None:
    """Runs in the loop of those who wait; a caller that was cancelled meanwhile hears nothing."""
    for batch, answer in pairs:
        if batch.answer.done():
            continue
        if isinstance(answer, WhydeskError):
            batch.answer.set_exception(answer)
        else:
            batch.answer.set_result(answer)


def _is_lasting(error: Exception) -> bool:
    """Whether nothing more may be written on this disk until somebody has looked. SQLite only."""
    name = getattr(error, "sqlite_errorname", None)
    return name is not None and not name.startswith(_PASSING)
