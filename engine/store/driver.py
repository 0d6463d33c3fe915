"""Plain driver connections, for what must be quick: appends, reads of the journal, the halt row.

`tables.py` describes the schema and is what migrations are made from. These few statements go straight to the
driver because a commit through an ORM costs several times the commit itself, and because asking for the desk's
status should not import a database toolkit. SQLite and PostgreSQL differ in what stands in `Dialect`.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

from engine.core.domain.errors import BadSettings, StoreFailed

SCHEMA = "0006"
"""The newest migration. A store that has it opens without importing the machinery of migrations."""

BUSY_MS = 5000
"""How long to wait for another process's transaction."""

IDLE_MS = 2000
"""How long a transaction may stand still before PostgreSQL ends it: a process that was frozen in the middle of one
would keep every other writer out for as long."""

_WRITERS = 7_311_964_028_116  # the advisory lock that writers of this schema share on PostgreSQL


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Ask = Callable[[str, Sequence[Any]], list[Any]]
"""A statement with question marks and its values; the rows that it gives."""


def microseconds(moment: datetime) -> int:
    """Since 1970, as every table keeps it."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(since: int) -> datetime:
    """The moment of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=since)


class Cursor(Protocol):
    """What both drivers answer with."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    @property
    def rowcount(self) -> int: ...


class Connection(Protocol):
    """What both drivers' connections can do, in autocommit."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Cursor: ...
    def cursor(self) -> Any: ...
    def close(self) -> None: ...


class Dialect(NamedTuple):
    """Where the two databases differ, for the statements used here.

    `begin` keeps other writers out; `patience` sets how many milliseconds to wait for one. `share` ends a SELECT
    whose rows nobody may change before the transaction ends. `now` is the database's clock, in microseconds since
    1970, at the moment when the row is looked at.
    """

    name: str
    mark: str
    begin: tuple[str, ...]
    patience: str
    share: str
    now: str
    async_driver: str
    sync_driver: str


SQLITE = Dialect(
    "sqlite",
    "?",
    ("BEGIN IMMEDIATE",),
    "PRAGMA busy_timeout = ",
    "",  # who writes is alone
    "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    "sqlite+aiosqlite",
    "sqlite",
)
POSTGRESQL = Dialect(
    "postgresql",
    "%s",
    ("BEGIN", f"SELECT pg_advisory_xact_lock({_WRITERS})"),
    "SET lock_timeout = ",
    " FOR SHARE",
    "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
    "postgresql+asyncpg",
    "postgresql+psycopg",
)


class Place(NamedTuple):
    """Where a store is: `target` is a file's path or all of a URL behind its scheme."""

    dialect: Dialect
    target: str

    def sql(self, text: str) -> str:
        """The statement, written with question marks, as the driver wants it."""
        return text if self.dialect.mark == "?" else text.replace("?", self.dialect.mark)

    def exists(self) -> bool:
        """Whether there can be something to read."""
        return self.dialect is not SQLITE or Path(self.target).exists()

    def __str__(self) -> str:
        """The place for people: never with a password."""
        return self.target if self.dialect is SQLITE else "postgresql://" + self.target.rpartition("@")[2]


def place(url: str | Path) -> Place:
    """Read a path, `sqlite:///path` or `postgresql://...`; a driver named in the scheme does not matter.

    >>> place("sqlite+aiosqlite:////var/desk/store.db").target
    '/var/desk/store.db'
    >>> str(place("postgresql://desk:secret@db:5432/desk"))
    'postgresql://db:5432/desk'
    """
    if isinstance(url, Path) or "://" not in url:
        return Place(SQLITE, str(url))
    scheme, _, target = url.partition("://")
    kind = scheme.partition("+")[0]
    if kind == "sqlite" and target.startswith("/") and len(target) > 1:
        return Place(SQLITE, unquote(target[1:]))
    if kind in ("postgresql", "postgres"):
        return Place(POSTGRESQL, target)
    raise BadSettings(f"store.url must be sqlite:///FILE or postgresql://..., was {scheme}://...")


SQLITE_PRAGMAS = (
    f"busy_timeout={BUSY_MS}",
    "foreign_keys=ON",
    # copying the log back takes milliseconds: half as often as SQLite would, it is rarer than one commit in a hundred
    "wal_autocheckpoint=2000",
)


def connect(where: Place, *, write: bool = False, synchronous: str = "FULL") -> Connection:
    """Open a connection in autocommit. With `write` the file is made if it is not there."""
    if where.dialect is SQLITE:
        return _connect_sqlite(where.target, write, synchronous)
    return _connect_postgresql(where.target, write, synchronous)


def _connect_sqlite(path: str, write: bool, synchronous: str) -> Connection:
    uri = f"{Path(path).absolute().as_uri()}?mode={'rwc' if write else 'rw'}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000
    )
    try:
        for pragma in SQLITE_PRAGMAS if write else SQLITE_PRAGMAS[:1]:
            connection.execute(f"PRAGMA {pragma}")
        if write:
            _log_ahead(connection)
        connection.execute(f"PRAGMA synchronous={synchronous}" if write else "PRAGMA query_only=ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _log_ahead(connection: Connection) -> None:
    """Put the file into WAL mode, once in its life.

    SQLite does not wait here, whatever its timeout: of processes that make one new store at the same moment all but
    one are told at once that it is locked. They look again until it is in that mode.
    """
    ends = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                raise
            time.sleep(0.005)


def _connect_postgresql(target: str, write: bool, synchronous: str) -> Connection:
    import psycopg

    connection: Any = psycopg.connect(f"postgresql://{target}", autocommit=True, connect_timeout=5)
    connection.execute(f"SET lock_timeout = {BUSY_MS}")
    connection.execute(f"SET synchronous_commit = {'on' if synchronous == 'FULL' else 'off'}")
    if write:
        connection.execute(f"SET idle_in_transaction_session_timeout = {IDLE_MS}")
    else:
        connection.execute("SET default_transaction_read_only = on")
    return connection


def driver_errors(where: Place) -> tuple[type[Exception], ...]:
    """What the driver raises when it cannot. From a damaged file, SQLite's may be unable even to read the reason."""
    if where.dialect is SQLITE:
        return (sqlite3.Error, UnicodeDecodeError)
    import psycopg

    return (psycopg.Error,)


def taken_errors(where: Place) -> tuple[type[Exception], ...]:
    """What the driver raises when a key is taken."""
    if where.dialect is SQLITE:
        return (sqlite3.IntegrityError,)
    import psycopg

    return (psycopg.errors.UniqueViolation,)


def one_line(error: Exception) -> str:
    """What the driver said, on one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def schema_version(connection: Connection, where: Place) -> str:
    """The migration that the store has; empty when it has none yet."""
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except driver_errors(where) as error:
        if "no such table" in str(error) or "does not exist" in str(error):
            return ""
        raise
    return row[0] if row else ""


def prepare(where: Place, *, write: bool) -> None:
    """See to it that the store is there, with the newest schema. Readers only check."""
    if write and where.dialect is SQLITE:
        Path(where.target).parent.mkdir(parents=True, exist_ok=True)
    if not write and not where.exists():
        raise StoreFailed(f"nothing is stored at {where} yet")
    try:
        connection = connect(where, write=write)
        try:
            version = schema_version(connection, where)
        finally:
            connection.close()
    except driver_errors(where) as error:
        raise StoreFailed(f"the store at {where} cannot be opened: {one_line(error)}") from error
    if version == SCHEMA:
        return
    if version > SCHEMA:
        raise StoreFailed(
            f"the store at {where} was made by a newer Whydesk (schema {version}, this has {SCHEMA})"
        )
    if not write:
        raise StoreFailed(
            f"the store at {where} has schema {version or 'none'}, not {SCHEMA}: start the desk once"
        )
    from engine.store.database import upgrade

    upgrade(where)


class Own:
    """One writing connection that threads take in turn, made anew after it failed. `failed` says so to people."""

    def __init__(self, where: Place, failed: str) -> None:
        self._where = where
        self._failed = failed
        self._errors = driver_errors(where)
        self._turn = threading.Lock()
        self._connection: Connection | None = None

    def run(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """One statement, which alone is a transaction. StoreFailed when it cannot be done."""
        with self._turn, self._guarded() as connection:
            return self._rows(connection, sql, values)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Ask]:
        """All that is asked within it, or nothing of it. StoreFailed when it cannot be done."""
        with self._turn, self._guarded() as connection:
            for statement in self._where.dialect.begin:
                connection.execute(statement)
            yield lambda sql, values: self._rows(connection, sql, values)
            connection.execute("COMMIT")

    def close(self) -> None:
        """Let go of it."""
        with self._turn:
            self._disconnect()

    def _rows(self, connection: Connection, sql: str, values: Sequence[Any]) -> list[Any]:
        cursor = connection.execute(self._where.sql(sql), values)
        return cursor.fetchall() if sql.startswith("SELECT") or "RETURNING" in sql else []

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[Connection]:
        try:
            if self._connection is None:
                self._connection = connect(self._where, write=True)
            yield self._connection
        except self._errors as error:
            self._disconnect()  # which takes an open transaction back
            raise StoreFailed(f"{self._failed}: {one_line(error)}") from error
        except BaseException:
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*self._errors):
                connection.close()


class Readers:
    """One reading connection a thread, opened at first use."""

    def __init__(self, where: Place) -> None:
        self._where = where
        self._lock = threading.Lock()
        self._open: dict[int, Connection] = {}
        self._errors = driver_errors(where)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of one statement. StoreFailed when they cannot be had; the next call connects anew."""
        thread = threading.get_ident()
        try:
            connection = self._open.get(thread) or self._connect(thread)
            return connection.execute(sql, values).fetchall()
        except self._errors as error:
            self._drop(thread)
            raise StoreFailed(f"the store at {self._where} cannot be read: {one_line(error)}") from error

    def close(self) -> None:
        """Close them all, of whatever thread."""
        with self._lock:
            connections = list(self._open.values())
            self._open.clear()
        for connection in connections:
            connection.close()

    def _connect(self, thread: int) -> Connection:
        connection = connect(self._where)
        with self._lock:
            alive = {each.ident for each in threading.enumerate()}
            for ended in [ident for ident in self._open if ident not in alive]:
                self._open.pop(ended).close()
            self._open[thread] = connection
        return connection

    def _drop(self, thread: int) -> None:
        with self._lock:
            connection = self._open.pop(thread, None)
        if connection is not None:
            connection.close()
