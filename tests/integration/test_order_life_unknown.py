"""Orders of which the answer was lost: what is so is looked up, and until then nobody guesses.

The names are rows of the failure catalogue; each ends with the judgement by the exchange's own truth.
"""

import random
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.core.domain.commands import CommandKind
from engine.core.domain.order import OrderStatus, Side
from engine.core.domain.records import CycleRecord, OrderRecord
from tests.exchange.mutate import mutated
from tests.life import BTC, ETH, HASTY_S, Life, life, soon, until

ABSENT_S = 18.0
LOST = OrderStatus.UNKNOWN


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Life]:
    async with life(tmp_path) as one:
        yield one


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[Life]:
    """Waits tenths of a second only: for venues that hang."""
    async with life(tmp_path, request_timeout_s=HASTY_S) as one:
        yield one


# --- A1: it never arrived ---


async def test_a1_an_entry_that_was_lost_on_the_way_is_looked_up_and_then_closed_and_never_repeated(
    desk: Life,
) -> None:
    desk.exchange.fault("POST order", when="before", answer="reset")
    await desk.buy()
    unknown = desk.said_of("e")
    await desk.tend_for(ABSENT_S - 2)
    still = [order.status for order in desk.orders("e")]
    await desk.tend_for(4)

    assert unknown == ["unknown"]
    assert still == [LOST], "no trace proves nothing yet"
    assert desk.said_of("e") == ["unknown", "expired"]
    assert "the venue shows no trace of it 18 s after it was sent" in [
        r.reason for r in desk.written(OrderRecord)
    ]
    await desk.tend_for(30)
    assert desk.portfolio.orders == desk.portfolio.positions == ()
    assert desk.portfolio.plans == {}
    assert len(desk.exchange.requests("POST order")) == 1
    assert desk.sent() == []
    desk.judged()


async def test_a1_what_is_unknown_counts_as_filled_for_every_limit(desk: Life) -> None:
    desk.exchange.fault("POST order", when="before", answer="reset", count=2)
    await desk.buy("0.04")
    same = await desk.buy("0.001")
    await desk.buy("0.6", ETH)
    more = await desk.buy("0.31", ETH)

    assert same.text.startswith("nothing was bought: order pending")
    assert not more.accepted
    cycle = desk.written(CycleRecord)[-1]
    checks = {check.name: check for check in cycle.result.review.checks}
    assert checks["gross exposure"].value == pytest.approx((0.04 * 50000 + 0.6 * 3000 + 0.31 * 3000) / 10000)
    assert checks["unknown orders"].value == 2
    await desk.tend_for(ABSENT_S + 2)
    assert (await desk.buy("0.04")).accepted
    desk.judged()


# --- A2: it arrived, and nobody was told ---


@pytest.mark.parametrize("answer", ["reset", "truncated", "html", "empty", "other_order", "doubled"])
async def test_a2_an_entry_whose_answer_was_lost_is_found_adopted_and_protected_within_five_seconds(
    desk: Life, answer: str
) -> None:
    began = desk.clock.monotonic()
    desk.exchange.fault("POST order", when="after", answer=answer, status=502)
    await desk.buy()

    assert desk.said_of("e") == ["unknown", "accepted"]
    assert desk.stop().status is OrderStatus.ACCEPTED
    assert desk.clock.monotonic() - began <= 5
    assert len(desk.sent(Side.BUY)) == 1
    desk.judged()


async def test_a2_an_entry_whose_answer_hangs_is_looked_up_when_the_deadline_is_over(hasty: Life) -> None:
    """The deadline is a part of the five seconds: it is four of them unless somebody sets another."""
    hasty.exchange.fault("POST order", when="after", answer="hang")
    await hasty.buy()

    assert hasty.said_of("e") == ["unknown", "accepted"]
    assert hasty.stop().status is OrderStatus.ACCEPTED
    assert len(hasty.sent(Side.BUY)) == 1
    hasty.judged()


async def test_a2_a_stop_whose_answer_was_lost_is_found_and_is_the_only_one(desk: Life) -> None:
    desk.exchange.fault("POST order", skip=1, when="after", answer="reset")
    await desk.buy()
    await desk.tend_for(30)

    assert desk.said_of("s") == ["unknown", "accepted"]
    assert len(desk.sent(Side.SELL)) == 1
    desk.judged()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a2_an_exit_whose_answer_was_lost_sells_once(desk: Life, when: str) -> None:
    await desk.buy()
    desk.exchange.fault("POST order", when=when, answer="reset")
    await desk.say(CommandKind.FLATTEN)
    await desk.tend_for(8)

    assert desk.portfolio.positions == ()
    assert [order["status"] for order in desk.sent(Side.SELL)] == ["CANCELED", "FILLED"]
    await desk.tend_for(30)
    assert desk.portfolio.orders == ()
    desk.judged()


# --- A3: it arrives late ---


async def test_a3_an_entry_that_arrives_after_our_deadline_is_found_and_protected(hasty: Life) -> None:
    hasty.exchange.fault("POST order", when="later", answer="hang", seconds=2 * HASTY_S)
    await hasty.buy()
    assert hasty.said_of("e") == ["unknown"]
    hasty.clock.advance(4)  # within the window in which the venue takes what was signed before
    await hasty.exchange.quiet()
    await hasty.tend(2)

    assert hasty.said_of("e") == ["unknown", "accepted"]
    assert hasty.stop().status is OrderStatus.ACCEPTED
    assert len(hasty.sent(Side.BUY)) == 1
    hasty.judged()


async def test_a3_an_entry_that_arrives_after_the_window_is_refused_there_and_absent_here(
    hasty: Life,
) -> None:
    hasty.exchange.fault("POST order", when="later", answer="hang", seconds=2 * HASTY_S)
    await hasty.buy()
    hasty.clock.advance(12)
    await hasty.exchange.quiet()
    await hasty.tend_for(10)

    assert hasty.said_of("e") == ["unknown", "expired"]
    assert hasty.sent() == []
    hasty.judged()


async def test_a3_an_exit_that_arrives_late_and_the_one_in_its_place_sell_no_more_than_is_held(
    hasty: Life,
) -> None:
    await hasty.buy()
    hasty.exchange.fault("POST order", when="later", answer="hang", seconds=3 * HASTY_S)
    await hasty.say(CommandKind.FLATTEN)
    await hasty.tend_for(6)  # the first one shows no trace, so a second is made
    await hasty.exchange.quiet()
    await hasty.tend_for(30)

    assert hasty.portfolio.positions == hasty.portfolio.orders == ()
    sold = sum(Decimal(each["executedQty"]) for each in hasty.sent(Side.SELL))
    assert sold == Decimal("0.00999")
    assert sum(each["query"]["type"] == "MARKET" for each in hasty.exchange.requests("POST order")) == 3
    hasty.judged()


async def test_a3_with_a_strangers_coins_in_the_account_a_late_exit_is_waited_for(hasty: Life) -> None:
    """A second exit could sell what is not the desk's: there it waits until the first is certainly absent."""
    hasty.clock.advance(1)
    hasty.exchange.trade_outside("BTCUSDT", "BUY", "0.05", "a-stranger")
    await hasty.reconcile(60)
    await hasty.buy()
    hasty.exchange.fault("POST order", when="later", answer="hang", seconds=3 * HASTY_S)
    await hasty.say(CommandKind.FLATTEN)
    await hasty.tend_for(4)
    await hasty.exchange.quiet()
    await hasty.tend_for(30)

    assert hasty.portfolio.positions == hasty.portfolio.orders == ()
    assert sum(Decimal(each["executedQty"]) for each in hasty.sent(Side.SELL)) == Decimal("0.00999")
    hasty.judged()


# --- A4: errors that say nothing ---


@pytest.mark.parametrize(
    ("status", "code"), [(500, -1000), (502, -1001), (503, -1006), (504, -1007), (400, -1006), (400, -1007)]
)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a4_whatever_the_class_of_an_error_an_order_in_doubt_is_unknown(
    desk: Life, status: int, code: int, when: str
) -> None:
    desk.exchange.fault(
        "POST order", when=when, answer="error", status=status, code=code, msg="Internal error."
    )
    await desk.buy()
    first = desk.said_of("e")[0]
    await desk.tend_for(ABSENT_S + 2)

    assert first == "unknown"
    assert desk.said_of("e")[-1] == ("expired" if when == "before" else "accepted")
    assert len(desk.sent(Side.BUY)) == (when == "after")
    desk.judged()


# --- A8: it hides ---


@pytest.mark.parametrize("seconds", [1, 5, 11])
async def test_a8_an_order_that_the_venue_hides_is_neither_absent_nor_sent_again(
    desk: Life, seconds: int
) -> None:
    desk.exchange.fault("POST order", when="after", answer="reset", hide_s=float(seconds))
    await desk.buy()
    await desk.tend_for(seconds + 2, every=1)

    assert desk.said_of("e") == ["unknown", "accepted"]
    assert desk.stop().status is OrderStatus.ACCEPTED
    assert len(desk.sent(Side.BUY)) == 1
    desk.judged()


async def test_a8_an_accepted_order_that_hides_stays_accepted(desk: Life) -> None:
    desk.exchange.books.hide_s = 10.0
    await desk.buy()
    hidden = desk.said_of("e")
    desk.exchange.books.hide_s = 0.0
    await desk.tend_for(14)

    assert hidden == ["accepted"]
    assert desk.held().quantity == Decimal("0.00999")
    assert desk.stop().status is OrderStatus.ACCEPTED
    desk.judged()


async def test_a8_one_that_hides_for_longer_than_any_promise_is_booked_and_covered_when_it_shows(
    desk: Life,
) -> None:
    """The desk has given it up by then: what it filled is a fact all the same."""
    desk.exchange.fault("POST order", when="after", answer="reset", hide_s=40.0)
    await desk.buy()
    await desk.tend_for(30)
    gone = desk.said_of("e")
    await desk.reconcile(30)
    await desk.tend_for(6)

    assert gone == ["unknown", "expired"]
    assert desk.portfolio.positions == (), "without its plan it has no stop and no target: it is closed"
    assert len(desk.fills()) == 2
    desk.judged()


async def test_a8_a_stop_that_was_given_up_and_shows_up_again_is_cancelled(desk: Life) -> None:
    """Hidden, it holds the funds of every other stop and exit; until it shows, those are refused."""
    desk.exchange.fault("POST order", skip=1, when="after", answer="reset", hide_s=40.0)
    await desk.buy()
    await desk.tend_for(30)
    await desk.reconcile(30)
    await desk.tend_for(20)
    await desk.reconcile(60)

    assert desk.told("order found again")
    assert [order["status"] for order in desk.sent(Side.SELL)] == ["CANCELED", "NEW"], (
        "another takes its place"
    )
    assert desk.stop().status is OrderStatus.ACCEPTED
    desk.judged()


# --- A11: there is no cancel-replace ---


async def test_a11_no_order_is_ever_replaced_in_one_request(desk: Life) -> None:
    """Half of one can be done: a stop is ended and an exit sent, each of them looked up by itself."""
    await desk.buy()
    await desk.sell()
    await desk.tend_for(4)

    assert {f"{r['method']} {r['path']}" for r in desk.exchange.log if "order" in r["path"].lower()} <= {
        "POST order",
        "GET order",
        "DELETE order",
        "GET openOrders",
    }


# --- A15: nonsense ---


@pytest.mark.parametrize("answer", ["html", "truncated", "doubled", "huge", "nested", "empty"])
async def test_a15_nonsense_instead_of_an_answer_is_no_answer(desk: Life, answer: str) -> None:
    for path in (
        "POST order",
        "GET order",
        "GET myTrades",
        "GET ticker/bookTicker",
        "GET depth",
        "DELETE order",
    ):
        desk.exchange.fault(path, when="after", answer=answer, status=200)
    await desk.buy()
    await desk.tend_for(8)
    await desk.sell()
    await desk.tend_for(8)

    assert desk.portfolio.positions == ()
    assert len(desk.sent(Side.BUY)) == 1
    desk.judged()


async def test_a15_answers_with_anything_in_them_neither_end_the_desk_nor_make_it_believe_a_thing(
    tmp_path: Path,
) -> None:
    """A wrong answer that is well formed about the right order cannot be told from a right one: such are not made."""
    chance = random.Random(15)

    def spoil(payload: Any, _: dict[str, str]) -> Any:
        return mutated({"x": payload}, chance) if chance.random() < 0.5 else payload

    async with life(tmp_path) as desk:
        for number in range(30):
            for path in ("POST order", "GET order", "DELETE order"):
                desk.exchange.rewrites[path] = spoil
            await desk.buy()
            await desk.tend_for(4)
            await desk.sell()
            desk.exchange.rewrites.clear()
            await desk.tend_for(ABSENT_S + 2)
            await desk.sell()
            await desk.tend_for(6)
            assert desk.portfolio.positions == desk.portfolio.orders == (), number
        assert len(desk.sent(Side.BUY)) >= 20
        desk.judged()


# --- B8: it hangs ---


async def test_b8_a_venue_that_hangs_keeps_no_kill_waiting(hasty: Life) -> None:
    await hasty.buy()
    hasty.exchange.fault("*", answer="hang", count=100)
    waiting = soon(hasty.buy(name=ETH))
    await until(lambda: any(r["query"].get("symbol") == "ETHUSDT" for r in hasty.exchange.log), "it is asked")
    kill = soon(hasty.say(CommandKind.KILL))
    await until(lambda: hasty.store.halt().state == "halted", "the kill is durable")

    assert not waiting.done()
    assert not kill.done()
    hasty.exchange.faults.waiting.clear()
    await kill
    await waiting
    await hasty.tend_for(30)
    assert hasty.sent(Side.BUY) == [order for order in hasty.sent(Side.BUY) if order["symbol"] == "BTCUSDT"]
    assert BTC in [p.instrument for p in hasty.portfolio.positions]
    hasty.judged()


async def test_b8_every_question_has_its_deadline(hasty: Life) -> None:
    await hasty.buy()
    hasty.exchange.fault("*", answer="hang", count=1000)
    for _ in range(3):
        await hasty.tend(6)
    await hasty.reconcile()
    await hasty.engine.keeper.check_clock()

    assert "venue" in hasty.holds
    hasty.exchange.faults.waiting.clear()
    await hasty.tend_for(8)
    assert hasty.holds == {}
    hasty.judged()
