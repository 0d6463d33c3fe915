"""The kill switch where everything else fails: frozen engine, dead venue, dead chat, full disk, and in every race.

`whydesk kill` is a process of its own. Once it has exited with 0, the exchange must accept no order of ours that adds
risk, however hard somebody presses, restarts included, until a person resumes; the exchange's own books judge. Each
test ends with a resume and an entry, so that what held the desk back was the kill and nothing else.
"""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.core.domain.records import CycleRecord
from tests.chaos.desks import Desk, Judgement, buy, held, room, settle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
Figure = Callable[[str, object], None]
NAMES = ("BTC/USDT", "ETH/USDT")
WINDOW_S = 2.5
"""Longer than the venue takes what was signed: what left before a kill and froze on the way is refused afterwards."""
UP = "the desk is up"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk that has looked at the market, and a person who keeps buying and selling."""
    with room(tmp_path / "home") as desk:
        desk.start()
        desk.wait_for("bars of good quality", 60, lambda records: len(_cycles(records)) >= 6)
        buy(desk)
        yield desk


def _cycles(records: list[Any]) -> list[CycleRecord]:
    return [record for record in records if isinstance(record, CycleRecord) and record.wish is None]


def press(desk: Desk, seconds: float) -> None:
    """Somebody buys and sells as fast as they can type."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name in NAMES:
            desk.say(f"/buy {name} 300 USDT")
        desk.say("/fx all")
        time.sleep(0.15)


def entries(desk: Desk, after_ms: int) -> list[str]:
    """Orders of ours that add risk and that the exchange accepted later than that: on spot, every buy."""
    orders = desk.exchange.pull("truth")["orders"]
    return [
        o["clientOrderId"]
        for o in orders
        if o["who"] == "desk" and o["side"] == "BUY" and o["time"] > after_ms
    ]


def finished(command: "subprocess.Popen[str]") -> int:
    """Wait for a kill that must succeed; the moment when it had, in milliseconds."""
    _, stderr = command.communicate(timeout=60)
    moment = time.time_ns() // 1_000_000
    assert command.returncode == 0, stderr
    return moment


def restart(desk: Desk) -> None:
    """kill -9, and up again."""
    ups = desk.log.read_text().count(UP)
    desk.kill()
    desk.start()
    desk.wait_until_up(ups + 1)


def nothing_until_a_resume(desk: Desk, killed: int) -> Judgement:
    """Press before and after a kill -9: nothing. Then resume, and it buys. The end is judged."""
    press(desk, 2)
    assert entries(desk, killed) == [], "accepted after a kill"
    restart(desk)
    press(desk, 2)
    assert entries(desk, killed) == [], "accepted after a kill and a restart"
    assert desk.whydesk("status").startswith("halted")
    resume(desk)
    wait_for_an_entry(desk, killed)
    settle(desk)
    assert desk.end() == 0, desk.log.read_text()[-2000:]
    return Judgement(desk)


def resume(desk: Desk) -> None:
    """Both steps, as a person takes them."""
    for state in ("reducing", "active"):
        assert f"the desk is {state}" in desk.whydesk("resume", "go on")


def wait_for_an_entry(desk: Desk, after_ms: int) -> None:
    """It trades again."""
    ends = time.monotonic() + 40
    while not entries(desk, after_ms):
        assert time.monotonic() < ends, desk.log.read_text()[-2000:]
        press(desk, 0.3)


def test_k1_a_kill_holds_while_the_engine_is_frozen_and_when_it_wakes_up(
    desk: Desk, record_property: Figure
) -> None:
    press(desk, 0.5)
    desk.send(signal.SIGSTOP)
    press(desk, 0.5)  # it will read all of this when it wakes up
    began = time.monotonic()
    killed = finished(desk.begin("kill", "it does not answer"))
    took = time.monotonic() - began
    time.sleep(WINDOW_S)
    desk.send(signal.SIGCONT)
    desk.wait_for("the halt", 20, lambda records: desk.state(records).risk.trading == "halted")

    nothing_until_a_resume(desk, killed)

    record_property(
        "figure", f"kill of a frozen engine: durable and said after {took:.2f} s, process and all"
    )


def test_k2_a_kill_holds_while_the_venue_is_dead_and_when_it_comes_back(desk: Desk) -> None:
    desk.exchange.process.send_signal(signal.SIGSTOP)
    press(desk, 0.5)
    killed = finished(desk.begin("kill", "the venue is gone"))
    time.sleep(WINDOW_S)
    desk.exchange.process.send_signal(signal.SIGCONT)

    nothing_until_a_resume(desk, killed)


def test_k3_a_kill_holds_where_the_chat_is_dead(desk: Desk) -> None:
    """Whoever read the answers is gone: a desk goes on, hears what is still typed, and can be killed."""
    reading, writing = os.pipe()
    desk.kill()
    ups = desk.log.read_text().count(UP)
    desk.start(stdout=writing)
    os.close(writing)
    os.close(reading)
    desk.wait_until_up(ups + 1)
    press(desk, 1)
    killed = finished(desk.begin("kill", "nobody answers there"))
    press(desk, 1.5)
    assert desk.alive, "a chat that takes no answers ends no desk"
    assert entries(desk, killed) == []
    resume(desk)
    wait_for_an_entry(desk, killed)
    desk.say("/kill typed where nobody reads")
    desk.wait_for(
        "the typed kill", 10, lambda records: desk.state(records).risk.why.startswith("typed where")
    )
    typed = time.time_ns() // 1_000_000

    nothing_until_a_resume(desk, typed)


def test_k4_a_kill_holds_where_neither_engine_nor_kill_have_room_to_write(desk: Desk) -> None:
    import resource

    assert desk.process is not None
    resource.prlimit(desk.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    press(desk, 0.5)
    killed = finished(desk.begin("kill", "no room", most_bytes=4096))

    assert (desk.home / "KILLED").exists()
    press(desk, 1.5)
    assert entries(desk, killed) == []
    if desk.alive:
        resource.prlimit(desk.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    else:
        restart(desk)

    nothing_until_a_resume(desk, killed)


@pytest.mark.parametrize("number", range(2))
def test_k5_a_kill_during_a_boot_holds_whenever_it_comes(desk: Desk, number: int) -> None:
    chance = random.Random(number)
    for _ in range(3):
        press(desk, 0.5)
        ups = desk.log.read_text().count(UP)
        desk.kill()
        kill_first = chance.random() < 0.5
        command = desk.begin("kill", "while it starts") if kill_first else None
        desk.start()
        time.sleep(chance.uniform(0, 1.5))
        killed = finished(command or desk.begin("kill", "while it starts"))
        desk.wait_until_up(ups + 1)
        press(desk, 1.5)
        assert entries(desk, killed) == []
        resume(desk)
        wait_for_an_entry(desk, killed)

    killed = finished(desk.begin("kill", "enough"))
    nothing_until_a_resume(desk, killed)


def test_k6_kills_at_once_and_one_that_dies_half_way_are_one_kill(desk: Desk) -> None:
    dies = desk.begin("kill", "this one is killed itself")
    press(desk, 0.3)
    dies.kill()
    kills = [desk.begin("kill", f"number {number}") for number in range(4)]
    desk.say("/kill and one more")
    killed = [finished(each) for each in kills]
    dies.communicate()

    nothing_until_a_resume(desk, min(killed))


def test_k7_a_kill_during_a_resume_wins_or_is_one_step_behind_it(desk: Desk) -> None:
    """Whichever is first, one step back from a kill never lets anything in."""
    chance = random.Random(7)
    killed = finished(desk.begin("kill", "enough"))
    for _ in range(4):
        desk.whydesk("kill", "again")
        desk.whydesk("resume", "as far as reducing")
        resuming = desk.begin("resume", "at the same time")
        time.sleep(chance.uniform(0, 0.3))
        killed = finished(desk.begin("kill", "at the same time"))
        _, said = resuming.communicate(timeout=60)
        assert resuming.returncode == 0 or "changed meanwhile" in said
        press(desk, 1)
        assert entries(desk, killed) == []
        assert desk.whydesk("status").startswith(("halted", "reducing"))

    finished(desk.begin("kill", "enough"))
    nothing_until_a_resume(desk, killed)


def test_k8_a_flatten_that_was_killed_twice_while_the_venue_is_dead_ends_flat_without_a_person(
    desk: Desk, record_property: Figure
) -> None:
    desk.exchange.process.send_signal(signal.SIGSTOP)
    desk.say("/kill flatten all of it")
    desk.wait_for("the wish", 15, lambda records: desk.state(records).risk.flatten)
    for _ in range(2):
        desk.kill()
        desk.start()
        time.sleep(3)
    killed = time.time_ns() // 1_000_000
    desk.exchange.process.send_signal(signal.SIGCONT)
    back = time.monotonic()
    desk.wait_for("flat", 60, lambda records: bool(records) and not held(desk, records))
    took = time.monotonic() - back

    nothing_until_a_resume(desk, killed)

    record_property(
        "figure", f"flatten after two kills -9 and a dead venue: flat {took:.1f} s after it was back"
    )
