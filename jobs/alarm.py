"""Telling somebody on ways that need nothing of the desk: a command, an address, a file in the home, and stderr.

Each way has its own thread and its own time limit. One that hangs delays neither the others nor the watchdog, and what
fails is told on stderr and in the file, without the address or the command, which may hold a token.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from configs.schema.monitoring import MonitoringSettings
from jobs.clocks import WallClock

LIMIT_S = 5.0
"""After that long a way of telling counts as failed."""
FILE = "alerts.log"


class Alarm:
    """Tells of one desk. `say` is for whoever reads the log, `raise_` calls somebody."""

    def __init__(self, home: Path, desk: str, settings: MonitoringSettings) -> None:
        self._home = home
        self._desk = desk
        self._settings = settings
        self._under_way: list[threading.Thread] = []

    def say(self, text: str) -> None:
        """One line on stderr and in the file. Neither a full disk nor a closed terminal is in the way."""
        line = f"{WallClock().now().isoformat(timespec='milliseconds')} {' '.join(text.split())}\n"
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"watchdog: {line}")
            sys.stderr.flush()
        with contextlib.suppress(OSError), (self._home / FILE).open("a") as file:
            file.write(line)

    def raise_(self, text: str) -> None:
        """The same, and to whoever is to be told. Returns at once."""
        self.say(f"ALERT {text}")
        whole = f"{self._desk} on {socket.gethostname()}: {text}"
        self._under_way = [each for each in self._under_way if each.is_alive()]
        if self._settings.alert_command:
            self._begin("alert_command", partial(_run, self._settings.alert_command, whole))
        if self._settings.alert_url:
            body = {"desk": self._desk, "host": socket.gethostname(), "text": whole}
            self._begin("alert_url", partial(_post, self._settings.alert_url, json.dumps(body).encode()))

    def finish(self) -> None:
        """Wait for what is under way, as long as it may take."""
        ends = time.monotonic() + LIMIT_S + 1
        for thread in self._under_way:
            thread.join(max(0.0, ends - time.monotonic()))

    def _begin(self, name: str, way: Callable[[], str]) -> None:
        def told() -> None:
            if why := way():
                self.say(f"monitoring.{name} told nobody: {why}")

        thread = threading.Thread(target=told, name=name, daemon=True)
        thread.start()
        self._under_way.append(thread)


def _run(command: Sequence[str], text: str) -> str:
    """Run the operator's command with the text on its stdin; why it told nobody, empty when it ended well."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own command, without a shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or type(error).__name__
    try:
        process.communicate(f"{text}\n".encode(), timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"it had not ended after {LIMIT_S:g} s"
    return f"it ended with {process.returncode}" if process.returncode else ""


def _post(url: str, body: bytes) -> str:
    """Post once, following nobody elsewhere; why it told nobody, empty when it was taken."""
    import http.client  # with what it needs for https it is larger than the rest of the watchdog

    to = urlsplit(url)
    kind = http.client.HTTPSConnection if to.scheme == "https" else http.client.HTTPConnection
    path = (to.path or "/") + (f"?{to.query}" if to.query else "")
    try:
        with contextlib.closing(kind(to.hostname or "", to.port, timeout=LIMIT_S)) as connection:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            status = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        return type(error).__name__
    return "" if 200 <= status < 300 else f"it answered {status}"
