"""The bot's two halves: messages in, alerts out. Neither can delay the engine, and no chat can delay another."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from bot.alerts import Level, alert, may_alert
from bot.chat.port import Chat, Lane, Message, Said
from bot.command import Context, Registry, Reply
from bot.commands import REGISTRY
from bot.people import CONSOLE, TERMINAL
from engine.core.domain.events import Recorded
from engine.core.domain.records import Record
from engine.ports import Desk, Journal

log = logging.getLogger(__name__)

HASTY, UNDOES = ("kill", "pause"), "resume"
"""What goes before all that waits, and what must not come after it because it waited."""
ASKED = 1000
"""Messages of a chat that may wait for an answer; then the chat waits."""
OVERTAKEN = "Nothing was resumed: a kill or a pause came after it. Say it again if you mean it."

WAITING = 1000
"""Records that may wait to be told; what comes on top is counted, and said when there is room again."""


class Asked(NamedTuple):
    """A message that waits for its answer, and how many hasty ones had come before it."""

    message: Message
    hasty: int


class Bot:
    """Some chats and one desk: alerts go to every chat, a message is answered where it came from.

    `report` gives the text of a day's report. `remember` writes a record into the journal, where that may be done.
    """

    def __init__(
        self,
        chats: Sequence[Chat],
        desk: Desk,
        journal: Journal,
        report: Callable[[str], Awaitable[str]],
        now: Callable[[], datetime],
        *,
        remember: Callable[[Record], Awaitable[object]] | None = None,
        registry: Registry = REGISTRY,
        quietest: Level = Level.NOTICE,
    ) -> None:
        self._chats = tuple(chats)
        self._desk = desk
        self._journal = journal
        self._report = report
        self._now = now
        self._remember = remember
        self._registry = registry
        self._quietest = quietest
        self._news: asyncio.Queue[Record] = asyncio.Queue(WAITING)
        self._missed = 0
        self._hasty: set[asyncio.Task[None]] = set()
        self._hurried = 0

    async def run(self) -> None:
        """Answer messages and tell alerts until every chat has ended, then tell the alerts that still wait.

        The messages of a chat are answered in their order, one after another; only a kill and a pause wait for none,
        of whichever chat. A chat that fails ends for itself.
        """
        self._desk.listen(self.hear)
        telling = asyncio.create_task(self._tell())
        talking = [asyncio.create_task(self._talk(chat)) for chat in self._chats]
        try:
            await asyncio.gather(*talking)
            await asyncio.gather(*self._hasty)
        finally:
            beside = (telling, *talking, *self._hasty)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        await self.tell_waiting()

    async def _talk(self, chat: Chat) -> None:
        """One chat to its end; what it brought is answered all the same when it breaks off."""
        asked: asyncio.Queue[Asked] = asyncio.Queue(ASKED)
        serving = asyncio.create_task(self._serve(chat, asked))
        try:
            await self._listen(chat, asked)
            await asked.join()
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def _listen(self, chat: Chat, asked: asyncio.Queue[Asked]) -> None:
        try:
            async for message in chat.messages():
                await self._receive(chat, message, asked)
        except Exception:
            log.exception("the chat %s ended by an error; the others go on", chat.source)

    async def _receive(self, chat: Chat, message: Message, asked: asyncio.Queue[Asked]) -> None:
        if self._registry.named(message.text) not in HASTY:
            await asked.put(Asked(message, self._hurried))
            return
        self._hurried += 1
        hasty = asyncio.create_task(self._answer_to(chat, message))
        self._hasty.add(hasty)
        hasty.add_done_callback(self._hasty.discard)

    async def _serve(self, chat: Chat, asked: asyncio.Queue[Asked]) -> None:
        while True:
            message, hurried = await asked.get()
            await asyncio.gather(*self._hasty)
            await self._answer_to(chat, message, overtaken=hurried != self._hurried)
            asked.task_done()

    async def _answer_to(self, chat: Chat, message: Message, *, overtaken: bool = False) -> None:
        """A chat that takes no answer may still bring the next message, and that may be a kill."""
        reply = await self.answer(message, chat.source, overtaken=overtaken)
        try:
            await chat.answer(message, reply.said())
        except Exception:
            log.exception("the answer to %s could not be told", message.key)

    def hear(self, event: Recorded) -> None:
        """Called by the engine for every durable record: takes note of what may be worth telling, and returns."""
        if not may_alert(event.record):
            return
        try:
            self._news.put_nowait(event.record)
        except asyncio.QueueFull:
            self._missed += 1

    async def answer(self, message: Message, source: str, *, overtaken: bool = False) -> Reply:
        """The reply to one message, also when something inside fails. `overtaken` when a kill came after it."""
        if overtaken and self._registry.named(message.text) == UNDOES:
            return Reply(OVERTAKEN, ok=False)
        if message.who != TERMINAL:
            return Reply("Only the desk's own terminal is heard here.", ok=False)
        context = Context(
            desk=self._desk,
            journal=self._journal,
            person=CONSOLE,
            source=source,
            key=message.key,
            report=self._report,
            now=self._now,
            remember=self._remember,
        )
        try:
            return await self._registry.dispatch(message.text, context)
        except Exception:
            log.exception("message %s failed", message.key)
            return Reply("That failed inside; the log has the details.", ok=False)

    async def tell_waiting(self) -> None:
        """Tell every alert that waits now."""
        while not self._news.empty():
            await self._tell_one(self._news.get_nowait())

    async def _tell(self) -> None:
        while True:
            await self._tell_one(await self._news.get())

    async def _tell_one(self, record: Record) -> None:
        """A record that cannot be told must not silence those after it."""
        try:
            found = alert(record, self._journal)
        except Exception:
            log.exception("record %s could not be read for an alert", record.id)
            found = None
        if found is not None and found.level <= self._quietest:
            await self._tell_all(Said(found.text), Lane(found.level), f"record {record.id}")
        if self._missed and self._news.empty():
            missed, self._missed = self._missed, 0
            text = f"{missed:,} records went by untold; /trades and /status show where we are."
            await self._tell_all(Said(text), Lane.NOTICE, "what was missed")

    async def _tell_all(self, said: Said, lane: Lane, what: str) -> None:
        """In every chat; one that takes nothing silences no other."""
        for chat in self._chats:
            try:
                await chat.tell(said, lane)
            except Exception:
                log.exception("%s could not be told in the chat %s", what, chat.source)
