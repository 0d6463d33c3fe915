"""Who may talk to a desk, as said in chats, and the questions that wait for a yes: a row each, read anew every time.

Reading waits for nobody who writes: each thread that reads has a connection of its own.

A question is answered by one statement that changes the row only while nobody has: of two that answer at the same
moment, from whichever process, one is told that the other was first.
"""

import contextlib
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engine.core.domain.errors import StoreFailed
from engine.ports import Asked, Known, Linked
from engine.store.driver import Connection, Readers, connect, driver_errors, one_line, place, prepare

MOST_WAITING = 1000
"""So many questions may wait at once."""
KEPT = timedelta(days=7)
"""For so long after its end a question can say by whom it was answered."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = 'nonce, at, expires, body, answer, "by", answered, key'


class SqlAsks:
    """The people and the questions of one desk, in the store that its journal is in."""

    def __init__(self, url: str | Path, desk: str) -> None:
        self._where = place(url)
        self._desk = desk
        self._errors = driver_errors(self._where)
        self._turn = threading.Lock()
        self._connection: Connection | None = None
        prepare(self._where, write=True)
        self._readers = Readers(self._where)

    def known(self) -> tuple[Known, ...]:
        """Every name that a role was given to or taken from."""
        rows = self._read('SELECT name, role, "by", at FROM people WHERE desk = ? ORDER BY name', ())
        return tuple(Known(name, role, by, _moment(at)) for name, role, by, at in rows)

    def linked(self) -> tuple[Linked, ...]:
        """Every account that was given a name."""
        rows = self._read(
            'SELECT surface, number, name, "by", at FROM accounts WHERE desk = ? ORDER BY surface, number', ()
        )
        return tuple(Linked(surface, number, name, by, _moment(at)) for surface, number, name, by, at in rows)

    def set_role(self, known: Known) -> None:
        """From now on that is the role of that name."""
        self._run(
            'INSERT INTO people (desk, name, role, "by", at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (desk, name)'
            ' DO UPDATE SET role = excluded.role, "by" = excluded."by", at = excluded.at',
            (known.name, known.role, known.by, _microseconds(known.at)),
        )

    def link(self, linked: Linked) -> None:
        """From now on the account is theirs."""
        self._run(
            'INSERT INTO accounts (desk, surface, number, name, "by", at) VALUES (?, ?, ?, ?, ?, ?)'
            " ON CONFLICT (desk, surface, number)"
            ' DO UPDATE SET name = excluded.name, "by" = excluded."by", at = excluded.at',
            (linked.surface, linked.number, linked.name, linked.by, _microseconds(linked.at)),
        )

    def ask(self, asked: Asked) -> None:
        """Keep the question, and forget what was over long ago."""
        at = _microseconds(asked.at)
        self._run("DELETE FROM asks WHERE desk = ? AND expires < ?", (at - _in_microseconds(KEPT),))
        waiting = self._run(
            "SELECT COUNT(*) FROM asks WHERE desk = ? AND answer IS NULL AND expires > ?", (at,)
        )
        if waiting[0][0] >= MOST_WAITING:
            raise StoreFailed(f"{MOST_WAITING} questions already wait for an answer")
        self._run(
            "INSERT INTO asks (desk, nonce, at, expires, body) VALUES (?, ?, ?, ?, ?)",
            (asked.nonce, at, _microseconds(asked.expires), asked.body),
        )

    def asked(self, nonce: str) -> Asked | None:
        """The question of that nonce, answered or not."""
        rows = self._read(f"SELECT {_COLUMNS} FROM asks WHERE desk = ? AND nonce = ?", (nonce,))  # noqa: S608
        return _asked(rows[0]) if rows else None

    def waiting(self, at: datetime) -> tuple[Asked, ...]:
        """What nobody has answered and is not over at that time, oldest first."""
        rows = self._read(
            f"SELECT {_COLUMNS} FROM asks WHERE desk = ? AND answer IS NULL AND expires > ? ORDER BY at, nonce",  # noqa: S608
            (_microseconds(at),),
        )
        return tuple(_asked(row) for row in rows)

    def answer(self, nonce: str, answer: str, by: str, at: datetime, key: str) -> bool:
        """Answer it; False when somebody else was first."""
        first = self._run(
            'UPDATE asks SET answer = ?, "by" = ?, answered = ?, key = ?'
            " WHERE desk = ? AND nonce = ? AND answer IS NULL RETURNING nonce",
            (answer, by, _microseconds(at), key, self._desk, nonce),
            named=True,
        )
        return bool(first)

    def close(self) -> None:
        """Let go of the connections."""
        self._readers.close()
        with self._turn:
            self._disconnect()

    def _read(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """The rows of one statement whose first value is the desk."""
        return self._readers.rows(self._where.sql(sql), (self._desk, *values))

    def _run(self, sql: str, values: Sequence[Any], *, named: bool = False) -> list[Any]:
        """One statement, which alone is a transaction. The desk is its first value, unless the values name it."""
        with self._turn:
            try:
                if self._connection is None:
                    self._connection = connect(self._where, write=True)
                told = values if named else (self._desk, *values)
                cursor = self._connection.execute(self._where.sql(sql), told)
                return cursor.fetchall() if sql.startswith("SELECT") or "RETURNING" in sql else []
            except self._errors as error:
                self._disconnect()
                raise StoreFailed(
                    f"who may talk, at {self._where}, cannot be kept: {one_line(error)}"
                ) from error

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*self._errors):
                connection.close()


def _asked(row: Any) -> Asked:
    nonce, at, expires, body, answer, by, answered, key = row
    when = None if answered is None else _moment(answered)
    return Asked(nonce, _moment(at), _moment(expires), bytes(body), answer or "", by or "", when, key or "")


def _in_microseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _microseconds(moment: datetime) -> int:
    return _in_microseconds(moment - _EPOCH)


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
