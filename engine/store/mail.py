"""Letters from chats and parcels to them: a row each, durable before a platform forgets the one or is told the other.

A letter stays until it is answered, and is known for a week after that: numbers of platforms are not in order for
ever. A parcel stays until it is delivered, or given up because the platform will never take it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from engine.ports import Letter, Parcel, Post
from engine.store.driver import Ask, Own, microseconds, moment_of, place, prepare

KEPT = timedelta(days=7)
"""What is done is forgotten after that."""
MOST_DEAD = 100
"""Dead letters that are shown."""
_COLUMNS = "number, source, place, lane, at, topic, body, tries, due, sent_as"


class SqlMail:
    """The mail of one desk, in the store that its journal is in. Every call is one transaction, from any thread."""

    def __init__(self, url: str | Path, desk: str) -> None:
        where = place(url)
        self._desk = desk
        self._own = Own(where, f"the mail at {where} cannot be used")
        prepare(where, write=True)

    def receive(self, letters: Sequence[Letter]) -> tuple[Letter, ...]:
        """Keep them, all or none; those that are new, in order."""
        sql = (
            "INSERT INTO letters (desk, source, key, at, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
            " RETURNING key"
        )
        with self._own.transaction() as ask:
            return tuple(
                letter
                for letter in letters
                if ask(sql, (self._desk, letter.source, letter.key, microseconds(letter.at), letter.body))
            )

    def unanswered(self, source: str) -> tuple[Letter, ...]:
        """Letters that nobody has answered, in the order in which they came."""
        rows = self._own.run(
            "SELECT source, key, at, body FROM letters WHERE desk = ? AND source = ? AND answered IS NULL"
            " ORDER BY number",
            (self._desk, source),
        )
        return tuple(Letter(name, key, moment_of(at), bytes(body)) for name, key, at, body in rows)

    def answered(self, source: str, key: str, posts: Sequence[Post]) -> None:
        """The letter does not come again, and its answer goes out. A letter that was answered is not again."""
        at = max((microseconds(post.at) for post in posts), default=0)
        with self._own.transaction() as ask:
            fresh = ask(
                "UPDATE letters SET answered = ? WHERE desk = ? AND source = ? AND key = ? AND answered IS NULL"
                " RETURNING key",
                (at, self._desk, source, key),
            )
            if fresh:
                self._put(ask, posts)

    def post(self, posts: Sequence[Post]) -> None:
        """Put parcels on their way, all or none."""
        with self._own.transaction() as ask:
            self._put(ask, posts)

    def _put(self, ask: Ask, posts: Sequence[Post]) -> None:
        for post in posts:
            at = microseconds(post.at)
            ask(
                "INSERT INTO parcels (desk, source, place, lane, at, topic, body, tries, due, sent_as, why)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, '', '')",
                (self._desk, post.source, post.place, post.lane, at, post.group, post.body, at),
            )

    def waiting(self, source: str) -> tuple[Parcel, ...]:
        """Parcels that are neither delivered nor dead, by lane and number."""
        return self._parcels("source = ? AND ended IS NULL ORDER BY lane, number", (source,))

    def trying(self, numbers: Sequence[int]) -> None:
        """Written down before they leave: one that is told again after a crash can say so."""
        self._change(numbers, "tries = tries + 1", ())

    def delivered(self, numbers: Sequence[int], sent_as: str, at: datetime) -> None:
        """They are there, as one message of that name. What ended long ago is forgotten."""
        self._change(numbers, "sent_as = ?, ended = ?", (sent_as, microseconds(at)))
        until = microseconds(at - KEPT)
        self._own.run("DELETE FROM parcels WHERE desk = ? AND ended < ?", (self._desk, until))
        self._own.run(
            "DELETE FROM letters WHERE desk = ? AND answered < ? AND at < ?", (self._desk, until, until)
        )

    def delayed(self, numbers: Sequence[int], due: datetime, why: str, *, unknown: bool = False) -> None:
        """Tried in vain; to be tried again at `due`. A try that has certainly not arrived does not count."""
        tries = "tries" if unknown else "CASE WHEN tries > 0 THEN tries - 1 ELSE 0 END"
        self._change(numbers, f"due = ?, why = ?, tries = {tries}", (microseconds(due), why))

    def dead(self, number: int, why: str, at: datetime) -> None:
        """Given up for good."""
        self._change((number,), "ended = ?, dead = ?, why = ?", (microseconds(at), True, why))

    def last_of(self, source: str, place: str, group: str) -> Parcel | None:
        """The newest delivered parcel of a group."""
        return self._one_of(source, place, group, "DESC")

    def first_of(self, source: str, place: str, group: str) -> Parcel | None:
        """The oldest delivered parcel of a group that is remembered."""
        return self._one_of(source, place, group, "ASC")

    def dead_letters(self) -> tuple[tuple[Parcel, str], ...]:
        """What was given up, and why, newest first."""
        rows = self._own.run(
            f"SELECT {_COLUMNS}, why FROM parcels WHERE desk = ? AND dead = ? ORDER BY number DESC LIMIT ?",  # noqa: S608
            (self._desk, True, MOST_DEAD),
        )
        return tuple((_parcel(row[:-1]), row[-1]) for row in rows)

    def close(self) -> None:
        """Let go of the connection."""
        self._own.close()

    def _one_of(self, source: str, place: str, group: str, order: str) -> Parcel | None:
        found = self._parcels(
            f"source = ? AND place = ? AND topic = ? AND sent_as <> '' ORDER BY number {order} LIMIT 1",
            (source, place, group),
        )
        return found[0] if found else None

    def _parcels(self, condition: str, values: Sequence[Any]) -> tuple[Parcel, ...]:
        sql = f"SELECT {_COLUMNS} FROM parcels WHERE desk = ? AND {condition}"  # noqa: S608 - constants
        return tuple(map(_parcel, self._own.run(sql, (self._desk, *values))))

    def _change(self, numbers: Sequence[int], change: str, values: Sequence[Any]) -> None:
        """All of the parcels, or none."""
        sql = f"UPDATE parcels SET {change} WHERE desk = ? AND number = ?"  # noqa: S608 - constants
        with self._own.transaction() as ask:
            for number in numbers:
                ask(sql, (*values, self._desk, number))


def _parcel(row: Sequence[Any]) -> Parcel:
    number, source, where, lane, at, group, body, tries, due, sent_as = row
    return Parcel(
        number, source, where, lane, moment_of(at), group, bytes(body), tries, moment_of(due), sent_as
    )
