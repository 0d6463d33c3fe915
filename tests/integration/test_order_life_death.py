"""The process dies, at each step and at any, and the next one makes sense of it: from the journal and from the venue.

The names are rows of the failure catalogue; each ends with the judgement by the exchange's own truth.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.core.domain.commands import CommandKind, Outcome
from engine.core.domain.errors import HeldElsewhere, StoreFailed
from engine.core.domain.order import OrderRequest, OrderStatus, OrderType, Side
from engine.core.domain.records import CommandRecord, CycleRecord, IncidentRecord, OrderRecord, StartRecord
from engine.core.domain.risk import TradingState
from engine.store.lock import hold
from tests.life import BTC, ETH, Died, Dies, Life, life, soon, until


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Life]:
    async with life(tmp_path) as one:
        yield one


def once(when: str, fits: Callable[[Any], bool]) -> Dies:
    """Die the first time that this is done."""
    left = [1]

    def dies(moment: str, what: Any) -> bool:
        if moment == when and left and fits(what):
            return bool(left.pop())
        return False

    return dies


def decision(what: Any) -> bool:
    """The record of a wish with its orders."""
    return isinstance(what, list | tuple) and any(isinstance(r, CycleRecord) and r.wish for r in what)


def moved(leg: str, status: str) -> Callable[[Any], bool]:
    """The record that an order of the leg has moved there."""

    def fits(what: Any) -> bool:
        return isinstance(what, list | tuple) and any(
            isinstance(r, OrderRecord) and r.request.leg == leg and r.status == status for r in what
        )

    return fits


def order(leg: str) -> Callable[[Any], bool]:
    """The order itself, at the venue's door."""
    return lambda what: isinstance(what, OrderRequest) and what.leg == leg


async def dies_while_buying(desk: Life, where: Dies) -> None:
    """And is started again at once."""
    desk.mortal(where)
    with pytest.raises(Died):
        await desk.buy()
    await desk.restart()
    await desk.tend()


async def test_e1_death_before_the_intent_is_written_leaves_nothing_and_the_wish_may_be_told_again(
    desk: Life,
) -> None:
    await dies_while_buying(desk, once("before", decision))

    assert desk.portfolio.orders == ()
    assert desk.exchange.requests("POST order") == []
    assert (await desk.buy()).accepted
    assert len(desk.sent(Side.BUY)) == 1
    desk.judged()


async def test_e3_an_intent_that_was_never_sent_is_not_sent_late(desk: Life) -> None:
    """E2 is the same with a disk that lost the intent: then there is nothing to look up."""
    await dies_while_buying(desk, once("after", decision))
    unknown = desk.said_of("e")
    await desk.tend_for(20)

    assert unknown == ["unknown"]
    assert desk.said_of("e") == ["unknown", "expired"]
    assert desk.said_of("s") == ["cancelled"]
    assert desk.exchange.requests("POST order") == []
    desk.judged()


@pytest.mark.parametrize(
    "where",
    [once("after", order("e")), once("before", moved("e", "accepted"))],
    ids=["e4 while sending", "e5 before the answer is written"],
)
async def test_e4_e5_an_entry_that_left_is_found_and_protected_within_five_seconds_of_the_start(
    desk: Life, where: Dies
) -> None:
    desk.mortal(where)
    with pytest.raises(Died):
        await desk.buy()
    await desk.restart()
    began = desk.clock.monotonic()
    await desk.tend()

    assert desk.clock.monotonic() - began <= 5
    assert desk.held().quantity == Decimal("0.00999")
    assert desk.stop().status is OrderStatus.ACCEPTED
    assert len(desk.sent(Side.BUY)) == 1
    desk.judged()


async def test_e6_death_between_two_parts_of_a_fill_loses_and_doubles_none(desk: Life) -> None:
    desk.exchange.books.parts = 3
    desk.exchange.rewrites["myTrades"] = lambda payload, _: payload[:1]
    await desk.buy()
    part = desk.held().quantity
    covered = desk.stop().request.quantity
    await desk.die()
    desk.exchange.rewrites.clear()
    await desk.start()
    await desk.tend()

    assert (part, covered) == (Decimal("0.00332667"), Decimal("0.00332"))
    assert len(desk.fills()) == 3
    assert desk.held().quantity == Decimal("0.00999")
    assert sum(o.request.quantity for o in desk.orders("s")) == Decimal("0.00999")
    desk.judged()


@pytest.mark.parametrize(
    "where",
    [
        once("before", moved("s", "unknown")),
        once("after", moved("s", "unknown")),
        once("after", order("s")),
        once("before", moved("s", "accepted")),
    ],
    ids=["before its record", "before it leaves", "before its answer", "before the answer is written"],
)
async def test_e7_a_stop_that_was_under_way_is_there_within_five_seconds_and_is_the_only_one(
    desk: Life, where: Dies
) -> None:
    await dies_while_buying(desk, where)
    await desk.tend_for(4)

    assert sum(o.remaining for o in desk.orders("s") if o.status is OrderStatus.ACCEPTED) == Decimal(
        "0.00999"
    )
    assert [each["status"] for each in desk.sent(Side.SELL)] == ["NEW"]
    await desk.tend_for(30)
    assert len(desk.sent(Side.SELL)) == 1
    desk.judged()


async def test_e8_killed_in_the_middle_of_a_flatten_it_boots_halted_and_goes_on_alone(desk: Life) -> None:
    await desk.buy()
    await desk.buy("0.2", ETH)
    desk.mortal(once("before", moved("x", "unknown")))
    with pytest.raises(Died):
        await desk.say(CommandKind.FLATTEN)
    await desk.restart()
    await desk.tend_for(6)

    assert desk.engine.desk.status()["state"] == "halted"
    assert desk.portfolio.positions == ()
    assert sorted(each["status"] for each in desk.sent(Side.SELL)) == [
        "CANCELED",
        "CANCELED",
        "FILLED",
        "FILLED",
    ]
    desk.judged()


async def test_e8_its_own_exit_is_never_cancelled_while_it_is_on_its_way(desk: Life) -> None:
    await desk.buy()
    desk.exchange.fault("POST order", when="after", answer="reset", hide_s=3.0)
    await desk.say(CommandKind.FLATTEN)
    for _ in range(5):
        await desk.restart()
        await desk.tend_for(2, every=1)

    assert desk.portfolio.positions == ()
    stopped = [each["query"]["origClientOrderId"] for each in desk.exchange.requests("DELETE order")]
    assert len(stopped) == 1, "the stop, and nothing else"
    assert sum(Decimal(each["executedQty"]) for each in desk.sent(Side.SELL)) == Decimal("0.00999")
    desk.judged()


# --- everywhere ---


async def whole_life(desk: Life) -> None:
    """In, protected, out. Told again after a death the same words are the same wishes."""
    await desk.engine.desk.submit(desk.command(CommandKind.ENTER, BTC, "in", quantity=Decimal("0.01")))
    await desk.tend(2)
    await desk.engine.desk.submit(desk.command(CommandKind.FLATTEN, key="out"))
    await desk.tend(2)
    await desk.tend(2)


class Nth:
    """Die at the n-th step, counting records and requests, before or after."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, when: str, what: Any) -> bool:
        self.left -= 1
        return self.left == 0


async def test_e_a_death_at_any_step_of_a_whole_life_loses_doubles_and_uncovers_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Every record and every request, before and after it: exhaustively, until a life passes without a death."""
    died = 0
    while True:
        home = tmp_path / str(died)
        home.mkdir()
        async with life(home) as desk:
            counting = Nth(died + 1)
            desk.mortal(counting)
            try:
                await whole_life(desk)
            except Died:
                await desk.restart()
                await desk.tend()
                covered = not desk.portfolio.positions or desk.orders("s") or desk.orders("x")
                assert covered, f"naked after a death at step {died + 1}"
                await whole_life(desk)
                await desk.tend_for(24)
            assert desk.portfolio.positions == (), f"step {died + 1}"
            assert desk.portfolio.orders == (), f"step {died + 1}"
            assert len(desk.sent(Side.BUY)) <= 1
            desk.judged()
            if counting.left > 0:
                break
            died += 1

    assert died >= 40
    record_property("figure", f"deaths in this process: {died} of {died} steps of a whole life, each judged")


async def test_e9_ten_deaths_while_starting_leave_everything_as_it_was(desk: Life) -> None:
    """Each start that gets further writes only what is so; none sends anything."""
    desk.exchange.fault("POST order", when="after", answer="reset")
    desk.mortal(once("before", moved("e", "unknown")))
    with pytest.raises(Died):
        await desk.buy()
    for number in range(10):
        await desk.die()
        desk.dies = Nth(number % 4 + 1)
        with pytest.raises(Died):
            await desk.start()
        assert len(desk.exchange.requests("POST order")) == 1
    await desk.die()
    desk.dies = None
    await desk.start()
    await desk.tend()

    assert desk.stop().status is OrderStatus.ACCEPTED
    assert len(desk.sent(Side.BUY)) == 1
    assert len(desk.written(StartRecord)) >= 7
    desk.judged()


async def test_e11_a_second_copy_is_refused_and_a_frozen_first_one_sends_nothing_without_its_lease(
    desk: Life, tmp_path: Path
) -> None:
    class Lost:
        token = 0

        def certain(self, for_s: float = 0.0) -> bool:
            return False

    with hold(tmp_path, desk.clock.now()), pytest.raises(HeldElsewhere), hold(tmp_path, desk.clock.now()):
        pass
    await desk.die()
    desk.lease = Lost()
    await desk.start()
    await desk.buy()

    assert desk.exchange.requests("POST order") == []
    assert "another copy of the desk may have taken over" in [r.reason for r in desk.written(OrderRecord)]
    desk.judged()


# --- commands of other processes ---


async def test_g2_g3_a_command_that_was_done_and_not_answered_before_a_death_is_answered_and_not_done_again(
    desk: Life,
) -> None:
    wish = desk.command(CommandKind.ENTER, BTC, "from-elsewhere", quantity=Decimal("0.01"))
    desk.inbox.post(wish, desk.clock.now())
    desk.mortal(once("before", moved("s", "accepted")))
    with pytest.raises(Died):
        await desk.engine.keeper.read_inbox()
    waits = len(desk.inbox.waiting())
    await desk.restart()
    await desk.engine.keeper.read_inbox()
    await desk.tend()
    answer = desk.inbox.outcome(wish)

    assert waits == 1
    assert answer is not None
    assert answer.accepted
    assert desk.inbox.waiting() == ()
    assert len(desk.sent(Side.BUY)) == len(desk.sent(Side.SELL)) == 1
    desk.judged()


async def test_g4_a_wish_to_buy_that_waited_too_long_is_refused_and_one_to_close_is_not(desk: Life) -> None:
    await desk.buy()
    buy = desk.command(CommandKind.ENTER, ETH, "old", quantity=Decimal("0.1"))
    sell = desk.command(CommandKind.CLOSE, BTC, "old-too")
    for each in (buy, sell):
        desk.inbox.post(each, desk.clock.now())
    desk.clock.advance(61)
    await desk.engine.keeper.read_inbox()
    answers = [desk.inbox.outcome(each) for each in (buy, sell)]
    await desk.tend(2)

    assert answers[0] is not None
    assert answers[0].text == "nothing was bought: it was asked for 61 s ago, at most 60 s are allowed"
    assert answers[1] is not None
    assert answers[1].accepted
    assert desk.portfolio.positions == ()
    desk.judged()


async def test_f1_a_command_that_cannot_be_recorded_waits_in_the_inbox_and_holds_up_no_kill(
    desk: Life,
) -> None:
    await desk.buy()
    desk.inbox.post(desk.command(CommandKind.CLOSE, BTC, "close"), desk.clock.now())
    desk.journal.full = True
    with pytest.raises(StoreFailed):
        await desk.engine.keeper.read_inbox()
    desk.store.set_halt(TradingState.HALTED, "ops", "from elsewhere", desk.clock.now())
    desk.journal.full = False
    await desk.engine.keeper.read_inbox()
    await desk.tend(2)

    assert desk.engine.desk.status()["state"] == "halted"
    assert desk.portfolio.positions == ()
    assert desk.inbox.waiting() == ()
    desk.judged()


async def test_j3_a_resume_that_lost_to_a_kill_is_answered_with_the_reason(desk: Life) -> None:
    await desk.say(CommandKind.KILL)
    back = desk.command(CommandKind.RESUME, key="back")
    desk.inbox.post(back, desk.clock.now())
    async with desk.engine.desk.turn:
        reading = soon(desk.engine.keeper.read_inbox())
        await asyncio.sleep(0)
        kill = soon(desk.say(CommandKind.KILL))
        await until(lambda: desk.store.halt().version == 2, "the second kill is durable")
    await reading
    await kill
    answer = desk.inbox.outcome(back)

    assert answer is not None
    assert not answer.accepted
    assert "changed meanwhile" in answer.text
    assert desk.store.halt().state == "halted"
    desk.judged()


# --- the disk ---


async def test_f1_without_room_nothing_leaves_a_kill_holds_and_it_goes_on_when_there_is_room_again(
    desk: Life,
) -> None:
    await desk.buy()
    asked = len(desk.exchange.requests("POST order"))
    desk.journal.full = True
    with pytest.raises(StoreFailed):
        await desk.buy(name=ETH)
    with pytest.raises(StoreFailed):
        await desk.say(CommandKind.KILL)
    row = desk.store.halt().state
    await desk.engine.keeper._outlasting(desk.engine.keeper.tend)()
    desk.journal.full = False
    desk.clock.advance(30)
    await desk.engine.keeper._outlasting(desk.engine.keeper.tend)()

    assert len(desk.exchange.requests("POST order")) == asked
    assert row == desk.engine.desk.status()["state"] == "halted"
    assert desk.told("journal") == ["nothing could be written for 30 s: the disk is full"]
    assert desk.stop().status is OrderStatus.ACCEPTED
    desk.judged()


async def test_f1_an_answer_that_could_not_be_written_ends_the_desk_and_is_looked_up_by_the_next(
    desk: Life,
) -> None:
    def full_after(when: str, what: Any) -> bool:
        if when == "before" and moved("e", "accepted")(what):
            desk.journal.full = True
        return False

    desk.mortal(full_after)
    with pytest.raises(StoreFailed):
        await desk.buy()
    with pytest.raises(StoreFailed, match="could not be written down"):
        await desk.engine.keeper._outlasting(desk.engine.keeper.tend)()
    await desk.restart()
    await desk.tend()

    assert len(desk.sent(Side.BUY)) == 1
    assert desk.stop().status is OrderStatus.ACCEPTED
    desk.judged()


# --- kills that race ---


async def test_j3_a_kill_during_the_boot_is_there_before_anything_leaves(desk: Life) -> None:
    await desk.buy()
    await desk.die()

    def kill_at_start(when: str, what: Any) -> bool:
        if when == "before" and isinstance(what, list) and isinstance(what[0], StartRecord):
            desk.store.set_halt(TradingState.HALTED, "ops", "from elsewhere", desk.clock.now())
        return False

    desk.dies = kill_at_start
    await desk.start()
    refused = await desk.buy(name=ETH)
    await desk.tend()

    assert desk.engine.desk.status()["state"] == "halted"
    assert not refused.accepted or desk.sent(Side.BUY)[1:] == []
    assert [each["symbol"] for each in desk.sent(Side.BUY)] == ["BTCUSDT"]
    desk.judged()


async def test_j3_a_kill_during_a_kill_changes_nothing_and_both_are_answered(desk: Life) -> None:
    await desk.buy()
    first, second = soon(desk.say(CommandKind.FLATTEN)), soon(desk.say(CommandKind.KILL))
    answers = [await first, await second]
    await desk.tend(2)

    assert [answer.accepted for answer in answers] == [True, True]
    assert desk.engine.writer.state.risk.flatten, "the kill that came second does not end the flatten"
    assert desk.portfolio.positions == ()
    desk.judged()


async def test_j3_a_kill_during_a_resume_wins_whichever_comes_first(desk: Life) -> None:
    await desk.say(CommandKind.KILL)
    for first, second in ((CommandKind.RESUME, CommandKind.KILL), (CommandKind.KILL, CommandKind.RESUME)):
        answers = await asyncio.gather(desk.say(first), desk.say(second), return_exceptions=True)
        assert all(isinstance(a, Outcome) or "changed meanwhile" in str(a) for a in answers)
        assert desk.store.halt().state in ("halted", "reducing")
        assert not (await desk.buy()).accepted
    assert desk.sent() == []
    desk.judged()


async def test_j2_two_who_wish_the_opposite_at_once_get_the_safe_one_and_both_are_told(desk: Life) -> None:
    await desk.buy()
    buying, killing, selling = (
        soon(desk.buy(name=ETH)),
        soon(desk.say(CommandKind.KILL)),
        soon(desk.sell()),
    )
    await until(lambda: desk.store.halt().state == "halted", "the kill is durable")
    said = [await each for each in (buying, killing, selling)]
    await desk.tend_for(4)

    assert said[1].accepted
    assert said[2].accepted
    assert [each["symbol"] for each in desk.sent(Side.BUY)] == ["BTCUSDT"]
    assert desk.portfolio.positions == ()
    desk.judged()


async def test_j2_a_double_tap_buys_once(desk: Life) -> None:
    wish = desk.command(CommandKind.ENTER, BTC, "tap", quantity=Decimal("0.01"))
    answers = [
        await each for each in (soon(desk.engine.desk.submit(wish)), soon(desk.engine.desk.submit(wish)))
    ]

    assert answers[0] == answers[1] or answers[0].text == answers[1].text
    assert len(desk.sent(Side.BUY)) == 1
    desk.judged()


async def test_a_flatten_that_was_not_recorded_boots_halted_with_its_stops(desk: Life) -> None:
    """The row is all that was durable, and it says halted: nobody had been told more."""
    await desk.buy()
    desk.mortal(once("before", lambda what: isinstance(what, list) and isinstance(what[0], CommandRecord)))
    with pytest.raises(Died):
        await desk.say(CommandKind.FLATTEN)
    await desk.restart()
    await desk.tend_for(4)

    assert desk.engine.desk.status()["state"] == "halted"
    assert desk.stop().status is OrderStatus.ACCEPTED
    assert not any(isinstance(r, IncidentRecord) for r in desk.written(IncidentRecord))
    assert all(o.request.type is not OrderType.MARKET for o in desk.portfolio.orders)
    desk.judged()
