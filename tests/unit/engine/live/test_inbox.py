"""What other processes ask for, read by the engine that runs: claimed in its turn, never done when taken back."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from engine.core.domain.commands import Command, CommandKind
from engine.live.desk import GONE
from engine.store.inbox import SqlInbox
from tests.life import BTC, Life, life, soon, until


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Life]:
    async with life(tmp_path) as one:
        one.inbox = SqlInbox(tmp_path / "desk.sqlite3", one.settings.desk.name)
        await one.restart()
        yield one


def posted(desk: Life, kind: CommandKind, key: str = "k-1") -> Command:
    """A wish of another process, which waits."""
    assert desk.inbox is not None
    command = Command(
        kind, "me", "elsewhere", key, BTC, "because", quantity=Decimal("0.01"), at=desk.clock.now()
    )
    desk.inbox.post(command, desk.clock.now())
    return command


async def test_an_entry_that_is_taken_back_while_it_waits_for_its_turn_is_not_made(desk: Life) -> None:
    assert desk.inbox is not None
    enter = posted(desk, CommandKind.ENTER)
    async with desk.engine.desk.turn:
        reading = soon(desk.engine.keeper.read_inbox())
        await until(lambda: bool(desk.engine.desk.turn._waiters), "it waits for its turn")  # type: ignore[attr-defined]
        gone = desk.inbox.withdraw(enter)
    await reading

    assert gone
    assert desk.sent() == []
    assert desk.inbox.outcome(enter) is None


async def test_an_entry_that_is_begun_cannot_be_taken_back_and_is_made_once(desk: Life) -> None:
    assert desk.inbox is not None
    enter = posted(desk, CommandKind.ENTER)
    withdrawn = []
    inbox = desk.inbox

    def taken_back(when: str, what: object) -> bool:
        withdrawn.append(inbox.withdraw(enter))
        return False

    desk.mortal(taken_back)
    await desk.engine.keeper.read_inbox()
    desk.mortal(None)
    outcome = desk.inbox.outcome(enter)

    assert set(withdrawn) == {False}
    assert outcome is not None
    assert outcome.accepted
    assert len([each for each in desk.sent() if each["side"] == "BUY"]) == 1


async def test_an_entry_begun_before_a_crash_is_refused_when_it_has_grown_old(desk: Life) -> None:
    assert desk.inbox is not None
    enter = posted(desk, CommandKind.ENTER)
    assert desk.inbox.take(enter, desk.clock.now())
    await desk.restart()
    desk.clock.advance(3600)
    await desk.engine.keeper.read_inbox()
    outcome = desk.inbox.outcome(enter)

    assert outcome is not None
    assert outcome.text.startswith("nothing was bought: it was asked for 3600 s ago")
    assert desk.sent() == []


async def test_a_flatten_that_was_taken_back_brakes_nothing(desk: Life) -> None:
    flatten = posted(desk, CommandKind.FLATTEN)

    assert await desk.engine.desk.submit(flatten, lambda: False) == GONE
    assert not desk.store.halt().version


GOOD = b'{"kind":"close","by":"me","source":"elsewhere","key":"bad","instrument":"BTC/USDT"}'
BAD = {
    "no json": b"\xff{",
    "no such kind": GOOD.replace(b"close", b"dance"),
    "too much": GOOD.replace(b'"by"', b'"quantity":"1e99","by"'),
    "not a number": GOOD.replace(b'"by"', b'"quantity":"NaN","by"'),
    "a time of nowhere": GOOD.replace(b'"by"', b'"at":"2026-11-24T00:00:00","by"'),
    "another key": GOOD.replace(b'"bad"', b'"other"'),
    "half a letter": GOOD.replace(b'"me"', b'"\\ud800"'),
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
async def test_a_row_that_holds_no_command_is_answered_and_those_behind_it_are_carried_out(
    desk: Life, text: bytes
) -> None:
    assert desk.inbox is not None
    bad = posted(desk, CommandKind.ENTER, "bad")
    with closing(sqlite3.connect(desk.home / "desk.sqlite3")) as other, other:
        other.execute("UPDATE inbox SET command = ? WHERE key = 'bad'", (text,))
    good = posted(desk, CommandKind.CLOSE, "good")
    await desk.engine.keeper.read_inbox()
    said, behind = desk.inbox.outcome(bad), desk.inbox.outcome(good)

    assert said is not None
    assert not said.accepted
    assert said.text.endswith("and nothing was done") or said.text.startswith("this is no command")
    assert "\n" not in said.text
    assert behind is not None
    assert desk.inbox.waiting() == ()


async def test_a_kill_from_another_process_is_durable_before_its_turn_and_cannot_be_taken_back(
    desk: Life,
) -> None:
    assert desk.inbox is not None
    kill = posted(desk, CommandKind.KILL)
    async with desk.engine.desk.turn:  # a cycle that waits for the venue
        reading = soon(desk.engine.keeper.read_inbox())
        await until(lambda: desk.store.halt().state == "halted", "the kill is durable")
        gone = desk.inbox.withdraw(kill)
    await reading
    outcome = desk.inbox.outcome(kill)

    assert not gone
    assert outcome is not None
    assert outcome.accepted
    assert desk.engine.desk.status()["state"] == "halted"
