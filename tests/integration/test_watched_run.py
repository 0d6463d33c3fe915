"""`whydesk watchdog` and `whydesk run` as systemd starts them: real processes, a real socket."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.pipeline import NEED
from tests.architecture.source import ROOT
from tests.desks import brisk, profile, trending_bars, write_csv

PATIENCE = 60


class Systemd:
    """Starts a command as a service, and hears what it is told and by whom."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self._profile = profile(folder / "profile.yaml", brisk("AAA"))
        self._data = write_csv(folder / "AAA.csv", trending_bars(3, NEED + 120))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(str(folder / "notify"))
        self._socket.settimeout(PATIENCE)
        self._address = str(folder / "notify")
        self.process: subprocess.Popen[str] | None = None
        self.senders: set[int] = set()

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command over the recorded bars."""
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jobs", *words, "--json", "--replay", str(self._data)),
                *("--home", str(self.home), "--profile", str(self._profile)),
            ],
            cwd=ROOT,
            env=os.environ | {"NOTIFY_SOCKET": self._address, "WATCHDOG_USEC": "400000"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.process

    def hear(self) -> str:
        """The next thing it is told."""
        text, credentials, _, _ = self._socket.recvmsg(1000, socket.CMSG_SPACE(12))
        self.senders.add(int.from_bytes(credentials[0][2][:4], sys.byteorder))
        return text.decode()

    def until(self, word: str) -> list[str]:
        """Everything up to `word`."""
        told = [self.hear()]
        while word not in told[-1]:
            told.append(self.hear())
        return told

    def close(self) -> None:
        """Nothing that it started is left."""
        self._socket.close()
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    one = Systemd(tmp_path)
    yield one
    one.close()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "watchdog"])
def test_e12_systemd_hears_that_it_is_up_that_it_lives_and_that_it_ends(
    systemd: Systemd, command: str
) -> None:
    process = systemd.start(command, "--speed", "1")

    systemd.until("READY=1")
    assert systemd.until("WATCHDOG=1")
    assert systemd.until("WATCHDOG=1")
    process.send_signal(signal.SIGTERM)
    systemd.until("STOPPING=1")

    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert json.loads(out)["cycles"] >= 0
    assert systemd.senders == {process.pid}, "only the process that systemd started speaks to it"


@pytest.mark.slow
def test_a_desk_that_is_done_ends_its_watchdog_too_and_what_it_says_comes_through(systemd: Systemd) -> None:
    process = systemd.start("watchdog")

    out, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, err
    assert json.loads(out)["status"]["state"] == "active"
    assert "ALERT" not in err


@pytest.mark.slow
def test_a_slip_of_the_pen_ends_the_watchdog_with_the_code_of_bad_input(systemd: Systemd) -> None:
    process = systemd.start("watchdog", "--sped", "1")

    _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 2
    assert "No such option" in err
    assert "it is not started again" in err
