"""The one door for people, over the running engine."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec.structs import replace

from engine.core.domain.commands import Command, CommandKind, Outcome
from engine.core.domain.errors import StoreFailed, VenueDown
from engine.live.bus import Bus, Listener
from engine.live.control import KILLS, Control
from engine.live.reconcile import MOVING, Reconciler
from engine.live.status import positions, status
from engine.live.writer import Writer

ACCEPT_S = 10.0
"""So long a resume waits for the account before it is answered."""
TRIES = 3
"""So often the account is asked for where the books went on meanwhile."""
GONE = Outcome(False, "it was taken back before it was begun")


class LiveDesk:
    """Commands and cycles take turns: one lock, so that a command never sees half a cycle."""

    def __init__(
        self,
        writer: Writer,
        control: Control,
        bus: Bus,
        tend: Callable[[], Awaitable[None]] | None = None,
        reconciler: Reconciler | None = None,
    ) -> None:
        """`tend` takes the steps that follow from a command: the stop of what was bought, the exit that was wished."""
        self._writer = writer
        self._control = control
        self._bus = bus
        self._tend = tend
        self._reconciler = reconciler
        self.turn = asyncio.Lock()

    async def submit(self, command: Command, take: Callable[[], bool] | None = None) -> Outcome:
        """Carry out a command, once for each key. Once begun it is finished, also when nobody waits for the answer.

        A kill is durable before it waits for its turn: a cycle may be waiting for the venue. `take` claims a command
        that can be taken back until it is begun, and says whether it still stands.
        """
        if take is not None and command.kind in KILLS:
            if not take():
                return GONE
            take = None
        self._control.brake(command)
        return await asyncio.shield(self._handled(command, take))

    async def _handled(self, command: Command, take: Callable[[], bool] | None) -> Outcome:
        async with self.turn:
            if take is not None and not take():
                return GONE
            outcome = await self._control.handle(command)
            if self._tend is not None:
                # The next round meets the same, and knows what to do about it.
                with contextlib.suppress(StoreFailed):
                    await self._tend()
        said = await self.accept(ACCEPT_S) if command.kind is CommandKind.RESUME else ""
        return replace(outcome, text=f"{outcome.text}; {said}") if said else outcome

    async def accept(self, within_s: float | None = None) -> str:
        """See to what a resume says about the account; what came in the way of it, empty when nothing did.

        The account is asked for without a turn, so that a kill, an exit and a stop need not wait for it. What is not
        told `within_s` is seen to later.
        """
        wish = self._control.acceptance
        if wish is None or self._reconciler is None:
            return ""
        for _ in range(TRIES):
            try:
                async with asyncio.timeout(within_s):
                    look = await self._reconciler.look()
            except TimeoutError:
                return "the account is not told yet, and until it is its hold stands"
            except VenueDown as error:
                self._control.acceptance = None
                return f"the hold on the account stands, for it cannot be read: {error}"
            async with self.turn:
                if self._control.acceptance is not wish:
                    return ""  # seen to meanwhile
                said = await self._reconciler.accept(wish.by, look, wish.shown)
                if said != MOVING:
                    self._control.acceptance = None
                    return said
        self._control.acceptance = None
        return MOVING

    def listen(self, listener: Listener) -> None:
        """Be told of every record once it is durable."""
        self._bus.listen(listener)

    def status(self) -> dict[str, Any]:
        """The desk in plain values."""
        return status(self._writer.state, self._writer.sequence, self._control.currency)

    def risk(self) -> dict[str, Any]:
        """Every limit and what is used of it, in plain values."""
        return self._control.risk()

    def positions(self) -> tuple[dict[str, Any], ...]:
        """Open positions in plain values."""
        return positions(self._writer.state.portfolio)
