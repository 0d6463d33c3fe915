"""A chat that only speaks: alerts of a desk that nobody sits at, one a line, where its log goes."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import TextIO

from bot.chat.port import Lane, Message, Said


class LogChat:
    """Nobody writes here."""

    source = "log"

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr

    async def messages(self) -> AsyncIterator[Message]:
        """None, for as long as the desk runs."""
        nobody: tuple[Message, ...] = ()
        await asyncio.Event().wait()
        for message in nobody:
            yield message

    async def answer(self, message: Message, said: Said) -> None:
        """Nobody asks here."""

    async def tell(self, said: Said, lane: Lane) -> None:
        """Write it down."""
        self._out.write(f"{said.text}\n")
        self._out.flush()
