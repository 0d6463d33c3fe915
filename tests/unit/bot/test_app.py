import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot import app
from bot.alerts import Level
from bot.app import Bot
from bot.chat.console import ConsoleChat
from bot.chat.port import Lane, Message, Place, Said
from bot.command import OVERTAKEN
from bot.people import TERMINAL, Who
from configs.schema.chat import ChatSettings, PersonSettings
from engine.core.domain.events import Recorded
from engine.core.domain.records import Record
from tests.builders import CLOSE, command_record, cycle_record, decision, entry_orders, fill, start_record
from tests.fakes import FakeClock, FakeDesk, ListJournal
from tests.life import until


class ListChat:
    """A chat in memory."""

    def __init__(self, *texts: str, source: str = "list") -> None:
        self._texts = texts
        self.source = source
        self.said: list[str] = []

    async def messages(self) -> AsyncIterator[Message]:
        """Each text, with a moment in between for whatever else wants to run."""
        for number, text in enumerate(self._texts):
            await asyncio.sleep(0)
            yield said_at_the_terminal(text, f"{self.source}-{number}")

    async def answer(self, message: Message, said: Said) -> None:
        """Keep it."""
        self.said.append(said.text)

    async def tell(self, said: Said, lane: Lane) -> None:
        """Keep it too."""
        self.said.append(said.text)


def said_at_the_terminal(text: str, key: str) -> Message:
    """By whoever sits at the machine."""
    return Message(text, TERMINAL, key, Place("console", 0), CLOSE)


async def report(day: str) -> str:
    """No report here."""
    return day


def bot(chat: Any, desk: FakeDesk, *records: Record, **more: Any) -> Bot:
    """A bot over a fake desk."""
    return Bot((chat,), desk, ListJournal(start_record(), *records), report, FakeClock().now, **more)


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
    chat = ConsoleChat("s1", lines=io.StringIO(""), out=out)
    await chat.answer(said_at_the_terminal("/help", "k"), Said("hello"))
    await chat.answer(said_at_the_terminal("/help", "k"), Said(""))
    await chat.tell(Said("halted"), Lane.URGENT)
    assert out.getvalue() == "hello\nhalted\n"


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

        async def tell(self, said: Said, lane: Lane) -> None:
            self.tried = getattr(self, "tried", 0) + 1
            if self.tried == 1:
                raise ConnectionError("the chat is gone")
            await super().tell(said, lane)

    chat, desk = Deaf(), FakeDesk()
    mine = bot(chat, desk)
    desk.listen(mine.hear)
    first, second = command_record("kill1"), command_record("kill2")

    desk.tell(first, second)
    await mine.tell_waiting()

    assert len(chat.said) == 1
    assert f"record {first.id} could not be told in the chat list" in caplog.text
    assert "the chat is gone" in caplog.text


async def test_a_chat_that_takes_no_answers_is_still_listened_to(caplog: pytest.LogCaptureFixture) -> None:
    class Mute(ListChat):
        """Brings messages and takes none."""

        async def answer(self, message: Message, said: Said) -> None:
            raise BrokenPipeError("nobody reads here")

    desk = FakeDesk()

    await bot(Mute("/status", "/kill enough"), desk).run()

    assert [command.kind for command in desk.commands] == ["kill"]
    assert "the answer to list-0 could not be told" in caplog.text


class Slow:
    """A report that takes as long as a test lets it."""

    def __init__(self) -> None:
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def report(self, day: str) -> str:
        """When it is let."""
        self.asked.set()
        await self.let.wait()
        return "the report"


async def test_a_kill_waits_for_no_message_before_it_and_all_others_keep_their_order() -> None:
    chat, desk, slow = ListChat("/report", "/status", "/kill enough", "/help"), FakeDesk(), Slow()
    running = asyncio.create_task(
        Bot((chat,), desk, ListJournal(start_record()), slow.report, FakeClock().now).run()
    )
    await slow.asked.wait()
    await until(lambda: bool(chat.said), "an answer")
    first = list(chat.said)
    slow.let.set()
    await running

    assert [command.kind for command in desk.commands] == ["kill"]
    assert len(first) == 1
    assert "The desk is halted" in first[0]
    assert [chat.said[1], "halted" in chat.said[2], "/kill" in chat.said[3]] == ["the report", True, True]


async def test_a_resume_that_waited_does_not_undo_a_kill_that_came_after_it() -> None:
    chat, desk, slow = ListChat("/report", "/resume", "/kill enough", "/resume now"), FakeDesk(), Slow()
    running = asyncio.create_task(
        Bot((chat,), desk, ListJournal(start_record()), slow.report, FakeClock().now).run()
    )
    await slow.asked.wait()
    await until(lambda: bool(desk.commands), "the kill")
    slow.let.set()
    await running

    assert [(command.kind, command.key) for command in desk.commands] == [
        ("kill", "list-2"),
        ("resume", "list-3"),
    ]
    assert OVERTAKEN in chat.said
    assert desk.status()["state"] == "reducing"


async def test_a_bot_that_is_ended_lets_go_of_whatever_waits() -> None:
    chat, desk, slow = ListChat("/report", "/status"), FakeDesk(), Slow()
    running = asyncio.create_task(
        Bot((chat,), desk, ListJournal(start_record()), slow.report, FakeClock().now).run()
    )
    await slow.asked.wait()
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert chat.said == []


class Many(ListChat):
    """Many messages of one account after one that takes long, and then one of another."""

    def __init__(self, slow: Slow, many: int, sender: Who) -> None:
        super().__init__(source="telegram")
        self._slow, self._many, self._sender = slow, many, sender

    async def messages(self) -> AsyncIterator[Message]:
        """Never ends before what is slow has ended."""
        yield _of(Who("telegram", 5), "/report", "slow")
        await self._slow.asked.wait()
        for number in range(self._many):
            yield _of(self._sender, "/help", f"n{number}")
        yield _of(Who("telegram", 5), "/kill enough", "kill")
        yield _of(Who("telegram", 5), "/whoami", "last")


def _of(who: Who, text: str, key: str) -> Message:
    return Message(text, who, key, Place("telegram", 1), CLOSE)


@pytest.mark.parametrize(("sender", "may_wait"), [(1, app.OF_ONE), (666, app.OF_A_STRANGER)])
async def test_nobody_who_writes_without_end_keeps_a_kill_from_being_read(sender: int, may_wait: int) -> None:
    slow, desk = Slow(), FakeDesk()
    people = (PersonSettings("vera", "viewer", telegram=1), PersonSettings("ola", "owner", telegram=5))
    chat = Many(slow, 1200, Who("telegram", sender))
    running = asyncio.create_task(
        Bot(
            (chat,), desk, ListJournal(start_record()), slow.report, FakeClock().now,
            settings=ChatSettings(people=people),
        ).run()
    )  # fmt: skip
    await until(lambda: bool(desk.commands), "the kill")
    away = [said for said in chat.said if "halted" not in said]
    slow.let.set()
    await running

    assert [command.by for command in desk.commands] == ["ola"]
    assert away == [app.TOO_MUCH.text if sender == 1 else ""] * app.TURNED_AWAY
    answers = [said for said in chat.said if "was refused 5 times" not in said]
    assert len(answers) == len(away) + may_wait + len(("/report", "/kill", "/whoami"))
    assert chat.said[-1] == "You are telegram account 5: ola, owner.", "who writes little is answered as ever"


async def test_many_strangers_leave_room_for_whoever_is_known() -> None:
    line = app.Line()

    for number in range(100, 1100):
        line.takes(app.Asked(_of(Who("telegram", number), "hello", f"n{number}"), 0), stranger=True)
    taken = [
        line.takes(app.Asked(_of(Who("telegram", 5), "/help", f"o{n}"), 0), stranger=False) for n in range(21)
    ]

    assert line._queue.qsize() == app.OF_STRANGERS + app.OF_ONE
    assert taken == [True] * app.OF_ONE + [False]
    for _ in range(app.OF_STRANGERS + app.OF_ONE):
        await line.next()
    assert not +line._waiting


class Broken(ListChat):
    """A platform that fails after what it has brought."""

    async def messages(self) -> AsyncIterator[Message]:
        async for message in super().messages():
            yield message
        raise ConnectionError("the platform is gone")


class Open(ListChat):
    """A chat that goes on after what it has brought, until a test ends it."""

    def __init__(self, *texts: str, source: str = "list") -> None:
        super().__init__(*texts, source=source)
        self.over = asyncio.Event()

    async def messages(self) -> AsyncIterator[Message]:
        async for message in super().messages():
            yield message
        await self.over.wait()


async def test_alerts_go_to_every_chat_and_an_answer_only_to_where_it_was_asked() -> None:
    one, other, desk = ListChat("/kill enough", source="one"), ListChat("/help", source="other"), FakeDesk()
    mine = Bot((one, other), desk, ListJournal(start_record()), report, FakeClock().now)
    await mine.run()
    desk.tell(command_record())
    await mine.tell_waiting()

    assert ["The desk is halted" in one.said[0], "ana asked for kill" in one.said[1]] == [True, True]
    assert ["/kill" in other.said[0], "ana asked for kill" in other.said[1]] == [True, True]


async def test_a_chat_that_fails_or_ends_does_not_end_the_others(caplog: pytest.LogCaptureFixture) -> None:
    broken, ended, alive = Broken("/status", source="broken"), ListChat(source="ended"), Open("/help")
    desk = FakeDesk()
    running = asyncio.create_task(
        Bot((broken, ended, alive), desk, ListJournal(start_record()), report, FakeClock().now).run()
    )
    await until(lambda: bool(broken.said and alive.said), "two answers")
    desk.tell(command_record())
    await until(lambda: len(alive.said) == 2, "an alert")

    assert not running.done()
    assert "the chat broken ended by an error; the others go on" in caplog.text
    alive.over.set()
    await running


@pytest.mark.parametrize("hasty", ["/kill enough", "/pause lunch"])
async def test_a_kill_or_a_pause_of_any_chat_overtakes_all_and_no_resume_that_waited_undoes_it(
    hasty: str,
) -> None:
    slow, desk = Slow(), FakeDesk()
    waiting, other = ListChat("/report", "/resume"), Open(source="other")

    async def later() -> AsyncIterator[Message]:
        await slow.asked.wait()
        yield said_at_the_terminal(hasty, "other-0")

    other.messages = later  # type: ignore[method-assign]
    running = asyncio.create_task(
        Bot((waiting, other), desk, ListJournal(start_record()), slow.report, FakeClock().now).run()
    )
    await until(lambda: bool(desk.commands), "the hasty one")
    assert waiting.said == []
    slow.let.set()
    await running

    assert [command.kind for command in desk.commands] == [hasty[1:].partition(" ")[0]]
    assert waiting.said == ["the report", OVERTAKEN]


async def test_a_kill_of_a_stranger_overtakes_nobody() -> None:
    desk, slow = FakeDesk(state="halted"), Slow()
    mine, other = ListChat("/report", "/resume"), Open(source="other")

    async def later() -> AsyncIterator[Message]:
        await slow.asked.wait()
        for number in range(3):
            yield Message("/kill", Who("telegram", 666), f"k{number}", Place("telegram", 1), CLOSE)
        slow.let.set()

    other.messages = later  # type: ignore[method-assign]
    await Bot((mine, other), desk, ListJournal(start_record()), slow.report, FakeClock().now).run()

    assert [command.kind for command in desk.commands] == ["resume"]
    assert other.said == ["You are telegram account 666: nobody here.", "", ""]


async def test_an_alert_reaches_a_chat_with_its_buttons_its_thread_and_its_lane() -> None:
    class Whole(ListChat):
        """Keeps all of it."""

        async def tell(self, said: Said, lane: Lane) -> None:
            self.told = (said, lane)

    chat, entry = Whole(), fill(entry_orders()[0])
    mine = bot(chat, FakeDesk(), cycle_record(), entry)
    mine.hear(Recorded(1, entry))
    await mine.tell_waiting()

    said, lane = chat.told
    assert [button.data for button in said.buttons[0]] == [f"/why {decision()}", "/chart SP500", "/fx SP500"]
    assert (said.thread, lane) == (decision(), Lane.NOTICE)


async def test_a_picture_comes_with_the_answer() -> None:
    async def draw(*wanted: Any) -> bytes:
        return repr(wanted).encode()

    asked = said_at_the_terminal("/chart SP500 30", "k1")
    reply = await bot(ListChat(), FakeDesk(), picture=draw).answer(asked, "console")

    assert reply.said().picture == b"('candles', 'SP500', 30, None)"
