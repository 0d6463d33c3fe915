"""Letters from chats and parcels to them: a row each, durable before a platform forgets the one or is told the other.

A letter stays until it is answered, and is known for a week after that: numbers of platforms are not in order for
ever. A parcel stays until it is delivered, or given up because the platform will never take it.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from engine.core.domain.errors import StoreFailed
from engine.ports import Letter, Parcel, Post
from engine.store.driver import Connection, connect, driver_errors, one_line, place, prepare

KEPT = timedelta(days=7)
"""What is done is forgotten after that."""
MOST_DEAD = 100
"""Dead letters that are shown."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = "number, source, place, lane, at, topic, body, tries, due, sent_as"
_Value = TypeVar("_Value")


class SqlMail:
    """The mail of one desk, in the store that its journal is in. Every call is one transaction, from any thread."""

    def __init__(self, url: str | Path, desk: str) -> None:
        self._where = place(url)
        self._desk = desk
        self._errors = driver_errors(self._where)
        self._turn = threading.Lock()
        self._connection: Connection | None = None
        prepare(self._where, write=True)

    def receive(self, letters: Sequence[Letter]) -> tuple[Letter, ...]:
        """Keep them, all or none; those that are new, in order."""
        return self._do(lambda: tuple(letter for letter in letters if self._keep(letter)))

    def _keep(self, letter: Letter) -> bool:
        rows = self._ask(
            "INSERT INTO letters (desk, source, key, at, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
            " RETURNING key",
            (self._desk, letter.source, letter.key, _microseconds(letter.at), letter.body),
        )
        return bool(rows)

    def unanswered(self, source: str) -> tuple[Letter, ...]:
        """Letters that nobody has answered, in the order in which they came."""
        rows = self._do(
            lambda: self._ask(
                "SELECT source, key, at, body FROM letters WHERE desk = ? AND source = ? AND answered IS NULL"
                " ORDER BY number",
                (self._desk, source),
            )
        )
        return tuple(Letter(name, key, _moment(at), bytes(body)) for name, key, at, body in rows)

    def answered(self, source: str, key: str, posts: Sequence[Post]) -> None:
        """The letter does not come again, and its answer goes out. A letter that was answered is not again."""

        def both() -> None:
            at = max((_microseconds(post.at) for post in posts), default=0)
            fresh = self._ask(
                "UPDATE letters SET answered = ? WHERE desk = ? AND source = ? AND key = ? AND answered IS NULL"
                " RETURNING key",
                (at, self._desk, source, key),
            )
            if fresh:
                self._put(posts)

        self._do(both)

    def post(self, posts: Sequence[Post]) -> None:
        """Put parcels on their way, all or none."""
        self._do(lambda: self._put(posts))

    def _put(self, posts: Sequence[Post]) -> None:
        for post in posts:
            at = _microseconds(post.at)
            values = (self._desk, post.source, post.place, post.lane, at, post.group, post.body, at)
            self._ask(
                "INSERT INTO parcels (desk, source, place, lane, at, topic, body, tries, due, sent_as, why)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, '', '')",
                values,
            )

    def waiting(self, source: str) -> tuple[Parcel, ...]:
        """Parcels that are neither delivered nor dead, by lane and number."""
        return self._parcels("source = ? AND ended IS NULL ORDER BY lane, number", (source,))

    def trying(self, numbers: Sequence[int]) -> None:
        """Written down before they leave: one that is told again after a crash can say so."""
        self._each(numbers, "UPDATE parcels SET tries = tries + 1 WHERE desk = ? AND number = ?")

    def delivered(self, numbers: Sequence[int], sent_as: str, at: datetime) -> None:
        """They are there, as one message of that name. What ended long ago is forgotten."""
        until = _microseconds(at - KEPT)

        def all_of_it() -> None:
            for number in numbers:
                self._ask(
                    "UPDATE parcels SET sent_as = ?, ended = ? WHERE desk = ? AND number = ?",
                    (sent_as, _microseconds(at), self._desk, number),
                )
            self._ask("DELETE FROM parcels WHERE desk = ? AND ended < ?", (self._desk, until))
            self._ask(
                "DELETE FROM letters WHERE desk = ? AND answered < ? AND at < ?", (self._desk, until, until)
            )

        self._do(all_of_it)

    def delayed(self, numbers: Sequence[int], due: datetime, why: str, *, unknown: bool = False) -> None:
        """Tried in vain; to be tried again at `due`. A try that has certainly not arrived does not count."""
        kept = "tries" if unknown else "CASE WHEN tries > 0 THEN tries - 1 ELSE 0 END"

        def all_of_them() -> None:
            for number in numbers:
                self._ask(
                    f"UPDATE parcels SET due = ?, why = ?, tries = {kept} WHERE desk = ? AND number = ?",  # noqa: S608
                    (_microseconds(due), why, self._desk, number),
                )

        self._do(all_of_them)

    def dead(self, number: int, why: str, at: datetime) -> None:
        """Given up for good."""
        self._do(
            lambda: self._ask(
                "UPDATE parcels SET ended = ?, dead = ?, why = ? WHERE desk = ? AND number = ?",
                (_microseconds(at), True, why, self._desk, number),
            )
        )

    def last_of(self, source: str, place: str, group: str) -> Parcel | None:
        """The newest delivered parcel of a group."""
        found = self._parcels(
            "source = ? AND place = ? AND topic = ? AND sent_as <> '' ORDER BY number DESC LIMIT 1",
            (source, place, group),
        )
        return found[0] if found else None

    def first_of(self, source: str, place: str, group: str) -> Parcel | None:
        """The oldest delivered parcel of a group that is remembered."""
        found = self._parcels(
            "source = ? AND place = ? AND topic = ? AND sent_as <> '' ORDER BY number LIMIT 1",
            (source, place, group),
        )
        return found[0] if found else None

    def dead_letters(self) -> tuple[tuple[Parcel, str], ...]:
        """What was given up, and why, newest first."""
        rows = self._do(
            lambda: self._ask(
                f"SELECT {_COLUMNS}, why FROM parcels WHERE desk = ? AND dead = ? ORDER BY number DESC LIMIT ?",  # noqa: S608
                (self._desk, True, MOST_DEAD),
            )
        )
        return tuple((_parcel(row[:-1]), row[-1]) for row in rows)

    def close(self) -> None:
        """Let go of the connection."""
        with self._turn:
            self._disconnect()

    def _parcels(self, condition: str, values: Sequence[Any]) -> tuple[Parcel, ...]:
        sql = f"SELECT {_COLUMNS} FROM parcels WHERE desk = ? AND {condition}"  # noqa: S608 - constants
        return tuple(map(_parcel, self._do(lambda: self._ask(sql, (self._desk, *values)))))

    def _each(self, numbers: Sequence[int], sql: str) -> None:
        def all_of_them() -> None:
            for number in numbers:
                self._ask(sql, (self._desk, number))

        self._do(all_of_them)

    def _ask(self, sql: str, values: Sequence[Any]) -> list[Any]:
        assert self._connection is not None, "asked within a transaction"
        cursor = self._connection.execute(self._where.sql(sql), values)
        return cursor.fetchall() if sql.startswith("SELECT") or "RETURNING" in sql else []

    def _do(self, work: Callable[[], _Value]) -> _Value:
        """All of the work in one transaction, or StoreFailed and none of it."""
        with self._turn:
            try:
                if self._connection is None:
                    self._connection = connect(self._where, write=True)
                for statement in self._where.dialect.begin:
                    self._connection.execute(statement)
                result = work()
                self._connection.execute("COMMIT")
                return result
            except self._errors as error:
                self._disconnect()  # which takes an open transaction back
                raise StoreFailed(f"the mail at {self._where} cannot be used: {one_line(error)}") from error
            except BaseException:
                self._disconnect()
                raise

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*self._errors):
                connection.close()


def _parcel(row: Sequence[Any]) -> Parcel:
    number, source, where, lane, at, group, body, tries, due, sent_as = row
    return Parcel(number, source, where, lane, _moment(at), group, bytes(body), tries, _moment(due), sent_as)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
