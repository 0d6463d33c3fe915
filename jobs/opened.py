"""A home that exists, opened for looking: its journal, its halt row, and the settings its newest run had."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from msgspec.structs import replace

from configs.schema.settings import Settings
from engine.core.domain.errors import BadInput
from engine.core.domain.records import StartRecord
from engine.store.journal import SqlJournal
from engine.store.state import SqlStateStore
from jobs.home import Home


class Opened(NamedTuple):
    """Readers over one home. `settings` are those of the newest run, with the store of today's profile."""

    home: Home
    journal: SqlJournal
    settings: Settings


@contextmanager
def opened(home: Home, settings: Settings) -> Iterator[Opened]:
    """Open for reading; BadInput when nothing was ever recorded there."""
    if not settings.store.url and not (home.root / "desk.sqlite3").exists():
        raise BadInput(
            f"{home.root}: nothing was recorded here yet; run `whydesk demo` or name another --home"
        )
    journal = SqlJournal(home.store(settings), read_only=True)
    try:
        yield Opened(home, journal, settings_of(journal, settings))
    finally:
        journal.close()


def settings_of(journal: SqlJournal, settings: Settings) -> Settings:
    """What the newest run was made with; `settings` for a journal without one."""
    starts = journal.find(kind="start", limit=1)
    if not starts:
        return settings
    start = starts[0].record
    assert isinstance(start, StartRecord)
    return replace(start.settings(), store=settings.store)


def halts(home: Home, settings: Settings, *, read_only: bool = False) -> SqlStateStore:
    """The store that holds the halt row of the desk. Nobody resumes over a journal that does not fit its anchors."""
    place = home.store(settings)
    return SqlStateStore(
        place,
        home=home.root,
        desk=settings.desk.name,
        read_only=read_only,
        objection=lambda: _objection(home, settings),
    )


def _objection(home: Home, settings: Settings) -> str:
    if not any(path.exists() for path in home.anchors(settings)):
        return ""
    from engine.store.anchors import Anchors

    journal = SqlJournal(home.store(settings), read_only=True)
    try:
        anchors = Anchors(settings.desk.name, home.anchors(settings), home.keys)
        return before_resuming(anchors.objection(journal))
    finally:
        journal.close()


def before_resuming(objection: str) -> str:
    """The same objection, with what a person can do about it."""
    return (
        f"{objection}; if that is meant, say so first: whydesk journal anchor --accept WHY"
        if objection
        else ""
    )
