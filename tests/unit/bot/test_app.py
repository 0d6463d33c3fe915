import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot import app
from bot.alerts import Level
from bot.app import Bot
from bot.chat.console import ConsoleChat
from bot.chat.port import Message
from bot.people import CONSOLE
from engine.core.domain.records import Record
from tests.builders import command_record, cycle_record, decision, entry_orders, fill, start_record
from tests.fakes import FakeClock, FakeDesk, ListJournal


class ListChat:
    """A chat in memory."""

    source = "list"

    def __init__(self, *texts: str) -> None:
        self._texts = texts
        self.said: list[str] = []

    async def messages(self) -> AsyncIterator[Message]:
        """Each text, with a moment in between for whatever else wants to run."""
        for number, text in enumerate(self._texts):
            await asyncio.sleep(0)
            yield Message(text, CONSOLE, f"list-{number}")

    async def send(self, text: str) -> None:
        """Keep it."""
        self.said.append(text)


async def report(day: str) -> str:
    """No report here."""
    return day


def bot(chat: Any, desk: FakeDesk, *records: Record, **more: Any) -> Bot:
    """A bot over a fake desk."""
    return Bot(chat, desk, ListJournal(start_record(), *records), report, FakeClock().now, **more)


async def test_messages_are_answered_in_order() -> None:
    chat, desk = ListChat("/kill news", "/resume"), FakeDesk()

    await bot(chat, desk).run()

    assert ["The desk is halted" in chat.said[0], "The desk is reducing" in chat.said[1]] == [True, True]
    assert [command.key for command in desk.commands] == ["list-0", "list-1"]


async def test_records_become_alerts_and_what_waits_at_the_end_is_still_told() -> None:
    chat, desk = ListChat(), FakeDesk()
    entry = fill(entry_orders()[0])
    mine = bot(chat, desk, cycle_record(), entry)
    desk.listen(mine.hear)

    desk.tell(entry, start_record(), command_record())
    await mine.tell_waiting()

    assert [decision() in line or "ana asked for kill" in line for line in chat.said] == [True, True]


async def test_more_news_than_there_is_room_for_is_counted_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "WAITING", 2)
    chat, desk = ListChat(), FakeDesk()
    mine = bot(chat, desk)
    desk.listen(mine.hear)

    desk.tell(*[command_record(f"kill{number}") for number in range(5)])
    await mine.tell_waiting()

    assert len(chat.said) == 3
    assert chat.said[-1].startswith("3 records went by untold")


async def test_a_level_can_be_asked_for() -> None:
    chat, desk = ListChat(), FakeDesk()
    mine = bot(chat, desk, quietest=Level.INFO)
    desk.listen(mine.hear)

    desk.tell(start_record())
    await mine.tell_waiting()

    assert "The desk desk started" in chat.said[0]


async def test_a_failure_inside_is_told_as_one_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeDesk):
        def status(self) -> dict[str, Any]:
            raise RuntimeError("a bug")

    chat = ListChat("/status", "/help")

    await bot(chat, Broken()).run()

    assert chat.said[0] == "That failed inside; the log has the details."
    assert "/kill" in chat.said[1]
    assert "a bug" in caplog.text


async def test_the_console_answers_until_quit_and_until_its_input_ends() -> None:
    out = io.StringIO()
    for lines, count in (("/help\n\n/quit\n/help\n", 1), ("/help\n/trades\n", 2), ("", 0)):
        chat = ConsoleChat("s1", lines=io.StringIO(lines), out=out)
        keys = [message.key async for message in chat.messages()]
        assert len(keys) == count
    await ConsoleChat("s1", lines=io.StringIO(""), out=out).send("hello")
    assert out.getvalue() == "hello\n"


async def test_the_console_does_not_read_ahead_without_end() -> None:
    many = io.StringIO("".join(f"/why {number}\n" for number in range(1000)))
    chat = ConsoleChat("s1", lines=many, out=io.StringIO())

    async for message in chat.messages():
        assert message.key == "s1-1"
        break

    assert many.tell() < len(many.getvalue())


async def test_decisions_take_no_room_among_what_waits_to_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "WAITING", 1)
    chat, desk = ListChat(), FakeDesk()
    mine = bot(chat, desk)
    desk.listen(mine.hear)

    desk.tell(*[cycle_record() for _ in range(5)], command_record())
    await mine.tell_waiting()

    assert len(chat.said) == 1
    assert "ana asked for kill" in chat.said[0]


async def test_an_alert_that_cannot_be_told_does_not_silence_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Deaf(ListChat):
        """Takes nothing the first time."""

        async def send(self, text: str) -> None:
            self.tried = getattr(self, "tried", 0) + 1
            if self.tried == 1:
                raise ConnectionError("the chat is gone")
            await super().send(text)

    chat, desk = Deaf(), FakeDesk()
    mine = bot(chat, desk)
    desk.listen(mine.hear)
    first, second = command_record("kill1"), command_record("kill2")

    desk.tell(first, second)
    await mine.tell_waiting()

    assert len(chat.said) == 1
    assert f"record {first.id} could not be told" in caplog.text
    assert "the chat is gone" in caplog.text


async def test_a_chat_that_takes_no_answers_is_still_listened_to(caplog: pytest.LogCaptureFixture) -> None:
    class Mute(ListChat):
        """Brings messages and takes none."""

        async def send(self, text: str) -> None:
            raise BrokenPipeError("nobody reads here")

    desk = FakeDesk()

    await bot(Mute("/status", "/kill enough"), desk).run()

    assert [command.kind for command in desk.commands] == ["kill"]
    assert "the answer to list-0 could not be told" in caplog.text
