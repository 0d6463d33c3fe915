"""Discord behind the real store and the real outbox: what is told arrives once, in order of urgency, whatever fails."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import discord

from bot.chat.port import Button, Lane, Said
from bot.outbox import PERHAPS, Outbox
from engine.store.mail import SqlMail
from tests.discord_desk import AT, DiscordDesk, discord_desk
from tests.fakes import FakeClock

CARD = ((Button("Confirm", "ok:1"),),)


class Post:
    """The outbox of a desk. Time passes only while there is nothing to do."""

    def __init__(self, desk: DiscordDesk) -> None:
        self._desk = desk
        self._clock = FakeClock(AT)
        self._empty = asyncio.Event()

    async def empty(self) -> None:
        """Run until nothing waits."""
        self._empty.clear()
        desk, clock = self._desk, self._clock
        outbox = Outbox(desk.mail, desk.chat.sender, "discord", clock.now, clock.monotonic, self._wait)
        running = asyncio.create_task(outbox.run())
        await asyncio.wait_for(self._empty.wait(), 30)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await desk.env.settle()

    async def _wait(self, news: asyncio.Event, seconds: float) -> None:
        try:
            await asyncio.wait_for(news.wait(), 0.02)
        except TimeoutError:
            self._clock.move(timedelta(seconds=seconds))
            if not self._desk.mail.waiting("discord"):
                self._empty.set()


async def with_outbox(home: Path, test: Callable[[DiscordDesk, Post], Awaitable[None]]) -> None:
    """Carry it out over a store on disk."""
    mail = SqlMail(home / "store.db", "desk")
    try:
        async with discord_desk(mail) as desk:
            await test(desk, Post(desk))
    finally:
        mail.close()


async def test_a_trade_is_told_in_one_thread_and_what_is_asked_is_answered(tmp_path: Path) -> None:
    async def test(desk: DiscordDesk, post: Post) -> None:
        for text in ("Bought BTC", "Filled", "Stop placed", "Closed"):
            await desk.chat.tell(Said(text, thread="BTC t-1"), Lane.NOTICE)
            await post.empty()
        asked = await desk.ann.slash(desk.talk, "status")
        await desk.chat.answer(await desk.next(), Said("Nothing is held."))
        await post.empty()

        (thread,) = desk.alerts.threads
        above = [each for each in desk.alerts.history() if each.type is discord.MessageType.default]
        assert [shown.content for shown in above] == ["Bought BTC"]
        told = sorted((each.id, each.content) for each in thread.history() if each.content)
        assert [content for _, content in told] == ["Filled", "Stop placed", "Closed"]
        assert asked.response.content == "Nothing is held."

    await with_outbox(tmp_path, test)


async def test_a_card_becomes_its_outcome_when_it_is_pressed_after_a_restart(tmp_path: Path) -> None:
    async def test(desk: DiscordDesk, post: Post) -> None:
        await desk.chat.tell(Said("Close all?", CARD, update="c-1"), Lane.URGENT)
        await post.empty()
        await desk.restart()
        await desk.ann.click(desk.alerts.last_message, label="Confirm")
        await desk.chat.answer(await desk.next(), Said("Closed by ann.", update="c-1"))
        await post.empty()

        (shown,) = desk.alerts.history()
        assert shown.content.endswith("Closed by ann.")
        assert shown.components == []

    await with_outbox(tmp_path, test)


async def test_what_is_urgent_overtakes_and_what_piles_up_comes_as_one(tmp_path: Path) -> None:
    async def test(desk: DiscordDesk, post: Post) -> None:
        for number in range(30):
            await desk.chat.tell(Said(f"signal {number}"), Lane.INFO)
        await desk.chat.tell(Said("Halted"), Lane.URGENT)
        await post.empty()

        first, *rest = sorted(desk.alerts.history(), key=lambda shown: shown.id)
        assert first.content == "Halted"
        assert len(rest) < 5
        lines = "\n".join(f"{shown.content}\n{embed.description}" for shown in rest for embed in shown.embeds)
        assert lines.split("\n") == [f"signal {number}" for number in range(30)]

    await with_outbox(tmp_path, test)


async def test_the_same_alert_again_and_again_is_counted(tmp_path: Path) -> None:
    async def test(desk: DiscordDesk, post: Post) -> None:
        for _ in range(200):
            await desk.chat.tell(Said("BTC: data is late"), Lane.NOTICE)
        await post.empty()

        (shown,) = desk.alerts.history()
        assert shown.content == "(200 times) BTC: data is late"

    await with_outbox(tmp_path, test)


async def test_an_outage_loses_nothing_and_what_may_have_come_twice_says_so(tmp_path: Path) -> None:
    async def test(desk: DiscordDesk, post: Post) -> None:
        desk.env.inject_error("POST", "/channels/*/messages", status=503, times=3)
        await desk.chat.tell(Said("Halted"), Lane.URGENT)
        await post.empty()
        desk.env.inject_error("POST", "/channels/*/messages", status=403, code=50001)
        await desk.chat.tell(Said("lost"), Lane.NOTICE)
        await desk.chat.tell(Said("kept"), Lane.NOTICE)
        await post.empty()

        told = sorted((shown.id, shown.content) for shown in desk.alerts.history())
        assert [content for _, content in told] == [f"{PERHAPS} Halted", "kept"]
        ((dead, why),) = desk.mail.dead_letters()
        assert b"lost" in dead.body
        assert "50001" in why

    await with_outbox(tmp_path, test)
