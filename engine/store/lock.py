"""One process a home: a lock that the system lets go of when its holder dies, however it dies."""

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from engine.core.domain.errors import HeldElsewhere

POLL_S = 0.2

_FILE = "desk.lock"


@contextlib.contextmanager
def hold(home: Path, started: datetime, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold `home` for this process until the end of the block; HeldElsewhere names who has it.

    With `waiting` that is told instead, and the lock is taken when its holder ends. A holder that is frozen keeps it.
    The file stays: removing it would let a third process lock a new one while a second waits on the old.
    """
    home.mkdir(parents=True, exist_ok=True)
    file = os.open(home / _FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        started += timedelta(seconds=_lock(file, home, waiting))
        _sign(file, {"pid": os.getpid(), "host": socket.gethostname(), "started": started.isoformat()})
        yield
        _sign(file, {})
    finally:
        os.close(file)


def holder(home: Path) -> str:
    """Who holds it, in words; empty when nobody does."""
    try:
        file = os.open(home / _FILE, os.O_RDONLY)
    except OSError:
        return ""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(os.pread(file, 1024, 0))
    finally:
        os.close(file)
    return ""


def _lock(file: int, home: Path, waiting: Callable[[str], None] | None) -> float:
    """Lock the file; how many seconds that took."""
    began, told = time.monotonic(), False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = f"{home} is {_holder(os.pread(file, 1024, 0))}"
            if waiting is None:
                raise HeldElsewhere(text) from None
        else:
            return time.monotonic() - began
        if not told:
            waiting(text)
            told = True
        time.sleep(POLL_S)


def _sign(file: int, who: dict[str, str | int]) -> None:
    """Say who holds it. The lock counts, not the text: a full disk does not stop a desk from starting."""
    with contextlib.suppress(OSError):
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(who).encode() if who else b"", 0)


def _holder(text: bytes) -> str:
    try:
        who = json.loads(text)
        return f"held by pid {who['pid']} on {who['host']} since {who['started']}"
    except (ValueError, KeyError, TypeError):
        return "held by another process"
