"""People: they halt, resume, flatten and close when they please, twice when unsure, and again after a crash."""

import asyncio
from collections.abc import Coroutine
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.core.domain.commands import Command, CommandKind, Outcome
from engine.core.domain.errors import Refused, StoreFailed
from engine.core.domain.risk import TradingState
from engine.core.risk.patterns import VENUE
from engine.ports import HaltRow, LockRow
from tests.simulation.disk import change_halt
from tests.simulation.loop import pause
from tests.simulation.market import BAR_S

if TYPE_CHECKING:
    from tests.simulation.life import Life
    from tests.simulation.world import World

KINDS = (
    CommandKind.CLOSE,
    CommandKind.CLOSE,
    CommandKind.ENTER,
    CommandKind.KILL,
    CommandKind.FLATTEN,
    CommandKind.FLATTEN,
    CommandKind.FLATTEN,
)


class Answered(NamedTuple):
    """A command that somebody was told is done, or refused."""

    at: float
    command: Command
    outcome: Outcome


class People:
    """Everybody who may ask for something. `answered` is what they were told."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._asked = 0
        self._resumes = -1.0
        self._asked_at: dict[str, float] = {}
        self.answered: list[Answered] = []
        self.halted = ""
        """The halt that somebody was told of, until somebody asks for it to end."""

    def begin(self, until: float) -> None:
        """Draw what will be asked for, and when."""
        chance = self._world.chance
        for _ in range(chance.choice((0, 1, 1, 2, 2, 3))):
            at = chance.uniform(5, until - 20)
            if chance.random() < 0.5:  # just when bars close and orders leave
                at = round(at / BAR_S) * BAR_S + chance.uniform(0, 3)
            kind = chance.choice(KINDS)
            if chance.random() < 0.2:
                self._at(at, self._other_process(until))
                continue
            ask = self._ask_twice if chance.random() < 0.4 else self._ask
            self._at(at, ask(self._command(kind)))
            if kind in (CommandKind.KILL, CommandKind.FLATTEN) and chance.random() < 0.5:
                self._at(at + chance.uniform(5, 50), self.resume())

        if chance.random() < 0.3:
            self._at(chance.uniform(5, until), self._accept())
        self._lock(Random(f"locks of {self._world.seed}"), until)

    def _lock(self, chance: Random, until: float) -> None:
        """Somebody at another console locks an instrument, or all, for a while. It has a chance of its own: what else
        happens in a world does not change with it."""
        if chance.random() < 0.7:
            return
        name = chance.choice((VENUE, *self._world.market.names))
        begins = chance.uniform(5, until - 30)
        self._at(begins, self._turn_lock(name, locked=True))
        self._at(begins + chance.uniform(1, 20), self._turn_lock(name, locked=False))

    async def _turn_lock(self, name: str, *, locked: bool) -> None:
        world = self._world
        version = world.disk.locks[name].version + 1 if name in world.disk.locks else 1
        world.disk.locks[name] = LockRow(name, locked, world.moment(), "cli", "elsewhere", version)
        world.note("lock", name, locked)

    def _at(self, second: float, work: Coroutine[Any, Any, object]) -> None:
        async def later() -> None:
            await pause(max(0.0, second - self._world.now))
            await work

        self._world.spawn(later())

    async def resume(self) -> None:
        """One step, then the other."""
        for _ in range(2):
            await self._ask(self._command(CommandKind.RESUME))
            await pause(self._world.chance.uniform(0.1, 3))

    async def _ask_twice(self, command: Command) -> None:
        self._world.spawn(self._ask(command))
        await pause(self._world.chance.choice((0.0, 0.002, 0.002, 0.01, 1.0)))
        await self._ask(command)

    def _command(self, kind: CommandKind) -> Command:
        self._asked += 1
        names = self._world.market.names
        chance = self._world.chance
        instrument = chance.choice(names) if kind in (CommandKind.CLOSE, CommandKind.ENTER) else ""
        amount = Decimal(chance.choice((0, 0, 3000))) if instrument else Decimal(0)
        key = f"{kind}-{self._asked}"
        return Command(kind, "me", "chat", key, instrument, "because", amount=amount)

    async def _ask(self, command: Command) -> None:
        """Until there is an answer; whoever sees the desk die asks again with the same key, or gives up."""
        world = self._world
        if command.kind is CommandKind.RESUME:
            self.halted = ""
            self._resumes = world.now
        self._asked_at[command.key] = world.now
        while True:
            life = world.life
            if not life.ready or not life.alive:
                await pause(0.5)
                continue
            outcome = await self._submitted(life, command)
            if outcome is not None:
                world.note("answered", command.key, outcome.accepted)
                if command.kind in (CommandKind.KILL, CommandKind.FLATTEN) and not self._resumed(command):
                    self.halted = "flatten" if "flatten" in (command.kind, self.halted) else "kill"
                if outcome.record:
                    self.answered.append(Answered(world.now, command, outcome))
                return
            if not world.faults.over and world.chance.random() < 0.3:
                return
            await pause(1.0)

    def _resumed(self, command: Command) -> bool:
        """Whether somebody asked to resume after this was asked for: then either may have come first."""
        return self._resumes >= self._asked_at[command.key]

    async def _submitted(self, life: "Life", command: Command) -> Outcome | None:
        world = self._world
        assert life.engine is not None, "a desk that is ready has an engine"
        world.note("command", command.key)
        task = asyncio.get_running_loop().create_task(
            life.engine.desk.submit(command), context=life.context.copy()
        )
        await either(task, life.gone)
        if not task.done() or task.cancelled() or not life.alive:
            return None
        error = task.exception()
        if error is None:
            return task.result()
        if isinstance(error, Refused) and not isinstance(error, StoreFailed):
            return Outcome(False, str(error))  # somebody else changed the halt meanwhile
        if not isinstance(error, StoreFailed):
            world.report("I5", f"{command.key} failed with {type(error).__name__}: {error}")
        return None

    async def _other_process(self, until: float) -> None:
        """The command line of another process writes the row alone."""
        world = self._world
        if world.chance.random() < 0.3:
            world.disk.row = HaltRow(TradingState.ACTIVE, world.moment(), "", "", 0)
            world.note("row", "lost")  # a database made anew: nobody has resumed
            return
        change_halt(world.disk, world.now, TradingState.HALTED, "cli", "elsewhere", world.moment())
        world.note("row", "halted")
        await pause(world.chance.uniform(5, 40))
        if world.chance.random() < 0.7:
            for state in (TradingState.REDUCING, TradingState.ACTIVE):
                if world.disk.row.state is TradingState.ACTIVE:
                    return
                self.halted, self._resumes = "", world.now
                change_halt(world.disk, world.now, state, "cli", "elsewhere", world.moment())
                world.note("row", state)
                await pause(world.chance.uniform(1, 10))

    async def _accept(self) -> bool:
        """Somebody says that what does not add up is theirs; at any moment, whether or not anything does not."""
        life = self._world.life
        if life.engine is None or not life.alive:
            return False
        engine = life.engine

        async def accept() -> bool:
            async with engine.desk.turn:
                return not await engine.reconciler.accept("me")

        task = asyncio.get_running_loop().create_task(accept(), context=life.context.copy())
        await either(task, life.gone)
        if not task.done() or task.cancelled() or task.exception() is not None:
            return False
        return task.result()

    @staticmethod
    def _trades(life: "Life") -> bool:
        return life.engine is not None and life.engine.writer.state.risk.trading is TradingState.ACTIVE

    async def make_up(self) -> None:
        """When the faults are over: say what is theirs, and mostly let the desk trade again."""
        world = self._world
        await pause(34)
        while world.life.engine is None or not world.life.ready:
            await pause(1)
        for _ in range(20):
            if await self._accept():
                break
            await pause(1)
        if world.wants_to_trade:
            for _ in range(8):
                if self._trades(world.life):  # another one than before, when that died over the last wish
                    return
                await self._ask(self._command(CommandKind.RESUME))
                await pause(0.5)
            world.report("I14", "asked eight times to resume, the desk does not trade")


async def either(one: asyncio.Future[Any], other: asyncio.Future[Any]) -> None:
    """Until the first of them is done."""
    await asyncio.wait([one, other], return_when=asyncio.FIRST_COMPLETED)
