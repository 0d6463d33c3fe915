"""The heartbeat of a desk: a small file in its home that changes while the desk does its work, and only then.

The loop itself writes it, after it has asked whether everything beside it comes round. So a loop that is blocked, a
process that is frozen and a task that hangs fall silent alike. The file is made with all its room and only ever written
over, so that a full disk does not look like a dead desk.
"""

import asyncio
import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from configs.load import SettingsError
from engine.core.domain.errors import BadInput, WhydeskError
from engine.core.risk.watchdog import Phase
from jobs.clocks import WallClock
from jobs.notify import Notify

log = logging.getLogger(__name__)
BEAT_S = 0.5
ROOM = 1024
LONGEST_WHY = 350
_FILE = "heartbeat"


class Beat(NamedTuple):
    """The newest one.

    `second` is the monotonic second of `machine` at which it was written; `why` is how it
    ended, or what hangs.
    """

    machine: str
    pid: int
    phase: Phase
    number: int
    second: float
    code: int | None = None
    why: str = ""

    def age_s(self) -> float | None:
        """How old it is; None where that cannot be told, because the machine was started again since."""
        clock = WallClock()
        return clock.monotonic() - self.second if self.machine == clock.machine() else None


def read(home: Path) -> Beat | None:
    """The newest beat in a home; None where there is none that can be read."""
    try:
        with (home / _FILE).open("rb") as file:
            told: dict[str, Any] = json.loads(file.read(ROOM))
        code = told["code"]
        return Beat(
            str(told["machine"]),
            int(told["pid"]),
            Phase(told["phase"]),
            int(told["number"]),
            float(told["second"]),
            None if code is None else int(code),
            str(told["why"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def make_room(home: Path) -> int | None:
    """The file, opened, with all the room that it will ever need; None when there is no room even for that."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = os.open(home / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        return None
    try:
        missing = ROOM - os.fstat(file).st_size
        if missing > 0:
            os.pwrite(file, b" " * missing, ROOM - missing)
    except OSError:
        os.close(file)
        return None
    return file


class Heart:
    """Beats for one process: at each change of its phase, and every half second while nothing is stuck."""

    def __init__(self, home: Path, notify: Notify) -> None:
        clock = WallClock()
        self._file = make_room(home)
        self._machine = clock.machine()
        self._notify = notify
        self._number, self._second = 0, 0.0
        self._phase = Phase.STARTING
        self._stuck: Callable[[], str] = str
        self._beating: asyncio.Task[None] | None = None
        self._told = ""
        self.beat()

    def begin(self) -> None:
        """Beat by the loop that runs, from now on."""
        self._beating = asyncio.create_task(self._keep(), name="heartbeat")

    def up(self, stuck: Callable[[], str] = str) -> None:
        """The desk does its work; `stuck` names what of it does not come round any more."""
        self._phase, self._stuck = Phase.UP, stuck
        self.beat()
        self._notify.up()

    def ending(self) -> None:
        """The desk ends in order. The loop goes on beating for as long as it runs."""
        self._phase, self._stuck = Phase.ENDING, str
        self.beat()
        self._notify.ending()

    def stop(self, code: int, why: str = "") -> None:
        """The last beat."""
        self._phase = Phase.ENDED
        self._number += 1
        self._write(code, why)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def beat(self) -> None:
        """Once, if everything comes round; else it is only said what does not."""
        stuck = self._stuck()
        if not stuck:
            self._number, self._second = self._number + 1, time.monotonic()
            self._notify.alive()
        elif not self._told:
            log.error("no heartbeat: %s", stuck)
        self._told = stuck
        self._write(None, stuck)

    async def _keep(self) -> None:
        every_s = min(BEAT_S, self._notify.every_s or BEAT_S)
        while True:
            self.beat()
            await asyncio.sleep(every_s)

    def _write(self, code: int | None, why: str) -> None:
        text = json.dumps(
            {
                "machine": self._machine,
                "pid": os.getpid(),
                "phase": self._phase.value,
                "number": self._number,
                "second": self._second,
                "code": code,
                "why": "".join(c if " " <= c <= "~" else "?" for c in why[:LONGEST_WHY]),
            }
        )
        if self._file is None:
            return
        with contextlib.suppress(OSError):  # a disk that takes nothing must not end the desk
            os.pwrite(self._file, text.encode()[:ROOM].ljust(ROOM), 0)


@contextlib.contextmanager
def heartbeat(home: Path) -> Iterator[Heart]:
    """A heart for as long as this process acts for the home; its last beat says how it ended."""
    heart = Heart(home, Notify(os.environ))
    try:
        yield heart
    except BaseException as error:
        why = " ".join(f"{error}".split()) if isinstance(error, WhydeskError) else repr(error)
        heart.stop(2 if isinstance(error, BadInput | SettingsError) else 1, why or type(error).__name__)
        raise
    heart.stop(0)
