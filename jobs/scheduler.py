"""Wakes the desk: at the pace of a replay, and later by the clock on the wall.

APScheduler's defaults would drop a wake-up that is a second late and cancel what runs when it stops, so both
are set here: late wake-ups are merged into one, and the loop is drained before the scheduler is shut down.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from jobs.clocks import ReplayClock

SHORTEST_S = 0.01  # a timer that fires more often only costs


class ReplayPace:
    """Lets a replay go on when its clock, running `speed` times as fast as the wall's, has reached a bar.

    `speed` 0 does not wait at all. The scheduler wakes the pace at every bar's length; the pace looks at the
    time that has gone by, so that a late wake-up is caught up and none is counted twice.
    """

    def __init__(
        self,
        clock: ReplayClock,
        speed: float,
        step: timedelta,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._speed = speed
        self._step = step
        self._monotonic = monotonic
        self._woken = asyncio.Event()
        self._started: tuple[float, datetime] | None = None
        self._scheduler: AsyncIOScheduler | None = None
        self._stopped = False

    def start(self) -> None:
        """Begin to wake; nothing to do for a replay that does not wait."""
        if not self._speed:
            return
        seconds = max(SHORTEST_S, self._step.total_seconds() / self._speed)
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self._scheduler = AsyncIOScheduler(timezone="UTC", job_defaults=defaults)
        self._scheduler.add_job(self._wake, IntervalTrigger(seconds=seconds), id="bar", replace_existing=True)
        self._scheduler.start()

    def stop(self) -> None:
        """Wake whoever waits, for the last time."""
        self._stopped = True
        self._woken.set()
        scheduler, self._scheduler = self._scheduler, None
        if scheduler is not None:  # a signal may stop it before the end of the run does
            scheduler.shutdown(wait=False)

    async def _wake(self) -> None:
        """A coroutine on purpose: a plain function would be called in a thread, where the event may not be set."""
        self._woken.set()

    async def __call__(self, moment: datetime) -> None:
        """Wait until the replay has reached `moment`, then turn its clock there."""
        if self._started is None:
            self._started = (self._monotonic(), moment)
        began, first = self._started
        due = (moment - first).total_seconds()
        while self._speed and not self._stopped and (self._monotonic() - began) * self._speed < due:
            self._woken.clear()
            await self._woken.wait()
        await asyncio.sleep(0)  # chats and signals get their turn also when nothing waits
        if not self._stopped:
            self._clock.turn(moment)
