"""A desk that nobody sits at still says what happens."""

import asyncio
import io

from bot.chat.log import LogChat
from bot.chat.port import Lane, Said


async def test_what_is_told_stands_on_a_line_of_its_own() -> None:
    out = io.StringIO()
    chat = LogChat(out)

    await chat.tell(Said("Bought 1 BTC/USDT"), Lane.NOTICE)
    await chat.tell(Said("Halted"), Lane.URGENT)

    assert out.getvalue() == "Bought 1 BTC/USDT\nHalted\n"


async def test_nobody_writes_and_it_does_not_end() -> None:
    waiting = asyncio.ensure_future(anext(LogChat(io.StringIO()).messages()))
    await asyncio.sleep(0)

    assert not waiting.done()
    waiting.cancel()
