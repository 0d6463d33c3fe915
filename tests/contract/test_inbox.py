"""What the inbox promises on every store: durable, once for each key, and one clear line when it cannot be used."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from engine.core.domain.commands import Command, CommandKind, Outcome
from engine.core.domain.errors import StoreFailed
from engine.store import inbox as inbox_module
from engine.store.driver import connect, place
from engine.store.inbox import KEPT, SqlInbox

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def inbox(url: str) -> Iterator[SqlInbox]:
    with closing(SqlInbox(url, "desk")) as inbox:
        yield inbox


def command(key: str) -> Command:
    return Command(CommandKind.CLOSE, "me", "elsewhere", key, "BTC/USDT")


def test_when_nobody_reads_it_the_next_command_is_refused_and_those_that_wait_stay(
    inbox: SqlInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "MOST_WAITING", 3)
    for number in range(3):
        inbox.post(command(str(number)), NOW)

    with pytest.raises(StoreFailed, match="3 commands already wait for the engine: does it run"):
        inbox.post(command("one too many"), NOW)

    assert [each.key for each in inbox.waiting()] == ["0", "1", "2"]
    inbox.answer(command("1"), Outcome(True, "done"), NOW)
    inbox.post(command("there is room again"), NOW + timedelta(seconds=1))
    assert len(inbox.waiting()) == 3


def test_a_store_that_fails_is_told_in_one_line_and_the_next_try_connects_anew(
    inbox: SqlInbox, url: str
) -> None:
    inbox.post(command("1"), NOW)
    with closing(connect(place(url), write=True)) as other:
        other.execute("ALTER TABLE inbox RENAME TO elsewhere")
        with pytest.raises(StoreFailed, match=r"the inbox at .* cannot be used: .*inbox") as refused:
            inbox.waiting()
        other.execute("ALTER TABLE elsewhere RENAME TO inbox")

    assert "\n" not in str(refused.value)
    assert inbox.waiting() == (command("1"),)


def test_what_was_answered_long_ago_is_forgotten_and_what_waits_is_not(inbox: SqlInbox) -> None:
    for key, at in (("old", NOW), ("waits", NOW), ("new", NOW + KEPT)):
        inbox.post(command(key), at)
    inbox.answer(command("old"), Outcome(True, "done"), NOW)

    inbox.answer(command("new"), Outcome(True, "done"), NOW + KEPT + timedelta(seconds=1))

    assert inbox.outcome(command("old")) is None
    assert inbox.outcome(command("new")) == Outcome(True, "done")
    assert inbox.waiting() == (command("waits"),)
