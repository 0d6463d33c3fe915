"""A Discord of our own: the real client in a simulated server, with letters kept in lists."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from threading import Event
from typing import Any

import discord
import simcord

from bot.chat.discord import DiscordChat
from bot.chat.discord_client import Slash
from bot.chat.port import Message, Said
from configs.schema.chat import DiscordSettings
from engine.core.domain.errors import StoreFailed
from engine.ports import Letter, Mail, Parcel, Post

SERVER = 700_000_000_000_000_001
TOKEN = "MTIz.never-in-a-log.abcdefghijklmnop"
AT = datetime(2026, 3, 2, 14, 3, tzinfo=UTC)

COMMANDS = (
    Slash("status", "What the desk holds"),
    Slash("kill", "Stop everything", "why", takes=True),
    Slash("balance", "What is in the account"),
    Slash("why", "Why it did what it did", "a decision or a question", takes=True),
)
PRIVATE = frozenset({"balance"})


class ListMail:
    """Letters and parcels in lists. It takes nothing while `full`, and answers nothing while `stalled`."""

    def __init__(self) -> None:
        self.letters: dict[str, Letter] = {}
        self.answered_keys: list[str] = []
        self.parcels: list[Parcel] = []
        self.sent: dict[int, str] = {}
        self.full = False
        self.stalled: Event | None = None

    def receive(self, letters: Sequence[Letter]) -> tuple[Letter, ...]:
        """Those that are new."""
        self._ready()
        new = tuple(letter for letter in letters if letter.key not in self.letters)
        self.letters |= {letter.key: letter for letter in new}
        return new

    def unanswered(self, source: str) -> tuple[Letter, ...]:
        """Letters without an answer."""
        self._ready()
        return tuple(letter for key, letter in self.letters.items() if key not in self.answered_keys)

    def answered(self, source: str, key: str, posts: Sequence[Post]) -> None:
        """Both or neither."""
        self._ready()
        self.answered_keys.append(key)
        self.post(posts)

    def post(self, posts: Sequence[Post]) -> None:
        """Put them at the end."""
        self._ready()
        for post in posts:
            number = len(self.parcels) + 1
            self.parcels.append(
                Parcel(
                    number, post.source, post.place, post.lane, post.at, post.group, post.body, 0, post.at, ""
                )
            )

    def waiting(self, source: str) -> tuple[Parcel, ...]:
        """What was not sent."""
        return tuple(parcel for parcel in self.parcels if parcel.number not in self.sent)

    def delivered(self, numbers: Sequence[int], sent_as: str, at: datetime) -> None:
        """Known by that name."""
        self.sent |= dict.fromkeys(numbers, sent_as)

    def trying(self, numbers: Sequence[int]) -> None:
        """Not looked at by these tests."""

    def delayed(self, numbers: Sequence[int], due: datetime, why: str, *, unknown: bool = False) -> None:
        """Not looked at by these tests."""

    def dead(self, number: int, why: str, at: datetime) -> None:
        """Not looked at by these tests."""

    def last_of(self, source: str, place: str, group: str) -> Parcel | None:
        """The newest of its group that was sent."""
        found = [each for each in self.parcels if each.group == group and each.number in self.sent]
        return found[-1]._replace(sent_as=self.sent[found[-1].number]) if found else None

    def first_of(self, source: str, place: str, group: str) -> Parcel | None:
        """The oldest of its group that was sent."""
        found = [each for each in self.parcels if each.group == group and each.number in self.sent]
        return found[0]._replace(sent_as=self.sent[found[0].number]) if found else None

    def dead_letters(self) -> tuple[tuple[Parcel, str], ...]:
        """None."""
        return ()

    def _ready(self) -> None:
        if self.stalled is not None:
            self.stalled.wait(30)
        if self.full:
            raise StoreFailed("the disk is full")


class DiscordDesk:
    """One server with a channel for alerts and one to talk in, and a chat that is connected to it."""

    def __init__(self, env: simcord.Env, mail: Any, **more: Any) -> None:
        self.env, self.mail, self._more = env, mail, more
        self.server = env.create_guild(id=SERVER)
        self.alerts: Any = self.server.create_text_channel("alerts")
        self.talk: Any = self.server.create_text_channel("talk")
        self.ann: Any = self.server.add_member(env.create_user("ann"))
        self.bob: Any = self.server.add_member(env.create_user("bob"))

    @property
    def us(self) -> str:
        """The mention of the desk itself."""
        assert self.env.bot.user is not None
        return self.env.bot.user.mention

    async def start(self) -> None:
        """A new process with the same letters."""
        self.chat = chat_over(self.mail, channel=self.alerts.id, **self._more)
        await self.env.restart_bot(self.chat.client)
        self._heard: asyncio.Queue[Message] = asyncio.Queue()
        self.reads = asyncio.Event()
        """Cleared, nobody takes what the chat brings."""
        self.reads.set()
        self._reader = asyncio.create_task(self._read(self.chat, self._heard, self.reads))

    async def restart(self) -> None:
        """The process ends, and another one starts."""
        await self.close()
        await self.start()

    async def close(self) -> None:
        """No task is left behind."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    @staticmethod
    async def _read(chat: DiscordChat, heard: "asyncio.Queue[Message]", reads: asyncio.Event) -> None:
        async for message in chat.messages():
            heard.put_nowait(message)
            await reads.wait()

    async def next(self) -> Message:
        """The next message that the chat brings."""
        return await asyncio.wait_for(self._heard.get(), 5)

    async def nothing_more(self) -> bool:
        """Whether the chat has nothing else to bring."""
        await self.env.settle()
        for _ in range(10):
            await asyncio.sleep(0)
        return self._heard.empty()

    async def deliver(self) -> list[str]:
        """Send what waits, each on its own; what it was sent as."""
        names = []
        for parcel in self.mail.waiting("discord"):
            name = await self.chat.sender.send(parcel.place, (parcel.body,))
            self.mail.delivered((parcel.number,), name, AT)
            names.append(name)
        await self.env.settle()
        return names

    async def say(self, message: Message, said: Said) -> str:
        """Answer, and send the answer."""
        await self.chat.answer(message, said)
        return (await self.deliver())[-1]


def chat_over(mail: Mail, channel: int = 0, **more: Any) -> DiscordChat:
    """A chat whose connection the simulated server makes."""

    async def connected(_client: discord.Client, _token: str) -> None:
        await asyncio.Event().wait()

    settings = DiscordSettings(enabled=True, guild=SERVER, channel=channel)
    given = {"commands": COMMANDS, "private": PRIVATE, "connect": connected} | more
    return DiscordChat(TOKEN, settings, mail, lambda: AT, **given)


@asynccontextmanager
async def discord_desk(mail: Any = None, **more: Any) -> AsyncIterator[DiscordDesk]:
    """It, until the test ends. A failure inside of the client is a failure of the test."""
    mail = mail or ListMail()
    async with simcord.run(chat_over(mail).client) as env:
        desk = DiscordDesk(env, mail, **more)
        await desk.start()
        try:
            yield desk
        finally:
            await desk.close()
