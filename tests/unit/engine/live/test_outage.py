"""What a desk outlasts, and what it does not."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from engine.core.domain.errors import Fenced, StoreFailed
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.records import CycleRecord
from engine.data.replay import ReplayFeed
from engine.live.outage import Outage
from jobs.bootstrap import open_engine
from jobs.clocks import ReplayClock
from jobs.home import Home
from tests.desks import brisk, trending_bars

BARS = trending_bars(3, 20)
BEFORE = from_epoch_ms(int(BARS.end_ms[0]) - 1)


async def test_a_full_disk_is_outlasted_and_a_desk_that_was_taken_over_ends(tmp_path: Path) -> None:
    async def pace(moment: datetime) -> None: ...

    async def after(records: Sequence[CycleRecord]) -> None: ...

    async def no_room() -> int:
        raise StoreFailed("no space left on device")

    async def taken_over() -> int:
        raise Fenced("another copy of desk has taken over")

    engine = await open_engine(
        Home(tmp_path),
        brisk("AAA"),
        ReplayFeed({"AAA": BARS}),
        ReplayClock(BEFORE),
        pace=pace,
        after=after,
        first_bar=BEFORE,
        durability="NORMAL",
    )
    outage = Outage(engine.writer, engine.loop._parts.orders, engine.clock)

    assert await outage.outlast(no_room) is None
    with pytest.raises(Fenced):
        await outage.outlast(taken_over)
    engine.close()
