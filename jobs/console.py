"""The terminal as a chat: one question, one command, or a conversation."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from bot.alerts import Level
from bot.app import Bot
from bot.chat.console import ConsoleChat, typed
from bot.chat.port import Chat
from bot.render import state_now
from configs.schema.settings import Settings
from engine.core.domain.records import Record
from engine.ports import Asks, Clock, Desk, Journal
from engine.store.asks import SqlAsks
from engine.store.inbox import SqlInbox
from explain.question import Kind
from explain.why import why
from jobs.clocks import WallClock
from jobs.daily_report import build, last_day
from jobs.home import Home
from jobs.opened import Opened, halts, opened
from jobs.output import show
from jobs.pictures import PictureConsole, Pictures, shown
from jobs.stored_desk import StoredDesk
from jobs.switches import current


def ask(root: Path, settings: Settings, question: str, *, as_json: bool) -> int:
    """Answer one question from the records; 1 when they do not hold the answer."""
    with opened(Home(root), settings) as desk:
        began = time.perf_counter()
        answer = why(question, desk.journal)
        spent = round((time.perf_counter() - began) * 1000, 3)
        lines = [answer.text]
        if answer.kind == Kind.WHY_HALTED:
            lines.append(state_now(current(desk.home, desk.journal, desk.settings)))
    value: dict[str, Any] = {"answer": "\n".join(lines)} | msgspec.to_builtins(answer) | {"latency_ms": spent}
    del value["text"]
    show(as_json, value, lines)
    return 1 if answer.refused else 0


def command(root: Path, settings: Settings, text: str, *, as_json: bool) -> int:
    """Carry out one chat command over the store; 1 when it was refused."""

    async def once(bot: Bot) -> Any:
        return await bot.answer(typed(text, _session()), ConsoleChat.source)

    reply = _over_store(Home(root), settings, once)
    told = shown(Home(root), _session(), reply.said()).text
    show(as_json, {"command": text, "ok": reply.ok, "reply": told}, [told])
    return 0 if reply.ok else 1


def chat_over_store(home: Home, settings: Settings) -> None:
    """Talk until /quit or the end of the input."""
    _over_store(home, settings, lambda bot: bot.run())


def bot_over(
    desk: Desk,
    journal: Journal,
    settings: Settings,
    clock: Clock,
    remember: Callable[[Record], Awaitable[object]] | None = None,
    chat: Chat | None = None,
    *,
    beside: Sequence[Chat] = (),
    asks: Asks | None = None,
    picture: Callable[..., Awaitable[bytes]] | None = None,
    home: Home | None = None,
) -> Bot:
    """The bot of a console, or of another `chat`, and of whatever is `beside` it, over any desk.

    `remember` keeps questions and answers, where the journal is ours to write. `asks` keeps who may talk and what waits
    for a yes: without it nobody but the console can change anything. `picture` draws what /chart shows; a console
    writes it into the `home`.
    """
    session = _session()
    console = PictureConsole(home, session) if home else ConsoleChat(session)

    async def report(day: str) -> str:
        return await asyncio.to_thread(_report, journal, day, settings.desk.cash)

    return Bot(
        (chat or console, *beside),
        desk,
        journal,
        report,
        clock.now,
        remember=remember,
        settings=settings.chat,
        asks=asks,
        wall=WallClock().now,
        picture=picture,
        quietest=Level.INFO if beside else Level.NOTICE,
    )


def _report(journal: Journal, day: str, cash: Decimal) -> str:
    """On a thread of its own: a busy day takes a while to read, and nothing else may wait for it."""
    return "\n".join(build(journal, day or last_day(journal) or "never", cash).lines)


def _over_store(home: Home, settings: Settings, use: Callable[[Bot], Awaitable[Any]]) -> Any:
    """The people are those of the profile as it is now, whatever the newest run was made with."""
    with opened(home, settings) as seen:
        today = seen._replace(settings=replace(seen.settings, chat=settings.chat))
        return asyncio.run(_with_halts(today, use))


async def _with_halts(seen: Opened, use: Callable[[Bot], Awaitable[Any]]) -> Any:
    store, clock = halts(seen.home, seen.settings), WallClock()
    where, name = seen.home.store(seen.settings), seen.settings.desk.name
    with closing(store), closing(SqlInbox(where, name)) as inbox, closing(SqlAsks(where, name)) as asks:
        desk = StoredDesk(seen.journal, store, inbox, seen.settings, clock)
        async with aclosing(Pictures(seen.home, seen.settings, ready=False)) as drawn:
            bot = bot_over(
                desk, seen.journal, seen.settings, clock, asks=asks, picture=drawn.draw, home=seen.home
            )
            return await use(bot)


def _session() -> str:
    """Tells the messages of two runs apart."""
    return f"{WallClock().now():%Y%m%dT%H%M%S%f}"
