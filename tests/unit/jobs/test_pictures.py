"""Pictures come from another process: what it does wrong costs a picture, and never the text."""

import asyncio
import io
import os
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import jobs.pictures
from bot.chat.port import Lane, Message, Place, Said
from bot.command import Context
from bot.commands import REGISTRY
from bot.people import CONSOLE, TERMINAL
from configs.schema.chat import ChatSettings
from engine.core.domain.errors import BadQuestion, Refused
from engine.core.domain.records import Record
from engine.store.journal import SqlJournal
from jobs.home import Home
from jobs.pictures import PNG, PictureConsole, Pictures, keep, shown
from tests.builders import CLOSE, DAY, cycle_record, fill, settings, start_record
from tests.fakes import FakeClock, FakeDesk, ListJournal
from tests.life import until

HANGS = (sys.executable, "-c", "import signal; signal.pause()")
DIES = (sys.executable, "-c", "import os; os.abort()")
BABBLES = (sys.executable, "-c", "print('hello')")

RECORDS: list[Record] = [
    start_record(),
    *[cycle_record("no_signal", CLOSE + n * DAY) for n in range(9)],
    fill(),
]


@pytest.fixture
async def home(tmp_path: Path) -> Home:
    """A home with a few days on record."""
    journal = SqlJournal(str(tmp_path / "desk.sqlite3"))
    try:
        await journal.append(RECORDS)
    finally:
        journal.close()
    return Home(tmp_path)


@pytest.fixture
async def pictures(home: Home) -> AsyncIterator[Pictures]:
    """The real ones, with time enough for a busy machine."""
    made = Pictures(home, settings(), limit_s=60.0)
    yield made
    await made.aclose()


def context(picture: Any, desk: FakeDesk | None = None) -> Context:
    """Somebody at the terminal asks."""

    async def report(day: str) -> str:
        return day

    return Context(
        desk=desk or FakeDesk(),
        journal=ListJournal(*RECORDS),
        person=CONSOLE,
        source="console",
        key="k1",
        report=report,
        now=FakeClock().now,
        picture=picture,
    )


async def test_each_kind_is_drawn_from_the_store_and_the_next_process_is_ready(
    pictures: Pictures, record_property: Any
) -> None:
    desk = FakeDesk()
    took = []
    for asked in ("SP500 30", "equity", RECORDS[1].id, "risk"):
        began = time.perf_counter()
        reply = await REGISTRY.dispatch(f"/chart {asked}", context(pictures.draw, desk))
        took.append(time.perf_counter() - began)
        assert reply.ok, reply.text
        assert reply.said().picture.startswith(PNG)
        assert "PAPER" in reply.text

    record_property(
        "sums", {"chart, first (s)": round(took[0], 2), "chart, next (s)": round(max(took[1:]), 2)}
    )


async def test_a_picture_that_hangs_is_stopped_and_its_text_is_still_told(
    home: Home, record_property: Any
) -> None:
    hanging = Pictures(home, settings(), limit_s=0.3, worker=HANGS, ready=False)
    started: list[asyncio.subprocess.Process] = []
    start = hanging._start

    async def seen() -> asyncio.subprocess.Process:
        started.append(await start())
        return started[-1]

    hanging._start = seen  # type: ignore[method-assign]
    began = time.perf_counter()
    reply = await REGISTRY.dispatch("/chart SP500", context(hanging.draw))

    record_property("sums", {"chart that hangs, limit 0.3 s (s)": round(time.perf_counter() - began, 2)})
    assert reply.text.splitlines() == [
        "PAPER: SP500, nothing is held, as of 15 Oct 2008 21:00 UTC",
        "No picture: the picture was not drawn within 0.3 s.",
    ]
    assert (reply.ok, reply.picture) == (False, b"")
    assert [process.returncode for process in started] == [-9]


async def test_nothing_else_waits_for_a_picture_that_hangs(home: Home) -> None:
    hanging = Pictures(home, settings(), limit_s=30.0, worker=HANGS, ready=False)
    asking = asyncio.create_task(REGISTRY.dispatch("/chart equity", context(hanging.draw)))
    await until(hanging._turn.locked, "a picture that is under way")

    reply = await REGISTRY.dispatch("/status", context(None))
    assert not asking.done() and "The desk is active" in reply.text
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize(
    ("worker", "said"),
    [
        (DIES, "its process ended with -6"),
        (BABBLES, "its process ended with 0"),
        (("/nowhere/python",), "No such"),
    ],
)
async def test_a_process_that_dies_babbles_or_is_not_there_is_a_named_failure(
    home: Home, worker: tuple[str, ...], said: str
) -> None:
    with pytest.raises(Refused, match=said):
        await Pictures(home, settings(), worker=worker, ready=False, limit_s=30.0).draw("equity")


async def test_a_record_that_cannot_be_read_is_a_named_failure(home: Home, pictures: Pictures) -> None:
    with sqlite3.connect(home.root / "desk.sqlite3") as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute("UPDATE records SET payload = x'c1c1' WHERE sequence = 5")
    database.close()

    with pytest.raises(BadQuestion, match="record 5 cannot be read"):
        await pictures.draw("candles", "SP500")


async def test_what_is_not_on_record_comes_back_as_its_one_line(pictures: Pictures) -> None:
    with pytest.raises(BadQuestion, match=r"^no bar of GOLD is on record yet$"):
        await pictures.draw("candles", "GOLD")
    with pytest.raises(BadQuestion, match=r"'nonsense' is no picture: expected one of candles, equity"):
        await pictures.draw("nonsense")


async def test_the_process_that_draws_gets_none_of_our_secrets(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHYDESK_TELEGRAM_TOKEN", "s3cret")
    tells = (sys.executable, "-c", "import os, sys; sys.exit(str([n for n in os.environ if 'WHYDESK' in n]))")

    with pytest.raises(Refused, match=r"not drawn: \[\]$"):
        await Pictures(home, settings(), worker=tells, ready=False, limit_s=30.0).draw("equity")


async def test_a_light_ground_is_a_setting(home: Home) -> None:
    dark = Pictures(home, settings(), limit_s=60.0, ready=False)
    light = Pictures(home, settings(chat=ChatSettings(charts="light")), limit_s=60.0, ready=False)

    assert await dark.draw("equity") != await light.draw("equity")


async def test_the_terminal_says_where_the_picture_was_written(tmp_path: Path) -> None:
    home, out = Home(tmp_path), io.StringIO()
    console = PictureConsole(home, "s1", lines=io.StringIO(""), out=out)
    asked = Message("/chart equity", TERMINAL, "s1-1", Place("console", 0), CLOSE)

    await console.answer(asked, Said("the words", picture=PNG + b"rest"))
    await console.tell(Said("news", picture=PNG), Lane.NOTICE)

    path = tmp_path / "charts" / "s1-1.png"
    assert out.getvalue() == f"the words\nThe picture is in {path}\nnews\n"
    assert path.read_bytes() == PNG + b"rest"


def test_a_home_keeps_the_newest_pictures_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.pictures, "KEPT", 2)
    for number in range(4):
        path = keep(Home(tmp_path), f"s1-{number}", PNG)
        os.utime(path, (number, number))

    assert sorted(each.name for each in (tmp_path / "charts").glob("*.png")) == ["s1-2.png", "s1-3.png"]


def test_a_home_that_takes_no_picture_says_so_after_the_words(tmp_path: Path) -> None:
    (tmp_path / "charts").write_text("a file in the way")

    said = shown(Home(tmp_path), "../../etc/passwd", Said("the words", picture=PNG))
    assert said.text.startswith("the words\nThe picture could not be written: ")
    assert said.picture == b""
