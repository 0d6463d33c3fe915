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
GLANCE_S = 0.05
"""So long who only looks whether it is held may be in the way of who wants to hold it."""

DESK, WATCHDOG = "desk.lock", "watchdog.lock"
"""The locks of a home: who acts for its desk, and who watches over that."""


@contextlib.contextmanager
def hold(
    home: Path, started: datetime, waiting: Callable[[str], None] | None = None, name: str = DESK
) -> Iterator[None]:
    """Hold `home` for this process until the end of the block; HeldElsewhere names who has it.

    With `waiting` that is told instead, and the lock is taken when its holder ends. A holder that is frozen keeps it.
    The file stays: removing it would let a third process lock a new one while a second waits on the old.
    """
    home.mkdir(parents=True, exist_ok=True)
    file = os.open(home / name, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        started += timedelta(seconds=_lock(file, home if name == DESK else home / name, waiting))
        _sign(file, {"pid": os.getpid(), "host": socket.gethostname(), "started": started.isoformat()})
        yield
        _sign(file, {})
    finally:
        os.close(file)


def holder(home: Path, name: str = DESK) -> str:
    """Who holds it, in words; empty when nobody does."""
    signed = _signed(home, name)
    return "" if signed is None else _holder(signed)


def holding_pid(home: Path) -> int | None:
    """The process that holds it; 0 when it has not signed yet, None when nobody does."""
    signed = _signed(home, DESK)
    if signed is None:
        return None
    try:
        return int(json.loads(signed)["pid"])
    except (ValueError, KeyError, TypeError):
        return 0


def _signed(home: Path, name: str) -> bytes | None:
    """What whoever holds the lock says of itself; None when nobody does."""
    try:
        file = os.open(home / name, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(file, 1024, 0)
    finally:
        os.close(file)
    return None


def _lock(file: int, what: Path, waiting: Callable[[str], None] | None) -> float:
    """Lock the file; how many seconds that took."""
    began, told = time.monotonic(), False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = f"{what} is {_holder(os.pread(file, 1024, 0))}"
            if waiting is None and time.monotonic() - began > GLANCE_S:
                raise HeldElsewhere(text) from None
        else:
            return time.monotonic() - began
        if waiting is None:
            time.sleep(GLANCE_S / 5)
            continue
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
