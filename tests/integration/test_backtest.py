"""The back-test and the live desk on the same bars: the same records, byte for byte, but for who started them."""

import asyncio
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from configs.schema.decision import DecisionSettings
from configs.schema.settings import Settings
from engine.backtest.replay import run
from engine.backtest.report import judge, summary
from engine.backtest.sweep import prepare, sweep
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.market import BarArrays
from engine.core.domain.records import CycleRecord, Record, StartRecord, encode
from engine.data.replay import ReplayFeed
from engine.store.journal import SqlJournal
from jobs.bootstrap import open_engine
from jobs.clocks import ReplayClock
from jobs.home import Home
from jobs.replay_day import replay
from jobs.version import code_version
from tests.unit.engine.backtest.markets import WIDE, random_walk, rows, trading

EAGER = DecisionSettings(confidence=0.55, long_only=False, max_bars=12)


def test_a_back_test_writes_the_journal_that_the_live_desk_writes(tmp_path: Path) -> None:
    settings = trading("BTC", "ETH", decision=EAGER, risk=WIDE)
    holed = np.delete(np.arange(700), np.arange(560, 690, 17))
    series = {"BTC": random_walk(700, 1), "ETH": rows(random_walk(700, 2), holed)}
    ours: list[Record] = []

    run(series, settings, record=ours.extend, mode="exact", code_version=code_version())

    live = asyncio.run(_live(tmp_path, series, settings))
    assert len([r for r in live if isinstance(r, CycleRecord)]) == 700 + holed.size
    for mine, theirs in zip(_but_starts(ours), _but_starts(live), strict=True):
        assert encode(mine) == encode(theirs)


def test_a_back_test_can_be_kept_verified_and_decided_again(tmp_path: Path) -> None:
    settings = trading("BTC", decision=EAGER, risk=WIDE)
    journal = SqlJournal(tmp_path / "desk.sqlite3", synchronous="NORMAL")

    result = run({"BTC": random_walk(800, 3)}, settings, record=journal.append_many)

    try:
        assert journal.verify().chain_ok
        assert journal.count() == result.records
        again = replay(journal.read())
        assert (again.replayed, again.mismatches) == (800, 0)
    finally:
        journal.close()


@pytest.mark.slow
def test_twenty_years_of_an_index_are_traded_alike_in_all_three_ways() -> None:
    bundled = pytest.importorskip("engine.data.bundled")
    pytest.importorskip("arch")
    bars = bundled.load("SP500").bars
    settings = _daily(trading("SP500", decision=EAGER, risk=WIDE))

    batch = run({"SP500": bars}, settings)
    swept = sweep(prepare({"SP500": bars}, settings), settings)
    late = bars.size - 1200
    start = from_epoch_ms(int(bars.end_ms[late]))
    exact = run({"SP500": bars}, settings, mode="exact", start=start)
    again = run({"SP500": bars}, settings, start=start)

    assert len(batch.trades) > 100
    assert swept.trades == batch.trades
    assert [(t.id, t.net) for t in exact.trades] == [(t.id, t.net) for t in again.trades]
    assert summary(judge(batch))["honesty"]["psr"] is not None


def _daily(settings: Settings) -> Settings:
    from msgspec.structs import replace

    from configs.schema.data import DataQualitySettings

    return replace(
        settings,
        desk=replace(settings.desk, timeframe="1d"),
        data=DataQualitySettings(session="weekdays"),
    )


def _but_starts(records: list[Record]) -> list[Record]:
    return [record for record in records if not isinstance(record, StartRecord)]


async def _live(root: Path, series: dict[str, BarArrays], settings: Settings) -> list[Record]:
    """All bars through the live loop on the paper venue."""
    first = from_epoch_ms(min(int(bars.end_ms[0]) for bars in series.values()) - 1)
    clock = ReplayClock(first)

    async def pace(moment: datetime) -> None:
        clock.turn(moment)

    async def after(records: object) -> None:
        """Nobody watches."""

    home = Home(root)
    engine = await open_engine(
        home,
        settings,
        ReplayFeed(series),
        clock,
        pace=pace,
        after=after,
        first_bar=first,
        durability="NORMAL",
    )
    try:
        await engine.loop.run()
        return [stored.record for stored in engine.journal.read()]
    finally:
        engine.close()
