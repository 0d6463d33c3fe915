"""One process of the desk, from its start to its death. Dead, it does nothing more: its tasks wait for ever."""

import asyncio
from collections.abc import Sequence
from contextvars import Context, copy_context
from datetime import datetime
from typing import TYPE_CHECKING

from engine.core.domain.errors import StoreFailed, VenueDown
from engine.core.domain.records import CycleRecord
from engine.inference.predictor import NoPredictor
from engine.live.supervise import supervise
from jobs.bootstrap import Engine, Outside, assemble
from tests.simulation.disk import SimJournal, SimStore, forever
from tests.simulation.feed import SimFeed
from tests.simulation.loop import OWNER, Tasks, pause
from tests.simulation.market import MINUTE
from tests.simulation.venue import SimVenue

if TYPE_CHECKING:
    from tests.simulation.world import World

WARM_UP = 10
"""Bars before the world on which an empty journal begins: too old to trade on, enough to learn from."""


LIVES_OF_A_MACHINE = 4
"""Every so many starts of the desk are starts of the machine too: its seconds begin anew."""


class Gone(BaseException):
    """The process is dead. Nobody catches this."""


class SimClock:
    """Virtual time. It goes on when the process does not."""

    def __init__(self, life: "Life") -> None:
        self._life = life

    def now(self) -> datetime:
        """The moment of the world, as far as the machine knows it."""
        return self._life.world.desk_moment()

    def monotonic(self) -> float:
        """Seconds since the machine started, which another process goes on counting."""
        return self._life.world.now - self._life.booted

    def machine(self) -> str:
        """One name from one start of the machine to the next."""
        return f"machine {self._life.booted}"


class Life:
    """One start of the desk over the same disk and exchange."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.number = number
        self.began = world.now
        same = world.lives and number % LIVES_OF_A_MACHINE
        self.booted: float = world.lives[-1].booted if same else world.now
        self.alive = True
        self.ready = False
        self.engine: Engine | None = None
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.tasks = Tasks()
        self.context: Context = copy_context()
        self.context.run(OWNER.set, self.tasks)
        self._journal = SimJournal(self, world.disk)

    def start(self) -> None:
        """As an operating system starts a process."""
        self.process = asyncio.get_running_loop().create_task(self._run(), context=self.context)

    def die(self) -> None:
        """At once, with whatever was under way."""
        self.alive = False
        self._journal.lost()
        self.tasks.cancel()
        self.gone.set_result(None)

    async def passage(self, name: str) -> None:
        """Every call to a port passes here before and after. The process may die in it; the dead stay."""
        if self.alive:
            self.world.passed(self, name)
        if not self.alive:
            await forever()

    def passage_at_once(self, name: str) -> None:
        """The same where nothing can be awaited."""
        if self.alive:
            self.world.passed(self, name)
        self.must_live()

    def must_live(self) -> None:
        """For reading: a dead process reads nothing."""
        if not self.alive:
            raise Gone

    async def _run(self) -> None:
        try:
            await self._live()
        except (StoreFailed, VenueDown) as error:
            self.world.fell(self, error, expected=True)
        except Exception as error:  # noqa: BLE001 - whatever ends a process is looked at
            self.world.fell(self, error, expected=False)
        else:
            self.world.fell(self, RuntimeError("the desk ended by itself"), expected=False)

    async def _live(self) -> None:
        world = self.world
        outside = Outside(
            self._journal,  # type: ignore[arg-type]
            SimStore(self, world.disk),  # type: ignore[arg-type]
            SimFeed(self),
            SimClock(self),
            NoPredictor(),
            SimVenue(self),
        )
        # A live desk does not trade what it missed; the first one learns from a few bars first.
        first_bar = world.desk_moment() if self.number > 1 else world.market.origin - WARM_UP * MINUTE
        engine = await assemble(outside, world.settings, pace=_no_pace, after=_no_report, first_bar=first_bar)
        while True:
            try:
                await engine.reconciler.begin()
                break
            except VenueDown:
                await pause(2.0)
        self.engine, self.ready = engine, True
        world.note("ready", self.number)
        await supervise(engine.loop.run(), engine.keeper.tasks())


async def _no_pace(moment: datetime) -> None:
    """Bars of a market that is live have their own pace."""


async def _no_report(records: Sequence[CycleRecord]) -> None:
    """Nobody is told."""
