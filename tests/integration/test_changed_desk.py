"""A desk that comes up with something new: it says so, and waits for a person where somebody must look first."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from engine.core.domain.commands import Command, CommandKind
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.records import CycleRecord, IncidentRecord
from engine.data.replay import ReplayFeed
from jobs.bootstrap import Engine, open_engine
from jobs.clocks import ReplayClock
from jobs.home import Home
from tests.desks import brisk, trending_bars

BARS = trending_bars(3, 20)
BEFORE = from_epoch_ms(int(BARS.end_ms[0]) - 1)


async def opened(home: Path, **risk: float) -> Engine:
    async def pace(moment: datetime) -> None: ...

    async def after(records: Sequence[CycleRecord]) -> None: ...

    return await open_engine(
        Home(home),
        brisk("AAA", **risk),
        ReplayFeed({"AAA": BARS}),
        ReplayClock(BEFORE),
        pace=pace,
        after=after,
        first_bar=BEFORE,
        patient=True,
        durability="NORMAL",
    )


def told(engine: Engine) -> list[str]:
    found = engine.journal.find(kind="incident")
    return [stored.record.name for stored in found if isinstance(stored.record, IncidentRecord)]


async def test_a_desk_that_starts_as_before_says_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        engine = await opened(tmp_path)
        assert (told(engine), engine.writer.state.risk.holds) == ([], {})
        engine.close()


async def test_a_tighter_limit_is_told_and_holds_nothing(tmp_path: Path) -> None:
    (await opened(tmp_path)).close()

    engine = await opened(tmp_path, max_gross=0.5)

    assert (told(engine), engine.writer.state.risk.holds) == (["change"], {})
    engine.close()


async def test_a_limit_that_is_much_wider_holds_entries_until_somebody_resumes(tmp_path: Path) -> None:
    (await opened(tmp_path, max_gross=0.1)).close()

    engine = await opened(tmp_path, max_gross=1.0)
    assert list(engine.writer.state.risk.holds) == ["change"]
    engine.close()
    again = await opened(tmp_path, max_gross=1.0)
    assert list(again.writer.state.risk.holds) == ["change"], "another start does not look at it"

    await again.desk.submit(Command(CommandKind.RESUME, "ana", "console", "1", reason="as meant"))
    assert again.writer.state.risk.holds == {}
    again.close()
