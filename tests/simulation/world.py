"""One seed is one world: what it is made of, how long it lasts, and what happened in it."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from random import Random
from typing import Any, NamedTuple

from msgspec.structs import replace

from configs.schema.desk import Instrument
from configs.schema.execution import ExecutionSettings
from configs.schema.settings import Settings
from configs.schema.venue import VenueSettings
from tests.desks import brisk
from tests.simulation.disk import Disk
from tests.simulation.exchange import MONEY, Exchange
from tests.simulation.faults import Faults
from tests.simulation.life import Life
from tests.simulation.loop import Deadlock, SimLoop, Tasks, pause
from tests.simulation.market import Market, shared
from tests.simulation.people import People
from tests.simulation.watch import Watch

CALM_S, QUIET_S = 80.0, 32.0
"""After the faults the desk has so long to come to itself while the market moves, and so long once it stands still."""
AGAIN_S = 32.0
"""So long after the last death nobody looks at what the desk has become."""
NAMES = ("AAA/USD", "BBB/USD", "CCC/USD")


class Found(NamedTuple):
    """What one world showed."""

    seed: int
    violations: tuple[str, ...]
    trace: str
    orders: int
    fills: int
    crashes: int
    falls: int
    passages: int
    seconds: float
    steps: int
    commands: int
    records: int
    spots: tuple[str, ...]
    lines: tuple[str, ...]


class World:
    """The desk's surroundings and its lives, one after another."""

    def __init__(
        self,
        seed: int,
        *,
        die_at: int | None = None,
        only: frozenset[str] | None = None,
        people: bool = True,
        told: bool = False,
    ) -> None:
        self.seed = seed
        self.chance = Random(seed)
        self.loop = SimLoop()
        self.safety_s = self.chance.uniform(240, 360) if only is None else 63.0
        self.frozen_from = self.safety_s + CALM_S
        self.faults = Faults(self.chance, self.safety_s, only)
        self.settings = settings_of(self.chance)
        names = tuple(each.name for each in self.settings.desk.instruments)
        self.market = Market(names, self.chance, lambda: self.frozen_from)
        self.watch = Watch(self)
        self.disk = Disk(self.watch.written)
        self.exchange = Exchange(self, self.settings.desk.cash)
        self.people = People(self)
        self.wants_to_trade = self.chance.random() < 0.7
        self.violations: list[str] = []
        self.lines: list[str] = []
        self.crashes = self.falls = 0
        self.spots: list[str] = []
        self.passages = 0
        self._died = -AGAIN_S
        self._die_at = die_at
        self.told = told
        self.with_people = people
        self._counts: Counter[str] = Counter()
        self._hash = blake2b(digest_size=16)
        self._own = Tasks()
        self.lives: list[Life] = []

    @property
    def life(self) -> Life:
        """The newest; those before are dead, and their tasks are kept so that they stay so."""
        return self.lives[-1]

    # --- Time and chance ------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self.loop.time()

    def moment(self) -> datetime:
        """The same as a date."""
        return self.market.origin + timedelta(seconds=self.now)

    def wrong_by(self) -> float:
        """Seconds that the desk's clock is ahead: it may be set, in either direction, and set right again."""
        since = self.faults.since("our clock wrong", self.now)
        return 0.0 if since is None else since * 7 % 80 - 40

    def desk_moment(self) -> datetime:
        """What the desk takes for the moment."""
        return self.moment() + timedelta(seconds=self.wrong_by())

    def origin_at(self, second: float) -> datetime:
        """A second of the world as the exchange writes it: to the millisecond."""
        return self.market.origin + timedelta(milliseconds=int(second * 1000))

    def seconds(self, moment: datetime) -> float:
        """And back."""
        return (moment - self.market.origin).total_seconds()

    def price(self, instrument: str) -> Decimal:
        """Where the market stands now."""
        return self.market.price(instrument, self.now)

    def count(self, what: str) -> int:
        """One more of it."""
        self._counts[what] += 1
        return self._counts[what]

    # --- What is noticed ------------------------------------------------------------------------------

    def note(self, *words: object) -> None:
        """One line of the trace."""
        line = f"{self.now:10.4f} " + " ".join(map(str, words))
        self._hash.update(line.encode())
        if self.told:
            self.lines.append(line)

    def report(self, invariant: str, text: str) -> None:
        """A promise that was broken."""
        self.violations.append(f"{invariant} at {self.now:.2f}: {text}")
        self.note("VIOLATION", invariant, text)

    # --- Life and death -------------------------------------------------------------------------------

    def passed(self, life: Life, name: str) -> None:
        """A seam. The process may die in it."""
        self.passages += 1
        if self._die_at is not None:
            dies = self.passages == self._die_at
        else:
            order = "submit" in name or "cancel" in name
            rate = "crash" if life.ready else "crash while starting"
            dies = self.faults.hit("crash at an order" if order else rate)
        if dies:
            self.spots.append(name)
            self.note("CRASH", name)
            self._kill(life, self.chance.uniform(0.2, 8))
            self.crashes += 1
            self._died = self.now

    def _kill(self, life: Life, back_after: float) -> None:
        life.die()
        self.loop.call_later(back_after, self._start)

    def _start(self) -> None:
        self.lives.append(Life(self, len(self.lives) + 1))
        self.note("start", self.life.number)
        self.life.start()

    def fell(self, life: Life, error: BaseException, *, expected: bool) -> None:
        """The process ended by itself: its supervisor starts another one."""
        if not life.alive:
            return
        self.falls += 1
        self.note("fell", type(error).__name__, error)
        if not expected or (self.faults.over and self.now > self.safety_s + 15):
            self.report("I14", f"the process ended with {type(error).__name__}: {error}")
        if self.falls > 40:
            self.report("I14", "the process ends again and again")
            return
        self._kill(life, self.chance.uniform(1, 5))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """A task of the world's own."""
        self._own.add(self.loop.create_task(work))

    # --- The whole ------------------------------------------------------------------------------------

    def run(self) -> Found:
        """From the beginning to the end, and what was found."""
        with shared():
            try:
                return self._run()
            finally:
                self._clear()

    def _run(self) -> Found:
        try:
            self.loop.run_until_complete(self._story())
        except Deadlock as error:
            self.report("deadlock", str(error))
        self.watch.end()
        self._hash.update(b"".join(self.watch.fingerprint()))
        return Found(
            self.seed,
            tuple(self.violations),
            self._hash.hexdigest(),
            sum(self.exchange.accepted.values()),
            len(self.exchange.trades),
            self.crashes,
            self.falls,
            self.passages,
            self.now,
            self.loop.steps,
            len(self.people.answered),
            len(self.disk.records),
            tuple(self.spots),
            tuple(self.lines),
        )

    async def _story(self) -> None:
        self._begin_account()
        self._start()
        self.spawn(self._seconds())
        if self.with_people:
            self.people.begin(self.safety_s)
        await pause(self.safety_s)
        self.faults.over = True
        self.note("the faults are over")
        if self.with_people:
            self.spawn(self.people.make_up())
        await pause(CALM_S + QUIET_S)
        while self.now < self._died + AGAIN_S:
            await pause(1)

    def _begin_account(self) -> None:
        """Some accounts hold more than the desk was given."""
        if self.chance.random() < 0.4:
            self.exchange.theirs[MONEY] = Decimal(5000)
            self.exchange.balances[MONEY] += 5000
        if self.chance.random() < 0.2:
            self.exchange.theirs["AAA"] = Decimal("3.5")
            self.exchange.balances["AAA"] += Decimal("3.5")

    async def _seconds(self) -> None:
        while True:
            await pause(1.0)
            self.exchange.tick()
            self.watch.second()
            if self.faults.hit("somebody else"):
                self.exchange.meddle()

    def _clear(self) -> None:
        """Let every task end, so that nothing is left for the next world."""
        self.life.alive = False
        for _ in range(200):
            left = asyncio.all_tasks(self.loop)
            if not left:
                break
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(left, timeout=0.001))
        self.loop.close()


def settings_of(chance: Random) -> Settings:
    """A brisk desk on a spot account, with limits that bind."""
    lot = chance.choice(("0.001", "0.01", "0.1"))
    names = NAMES[: chance.choice((2, 3, 3))]
    settings = brisk(*names, lot=lot, max_gross=chance.choice((0.3, 0.5, 1.0)))
    desk = replace(
        settings.desk,
        timeframe="1m",
        instruments=tuple(Instrument(name=name, lot=Decimal(lot)) for name in names),
    )
    execution = ExecutionSettings(fee_bps=10.0, entry_expires_s=chance.choice((20.0, 40.0)))
    venue = VenueSettings(
        kind="binance",
        request_timeout_s=chance.choice((1.0, 2.0, 3.5)),
        poll_s=1.0,
        reconcile_s=chance.choice((5.0, 10.0, 20.0)),
    )
    decision = replace(settings.decision, stop_atr=0.6, target_atr=0.5)
    return replace(settings, desk=desk, execution=execution, decision=decision, venue=venue)
