"""Sends each day's report once: when the first bar of a later day is in, or when the feed ends."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from engine.core.domain.records import CycleRecord
from engine.core.risk.daily import day_of
from jobs.bootstrap import Engine
from jobs.daily_report import DayReport, build, record_of

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
        await engine.writer.write([record_of(report, engine.clock.now())])
        self.sent += 1
        self._tell(report)
