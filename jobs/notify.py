"""What systemd is told: that the desk is up, that it lives, that it ends. Without systemd nobody is told anything."""

import contextlib
import os
import socket
from collections.abc import Mapping

SOCKET, PERIOD, WHOSE = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class Notify:
    """The datagram socket that `environment` names; a path, or an abstract name that begins with @.

    Never raises and never waits: whoever does not listen must not stop a desk.
    """

    def __init__(self, environment: Mapping[str, str], pid: int | None = None) -> None:
        address = environment.get(SOCKET, "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.every_s = _half(environment, os.getpid() if pid is None else pid) if address else None
        """How often it wants to hear that we live, None when it does not: half of what it waits."""

    def up(self) -> None:
        """The desk does its work."""
        self._say("READY=1\nSTATUS=up")

    def alive(self) -> None:
        """It still does."""
        if self.every_s is not None:
            self._say("WATCHDOG=1")

    def ending(self) -> None:
        """It is about to end, on purpose."""
        self._say("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for whoever asks systemd."""
        self._say(f"STATUS={' '.join(text.split())}")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to,
        ):
            to.setblocking(False)
            to.sendto(text.encode(), self._address)


def without(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that is not systemd's own."""
    return {name: value for name, value in environment.items() if name not in (SOCKET, PERIOD, WHOSE)}


def _half(environment: Mapping[str, str], pid: int) -> float | None:
    period, whose = environment.get(PERIOD, ""), environment.get(WHOSE, "")
    if not (period.isascii() and period.isdecimal() and len(period) < 16) or not int(period):
        return None
    if whose and whose != str(pid):
        return None
    return int(period) / 2_000_000
