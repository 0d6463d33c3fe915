"""The halt row, and the locks on parts of a desk.

A kill must hold even when the disk is full and the database takes nothing more. So a small file lies ready in
the home, and renaming it to `KILLED` needs no room. While that file is there the desk is halted, whatever the
row says: an operator can also make it by hand. The next change of the halt that the database takes puts it
away.
"""

import contextlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from engine.core.domain.errors import Refused, StoreFailed
from engine.core.domain.risk import TradingState
from engine.ports import HaltRow, LockRow
from engine.store.driver import (
    BUSY_MS,
    SQLITE,
    Connection,
    Readers,
    connect,
    driver_errors,
    microseconds,
    moment_of,
    one_line,
    place,
    prepare,
)

KILL_PATIENCE_MS = 200
"""How long a kill waits for another writer before it takes the marker instead."""

_MARKER, _RESERVE, _RESERVE_BYTES = "KILLED", "kill.reserve", 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = HaltRow(TradingState.ACTIVE, _EPOCH, "", "", 0)
_log = logging.getLogger(__name__)


class _Note(NamedTuple):
    """What the marker says of the kill that it stands for."""

    since: datetime
    by: str
    reason: str


class SqlStateStore:
    """The state of one desk in SQLite or PostgreSQL.

    `home` is where the marker of a kill lies: beside a SQLite file if not given; PostgreSQL needs it. `objection` is
    asked before any state but a halt is written, by whomever: a reason refuses it.
    """

    def __init__(
        self,
        url: str | Path,
        *,
        home: Path | None = None,
        desk: str = "desk",
        read_only: bool = False,
        objection: Callable[[], str] = str,
    ) -> None:
        self._where = place(url)
        self._desk = desk
        if home is None:
            assert self._where.dialect is SQLITE, (
                "a store in PostgreSQL needs a home for the marker of a kill"
            )
            home = Path(self._where.target).absolute().parent
        self._marker, self._reserve = home / _MARKER, home / _RESERVE
        self._marker_path = str(self._marker)
        self._errors = driver_errors(self._where)
        self._readers = Readers(self._where)
        self._write = threading.Lock()
        self._connection: Connection | None = None
        self._killed: HaltRow | None = None
        """A kill that could not even be renamed into place: it holds while this process lives."""
        self._last_version = 0
        self._read_only = read_only
        self._objection = objection
        self._prepared = False
        self._halt_sql = self._where.sql(
            'SELECT state, since, "by", reason, version FROM halts WHERE desk = ?'
        )
        self._locks_sql = self._where.sql(
            'SELECT name, locked, since, "by", reason, version FROM locks WHERE desk = ? ORDER BY name'
        )
        self._lock_sql = self._where.sql("SELECT version FROM locks WHERE desk = ? AND name = ?")
        if read_only:
            self._prepare()
            return
        with contextlib.suppress(OSError):
            home.mkdir(parents=True, exist_ok=True)
        self._make_reserve()
        with contextlib.suppress(StoreFailed):  # a store that cannot be opened must not stand in a kill's way
            self._prepare()

    def halt(self) -> HaltRow:
        """The row as it stands now, read anew. StoreFailed if it cannot be read: then nothing may be sent."""
        if self._killed is not None:
            return self._killed
        if not os.path.exists(self._marker_path):  # noqa: PTH110 - before every order, at a third of the cost
            return self._row()
        note = _read_note(self._marker)
        with contextlib.suppress(StoreFailed):
            self._row()
        return HaltRow(TradingState.HALTED, note.since, note.by, note.reason, self._last_version + 1)

    def set_halt(
        self, state: TradingState, by: str, reason: str, at: datetime, after: int | None = None
    ) -> HaltRow:
        """Change the row, durably, from any process. A kill holds even if only a file can be renamed.

        Refused when the newest version is no longer `after`, the one that was looked at.
        """
        since, kill = microseconds(at), state is TradingState.HALTED
        if not kill and (reason_against := self._objection()):
            raise Refused(reason_against)
        try:
            with self._transaction(KILL_PATIENCE_MS if kill else BUSY_MS) as connection:
                marker = self._marker_seen()
                row = connection.execute(self._halt_sql, (self._desk,)).fetchone()
                behind = int(marker is not None or self._killed is not None)  # a marker was a change too
                version = (row[4] if row else 0) + 1 + behind
                if after is not None and after != version - 1:
                    raise Refused("the halt was changed meanwhile: look at the status and say it again")
                connection.execute(
                    self._where.sql(
                        'INSERT INTO halts (desk, state, since, "by", reason, version) VALUES (?, ?, ?, ?, ?, ?)'
                        " ON CONFLICT (desk) DO UPDATE SET state = excluded.state, since = excluded.since,"
                        ' "by" = excluded."by", reason = excluded.reason, version = excluded.version'
                    ),
                    (self._desk, state.value, since, by, reason, version),
                )
        except StoreFailed:
            if not kill:
                raise
            return self._kill_without_room(_Note(at, by, reason))
        self._last_version = version
        self._put_away(marker)
        return HaltRow(state, moment_of(since), by, reason, version)

    def locks(self) -> tuple[LockRow, ...]:
        """What is or was locked, read anew. StoreFailed if it cannot be read: then nothing may be sent."""
        self._prepare()
        return tuple(
            LockRow(name, bool(locked), moment_of(since), by, reason, version)
            for name, locked, since, by, reason, version in self._readers.rows(self._locks_sql, (self._desk,))
        )

    def set_lock(
        self, name: str, locked: bool, by: str, reason: str, at: datetime, after: int | None = None
    ) -> LockRow:
        """Lock or unlock, durably, from any process. Nothing is unlocked over a journal that does not fit.

        Refused when the newest version is no longer `after`, the one that was looked at.
        """
        if not locked and (reason_against := self._objection()):
            raise Refused(reason_against)
        since = microseconds(at)
        with self._transaction(KILL_PATIENCE_MS if locked else BUSY_MS) as connection:
            if after is not None:
                seen = connection.execute(self._lock_sql, (self._desk, name)).fetchone()
                if after != (seen[0] if seen else 0):
                    raise Refused(f"the lock on {name} was changed meanwhile: look at it and say it again")
            row = connection.execute(
                self._where.sql(
                    'INSERT INTO locks (desk, name, locked, since, "by", reason, version) VALUES (?, ?, ?, ?, ?, ?, 1)'
                    " ON CONFLICT (desk, name) DO UPDATE SET locked = excluded.locked, since = excluded.since,"
                    ' "by" = excluded."by", reason = excluded.reason, version = locks.version + 1 RETURNING version'
                ),
                (self._desk, name, locked, since, by, reason),
            ).fetchone()
        return LockRow(name, locked, moment_of(since), by, reason, row[0])

    def close(self) -> None:
        """Let go of the connections."""
        with self._write:
            self._disconnect()
            self._read_only = True
        self._readers.close()

    def _prepare(self) -> None:
        if not self._prepared:
            prepare(self._where, write=not self._read_only)
            self._prepared = True

    def _row(self) -> HaltRow:
        self._prepare()
        rows = self._readers.rows(self._halt_sql, (self._desk,))
        if not rows:
            return _NEVER
        state, since, by, reason, version = rows[0]
        self._last_version = version
        return HaltRow(TradingState(state), moment_of(since), by, reason, version)

    @contextlib.contextmanager
    def _transaction(self, patience_ms: int = BUSY_MS) -> Iterator[Connection]:
        """One durable transaction, alone among writers. StoreFailed, with nothing changed, if it cannot be."""
        if self._read_only:
            raise StoreFailed(f"the store at {self._where} is open for reading only")
        if not self._write.acquire(timeout=patience_ms / 1000):
            raise StoreFailed(f"another transaction has held the store at {self._where} for {patience_ms} ms")
        try:
            self._prepare()
            if self._connection is None:
                self._connection = connect(self._where, write=True)
            self._connection.execute(f"{self._where.dialect.patience}{patience_ms}")
            for statement in self._where.dialect.begin:
                self._connection.execute(statement)
            yield self._connection
            self._connection.execute("COMMIT")
        except self._errors as error:
            self._disconnect()
            raise StoreFailed(
                f"the store at {self._where} could not be written: {one_line(error)}"
            ) from error
        except BaseException:
            self._disconnect()
            raise
        finally:
            self._write.release()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*self._errors):
                connection.close()

    def _kill_without_room(self, note: _Note) -> HaltRow:
        """Halt by renaming a file that is there already, and write into its bytes who and why, if that goes."""
        with contextlib.suppress(StoreFailed):
            self._row()
        killed = HaltRow(TradingState.HALTED, note.since, note.by, note.reason, self._last_version + 1)
        self._killed = killed
        try:
            ready = self._marker if self._marker_seen() else self._reserve
            with contextlib.suppress(OSError):
                _write_note(ready, note)
            if not ready.exists():
                self._marker.touch()
            elif ready is self._reserve:
                self._reserve.rename(self._marker)
            _flush_folder(self._marker.parent)
        except OSError as error:
            raise StoreFailed(
                f"the kill holds in this process only: neither {self._where} nor {self._marker} can be written"
                f" ({error.strerror})"
            ) from error
        self._killed = None  # the marker speaks from here on, to every process
        return killed

    def _marker_seen(self) -> tuple[int, int] | None:
        """Which marker there is, if any: a later kill makes another one, or touches this."""
        try:
            found = self._marker.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _put_away(self, marker: tuple[int, int] | None) -> None:
        """The row says it now. A marker that came meanwhile stays, for it is a kill that the row does not know."""
        try:
            if marker is not None and marker == self._marker_seen():
                self._marker.unlink()
                _flush_folder(self._marker.parent)
        except OSError as error:
            raise StoreFailed(f"still halted: {self._marker} cannot be removed ({error.strerror})") from error
        self._killed = None
        self._make_reserve()

    def _make_reserve(self) -> None:
        """Have the file ready that a kill renames. On a full disk there is none, and the row has room or not."""
        if self._reserve.exists() or self._marker.exists():
            return
        with contextlib.suppress(OSError):
            fresh = self._reserve.with_suffix(f".{os.getpid()}")
            with fresh.open("wb") as file:
                file.write(b" " * _RESERVE_BYTES)
                file.flush()
                os.fsync(file.fileno())
            fresh.rename(self._reserve)


def _write_note(path: Path, note: _Note) -> None:
    """Put the note into the bytes that the file has already, so that it takes no more room."""
    since = note.since.astimezone(UTC).isoformat()
    text = json.dumps({"since": since, "by": note.by[:100], "reason": note.reason[:400]}, ensure_ascii=False)
    with path.open("r+b") as file:
        file.write(text.encode()[:_RESERVE_BYTES].ljust(_RESERVE_BYTES))
        file.flush()
        os.fsync(file.fileno())


def _read_note(path: Path) -> _Note:
    """What the marker says; one without a word is a kill too."""
    try:
        said: dict[str, Any] = json.loads(path.read_bytes())
        return _Note(datetime.fromisoformat(said["since"]), str(said["by"]), str(said["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        return _Note(_EPOCH, "unknown", f"the file {path.name} is in the home")


def _flush_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
