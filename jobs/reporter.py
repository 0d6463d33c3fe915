"""Sends each day's report once: when the first bar of a later day is in, or when the feed ends.

A crash may fall between the last bar of a day and its report, so a start looks for days that have none.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

from engine.core.domain.records import CycleRecord, IncidentRecord, Record, ReportRecord
from engine.core.risk.daily import day_of
from jobs.bootstrap import Engine
from jobs.daily_report import DayReport, bounds, build, last_day, record_of

Tell = Callable[[DayReport], None]


class Reporter:
    """A report is a record with the day in its id, so that no restart can send it twice."""

    def __init__(self, engine: Engine, cash: Decimal, tell: Tell) -> None:
        """`cash` is what a new desk began with; `tell` puts the report before people."""
        self._engine = engine
        self._cash = cash
        self._tell = tell
        self._day = ""
        self.sent = 0

    async def catch_up(self) -> None:
        """Days that ended before the restart and were not reported; the newest one goes on."""
        self._day = last_day(self._engine.journal) or ""
        reported = self._engine.journal.find(kind="report", limit=1)
        since = None
        if reported:
            assert isinstance(reported[0].record, ReportRecord)
            since = bounds(reported[0].record.day)[1]
        while found := self._engine.journal.find(kind="cycle", since=since, limit=1, newest_first=False):
            day = day_of(found[0].record.at)
            if day == self._day:
                return
            await self.send(day)
            since = bounds(day)[1]

    async def after(self, records: Sequence[CycleRecord]) -> None:
        """Called after every moment with what it decided."""
        if not records:
            return
        day = day_of(records[0].at)
        if self._day and day != self._day:
            await self.send(self._day)
        self._day = day

    async def finish(self) -> None:
        """The day that was under way when the feed ended."""
        if self._day:
            await self.send(self._day)

    async def send(self, day: str) -> None:
        """Build, write down, tell; a day that was reported before is left alone."""
        engine = self._engine
        if engine.journal.get(f"r-{day}") is not None:
            return
        report = build(engine.journal, day, self._cash)
        at = engine.clock.now()
        records: list[Record] = [record_of(report, at)]
        if not report.agrees:
            wrong = {"cash_change": str(report.cash_change), "cash_flow": str(report.cash_flow)}
            text = f"the cash of {day} changed by {report.cash_change}, its fills explain {report.cash_flow}"
            records.append(IncidentRecord(f"i-{day}-report", at, "report", text, wrong, None))
        await engine.writer.write(records)
        self.sent += 1
        self._tell(report)
