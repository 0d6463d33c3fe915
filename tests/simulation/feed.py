"""Bars as a feed brings them: mostly a moment after they close, some late, some twice, some never."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from engine.core.domain.market import Bar, BarArrays
from tests.simulation.loop import pause
from tests.simulation.market import BAR_S

if TYPE_CHECKING:
    from tests.simulation.life import Life


class SimFeed:
    """The Feed port over the prices of the world."""

    def __init__(self, life: "Life") -> None:
        self._life = life

    def history(self, instrument: str, before: datetime, bars: int) -> BarArrays:
        """What a data vendor has kept."""
        self._life.must_live()
        return self._life.world.market.history(instrument, before, bars)

    def stream(self, after: datetime | None) -> AsyncIterator[Sequence[Bar]]:
        """One moment after another, from the first that is newer."""
        assert after is not None, "a live desk says where it stands"
        return Moments(self._life, round(self._life.world.seconds(after) // BAR_S) + 1)


class Moments:
    """The bars of all instruments, moment by moment. A class and not a generator: nobody has to close it."""

    def __init__(self, life: "Life", first: int) -> None:
        self._life = life
        self._number = first
        self._again: Sequence[Bar] = ()

    def __aiter__(self) -> "Moments":
        return self

    async def __anext__(self) -> Sequence[Bar]:
        if self._again:
            bars, self._again = self._again, ()
            await self._life.passage("a bar again")
            return bars
        while not (bars := await self._next()):
            pass
        return bars

    async def _next(self) -> Sequence[Bar]:
        life, world = self._life, self._life.world
        known_at = self._number * BAR_S + world.chance.uniform(0.05, 0.8)
        if world.faults.hit("bar late"):
            known_at += world.chance.uniform(1, 40)
        await pause(max(0.0, known_at - world.now))
        while self._number * BAR_S > world.frozen_from:
            await pause(60)  # the world ends before the next bar
        bars = [
            world.market.bar(name, self._number)
            for name in world.market.names
            if not world.faults.hit("bar missed")
        ]
        self._number += 1
        if bars and world.faults.hit("bar twice"):
            self._again = bars
        await life.passage("before a bar")
        world.note("bar", self._number - 1, len(bars))
        return bars
