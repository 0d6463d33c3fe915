"""What a desk outlasts, and what it does not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engine.core.domain.errors import Fenced, StoreFailed
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.records import CycleRecord, Record
from engine.data.replay import ReplayFeed
from engine.live.outage import Outage
from jobs.bootstrap import Engine, open_engine
from jobs.clocks import ReplayClock
from jobs.home import Home
from tests.desks import brisk, trending_bars

BARS = trending_bars(3, 20)
BEFORE = from_epoch_ms(int(BARS.end_ms[0]) - 1)


class Ticking(ReplayClock):
    """A clock that moves on by a microsecond whenever it is read, as a wall's does."""

    def now(self) -> datetime:
        self.turn(super().now() + timedelta(microseconds=1))
        return super().now()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async def pace(moment: datetime) -> None: ...

    async def after(records: Sequence[CycleRecord]) -> None: ...

    engine = await open_engine(
        Home(tmp_path),
        brisk("AAA"),
        ReplayFeed({"AAA": BARS}),
        Ticking(BEFORE),
        pace=pace,
        after=after,
        first_bar=BEFORE,
        durability="NORMAL",
    )
    yield engine
    engine.close()


@pytest.fixture
def outage(engine: Engine) -> Outage:
    return Outage(engine.writer, engine.loop._parts.orders, engine.clock)


async def no_room() -> int:
    raise StoreFailed("no space left on device")


async def test_a_full_disk_is_outlasted_and_a_desk_that_was_taken_over_ends(outage: Outage) -> None:
    async def taken_over() -> int:
        raise Fenced("another copy of desk has taken over")

    assert await outage.outlast(no_room) is None
    with pytest.raises(Fenced):
        await outage.outlast(taken_over)


async def test_of_all_that_runs_side_by_side_one_says_what_was_missed(engine: Engine, outage: Outage) -> None:
    async def work() -> int:
        return 1

    await outage.outlast(no_room)

    assert await asyncio.gather(*(outage.outlast(work) for _ in range(3))) == [1, 1, 1]
    assert len(engine.journal.find(kind="incident")) == 1


async def test_what_was_missed_is_said_once_there_is_room(
    engine: Engine, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> int:
        return 1

    async def full(records: Sequence[Record]) -> None:
        raise StoreFailed("no space left on device")

    await outage.outlast(no_room)
    with monkeypatch.context() as patch:
        patch.setattr(engine.writer, "write", full)
        assert await outage.outlast(work) is None

    assert await outage.outlast(work) == 1
    assert len(engine.journal.find(kind="incident")) == 1
