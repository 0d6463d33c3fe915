"""The chats of a desk beside its terminal: which there are, and the pumps that carry what is said there."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from typing import Any, NamedTuple

from bot.chat.port import Chat
from bot.commands import REGISTRY
from bot.outbox import Figures, Outbox
from bot.people import People, Role, Who
from configs.schema.settings import Settings
from configs.secrets import DISCORD, TELEGRAM, load_token
from engine.ports import Asks, Desk
from engine.store.asks import SqlAsks
from engine.store.mail import SqlMail
from jobs.clocks import WallClock
from jobs.home import Home

LAST_WORDS_S = 5.0
"""So long a desk that ends waits until what it has said has been carried."""
PRIVATE = frozenset({"roles", "whoami", "status", "trades", "risk", "chart", "report"})
"""Commands whose answers are for who asked."""
ABOUT_ONE = frozenset({"buy", "sell", "forcelong", "fx", "close", "lock", "unlock", "why", "whynot", "chart"})
"""Commands that an instrument may follow."""


class Chats(NamedTuple):
    """`chats` talk, `outboxes` carry; `asks` is who may talk and what waits for a yes."""

    chats: tuple[Chat, ...]
    outboxes: tuple[Outbox, ...]
    asks: Asks

    def figures(self) -> dict[str, Any]:
        """How each stands, by name, for `/health`."""
        return {outbox.source: _figures(outbox.figures) for outbox in self.outboxes}


def talks(settings: Settings) -> bool:
    """Whether the profile names a chat beside the terminal."""
    return settings.chat.telegram.enabled or settings.chat.discord.enabled


def ready(settings: Settings) -> None:
    """Look that each chat of the profile can be opened, before anything else is: its token, and its library."""
    if settings.chat.telegram.enabled:
        import bot.chat.telegram

        load_token(TELEGRAM, settings.chat, os.environ)
    if settings.chat.discord.enabled:
        import bot.chat.discord  # noqa: F401 - whether it is there

        load_token(DISCORD, settings.chat, os.environ)


@contextlib.asynccontextmanager
async def chats_of(home: Home, settings: Settings, desk: Desk) -> AsyncIterator[Chats]:
    """What the profile names, opened; SettingsError without its token. A desk that ends has its last words carried."""
    where, name, clock = home.store(settings), settings.desk.name, WallClock()
    async with contextlib.AsyncExitStack() as closing_all:
        asks = closing_all.enter_context(closing(SqlAsks(where, name)))
        mail = closing_all.enter_context(closing(SqlMail(where, name)))
        chats: list[Any] = []
        if settings.chat.telegram.enabled:
            chats.append(_telegram(settings, mail, clock))
        if settings.chat.discord.enabled:
            chats.append(_discord(settings, mail, clock, _offers(desk, People(settings.chat, asks))))
        outboxes = tuple(Outbox(mail, chat.sender, chat.source, clock.now, clock.monotonic) for chat in chats)
        for chat, outbox in zip(chats, outboxes, strict=True):
            chat.posted = outbox.wake
            closing_all.push_async_callback(chat.close)
        pumps = [asyncio.create_task(outbox.run(), name=f"outbox {outbox.source}") for outbox in outboxes]
        try:
            yield Chats(tuple(chats), outboxes, asks)
            await _last_words(outboxes)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)


async def _last_words(outboxes: Sequence[Outbox]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS_S):
            await asyncio.gather(*(outbox.quiet() for outbox in outboxes))


def _telegram(settings: Settings, mail: SqlMail, clock: WallClock) -> Chat:
    from bot.chat.telegram import TelegramChat

    menu = [(command.name, command.help) for command in REGISTRY.for_role(Role.OWNER)]
    token = load_token(TELEGRAM, settings.chat, os.environ)
    return TelegramChat(token, settings.chat.telegram, mail, clock.now, menu=menu)


def _discord(
    settings: Settings, mail: SqlMail, clock: WallClock, offer: Callable[[str, str, Who], Sequence[str]]
) -> Chat:
    from bot.chat.discord import DiscordChat
    from bot.chat.discord_client import Slash

    offered = [
        Slash(command.name, command.help, command.usage, " " in command.usage)
        for command in REGISTRY.for_role(Role.OWNER)
    ]
    token = load_token(DISCORD, settings.chat, os.environ)
    return DiscordChat(
        token, settings.chat.discord, mail, clock.now, commands=offered, offer=offer, private=PRIVATE
    )


def _offers(desk: Desk, people: People) -> Callable[[str, str, Who], Sequence[str]]:
    """What may follow a command, to whoever is somebody here."""

    def offer(command: str, typed: str, who: Who) -> Sequence[str]:
        if command not in ABOUT_ONE or people.of(who) is None:
            return ()
        names = [str(name) for name in desk.status()["instruments"]]
        return [name for name in names if name.casefold().startswith(typed.casefold())]

    return offer


def _figures(told: Figures) -> dict[str, Any]:
    return {
        "waiting": list(told.waiting),
        "oldest": told.oldest.isoformat() if told.oldest else "",
        "dead_letters": told.dead,
        "trouble": told.trouble,
    }
