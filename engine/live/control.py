"""Commands carried out: the halt row first, then the record, then what the venue must hear of."""

import logging
from decimal import Decimal
from typing import Any, NamedTuple

from msgspec.structs import replace

from engine.core.domain.commands import Command, CommandKind, Outcome
from engine.core.domain.errors import BadQuestion, Fenced, Refused, StoreFailed
from engine.core.domain.ids import digest, record_id, time36
from engine.core.domain.instrument import whole_lots
from engine.core.domain.order import OrderRequest, Side
from engine.core.domain.records import CommandRecord, CycleRecord, Identity, IncidentRecord, Wish
from engine.core.domain.risk import Lock, RiskState, TradingState
from engine.core.pipeline import close_by_command, decide_wish
from engine.core.risk.breakers import incident_of
from engine.core.risk.killswitch import lockable, next_state, overtaken, switched, with_lock
from engine.core.risk.limits import tightened
from engine.core.risk.patterns import locks_against
from engine.core.risk.system import RANK
from engine.live.breaker import announce
from engine.live.holds import ACCOUNT, CHANGE, FOR_A_PERSON
from engine.live.orders import OrderManager
from engine.live.status import locks_now, risk_panel
from engine.live.writer import Writer
from engine.ports import Clock, HaltRow, Journal, LockRow, StateStore

log = logging.getLogger(__name__)
KILLS = (CommandKind.KILL, CommandKind.FLATTEN)
SWITCHES = (CommandKind.KILL, CommandKind.FLATTEN, CommandKind.PAUSE, CommandKind.RESUME)
LOCKS = (CommandKind.LOCK, CommandKind.UNLOCK)


class Acceptance(NamedTuple):
    """Somebody resumed while the account did not add up, and what it was shown to differ by.

    The account has to be asked for, which may take long: not in a turn.
    """

    by: str
    shown: str


class Control:
    """Carries out each command once: the same key again gets the same answer.

    A kill becomes durable in the halt row before anything else is tried, so that neither a full disk nor a
    crash in what follows can undo it.
    """

    def __init__(
        self,
        writer: Writer,
        journal: Journal,
        store: StateStore,
        orders: OrderManager,
        clock: Clock,
        identity: Identity,
    ) -> None:
        self._writer = writer
        self._journal = journal
        self._store = store
        self._orders = orders
        self._clock = clock
        self._identity = identity
        self.acceptance: Acceptance | None = None
        """What the newest resume says about the account, until it is seen to."""
        self._row = store.halt()
        # Until the row was compared once: from then on what changed it is known by its version.
        self._began = False
        self._locks: dict[str, int] = {}  # versions of the rows that were taken over
        self._braked: dict[str, HaltRow] = {}  # kills whose row is written and whose turn has not come yet

    @property
    def currency(self) -> str:
        """What the desk counts in."""
        return self._identity.settings.desk.currency

    def risk(self) -> dict[str, Any]:
        """Every limit and what is used of it, in plain values."""
        return risk_panel(self._writer.state, self._identity.settings, self._clock.now())

    def brake(self, command: Command) -> None:
        """The row of a kill, at once: it waits for no cycle and no venue. What follows from it comes with its turn."""
        key = _record_id(command)
        if command.kind in KILLS and key not in self._braked and not self._is_known(key):
            self._braked[key] = self._store.set_halt(
                TradingState.HALTED, command.by, command.reason, self._clock.now()
            )

    def _is_known(self, key: str) -> bool:
        try:
            return self._journal.get(key) is not None
        except StoreFailed:
            return False  # a journal that cannot be read must not stand in a kill's way

    async def handle(self, command: Command) -> Outcome:
        """Do it, or say why not."""
        braked = self._braked.pop(_record_id(command), None)  # its turn has come, whatever comes of it
        known = self._journal.get(_record_id(command))
        if known is not None and isinstance(known.record, CommandRecord):
            return Outcome(known.record.accepted, known.record.text, known.record.id)
        if command.kind in (CommandKind.RESUME, CommandKind.PAUSE):
            await self.adopt_row()  # a kill from elsewhere comes first: this goes one step back from it
        if command.kind in SWITCHES:
            return await self._switch(command, braked)
        if command.kind in LOCKS:
            return await self._lock(command)
        if command.kind is CommandKind.LIMIT:
            return await self._limit(command)
        if command.kind is CommandKind.ENTER:
            return await self._expired(command) or await self._enter(command)
        return await self._close(command)

    async def adopt_row(self) -> bool:
        """Take over a halt that another process wrote, and end what a crash or a full disk left half done.

        True when the state changed. Halted or reducing, no order that adds risk stays open.
        """
        await self._finish_breaker()
        before, risk = self._row, self._writer.state.risk
        row = self._store.halt()
        if row in self._braked.values():
            return False  # the command that wrote it is next in line, and nothing that adds risk leaves until then
        began, self._began = self._began, True
        if row.state is risk.trading:
            self._row = row
            if began and row.version > before.version and row.state is TradingState.ACTIVE:
                await self._take_over(
                    row, risk
                )  # somebody resumed a desk that trades: they looked at its holds
        elif RANK[row.state] > RANK[risk.trading] and not _resumed(row, before, risk, began=began):
            try:
                self._row = self._store.set_halt(
                    risk.trading, risk.by, risk.why, self._clock.now(), after=row.version
                )
            except Refused:
                return False  # somebody changed it meanwhile, and theirs is looked at in the next round
        else:
            self._row = row
            await self._take_over(row, risk)
        state = self._writer.state.risk
        await self._after_switch(state.trading, state.why)
        try:  # after the halt, and never in the way of stops and exits: the last look reads the rows itself
            await self._adopt_locks()
            await self._hold_locked()
        except Fenced:
            raise
        except StoreFailed as error:
            log.info("locks are looked at again in the next round: %s", error)  # the outage tells of itself
        return state.trading is not risk.trading

    async def _take_over(self, row: HaltRow, risk: RiskState) -> None:
        kind = CommandKind.RESUME
        if RANK[row.state] < RANK[risk.trading]:
            kind = CommandKind.KILL if row.state is TradingState.HALTED else CommandKind.PAUSE
        key = f"halt-{row.version}-{self._writer.sequence}"
        command = Command(kind, by=row.by, source="store", key=key, reason=row.reason)
        flatten = risk.flatten and kind is CommandKind.KILL
        changed = _looked_at(self._switched(risk, row.state, command, flatten=flatten), command)
        await self._record(command, True, f"the desk is {row.state}", changed)
        if kind is CommandKind.RESUME:
            self._accept_account(row.by)

    def _accept_account(self, by: str) -> None:
        """Whoever resumes a desk whose account does not add up has looked at it, and says that the rest is theirs."""
        if any(name in self._writer.state.risk.holds for name in FOR_A_PERSON):
            self.acceptance = Acceptance(by, self._writer.state.risk.holds.get(ACCOUNT, ""))

    async def _adopt_locks(self) -> None:
        """Take over what another process locked or unlocked, and give a row to what a decision has locked."""
        rows = {row.name: row for row in self._store.locks()}
        for row in rows.values():
            if row.version > self._locks.get(row.name, 0):
                await self._take_over_lock(row)
                self._locks[row.name] = row.version  # not before: one that was not taken over is still news
        for name, lock in self._writer.state.risk.locks.items():
            known = rows.get(name)
            if known is None or not known.locked:
                row = self._store.set_lock(name, True, lock.by, lock.why, lock.since)
                self._locks[name] = row.version
                text = f"{name} is locked: {lock.why}"
                key = record_id("i", lock.since, "lock", name)
                await self._writer.write([IncidentRecord(key, lock.since, "lock", text, {}, None)])

    async def _take_over_lock(self, row: LockRow) -> None:
        mine = self._writer.state.risk.locks.get(row.name)
        if row.locked is (mine is not None) or (mine is not None and row.since < mine.since):
            return  # nothing new, or opened before it was locked again by a decision
        kind = CommandKind.LOCK if row.locked else CommandKind.UNLOCK
        key = f"lock-{row.name}-{row.version}-{self._writer.sequence}"
        command = Command(kind, by=row.by, source="store", key=key, reason=row.reason, name=row.name)
        lock = Lock(row.since, row.by, row.reason) if row.locked else None
        changed = with_lock(self._writer.state.risk, row.name, lock)
        await self._record(command, True, _locked_text(command), changed)

    async def _hold_locked(self) -> None:
        """No entry stays open where something is locked: asked each round, for a cancel may have had no answer."""
        for name, lock in self._writer.state.risk.locks.items():
            await self._orders.cancel_risk(f"{name} is locked: {lock.why}", name)

    async def _finish_breaker(self) -> None:
        """After a crash between the decision that tripped it and the halt row."""
        incident = incident_of(self._writer.state.risk)
        if incident is not None and self._journal.get(incident.id) is None:
            await announce(incident, self._writer, self._store, self._orders)

    async def _switch(self, command: Command, braked: HaltRow | None) -> Outcome:
        risk = self._writer.state.risk
        state = next_state(risk.trading, command.kind)
        if command.kind is CommandKind.PAUSE and state is risk.trading:
            text = f"the desk is {state} already: {risk.why}, by {risk.by}"
            return Outcome(True, text, (await self._record(command, True, text, None)).id)
        row = braked or self._change_row(command, state)
        flatten = command.kind is CommandKind.FLATTEN or (
            risk.flatten and command.kind is not CommandKind.RESUME
        )
        changed = self._switched(risk, state, command, flatten=flatten)
        changed = _looked_at(changed, command)
        try:
            record = await self._record(command, True, SAID[command.kind, state], changed)
        except StoreFailed:
            if state is TradingState.HALTED:  # the halt stands in its row; what it is for needs no record
                await self._orders.cancel_unrecorded()
            raise
        self._row = row  # not before: a row that was not taken over is still news
        if command.kind is CommandKind.RESUME:
            self._accept_account(command.by)
        cancelled = await self._after_switch(state, command.reason)
        closing = await self._flatten(command) if command.kind is CommandKind.FLATTEN else 0
        return Outcome(True, _with_counts(record.text, cancelled, closing), record.id)

    async def _lock(self, command: Command) -> Outcome:
        """The row first, as with a halt; then the record, and the end of what could still enter there.

        An unlock is for the lock that whoever said it knew of: one that is newer stays.
        """
        locks, name = command.kind is CommandKind.LOCK, command.name
        names = lockable(self._identity.settings)
        if name not in names:
            text = f"{name[:40]!r} cannot be locked: expected one of {', '.join(names)}"
            record = await self._record(command, False, text, None)
            return Outcome(False, text, record.id)
        after = None
        if not locks:
            rows = {row.name: row for row in self._store.locks()}
            after = rows[name].version if name in rows else 0
            lock = locks_now(self._writer.state.risk, rows.values()).get(name)
            if why := overtaken(name, command.at, lock.since if lock else None):
                return Outcome(False, why, (await self._record(command, False, why, None)).id)
        row = self._store.set_lock(name, locks, command.by, command.reason, self._clock.now(), after)
        lock = Lock(row.since, row.by, row.reason) if locks else None
        changed = with_lock(self._writer.state.risk, name, lock)
        record = await self._record(command, True, _locked_text(command), changed)
        self._locks[name] = row.version
        cancelled = await self._orders.cancel_risk(record.text, name) if locks else 0
        return Outcome(True, _with_counts(record.text, cancelled, 0), record.id)

    async def _limit(self, command: Command) -> Outcome:
        risk, profile = self._writer.state.risk, self._identity.settings.risk
        try:
            limits = tightened(profile, risk.limits, command.name, command.value)
        except BadQuestion as error:
            record = await self._record(command, False, str(error), None)
            return Outcome(False, record.text, record.id)
        before = risk.limits.get(command.name, float(getattr(profile, command.name)))
        text = f"risk.{command.name} is {command.value:g} from now on; it was {before:g}"
        record = await self._record(command, True, text, replace(risk, limits=limits))
        return Outcome(True, text, record.id)

    def _change_row(self, command: Command, state: TradingState) -> HaltRow:
        after = self._row.version if command.kind in (CommandKind.RESUME, CommandKind.PAUSE) else None
        return self._store.set_halt(state, command.by, command.reason, self._clock.now(), after=after)

    async def _flatten(self, command: Command) -> int:
        held = [position.instrument for position in self._writer.state.portfolio.positions]
        for instrument in held:
            close = replace(
                command, kind=CommandKind.CLOSE, key=f"{command.key}-{instrument}", instrument=instrument
            )
            await self._close(close)
        return len(held)

    async def _close(self, command: Command) -> Outcome:
        state, at = self._writer.state, self._clock.now()
        cause = f"d-{_record_id(command)[4:]}"
        verdict, orders = close_by_command(
            state.portfolio,
            state.risk,
            command.instrument,
            cause,
            "command",
            at,
            self._part(command),
        )
        if verdict.approved is None:
            text = f"nothing was closed: {verdict.refused_by}"
            record = await self._record(command, False, text, None)
            return Outcome(False, text, record.id)
        quantity = verdict.approved.quantity
        text = f"closing {quantity} {command.instrument} at the next price"
        record = await self._record(command, True, text, None, orders)
        await self._orders.submit(orders)
        return Outcome(True, text, record.id)

    def _part(self, command: Command) -> Decimal:
        """How much of a position is to be closed, in whole lots; 0 for all of it."""
        mark = self._writer.state.portfolio.marks.get(command.instrument)
        wanted = command.quantity
        if command.amount and mark:
            wanted = command.amount / mark
        if not wanted:
            return wanted
        instrument = self._identity.settings.instrument(command.instrument)
        return whole_lots(instrument, wanted) or instrument.lot

    async def _expired(self, command: Command) -> Outcome | None:
        """A wish to enter is for the market as it was when it was said."""
        age = (self._clock.now() - command.at).total_seconds() if command.at is not None else 0.0
        allowed = self._identity.settings.execution.entry_expires_s
        if age <= allowed:
            return None
        text = f"nothing was bought: it was asked for {age:.0f} s ago, at most {allowed:g} s are allowed"
        record = await self._record(command, False, text, None)
        return Outcome(False, text, record.id)

    async def _enter(self, command: Command) -> Outcome:
        """A person's wish to enter: reviewed like any other entry, refused with the check that stood in the way."""
        seen = self._journal.find(kind="cycle", instrument=command.instrument, limit=1)
        if not seen or not isinstance(seen[0].record, CycleRecord):
            text = f"nothing was bought: {command.instrument} was never looked at"
            record = await self._record(command, False, text, None)
            return Outcome(False, text, record.id)
        at = self._clock.now()
        wish = Wish(
            command.side, command.quantity, command.amount, command.by, command.source, command.reason
        )
        decision = f"d-{time36(at)}-{digest(command.source, command.key)}"
        decided = decide_wish(seen[0].record, wish, decision, at, self._writer.state, self._identity)
        accepted = bool(decided.result.orders)
        text = _entered(decided)
        record = self._command_record(command, accepted, text, None)
        await self._writer.write([record, decided])
        lost = await self._orders.submit(decided.result.orders)
        if lost:
            return Outcome(False, f"nothing was bought: {lost}", decided.id)
        return Outcome(accepted, text, decided.id)

    async def _after_switch(self, state: TradingState, reason: str) -> int:
        if state is TradingState.ACTIVE:
            return 0
        return await self._orders.cancel_risk(f"the desk is {state}: {reason}")

    def _switched(
        self, risk: RiskState, state: TradingState, command: Command, *, flatten: bool
    ) -> RiskState:
        equity = self._writer.state.portfolio.equity
        return switched(risk, state, command.by, command.reason, self._clock.now(), equity, flatten)

    async def _record(
        self,
        command: Command,
        accepted: bool,
        text: str,
        risk: RiskState | None,
        orders: tuple[OrderRequest, ...] = (),
    ) -> CommandRecord:
        record = self._command_record(command, accepted, text, risk, orders)
        await self._writer.write([record])
        return record

    def _command_record(
        self,
        command: Command,
        accepted: bool,
        text: str,
        risk: RiskState | None,
        orders: tuple[OrderRequest, ...] = (),
    ) -> CommandRecord:
        return CommandRecord(
            id=_record_id(command),
            at=self._clock.now(),
            kind=command.kind,
            by=command.by,
            source=command.source,
            key=command.key,
            instrument=command.instrument,
            reason=command.reason,
            accepted=accepted,
            text=text,
            risk=risk,
            orders=orders,
        )


def _resumed(row: HaltRow, before: HaltRow, risk: RiskState, *, began: bool) -> bool:
    """Whether somebody let the desk go on, so that the row now stands above what the journal says.

    Nobody did where the row is no later one: a file was removed by hand, the row is another desk's, or it is as old as
    it was when the desk held itself back, as it does after an overfill. At the start nobody remembers what the row was
    before, and its time decides; once `began`, its version alone.
    """
    if not row.version or row.version < before.version:
        return False
    return row.version > before.version or (not began and (risk.since is None or row.since >= risk.since))


SAID = {
    (
        CommandKind.PAUSE,
        TradingState.REDUCING,
    ): "reducing: positions may be closed, none opened; /resume to trade again",
    (
        CommandKind.KILL,
        TradingState.HALTED,
    ): "halted: nothing that adds risk leaves the desk; stops stay in place",
    (CommandKind.FLATTEN, TradingState.HALTED): "halted, and closing everything",
    (
        CommandKind.RESUME,
        TradingState.REDUCING,
    ): "reducing: positions may be closed, none opened; /resume again to trade",
    (CommandKind.RESUME, TradingState.ACTIVE): "active: the desk trades again; losses count from here",
}


def _looked_at(risk: RiskState, command: Command) -> RiskState:
    """Whoever lets the desk trade again has looked at what is new since the last start."""
    if command.kind is not CommandKind.RESUME or risk.trading is not TradingState.ACTIVE:
        return risk
    if CHANGE not in risk.holds:
        return risk
    return replace(risk, holds={name: why for name, why in risk.holds.items() if name != CHANGE})


def _locked_text(command: Command) -> str:
    if command.kind is CommandKind.UNLOCK:
        return f"{command.name} is unlocked"
    return f"{command.name} is locked: nothing new is opened by it until somebody unlocks it"


def _entered(decided: CycleRecord) -> str:
    """What is done, or the check that stood in the way with its numbers."""
    result, wish = decided.result, decided.wish
    assert wish is not None, "it was asked for"
    verb = "buying" if wish.side is Side.BUY else "selling short"
    if result.orders:
        order = result.orders[0]
        much, stop = order.quantity.normalize(), result.proposal.stop
        return f"{verb} {much:f} {order.instrument} at the next price, stop {stop}"
    return "nothing was bought: " + _refusal(decided)


def _refusal(decided: CycleRecord) -> str:
    """What stood in the way, in words: the desk's own state first, for nothing else matters while that says no."""
    failed = {check.name: check for check in decided.result.review.checks if not check.passed}
    if "trading state" in failed:
        return f"the desk is {decided.risk.trading}"
    if "locks" in failed:
        names = locks_against(decided.risk.locks, decided.instrument, by_person=True)
        return "; ".join(f"{name} is locked: {decided.risk.locks[name].why}" for name in names)
    if "holds" in failed:
        return "; ".join(decided.risk.holds.values())
    check = next(iter(failed.values()))
    value, limit = (
        f"{number:.2%}" if check.unit == "share" else f"{number:g} {check.unit}"
        for number in (check.value, check.limit)
    )
    return f"{check.name} would be {value}, {LIMIT[check.operator]} {limit} is allowed ({check.key})"


LIMIT = {"<=": "at most", ">=": "at least"}


def _record_id(command: Command) -> str:
    return f"cmd-{digest(command.source, command.key, length=20)}"


def _with_counts(text: str, cancelled: int, closing: int) -> str:
    parts = [text]
    if cancelled:
        parts.append(f"{cancelled} open order(s) cancelled")
    if closing:
        parts.append(f"{closing} position(s) closing")
    return "; ".join(parts)
