"""What systemd is told, by a real datagram socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.notify import Notify, without


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The name as it stands in the environment, and who listens."""
    name = f"@whydesk-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        listening.settimeout(2)
        yield name, listening


def test_it_is_told_that_the_desk_is_up_lives_and_ends(systemd: tuple[str, socket.socket]) -> None:
    name, listening = systemd
    notify = Notify({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())})

    notify.up()
    notify.alive()
    notify.status("two\nlines")
    notify.ending()

    told = [listening.recv(1000).decode() for _ in range(4)]
    assert told == ["READY=1\nSTATUS=up", "WATCHDOG=1", "STATUS=two lines", "STOPPING=1"]
    assert notify.every_s == 1.5


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"},
    ],
    ids=str,
)
def test_it_hears_no_signs_of_life_that_it_did_not_ask_for(
    systemd: tuple[str, socket.socket], more: dict[str, str]
) -> None:
    name, listening = systemd
    notify = Notify({"NOTIFY_SOCKET": name, **more})

    notify.alive()
    notify.ending()

    assert listening.recv(1000) == b"STOPPING=1"
    assert notify.every_s is None


@pytest.mark.parametrize(
    "environment", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}, {"NOTIFY_SOCKET": "@nobody"}]
)
def test_nobody_who_listens_is_no_reason_to_stop(environment: dict[str, str]) -> None:
    Notify(environment | {"WATCHDOG_USEC": "1000000"}).up()


def test_one_who_does_not_read_holds_nobody_up(systemd: tuple[str, socket.socket]) -> None:
    name, _ = systemd
    notify = Notify({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"})

    for _ in range(5000):
        notify.alive()


def test_a_process_that_is_not_systemds_own_does_not_speak_to_it() -> None:
    assert without({"NOTIFY_SOCKET": "x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "2", "PATH": "p"}) == {
        "PATH": "p"
    }
