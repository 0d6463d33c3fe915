"""The desk seen through its store alone: for a console beside a running engine, or when none runs.

What it shows is what the journal says. It can halt and resume, for the halt row needs neither chat nor venue; a
running engine takes the row over before its next cycle and its next order. What trades it puts before that engine.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from configs.schema.settings import Settings
from engine.core.domain.commands import Command, CommandKind, Outcome
from engine.core.domain.events import Recorded
from engine.core.risk.killswitch import lockable, next_state, overtaken
from engine.live.recover import rebuild
from engine.live.status import locks_now, positions, risk_panel, status_with_halt
from engine.ports import Clock, Journal, StateStore
from engine.store.inbox import SqlInbox

PATIENCE_S = 10.0
"""So long a command waits for the running engine to take it."""
BEGUN_S = 5.0
"""So much longer for what came of one that the engine has begun with."""
BEGUN = "it is being carried out and cannot be taken back; look at /status for what came of it"
LOOK_EVERY_S = 0.1
FOR_THE_ENGINE = (CommandKind.CLOSE, CommandKind.ENTER, CommandKind.FLATTEN, CommandKind.LIMIT)
BY_ROW = (CommandKind.KILL, CommandKind.FLATTEN, CommandKind.PAUSE, CommandKind.RESUME)


class StoredDesk:
    """The Desk port without an engine."""

    def __init__(
        self,
        journal: Journal,
        store: StateStore,
        inbox: SqlInbox,
        settings: Settings,
        clock: Clock,
        patience_s: float = PATIENCE_S,
        begun_s: float = BEGUN_S,
    ) -> None:
        self._journal = journal
        self._store = store
        self._inbox = inbox
        self._settings = settings
        self._clock = clock
        self._patience_s = patience_s
        self._begun_s = begun_s

    async def submit(self, command: Command) -> Outcome:
        """Kill and resume by the halt row; what trades is put before the running engine. A flatten halts at least."""
        if command.kind in (CommandKind.LOCK, CommandKind.UNLOCK):
            return self._lock(command)
        said = self._switch(command) if command.kind in BY_ROW else ""
        if command.kind not in FOR_THE_ENGINE:
            return Outcome(True, said, f"halt-{self._store.halt().version}")
        answered = await self._ask_engine(command)
        if answered is not None:
            return answered
        left = f"no engine took it within {self._patience_s:g} s, and it was taken back: `whydesk run` starts one"
        return Outcome(False, f"{said}; to close what it holds, {left}" if said else left)

    def _lock(self, command: Command) -> Outcome:
        names = lockable(self._settings)
        if command.name not in names:
            return Outcome(
                False, f"{command.name[:40]!r} cannot be locked: expected one of {', '.join(names)}"
            )
        locks = command.kind is CommandKind.LOCK
        after = None
        if not locks:
            rows = {row.name: row for row in self._store.locks()}
            after = rows[command.name].version if command.name in rows else 0
            risk = rebuild(self._journal, self._settings).state.risk
            lock = locks_now(risk, rows.values()).get(command.name)
            if why := overtaken(command.name, command.at, lock.since if lock else None):
                return Outcome(False, why)
        row = self._store.set_lock(command.name, locks, command.by, command.reason, self._clock.now(), after)
        return Outcome(True, f"{row.name} is {'locked' if locks else 'unlocked'}", f"lock-{row.version}")

    def _switch(self, command: Command) -> str:
        seen = self._store.halt()
        state = next_state(seen.state, command.kind)
        if command.kind is CommandKind.PAUSE and state is seen.state:
            return f"the desk is {state} already"
        after = None if command.kind in (CommandKind.KILL, CommandKind.FLATTEN) else seen.version
        row = self._store.set_halt(state, command.by, command.reason, self._clock.now(), after=after)
        return f"the desk is {row.state}"

    async def _ask_engine(self, command: Command) -> Outcome | None:
        """What the engine made of it; None when there is none that takes it, and then nothing is left behind."""
        self._inbox.post(command, self._clock.now())
        answered = await self._answered(command, self._patience_s)
        if answered is not None:
            return answered
        if self._inbox.withdraw(command):
            return None
        return (
            await self._answered(command, self._begun_s)
            or self._inbox.outcome(command)
            or Outcome(True, BEGUN)
        )

    async def _answered(self, command: Command, within_s: float) -> Outcome | None:
        until = self._clock.monotonic() + within_s
        while self._clock.monotonic() < until:
            outcome = self._inbox.outcome(command)
            if outcome is not None:
                return outcome
            await asyncio.sleep(LOOK_EVERY_S)
        return None

    def status(self) -> dict[str, Any]:
        """The journal's state, with the halt row's word on whether it trades."""
        recovered = rebuild(self._journal, self._settings)
        return status_with_halt(
            recovered.state,
            recovered.sequence,
            self._store.halt(),
            self._settings.desk.currency,
            self._store.locks(),
        )

    def positions(self) -> tuple[dict[str, Any], ...]:
        """Open positions as of the newest record."""
        return positions(rebuild(self._journal, self._settings).state.portfolio)

    def risk(self) -> dict[str, Any]:
        """Every limit as of the newest record, with the rows' word on what is locked."""
        state = rebuild(self._journal, self._settings).state
        return risk_panel(state, self._settings, self._clock.now(), self._store.halt(), self._store.locks())

    def listen(self, listener: Callable[[Recorded], None]) -> None:
        """Nothing happens in a store by itself, so there is nothing to tell."""
