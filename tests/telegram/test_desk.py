"""The chat, the store and the outbox put together: asked at Telegram, answered at Telegram."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic, perf_counter

from bot.chat.port import Lane, Said
from bot.chat.telegram import TelegramChat
from bot.outbox import Outbox
from engine.store.mail import SqlMail
from tests.telegram.mail import Ear, listening, now
from tests.telegram.server import GROUP, ME, BotServer, Fault


@asynccontextmanager
async def desk(server: BotServer, home: Path) -> AsyncIterator[tuple[TelegramChat, Ear]]:
    """One that hears and speaks."""
    mail = SqlMail(home / "desk.db", "desk")
    async with listening(server, mail) as (chat, ear):
        outbox = Outbox(mail, chat.sender, chat.source, now, monotonic)
        chat.posted = outbox.wake
        pump = asyncio.create_task(outbox.run())
        yield chat, ear
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
    mail.close()


async def test_a_kill_is_confirmed_within_a_second_though_forty_alerts_wait_for_that_group(
    server: BotServer, tmp_path: Path
) -> None:
    """Bar L2, at a group that takes twenty a minute."""
    server.burst, server.per_s = 8, 0.2
    async with desk(server, tmp_path) as (chat, ear):
        for number in range(40):
            await chat.tell(Said(f"alert {number}", thread=f"t{number}"), Lane.NOTICE)
        await server.until(lambda: len(server.texts(GROUP)) >= 4)
        began = perf_counter()
        server.write("/kill", GROUP)
        await chat.answer(await ear.next(), Said("Halted."))
        await server.until(lambda: "Halted." in server.texts(GROUP))
        took = perf_counter() - began

    print(f"L2: a kill is confirmed in a group under 40 queued alerts after {took * 1000:.0f} ms (goal 1 s)")
    assert took <= 1.0


async def test_an_answer_that_could_not_be_sent_before_the_end_is_sent_after_the_next_start(
    server: BotServer, tmp_path: Path
) -> None:
    server.fail("sendMessage", *[Fault.DROPPED_BEFORE] * 2)
    async with desk(server, tmp_path) as (chat, ear):
        server.write("/status")
        await chat.answer(await ear.next(), Said("All is well."))
        await server.until(lambda: server.called("sendMessage"))
    async with desk(server, tmp_path) as (_, ear):
        await server.until(lambda: server.texts())
        server.write("/last")
        assert (await ear.next()).text == "/last"

    assert server.texts() == ["(perhaps told before) All is well."]


async def test_updates_of_one_name_are_one_message_and_what_belongs_to_a_trade_stands_under_its_first(
    server: BotServer, tmp_path: Path
) -> None:
    async with desk(server, tmp_path) as (chat, _):
        for said in (
            Said("Bought.", thread="trade-1"),
            Said("1 of 2", update="progress"),
            Said("2 of 2", update="progress"),
            Said("Sold.", thread="trade-1"),
        ):
            expected = len(server.sent) + 2
            await chat.tell(said, Lane.NOTICE)
            await arrived(server, expected)

    texts = [message["text"] for (place, _), message in server.shown.items() if place == ME]
    assert texts[:1] + texts[2:] == ["Bought.", "Sold."]
    assert texts[1].endswith("2 of 2")
    under = [
        m.get("reply_to_message", {}).get("text") for (place, _), m in server.shown.items() if place == ME
    ]
    assert under == [None, None, "Bought."]


async def arrived(server: BotServer, messages: int) -> None:
    """Wait for so many."""
    await server.until(lambda: len(server.sent) >= messages)


async def test_a_group_that_moved_is_told_what_waited_for_it(server: BotServer, tmp_path: Path) -> None:
    server.upgraded[GROUP] = -100777
    async with desk(server, tmp_path) as (chat, _):
        await chat.tell(Said("Bought."), Lane.NOTICE)
        await server.until(lambda: server.texts(-100777))

    assert server.texts(-100777) == ["Bought."]
