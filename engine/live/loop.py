"""What wakes a cycle, and what must not overlap: one moment after another, commands in between."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from engine.core.domain.market import Bar
from engine.core.domain.records import CycleRecord
from engine.live.control import Control
from engine.live.cycle import Parts, run_moment
from engine.live.desk import LiveDesk
from engine.live.outage import Outage
from engine.ports import Feed

Pace = Callable[[datetime], Awaitable[None]]
Moment = Callable[[Sequence[CycleRecord]], Awaitable[None]]


class Loop:
    """Takes bars from the feed, one moment at a time, until the feed ends or `stop` is called.

    `pace` waits until the desk's clock has reached a bar; `after` is told what each moment decided. Bars before
    `begin` are not looked at any more: what was missed while the desk was down is not traded late. With an `outage`
    the loop goes on past a journal that takes nothing; without one it ends.
    """

    def __init__(
        self,
        feed: Feed,
        parts: Parts,
        desk: LiveDesk,
        control: Control,
        pace: Pace,
        after: Moment,
        begin: datetime,
        outage: Outage | None = None,
    ) -> None:
        self._feed = feed
        self._parts = parts
        self._desk = desk
        self._control = control
        self._pace = pace
        self._after = after
        self._begin = begin
        self._outage = outage
        self._stopping = asyncio.Event()
        self.moments = 0

    def stop(self) -> None:
        """End after the moment under way."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end."""
        return self._stopping.is_set()

    async def run(self) -> None:
        """Every moment that the desk has not yet decided on, then return."""
        async with self._desk.turn:
            await self._control.adopt_row()  # a halt does not wait for the next bar
        decided = self._parts.writer.state.last_bars
        # All of a moment's cycles are durable together or not at all, so the newest bar is the place to go on.
        async for bars in self._feed.stream(after=max([self._begin, *decided.values()])):
            await self._pace(bars[0].end)
            if self._stopping.is_set():
                return
            async with self._desk.turn:
                records = await self._moment(bars)
            if records is not None:
                self.moments += 1
                await self._after(records)

    async def _moment(self, bars: Sequence[Bar]) -> Sequence[CycleRecord] | None:
        """What was decided; None for a moment that could not be written down and was let pass."""
        if self._outage is None:
            return await self._decide(bars)
        return await self._outage.outlast(lambda: self._decide(bars))

    async def _decide(self, bars: Sequence[Bar]) -> Sequence[CycleRecord]:
        self._parts.orders.check()
        await self._control.adopt_row()
        return await run_moment(bars, self._parts)
