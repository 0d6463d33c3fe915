"""Commands from other processes for the engine that runs: a row each, durable before anybody says that it was heard.

Whoever posts a command waits for its outcome, or takes it back while no engine has begun with it. The engine claims a
command when its turn has come, and answers it after it has been carried out and recorded: a crash in between means that
it is handled again, and the same key is the same command.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from engine.core.domain.commands import Command, Outcome
from engine.core.domain.errors import BadInput, StoreFailed
from engine.store.driver import Own, microseconds, one_line, place, prepare

MOST_WAITING = 100
"""So many may wait; more means that nobody reads them."""
KEPT = timedelta(days=7)
"""Answered commands are forgotten after that: the journal has them."""


class SqlInbox:
    """The inbox of one desk, in the store that its journal is in."""

    def __init__(self, url: str | Path, desk: str) -> None:
        where = place(url)
        self._desk = desk
        self._own = Own(where, f"the inbox at {where} cannot be used")
        prepare(where, write=True)

    def post(self, command: Command, at: datetime) -> None:
        """Durable when it returns. The same source and key again are the command that is there already."""
        waiting = self._run("SELECT COUNT(*) FROM inbox WHERE desk = ? AND outcome IS NULL", (self._desk,))
        if waiting[0][0] >= MOST_WAITING:
            raise StoreFailed(f"{MOST_WAITING} commands already wait for the engine: does it run?")
        self._run(
            "INSERT INTO inbox (desk, source, key, at, command) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (self._desk, command.source, command.key, microseconds(at), msgspec.json.encode(command)),
        )

    def waiting(self) -> tuple[Command, ...]:
        """What nobody has answered yet, oldest first. What is no command is answered here, and left out."""
        rows = self._run(
            "SELECT source, key, command FROM inbox WHERE desk = ? AND outcome IS NULL ORDER BY at, key LIMIT ?",
            (self._desk, MOST_WAITING),
        )
        found = []
        for source, key, text in rows:
            command = _read(source, key, text)
            if isinstance(command, Command):
                found.append(command)
            else:
                self._say(source, key, Outcome(False, command))
        return tuple(found)

    def take(self, command: Command, at: datetime) -> bool:
        """Claim it, durably; False when it was taken back or answered. One claimed before a crash is ours again."""
        taken = self._run(
            "UPDATE inbox SET taken = ? WHERE desk = ? AND source = ? AND key = ? AND outcome IS NULL RETURNING key",
            (microseconds(at), self._desk, command.source, command.key),
        )
        return bool(taken)

    def answer(self, command: Command, outcome: Outcome, at: datetime) -> None:
        """Say what came of it, and forget what was answered long ago."""
        self._say(command.source, command.key, outcome)
        self._run(
            "DELETE FROM inbox WHERE desk = ? AND outcome IS NOT NULL AND at < ?",
            (self._desk, microseconds(at - KEPT)),
        )

    def _say(self, source: str, key: str, outcome: Outcome) -> None:
        self._run(
            "UPDATE inbox SET outcome = ? WHERE desk = ? AND source = ? AND key = ?",
            (msgspec.json.encode(outcome), self._desk, source, key),
        )

    def outcome(self, command: Command) -> Outcome | None:
        """What came of it; None while nobody has answered."""
        rows = self._run(
            "SELECT outcome FROM inbox WHERE desk = ? AND source = ? AND key = ?",
            (self._desk, command.source, command.key),
        )
        return msgspec.json.decode(rows[0][0], type=Outcome) if rows and rows[0][0] is not None else None

    def withdraw(self, command: Command) -> bool:
        """Take it back; False when an engine has begun with it or answered it meanwhile."""
        gone = self._run(
            "DELETE FROM inbox WHERE desk = ? AND source = ? AND key = ? AND taken IS NULL AND outcome IS NULL"
            " RETURNING key",
            (self._desk, command.source, command.key),
        )
        return bool(gone)

    def close(self) -> None:
        """Let go of the connection."""
        self._own.close()

    def _run(self, sql: str, values: Sequence[Any]) -> list[Any]:
        return self._own.run(sql, values)


def _read(source: str, key: str, text: bytes) -> Command | str:
    """The command of a row, or in one line why it holds none."""
    try:
        command = msgspec.json.decode(text, type=Command)
    except (msgspec.MsgspecError, ValueError, TypeError, BadInput) as error:
        return f"this is no command, and nothing was done: {one_line(error)}"
    if (command.source, command.key) != (source, key):
        return f"this is the command {command.source} {command.key}, not {source} {key}, and nothing was done"
    return command
