"""The bot's two halves: messages in, alerts out. Neither can delay the engine."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from bot.alerts import Level, alert, may_alert
from bot.chat.port import Chat, Message
from bot.command import Context, Registry, Reply
from bot.commands import REGISTRY
from engine.core.domain.events import Recorded
from engine.core.domain.records import Record
from engine.ports import Desk, Journal

log = logging.getLogger(__name__)

WAITING = 1000
"""Records that may wait to be told; what comes on top is counted, and said when there is room again."""


class Bot:
    """One chat and one desk.

    `report` gives the text of a day's report. `remember` writes a record into the journal, where that may be done.
    """

    def __init__(
        self,
        chat: Chat,
        desk: Desk,
        journal: Journal,
        report: Callable[[str], Awaitable[str]],
        now: Callable[[], datetime],
        *,
        remember: Callable[[Record], Awaitable[object]] | None = None,
        registry: Registry = REGISTRY,
        quietest: Level = Level.NOTICE,
    ) -> None:
        self._chat = chat
        self._desk = desk
        self._journal = journal
        self._report = report
        self._now = now
        self._remember = remember
        self._registry = registry
        self._quietest = quietest
        self._news: asyncio.Queue[Record] = asyncio.Queue(WAITING)
        self._missed = 0

    async def run(self) -> None:
        """Answer messages and tell alerts until the chat ends, then tell the alerts that still wait."""
        self._desk.listen(self.hear)
        telling = asyncio.create_task(self._tell())
        try:
            async for message in self._chat.messages():
                reply = await self.answer(message)
                await self._reply(message, reply.text)
        finally:
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await telling
        await self.tell_waiting()

    async def _reply(self, message: Message, text: str) -> None:
        """A chat that takes no answer may still bring the next message, and that may be a kill."""
        try:
            await self._chat.send(text)
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

    async def answer(self, message: Message) -> Reply:
        """The reply to one message, also when something inside fails."""
        context = Context(
            desk=self._desk,
            journal=self._journal,
            person=message.person,
            source=self._chat.source,
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
            if found is not None and found.level <= self._quietest:
                await self._chat.send(found.text)
            if self._missed and self._news.empty():
                missed, self._missed = self._missed, 0
                await self._chat.send(
                    f"{missed:,} records went by untold; /trades and /status show where we are."
                )
        except Exception:
            log.exception("record %s could not be told", record.id)
