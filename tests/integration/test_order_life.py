"""The life of an order from the wish to the books: when all goes well, when the venue says no, and when little is left.

The names are rows of the failure catalogue; each ends with the judgement by the exchange's own truth.
"""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.core.domain.commands import CommandKind
from engine.core.domain.order import OrderStatus, Side
from engine.core.domain.records import OrderRecord, TradeRecord
from engine.core.domain.risk import TradingState
from engine.venues.ccxt.rules import FRESH_S
from tests.exchange.books import SymbolRules
from tests.exchange.prices import Prices
from tests.life import BTC, ETH, Life, life


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Life]:
    async with life(tmp_path) as one:
        yield one


async def test_an_entry_is_filled_protected_and_closed(desk: Life) -> None:
    outcome = await desk.buy()
    await desk.tend()
    stop = desk.stop()
    await desk.sell()
    await desk.tend_for(4)

    assert outcome.accepted, outcome.text
    assert (stop.status, stop.request.price) == (
        OrderStatus.ACCEPTED,
        desk.written(OrderRecord)[1].request.price,
    )
    assert desk.portfolio.positions == desk.portfolio.orders == ()
    (trade,) = desk.written(TradeRecord)
    assert trade.exit_reason == "command"
    assert [order["status"] for order in desk.sent()] == ["FILLED", "CANCELED", "FILLED"]
    desk.judged()


async def test_protection_and_exits_leave_with_the_command_and_do_not_wait_for_the_next_round(
    desk: Life,
) -> None:
    await desk.buy()
    covered = desk.stop().status
    await desk.say(CommandKind.FLATTEN)

    assert covered is OrderStatus.ACCEPTED
    assert [order["status"] for order in desk.sent()] == ["FILLED", "CANCELED", "FILLED"]
    await desk.tend(2)
    assert desk.portfolio.positions == ()
    desk.judged()


# --- A kill while something is fetched ---


async def test_a_kill_that_becomes_durable_while_the_venues_rules_are_read_stops_the_entry(
    desk: Life,
) -> None:
    def killed_meanwhile(info: Any, q: dict[str, str]) -> Any:
        desk.store.set_halt(TradingState.HALTED, "ops", "now", desk.clock.now())
        return info

    await desk.buy(name=ETH)
    desk.clock.advance(FRESH_S + 1)
    desk.exchange.rewrites["exchangeInfo"] = killed_meanwhile
    await desk.buy()

    assert desk.store.halt().state is TradingState.HALTED
    assert [order["symbol"] for order in desk.sent(Side.BUY)] == ["ETHUSDT"]
    entry = [r for r in desk.written(OrderRecord) if r.request.instrument == BTC and r.request.leg == "e"]
    assert [(r.status, r.reason) for r in entry] == [(OrderStatus.EXPIRED, "the desk is halted: now, by ops")]
    await desk.tend_for(4)
    desk.judged()


# --- A5: the venue demands silence ---


@pytest.mark.parametrize(("status", "seconds"), [(429, 1), (429, 5), (418, 30)])
async def test_a5_not_one_request_leaves_while_the_venue_demands_silence(
    desk: Life, status: int, seconds: int
) -> None:
    await desk.buy()
    desk.exchange.fault("GET order", answer="error", status=status, code=-1003, retry_after=str(seconds))
    await desk.tend(6)
    before = len(desk.exchange.log)
    await desk.tend()
    held = dict(desk.holds)
    refused = await desk.buy(name=ETH)
    await desk.say(CommandKind.CLOSE, BTC)
    for _ in range(seconds - 1):
        await desk.tend(1)
    await desk.reconcile()

    assert "silence" in held["venue"]
    assert not refused.accepted
    assert "demands silence" in refused.text
    assert len(desk.exchange.log) == before
    assert desk.exchange.violations == 0
    await desk.tend(2)
    await desk.tend_for(10)
    assert "venue" not in desk.holds
    assert desk.portfolio.positions == (), "what a person wished meanwhile is done afterwards"
    assert desk.exchange.violations == 0
    desk.judged()


async def test_a5_a_stop_that_could_not_leave_during_a_silence_leaves_within_five_seconds_after_it(
    desk: Life,
) -> None:
    desk.exchange.fault("POST order", skip=1, answer="error", status=429, code=-1003, retry_after="40")
    await desk.buy()
    await desk.tend_for(38)
    silent = not desk.sent(Side.SELL)
    await desk.tend_for(6)

    assert silent
    assert desk.stop().status is OrderStatus.ACCEPTED
    assert desk.exchange.violations == 0
    desk.judged()


# --- A6: the venue says no ---


async def test_a6_a_definite_refusal_is_recorded_with_its_reason_and_closes_the_decision(desk: Life) -> None:
    desk.exchange.books.free["USDT"] = Decimal(100)
    await desk.buy()

    (record,) = [r for r in desk.written(OrderRecord) if r.request.leg == "e"]
    assert (record.status, "-2010: Account has insufficient balance" in record.reason) == (
        OrderStatus.REFUSED,
        True,
    )
    assert desk.portfolio.orders == (), "its protection expired with it"
    assert desk.portfolio.plans == {}
    assert len(desk.exchange.requests("POST order")) == 1


async def test_a6_the_same_refusal_three_times_in_ten_minutes_holds_entries_in_that_instrument_alone(
    desk: Life,
) -> None:
    desk.exchange.fault(
        "POST order", answer="error", status=400, code=-2010, msg="Market orders are off.", count=3
    )
    for _ in range(2):
        await desk.buy()
        await desk.tend(60)
    free = dict(desk.holds)
    await desk.buy()
    await desk.tend(2)
    held = dict(desk.holds)
    refused = await desk.buy()
    other = await desk.buy("0.1", ETH)

    assert free == {}
    assert held == {
        "refused BTC/USDT": "BTC/USDT was refused 3 times within 10 minutes, the last time with:"
        " the venue said 400 -2010: Market orders are off."
    }
    assert "was refused 3 times within 10 minutes" in refused.text
    assert other.accepted
    assert len(desk.exchange.requests("POST order")) == 5, "three entries, and ETH with its stop"


async def test_a6_a_hold_after_refusals_survives_a_restart_and_ends_when_they_are_ten_minutes_old(
    desk: Life,
) -> None:
    desk.exchange.fault("POST order", answer="error", status=400, code=-2010, msg="No.", count=3)
    for _ in range(3):
        await desk.buy()
        await desk.tend(2)
    await desk.restart()
    await desk.tend(500)
    still = dict(desk.holds)
    await desk.tend(100)

    assert list(still) == ["refused BTC/USDT"]
    assert desk.holds == {}
    assert [text.partition(":")[0] for text in desk.told("hold refused BTC/USDT")][-1] == "over"
    assert (await desk.buy()).accepted


async def test_a6_three_refusals_for_three_reasons_hold_nothing(desk: Life) -> None:
    for code, words in (
        (-2010, "No funds."),
        (-1013, "Filter failure: NOTIONAL"),
        (-1013, "Filter failure: LOT_SIZE"),
    ):
        desk.exchange.fault("POST order", answer="error", status=400, code=code, msg=words)
        await desk.buy()
        await desk.tend(2)

    assert [r.status.value for r in desk.written(OrderRecord) if r.request.leg == "e"] == ["refused"] * 3
    assert desk.holds == {}


# --- A7 ---


async def test_a7_no_id_is_ever_used_for_a_second_order(desk: Life) -> None:
    """The exchange would take it: an id is unique among open orders only."""
    for _ in range(3):
        await desk.buy()
        await desk.tend()
        desk.exchange.books.vanish(desk.stop().request.client_id, desk.exchange.now_ms())
        await desk.tend_for(14)
        await desk.sell()
        await desk.tend_for(6)

    asked = [each["query"]["newClientOrderId"] for each in desk.exchange.requests("POST order")]
    assert len(asked) == len(set(asked)) == 12
    desk.judged()


# --- A9: parts and dust ---


async def test_a9_what_is_left_of_a_close_is_sold_too(desk: Life) -> None:
    await desk.buy("0.01")
    desk.exchange.books.share = Decimal("0.8")
    await desk.sell()
    await desk.tend_for(20)

    assert desk.portfolio.positions == ()
    assert desk.portfolio.dust[BTC] * 50000 < 5
    desk.judged()


async def test_a9_what_is_left_of_a_flatten_is_sold_too_and_what_is_too_little_becomes_dust(
    desk: Life,
) -> None:
    await desk.buy("0.002")
    desk.exchange.books.share = Decimal("0.8")
    await desk.say(CommandKind.FLATTEN)
    await desk.tend_for(20)

    sold = [Decimal(order["executedQty"]) for order in desk.sent(Side.SELL) if order["type"] == "MARKET"]
    left = Decimal("0.001998") - sum(sold)
    assert len(sold) == 2, "0.00159, then 0.0003; the rest is worth less than 5"
    assert left * 50000 < 5
    assert desk.portfolio.positions == ()
    assert desk.portfolio.dust == {BTC: left}
    assert desk.written(TradeRecord)[-1].dust == left
    desk.judged()


async def test_a9_an_entry_that_filled_in_parts_is_booked_exactly_and_covered_for_what_is_held(
    desk: Life,
) -> None:
    desk.exchange.books.share, desk.exchange.books.parts = Decimal("0.5"), 3
    await desk.buy("0.01")
    desk.exchange.books.share = Decimal(1)
    await desk.tend()

    assert [order["status"] for order in desk.sent(Side.BUY)] == ["EXPIRED"]
    assert len(desk.fills()) == 3
    assert desk.held().quantity == Decimal("0.004995"), "the fee stays out of it"
    assert desk.stop().request.quantity == Decimal("0.00499")
    desk.judged()


async def test_a9_dust_does_not_keep_a_flatten_from_being_flat(desk: Life) -> None:
    await desk.buy("0.0021")
    desk.exchange.books.share = Decimal("0.98")
    await desk.say(CommandKind.FLATTEN)
    await desk.tend_for(10)

    assert desk.portfolio.positions == desk.portfolio.orders == ()
    assert desk.portfolio.dust
    exits = len(desk.exchange.requests("POST order"))
    await desk.tend_for(20)
    assert len(desk.exchange.requests("POST order")) == exits
    desk.judged()


# --- A10: cancels that cross a fill, or whose answer is lost ---


async def test_a10_a_stop_that_fills_while_it_is_cancelled_wins_and_nothing_is_sold_twice(desk: Life) -> None:
    await desk.buy()
    desk.exchange.books.fill_before_cancel = True
    await desk.sell()
    await desk.tend_for(8)

    assert [order["status"] for order in desk.sent()] == ["FILLED", "FILLED"]
    assert desk.said_of("x") == ["cancelled"], "the exit never left"
    (trade,) = desk.written(TradeRecord)
    assert trade.exit_reason == "stop"
    desk.judged()


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a10_a_cancel_whose_answer_was_lost_is_looked_up_at_once_and_the_exit_follows(
    desk: Life, when: str
) -> None:
    await desk.buy()
    await desk.tend_for(20)
    desk.exchange.fault("DELETE order", when=when, answer="reset")
    await desk.sell()
    await desk.tend_for(4)

    assert desk.portfolio.positions == ()
    assert [order["status"] for order in desk.sent()] == ["FILLED", "CANCELED", "FILLED"]
    desk.judged()


# --- A12: more than was asked for, and what nobody asked for ---


def again(desk: Life, side: Side, quantity: str) -> None:
    """The exchange fills an order of ours once more, though it is over."""
    books, now = desk.exchange.books, desk.exchange.now_ms()
    order = [o for o in books.orders.values() if o.who == "desk" and o.side == side.name][-1]
    books._trade(order, Decimal(quantity), books.prices["BTCUSDT"].at(now), now)


async def test_a12_a_fill_after_an_order_was_done_is_booked_reduces_and_is_told(desk: Life) -> None:
    await desk.buy()
    await desk.tend()
    again(desk, Side.BUY, "0.002")
    await desk.reconcile(60)
    await desk.tend()

    assert desk.engine.writer.state.risk.trading == "reducing"
    assert desk.told("overfill") == ["BTC/USDT: the venue filled 0.012 of 0.01"]
    assert desk.held().quantity == Decimal("0.011988")
    assert sum(o.request.quantity for o in desk.orders("s")) == Decimal("0.01198"), (
        "the rest is covered as well"
    )
    assert not (await desk.buy(name=ETH)).accepted
    desk.judged()


async def test_a12_an_overfill_goes_on_reducing_though_somebody_resumed_the_desk_long_before(
    desk: Life,
) -> None:
    for kind in (CommandKind.KILL, CommandKind.RESUME, CommandKind.RESUME):
        await desk.say(kind)
    desk.clock.advance(60)
    await desk.look_at_market_again()
    await desk.buy()
    again(desk, Side.BUY, "0.002")
    await desk.reconcile(60)
    await desk.tend_for(10)
    here = desk.engine.writer.state.risk.trading
    await desk.restart()
    await desk.tend(2)

    assert here == desk.engine.writer.state.risk.trading == desk.store.halt().state == "reducing"
    desk.judged()


async def test_a12_an_overfill_from_before_the_newest_resume_goes_on_reducing_when_it_is_told_after_it(
    desk: Life,
) -> None:
    await desk.buy()
    again(desk, Side.BUY, "0.002")
    desk.clock.advance(60)
    for kind in (CommandKind.KILL, CommandKind.RESUME, CommandKind.RESUME):
        await desk.say(kind)
    desk.clock.advance(60)
    await desk.reconcile()
    await desk.tend_for(10)
    here = desk.engine.writer.state.risk.trading
    await desk.restart()
    await desk.tend(2)

    assert here == desk.engine.writer.state.risk.trading == desk.store.halt().state == "reducing"
    desk.judged()


async def test_a12_a_fill_after_a_cancel_is_booked(desk: Life) -> None:
    await desk.buy("0.02")
    await desk.sell(quantity="0.01")
    await desk.tend_for(4)
    stops = [o for o in desk.exchange.books.orders.values() if o.type == "STOP_LOSS"]
    books, now = desk.exchange.books, desk.exchange.now_ms()
    books.vanish(stops[-1].client_id, now)
    books._trade(stops[0], Decimal("0.005"), books.prices["BTCUSDT"].at(now), now)
    books.locked["BTC"], books.free["BTC"] = Decimal(0), books.free["BTC"] + books.locked["BTC"]
    await desk.reconcile(60)
    await desk.tend_for(12)

    assert desk.held().quantity == Decimal("0.02") * Decimal("0.999") - Decimal("0.015")
    assert sum(o.remaining for o in desk.orders("s")) == Decimal("0.00498")
    desk.judged()


async def test_a12_a_fill_that_nobody_here_ordered_is_external_and_never_managed(desk: Life) -> None:
    desk.clock.advance(1)
    desk.exchange.trade_outside("BTCUSDT", "BUY", "0.004", "a-stranger")
    await desk.reconcile(60)
    await desk.tend(2)

    assert desk.portfolio.positions == ()
    assert desk.portfolio.external["BTC"] == Decimal("0.003996")
    (text,) = desk.told("external trade")
    assert text.startswith("buy of 0.003996")
    assert text.endswith("which the desk did not order")
    assert desk.sent() == []
    assert desk.holds == {}
    desk.judged()


# --- A13, A14: the venue changes its rules ---


async def test_a13_a_halted_symbol_takes_no_entries_and_is_asked_no_more_than_twice_a_minute(
    desk: Life,
) -> None:
    await desk.buy()
    desk.exchange.books.symbols["BTCUSDT"].status = "BREAK"
    await desk.sell()
    asked = len(desk.exchange.requests("POST order")) + len(desk.exchange.requests("exchangeInfo"))
    await desk.tend_for(600)
    for _ in range(3):
        await desk.buy(name=BTC)
    now = len(desk.exchange.requests("POST order")) + len(desk.exchange.requests("exchangeInfo"))

    assert now - asked <= 20, "in ten minutes"
    assert desk.held().quantity > 0
    desk.exchange.books.symbols["BTCUSDT"].status = "TRADING"
    await desk.tend_for(120)
    assert desk.portfolio.positions == (), "closed as soon as it could be"
    desk.judged()


async def test_a13_a_venue_in_maintenance_for_ten_minutes_holds_entries_and_is_tended_afterwards(
    desk: Life,
) -> None:
    await desk.buy()
    desk.exchange.fault("*", answer="error", status=503, code=0, msg="maintenance", count=100_000)
    await desk.tend_for(600)
    held = dict(desk.holds)
    desk.exchange.faults.waiting.clear()
    desk.exchange.set_price("BTCUSDT", "40000")
    await desk.tend_for(10)

    assert held["venue"].startswith("the venue cannot be asked")
    assert desk.portfolio.positions == (), "the stop had filled"
    assert desk.holds == {}
    desk.judged()


async def test_a13_what_was_wished_during_an_outage_is_done_within_five_seconds_of_its_end(
    desk: Life,
) -> None:
    await desk.buy()
    desk.exchange.fault("*", answer="error", status=503, code=0, msg="maintenance", count=100_000)
    await desk.sell()
    await desk.tend_for(300)
    tries = len(desk.exchange.requests("DELETE order"))
    desk.exchange.faults.waiting.clear()
    await desk.tend_for(4)

    assert tries <= 12, "in five minutes"
    assert desk.portfolio.positions == ()
    desk.judged()


async def test_a14_a_coarser_step_cuts_what_is_sent_and_a_finer_rule_is_read_after_the_refusal(
    desk: Life,
) -> None:
    """Sizing goes on by the rules of the start; what leaves is cut to the venue's newest, never to more."""
    await desk.buy()
    await desk.sell()
    await desk.tend_for(4)
    rules = desk.exchange.books.symbols["BTCUSDT"]
    rules.step, rules.min_qty = Decimal("0.001"), Decimal("0.001")
    await desk.buy("0.01234")
    first = desk.said_of("e")[-1]
    desk.clock.advance(60)
    await desk.buy("0.01234")
    await desk.tend()

    assert first == "refused", "the venue's words for a step that no longer fits"
    assert [order["origQty"] for order in desk.sent(Side.BUY)] == ["0.01000000", "0.01200000"]
    assert desk.stop().status is OrderStatus.ACCEPTED
    desk.judged()


# --- A16, A17 ---


async def test_a16_a_stop_that_vanishes_is_noticed_and_placed_again_within_a_minute(desk: Life) -> None:
    await desk.buy()
    first = desk.stop().request.client_id
    await desk.tend_for(60)
    desk.exchange.books.vanish(first, desk.exchange.now_ms())
    await desk.tend_for(8)

    assert desk.stop().request.client_id != first
    assert desk.stop().request.leg == "s1"
    desk.judged()


async def test_a16_a_stop_that_the_venue_will_not_take_again_closes_the_position(desk: Life) -> None:
    await desk.buy()
    desk.exchange.books.symbols["BTCUSDT"].order_types = ("MARKET", "LIMIT", "STOP_LOSS")
    desk.exchange.fault("POST order", answer="error", status=400, code=-2010, msg="No stops today.", count=2)
    desk.exchange.books.vanish(desk.stop().request.client_id, desk.exchange.now_ms())
    await desk.tend_for(20)

    assert desk.portfolio.positions == ()
    assert desk.written(TradeRecord)[-1].exit_reason == "unprotected"
    desk.judged()


async def test_a17_a_key_that_lost_its_right_is_told_and_asked_rarely_until_it_has_it_again(
    desk: Life,
) -> None:
    await desk.buy()
    desk.exchange.can_trade = False
    await desk.sell()
    await desk.tend(2)
    held = dict(desk.holds)
    asked = len(desk.exchange.requests("POST order")) + len(desk.exchange.requests("DELETE order"))
    await desk.tend_for(600)
    later = len(desk.exchange.requests("POST order")) + len(desk.exchange.requests("DELETE order"))
    desk.exchange.can_trade = True
    await desk.tend_for(70)

    assert "refuses the key" in held["venue"]
    assert later - asked <= 20, "in ten minutes"
    assert desk.holds == {}
    assert desk.portfolio.positions == ()
    desk.judged()


async def test_a17_one_refusal_of_the_key_that_passes_does_not_hold_for_ever_nor_stop_the_looking(
    desk: Life,
) -> None:
    await desk.buy()
    stop = desk.stop()
    desk.exchange.fault("POST order", answer="error", status=401, code=-2015, msg="Invalid API-key")
    await desk.buy(name=ETH)
    await desk.tend(2)
    held = dict(desk.holds)
    desk.exchange.books.vanish(stop.request.client_id, desk.exchange.now_ms())
    await desk.tend(6)
    seen = [r.status for r in desk.written(OrderRecord) if r.request.client_id == stop.request.client_id]
    await desk.reconcile(60)
    await desk.tend_for(4)

    assert "refuses the key" in held["venue"]
    assert seen[-1] is OrderStatus.CANCELLED
    assert desk.holds == {}
    assert (await desk.buy(name=ETH)).accepted
    desk.judged()


async def test_a17_a_key_that_may_still_not_trade_goes_on_holding(desk: Life) -> None:
    desk.exchange.can_trade = False
    await desk.buy()
    for _ in range(3):
        await desk.reconcile(60)
        await desk.tend()

    assert "refuses the key" in desk.holds["venue"]
    desk.judged()


async def test_a17_a_key_that_is_gone_holds_and_reports_what_is_at_risk(desk: Life) -> None:
    await desk.buy()
    desk.exchange.key_works = False
    for _ in range(3):
        await desk.reconcile(60)
        await desk.tend()

    assert "venue" in desk.holds
    assert "unread" in desk.holds
    assert desk.engine.desk.status()["holds"] == desk.holds
    (shown,) = desk.engine.desk.positions()
    assert (shown["instrument"], Decimal(shown["quantity"])) == (BTC, desk.held().quantity)
    desk.exchange.key_works = True
    await desk.tend_for(4)
    await desk.reconcile(60)
    await desk.tend_for(4)
    assert desk.holds == {}
    desk.judged()


async def test_d2_an_entry_does_not_take_a_price_far_from_the_one_it_was_reviewed_at(desk: Life) -> None:
    """A market order takes what is there when it comes, and every limit was measured at the close."""
    desk.exchange.set_price("BTCUSDT", "51500")

    told = await desk.buy("0.01")

    assert not told.accepted
    assert "the price is 51500" in told.text
    assert "at most 2.00%" in told.text
    assert desk.sent(Side.BUY) == []
    desk.judged()


async def test_a10_an_exit_goes_on_when_its_stop_is_cancelled_and_cannot_be_looked_at(desk: Life) -> None:
    """It stood in the way of the exit, and counted as protection, for as long as nobody answered."""
    await desk.buy("0.01")
    desk.exchange.fault("GET order", answer="error", status=503, count=1000)
    await desk.sell()
    await desk.tend_for(10)
    desk.exchange.faults.waiting.clear()
    await desk.tend_for(10)

    assert [order["status"] for order in desk.sent(Side.SELL)] == ["CANCELED", "FILLED"]
    assert desk.portfolio.positions == ()
    desk.judged()


async def test_a19_an_exit_is_not_tried_twice_where_somebody_has_just_moved_coins_in(desk: Life) -> None:
    await desk.buy("0.01")
    desk.exchange.books.free["BTC"] += Decimal("0.5")
    desk.exchange.fault("POST order", when="after", answer="reset", hide_s=12.0)
    await desk.sell()
    await desk.tend_for(30)

    assert len([o for o in desk.sent(Side.SELL) if o["type"] == "MARKET"]) == 1
    assert desk.portfolio.positions == ()


# --- Executed, and not told ---


async def test_what_was_executed_and_is_not_told_holds_entries_and_is_said_until_it_is_told(
    desk: Life,
) -> None:
    desk.exchange.books.trades_lag_s = 40
    await desk.buy()
    await desk.tend_for(4)
    early = dict(desk.holds)
    await desk.tend_for(6)
    held, said = dict(desk.holds), desk.told("executed but not told")
    refused = await desk.buy(name=ETH)
    sold = desk.sent(Side.SELL)
    await desk.restart()
    await desk.tend()
    still = "untold" in desk.holds
    await desk.tend_for(40)

    assert early == {}
    assert "has executed 0.01 BTC/USDT" in held["untold"]
    assert len(said) == 1
    assert not refused.accepted
    assert sold == [], "nothing is sold of what the books do not hold"
    assert still
    assert desk.holds == {}
    assert desk.stop().status is OrderStatus.ACCEPTED
    desk.judged()


async def test_trades_that_are_listed_within_five_seconds_hold_nothing(desk: Life) -> None:
    desk.exchange.books.trades_lag_s = 3
    await desk.buy()
    await desk.tend_for(10)

    assert desk.told("hold untold") == desk.told("executed but not told") == []
    desk.judged()


# --- A fee in a third asset ---


@pytest.mark.parametrize("heard", [True, False])
async def test_a_fee_in_a_third_asset_leaves_the_account_and_the_books_in_step(
    desk: Life, heard: bool
) -> None:
    books = desk.exchange.books
    books.symbols["BNBUSDT"] = SymbolRules("BNB", "USDT")
    books.prices["BNBUSDT"] = Prices(Decimal(600), Decimal("0.01"), desk.exchange.now_ms(), 7)
    books.fee_asset, books.free["BNB"] = "BNB", Decimal(5)
    for name, quantity in ((BTC, "0.01"), (ETH, "0.1")):
        await desk.buy(quantity, name=name)
        if not heard:  # it is the account that tells of the execution
            desk.exchange.fault("GET order", answer="error", status=503, count=1)
        await desk.reconcile(60)
        await desk.tend_for(4)
        await desk.sell(name=name)
        await desk.tend_for(4)
        await desk.reconcile(60)
        await desk.reconcile(60)

    fees = [record.fill for record in desk.fills()]
    assert {fill.paid_asset for fill in fees} == {"BNB"}
    assert desk.holds == {}
    assert desk.portfolio.external["USDT"] == sum(fill.fee for fill in fees) > Decimal("1.5")
    assert desk.portfolio.external["BNB"] == books.free["BNB"] - 5
    assert desk.told("external trade") == []
    desk.judged()


async def test_a_strangers_fee_in_a_third_asset_is_not_taken_from_the_money(desk: Life) -> None:
    books = desk.exchange.books
    books.fee_asset, books.free["XYZ"] = "XYZ", Decimal(100)
    desk.clock.advance(1)
    desk.exchange.trade_outside("BTCUSDT", "BUY", "0.1", "by-hand")
    for _ in range(3):
        await desk.reconcile(60)

    assert desk.holds == {"account": "the account differs from the books by -5000 USDT"}, (
        "what was paid, no fee"
    )
    assert len(desk.told("external trade")) == 1
    assert desk.portfolio.external["XYZ"] == books.free["XYZ"] - 100


async def test_d2_an_entry_waits_for_no_price_that_is_not_told(desk: Life) -> None:
    desk.exchange.fault("GET ticker/bookTicker", answer="error", status=503, count=2)

    told = await desk.buy("0.01")

    assert (told.accepted, told.text) == (
        False,
        "nothing was bought: the venue does not tell a price to hold it against",
    )
    assert desk.sent() == []
    assert (await desk.buy("0.01")).accepted
    desk.judged()


@pytest.mark.parametrize("price", ["30000", "80000"])
async def test_d2_an_entry_beyond_its_own_stop_or_target_is_not_sent(desk: Life, price: str) -> None:
    """However far from the close a price may be, behind the stop there is nothing to enter for."""
    execution = replace(desk.settings.execution, entry_collar=0.9)
    desk.settings = replace(desk.settings, execution=execution)
    await desk.restart()
    await desk.say(CommandKind.RESUME)  # somebody has looked at what is new
    desk.exchange.set_price("BTCUSDT", price)

    told = await desk.buy("0.01")

    assert not told.accepted
    assert "not between its stop and its target" in told.text
    assert desk.sent() == []
    desk.judged()


@pytest.mark.parametrize("answered", [False, True])
async def test_a10_a_stop_whose_cancel_tells_of_a_fill_is_looked_at_before_the_exit_is_sent(
    desk: Life, *, answered: bool
) -> None:
    """A part of it had filled, says the venue: an exit for the whole would sell too much."""
    await desk.buy("0.01")
    desk.exchange.rewrites["DELETE order"] = lambda row, q: row | {"executedQty": "0.00400000"}
    if not answered:
        desk.exchange.fault("GET order", answer="error", status=503, count=2)
    before = len(desk.exchange.requests("GET order"))
    await desk.sell()
    at_once = [order["status"] for order in desk.sent(Side.SELL)]
    looked = len(desk.exchange.requests("GET order")) - before
    await desk.tend_for(4)

    assert looked >= 1
    assert at_once == (["CANCELED", "FILLED"] if answered else ["CANCELED"])
    assert [order["status"] for order in desk.sent(Side.SELL)] == ["CANCELED", "FILLED"]
    assert desk.portfolio.positions == ()
    desk.judged()


async def test_a3_an_exit_without_a_trace_is_not_tried_again_while_the_account_cannot_be_read(
    desk: Life,
) -> None:
    await desk.buy("0.01")
    desk.exchange.fault("POST order", when="before", answer="reset")
    desk.exchange.fault("GET account", answer="error", status=503, count=1000)
    await desk.sell()
    await desk.tend_for(10)
    blind = len(desk.exchange.requests("POST order"))
    desk.exchange.faults.waiting.clear()
    await desk.tend_for(4)

    assert blind == 3, "the entry, its stop, and the exit that was lost"
    assert [o["status"] for o in desk.sent(Side.SELL) if o["type"] == "MARKET"] == ["FILLED"]
    await desk.tend_for(30)
    desk.judged()


async def test_a3_an_exit_without_a_trace_is_tried_again_though_orders_and_trades_cannot_be_listed(
    desk: Life,
) -> None:
    """Whether all coins are the desk's is in the balances alone: a venue that fails often is asked for nothing else."""
    await desk.buy("0.01")
    desk.exchange.fault("POST order", when="before", answer="reset")
    for path in ("openOrders", "myTrades"):
        desk.exchange.fault(path, answer="error", status=503, count=1000)
    await desk.sell()
    await desk.tend_for(8)

    assert [o["status"] for o in desk.sent(Side.SELL) if o["type"] == "MARKET"] == ["FILLED"]
    desk.exchange.faults.waiting.clear()
    await desk.tend_for(30)
    assert desk.portfolio.positions == ()
    desk.judged()
