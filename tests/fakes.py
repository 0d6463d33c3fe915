"""Small real classes in place of what surrounds the desk: a journal in memory, a clock, a desk that remembers."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from engine.core.accounting.fold import DeskState
from engine.core.domain.commands import Command, CommandKind, Outcome
from engine.core.domain.errors import Impossible, StoreFailed
from engine.core.domain.events import Recorded
from engine.core.domain.ids import epoch_ms
from engine.core.domain.records import Record, columns, encode
from engine.core.domain.risk import RiskState
from engine.live.status import risk_panel
from engine.ports import Asked, Known, Linked, StoredRecord, Verification
from tests.builders import CLOSE, portfolio, settings, status


class ListJournal:
    """The journal's promises, kept in memory."""

    def __init__(self, *records: Record) -> None:
        self._stored: list[StoredRecord] = []
        self._by_id: dict[str, StoredRecord] = {}
        self._keys: list[tuple[int, dict[str, str]]] = []
        self.add(records)

    async def append(self, records: Sequence[Record]) -> tuple[StoredRecord, ...]:
        """All or none; a known id with the same content is the record already there."""
        return self.add(records)

    def add(self, records: Iterable[Record]) -> tuple[StoredRecord, ...]:
        """The same without waiting."""
        given = list(records)
        for record in given:
            known = self._by_id.get(record.id)
            if known is not None and encode(known.record) != encode(record):
                raise Impossible(f"record {record.id} is stored already, with other content")
        return tuple([self._by_id.get(record.id) or self._one(record) for record in given])

    def _one(self, record: Record) -> StoredRecord:
        before = self._stored[-1].hash if self._stored else ""
        link = hashlib.sha256(before.encode() + encode(record)).hexdigest()
        stored = StoredRecord(len(self._stored) + 1, link, record)
        self._stored.append(stored)
        self._by_id[record.id] = stored
        self._keys.append((epoch_ms(record.at), columns(record)._asdict()))
        return stored

    def replace(self, record: Record) -> None:
        """Put other content under a known id: what no journal does, for tests of those who would notice."""
        stored = self._by_id[record.id]._replace(record=record)
        self._by_id[record.id] = self._stored[stored.sequence - 1] = stored

    def read(self, first: int = 1, last: int | None = None) -> Iterable[StoredRecord]:
        """In order."""
        return iter(self._stored[first - 1 : last])

    def get(self, record_id: str) -> StoredRecord | None:
        """By id."""
        return self._by_id.get(record_id)

    def find(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        newest_first: bool = True,
        **columns: str,
    ) -> tuple[StoredRecord, ...]:
        """By column, to the millisecond, ordered by time and then by number."""
        wanted = [(name, value) for name, value in columns.items() if value]
        low = epoch_ms(since) if since else None
        high = epoch_ms(until) if until else None
        found = [
            (at, stored)
            for (at, key), stored in zip(self._keys, self._stored, strict=True)
            if (low is None or at >= low)
            and (high is None or at < high)
            and all(key[name] == value for name, value in wanted)
        ]
        found.sort(key=lambda pair: (pair[0], pair[1].sequence), reverse=newest_first)
        return tuple([stored for _, stored in found[:limit]])

    def count(self) -> int:
        """How many."""
        return len(self._stored)

    def verify(self) -> Verification:
        """Walk the chain."""
        before = ""
        for stored in self._stored:
            link = hashlib.sha256(before.encode() + encode(stored.record)).hexdigest()
            if link != stored.hash:
                return Verification(
                    len(self._stored), False, stored.sequence, "the link does not fit", before
                )
            before = link
        return Verification(len(self._stored), True, None, "", before)


class ListAsks:
    """People and questions, kept in memory. `broken` says that the store cannot be reached."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._linked: dict[tuple[str, int], Linked] = {}
        self.questions: dict[str, Asked] = {}
        self.broken = False

    def known(self) -> tuple[Known, ...]:
        """By name."""
        if self.broken:
            raise StoreFailed("the store is gone")
        return tuple(self._known[name] for name in sorted(self._known))

    def linked(self) -> tuple[Linked, ...]:
        """By surface and number."""
        if self.broken:
            raise StoreFailed("the store is gone")
        return tuple(self._linked[account] for account in sorted(self._linked))

    def set_role(self, known: Known) -> None:
        """The newest word counts."""
        self._known[known.name] = known

    def link(self, linked: Linked) -> None:
        """The newest word counts."""
        self._linked[linked.surface, linked.number] = linked

    def ask(self, asked: Asked) -> None:
        """Keep it."""
        self.questions[asked.nonce] = asked

    def asked(self, nonce: str) -> Asked | None:
        """By nonce."""
        return self.questions.get(nonce)

    def waiting(self, at: datetime) -> tuple[Asked, ...]:
        """Oldest first."""
        return tuple(each for each in self.questions.values() if not each.answer and each.expires > at)

    def answer(self, nonce: str, answer: str, by: str, at: datetime, key: str) -> bool:
        """Only once."""
        asked = self.questions[nonce]
        if asked.answer:
            return False
        self.questions[nonce] = asked._replace(answer=answer, by=by, answered=at, key=key)
        return True


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self, at: datetime = CLOSE) -> None:
        self._at = at

    def now(self) -> datetime:
        """Where it stands."""
        return self._at

    def monotonic(self) -> float:
        """Seconds that it was moved on."""
        return (self._at - CLOSE).total_seconds()

    def machine(self) -> str:
        """Its seconds are nobody else's."""
        return ""

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self._at += by


class FakeDesk:
    """Takes every wish once, remembers it, and moves through the states as the desk does."""

    def __init__(self, **shown: Any) -> None:
        self.shown = dict(status(**shown))
        self.commands: list[Command] = []
        self.listeners: list[Callable[[Recorded], None]] = []
        self.refuse = ""
        self.risk_state = RiskState()

    async def submit(self, command: Command) -> Outcome:
        """Done, unless the test says that it is refused."""
        if self.refuse:
            return Outcome(False, self.refuse, f"cmd-{len(self.commands)}")
        if all(command.key != known.key for known in self.commands):
            self.commands.append(command)
            self.shown["state"] = self._next(command.kind)
        return Outcome(True, f"{command.kind.value} done", f"cmd-{len(self.commands)}")

    def _next(self, kind: CommandKind) -> str:
        state = str(self.shown["state"])
        if kind is CommandKind.RESUME:
            return "reducing" if state == "halted" else "active"
        return "halted" if kind in (CommandKind.KILL, CommandKind.FLATTEN) else state

    def status(self) -> dict[str, Any]:
        """As it was told."""
        return dict(self.shown)

    def positions(self) -> tuple[dict[str, Any], ...]:
        """As it was told."""
        return tuple(self.shown["positions"])

    def risk(self) -> dict[str, Any]:
        """The panel of a desk whose newest record is what it was told."""
        return risk_panel(DeskState(portfolio=portfolio(), risk=self.risk_state), settings(), CLOSE)

    def listen(self, listener: Callable[[Recorded], None]) -> None:
        """Tell this one too."""
        self.listeners.append(listener)

    def tell(self, *records: Record) -> None:
        """Announce records as durable."""
        for number, record in enumerate(records):
            for listener in self.listeners:
                listener(Recorded(number + 1, record))
