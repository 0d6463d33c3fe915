"""The desk seen through its store alone: for a console beside a running engine, or when none runs.

What it shows is what the journal says. It can halt and resume, for the halt row needs neither chat nor venue; a
running engine takes the row over before its next cycle and its next order. It cannot trade.
"""

from collections.abc import Callable
from typing import Any

from configs.schema.settings import Settings
from engine.core.domain.commands import Command, CommandKind, Outcome
from engine.core.domain.events import Recorded
from engine.core.risk.killswitch import next_state
from engine.live.recover import rebuild
from engine.live.status import positions, status_with_halt
from engine.ports import Clock, Journal, StateStore


class StoredDesk:
    """The Desk port without an engine."""

    def __init__(self, journal: Journal, store: StateStore, settings: Settings, clock: Clock) -> None:
        self._journal = journal
        self._store = store
        self._settings = settings
        self._clock = clock

    async def submit(self, command: Command) -> Outcome:
        """Kill and resume by the halt row; to close anything, the engine is needed. A flatten halts at least."""
        if command.kind in (CommandKind.CLOSE, CommandKind.ENTER):
            return Outcome(False, f"{command.kind} needs the running desk: type it in its own chat")
        seen = self._store.halt()
        state = next_state(seen.state, command.kind)
        after = seen.version if command.kind is CommandKind.RESUME else None
        row = self._store.set_halt(state, command.by, command.reason, self._clock.now(), after=after)
        said = f"the desk is {row.state}"
        if command.kind is CommandKind.FLATTEN:
            said += "; closing what it holds needs the running desk: type it in its own chat"
        return Outcome(True, said, f"halt-{row.version}")

    def status(self) -> dict[str, Any]:
        """The journal's state, with the halt row's word on whether it trades."""
        recovered = rebuild(self._journal, self._settings)
        return status_with_halt(recovered.state, recovered.sequence, self._store.halt())

    def positions(self) -> tuple[dict[str, Any], ...]:
        """Open positions as of the newest record."""
        return positions(rebuild(self._journal, self._settings).state.portfolio)

    def listen(self, listener: Callable[[Recorded], None]) -> None:
        """Nothing happens in a store by itself, so there is nothing to tell."""
