"""Everything that runs beside the bars, and the rule that nothing of it may end unseen.

A task that fails ends the desk: the process stops, says why, and starts again by the one path that every start takes.
A desk without its reconciliation, or with a frozen feed that nobody notices, is worse than one that restarts.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any

from configs.schema.desk import TIMEFRAME_MS
from configs.schema.settings import Settings
from engine.core.domain.commands import Command, Outcome
from engine.core.domain.errors import StoreFailed, VenueDown, WhydeskError
from engine.live.control import Control
from engine.live.desk import GONE, LiveDesk
from engine.live.holds import CLOCK, DATA, UNREAD, Holds
from engine.live.outage import Outage
from engine.live.pulse import Pulse
from engine.live.reconcile import Reconciler
from engine.live.tend import PATIENCE, Tender
from engine.live.writer import Writer
from engine.ports import Clock, Inbox, Venue

log = logging.getLogger(__name__)
AGAIN_S = 5.0
"""How often a first look at the account that failed is tried again."""
LAG_EVERY_S = 0.25
INBOX_S = 0.2
HURRY_S = 0.5
"""How often it is looked after a desk that closes everything, where `venue.poll_s` is longer."""
STALE_BARS = 2
"""So many bars may be missing before nothing new is opened on what is known."""


class Keeper:
    """The periodic work of a live desk. Each piece takes its turn with cycles and commands."""

    def __init__(
        self,
        desk: LiveDesk,
        control: Control,
        writer: Writer,
        venue: Venue,
        tender: Tender,
        reconciler: Reconciler,
        holds: Holds,
        outage: Outage | None,
        inbox: Inbox | None,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._desk = desk
        self._control = control
        self._writer = writer
        self._venue = venue
        self._tender = tender
        self._reconciler = reconciler
        self._holds = holds
        self._outage = outage
        self._inbox = inbox
        self._settings = settings
        self._clock = clock
        self._unread = 0
        self._began = clock.now()
        self._admit: Callable[[], Awaitable[None]] | None = None
        """What the first look begins with, while it is due."""
        self._first: asyncio.Task[None] | None = None
        self.worst_lag_s = 0.0
        self.pulse = Pulse(clock, settings.venue.answer_s)

    def tasks(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What is to run, by name."""
        venue = self._settings.venue
        own: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "tend": self._every("tend", venue.poll_s, self._outlasting(self.tend)),
            "data": self._every("data", venue.poll_s, self._outlasting(self.check_data)),
            "lag": self._every("lag", LAG_EVERY_S, self.measure_lag),
        }
        if self._inbox is not None:
            own["inbox"] = self._every("inbox", INBOX_S, self._outlasting(self.read_inbox))
        if not self._venue.traits.absent_after_s:
            return own  # it is part of this process: there is nothing to compare it with
        return own | {
            "hurry": self._every("hurry", min(HURRY_S, venue.poll_s), self._outlasting(self.hurry)),
            "begin": self._every("begin", AGAIN_S, self._outlasting(self.begin_again)),
            "reconcile": self._every("reconcile", venue.reconcile_s, self._outlasting(self.reconcile)),
            "accept": self._every("accept", venue.poll_s, self._outlasting(self.accept)),
            "clock": self._every("clock", venue.reconcile_s, self._outlasting(self.check_clock)),
        }

    def _every(
        self, name: str, period_s: float, work: Callable[[], Awaitable[None]]
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        """The work again and again, and a note each time that it has come round."""

        async def noted() -> None:
            await work()
            self.pulse.turned(name)

        async def again() -> None:
            self.pulse.expect(name, period_s)
            await every(period_s, noted)

        return again

    def _outlasting(self, work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """The work, which a journal that takes nothing for a while does not end."""
        outage = self._outage
        if outage is None:
            return work

        async def outlasted() -> None:
            await outage.outlast(work)

        return outlasted

    async def read_inbox(self) -> None:
        """Carry out what other processes ask for, each once, and answer."""
        assert self._inbox is not None, "there is an inbox to read"
        for command in self._inbox.waiting():
            try:
                outcome = await self._desk.submit(command, partial(self._take, command))
            except StoreFailed:
                raise  # it is not recorded: it stays in the inbox
            except WhydeskError as error:
                outcome = Outcome(False, str(error))
            if outcome is not GONE:
                self._inbox.answer(command, outcome, self._clock.now())

    def _take(self, command: Command) -> bool:
        assert self._inbox is not None, "there is an inbox to read"
        return self._inbox.take(command, self._clock.now())

    async def tend(self) -> None:
        """Take over a halt from elsewhere, ask after open orders and take the steps that are due."""
        async with self._desk.turn:
            await self._control.adopt_row()
            await self._tender.tend()

    async def hurry(self) -> None:
        """More rounds while everything is being closed: a venue that fails half of its calls costs several."""
        state = self._writer.state
        if state.risk.flatten and state.portfolio.positions:
            await self.tend()

    async def begin(self, admit: Callable[[], Awaitable[None]]) -> None:
        """`admit`, which may refuse the key, and the first look at the account.

        While either cannot be had nothing new is opened; what is held is looked after all the same.
        """
        self._admit = admit
        await self.begin_again()
        async with self._desk.turn:  # looked at in the turn: it may be over by now
            if not self._first_look_is_over():
                await self._holds.set(UNREAD, "the account is being read for the first time since the start")

    async def end(self) -> None:
        """Let go of a first look that is still under way."""
        if self._first is not None:
            self._first.cancel()
            await asyncio.gather(self._first, return_exceptions=True)

    def _first_look_is_over(self) -> bool:
        return self._admit is None

    async def begin_again(self) -> None:
        """Until it has succeeded once; what it refuses ends the desk.

        It is waited for only so long: then it goes on by itself, and neither stops nor a flatten wait for it.
        """
        if not self._first_look_is_over() and (self._first is None or self._first.done()):
            self._first = asyncio.create_task(self._first_look(), name="the first look")
        if self._first is not None:
            await asyncio.wait({self._first}, timeout=AGAIN_S)
            if self._first.done():
                self._first.result()

    async def _first_look(self) -> None:
        """Nobody's turn is held while the venue is asked."""
        assert self._admit is not None, "there is something to begin"
        try:
            await self._admit()
            look = await self._reconciler.look()
            async with self._desk.turn:
                await self._reconciler.begin(look)
                self._admit = None
                await self._holds.lift(UNREAD)
        except VenueDown as error:
            async with self._desk.turn:
                await self._holds.set(UNREAD, f"the account has not been read since the start: {error}")

    async def adopt_halt(self) -> None:
        """Take over a halt from elsewhere."""
        async with self._desk.turn:
            await self._control.adopt_row()

    async def reconcile(self) -> None:
        """The account against the books; not being able to compare is a reason to open nothing new."""
        if self._admit is not None:
            return  # the first look comes before any other
        try:
            look = await self._reconciler.look()  # it may take long, and nobody waits for it
        except VenueDown as error:
            self._unread += 1
            if self._unread >= PATIENCE:
                async with self._desk.turn:
                    await self._holds.set(UNREAD, f"the account cannot be read: {error}")
            return
        async with self._desk.turn:
            self._unread = 0
            await self._reconciler.check(look)
            await self._holds.lift(UNREAD)

    async def accept(self) -> None:
        """What a resume from elsewhere says about the account."""
        await self._desk.accept()

    async def check_clock(self) -> None:
        """Orders carry our time, and bars are judged by it: a venue more than a second away is one of us wrong."""
        try:
            async with asyncio.timeout(self._settings.venue.answer_s):
                offset = await self._venue.clock_offset()
        except (VenueDown, TimeoutError):
            return  # whoever looks after orders notices a venue that does not answer
        limit = self._settings.venue.max_clock_offset_s
        async with self._desk.turn:
            if abs(offset) > limit:
                why = f"the venue's clock is {offset:+.3f} s from ours, at most {limit:g} s are allowed"
                await self._holds.set(CLOCK, why)
            else:
                await self._holds.lift(CLOCK)

    async def check_data(self) -> None:
        """Bars that have stopped coming, whatever the connection says."""
        step = timedelta(milliseconds=TIMEFRAME_MS[self._settings.desk.timeframe])
        allowed = STALE_BARS * step
        oldest = min(
            (
                self._writer.state.last_bars.get(each.name, self._began)
                for each in self._settings.desk.instruments
            ),
            default=self._began,
        )
        age = self._clock.now() - max(oldest, self._began - step)
        async with self._desk.turn:
            if age > allowed:
                await self._holds.set(DATA, f"no bar for {age}, at most {allowed} are allowed")
            else:
                await self._holds.lift(DATA)

    async def measure_lag(self) -> None:
        """How late the loop is: what blocks it delays a kill as well."""
        before = self._clock.monotonic()
        await asyncio.sleep(LAG_EVERY_S)
        lag = self._clock.monotonic() - before - LAG_EVERY_S
        if lag > max(self.worst_lag_s, self._settings.venue.answer_s):
            log.warning("the event loop stood still for %.1f s", lag)
        self.worst_lag_s = max(self.worst_lag_s, lag)


async def every(period_s: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do it, wait, do it again. What it raises ends the desk."""
    while True:
        await work()
        await asyncio.sleep(period_s)


async def supervise(
    main: Coroutine[Any, Any, None], beside: dict[str, Callable[[], Coroutine[Any, Any, None]]]
) -> None:
    """Run `main` to its end with the others beside it. Whatever fails first ends all, and is raised."""
    work = [asyncio.create_task(main, name="loop")]
    work += [asyncio.create_task(start(), name=name) for name, start in beside.items()]
    try:
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
