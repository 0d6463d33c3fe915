"""Pictures for chats, drawn in another process with a hard stop: the desk never waits for one, and text needs none.

Each picture has a process of its own, which ends with it: one that hangs, crashes or grows is killed, and nothing of it
is left for the next. A running desk keeps the next process ready, since most of a picture's time is Python and
matplotlib starting up; it waits on its stdin, and ends when the desk does. It gets the place of the store on stdin
too, and nothing of the environment that may be a secret.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bot.chat.console import ConsoleChat
from bot.chat.port import Lane, Message, Said
from configs.schema.settings import Settings
from engine.core.domain.errors import BadQuestion, Refused
from explain.units import words
from jobs.home import Home

LIMIT_S = 5.0
"""From asking to having it, waiting for its turn included."""
END_S = 1.0
"""So long a killed process is waited for."""
WORKER = (sys.executable, "-m", "jobs.drawing")
PNG = b"\x89PNG\r\n\x1a\n"
REFUSED = 2
"""The exit code of a process whose line on stderr is for who asked."""
KEPT = 100
"""So many pictures stay in a home; the oldest go first."""
OURS = "WHYDESK_"
"""How the names of our own environment variables begin; some hold keys and tokens."""


class Pictures:
    """Draws what the records of one desk hold, one picture at a time.

    `ready` keeps the next process waiting, for a desk that runs; `worker` is the command that draws.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        *,
        ready: bool = True,
        limit_s: float = LIMIT_S,
        worker: Sequence[str] = WORKER,
    ) -> None:
        self._home = home
        self._store = home.store(settings)
        self._light = settings.chat.charts == "light"
        self._ready = ready
        self._limit_s = limit_s
        self._worker = tuple(worker)
        self._turn = asyncio.Lock()
        self._next: asyncio.subprocess.Process | None = None

    async def draw(
        self, kind: str, about: str = "", days: int = 0, risk: dict[str, Any] | None = None
    ) -> bytes:
        """The PNG of a kind: candles (of an instrument), equity, decision (an id) or risk (the desk's panel).

        BadQuestion where the records do not hold it; Refused where it was not drawn, or not in time.
        """
        wanted = {
            "kind": kind, "store": self._store, "about": about, "days": days, "light": self._light, "risk": risk,
        }  # fmt: skip
        try:
            async with asyncio.timeout(self._limit_s), self._turn:
                return await self._draw(msgspec.json.encode(wanted))
        except TimeoutError:
            raise Refused(f"the picture was not drawn within {self._limit_s:g} s") from None

    async def _draw(self, wanted: bytes) -> bytes:
        process, self._next = self._next or await self._start(), None
        try:
            told, complaint = await process.communicate(wanted)
        finally:
            await _end(process)
            if self._ready:
                with contextlib.suppress(Refused):  # the next one who asks is told
                    self._next = await self._start()
        if process.returncode == 0 and told.startswith(PNG):
            return told
        lines = complaint.decode(errors="replace").strip().splitlines()
        why = words(lines[-1]) if lines else f"its process ended with {process.returncode}"
        if process.returncode == REFUSED and lines:
            raise BadQuestion(why)
        raise Refused(f"the picture was not drawn: {why}")

    async def _start(self) -> asyncio.subprocess.Process:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        cache = self._home.charts / "cache"  # where nothing can be written it would look for fonts each time
        added = {"MPLBACKEND": "agg", "MPLCONFIGDIR": str(cache), "OPENBLAS_NUM_THREADS": "1"}
        try:
            cache.mkdir(parents=True, exist_ok=True)
            return await asyncio.create_subprocess_exec(
                *self._worker,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=kept | added,
                process_group=0,
            )
        except OSError as error:
            raise Refused(f"nothing can be drawn here: {error.strerror or type(error).__name__}") from None

    async def aclose(self) -> None:
        """Let go of the process that waits."""
        process, self._next = self._next, None
        if process is not None:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Whatever it does, it does no more."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await process.communicate()


def keep(home: Home, key: str, picture: bytes) -> Path:
    """Write a picture into the home, for those whose chat shows none; the oldest go. OSError when it cannot."""
    home.charts.mkdir(parents=True, exist_ok=True)
    path = home.charts / f"{''.join(c if c.isalnum() else '-' for c in key)[:80]}.png"
    path.write_bytes(picture)
    newest = sorted(home.charts.glob("*.png"), key=lambda each: each.stat().st_mtime, reverse=True)
    for old in newest[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def shown(home: Home, key: str, said: Said) -> Said:
    """The same for a terminal: where the picture was written instead of the picture."""
    if not said.picture:
        return said
    try:
        where = f"The picture is in {keep(home, key, said.picture)}"
    except OSError as error:
        where = f"The picture could not be written: {error.strerror or type(error).__name__}"
    return said._replace(text=f"{said.text}\n{where}", picture=b"")


class PictureConsole(ConsoleChat):
    """The terminal, which says where a picture was written."""

    def __init__(self, home: Home, session: str, **more: Any) -> None:
        super().__init__(session, **more)
        self._home = home

    async def answer(self, message: Message, said: Said) -> None:
        """Print it."""
        await super().answer(message, shown(self._home, message.key, said))

    async def tell(self, said: Said, lane: Lane) -> None:
        """Print it too."""
        await super().tell(said._replace(picture=b""), lane)
