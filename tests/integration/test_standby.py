"""Two real processes for one desk: the second is refused, or stands by; the first is killed, or frozen and wakes up."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from configs.schema.store import StoreSettings
from engine.core.domain.errors import StoreFailed
from engine.core.pipeline import NEED
from engine.store.journal import SqlJournal
from tests.desks import brisk, profile, trending_bars, write_csv

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60
TAKEN_OVER_S = 5


class Desks:
    """Processes that want to act for one desk, each from a home; without a URL the store is in the home."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder, self.url = folder, url
        settings = replace(brisk("AAA"), store=StoreSettings(url=url, anchor_every_s=1))
        self._profile = profile(folder / "profile.yaml", settings)
        self._data = write_csv(folder / "AAA.csv", trending_bars(3, NEED + 20))
        self._started: list[subprocess.Popen[str]] = []

    def start(self, home: str, *more: str) -> subprocess.Popen[str]:
        words = ["run", "--replay", self._data, "--home", self.folder / home, "--profile", self._profile]
        process = subprocess.Popen(
            [sys.executable, "-m", "jobs", *map(str, words), "--no-chat", "--json", "--speed", "1", *more],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._started.append(process)
        return process

    def starts(self) -> int:
        """How many copies have come up and decided on a bar, as the journal says: from then on they heed signals."""
        store = self.url or self.folder / "home" / "desk.sqlite3"
        with contextlib.suppress(StoreFailed), closing(SqlJournal(store, read_only=True)) as journal:
            starts = [each.sequence for each in journal.find(kind="start")]
            decided = max((each.sequence for each in journal.find(kind="cycle")), default=0)
            return sum(sequence < decided for sequence in starts)
        return 0

    def settled(self) -> int:
        """How many records there are, once there have been as many for a while."""
        seen: list[tuple[float, int]] = []

        def stands() -> bool:
            count = verified(self.url)
            if not seen or seen[-1][1] != count:
                seen.append((time.monotonic(), count))
            return time.monotonic() - seen[-1][0] > 0.5

        until(stands)
        return seen[-1][1]

    def running(self, home: str, *more: str) -> subprocess.Popen[str]:
        """A process whose desk has come up."""
        before = self.starts()
        process = self.start(home, *more)
        until(lambda: self.starts() > before, process)
        return process

    def standing_by(self, home: str, holder: subprocess.Popen[str]) -> subprocess.Popen[str]:
        process = self.start(home, "--standby")
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("standing by: ")
        assert f"is held by pid {holder.pid} on {socket.gethostname()} since 2" in line
        return process

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.communicate()


def until(reached: Callable[[], bool], *alive: subprocess.Popen[str], seconds: float = PATIENCE_S) -> float:
    """Wait while the processes live; how long that took."""
    began, pause = time.monotonic(), threading.Event()
    while not reached():
        for process in alive:
            assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() - began < seconds, "nothing happened"
        pause.wait(0.02)
    return time.monotonic() - began


def stopped(process: subprocess.Popen[str]) -> dict[str, Any]:
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    value: dict[str, Any] = json.loads(out)
    return value


def refused(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (1, ""), err
    # An anchor that was due just then may fail for the same reason, and says so in whichever order.
    return [line for line in err.splitlines() if not line.startswith("no anchor was written")][-1]


@pytest.fixture
def desks(tmp_path: Path, postgres_database: str) -> Iterator[Desks]:
    desks = Desks(tmp_path, postgres_database)
    yield desks
    desks.end()


@pytest.fixture
def one_home(tmp_path: Path) -> Iterator[Desks]:
    desks = Desks(tmp_path)
    yield desks
    desks.end()


def verified(url: str | Path) -> int:
    with closing(SqlJournal(url, read_only=True)) as journal:
        seen = journal.verify(deep=True)
    assert seen.chain_ok, seen.reason
    return seen.records


@pytest.mark.slow
def test_e11_a_second_copy_on_another_machine_is_refused_and_told_who_holds_the_desk(desks: Desks) -> None:
    first = desks.running("home")

    said = refused(desks.start("other"))

    assert f"is held by pid {first.pid} on {socket.gethostname()} since 2" in said
    assert "postgresql://127.0.0.1" in said
    stopped(first)
    began = time.monotonic()
    desks.running("other")
    assert time.monotonic() - began < PATIENCE_S
    assert desks.starts() == 2


@pytest.mark.slow
def test_e11_a_standby_takes_over_from_a_copy_that_was_killed(desks: Desks) -> None:
    first = desks.running("home")
    second = desks.standing_by("other", first)

    first.kill()
    took = until(lambda: desks.starts() == 2, second)

    print(f"\nkill -9 to the standby's first decision, on PostgreSQL: {took:.2f} s")
    assert took < TAKEN_OVER_S
    assert stopped(second)["status"]["state"] == "active"
    assert verified(desks.url) > 2


@pytest.mark.slow
def test_e11_a_standby_takes_over_at_once_from_a_copy_that_was_stopped_in_order(desks: Desks) -> None:
    first = desks.running("home")
    second = desks.standing_by("other", first)

    stopped(first)

    assert until(lambda: desks.starts() == 2, second) < TAKEN_OVER_S / 2


@pytest.mark.slow
def test_e11_a_desk_that_was_killed_can_be_started_again_at_once(desks: Desks) -> None:
    first = desks.running("home")
    until(lambda: (desks.folder / "home" / "anchors.jsonl").exists(), first)
    first.kill()

    began = time.monotonic()
    again = desks.running("home")

    print(f"\nkill -9 to the same desk's first decision again: {time.monotonic() - began:.2f} s")
    assert stopped(again)["status"]["state"] == "active", "its anchors fit what it had written"


@pytest.mark.slow
def test_e11_a_frozen_copy_that_wakes_up_ends_without_writing(desks: Desks) -> None:
    first = desks.running("home")
    second = desks.standing_by("other", first)
    first.send_signal(signal.SIGSTOP)
    took = until(lambda: desks.starts() == 2, second)
    before = desks.settled()

    first.send_signal(signal.SIGCONT)
    said = refused(first)

    print(f"\nSIGSTOP to the standby's first decision: {took:.2f} s; the frozen copy then said: {said}")
    assert said == "another copy of desk has taken over (lease 1 is not the newest any more)"
    assert second.poll() is None
    assert verified(desks.url) == before


HOLDER = """
import sys
from datetime import UTC, datetime
from engine.core.domain.errors import Fenced
from engine.core.domain.records import IncidentRecord
from engine.store.driver import place
from engine.store.journal import SqlJournal
from engine.store.lease import Fence, take

held = take(place(sys.argv[1]), "desk")
journal = SqlJournal(sys.argv[1], fence=Fence("desk", held.token))
print("held", held.token, flush=True)
for number, line in enumerate(sys.stdin):
    if line == "certain\\n":
        print(held.certain(), flush=True)
        continue
    try:
        at = datetime(2026, 11, 24, tzinfo=UTC)
        journal.append_sync([IncidentRecord(f"i-{held.token}-{number}", at, "test", "", {}, None)])
        print("written", flush=True)
    except Fenced as refused:
        print(f"refused: {refused}", flush=True)
"""


class Holder:
    """A process that takes the lease and then does as it is told."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, url],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.token = self.heard()

    def heard(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def told(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def says(self, word: str) -> str:
        self.told(word)
        return self.heard()


@pytest.mark.slow
def test_e11_a_frozen_holder_is_certain_of_nothing_and_its_next_append_is_refused(
    postgres_database: str,
) -> None:
    first = Holder(postgres_database)
    assert (first.token, first.says("certain"), first.says("append")) == ("held 1", "True", "written")
    first.process.send_signal(signal.SIGSTOP)
    first.told(
        "certain"
    )  # it finds the question when it wakes up, before any of its threads has looked at a clock
    began = time.monotonic()
    second = Holder(postgres_database)  # a start waits for the lease of a holder that does not extend it
    took = time.monotonic() - began
    assert (second.token, second.says("append")) == ("held 2", "written")

    first.process.send_signal(signal.SIGCONT)

    print(f"\na frozen holder's lease was taken after {took:.2f} s")
    assert first.heard() == "False"
    assert first.says("append").startswith("refused: another copy of desk has taken over")
    assert first.says("certain") == "False"
    assert (second.says("certain"), second.says("append")) == ("True", "written")
    assert verified(postgres_database) == 3
    for each in (first, second):
        each.process.communicate(timeout=PATIENCE_S)


@pytest.mark.slow
def test_a_standby_of_one_home_takes_over_from_a_copy_that_was_killed(one_home: Desks) -> None:
    first = one_home.running("home")
    second = one_home.standing_by("home", first)

    first.kill()
    took = until(lambda: one_home.starts() == 2, second)

    print(f"\nkill -9 to the standby's first decision, on SQLite: {took:.2f} s")
    assert took < TAKEN_OVER_S
    stopped(second)
    assert verified(one_home.folder / "home" / "desk.sqlite3") > 2


@pytest.mark.slow
def test_a_frozen_copy_keeps_its_home_and_nobody_takes_it_over(one_home: Desks) -> None:
    first = one_home.running("home")
    second = one_home.standing_by("home", first)
    first.send_signal(signal.SIGSTOP)
    frozen = time.monotonic()

    until(lambda: time.monotonic() - frozen > TAKEN_OVER_S, second)

    assert one_home.starts() == 1
    first.send_signal(signal.SIGCONT)
    stopped(first)
    until(lambda: one_home.starts() == 2, second)
