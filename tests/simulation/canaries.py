"""Planted bugs. Each is a mistake that some desk has made; a simulation that does not find it proves nothing.

A canary replaces one piece of production code for as long as it sings. `caught by` names the invariants of which one
must be seen broken: to be found for another reason is not enough.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import count
from typing import Any, NamedTuple
from unittest.mock import patch

from msgspec.structs import replace

from engine.core.accounting import fold, settle
from engine.core.domain.ids import fill_id
from engine.core.domain.instrument import whole_lots
from engine.core.domain.order import OrderRequest, OrderStatus, OrderType, Submission
from engine.core.domain.records import CommandRecord, CycleRecord, Record
from engine.core.domain.risk import RiskState, TradingState
from engine.core.domain.venue import Sighting
from engine.core.execution import protect
from engine.core.execution.account import outside
from engine.core.execution.protect import Act, Scene, Step
from engine.core.execution.reconcile import Repair
from engine.core.risk import review
from engine.core.risk.system import system_checks
from engine.live import control, orders, reconcile, recover, tend
from engine.live.control import Control
from engine.live.orders import OrderManager
from engine.live.reconcile import Look, Reconciler
from engine.live.supervise import Keeper
from engine.live.tend import Tender
from engine.live.writer import Writer
from tests.simulation import life
from tests.simulation.disk import SimJournal
from tests.simulation.loop import pause
from tests.simulation.world import Found, World

WITHIN = 200
"""So many seeds may pass before each is found."""


class Canary(NamedTuple):
    """One planted bug."""

    name: str
    seen_at: str
    caught_by: tuple[str, ...]
    change: Callable[[ExitStack], object]


def find(canary: Canary, seeds: range = range(WITHIN)) -> Found | None:
    """The first world in which it is found; None if it is in none."""
    for seed in seeds:
        with ExitStack() as changed:
            canary.change(changed)
            found = World(seed).run()
        if any(violation.partition(" ")[0] in canary.caught_by for violation in found.violations):
            return found
    return None


def _instead(stack: ExitStack, owner: Any, name: str, other: Any) -> None:
    stack.enter_context(patch.object(owner, name, other))


# --- Sending --------------------------------------------------------------------------------------------


def _sent_before_it_is_written(stack: ExitStack) -> None:
    write, background = Writer.write, set[asyncio.Task[None]]()

    async def hasty(self: Writer, records: Sequence[Record]) -> None:
        if any(isinstance(record, CycleRecord) and record.result.orders for record in records):
            background.add(asyncio.create_task(write(self, records)))
        else:
            await write(self, records)

    async def blind(self: OrderManager, request: OrderRequest) -> str:
        return ""

    # The price check and the order check both miss what was not written, and would keep the order in.
    _instead(stack, Writer, "write", hasty)
    _instead(stack, OrderManager, "_off_the_mark", blind)
    _instead(stack, OrderManager, "_mismatch", lambda self, request: "")


def _again(change: Callable[[OrderRequest], OrderRequest]) -> Callable[[ExitStack], None]:
    def plant(stack: ExitStack) -> None:
        send = OrderManager._send

        async def twice(self: OrderManager, request: OrderRequest) -> Submission:
            answer = await send(self, request)
            return answer if answer.status is not OrderStatus.UNKNOWN else await send(self, change(request))

        _instead(stack, OrderManager, "_send", twice)

    return plant


def _unknown_is(status: OrderStatus) -> Callable[[ExitStack], None]:
    def plant(stack: ExitStack) -> None:
        asked = OrderManager._asked

        async def sure(self: OrderManager, answer: Any) -> Submission:
            told = await asked(self, answer)
            return told if told.status is not OrderStatus.UNKNOWN else Submission(status, told.reason)

        _instead(stack, OrderManager, "_asked", sure)

    return plant


def _at_the_door(*ignored: str) -> Callable[[ExitStack], None]:
    """The last look before an order leaves passes over some reasons."""

    def plant(stack: ExitStack) -> None:
        look = OrderManager._may_not_leave

        def lax(self: OrderManager, request: OrderRequest) -> str:
            refusal = look(self, request)
            return "" if any(word in refusal for word in ignored) else refusal

        _instead(stack, OrderManager, "_may_not_leave", lax)

    return plant


def _holds_are_not_asked(stack: ExitStack) -> None:
    def without_holds(self: OrderManager, request: OrderRequest) -> str:
        state = self._writer.state
        kept, self._writer.state = state, replace(state, risk=replace(state.risk, holds={}))
        try:
            return door(self, request)
        finally:
            self._writer.state = kept

    door, checks = OrderManager._may_not_leave, system_checks
    _instead(stack, OrderManager, "_may_not_leave", without_holds)
    _instead(
        stack,
        review,
        "system_checks",
        lambda case: tuple(check for check in checks(case) if check.name != "holds"),
    )


# --- Looking up -----------------------------------------------------------------------------------------


def _no_trace_is_absence(stack: ExitStack) -> None:
    _instead(stack, Tender, "_ask", _impatient)


async def _impatient(self: Tender, order: Any) -> None:
    seen = await self._orders.look(order.request)
    if seen is None:
        why = "not found"
        at = self._clock.now()
        await self._writer.write([settle.order_record(order.request, OrderStatus.EXPIRED, at, why)])


def _absent_at_the_restart(stack: ExitStack) -> None:
    def hasty(order: Any, seen: Sighting | None, *_: Any) -> Repair:
        return Repair.ADOPT if seen is not None else Repair.EXPIRE

    _instead(stack, recover, "repair", hasty)


def _fills_are_not_told_apart(stack: ExitStack) -> None:
    number = count()
    plain = fill_id
    _instead(stack, fold, "fill_id", lambda order, trade: f"{plain(order, trade)}-{next(number)}")


def _one_answer_tells_twice(stack: ExitStack) -> None:
    told = settle.sighted

    def naive(state: Any, request: Any, seen: Sighting, booked: frozenset[str], at: Any) -> Any:
        records: list[Record] = []
        for fill in [each for each in seen.fills if each.trade_id not in booked]:
            state, new = told(state, request, seen._replace(fills=(fill,)), frozenset(), at)
            records += new
        state, new = told(state, request, seen._replace(fills=()), booked, at)
        return state, records + new

    _instead(stack, orders, "sighted", naive)
    _instead(stack, reconcile, "sighted", naive)


def _a_cancel_forgets_what_filled(stack: ExitStack) -> None:
    async def sure(self: OrderManager, request: OrderRequest) -> bool:
        return True

    _instead(stack, OrderManager, "_over", sure)


def _nobody_reads_the_executions(stack: ExitStack) -> None:
    """Fills are polled for open orders only: what an order did just before it ended is never asked for."""
    _a_cancel_forgets_what_filled(stack)

    async def deaf(self: Reconciler, fill: Any) -> None:
        return None

    _instead(stack, Reconciler, "_settle", deaf)


def _accepts_what_is_moving(stack: ExitStack) -> None:
    async def blind(self: Reconciler, by: str, look: Look | None = None, shown: str | None = None) -> str:
        look = look or await self.look()
        rest = outside(self._writer.state.portfolio, look.account.balances, self._assets, self._currency)
        await self._adopt(look, rest, f"accepted by {by}")
        return ""

    _instead(stack, Reconciler, "accept", blind)


# --- Protection -----------------------------------------------------------------------------------------


def _a_lost_stop_stays_lost(stack: ExitStack) -> None:
    plan = tend.due

    def forgetful(*args: Any) -> list[Step]:
        return [
            step
            for step in plan(*args)
            if not (step.request.type is OrderType.STOP and step.request.leg != "s" and step.act is Act.SEND)
        ]

    _instead(stack, tend, "due", forgetful)


def _sells_what_its_stop_holds(stack: ExitStack) -> None:
    def careless(scene: Scene, mine: Any, exit_order: Any, sellable: Any) -> list[Step]:
        return [Step(Act.SEND, replace(exit_order.request, quantity=sellable), "")]

    _instead(stack, protect, "_close", careless)


def _sells_what_somebody_sold(stack: ExitStack) -> None:
    _instead(
        stack, protect, "_sellable", lambda scene, held: whole_lots(scene.instrument, abs(held.quantity))
    )


def _by_our_own_clock(stack: ExitStack) -> None:
    async def own(self: Reconciler) -> Any:
        return self._clock.now()

    _instead(stack, Reconciler, "_venue_now", own)


def _two_at_once(stack: ExitStack) -> None:
    async def without_its_turn(self: Keeper) -> None:
        await self._tender.tend()

    _instead(stack, Keeper, "tend", without_its_turn)


def _never_forgets(stack: ExitStack) -> None:
    _instead(stack, Tender, "_forget", lambda self, ids: None)


# --- Halts, commands and the disk -----------------------------------------------------------------------


def _a_restart_ends_the_halt(stack: ExitStack) -> None:
    begin = Control.__init__

    def fresh(
        self: Control, writer: Any, journal: Any, store: Any, orders: Any, clock: Any, who: Any
    ) -> None:
        if store.halt().state is not TradingState.ACTIVE:
            store.set_halt(TradingState.ACTIVE, "start", "initial_state", clock.now())
        writer.state = replace(writer.state, risk=replace(writer.state.risk, trading=TradingState.ACTIVE))
        begin(self, writer, journal, store, orders, clock, who)

    _instead(stack, Control, "__init__", fresh)


def _a_flatten_only_halts(stack: ExitStack) -> None:
    switch = control.switched

    def halfway(risk: RiskState, state: Any, by: str, why: str, at: Any, equity: Any, flatten: bool) -> Any:
        return switch(risk, state, by, why, at, equity, False)

    async def nothing(self: Control, command: Any) -> int:
        return 0

    _instead(stack, control, "switched", halfway)
    _instead(stack, Control, "_flatten", nothing)


def _a_kill_said_twice_stays_in_the_way(stack: ExitStack) -> None:
    handle = Control.handle

    async def forgetful(self: Control, command: Any) -> Any:
        key = control._record_id(command)
        braked = self._braked.get(key)
        again = self._journal.get(key) is not None
        outcome = await handle(self, command)
        if again and braked is not None:
            self._braked[key] = braked
        return outcome

    _instead(stack, Control, "handle", forgetful)


def _answered_before_it_is_durable(stack: ExitStack) -> None:
    write, background = Writer.write, set[asyncio.Task[None]]()

    async def hasty(self: Writer, records: Sequence[Record]) -> None:
        if any(isinstance(record, CommandRecord) for record in records):

            async def later() -> None:
                await pause(0.3)
                await write(self, records)

            background.add(asyncio.create_task(later()))
        else:
            await write(self, records)

    _instead(stack, Writer, "write", hasty)


def _the_disk_says_yes_too_early(stack: ExitStack) -> None:
    """Without a flush: what was written last is gone when the power is."""
    die = SimJournal.lost

    def forget(self: SimJournal) -> None:
        die(self)
        world = self._life.world
        self._disk.cut(world.chance.randint(0, 6))

    _instead(stack, SimJournal, "lost", forget)


def _tasks_die_unseen(stack: ExitStack) -> None:
    async def careless(main: Any, beside: dict[str, Any]) -> None:
        async def alone(name: str, work: Any) -> None:
            try:
                await work
            except Exception:  # noqa: BLE001 - this is the bug
                await asyncio.get_running_loop().create_future()

        work = [asyncio.create_task(alone("loop", main), name="loop")]
        work += [asyncio.create_task(alone(name, start()), name=name) for name, start in beside.items()]
        await asyncio.gather(*work)

    _instead(stack, life, "supervise", careless)


CANARIES = (
    Canary("sent before the intent is durable", "freqtrade 4653, 7184", ("I1",), _sent_before_it_is_written),
    Canary(
        "no answer: sent again under a new id",
        "catalyst 317",
        ("I1", "I7"),
        _again(lambda request: replace(request, client_id=request.client_id[:-1] + "r")),
    ),
    Canary(
        "no answer: sent again under the same id", "venues, all", ("I1",), _again(lambda request: request)
    ),
    Canary("no answer is a refusal", "hummingbot 493", ("I4",), _unknown_is(OrderStatus.REFUSED)),
    Canary("no trace is absence", "nautilus 4958", ("I4",), _no_trace_is_absence),
    Canary("no trace at the restart is absence", "freqtrade start-up", ("I4",), _absent_at_the_restart),
    Canary("fills are not told apart", "nautilus 3046", ("I3",), _fills_are_not_told_apart),
    Canary("one answer tells a trade twice", "this desk", ("I3",), _one_answer_tells_twice),
    Canary("fills of open orders only", "LEAN IB 249", ("I2", "I3"), _nobody_reads_the_executions),
    Canary("what is moving is accepted as theirs", "this desk", ("I2", "I14"), _accepts_what_is_moving),
    Canary("a lost stop stays lost", "", ("I14",), _a_lost_stop_stays_lost),
    Canary("it sells what its stop holds", "freqtrade 12343", ("I6", "I14"), _sells_what_its_stop_holds),
    Canary("it sells what somebody else has sold", "this desk", ("I6", "I14"), _sells_what_somebody_sold),
    Canary("two rounds at once", "", ("I1", "I14"), _two_at_once),
    Canary("nothing is forgotten", "", ("I13",), _never_forgets),
    Canary("holds are not asked", "", ("I8",), _holds_are_not_asked),
    Canary("late entries leave", "", ("I8",), _at_the_door("late")),
    Canary("the halt is not read at the door", "hummingbot 2534", ("I6",), _at_the_door("the desk is")),
    Canary("a restart ends the halt", "freqtrade stop-entry", ("I6",), _a_restart_ends_the_halt),
    Canary("a flatten only halts", "", ("I6",), _a_flatten_only_halts),
    Canary("a kill said twice stays in the way", "this desk", ("I14",), _a_kill_said_twice_stays_in_the_way),
    Canary("answered before it is durable", "chat libraries", ("I5",), _answered_before_it_is_durable),
    Canary("the disk says yes too early", "", ("I2", "I3", "I4"), _the_disk_says_yes_too_early),
    Canary("tasks die unseen", "asyncio", ("I14",), _tasks_die_unseen),
)
