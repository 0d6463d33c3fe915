"""`whydesk run --replay` as people run it: processes that are halted, held, stopped, and starved of disk."""

import contextlib
import json
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from configs.schema.settings import Settings
from engine.core.domain.order import OrderStatus
from engine.core.domain.records import CommandRecord, CycleRecord, OrderRecord
from engine.core.domain.risk import TradingState
from engine.core.pipeline import NEED
from tests.desks import Audit, audit, brisk, opened_journal, profile, trending_bars, unprotected, write_csv

ROOT = Path(__file__).parents[2]
PATIENCE = 60
BARS = NEED + 120
SETTINGS = brisk("AAA")


class Desk:
    """One home and the processes that work on it."""

    def __init__(self, folder: Path, settings: Settings = SETTINGS, home: Path | None = None) -> None:
        self.folder = folder
        self.home = home or folder / "home"
        self.settings = settings
        self._profile = profile(folder / "profile.yaml", settings)
        self._data = write_csv(folder / "AAA.csv", trending_bars(3, BARS))
        self._started: list[subprocess.Popen[str]] = []

    def command(self, *words: str) -> list[str]:
        place = ["--home", str(self.home), "--profile", str(self._profile)]
        return [sys.executable, "-m", "jobs", *words, *place]

    def start(self, *more: str, limit: Callable[[], None] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self.command("run", "--replay", str(self._data), "--no-chat", "--json", *more),
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit,
        )  # fmt: skip
        self._started.append(process)
        return process

    def say(self, *words: str) -> dict[str, Any]:
        """A command that must succeed with one JSON object."""
        done = subprocess.run(
            self.command(*words, "--json"),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 1
        value: dict[str, Any] = json.loads(done.stdout)
        return value

    def until(self, process: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
        """Wait while the process works; it may not end before that."""
        deadline = time.monotonic() + PATIENCE
        while not reached():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "nothing happened"

    @property
    def records(self) -> int:
        with contextlib.suppress(Exception):  # not there yet, or half made
            journal = opened_journal(self.home)
            try:
                return journal.count()
            finally:
                journal.close()
        return 0

    def audit(self) -> Audit:
        journal = opened_journal(self.home)
        try:
            return audit(journal, self.settings)
        finally:
            journal.close()

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.end()


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert len(out.splitlines()) == 1
    value: dict[str, Any] = json.loads(out)
    return value


def refused(process: subprocess.Popen[str]) -> str:
    """Exit 1, nothing on stdout; the last line of stderr, before which there are only daily reports."""
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, err
    assert out == ""
    assert "Traceback" not in err
    *reports, last = err.splitlines()
    assert all("equity" in line for line in reports), err
    return last


@pytest.mark.slow
def test_a_whole_run_keeps_every_promise_and_a_second_one_adds_only_its_start(desk: Desk) -> None:
    done = finished(desk.start())
    found = desk.audit()

    assert done["cycles"] == len(found.cycles["AAA"]) == done["reports"] == BARS
    assert len(found.trades) > 10
    assert unprotected(found.state) == []
    assert done["status"]["cash"] == str(found.state.portfolio.cash)
    again = finished(desk.start())
    assert (again["cycles"], again["reports"], again["records"]) == (0, 0, done["records"] + 1)
    assert again["recovered_records"] < 10, "a start reads the end of the journal, not all of it"
    seen = {"running": "", "heartbeat_age_s": None, "watchdog": "", "crashes": 0}
    assert desk.say("status") == again["status"] | seen


@pytest.mark.slow
def test_the_same_run_in_another_home_has_the_same_journal(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    desks = [Desk(tmp_path / "a"), Desk(tmp_path / "b")]

    first, second = (finished(desk.start("--to", "2002-09-01")) for desk in desks)

    assert first["head"] == second["head"]


@pytest.mark.slow
def test_a_kill_from_another_process_stops_all_risk_and_outlives_a_restart(desk: Desk) -> None:
    finished(desk.start("--to", "2002-08-01"))  # by then it trades
    before = desk.records
    running = desk.start("--speed", str(86_400 * 20))  # twenty days a second
    desk.until(running, lambda: desk.records > before + 8)
    at_kill = desk.records
    said = desk.say("kill", "news tonight")
    desk.until(running, lambda: _commands(desk) >= 1)
    running.send_signal(signal.SIGKILL)
    running.communicate()

    assert said["state"] == "halted"
    assert desk.say("status")["state"] == "halted"
    finished(desk.start())
    found = desk.audit()
    (kill,) = found.commands
    assert (kill.kind, kill.by, kill.reason) == ("kill", "console", "news tonight")
    position = found.records.index(kill)
    assert position >= at_kill - 1
    late = [
        record
        for record in found.records[position:]
        if isinstance(record, OrderRecord)
        and record.status is OrderStatus.ACCEPTED
        and not record.request.reduce_only
    ]
    assert late == []
    assert len(found.trades) > 3
    assert len(found.cycles["AAA"]) == BARS
    assert found.state.risk.trading is TradingState.HALTED

    assert [desk.say("resume")["state"] for _ in range(2)] == ["reducing", "active"]


def _commands(desk: Desk) -> int:
    journal = opened_journal(desk.home)
    try:
        return len(journal.find(kind="command"))
    finally:
        journal.close()


@pytest.mark.slow
def test_a_desk_that_is_resumed_trades_again(desk: Desk) -> None:
    finished(desk.start("--to", "2002-08-01"))
    desk.say("kill")
    finished(desk.start("--to", "2002-09-01"))
    assert [desk.say("resume")["state"] for _ in range(2)] == ["reducing", "active"]
    finished(desk.start())

    found = desk.audit()
    kill, resume = (found.records.index(command) for command in found.commands)
    entered = [
        n
        for n, record in enumerate(found.records)
        if isinstance(record, OrderRecord)
        and record.status is OrderStatus.ACCEPTED
        and record.request.leg == "e"
    ]
    assert not [n for n in entered if kill < n < resume]
    assert [n for n in entered if n < kill]
    assert [n for n in entered if n > resume]
    assert isinstance(found.records[resume], CommandRecord)


@pytest.mark.slow
def test_a_second_process_is_refused_and_told_who_holds_the_home(desk: Desk) -> None:
    first = desk.start("--speed", "1")
    desk.until(first, lambda: desk.records > 0)

    said = refused(desk.start())

    assert f"held by pid {first.pid} on {socket.gethostname()} since " in said
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert finished(desk.start("--to", "2001-03-01"))["cycles"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_in_order_also_while_it_waits(desk: Desk, stop: signal.Signals) -> None:
    running = desk.start("--speed", "1")
    desk.until(running, lambda: desk.records > 1)

    running.send_signal(stop)
    done = finished(running)

    assert done["cycles"] == 1
    assert finished(desk.start("--to", "2001-01-10"))["cycles"] == 8
    assert len(desk.audit().cycles["AAA"]) == 9


# --- no room --------------------------------------------------------------------------------------


def files_may_grow_to(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.slow
def test_where_files_may_not_grow_the_desk_stops_with_one_line_and_later_goes_on(desk: Desk) -> None:
    said = refused(desk.start(limit=files_may_grow_to(2_500_000)))

    assert "could not be written" in said or "cannot be opened" in said
    stopped = desk.audit()
    assert 0 < len(stopped.cycles["AAA"]) < BARS
    assert desk.say("kill", "no room")["state"] == "halted"
    assert [desk.say("resume")["state"] for _ in range(2)] == ["reducing", "active"]
    finished(desk.start())
    found = desk.audit()
    assert len(found.cycles["AAA"]) == len(set(found.cycles["AAA"])) == BARS
    assert found.records[: len(stopped.records)] == stopped.records


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB, where the machine lets us have one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("this machine does not let a test mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_sends_no_order_takes_a_kill_and_goes_on_with_more_room(
    tmp_path: Path, small_disk: Path
) -> None:
    desk = Desk(tmp_path, home=small_disk / "home")
    said = refused(desk.start())

    assert "full" in said or "could not be written" in said or "cannot be opened" in said
    stopped = desk.audit()
    decided = {
        order.client_id
        for record in stopped.records
        if isinstance(record, CycleRecord)
        for order in record.result.orders
    }
    assert {record.request.client_id for record in stopped.orders} <= decided
    assert desk.say("kill", "no room")["state"] == "halted"
    assert desk.say("status")["state"] == "halted"

    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert [desk.say("resume")["state"] for _ in range(2)] == ["reducing", "active"]
    finished(desk.start())
    found = desk.audit()
    assert len(found.cycles["AAA"]) == len(set(found.cycles["AAA"])) == BARS
    assert unprotected(found.state) == []


@pytest.mark.slow
def test_a_home_that_may_only_be_read_is_refused_and_left_as_it_was(tmp_path: Path, small_disk: Path) -> None:
    desk = Desk(tmp_path, home=small_disk / "home")
    finished(desk.start("--to", "2001-02-01"))
    before = desk.audit()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    said = refused(desk.start())

    assert "Read-only" in said or "readonly" in said or "cannot be" in said
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert desk.audit().records == before.records
