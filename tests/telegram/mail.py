"""The promises of `Mail`, kept in memory, and a desk's end of Telegram put together with it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from bot.chat.port import Message
from bot.chat.telegram import Patience, TelegramChat
from configs.schema.chat import TelegramSettings
from engine.core.domain.errors import StoreFailed
from engine.ports import Letter, Post
from tests.telegram.server import GROUP, ME, TOKEN, BotServer

HASTE = Patience(first=0.01, most=0.05, again=0.05, alone=0.0, refused=0.3, kept=0.02)


class ListMail:
    """What came in and what is to go out. `full` makes it refuse, as a store does that has no room."""

    def __init__(self) -> None:
        self.letters: dict[tuple[str, str], Letter] = {}
        self.done: set[tuple[str, str]] = set()
        self.posts: list[Post] = []
        self.full = 0

    def receive(self, letters: Sequence[Letter]) -> tuple[Letter, ...]:
        """Those that are new."""
        self._room()
        new: dict[tuple[str, str], Letter] = {}
        for letter in letters:
            if (letter.source, letter.key) not in self.letters:
                new.setdefault((letter.source, letter.key), letter)
        self.letters |= new
        return tuple(new.values())

    def unanswered(self, source: str) -> tuple[Letter, ...]:
        """In the order in which they came."""
        self._room()
        return tuple(
            letter for key, letter in self.letters.items() if letter.source == source and key not in self.done
        )

    def answered(self, source: str, key: str, posts: Sequence[Post]) -> None:
        """Both at once; for a letter that is here and was not answered."""
        self._room()
        if (source, key) in self.letters.keys() - self.done:
            self.done.add((source, key))
            self.posts += posts

    def post(self, posts: Sequence[Post]) -> None:
        """Keep them."""
        self._room()
        self.posts += posts

    def close(self) -> None:
        """Nothing is open."""

    def _room(self) -> None:
        if self.full:
            self.full -= 1
            raise StoreFailed("the disk is full")


class Ear:
    """What a chat's messages are, one after another."""

    def __init__(self, chat: TelegramChat) -> None:
        self._heard: asyncio.Queue[Message] = asyncio.Queue()
        self._task = asyncio.create_task(self._listen(chat))

    async def _listen(self, chat: TelegramChat) -> None:
        async for message in chat.messages():
            self._heard.put_nowait(message)

    async def next(self, within_s: float = 10.0) -> Message:
        """The next one."""
        async with asyncio.timeout(within_s):
            return await self._heard.get()

    def rest(self) -> list[Message]:
        """Those that are here and were not asked for."""
        return [self._heard.get_nowait() for _ in range(self._heard.qsize())]

    @property
    def listens(self) -> bool:
        """Whether the chat's task still runs."""
        return not self._task.done()

    async def stop(self) -> None:
        """As a crash would: in the middle of whatever it does."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


def now() -> datetime:
    """The desk's clock."""
    return datetime.now(UTC)


@asynccontextmanager
async def listening(
    server: BotServer, mail: Any = None, patience: Patience = HASTE, **more: Any
) -> AsyncIterator[tuple[TelegramChat, Ear]]:
    """A chat of the bot that is told alerts privately and in the group, and somebody who hears what it hears."""
    settings = TelegramSettings(enabled=True, chats=(ME, GROUP), url=server.url, poll_s=20)
    chat = TelegramChat(TOKEN, settings, mail or ListMail(), now, patience=patience, **more)
    ear = Ear(chat)
    try:
        yield chat, ear
    finally:
        await ear.stop()
        await chat.close()


async def soon(what: Callable[[], object], within_s: float = 10.0) -> None:
    """Go on when it is so: for what no event of the server tells."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    for _ in iter(what, True):
        assert loop.time() < until, "it did not come to pass"
        await asyncio.sleep(0)
