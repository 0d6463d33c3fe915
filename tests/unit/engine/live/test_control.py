"""Commands carried out: once each, the halt row first, and never a way round a halt."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from configs.schema.risk import RiskSettings
from engine.core.accounting.fold import DeskState
from engine.core.domain.commands import Command, CommandKind
from engine.core.domain.errors import BadQuestion, Fenced, Refused, StoreFailed
from engine.core.domain.order import Order, OrderRequest, OrderStatus, OrderType, Side, Submission
from engine.core.domain.records import (
    CommandRecord,
    CycleRecord,
    Identity,
    IncidentRecord,
    OrderRecord,
    Record,
)
from engine.core.domain.risk import Lock, RiskState, TradingState
from engine.core.domain.venue import Traits
from engine.live.bus import Bus
from engine.live.control import Control
from engine.live.desk import LiveDesk
from engine.live.orders import OrderManager
from engine.live.writer import Writer
from engine.ports import HaltRow, LockRow, StoredRecord
from engine.store.state import SqlStateStore
from engine.venues.paper import PaperVenue
from tests import builders
from tests.builders import (
    CLOSE,
    DAY,
    INSTRUMENT,
    cycle_record,
    open_order,
    order_request,
    portfolio,
    position,
    settings,
)
from tests.core_builders import observation
from tests.fakes import FakeClock, ListJournal

IDENTITY = Identity(settings(), "0123456789abcdef", "test")
ENTRY = order_request(leg="e")
STOP = order_request(leg="s", side=Side.SELL, type_=OrderType.STOP, price="1200", reason="stop")
ACTIVE, REDUCING, HALTED = TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED


Kind = TypeVar("Kind")


class FullJournal(ListJournal):
    """Takes records until it is `full`."""

    full = unreadable = False

    def get(self, record_id: str) -> StoredRecord | None:
        if self.unreadable:
            raise StoreFailed("the disk is gone")
        return super().get(record_id)

    async def append(self, records: Sequence[Record]) -> tuple[StoredRecord, ...]:
        if self.full:
            raise StoreFailed("the disk is full")
        return await super().append(records)


class Room:
    """A desk's controls over a real halt row; a second store on it stands for another process."""

    def __init__(self, home: Path, state: DeskState) -> None:
        self.journal = FullJournal()
        self.clock = FakeClock()
        self.store = SqlStateStore(home / "desk.db")
        self.elsewhere = SqlStateStore(home / "desk.db")
        self.venue = PaperVenue(settings())
        self.venue.restore(state)
        self.start(state)

    def start(self, state: DeskState) -> None:
        bus = Bus()
        self.writer = Writer(self.journal, bus, state, self.journal.count())
        self.orders = OrderManager(self.writer, self.journal, self.venue, self.store, self.clock, settings())
        self.control = Control(self.writer, self.journal, self.store, self.orders, self.clock, IDENTITY)
        self.desk = LiveDesk(self.writer, self.control, bus)

    @property
    def state(self) -> TradingState:
        return self.writer.state.risk.trading

    def written(self, kind: type[Kind]) -> list[Kind]:
        return [stored.record for stored in self.journal.read() if isinstance(stored.record, kind)]

    def close(self) -> None:
        self.store.close()
        self.elsewhere.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path, DeskState(portfolio=portfolio(orders=(open_order(ENTRY), open_order(STOP)))))
    yield room
    room.close()


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path, DeskState(portfolio=portfolio(position(), orders=(open_order(STOP),))))
    yield room
    room.close()


def wish(kind: CommandKind, key: str = "1", source: str = "console", instrument: str = "") -> Command:
    return Command(kind, "me", source, key, instrument, "because")


async def test_a_kill_is_in_the_row_in_the_journal_and_at_the_venue(room: Room) -> None:
    outcome = await room.desk.submit(wish(CommandKind.KILL))

    assert outcome.accepted
    assert "1 open order(s) cancelled" in outcome.text
    assert (room.elsewhere.halt().state, room.elsewhere.halt().by) == (HALTED, "me")
    assert room.state is HALTED
    assert await room.venue.lookup(ENTRY) is None


async def test_a_kill_is_durable_while_a_cycle_waits_for_the_venue(room: Room) -> None:
    async with room.desk.turn:
        waiting = asyncio.create_task(room.desk.submit(wish(CommandKind.KILL)))
        await asyncio.sleep(0)

        assert room.elsewhere.halt().state is HALTED
        assert not await room.control.adopt_row(), (
            "it is recorded as the command that it is, not as one from elsewhere"
        )

    assert (await waiting).accepted
    assert [record.source for record in room.written(CommandRecord)] == ["console"]


async def test_a_resume_that_is_in_line_before_a_kill_does_not_undo_it(room: Room) -> None:
    await room.desk.submit(wish(CommandKind.KILL, "1"))
    async with room.desk.turn:
        back = asyncio.create_task(room.desk.submit(wish(CommandKind.RESUME, "2")))
        await asyncio.sleep(0)
        kill = asyncio.create_task(room.desk.submit(wish(CommandKind.KILL, "3")))
        await asyncio.sleep(0)

    with pytest.raises(Refused, match="changed meanwhile"):
        await back
    assert (await kill).accepted
    assert (room.state, room.elsewhere.halt().state) == (HALTED, HALTED)


async def test_a_kill_that_is_told_twice_does_not_halt_again_after_a_resume(room: Room) -> None:
    await room.desk.submit(wish(CommandKind.KILL, "1"))
    await room.desk.submit(wish(CommandKind.RESUME, "2"))

    await room.desk.submit(wish(CommandKind.KILL, "1"))

    assert room.elsewhere.halt().state is TradingState.REDUCING


async def test_the_way_back_has_two_steps(room: Room) -> None:
    await room.desk.submit(wish(CommandKind.KILL, "1"))
    states = []
    for key in ("2", "3", "4"):
        await room.desk.submit(wish(CommandKind.RESUME, key))
        states.append((room.state, room.store.halt().state))

    assert states == [(REDUCING, REDUCING), (ACTIVE, ACTIVE), (ACTIVE, ACTIVE)]


async def test_the_same_key_again_is_answered_and_not_carried_out(room: Room) -> None:
    first = await room.desk.submit(wish(CommandKind.KILL, "1"))
    await room.desk.submit(wish(CommandKind.RESUME, "2"))

    again = await room.desk.submit(wish(CommandKind.KILL, "1"))

    assert again.record == first.record
    assert room.state is REDUCING
    assert len(room.written(CommandRecord)) == 2


async def test_the_same_key_from_another_source_is_another_command(room: Room) -> None:
    await room.desk.submit(wish(CommandKind.KILL, "1"))
    await room.desk.submit(wish(CommandKind.RESUME, "1", source="telegram"))

    assert room.state is REDUCING


async def test_two_who_press_at_once_are_served_one_after_the_other(room: Room) -> None:
    await asyncio.gather(
        *(room.desk.submit(wish(CommandKind.KILL, key)) for key in ("1", "1", "2")),
        room.desk.submit(wish(CommandKind.RESUME, "3")),
    )

    assert len(room.written(CommandRecord)) == 3
    assert room.state is REDUCING


async def test_a_kill_holds_when_the_journal_is_full(room: Room) -> None:
    room.journal.full = True

    with pytest.raises(StoreFailed):
        await room.desk.submit(wish(CommandKind.KILL))

    assert room.elsewhere.halt().state is HALTED
    with pytest.raises(StoreFailed):
        await room.orders.submit([order_request(cause="d-other0000")])
    assert await room.venue.lookup(order_request(cause="d-other0000")) is None


async def test_a_kill_that_could_not_be_recorded_is_taken_over_when_there_is_room_again(room: Room) -> None:
    room.journal.full = True
    with pytest.raises(StoreFailed):
        await room.desk.submit(wish(CommandKind.KILL))
    room.journal.full = False

    assert await room.control.adopt_row()

    assert room.state is HALTED
    assert await room.venue.lookup(ENTRY) is None


async def test_a_kill_holds_when_the_journal_cannot_even_be_read(room: Room) -> None:
    room.journal.unreadable = True

    with pytest.raises(StoreFailed):
        await room.desk.submit(wish(CommandKind.KILL))

    assert room.elsewhere.halt().state is HALTED


async def test_a_resume_that_could_not_be_recorded_is_taken_over_when_there_is_room_again(room: Room) -> None:
    await room.desk.submit(wish(CommandKind.KILL, "1"))
    room.clock.move(builders.DAY)
    room.journal.full = True
    with pytest.raises(StoreFailed):
        await room.desk.submit(wish(CommandKind.RESUME, "2"))
    halted_here = room.state
    room.journal.full = False

    assert await room.control.adopt_row()

    assert halted_here is HALTED
    assert room.state is REDUCING


async def test_an_old_row_does_not_undo_what_the_desk_did_to_itself_since(tmp_path: Path) -> None:
    """After an overfill the desk reduces; that somebody resumed it yesterday is not about that."""
    home = SqlStateStore(tmp_path / "desk.db")
    home.set_halt(ACTIVE, "me", "yesterday", CLOSE - builders.DAY)
    home.close()
    risk = RiskState(trading=REDUCING, since=CLOSE, by="overfill", why="too much")
    room = Room(tmp_path, DeskState(portfolio=portfolio(), risk=risk))

    assert not await room.control.adopt_row()

    assert room.state is room.store.halt().state is REDUCING
    room.close()


async def test_a_resume_while_the_desk_was_down_is_taken_over_at_the_start(tmp_path: Path) -> None:
    home = SqlStateStore(tmp_path / "desk.db")
    home.set_halt(REDUCING, "ops", "looked at it", CLOSE)
    home.close()
    risk = RiskState(trading=HALTED, since=CLOSE - builders.DAY, by="me", why="yesterday")
    room = Room(tmp_path, DeskState(portfolio=portfolio(), risk=risk))

    assert await room.control.adopt_row()

    assert room.state is REDUCING
    room.close()


async def test_a_caller_who_goes_away_does_not_leave_a_command_half_done(room: Room) -> None:
    waiting = asyncio.create_task(room.desk.submit(wish(CommandKind.KILL)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with room.desk.turn:
        assert room.state is HALTED
        assert room.store.halt().state is HALTED
        assert await room.venue.lookup(ENTRY) is None


async def test_a_flatten_closes_what_is_held_and_halts(holding: Room) -> None:
    outcome = await holding.desk.submit(wish(CommandKind.FLATTEN))

    assert "1 position(s) closing" in outcome.text
    assert holding.state is HALTED
    assert holding.writer.state.risk.flatten
    (exit_order,) = [o for o in holding.writer.state.portfolio.orders if o.request.type is OrderType.MARKET]
    assert exit_order.request.reduce_only
    assert (await holding.venue.lookup(exit_order.request)) is not None


async def test_a_halt_does_not_keep_a_person_from_closing_but_only_once(holding: Room) -> None:
    await holding.desk.submit(wish(CommandKind.KILL, "1"))

    first = await holding.desk.submit(wish(CommandKind.CLOSE, "2", instrument=INSTRUMENT))
    second = await holding.desk.submit(wish(CommandKind.CLOSE, "3", instrument=INSTRUMENT))
    nothing = await holding.desk.submit(wish(CommandKind.CLOSE, "4", instrument="NONE"))

    assert [first.accepted, second.accepted, nothing.accepted] == [True, False, False]
    assert "exit pending" in second.text
    assert "nothing held" in nothing.text
    assert len(holding.written(CommandRecord)) == 4


# --- the row, from elsewhere ----------------------------------------------------------------------


async def test_a_halt_from_another_process_is_taken_over_once(room: Room) -> None:
    room.elsewhere.set_halt(HALTED, "ops", "from outside", CLOSE)

    changed = [await room.control.adopt_row() for _ in range(5)]

    assert changed == [True, False, False, False, False]
    (record,) = room.written(CommandRecord)
    assert (record.kind, record.by, record.source) == ("kill", "ops", "store")
    assert await room.venue.lookup(ENTRY) is None


async def test_a_desk_that_nobody_touched_writes_nothing_about_its_row(room: Room) -> None:
    for _ in range(5):
        assert not await room.control.adopt_row()

    assert room.journal.count() == 0


async def test_a_halt_that_came_and_went_between_two_bars_leaves_no_order_open(room: Room) -> None:
    room.elsewhere.set_halt(HALTED, "ops", "", CLOSE)
    room.elsewhere.set_halt(REDUCING, "ops", "", CLOSE)

    await room.control.adopt_row()

    assert room.state is REDUCING
    assert await room.venue.lookup(ENTRY) is None


async def test_a_resume_typed_here_takes_one_step_from_a_kill_that_came_from_elsewhere(room: Room) -> None:
    """Otherwise the desk, which has not seen the kill yet, would go from active to active and undo it."""
    room.elsewhere.set_halt(HALTED, "ops", "", CLOSE)

    await room.desk.submit(wish(CommandKind.RESUME))

    assert room.state is room.store.halt().state is REDUCING
    assert [record.kind for record in room.written(CommandRecord)] == ["kill", "resume"]


async def test_the_marker_can_be_made_by_hand_again_and_again(room: Room, tmp_path: Path) -> None:
    """Its version is the same each time, and yet each is a command of its own."""
    for key in ("1", "2"):
        (tmp_path / "KILLED").touch()
        assert await room.control.adopt_row()
        assert room.state is HALTED
        await room.desk.submit(wish(CommandKind.RESUME, f"a{key}"))
        await room.desk.submit(wish(CommandKind.RESUME, f"b{key}"))
        assert room.state is ACTIVE
        room.clock.move(builders.DAY)


async def test_to_remove_the_marker_by_hand_is_no_resume(room: Room, tmp_path: Path) -> None:
    (tmp_path / "KILLED").touch()
    await room.control.adopt_row()
    (tmp_path / "KILLED").unlink()

    assert not await room.control.adopt_row()

    assert room.state is room.store.halt().state is HALTED


async def test_a_row_that_was_never_written_does_not_resume_a_desk_that_the_journal_halted(
    tmp_path: Path,
) -> None:
    """The desk was given another name, or its rows were lost."""
    risk = RiskState(trading=HALTED, since=CLOSE, by="me", why="before")
    room = Room(tmp_path, DeskState(portfolio=portfolio(), risk=risk))

    assert not await room.control.adopt_row()

    assert room.state is room.store.halt().state is HALTED
    assert room.store.halt().reason == "before"
    room.close()


async def test_a_halt_without_a_crash_cancels_what_a_crash_left_open(room: Room) -> None:
    """The kill was recorded, and then the process died before it had cancelled anything."""
    room.store.set_halt(HALTED, "me", "", CLOSE)
    killed = replace(room.writer.state.risk, trading=HALTED, since=CLOSE, by="me")
    room.start(replace(room.writer.state, risk=killed))

    await room.control.adopt_row()

    assert await room.venue.lookup(ENTRY) is None
    assert [r.status for r in room.written(OrderRecord)] == [OrderStatus.CANCELLED]


async def test_a_breaker_whose_halt_row_was_never_written_halts_all_the_same(tmp_path: Path) -> None:
    """The process died between the decision that tripped it and the row: the old row must not resume the desk."""
    risk = RiskState(trading=HALTED, since=CLOSE, by="breaker", why="drawdown", flatten=True)
    room = Room(tmp_path, DeskState(portfolio=portfolio(orders=(open_order(ENTRY),)), risk=risk))
    room.elsewhere.set_halt(ACTIVE, "me", "yesterday", CLOSE)

    for _ in range(3):
        await room.control.adopt_row()

    assert room.state is HALTED
    assert (room.store.halt().state, room.store.halt().by) == (HALTED, "breaker")
    assert [record.name for record in room.written(IncidentRecord)] == ["breaker"]
    assert room.written(CommandRecord) == []
    assert await room.venue.lookup(ENTRY) is None
    room.close()


# --- orders ---------------------------------------------------------------------------------------


async def test_the_halt_row_is_read_before_every_order(tmp_path: Path) -> None:
    """A kill that falls between two orders of one decision stops the second."""
    first, second = order_request(cause="d-aaaaaaaaa-1"), order_request(cause="d-bbbbbbbbb-1")
    decided = (Order(first, OrderStatus.INTENT), Order(second, OrderStatus.INTENT))
    room = Room(tmp_path, DeskState(portfolio=portfolio(orders=decided)))

    class KilledBetween(PaperVenue):
        async def submit(self, order: OrderRequest) -> Submission:
            room.elsewhere.set_halt(HALTED, "ops", "now", CLOSE)
            return await super().submit(order)

    venue = KilledBetween(settings())
    orders = OrderManager(room.writer, room.journal, venue, room.store, room.clock, settings())

    await orders.submit([first])
    its_stop = replace(STOP, client_id="its-stop", decision=second.decision)
    await orders.submit([second, its_stop])

    assert await venue.lookup(first) is not None
    assert await venue.lookup(second) is None
    assert await venue.lookup(its_stop) is None, "the protection of an entry that stayed here stays here too"
    last = room.written(OrderRecord)[-2:]
    assert [(r.status, r.reason) for r in last] == [
        (OrderStatus.EXPIRED, "the desk is halted: now, by ops"),
        (OrderStatus.EXPIRED, "its entry was expired: the desk is halted: now, by ops"),
    ]
    room.close()


async def test_protection_passes_a_halt(holding: Room) -> None:
    holding.elsewhere.set_halt(HALTED, "ops", "", CLOSE)
    target = order_request(leg="t", side=Side.SELL, type_=OrderType.LIMIT, price="1400")

    await holding.orders.submit([target])

    assert await holding.venue.lookup(target) is not None


async def test_nothing_is_sent_when_the_halt_row_cannot_be_read(room: Room) -> None:
    class Unreadable(SqlStateStore):
        def halt(self) -> HaltRow:
            raise StoreFailed("cannot be read")

    store = Unreadable(Path(room.store._marker_path).parent / "desk.db")
    orders = OrderManager(room.writer, room.journal, room.venue, store, room.clock, settings())

    with pytest.raises(StoreFailed):
        await orders.submit([order_request(cause="d-other0000")])

    assert await room.venue.lookup(order_request(cause="d-other0000")) is None
    store.close()


async def test_protection_goes_with_an_entry_whose_answer_was_lost(room: Room) -> None:
    """Unknown is not refused: it may be in, and then it must not stand without its stop."""

    class Lost(PaperVenue):
        async def submit(self, order: OrderRequest) -> Submission:
            await super().submit(order)
            return Submission(OrderStatus.UNKNOWN if not order.reduce_only else OrderStatus.ACCEPTED)

    venue = Lost(settings())
    entry = order_request(cause="d-aaaaaaaaa-1")
    stop = order_request(cause="d-aaaaaaaaa-1", leg="s", side=Side.SELL, type_=OrderType.STOP, price="1200")

    intents = (open_order(entry, OrderStatus.INTENT), open_order(stop, OrderStatus.INTENT))
    room.start(DeskState(portfolio=portfolio(orders=intents)))

    await OrderManager(room.writer, room.journal, venue, room.store, room.clock, settings()).submit(
        [entry, stop]
    )

    assert await venue.lookup(stop) is not None
    statuses = {o.request.client_id: o.status for o in room.writer.state.portfolio.orders}
    assert statuses[entry.client_id] is OrderStatus.UNKNOWN


# --- a person's orders ---


def seen_room(room: Room) -> Room:
    """The desk has looked at the market a moment ago, and holds nothing."""
    room.start(DeskState(portfolio=portfolio()))
    seen = replace(cycle_record("no_signal", at=CLOSE), observation=observation())
    room.journal.add([seen])
    room.writer.sequence = room.journal.count()
    return room


async def test_a_wish_to_buy_is_written_down_reviewed_and_sent(room: Room) -> None:
    room = seen_room(room)
    buy = replace(wish(CommandKind.ENTER, instrument=INSTRUMENT), quantity=Decimal(5))

    outcome = await room.desk.submit(buy)
    again = await room.desk.submit(buy)

    assert outcome.accepted, outcome.text
    assert outcome.text.startswith("buying 5 SP500 at the next price, stop ")
    assert (again.accepted, again.text) == (True, outcome.text)
    (decided,) = [each for each in room.written(CycleRecord) if each.wish is not None]
    assert (decided.id, decided.wish and decided.wish.by) == (outcome.record, "me")
    assert [o.request.leg for o in room.writer.state.portfolio.orders] == ["e", "s", "t"]
    assert room.writer.state.portfolio.plans.keys() == {decided.id}


async def test_a_wish_that_is_too_big_is_refused_with_the_numbers(room: Room) -> None:
    room = seen_room(room)
    buy = replace(wish(CommandKind.ENTER, instrument=INSTRUMENT), quantity=Decimal(5000))

    outcome = await room.desk.submit(buy)

    assert not outcome.accepted
    assert re.match(
        r"nothing was bought: order value would be 6[.\d]+%, at most 25.00% is allowed \(risk.max_order_value\)",
        outcome.text,
    ), outcome.text
    assert room.writer.state.portfolio.orders == ()


async def test_what_was_never_looked_at_cannot_be_bought(room: Room) -> None:
    room.start(DeskState(portfolio=portfolio()))

    outcome = await room.desk.submit(wish(CommandKind.ENTER, instrument=INSTRUMENT))

    assert (outcome.accepted, outcome.text) == (
        False,
        f"nothing was bought: {INSTRUMENT} was never looked at",
    )


@pytest.mark.parametrize(
    ("much", "sold"),
    [
        ({}, "12.5"),
        ({"quantity": Decimal(2)}, "2"),
        ({"amount": Decimal(6000)}, "4.838"),
        ({"quantity": Decimal("0.0001")}, "0.001"),
    ],
)
async def test_all_or_a_part_of_a_position_may_be_closed(
    holding: Room, much: dict[str, Decimal], sold: str
) -> None:
    outcome = await holding.desk.submit(replace(wish(CommandKind.CLOSE, instrument=INSTRUMENT), **much))

    assert outcome.accepted, outcome.text
    (order,) = [o for o in holding.writer.state.portfolio.orders if o.request.leg == "x"]
    assert order.request.quantity == Decimal(sold)


@pytest.mark.parametrize("number", ["-1", "NaN", "Infinity", "1e16"])
def test_no_wish_carries_a_number_that_is_none(number: str) -> None:
    for name in ("quantity", "amount"):
        with pytest.raises(BadQuestion, match=f"{name} must be a number from 0"):
            Command(CommandKind.ENTER, "me", "console", "1", **{name: Decimal(number)})


# --- pauses, locks and limits ----------------------------------------------------------------------


async def test_a_pause_opens_nothing_new_and_one_resume_ends_it(room: Room) -> None:
    paused = await room.desk.submit(wish(CommandKind.PAUSE))

    assert paused.text.startswith("reducing: ")
    assert (room.state, room.elsewhere.halt().state) == (REDUCING, REDUCING)
    assert await room.venue.lookup(ENTRY) is None
    again = await room.desk.submit(wish(CommandKind.PAUSE, "2"))
    assert again.text == "the desk is reducing already: because, by me"
    await room.desk.submit(wish(CommandKind.RESUME, "3"))
    assert room.state is ACTIVE


async def test_a_pause_does_not_lift_a_halt(room: Room) -> None:
    """Also one that it learns of only now."""
    room.elsewhere.set_halt(HALTED, "ops", "news", CLOSE)

    outcome = await room.desk.submit(wish(CommandKind.PAUSE))

    assert outcome.text == "the desk is halted already: news, by ops"
    assert (room.state, room.elsewhere.halt().by) == (HALTED, "ops")


async def test_a_pause_from_another_process_is_taken_over_as_one(room: Room) -> None:
    room.elsewhere.set_halt(REDUCING, "ops", "lunch", CLOSE)

    assert await room.control.adopt_row()
    assert room.state is REDUCING
    assert [record.kind for record in room.written(CommandRecord)] == ["pause"]
    assert await room.venue.lookup(ENTRY) is None


def about(kind: CommandKind, name: str, key: str = "1", value: float = 0.0) -> Command:
    return Command(kind, "me", "console", key, reason="because", name=name, value=value)


@pytest.mark.parametrize(
    ("name", "stays"), [(INSTRUMENT, False), ("venue", False), ("manual", True), ("trend", True)]
)
async def test_a_lock_is_a_row_and_a_record_and_ends_what_could_still_enter_there(
    room: Room, name: str, stays: bool
) -> None:
    outcome = await room.desk.submit(about(CommandKind.LOCK, name))

    (row,) = room.elsewhere.locks()
    assert (row.name, row.locked, row.by, row.reason) == (name, True, "me", "because")
    assert room.writer.state.risk.locks == {name: Lock(CLOSE, "me", "because")}
    assert (await room.venue.lookup(ENTRY) is not None) is stays
    assert outcome.accepted and outcome.text.startswith(f"{name} is locked")
    assert room.state is ACTIVE


async def test_what_was_unlocked_may_enter_again(room: Room) -> None:
    await room.desk.submit(about(CommandKind.LOCK, INSTRUMENT))
    outcome = await room.desk.submit(about(CommandKind.UNLOCK, INSTRUMENT, "2"))

    assert outcome.text == f"{INSTRUMENT} is unlocked"
    assert not room.elsewhere.locks()[0].locked
    assert room.writer.state.risk.locks == {}


async def test_an_unlock_that_was_on_its_way_does_not_lift_a_newer_lock(room: Room) -> None:
    """Lock, unlock, lock: the unlock was for the first."""
    await room.desk.submit(about(CommandKind.LOCK, INSTRUMENT))
    late = replace(about(CommandKind.UNLOCK, INSTRUMENT, "2"), at=CLOSE + timedelta(seconds=1))
    room.clock.move(timedelta(seconds=5))
    await room.desk.submit(replace(about(CommandKind.LOCK, INSTRUMENT, "3"), at=room.clock.now()))

    outcome = await room.desk.submit(late)

    assert not outcome.accepted
    assert outcome.text == (
        f"{INSTRUMENT} stays locked: it was locked at 21:00:05, after that was said at 21:00:01;"
        " look at it and say it again"
    )
    assert room.elsewhere.locks()[0].locked
    assert list(room.writer.state.risk.locks) == [INSTRUMENT]
    again = replace(about(CommandKind.UNLOCK, INSTRUMENT, "4"), at=room.clock.now())
    assert (await room.desk.submit(again)).text == f"{INSTRUMENT} is unlocked"


async def test_an_unlock_does_not_lift_a_newer_lock_from_elsewhere_nor_one_of_a_decision(room: Room) -> None:
    """The first is not taken over yet, the second has no row yet."""
    room.elsewhere.set_lock("manual", True, "ops", "news", CLOSE + timedelta(seconds=9))
    decided = Lock(CLOSE + timedelta(seconds=9), "breaker", "too often")
    room.start(DeskState(portfolio=portfolio(), risk=RiskState(locks={INSTRUMENT: decided})))

    for name in ("manual", INSTRUMENT):
        said = replace(about(CommandKind.UNLOCK, name, name), at=CLOSE)
        assert (await room.desk.submit(said)).text.startswith(
            f"{name} stays locked: it was locked at 21:00:09"
        )
    await room.control.adopt_row()

    assert set(room.writer.state.risk.locks) == {"manual", INSTRUMENT}
    assert {row.name for row in room.elsewhere.locks() if row.locked} == {"manual", INSTRUMENT}


async def test_a_lock_that_comes_while_an_unlock_is_carried_out_wins(room: Room, tmp_path: Path) -> None:
    """From another process, between the look at the row and the write."""

    class Raced(SqlStateStore):
        def locks(self) -> tuple[LockRow, ...]:
            rows = super().locks()
            room.elsewhere.set_lock(INSTRUMENT, True, "ops", "worse news", CLOSE)
            return rows

    await room.desk.submit(about(CommandKind.LOCK, INSTRUMENT))
    room.store.close()
    room.store = Raced(tmp_path / "desk.db")
    room.start(room.writer.state)
    with pytest.raises(Refused, match=f"the lock on {INSTRUMENT} was changed meanwhile"):
        await room.desk.submit(about(CommandKind.UNLOCK, INSTRUMENT, "2"))

    assert room.elsewhere.locks()[0].locked
    assert list(room.writer.state.risk.locks) == [INSTRUMENT]


async def test_an_unlock_that_comes_again_after_a_restart_lifts_no_newer_lock(room: Room) -> None:
    await room.desk.submit(about(CommandKind.LOCK, INSTRUMENT))
    unlock = about(CommandKind.UNLOCK, INSTRUMENT, "2")
    first = await room.desk.submit(unlock)
    await room.desk.submit(about(CommandKind.LOCK, INSTRUMENT, "3"))
    room.start(room.writer.state)

    again = await room.desk.submit(unlock)

    assert again == first, "it was carried out once, and that is the answer"
    assert room.elsewhere.locks()[0].locked
    assert list(room.writer.state.risk.locks) == [INSTRUMENT]


@pytest.mark.parametrize("kind", [CommandKind.LOCK, CommandKind.UNLOCK])
async def test_what_the_desk_does_not_have_cannot_be_locked(room: Room, kind: CommandKind) -> None:
    outcome = await room.desk.submit(about(kind, "DOGE"))

    assert not outcome.accepted
    assert outcome.text.startswith("'DOGE' cannot be locked: expected one of venue, manual, SP500, momentum")
    assert room.elsewhere.locks() == ()


async def test_a_lock_from_another_process_stands_before_it_is_taken_over(room: Room) -> None:
    """The row is read before every order; the record follows."""
    order = order_request(cause="d-aaaaaaaaa-1")
    room.start(DeskState(portfolio=portfolio(orders=(Order(order, OrderStatus.INTENT),))))
    room.elsewhere.set_lock(INSTRUMENT, True, "ops", "news", CLOSE)

    assert await room.orders.submit([order]) == f"{INSTRUMENT} is locked: news"
    await room.control.adopt_row()
    assert room.writer.state.risk.locks == {INSTRUMENT: Lock(CLOSE, "ops", "news")}

    room.elsewhere.set_lock(INSTRUMENT, False, "ops", "over", CLOSE)
    await room.control.adopt_row()
    await room.control.adopt_row()
    assert room.writer.state.risk.locks == {}
    assert [(r.kind, r.reason) for r in room.written(CommandRecord)] == [("lock", "news"), ("unlock", "over")]


async def test_a_lock_on_persons_keeps_their_orders_back_and_nobody_elses(room: Room) -> None:
    theirs = order_request(cause="d-aaaaaaaaa-1", reason="command")
    own = order_request(cause="d-bbbbbbbbb-1")
    waiting = (Order(theirs, OrderStatus.INTENT), Order(own, OrderStatus.INTENT))
    room.start(DeskState(portfolio=portfolio(orders=waiting)))
    room.elsewhere.set_lock("manual", True, "ops", "enough", CLOSE)

    assert await room.orders.submit([theirs]) == "manual is locked: enough"
    assert await room.orders.submit([own]) == ""


async def test_what_a_decision_has_locked_gets_its_row_and_an_older_unlock_does_not_open_it(
    room: Room,
) -> None:
    room.elsewhere.set_lock(INSTRUMENT, False, "ops", "long ago", CLOSE - DAY)
    locked = RiskState(locks={INSTRUMENT: Lock(CLOSE, "breaker", "too often")})
    room.start(DeskState(portfolio=portfolio(), risk=locked))

    await room.control.adopt_row()

    (row,) = room.elsewhere.locks()
    assert (row.locked, row.by, row.reason, row.since) == (True, "breaker", "too often", CLOSE)
    await room.control.adopt_row()
    assert [record.text for record in room.written(IncidentRecord)] == [f"{INSTRUMENT} is locked: too often"]
    assert room.writer.state.risk.locks == locked.locks


async def test_what_was_unlocked_while_the_desk_was_down_is_open_at_the_start(room: Room) -> None:
    locked = RiskState(locks={INSTRUMENT: Lock(CLOSE, "breaker", "too often")})
    room.elsewhere.set_lock(INSTRUMENT, True, "breaker", "too often", CLOSE)
    room.elsewhere.set_lock(INSTRUMENT, False, "ops", "looked at", CLOSE + DAY)
    room.start(DeskState(portfolio=portfolio(), risk=locked))

    await room.control.adopt_row()

    assert room.writer.state.risk.locks == {}


async def test_a_wish_in_a_locked_place_is_refused_with_who_locked_it(room: Room) -> None:
    await room.journal.append([cycle_record(observation=observation())])
    await room.desk.submit(about(CommandKind.LOCK, INSTRUMENT))

    outcome = await room.desk.submit(
        replace(wish(CommandKind.ENTER, "2", instrument=INSTRUMENT), quantity=Decimal(1))
    )

    assert (outcome.accepted, outcome.text) == (False, f"nothing was bought: {INSTRUMENT} is locked: because")


async def test_a_limit_is_tightened_and_widened_again_within_the_profile(room: Room) -> None:
    tight = await room.desk.submit(about(CommandKind.LIMIT, "max_order_value", value=0.1))
    assert tight.text == "risk.max_order_value is 0.1 from now on; it was 0.25"
    assert room.writer.state.risk.limits == {"max_order_value": 0.1}
    assert room.desk.risk()["tightened"] == {"max_order_value": 0.1}

    await room.desk.submit(about(CommandKind.LIMIT, "max_order_value", "2", value=0.25))
    assert room.writer.state.risk.limits == {}


async def test_a_limit_beyond_the_profile_changes_nothing_and_is_written_down(room: Room) -> None:
    outcome = await room.desk.submit(about(CommandKind.LIMIT, "max_order_value", value=0.3))

    assert not outcome.accepted
    assert "cannot be 0.3, above the profile's 0.25" in outcome.text
    assert room.writer.state.risk.limits == {}
    assert [record.accepted for record in room.written(CommandRecord)] == [False]


# --- the last look before an order leaves ----------------------------------------------------------


@pytest.mark.parametrize("status", [None, OrderStatus.ACCEPTED, OrderStatus.UNKNOWN])
async def test_an_entry_that_is_no_open_intent_halts_the_desk(room: Room, status: OrderStatus | None) -> None:
    stray = order_request(cause="d-aaaaaaaaa-1")
    orders = (Order(stray, status),) if status else ()
    room.start(DeskState(portfolio=portfolio(orders=orders)))

    refused = await room.orders.submit([stray])

    assert refused == f"{stray.client_id} is no open intent of a decision"
    assert await room.venue.lookup(stray) is None
    assert (room.elsewhere.halt().state, room.elsewhere.halt().by) == (HALTED, "order check")


async def test_an_entry_that_differs_from_its_decision_halts_the_desk(room: Room) -> None:
    decided = order_request(cause="d-aaaaaaaaa-1")
    larger = replace(decided, quantity=decided.quantity * 10)
    room.start(DeskState(portfolio=portfolio(orders=(Order(decided, OrderStatus.INTENT),))))

    assert await room.orders.submit([larger]) == f"{decided.client_id} is not what {decided.decision} decided"
    assert room.elsewhere.halt().state is HALTED


async def test_an_entry_leaves_once(room: Room) -> None:
    entry = order_request(cause="d-aaaaaaaaa-1")
    before = DeskState(portfolio=portfolio(orders=(Order(entry, OrderStatus.INTENT),)))
    room.start(before)
    await room.orders.submit([entry])
    room.writer.state = before  # as if its answer had been forgotten

    assert await room.orders.submit([entry]) == f"{entry.client_id} has left already"
    assert room.elsewhere.halt().state is HALTED


class Elsewhere(PaperVenue):
    """A venue that is reached over a wire, and so can be flooded."""

    @property
    def traits(self) -> Traits:
        return super().traits._replace(absent_after_s=18.0)


def hurried(room: Room, *orders: OrderRequest, **limits: int) -> OrderManager:
    """Orders at such a venue, whose entries are decided already."""
    chosen = settings(risk=RiskSettings(**limits))
    room.start(DeskState(portfolio=portfolio(orders=[Order(each, OrderStatus.INTENT) for each in orders])))
    return OrderManager(room.writer, room.journal, Elsewhere(chosen), room.store, room.clock, chosen)


async def test_entries_leave_a_fifth_of_the_rate_to_exits_and_exits_are_always_let_go(room: Room) -> None:
    entries = [order_request(cause=f"d-aaaaaaaa{n}-1") for n in range(5)]
    orders = hurried(room, *entries, max_requests_per_second=100, max_requests_per_minute=5)

    said = [await orders.submit([entry]) for entry in entries]

    assert said == [
        "",
        "",
        "",
        "",
        "4 requests to the venue within a minute; 4 of 5 are for entries (risk.max_requests_per_minute)",
    ]
    exits = [order_request(cause=f"d-bbbbbbbb{n}-1", leg="x", side=Side.SELL) for n in range(9)]
    assert [await orders.submit([each]) for each in exits] == [""] * 9


async def test_a_pace_that_was_tightened_holds_at_once(room: Room) -> None:
    entry = order_request(cause="d-aaaaaaaaa-1")
    orders = hurried(room, entry)
    tight = replace(room.writer.state.risk, limits={"max_requests_per_day": 1.0})
    room.writer.state = replace(room.writer.state, risk=tight)
    await orders.end(ENTRY)

    assert (await orders.submit([entry])).endswith("(risk.max_requests_per_day)")


async def test_cancels_count_and_a_restart_does_not_forget_what_left(room: Room) -> None:
    first, second = order_request(cause="d-aaaaaaaaa-1"), order_request(cause="d-bbbbbbbbb-1")
    orders = hurried(room, first, second, max_requests_per_day=2)
    await orders.submit([first])
    again = OrderManager(
        room.writer,
        room.journal,
        Elsewhere(settings()),
        room.store,
        room.clock,
        settings(risk=RiskSettings(max_requests_per_day=1)),
    )
    assert (await again.submit([second])).endswith("(risk.max_requests_per_day)")

    room.clock.move(2 * DAY)
    late = settings(risk=RiskSettings(max_requests_per_day=2))
    third = order_request(cause="d-ccccccccc-1", at=room.clock.now())
    room.start(DeskState(portfolio=portfolio(orders=(Order(third, OrderStatus.INTENT),))))
    fresh = OrderManager(room.writer, room.journal, Elsewhere(late), room.store, room.clock, late)
    await fresh.end(first)
    await fresh.end(first)  # asked again at once: one that is stuck is one
    await fresh.end(second)
    assert (await fresh.submit([third])).startswith("2 requests to the venue within a")


# --- what an attacker tried ------------------------------------------------------------------------


async def test_a_lock_that_could_not_be_written_down_is_taken_over_later(room: Room) -> None:
    room.elsewhere.set_lock("trend", True, "ops", "news", CLOSE)
    room.journal.full = True
    await room.control.adopt_row()
    assert room.writer.state.risk.locks == {}

    room.journal.full = False
    await room.control.adopt_row()

    assert list(room.writer.state.risk.locks) == ["trend"]


async def test_an_entry_whose_cancel_had_no_answer_is_cancelled_in_the_next_round(room: Room) -> None:
    class Deaf(PaperVenue):
        deaf = True

        async def cancel(self, order: OrderRequest) -> Submission:
            return Submission(OrderStatus.UNKNOWN) if self.deaf else await super().cancel(order)

    venue = Deaf(settings())
    venue.restore(room.writer.state)
    room.venue = venue
    room.start(room.writer.state)
    await room.desk.submit(about(CommandKind.LOCK, "venue"))
    assert await venue.lookup(ENTRY) is not None

    venue.deaf = False
    await room.control.adopt_row()

    assert await venue.lookup(ENTRY) is None


async def test_locks_that_cannot_be_read_stand_in_no_halts_way(room: Room) -> None:
    def unreadable() -> tuple[LockRow, ...]:
        raise StoreFailed("the table is gone")

    room.store.locks = unreadable  # type: ignore[method-assign]
    room.elsewhere.set_halt(HALTED, "ops", "now", CLOSE)

    assert await room.control.adopt_row()
    assert room.state is HALTED


async def test_a_kill_that_comes_while_the_desk_writes_its_own_row_stands(room: Room) -> None:
    held_back = RiskState(trading=REDUCING, since=CLOSE, by="overfill", why="sold too much")
    room.start(DeskState(portfolio=portfolio(), risk=held_back))
    write = room.store.set_halt

    def late(*said: Any, **how: Any) -> HaltRow:
        room.elsewhere.set_halt(HALTED, "ops", "now", CLOSE)
        return write(*said, **how)

    room.store.set_halt = late  # type: ignore[method-assign]
    await room.control.adopt_row()
    room.store.set_halt = write  # type: ignore[method-assign]
    await room.control.adopt_row()

    assert (room.state, room.elsewhere.halt().by) == (HALTED, "ops")


async def test_a_resume_at_another_console_says_that_what_is_new_was_looked_at(room: Room) -> None:
    room.start(DeskState(portfolio=portfolio(), risk=RiskState(holds={"change": "wider", "venue": "silent"})))
    await room.control.adopt_row()
    room.elsewhere.set_halt(ACTIVE, "ops", "as meant", CLOSE)

    await room.control.adopt_row()

    assert list(room.writer.state.risk.holds) == ["venue"]


async def test_who_was_taken_over_looks_at_no_locks_any_more(room: Room) -> None:
    def taken_over() -> tuple[LockRow, ...]:
        raise Fenced("another copy of desk has taken over")

    room.store.locks = taken_over  # type: ignore[method-assign]

    with pytest.raises(Fenced):
        await room.control.adopt_row()


async def test_an_entry_waits_for_its_place_within_the_second_and_no_halted_one_waits(room: Room) -> None:
    entries = [order_request(cause=f"d-aaaaaaaa{n}-1") for n in range(6)]
    orders = hurried(room, *entries)
    for entry in entries[:4]:
        assert await orders.submit([entry]) == ""

    waiting = asyncio.create_task(orders.submit([entries[4]]))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    room.clock.move(DAY / 86_400)
    assert await waiting == ""

    for _ in range(4):
        await orders.submit([order_request(cause="d-bbbbbbbbb-1", leg="x", side=Side.SELL)])
    room.elsewhere.set_halt(HALTED, "ops", "now", CLOSE)
    async with asyncio.timeout(0.5):
        assert (await orders.submit([entries[5]])).startswith("the desk is halted")


async def test_an_entry_that_finds_no_place_for_a_second_is_refused_at_the_door(room: Room) -> None:
    entries = [order_request(cause=f"d-aaaaaaaa{n}-1") for n in range(5)]
    orders = hurried(room, *entries)

    said = [await orders.submit([entry]) for entry in entries]  # the desk's clock stands still meanwhile

    assert said[:4] == [""] * 4
    assert said[4].endswith("4 of 5 are for entries (risk.max_requests_per_second)")
