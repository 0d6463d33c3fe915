"""The terminal as a chat: a thread waits for lines, so that the desk never does."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator
from concurrent import futures
from datetime import UTC, datetime
from typing import TextIO

from bot.chat.port import Lane, Message, Place, Said
from bot.people import TERMINAL

HERE = Place(TERMINAL.surface, 0)
"""Where a terminal is."""

QUIT = "/quit"
WAITING = 100
"""Lines that may wait; more are not read until these are answered."""


class ConsoleChat:
    """Reads lines until the input ends or somebody types /quit. `session` tells the messages of two runs apart."""

    source = "console"

    def __init__(
        self,
        session: str,
        lines: TextIO | None = None,
        out: TextIO | None = None,
    ) -> None:
        self._session = session
        self._lines = lines or sys.stdin
        self._out = out or sys.stdout

    async def messages(self) -> AsyncIterator[Message]:
        """Each line that is not empty."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(WAITING)
        threading.Thread(
            target=self._read, args=(asyncio.get_running_loop(), queue), name="console", daemon=True
        ).start()
        number = 0
        while (line := await queue.get()) is not None and line.strip() != QUIT:
            number += 1
            if line.strip():
                yield typed(line.rstrip("\n"), f"{self._session}-{number}")

    def _read(self, loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[str | None]) -> None:
        """Runs in its own thread and waits for room, so that a long file of commands is read as it is answered."""
        ended = (
            RuntimeError,
            OSError,
            ValueError,
            futures.CancelledError,
        )  # ways to notice that the desk has
        with contextlib.suppress(*ended):
            for line in self._lines:
                self._put(loop, queue, line)
            self._put(loop, queue, None)

    @staticmethod
    def _put(loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[str | None], line: str | None) -> None:
        waiting = queue.put(line)
        try:
            done = asyncio.run_coroutine_threadsafe(waiting, loop)
        except RuntimeError:
            waiting.close()
            raise
        done.result()

    async def answer(self, message: Message, said: Said) -> None:
        """Print it."""
        self._print(said)

    async def tell(self, said: Said, lane: Lane) -> None:
        """Print it too: there is one place, and no lane is slow."""
        self._print(said)

    def _print(self, said: Said) -> None:
        if said.text:
            self._out.write(f"{said.text}\n")
            self._out.flush()


def typed(text: str, key: str) -> Message:
    """What somebody has just typed at the desk's own terminal."""
    return Message(text, TERMINAL, key, HERE, datetime.now(UTC))
