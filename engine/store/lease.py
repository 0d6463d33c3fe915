"""One engine at a time for a desk, also over several machines: a lease in the store, with a fencing token.

The row says who may act and until when by the database's clock. Its holder pushes the end away every second; when
it has passed, anyone may take over, and the token grows by one. A holder that was frozen, or cut off from the
database, cannot know that this happened. So it is held back twice: by its own clock, counted from before it asked
for the last extension, it stops sending in time (`certain`); and whatever it still tries to write is refused in the
transaction itself, for the row has another token by then (`Fence`).
"""

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from engine.core.domain.errors import Fenced, HeldElsewhere, StoreFailed
from engine.store.driver import (
    IDLE_MS,
    POSTGRESQL,
    Connection,
    Place,
    connect,
    driver_errors,
    one_line,
    place,
    prepare,
)

TTL_S, RENEW_S, POLL_S = 3.0, 1.0, 0.2

HELD = "SELECT 1 FROM leases WHERE desk = ? AND token = ?"

_TAKE = (
    "INSERT INTO leases (desk, holder, token, since, expires) VALUES (?, ?, 1, {now}, {now} + ?)"
    " ON CONFLICT (desk) DO UPDATE SET holder = excluded.holder, token = leases.token + 1, since = {now},"
    " expires = {now} + ? WHERE leases.expires <= {now} RETURNING token"
)
_WHO = "SELECT holder, token, since, expires FROM leases WHERE desk = ?"
_HELD_BY = "SELECT holder FROM leases WHERE desk = ? AND expires > {now}"
_RENEW = "UPDATE leases SET expires = {now} + ? WHERE desk = ? AND token = ?"
_GIVE_BACK = "UPDATE leases SET expires = {now} WHERE desk = ? AND token = ?"

_PATIENCE_MS = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_log = logging.getLogger(__name__)


class Fence(NamedTuple):
    """What a writer shows with every transaction: under which token it writes for which desk."""

    desk: str
    token: int

    def refusal(self) -> Fenced:
        """What a writer is told whose token is not the newest."""
        return Fenced(
            f"another copy of {self.desk} has taken over (lease {self.token} is not the newest any more)"
        )


class Sole:
    """The right of a process that nobody can take over from while it lives: it holds the lock of its home, and the
    store is a file in it. Frozen, it keeps the lock.
    """

    token = 0

    def certain(self, for_s: float = 0.0) -> bool:
        """Always: the system lets go of the lock when the process ends, and not before."""
        return True

    def watch(self, lost: Callable[[], object]) -> None:
        """It cannot be lost."""

    def check(self) -> None:
        """It cannot be lost."""


def elapsed() -> float:
    """Seconds of a clock that nobody sets and that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(_BOOT) if _BOOT is not None else time.monotonic()


_BOOT: int | None = getattr(time, "CLOCK_BOOTTIME", None)


class SqlLease:
    """A lease in the database, held and extended until it is given back.

    `lost` is called once, from another thread, when another holder is found in the row.
    """

    def __init__(self, where: Place, desk: str, token: int, until: float) -> None:
        self._where = where
        self._desk = desk
        self._token = token
        self._until = until
        self._ended = threading.Event()
        self._gone = False
        self._lost: Callable[[], object] | None = None
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    @property
    def token(self) -> int:
        """The fencing token."""
        return self._token

    def certain(self, for_s: float = 0.0) -> bool:
        """By this process's own clock, counted from before the last extension was asked for."""
        return not self._gone and elapsed() + for_s < self._until

    def watch(self, lost: Callable[[], object]) -> None:
        """Call `lost` when another copy has taken over, at once if it has already."""
        self._lost = lost
        if self._gone:
            lost()

    def check(self) -> None:
        """Fenced when another copy has taken over."""
        if self._gone:
            raise Fence(self._desk, self._token).refusal()

    def give_back(self) -> None:
        """Let the next one take it without waiting. Nothing is sent from here on."""
        self._ended.set()
        self._thread.join(timeout=2 * TTL_S)
        self._until = 0.0
        if not self._gone:
            with (
                contextlib.suppress(*driver_errors(self._where)),
                contextlib.closing(_quick(self._where)) as to,
            ):
                to.execute(_sql(self._where, _GIVE_BACK), (self._desk, self._token))

    def _keep(self) -> None:
        connection: Connection | None = None
        errors = driver_errors(self._where)
        told = ""
        while not self._ended.wait(RENEW_S):
            try:
                connection = connection or _quick(self._where)
                asked = elapsed()
                values = (_microseconds(TTL_S), self._desk, self._token)
                if connection.execute(_sql(self._where, _RENEW), values).rowcount == 0:
                    self._lose()
                    break
                self._until, told = asked + TTL_S, ""
            except errors as error:
                _close(connection, errors)
                connection = None
                if told != (told := one_line(error)):
                    _log.warning("the lease of %s could not be extended: %s", self._desk, told)
        _close(connection, errors)

    def _lose(self) -> None:
        self._gone = True
        if self._lost is not None:
            self._lost()


@contextlib.contextmanager
def lease(url: str, desk: str, waiting: Callable[[str], None] | None = None) -> Iterator[SqlLease | Sole]:
    """The right to act for `desk` until the end of the block.

    HeldElsewhere names who has it. With `waiting` that is told instead, once for each holder, and the lease is taken
    when it is free. On SQLite the lock of the home is enough.
    """
    where = place(url)
    if where.dialect is not POSTGRESQL:
        yield Sole()
        return
    held = take(where, desk, waiting)
    try:
        yield held
    finally:
        held.give_back()


def holder_of(url: str, desk: str) -> str:
    """Who holds the lease now, as it is written there; empty when nobody does, and on SQLite.

    StoreFailed when it cannot be read.
    """
    where = place(url)
    if where.dialect is not POSTGRESQL:
        return ""
    try:
        with contextlib.closing(_quick(where)) as connection:
            row = connection.execute(_sql(where, _HELD_BY), (desk,)).fetchone()
    except driver_errors(where) as error:
        raise StoreFailed(f"the lease of {desk} cannot be read: {one_line(error)}") from error
    return row[0] if row else ""


def signature(pid: int) -> str:
    """How a process of this machine signs a lease."""
    return f"pid {pid} on {socket.gethostname()}"


def take(where: Place, desk: str, waiting: Callable[[str], None] | None = None) -> SqlLease:
    """Take the lease. A holder that died without giving it back is waited for: it does not extend its lease."""
    prepare(where, write=True)
    errors = driver_errors(where)
    me = signature(os.getpid())
    ttl, patience_ends = _microseconds(TTL_S), elapsed() + TTL_S + IDLE_MS / 1000
    connection: Connection | None = None
    seen: tuple[int, int] | None = None
    told = -1
    try:
        while True:
            try:
                connection = connection or _quick(where)
                asked = elapsed()
                taken = connection.execute(_sql(where, _TAKE), (desk, me, ttl, ttl)).fetchone()
                if taken:
                    return SqlLease(where, desk, taken[0], asked + TTL_S)
                holder, token, since, expires = connection.execute(where.sql(_WHO), (desk,)).fetchone()
            except errors as error:
                if waiting is None and elapsed() > patience_ends:
                    raise StoreFailed(f"the lease of {desk} cannot be taken: {one_line(error)}") from error
                _close(connection, errors)
                connection = None
            else:
                text = f"{desk} at {where} is held by {holder} since {_moment(since).isoformat(timespec='seconds')}"
                if waiting is not None and told != token:
                    waiting(text)
                    told = token
                if waiting is None and seen is not None and seen != (token, expires):
                    raise HeldElsewhere(text)
                seen = (token, expires)
            time.sleep(POLL_S)
    finally:
        _close(connection, errors)


def _quick(where: Place) -> Connection:
    """A connection that does not wait long for anything: a lease that hangs is a lease that ends."""
    connection = connect(where, write=True)
    connection.execute(f"{where.dialect.patience}{_PATIENCE_MS}")
    if where.dialect is POSTGRESQL:
        connection.execute(f"SET statement_timeout = {_PATIENCE_MS}")
    return connection


def _close(connection: Connection | None, errors: tuple[type[Exception], ...]) -> None:
    if connection is not None:
        with contextlib.suppress(*errors):
            connection.close()


def _sql(where: Place, text: str) -> str:
    return where.sql(text.format(now=where.dialect.now))


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
