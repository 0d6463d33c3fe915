"""Kill, resume and status from any console: without an engine, and without much of a store."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.core.domain.commands import Command, CommandKind, Outcome
from engine.core.domain.errors import BadInput, BadSettings, StoreFailed
from engine.core.domain.risk import RiskState, TradingState
from engine.store.inbox import SqlInbox
from engine.store.journal import SqlJournal
from engine.store.state import SqlStateStore
from jobs.clocks import WallClock
from jobs.home import Home
from jobs.opened import opened
from jobs.stored_desk import StoredDesk
from jobs.switches import lock, risk, status, switch
from tests.builders import command_record, cycle_record, settings, start_record
from tests.fakes import FakeClock

SETTINGS = settings()
NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with one cycle in it."""
    journal = SqlJournal(tmp_path / "desk.sqlite3")
    journal.append_many([start_record(), cycle_record()])
    journal.close()
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one JSON object on stdout."""
    out = capsys.readouterr().out
    assert len(out.splitlines()) == 1
    value: dict[str, Any] = json.loads(out)
    return value


def row_of(home: Path) -> TradingState:
    store = SqlStateStore(home / "desk.sqlite3", read_only=True)
    try:
        return store.halt().state
    finally:
        store.close()


def test_a_new_home_has_nothing_to_show_and_nothing_to_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status(tmp_path / "new", SETTINGS, as_json=True)

    assert shown(capsys)["state"] == "new"
    assert not (tmp_path / "new").exists(), "to look is not to make"
    with pytest.raises(BadInput, match="nothing was recorded here yet"):
        switch(tmp_path / "new", SETTINGS, "resume", "", as_json=True)


def test_a_new_home_can_be_killed_before_it_ever_ran(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    switch(tmp_path, SETTINGS, "kill", "not today", as_json=True)

    assert shown(capsys)["state"] == "halted"
    assert row_of(tmp_path) is TradingState.HALTED


def test_the_way_back_has_two_steps(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    states = []
    for kind in ("kill", "kill", "resume", "resume", "resume"):
        switch(home, SETTINGS, kind, "why", as_json=True)
        states.append(shown(capsys)["state"])

    assert states == ["halted", "halted", "reducing", "active", "active"]


def test_status_shows_the_row_where_it_is_newer_than_the_records(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    switch(home, SETTINGS, "kill", "news", as_json=True)
    capsys.readouterr()

    status(home, SETTINGS, as_json=True)

    value = shown(capsys)
    assert (value["state"], value["by"], value["reason"]) == ("halted", "console", "news")
    assert value["records"] == 2


def test_status_for_people_is_a_few_lines(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status(home, SETTINGS, as_json=False)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "active"
    assert "equity" in lines[1]


def test_a_kill_works_on_a_damaged_store_and_a_resume_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "desk.sqlite3").write_bytes(b"this is not a database" * 1000)

    switch(tmp_path, SETTINGS, "kill", "broken", as_json=True)

    assert shown(capsys)["state"] == "halted"
    assert (tmp_path / "KILLED").exists()
    with pytest.raises(StoreFailed):
        switch(tmp_path, SETTINGS, "resume", "", as_json=True)
    with pytest.raises(StoreFailed):
        status(tmp_path, SETTINGS, as_json=True)


def test_the_settings_of_the_newest_run_count_not_those_of_today(home: Path) -> None:
    """A desk of another name would halt another row."""
    with opened(Home(home), settings("OTHER")) as desk:
        assert desk.settings.desk == start_record().settings().desk


# --- the desk without an engine -------------------------------------------------------------------


async def test_a_stored_desk_halts_and_resumes_and_trades_nothing(home: Path) -> None:
    journal = SqlJournal(home / "desk.sqlite3", read_only=True)
    store = SqlStateStore(home / "desk.sqlite3")
    inbox = SqlInbox(home / "desk.sqlite3", SETTINGS.desk.name)
    desk = StoredDesk(journal, store, inbox, SETTINGS, FakeClock(), patience_s=0)

    answers = [
        await desk.submit(Command(kind, "me", "console", str(n), "SP500"))
        for n, kind in enumerate(
            (CommandKind.KILL, CommandKind.RESUME, CommandKind.CLOSE, CommandKind.FLATTEN)
        )
    ]

    assert [answer.accepted for answer in answers] == [True, True, False, False]
    assert desk.status()["state"] == "halted"  # it could not close anything, but a flatten halts at least
    assert answers[2].text == "no engine took it within 0 s, and it was taken back: `whydesk run` starts one"
    assert answers[3].text.startswith("the desk is halted; to close what it holds, no engine took it")
    assert inbox.waiting() == ()
    inbox.close()
    assert desk.positions() == ()
    store.close()
    journal.close()


async def test_what_trades_is_put_before_the_running_engine_and_its_answer_is_told(home: Path) -> None:
    journal = SqlJournal(home / "desk.sqlite3", read_only=True)
    store = SqlStateStore(home / "desk.sqlite3")
    inbox, engine = (SqlInbox(home / "desk.sqlite3", SETTINGS.desk.name) for _ in range(2))
    desk = StoredDesk(journal, store, inbox, SETTINGS, WallClock())
    close = Command(CommandKind.CLOSE, "me", "console", "k-1", "SP500", quantity=Decimal("1.5"))

    asked = asyncio.create_task(desk.submit(close))
    await asyncio.sleep(0)
    assert engine.waiting() == (close,)
    engine.answer(close, Outcome(True, "closing 1.5 SP500", "cmd-1"), NOW)

    assert await asked == Outcome(True, "closing 1.5 SP500", "cmd-1")
    assert await desk.submit(close) == Outcome(True, "closing 1.5 SP500", "cmd-1"), (
        "the same key is the same command"
    )
    assert not inbox.withdraw(close), "what was answered cannot be taken back"
    for each in (inbox, engine, store, journal):
        each.close()


async def test_what_the_engine_has_begun_with_is_not_taken_back_and_the_console_says_so(home: Path) -> None:
    journal = SqlJournal(home / "desk.sqlite3", read_only=True)
    store = SqlStateStore(home / "desk.sqlite3")
    inbox, engine = (SqlInbox(home / "desk.sqlite3", SETTINGS.desk.name) for _ in range(2))
    desk = StoredDesk(journal, store, inbox, SETTINGS, WallClock(), patience_s=0.3, begun_s=0.3)
    enter = Command(CommandKind.ENTER, "me", "console", "k-1", "SP500")

    asked = asyncio.create_task(desk.submit(enter))
    await asyncio.sleep(0)
    taken = engine.take(enter, NOW)

    assert taken
    assert (await asked).text.startswith("it is being carried out and cannot be taken back")
    assert engine.waiting() == (enter,), "one that was begun before a crash is handled again"
    assert engine.take(enter, NOW)
    engine.answer(enter, Outcome(True, "bought", "cmd-1"), NOW)
    assert await desk.submit(enter) == Outcome(True, "bought", "cmd-1")
    assert not engine.take(enter, NOW), "what was answered is over"
    for each in (inbox, engine, store, journal):
        each.close()


async def test_a_stored_desk_shows_a_halt_of_the_journal(home: Path) -> None:
    journal = SqlJournal(home / "desk.sqlite3")
    journal.append_sync(
        [command_record(risk=RiskState(trading=TradingState.HALTED, since=NOW, by="ana", why="news"))]
    )
    store = SqlStateStore(home / "desk.sqlite3")

    inbox = SqlInbox(home / "desk.sqlite3", SETTINGS.desk.name)
    assert StoredDesk(journal, store, inbox, SETTINGS, FakeClock()).status()["state"] == "halted"
    inbox.close()
    store.close()
    journal.close()


# --- pauses, locks and the panel ------------------------------------------------------------------


def locks_of(home: Path) -> dict[str, bool]:
    store = SqlStateStore(home / "desk.sqlite3", read_only=True)
    try:
        return {row.name: row.locked for row in store.locks()}
    finally:
        store.close()


def test_a_pause_is_a_row_and_never_lifts_a_halt(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    switch(home, SETTINGS, "pause", "lunch", as_json=True)
    assert (shown(capsys)["state"], row_of(home)) == ("reducing", TradingState.REDUCING)
    switch(home, SETTINGS, "pause", "again", as_json=True)
    assert shown(capsys)["reason"] == "lunch", "it is paused already"
    switch(home, SETTINGS, "kill", "", as_json=True)
    capsys.readouterr()

    switch(home, SETTINGS, "pause", "lunch", as_json=True)

    assert (shown(capsys)["state"], row_of(home)) == ("halted", TradingState.HALTED)


def test_a_lock_needs_no_engine_and_is_told_by_its_own_name(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(home, SETTINGS, "sp500", "news", locks=True, as_json=True)
    assert shown(capsys)["name"] == "SP500"
    assert locks_of(home) == {"SP500": True}

    risk(home, SETTINGS, as_json=True)
    panel = shown(capsys)
    assert panel["locks"]["SP500"] == {
        "by": "console",
        "reason": "news",
        "since": panel["locks"]["SP500"]["since"],
    }
    assert {"drawdown", "gross exposure", "daily loss"} <= {check["name"] for check in panel["checks"]}

    status(home, SETTINGS, as_json=False)
    assert "SP500 is locked: news" in capsys.readouterr().out

    lock(home, SETTINGS, "SP500", "", locks=False, as_json=False)
    assert capsys.readouterr().out == "SP500 is unlocked\n"
    assert locks_of(home) == {"SP500": False}


def test_what_cannot_be_locked_is_bad_input(home: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'DOGE' cannot be locked: expected one of venue, manual, SP500"):
        lock(home, SETTINGS, "DOGE", "", locks=True, as_json=True)
    with pytest.raises(BadInput, match="nothing was recorded here yet, so there is nothing to unlock"):
        lock(tmp_path / "new", SETTINGS, "SP500", "", locks=False, as_json=True)
    with pytest.raises(BadInput, match="nothing was recorded here yet, so there is nothing to pause"):
        switch(tmp_path / "new", SETTINGS, "pause", "", as_json=True)


def drop_records(home: Path) -> None:
    with closing(sqlite3.connect(home / "desk.sqlite3")) as database:
        database.execute("DROP TABLE records")


def damage_records(home: Path) -> None:
    with closing(sqlite3.connect(home / "desk.sqlite3")) as database, database:
        database.execute("UPDATE records SET payload = x'00ff'")


def of_other_code(home: Path) -> None:
    """The newest run had a setting that this code does not know."""
    journal = SqlJournal(home / "desk.sqlite3")
    start = start_record(at=NOW)
    journal.append_many([replace(start, values=start.values | {"gone": 1})])
    journal.close()


@pytest.mark.parametrize("spoil", [drop_records, damage_records, of_other_code])
def test_a_lock_and_a_kill_hold_where_the_journal_cannot_be_read_and_an_unlock_does_not(
    home: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None]
) -> None:
    spoil(home)

    lock(home, SETTINGS, "sp500", "news", locks=True, as_json=False)

    told = capsys.readouterr().out.splitlines()
    assert told[0] == "SP500 is locked"
    assert told[1].startswith("what the desk ran with cannot be read, so this is by the profile given: ")
    assert locks_of(home) == {"SP500": True}
    with pytest.raises((StoreFailed, BadSettings)):
        lock(home, SETTINGS, "SP500", "", locks=False, as_json=True)
    with pytest.raises(
        BadInput, match=r"'DOGE' cannot be locked: expected one of venue.*by the profile given"
    ):
        lock(home, SETTINGS, "DOGE", "", locks=True, as_json=True)
    switch(home, SETTINGS, "kill", "broken", as_json=True)
    assert (shown(capsys)["state"], row_of(home)) == ("halted", TradingState.HALTED)
    assert locks_of(home) == {"SP500": True}


def test_a_part_of_a_desk_can_be_locked_before_it_ever_ran(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock(tmp_path / "new", SETTINGS, "trend", "not that", locks=True, as_json=False)

    assert capsys.readouterr().out.splitlines() == [
        "trend is locked",
        f"nothing was ever recorded in {tmp_path / 'new'}: is it the home of your desk?",
    ]
    assert locks_of(tmp_path / "new") == {"trend": True}
    journal = SqlJournal(tmp_path / "new" / "desk.sqlite3")
    journal.append_many([start_record(), cycle_record()])
    journal.close()
    status(tmp_path / "new", SETTINGS, as_json=False)
    assert "trend is locked: not that" in capsys.readouterr().out, "and the desk that comes finds it"


def test_a_lock_that_no_database_takes_says_what_does_not_need_one(tmp_path: Path) -> None:
    (tmp_path / "desk.sqlite3").write_bytes(b"this is not a database" * 1000)

    with pytest.raises(StoreFailed, match="`whydesk kill` needs no database"):
        lock(tmp_path, SETTINGS, "SP500", "", locks=True, as_json=True)


def test_the_panel_for_people_shows_the_rows_word(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    switch(home, SETTINGS, "kill", "too hot", as_json=False)
    capsys.readouterr()

    risk(home, SETTINGS, as_json=False)

    out = capsys.readouterr().out
    assert out.startswith("The desk is halted")
    assert "NO trading state: not met (command.resume)" in out
    assert "gross exposure: " in out and "(risk.max_gross)" in out


async def test_a_stored_desk_pauses_and_locks_by_itself_and_leaves_limits_to_the_engine(home: Path) -> None:
    journal, store = SqlJournal(home / "desk.sqlite3", read_only=True), SqlStateStore(home / "desk.sqlite3")
    inbox = SqlInbox(home / "desk.sqlite3", "desk")
    desk = StoredDesk(journal, store, inbox, SETTINGS, FakeClock(), patience_s=0)

    async def say(kind: CommandKind, **more: Any) -> Outcome:
        return await desk.submit(Command(kind, "me", "console", f"{kind}{more}", reason="because", **more))

    assert (await say(CommandKind.PAUSE)).text == "the desk is reducing"
    assert (await say(CommandKind.PAUSE, value=1.0)).text == "the desk is reducing already"
    assert (await say(CommandKind.LOCK, name="trend")).text == "trend is locked"
    assert list(desk.risk()["locks"]) == ["trend"]
    assert (await say(CommandKind.UNLOCK, name="trend")).text == "trend is unlocked"
    assert desk.risk()["locks"] == {}
    store.set_lock("trend", True, "ops", "news", FakeClock().now() + timedelta(seconds=1))
    late = await say(CommandKind.UNLOCK, name="trend", at=FakeClock().now())
    assert (late.accepted, late.text.startswith("trend stays locked: it was locked at")) == (False, True)
    assert list(desk.risk()["locks"]) == ["trend"]
    assert (await say(CommandKind.UNLOCK, name="trend", at=FakeClock().now() + timedelta(seconds=1))).accepted
    unknown = await say(CommandKind.LOCK, name="DOGE")
    assert (unknown.accepted, unknown.text.startswith("'DOGE' cannot be locked")) == (False, True)
    nobody = await say(CommandKind.LIMIT, name="max_gross", value=0.1)
    assert (nobody.accepted, "no engine took it" in nobody.text) == (False, True)
    inbox.close()
    store.close()
    journal.close()
