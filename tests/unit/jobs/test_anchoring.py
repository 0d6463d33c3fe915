"""Anchors beside an engine that runs: written when the head has moved, and held against what the journal became."""

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from engine.core.domain.commands import Command, CommandKind
from engine.core.domain.errors import Refused
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.records import CycleRecord, IncidentRecord
from engine.core.domain.risk import TradingState
from engine.data.replay import ReplayFeed
from engine.store.anchors import Anchors, examine, trace_file
from jobs import anchoring as anchoring_module
from jobs.anchoring import Anchoring, anchors_of
from jobs.bootstrap import Engine, open_engine
from jobs.clocks import ReplayClock
from jobs.home import Home
from tests.builders import incident
from tests.desks import brisk, trending_bars

SETTINGS = brisk("AAA")
BARS = trending_bars(3, 20)
BEFORE = from_epoch_ms(int(BARS.end_ms[0]) - 1)
EVERY_S = 0.02


async def opened(home: Path) -> tuple[Engine, Anchors]:
    async def pace(moment: datetime) -> None: ...

    async def after(records: Sequence[CycleRecord]) -> None: ...

    anchors = anchors_of(Home(home), SETTINGS)
    engine = await open_engine(
        Home(home),
        SETTINGS,
        ReplayFeed({"AAA": BARS}),
        ReplayClock(BEFORE),
        pace=pace,
        after=after,
        first_bar=BEFORE,
        durability="NORMAL",
        anchors=anchors,
    )
    return engine, anchors


class Counting(Anchors):
    """Says when it was asked to write."""

    def __init__(self, desk: str, paths: Sequence[Path], keys: Path) -> None:
        super().__init__(desk, paths, keys)
        self.tried = threading.Semaphore(0)

    def write(self, head: tuple[int, str], at: datetime, note: str = "") -> list[str]:
        self.tried.release()
        return super().write(head, at, note)


def until(reached: Callable[[], bool]) -> None:
    ends, pause = time.monotonic() + 20, threading.Event()
    while not reached():
        assert time.monotonic() < ends, "nothing happened"
        pause.wait(0.005)


def lines(anchors: Anchors) -> int:
    (path,) = anchors.paths
    return len(path.read_bytes().splitlines()) if path.exists() else 0


def incidents(engine: Engine) -> list[str]:
    found = [each.record for each in engine.journal.find(kind="incident")]
    return [record.text for record in found if isinstance(record, IncidentRecord)]


def move_away(home: Path) -> None:
    """Somebody moves the store somewhere else."""
    for each in [*home.glob("desk.sqlite3*")]:
        each.rename(home / f"away.{each.name}")


async def test_the_head_is_anchored_when_it_has_moved_and_once_more_at_the_end(tmp_path: Path) -> None:
    engine, anchors = await opened(tmp_path)
    anchoring = Anchoring(anchors, engine, EVERY_S)
    until(lambda: lines(anchors) == 1)
    await engine.writer.write([incident()])
    until(lambda: lines(anchors) == 2)
    await engine.loop.run()

    await anchoring.stop()

    found = examine(engine.journal, [trace_file(anchors.paths[0], anchors.key.public)])
    assert (found.vouched, found.anchors_ok) == (engine.journal.count(), True)
    assert found.vouching < 10, "a head that stands still is not anchored again and again"
    engine.close()


async def test_an_anchor_that_cannot_be_written_is_told_once_for_each_cause(tmp_path: Path) -> None:
    engine, anchors = await opened(tmp_path)
    anchors.paths[0].mkdir()
    counting = Counting(SETTINGS.desk.name, anchors.paths, tmp_path / "keys")
    anchoring = Anchoring(counting, engine, EVERY_S)
    for _ in range(3):
        assert counting.tried.acquire(timeout=20)

    await anchoring.stop()

    assert incidents(engine) == [f"no anchor could be written to {anchors.paths[0]}: Is a directory"]
    assert engine.store.halt().state is TradingState.ACTIVE
    engine.close()


async def test_a_journal_that_is_rewritten_under_a_running_desk_halts_it_and_gets_no_anchor(
    tmp_path: Path,
) -> None:
    engine, anchors = await opened(tmp_path)
    await engine.loop.run()
    anchoring = Anchoring(anchors, engine, EVERY_S)
    until(lambda: lines(anchors) == 1)
    newest = engine.journal.count()
    with closing(sqlite3.connect(tmp_path / "desk.sqlite3", isolation_level=None)) as database:
        database.execute("UPDATE records SET hash = zeroblob(32) WHERE sequence = ?", (newest,))

    until(lambda: engine.store.halt().state is TradingState.HALTED)
    await anchoring.stop()

    assert engine.store.halt().by == "audit"
    assert len(incidents(engine)) == 1
    assert f"record {newest} is not the one that was anchored" in incidents(engine)[0]
    assert lines(anchors) == 1
    engine.close()


@pytest.mark.parametrize("accepted", [False, True])
async def test_a_running_desk_that_came_up_halted_resumes_only_after_a_person_has_said_why(
    tmp_path: Path, *, accepted: bool
) -> None:
    engine, anchors = await opened(tmp_path)
    assert anchors.write((999, "ab" * 32), BEFORE) == []
    engine.close()
    engine, anchors = await opened(tmp_path)
    assert "names record 999" in engine.objection
    await engine.loop.run()
    anchoring = Anchoring(anchors, engine, EVERY_S)
    if accepted:
        assert anchors.write(engine.journal.head(), BEFORE, note="a test of backups") == []

    resume = engine.desk.submit(Command(CommandKind.RESUME, by="me", source="test", key="1"))
    if accepted:
        assert (await resume).accepted
    else:
        with pytest.raises(Refused, match="say so first: whydesk journal anchor --accept WHY"):
            await resume

    assert engine.desk.status()["state"] == ("reducing" if accepted else "halted")
    await anchoring.stop()
    assert lines(anchors) == (3 if accepted else 1)
    engine.close()


async def test_a_desk_does_not_wait_for_a_disk_that_does_not_answer_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging(Anchors):
        """Writes when it is let."""

        let = threading.Event()

        def write(self, head: tuple[int, str], at: datetime, note: str = "") -> list[str]:
            assert self.let.wait(20)
            return super().write(head, at, note)

    monkeypatch.setattr(anchoring_module, "PATIENCE_S", 0.05)
    engine, anchors = await opened(tmp_path)
    hanging = Hanging(SETTINGS.desk.name, anchors.paths, tmp_path / "keys")
    anchoring = Anchoring(hanging, engine, 3600)

    await anchoring.stop()

    assert "the last anchor is not written: its disk does not answer" in incidents(engine)
    Hanging.let.set()
    anchoring._thread.join(20)
    engine.close()


async def test_a_desk_that_did_not_end_in_order_leaves_no_last_anchor(tmp_path: Path) -> None:
    engine, anchors = await opened(tmp_path)
    anchoring = Anchoring(anchors, engine, 3600)

    anchoring.abandon()
    anchoring._thread.join(20)

    assert not anchoring._thread.is_alive()
    assert lines(anchors) == 0
    engine.close()


async def test_a_journal_that_cannot_be_read_or_written_gets_no_anchor_and_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine, anchors = await opened(tmp_path)
    engine.journal.close()
    engine.store.close()
    move_away(tmp_path)
    anchoring = Anchoring(anchors, engine, 3600)

    await anchoring.stop()

    assert any("no anchor was written: the store at" in line for line in caplog.messages)
    assert "an incident could not be written down: the journal is closed" in caplog.messages
    assert lines(anchors) == 0
    engine.close()
