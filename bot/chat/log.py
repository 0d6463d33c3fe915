"""A chat that only speaks: alerts of a desk that nobody sits at, one a line, where its log goes."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import TextIO

from bot.chat.port import Message


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

    async def send(self, text: str) -> None:
        """Write it down."""
        self._out.write(f"{text}\n")
        self._out.flush()
