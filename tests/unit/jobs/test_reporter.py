"""The daily report: figures that add up, a day that ends at midnight, and one report a day whatever happens."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from engine.core.domain.errors import BadQuestion
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.order import Fill
from engine.core.domain.records import CycleRecord, FillRecord, IncidentRecord, ReportRecord
from engine.core.pipeline import NEED
from engine.core.risk.daily import day_of
from engine.data.replay import ReplayFeed
from jobs.bootstrap import Engine, open_engine
from jobs.clocks import ReplayClock
from jobs.daily_report import DayReport, bounds, build, last_day
from jobs.home import Home
from jobs.reporter import Reporter
from tests.builders import CLOSE, cycle_record, fill, order_request
from tests.desks import brisk, trending_bars
from tests.fakes import ListJournal

ZERO = Decimal(0)
HOURS = 60


class Replayed:
    """A desk on hourly bars that can be stopped after any of them and started again."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.told: list[DayReport] = []
        self.settings = brisk("AAA")
        bars = trending_bars(3, NEED + HOURS, step=timedelta(hours=1))
        self._feed = ReplayFeed({"AAA": bars})
        self._begin = from_epoch_ms(int(bars.end_ms[-HOURS - 1]))

    async def run(self, moments: int, *, finish: bool = False) -> Engine:
        clock = ReplayClock(self._begin)
        counted = 0

        async def pace(moment: datetime) -> None:
            clock.turn(moment)

        async def after(records: Sequence[CycleRecord]) -> None:
            nonlocal counted
            counted += 1
            if counted < moments or finish:  # the last one is cut off before its report
                await reporter.after(records)
            if counted == moments and not finish:
                engine.loop.stop()

        engine = await open_engine(
            Home(self.home),
            self.settings,
            self._feed,
            clock,
            pace=pace,
            after=after,
            first_bar=self._begin,
            durability="NORMAL",
        )
        clock.turn(max(engine.writer.state.last_bars.values(), default=self._begin))
        reporter = Reporter(engine, self.settings.desk.cash, self.told.append)
        await reporter.catch_up()
        await engine.loop.run()
        if finish:
            await reporter.finish()
        engine.close()
        return engine


async def test_every_day_is_reported_once_however_often_the_desk_is_stopped(tmp_path: Path) -> None:
    calm = Replayed(tmp_path / "calm")
    await calm.run(0, finish=True)
    broken = Replayed(tmp_path / "broken")
    for _ in range(HOURS // 4):
        await broken.run(4)
    engine = await broken.run(0, finish=True)

    days = [report.day for report in broken.told]
    assert days == sorted(set(days)) == [report.day for report in calm.told]
    assert len(days) >= 3
    assert [report.totals() for report in broken.told] == [report.totals() for report in calm.told]
    reports = [record.record for record in engine.journal.read() if isinstance(record.record, ReportRecord)]
    assert [report.day for report in reports] == days


async def test_totals_are_what_the_fills_of_the_day_add_up_to(tmp_path: Path) -> None:
    desk = Replayed(tmp_path)
    engine = await desk.run(0, finish=True)
    fills: dict[str, list[Fill]] = {}
    for stored in engine.journal.read():
        if isinstance(stored.record, FillRecord):
            fills.setdefault(day_of(stored.record.fill.at), []).append(stored.record.fill)

    assert sum(len(each) for each in fills.values()) >= 4
    for report in desk.told:
        mine = fills.get(report.day, [])
        bought = sum((f.quantity * f.price for f in mine if f.side.value == "buy"), ZERO)
        sold = sum((f.quantity * f.price for f in mine if f.side.value == "sell"), ZERO)
        fees = sum((f.fee for f in mine), ZERO)
        assert (report.bought, report.sold, report.fees, report.fills) == (bought, sold, fees, len(mine))
        assert report.cash_change == sold - bought - fees
        assert report.agrees
    last = desk.told[-1]
    assert sum((report.cash_change for report in desk.told), ZERO) == last.cash - desk.settings.desk.cash
    assert sum((report.equity_change for report in desk.told), ZERO) == last.equity - desk.settings.desk.cash


def test_a_bar_that_closes_at_midnight_belongs_to_the_day_before() -> None:
    since, until = bounds("2008-10-15")
    midnight = datetime(2008, 10, 16, tzinfo=UTC)

    assert day_of(midnight) == "2008-10-15"
    assert day_of(midnight + timedelta(milliseconds=1)) == "2008-10-16"
    assert since <= midnight < until
    assert not since <= midnight - timedelta(days=1) < until
    assert until <= midnight + timedelta(milliseconds=1)


def test_a_fill_at_midnight_is_in_the_report_of_the_day_that_ends() -> None:
    midnight = datetime(2008, 10, 16, tzinfo=UTC)
    entry = order_request(at=midnight - timedelta(days=1))
    journal = ListJournal(fill(entry, at=midnight), cycle_record(at=midnight))

    assert build(journal, "2008-10-15", Decimal("100000")).fills == 1
    assert last_day(journal) == "2008-10-15"


def test_a_day_without_a_cycle_and_a_day_that_is_none_are_refused() -> None:
    journal = ListJournal(cycle_record(at=CLOSE))

    with pytest.raises(BadQuestion, match="there is no cycle on 2031-01-01; cycles go from"):
        build(journal, "2031-01-01", ZERO)
    with pytest.raises(BadQuestion, match="'yesterday' is not a day; expected a date such as"):
        build(journal, "yesterday", ZERO)
    with pytest.raises(BadQuestion, match="the journal has no cycles yet"):
        build(ListJournal(), "2031-01-01", ZERO)


async def test_a_report_that_does_not_agree_says_so_and_is_an_incident(tmp_path: Path) -> None:
    desk = Replayed(tmp_path)
    engine = await desk.run(30)
    journal = ListJournal(*(stored.record for stored in engine.journal.read()))
    traded = next(stored.record for stored in journal.read() if isinstance(stored.record, FillRecord))
    wrong = type(traded.fill)(
        **{name: getattr(traded.fill, name) for name in traded.fill.__struct_fields__} | {"fee": Decimal(7)}
    )
    journal.replace(FillRecord(traded.id, traded.at, wrong))
    told: list[DayReport] = []

    class Written:
        def __init__(self) -> None:
            self.clock, self.journal, self.writer = engine.clock, journal, self

        async def write(self, records: Sequence[ReportRecord | IncidentRecord]) -> None:
            journal.add(records)

    await Reporter(Written(), desk.settings.desk.cash, told.append).send(day_of(traded.at))  # type: ignore[arg-type]

    assert not told[0].agrees
    assert "INCIDENT" in told[0].lines[-1]
    incidents = [s.record for s in journal.read() if isinstance(s.record, IncidentRecord)]
    assert [incident.name for incident in incidents] == ["report"]
