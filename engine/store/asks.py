"""Who may talk to a desk, as said in chats, and the questions that wait for a yes: a row each, read anew every time.

Reading waits for nobody who writes: each thread that reads has a connection of its own.

A question is answered by one statement that changes the row only while nobody has: of two that answer at the same
moment, from whichever process, one is told that the other was first.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from engine.core.domain.errors import StoreFailed
from engine.ports import Asked, Known, Linked
from engine.store.driver import Own, Readers, microseconds, moment_of, place, prepare

MOST_WAITING = 1000
"""So many questions may wait at once."""
KEPT = timedelta(days=7)
"""For so long after its end a question can say by whom it was answered."""
_COLUMNS = 'nonce, at, expires, body, answer, "by", answered, key'


class SqlAsks:
    """The people and the questions of one desk, in the store that its journal is in."""

    def __init__(self, url: str | Path, desk: str) -> None:
        self._where = place(url)
        self._desk = desk
        self._own = Own(self._where, f"who may talk, at {self._where}, cannot be kept")
        prepare(self._where, write=True)
        self._readers = Readers(self._where)

    def known(self) -> tuple[Known, ...]:
        """Every name that a role was given to or taken from."""
        rows = self._read('SELECT name, role, "by", at FROM people WHERE desk = ? ORDER BY name', ())
        return tuple(Known(name, role, by, moment_of(at)) for name, role, by, at in rows)

    def linked(self) -> tuple[Linked, ...]:
        """Every account that was given a name."""
        rows = self._read(
            'SELECT surface, number, name, "by", at FROM accounts WHERE desk = ? ORDER BY surface, number', ()
        )
        return tuple(
            Linked(surface, number, name, by, moment_of(at)) for surface, number, name, by, at in rows
        )

    def set_role(self, known: Known) -> None:
        """From now on that is the role of that name."""
        self._run(
            'INSERT INTO people (desk, name, role, "by", at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (desk, name)'
            ' DO UPDATE SET role = excluded.role, "by" = excluded."by", at = excluded.at',
            (known.name, known.role, known.by, microseconds(known.at)),
        )

    def link(self, linked: Linked) -> None:
        """From now on the account is theirs."""
        self._run(
            'INSERT INTO accounts (desk, surface, number, name, "by", at) VALUES (?, ?, ?, ?, ?, ?)'
            " ON CONFLICT (desk, surface, number)"
            ' DO UPDATE SET name = excluded.name, "by" = excluded."by", at = excluded.at',
            (linked.surface, linked.number, linked.name, linked.by, microseconds(linked.at)),
        )

    def ask(self, asked: Asked) -> None:
        """Keep the question, and forget what was over long ago."""
        at = microseconds(asked.at)
        self._run("DELETE FROM asks WHERE desk = ? AND expires < ?", (microseconds(asked.at - KEPT),))
        waiting = self._run(
            "SELECT COUNT(*) FROM asks WHERE desk = ? AND answer IS NULL AND expires > ?", (at,)
        )
        if waiting[0][0] >= MOST_WAITING:
            raise StoreFailed(f"{MOST_WAITING} questions already wait for an answer")
        self._run(
            "INSERT INTO asks (desk, nonce, at, expires, body) VALUES (?, ?, ?, ?, ?)",
            (asked.nonce, at, microseconds(asked.expires), asked.body),
        )

    def asked(self, nonce: str) -> Asked | None:
        """The question of that nonce, answered or not."""
        rows = self._read(f"SELECT {_COLUMNS} FROM asks WHERE desk = ? AND nonce = ?", (nonce,))  # noqa: S608
        return _asked(rows[0]) if rows else None

    def waiting(self, at: datetime) -> tuple[Asked, ...]:
        """What nobody has answered and is not over at that time, oldest first."""
        rows = self._read(
            f"SELECT {_COLUMNS} FROM asks WHERE desk = ? AND answer IS NULL AND expires > ? ORDER BY at, nonce",  # noqa: S608
            (microseconds(at),),
        )
        return tuple(_asked(row) for row in rows)

    def answer(self, nonce: str, answer: str, by: str, at: datetime, key: str) -> bool:
        """Answer it; False when somebody else was first."""
        first = self._own.run(
            'UPDATE asks SET answer = ?, "by" = ?, answered = ?, key = ?'
            " WHERE desk = ? AND nonce = ? AND answer IS NULL RETURNING nonce",
            (answer, by, microseconds(at), key, self._desk, nonce),
        )
        return bool(first)

    def close(self) -> None:
        """Let go of the connections."""
        self._readers.close()
        self._own.close()

    def _read(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """The rows of one statement whose first value is the desk."""
        return self._readers.rows(self._where.sql(sql), (self._desk, *values))

    def _run(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """One statement whose first value is the desk."""
        return self._own.run(sql, (self._desk, *values))


def _asked(row: Any) -> Asked:
    nonce, at, expires, body, answer, by, answered, key = row
    when = None if answered is None else moment_of(answered)
    return Asked(
        nonce, moment_of(at), moment_of(expires), bytes(body), answer or "", by or "", when, key or ""
    )
