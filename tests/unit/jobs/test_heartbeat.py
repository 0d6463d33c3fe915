"""The heartbeat is there while everything comes round, and only then."""

import asyncio
import os
import resource
import socket
import time
from datetime import timedelta
from pathlib import Path

import pytest

from engine.core.domain.errors import BadInput, Refused
from engine.core.risk.watchdog import Phase
from engine.live.pulse import Pulse
from jobs import heartbeat
from jobs.heartbeat import Beat, Heart
from jobs.notify import Notify
from jobs.watched import crashes, keep_crashes, watched
from tests.fakes import FakeClock


def beat(home: Path) -> Beat:
    found = heartbeat.read(home)
    assert found is not None
    return found


async def test_it_beats_while_the_loop_turns_and_tells_where_the_desk_is(tmp_path: Path) -> None:
    with heartbeat.heartbeat(tmp_path) as heart:
        first = beat(tmp_path)
        heart.begin()
        heart.up()
        up = beat(tmp_path)
        for _ in range(3):
            await asyncio.sleep(0)
        turned = beat(tmp_path)
        heart.ending()
        ending = beat(tmp_path)
        assert watched(tmp_path)["heartbeat_age_s"] < 5
    ended = beat(tmp_path)

    assert [each.phase for each in (first, up, ending, ended)] == [
        Phase.STARTING, Phase.UP, Phase.ENDING, Phase.ENDED,
    ]  # fmt: skip
    assert first.number < up.number < turned.number < ending.number < ended.number
    assert (first.pid, ended.code) == (os.getpid(), 0)
    assert watched(tmp_path)["heartbeat_age_s"] is None


def test_e12_a_task_that_hangs_silences_it_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    pulse = Pulse(clock, answer_s=1)
    pulse.expect("tend", 2)
    pulse.expect("data", 2)
    heart = Heart(tmp_path, Notify({}))
    heart.up(pulse.stuck)
    before = beat(tmp_path)
    clock.move(timedelta(seconds=100))
    pulse.turned("data")
    heart.beat()
    assert beat(tmp_path).number > before.number

    clock.move(timedelta(seconds=23))
    last = beat(tmp_path)
    heart.beat()
    heart.beat()

    silent = beat(tmp_path)
    assert (silent.number, silent.second) == (last.number, last.second)
    assert silent.why == "tend has not come round for 123 s"
    assert caplog.messages == ["no heartbeat: tend has not come round for 123 s"]
    pulse.turned("tend")
    heart.beat()
    assert (beat(tmp_path).number, beat(tmp_path).why) == (last.number + 1, "")
    heart.stop(0)


def test_e12_systemd_is_not_told_of_life_while_a_task_hangs(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
        heart = Heart(tmp_path, Notify(told))
        assert systemd.recv(100) == b"WATCHDOG=1"
        heart.up(lambda: "tend hangs")
        assert systemd.recv(100) == b"READY=1\nSTATUS=up"

        heart.beat()

        with pytest.raises(BlockingIOError):
            systemd.recv(100)
        heart.ending()
        heart.stop(0)


@pytest.mark.parametrize(
    ("error", "code", "why"),
    [
        (Refused("the venue's key\nmay withdraw"), 1, "the venue's key may withdraw"),
        (BadInput("no live bars"), 2, "no live bars"),
        (ZeroDivisionError("a mistake"), 1, "ZeroDivisionError('a mistake')"),
        (Refused('"\\\u00e9' * 500), 1, '"\\?' * 117),
    ],
)
def test_the_last_beat_tells_how_it_ended(tmp_path: Path, error: Exception, code: int, why: str) -> None:
    with pytest.raises(type(error)), heartbeat.heartbeat(tmp_path):
        raise error

    last = beat(tmp_path)
    assert (last.phase, last.code) == (Phase.ENDED, code)
    assert last.why.startswith(why[:340])


def test_f1_it_needs_no_room_once_it_is_there(tmp_path: Path) -> None:
    file = heartbeat.make_room(tmp_path)
    assert file is not None
    os.close(file)
    size = (tmp_path / "heartbeat").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        heart = Heart(tmp_path, Notify({}))
        heart.up()
        heart.stop(1, "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert beat(tmp_path).phase is Phase.ENDED
    assert (tmp_path / "heartbeat").stat().st_size == size


def test_a_home_that_takes_no_file_does_not_end_the_desk(tmp_path: Path) -> None:
    (tmp_path / "heartbeat").mkdir()

    with heartbeat.heartbeat(tmp_path) as heart:
        heart.up()

    assert heartbeat.read(tmp_path) is None
    assert watched(tmp_path) == {"heartbeat_age_s": None, "watchdog": "", "crashes": 0}


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b'{"machine": 1}', b"\xff" * 2000, b"{}" + b" " * 1022]
)
def test_what_is_no_heartbeat_is_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "heartbeat").write_bytes(text)
    (tmp_path / "watchdog.json").write_bytes(text)

    assert heartbeat.read(tmp_path) is None
    assert crashes(tmp_path) == ()


def test_crashes_are_known_to_the_next_watchdog_while_they_count(tmp_path: Path) -> None:

    now = time.monotonic()
    keep_crashes(tmp_path, (now - 5, now - 1))

    assert crashes(tmp_path) == (now - 5, now - 1)
    assert watched(tmp_path)["crashes"] == 2
