"""The loop over real parts: every bar once, in turn with commands, and an end when something could not be written."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from engine.core.domain.commands import Command, CommandKind
from engine.core.domain.errors import StoreFailed
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.records import CommandRecord, CycleRecord, OrderRecord, Record
from engine.core.pipeline import NEED
from engine.data.replay import ReplayFeed
from engine.ports import StoredRecord
from engine.store.journal import SqlJournal
from jobs import bootstrap
from jobs.bootstrap import Engine, open_engine
from jobs.clocks import ReplayClock
from jobs.home import Home
from tests.desks import audit, brisk, opened_journal, trending_bars

MOMENTS = 12
SETTINGS = brisk("AAA")
BARS = trending_bars(3, NEED + MOMENTS)
BEFORE = from_epoch_ms(int(BARS.end_ms[-MOMENTS - 1]))


class Failing(SqlJournal):
    """Refuses records of one kind, while told to."""

    refuse: type[object] | None = None

    async def append(self, records: Sequence[Record]) -> tuple[StoredRecord, ...]:
        if Failing.refuse is not None and any(isinstance(record, Failing.refuse) for record in records):
            raise StoreFailed("no space left on device")
        return await super().append(records)


@pytest.fixture(autouse=True)
def _real_journal_that_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "SqlJournal", Failing)
    monkeypatch.setattr(Failing, "refuse", None)


async def opened(home: Path, after: object = None) -> Engine:
    clock = ReplayClock(BEFORE)

    async def pace(moment: datetime) -> None:
        clock.turn(moment)

    async def told(records: Sequence[CycleRecord]) -> None:
        if callable(after):
            await after(records)

    return await open_engine(
        Home(home),
        SETTINGS,
        ReplayFeed({"AAA": BARS}),
        clock,
        pace=pace,
        after=told,
        first_bar=BEFORE,
        durability="NORMAL",
    )


def seen(home: Path) -> int:
    """How many bars were decided on, after everything has been checked."""
    journal = opened_journal(home)
    try:
        return len(audit(journal, SETTINGS).cycles.get("AAA", ()))
    finally:
        journal.close()


async def test_a_loop_that_is_stopped_ends_after_the_moment_under_way_and_goes_on_from_there(
    tmp_path: Path,
) -> None:
    async def stop_at_five(records: Sequence[CycleRecord]) -> None:
        if engine.loop.moments == 5:
            engine.loop.stop()

    engine = await opened(tmp_path, stop_at_five)
    await engine.loop.run()
    engine.close()
    assert (engine.loop.moments, seen(tmp_path)) == (5, 5)

    engine = await opened(tmp_path)
    await engine.loop.run()
    engine.close()
    assert (engine.loop.moments, seen(tmp_path)) == (MOMENTS - 5, MOMENTS)


@pytest.mark.parametrize("kind", [CycleRecord, OrderRecord])
async def test_a_moment_that_cannot_be_written_ends_the_loop(tmp_path: Path, kind: type[object]) -> None:
    async def fill_the_disk(records: Sequence[CycleRecord]) -> None:
        if engine.loop.moments == 3:
            Failing.refuse = kind

    engine = await opened(tmp_path, fill_the_disk)
    with pytest.raises(StoreFailed, match="no space left"):
        await engine.loop.run()
    engine.close()
    before = seen(tmp_path)
    assert 3 <= before < MOMENTS

    Failing.refuse = None
    engine = await opened(tmp_path)
    await engine.loop.run()
    engine.close()
    assert seen(tmp_path) == MOMENTS


async def test_the_loop_ends_when_a_command_has_left_an_order_that_could_not_be_written(
    tmp_path: Path,
) -> None:
    """The venue has the order and the journal has not its answer: trading on would be trading on a guess."""
    refused: list[str] = []

    async def close_on_a_full_disk(records: Sequence[CycleRecord]) -> None:
        if engine.desk.positions() and not refused:
            Failing.refuse = OrderRecord
            with pytest.raises(StoreFailed):
                await engine.desk.submit(Command(CommandKind.CLOSE, "me", "test", "1", "AAA"))
            Failing.refuse = None
            refused.append(str(records[0].at))

    engine = await opened(tmp_path, close_on_a_full_disk)
    with pytest.raises(StoreFailed, match="start again, and it is looked up"):
        await engine.loop.run()
    stopped = engine.loop.moments
    engine.close()
    assert refused
    assert seen(tmp_path) == stopped < MOMENTS

    engine = await opened(tmp_path)
    assert len(engine.repaired) == 1
    await engine.loop.run()
    engine.close()
    assert seen(tmp_path) == MOMENTS


async def test_commands_and_moments_take_turns(tmp_path: Path) -> None:
    """However many press at once, no command lands between the parts of one moment."""
    presses: list[asyncio.Task[object]] = []

    async def press(records: Sequence[CycleRecord]) -> None:
        wish = Command(CommandKind.RESUME, "me", "test", str(engine.loop.moments))
        presses.append(asyncio.create_task(engine.desk.submit(wish)))
        await asyncio.sleep(0)

    engine = await opened(tmp_path, press)
    await engine.loop.run()
    await asyncio.gather(*presses)
    engine.close()

    assert seen(tmp_path) == MOMENTS
    journal = opened_journal(tmp_path)
    commands = journal.find(kind="command")
    records = [stored.record for stored in journal.read()]
    journal.close()
    assert len(commands) == MOMENTS
    assert all(isinstance(stored.record, CommandRecord) for stored in commands)
    for decided, follows in pairwise(records):
        if isinstance(decided, CycleRecord) and decided.result.orders:
            assert isinstance(follows, OrderRecord), "a command came between a decision and its orders"
