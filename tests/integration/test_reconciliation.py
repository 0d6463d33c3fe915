"""The account against the books: what others do in it, what is told late or twice, and what a person accepts.

The names are rows of the failure catalogue; each ends with the judgement by the exchange's own truth.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.core.domain.commands import CommandKind
from engine.core.domain.errors import Refused, VenueDown
from engine.core.domain.order import OrderStatus, Side
from engine.core.domain.records import AccountRecord, CycleRecord, OrderRecord, TradeRecord
from engine.core.domain.risk import TradingState
from engine.core.domain.venue import Account
from engine.live import desk as desk_module
from engine.live.holds import Holds
from engine.live.orders import OrderManager
from engine.live.reconcile import MOVING, Reconciler
from tests.builders import bar, position
from tests.life import BTC, CASH, ETH, HASTY_S, PRICES, Life, MortalVenue, life, soon

ZERO = Decimal(0)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Life]:
    async with life(tmp_path) as one:
        yield one


# --- A19, J1: somebody else uses the account ---


async def test_a19_money_that_comes_or_goes_holds_entries_within_two_comparisons_and_says_how_much(
    desk: Life,
) -> None:
    await desk.buy()
    desk.exchange.books.free["USDT"] -= Decimal("123.45")
    await desk.reconcile(60)
    once = dict(desk.holds)
    await desk.reconcile(60)

    assert once == {}, "one look may fall between two requests"
    assert desk.holds == {"account": "the account differs from the books by -123.45 USDT"}
    assert not (await desk.buy(name=ETH)).accepted
    await desk.sell()
    await desk.tend_for(4)
    assert desk.portfolio.positions == (), "what is held may be closed all the same"
    desk.exchange.books.free["USDT"] += Decimal("123.45")
    await desk.reconcile(60)
    assert desk.holds == {}
    desk.judged()


async def test_a19_coins_that_come_are_nobodys_until_a_person_resumes(desk: Life) -> None:
    desk.exchange.books.free["BTC"] = Decimal("0.5")
    for _ in range(2):
        await desk.reconcile(60)
    held = dict(desk.holds)
    await desk.say(CommandKind.KILL)
    await desk.say(CommandKind.RESUME)

    assert held["account"].endswith("+0.5 BTC")
    assert desk.holds == {}
    assert desk.portfolio.external == {"BTC": Decimal("0.5")}
    assert desk.written(AccountRecord)[-1].reason == "accepted by me"
    await desk.say(CommandKind.RESUME)
    await desk.buy()
    await desk.say(CommandKind.FLATTEN)
    await desk.tend_for(4)
    assert desk.exchange.books.free["BTC"] == Decimal("0.5"), "only its own is sold"
    desk.judged()


async def test_a19_a_resume_accepts_nothing_while_no_such_hold_stands(desk: Life) -> None:
    await desk.say(CommandKind.KILL)
    desk.exchange.books.free["USDT"] += Decimal(500)
    for _ in range(2):
        await desk.say(CommandKind.RESUME)
    for _ in range(2):
        await desk.reconcile(60)

    assert [record.reason for record in desk.written(AccountRecord)] == ["the account at the first start"]
    assert list(desk.holds) == ["account"]


async def test_a19_an_account_that_cannot_be_read_holds_and_a_resume_then_accepts_nothing(desk: Life) -> None:
    desk.exchange.fault("GET account", answer="error", status=503, count=3)
    for _ in range(3):
        await desk.reconcile(60)
    held = dict(desk.holds)
    desk.exchange.books.free["USDT"] += Decimal(500)
    await desk.say(CommandKind.KILL)
    await desk.say(CommandKind.RESUME)
    accepted = len(desk.written(AccountRecord))
    for _ in range(2):
        await desk.reconcile(60)

    assert list(held) == ["unread"]
    assert accepted == 1
    assert desk.holds == {"account": "the account differs from the books by +500 USDT"}


async def test_a19_a_resume_while_the_account_cannot_be_read_leaves_the_hold(desk: Life) -> None:
    desk.exchange.books.free["USDT"] += Decimal(500)
    for _ in range(2):
        await desk.reconcile(60)
    await desk.say(CommandKind.KILL)
    desk.exchange.fault("GET account", answer="error", status=503)
    outcome = await desk.say(CommandKind.RESUME)

    assert outcome.accepted
    assert list(desk.holds) == ["account"]
    await desk.say(CommandKind.RESUME)
    assert desk.holds == {}
    assert desk.portfolio.external == {"USDT": Decimal(500)}
    desk.judged()


async def test_a19_what_is_ours_and_on_its_way_is_not_accepted_as_somebodys(desk: Life) -> None:
    desk.exchange.books.free["USDT"] += Decimal(500)
    for _ in range(2):
        await desk.reconcile(60)
    await desk.say(CommandKind.KILL)
    assert await desk.engine.reconciler.accept("me") == ""
    await desk.say(CommandKind.RESUME)
    await desk.say(CommandKind.RESUME)
    desk.exchange.fault("POST order", when="after", answer="reset", hide_s=10.0)
    await desk.buy()
    early = await desk.engine.reconciler.accept("me")
    await desk.tend_for(12)
    late = await desk.engine.reconciler.accept("me")

    assert (early, late) == (MOVING, "")
    assert desk.portfolio.external == {"USDT": Decimal(500)}
    desk.judged()


async def test_j1_a_person_who_trades_by_hand_is_told_and_not_followed(desk: Life) -> None:
    await desk.buy()
    desk.clock.advance(1)
    desk.exchange.trade_outside("BTCUSDT", "BUY", "0.02", "by-hand")
    desk.exchange.trade_outside("BTCUSDT", "SELL", "0.01", "by-hand-2")
    await desk.reconcile(60)
    await desk.reconcile(60)

    assert len(desk.told("external trade")) == 2
    assert desk.held().quantity == Decimal("0.00999")
    assert desk.portfolio.external["BTC"] == Decimal("0.00998")
    assert desk.holds == {"account": "the account differs from the books by -500.5 USDT"}, "it was the desk's"
    desk.judged()


async def test_j1_a_person_who_sells_what_the_desk_holds_is_noticed_and_nothing_is_sold_twice(
    desk: Life,
) -> None:
    await desk.buy()
    desk.exchange.books.vanish(desk.stop().request.client_id, desk.exchange.now_ms())
    desk.clock.advance(1)
    desk.exchange.trade_outside("BTCUSDT", "SELL", "0.00999", "by-hand")
    await desk.reconcile(60)
    await desk.tend_for(30)
    await desk.reconcile(60)

    assert desk.portfolio.external["BTC"] == Decimal("-0.00999"), (
        "it is owed to the desk, and that is written down"
    )
    assert desk.told("external trade")
    assert sum(Decimal(each["executedQty"]) for each in desk.sent(Side.SELL)) == 0


async def test_j1_what_is_left_of_coins_that_somebody_moved_out_is_covered_and_sold_though_the_books_hold_more(
    desk: Life,
) -> None:
    """No execution tells of it, and an order for all that is in the books is refused: no person is waited for.

    Protection that was refused twice ends the position, as ever: with what there is.
    """
    await desk.buy()
    desk.exchange.books.vanish(desk.stop().request.client_id, desk.exchange.now_ms())
    desk.exchange.books.free["BTC"] -= Decimal("0.004")

    await desk.tend_for(10)

    taken = [(each["type"], each["origQty"], each["status"]) for each in desk.sent(Side.SELL)]
    assert taken[1:] == [
        ("STOP_LOSS", "0.00599000", "CANCELED"),
        ("MARKET", "0.00599000", "FILLED"),
    ]
    assert desk.exchange.books.free["BTC"] + desk.exchange.books.locked["BTC"] == 0


async def test_j1_an_order_by_hand_that_rests_is_told_once_and_left_alone(desk: Life) -> None:
    q = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.01", "price": "40000"}
    desk.exchange.books.place(q | {"newClientOrderId": "by-hand"}, desk.exchange.now_ms(), "outside")
    for _ in range(3):
        await desk.reconcile(60)

    assert desk.told("external order") == [
        "buy 0.01000000 BTC/USDT: an order that the desk did not place (by-hand)"
    ]
    assert desk.exchange.requests("DELETE order") == []
    desk.judged()


# --- B2 to B4: what is told late, twice, or in any order ---


async def test_b2_executions_that_are_not_told_at_first_are_found_by_asking_within_ten_seconds(
    desk: Life,
) -> None:
    chance = random.Random(2)
    desk.exchange.books.parts = 4
    desk.exchange.rewrites["myTrades"] = lambda payload, _: [
        each for each in payload if chance.random() > 0.4
    ]
    for name, much in ((BTC, "0.01"), (ETH, "0.1")):
        await desk.buy(much, name)
    await desk.tend_for(10)

    assert len(desk.fills()) == 8
    assert {o.request.instrument: o.status for o in desk.orders("s")} == {
        BTC: OrderStatus.ACCEPTED,
        ETH: OrderStatus.ACCEPTED,
    }
    await desk.say(CommandKind.FLATTEN)
    await desk.tend_for(14)
    assert desk.portfolio.positions == ()
    assert len(desk.sent(Side.SELL)) <= 8, "no loop of exits"
    desk.exchange.rewrites.clear()
    desk.judged()


async def test_b3_what_is_told_again_and_again_counts_once_also_after_a_restart(desk: Life) -> None:
    desk.exchange.books.repeat_trades = True
    await desk.buy()
    for _ in range(3):
        await desk.tend(6)
        await desk.reconcile(60)
        await desk.restart()

    assert len(desk.fills()) == 1
    assert desk.held().quantity == Decimal("0.00999")
    desk.judged()


async def test_b4_executions_in_any_order_and_before_their_order_is_known_come_to_the_same(
    desk: Life,
) -> None:
    chance = random.Random(4)

    def shuffled(payload: list[Any], _: dict[str, str]) -> list[Any]:
        chance.shuffle(payload)
        return payload

    desk.exchange.rewrites["myTrades"] = shuffled
    desk.exchange.books.parts = 5
    desk.exchange.fault("POST order", when="after", answer="reset")
    desk.exchange.fault("GET order", when="before", answer="error", status=503)
    await desk.buy()
    unknown = desk.said_of("e")
    await desk.reconcile()  # the account tells its executions while the order itself has no answer yet
    await desk.tend(2)

    assert unknown == ["unknown"]
    assert len(desk.fills()) == 5
    assert desk.stop().status is OrderStatus.ACCEPTED
    assert desk.held().stop < 50000 < desk.held().target, "the plan was still there"
    desk.judged()


async def test_b4_an_order_that_was_told_as_done_does_not_open_again(desk: Life) -> None:
    await desk.buy()
    await desk.sell()
    await desk.tend_for(4)
    desk.exchange.rewrites["openOrders"] = lambda payload, _: [
        order.row() | {"status": "NEW"}
        for order in desk.exchange.books.orders.values()
        if order.side == "BUY"
    ]
    await desk.reconcile(60)

    assert desk.portfolio.orders == ()
    assert desk.told("order found again")
    desk.exchange.rewrites.clear()
    desk.judged()


# --- C: clocks ---


@pytest.mark.parametrize("off_s", [-30.0, -1.5, 1.5, 30.0])
async def test_c1_a_clock_that_is_more_than_a_second_off_holds_until_it_is_right(
    desk: Life, off_s: float
) -> None:
    desk.exchange.offset_ms = int(off_s * 1000)
    await desk.engine.keeper.check_clock()
    held = dict(desk.holds)
    refused = await desk.buy()
    desk.exchange.offset_ms = 0
    await desk.engine.keeper.check_clock()

    assert held == {"clock": f"the venue's clock is {off_s:+.3f} s from ours, at most 1 s are allowed"}
    assert refused.text.startswith("nothing was bought: ")
    assert desk.holds == {}
    assert (await desk.buy()).accepted
    desk.judged()


@pytest.mark.parametrize("off_s", [-0.9, -0.2, 0.2, 0.9])
async def test_c1_a_clock_that_is_less_than_a_second_off_holds_nothing(desk: Life, off_s: float) -> None:
    desk.exchange.offset_ms = int(off_s * 1000)
    await desk.engine.keeper.check_clock()

    assert desk.holds == {}
    assert (await desk.buy()).accepted
    assert desk.said_of("e") == ["accepted"]


@pytest.mark.parametrize("hours", [-2, 1.1])
async def test_c2_c3_a_clock_on_the_wall_that_is_set_changes_no_deadline_and_doubles_nothing(
    desk: Life, hours: float
) -> None:
    desk.exchange.fault("POST order", when="before", answer="reset")
    await desk.buy()
    desk.clock.set(3600 * hours)
    desk.exchange.offset_ms = -int(3600 * hours * 1000)
    await desk.tend_for(16)
    still = desk.said_of("e")
    await desk.tend_for(4)
    await desk.engine.keeper.check_clock()
    held = dict(desk.holds)

    assert still == ["unknown"]
    assert desk.said_of("e") == ["unknown", "expired"]
    assert "clock" in held
    assert desk.exchange.requests("POST order")[1:] == []
    desk.judged()


async def test_c3_what_was_traded_while_the_clock_was_wrong_is_read_all_the_same(desk: Life) -> None:
    for jump in (86_400, -86_400):
        desk.clock.set(jump)
        desk.exchange.offset_ms -= jump * 1000
        await desk.reconcile(60)
        desk.exchange.trade_outside("ETHUSDT", "BUY", "0.1", f"by-hand{jump}")
        await desk.reconcile(600)
    for _ in range(2):
        await desk.reconcile(60)

    assert len(desk.told("external trade")) == 2
    assert desk.holds == {"account": "the account differs from the books by -600 USDT"}
    desk.judged()


async def test_c3_an_entry_of_an_hour_ago_is_not_sent_by_a_desk_that_was_frozen(desk: Life) -> None:
    """Its decision is written, the machine sleeps, and wakes before the order has left."""
    desk.mortal(lambda when, what: bool(when == "after" and isinstance(what, list) and _slept(desk, what)))
    await desk.buy()

    assert desk.exchange.requests("POST order") == []
    assert "3600 s late, at most 60 s are allowed" in [r.reason for r in desk.written(OrderRecord)]
    desk.judged()


def _slept(desk: Life, records: list[Any]) -> bool:
    if any(isinstance(r, CycleRecord) and r.wish for r in records):
        desk.clock.advance(3600)
    return False


async def test_c5_a_bar_is_decided_on_once_however_often_it_is_told(desk: Life) -> None:
    desk.clock.advance(3600)
    moment = [bar(BTC, desk.clock.now(), "50100"), bar(ETH, desk.clock.now(), "3010")]
    desk.feed.moments = [moment, moment]
    await desk.engine.loop.run()
    await desk.restart()
    await desk.engine.loop.run()

    decided = [r.id for r in desk.written(CycleRecord) if r.at == moment[0].end]
    assert len(decided) == len(set(decided)) == 2
    desk.judged()


# --- F6: an old copy of the journal ---


def copied(home: Path) -> bytes:
    return (home / "desk.sqlite3").read_bytes()


def put_back(home: Path, old: bytes) -> None:
    for each in home.glob("desk.sqlite3*"):
        each.unlink()
    (home / "desk.sqlite3").write_bytes(old)


async def test_f6_an_old_copy_of_the_journal_that_is_put_back_holds_until_a_person_has_looked(
    desk: Life, tmp_path: Path
) -> None:
    """What was ordered since is at the venue and in no record: it is told as external, and never managed."""
    await desk.die()
    old = copied(tmp_path)
    await desk.start()
    desk.clock.advance(1)
    await desk.buy()
    await desk.die()
    put_back(tmp_path, old)
    await desk.start()
    held = dict(desk.holds)
    refused = await desk.buy(name=ETH)
    await desk.reconcile(60)
    still = "journal" in desk.holds

    assert "is not in this journal: an old copy of it was put back, or another desk" in held["journal"]
    assert not refused.accepted
    assert still, "it does not go by itself"
    assert len(desk.told("external trade")) == len(desk.told("external order")) == 1
    assert len(desk.sent()) == 2, "the entry and its stop, of before; nothing was sent or cancelled since"
    await desk.say(CommandKind.KILL)
    for _ in range(2):
        await desk.say(CommandKind.RESUME)
    await desk.reconcile(60)
    assert desk.holds == {}
    assert desk.portfolio.external["BTC"] == Decimal("0.00999")


# --- I3c: the wrong home ---


async def test_i3c_a_home_with_a_position_that_the_account_does_not_have_is_refused(tmp_path: Path) -> None:
    async with life(tmp_path, started=False) as desk:
        desk.position = position("0.1", BTC, average_price="50000", opened_at=desk.clock.now())
        desk.exchange.books.free["USDT"] = Decimal(20000)
        with pytest.raises(
            Refused, match=r"the books hold 0.1 BTC that the account does not: was this home used"
        ):
            await desk.start()
        assert desk.exchange.requests("POST order") == []


async def test_i3c_an_account_with_less_money_than_the_desk_was_given_is_refused(tmp_path: Path) -> None:
    async with life(tmp_path, started=False) as desk:
        desk.exchange.books.free["USDT"] = Decimal(9999)
        with pytest.raises(Refused, match=r"the account holds 9999.00000000 USDT, the desk was given 10000"):
            await desk.start()


async def test_b8_an_account_that_is_not_told_in_time_is_no_account(tmp_path: Path) -> None:
    async with life(tmp_path, request_timeout_s=HASTY_S / 10) as desk:
        reconciler: Reconciler = desk.engine.reconciler
        desk.exchange.fault("GET openOrders", answer="hang", count=100)
        with pytest.raises(VenueDown):
            await reconciler.check()
        assert desk.written(TradeRecord) == []


class Silent(MortalVenue):
    """One that never tells the account."""

    async def account(self, since: datetime) -> Account:
        await asyncio.Event().wait()
        raise AssertionError("nobody waits for so long")


class Timeless(MortalVenue):
    """One that never tells the time."""

    async def clock_offset(self) -> float:
        await asyncio.Event().wait()
        raise AssertionError("nobody waits for so long")


def hurried(desk: Life, kind: type[MortalVenue], timeout_s: float) -> tuple[Reconciler, MortalVenue]:
    """A reconciler of the same journal that does not wait for long, and the venue that it asks."""
    quick = replace(desk.settings, venue=replace(desk.settings.venue, request_timeout_s=timeout_s))
    writer, venue = desk.engine.writer, kind(quick, desk.clock, desk.exchange.keys)
    orders = OrderManager(writer, desk.journal, venue, desk.store, desk.clock, quick)
    holds = Holds(writer, desk.clock)
    return Reconciler(writer, desk.journal, venue, orders, holds, quick, desk.clock), venue


async def test_b8_an_account_of_many_slow_answers_has_one_deadline_for_all_of_them(desk: Life) -> None:
    reconciler, venue = hurried(desk, Silent, 0.01)

    with pytest.raises(VenueDown, match=r"the account was not told within 0.09 s"):
        await reconciler.check()
    await venue.close()


async def test_b8_an_account_is_not_taken_as_it_is_at_a_time_that_nobody_tells(desk: Life) -> None:
    reconciler, venue = hurried(desk, Timeless, HASTY_S)
    desk.exchange.books.free["USDT"] += Decimal(500)

    with pytest.raises(VenueDown, match="the venue does not tell the time"):
        await reconciler.accept("me")
    assert len(desk.written(AccountRecord)) == 1
    await venue.close()


async def test_a19_trades_of_others_do_not_hide_the_account_that_was_taken_at_the_first_start(
    desk: Life,
) -> None:
    desk.clock.advance(1)
    desk.exchange.trade_outside("BTCUSDT", "BUY", "0.02", "by-hand")
    await desk.reconcile(60)
    await desk.restart()

    assert [bool(record.balances) for record in desk.written(AccountRecord)] == [True, False]
    assert list(desk.holds) == ["account"], "what they bought was paid with the desk's money"
    desk.judged()


async def test_a19_a_difference_that_grew_is_shown_and_a_resume_accepts_only_what_was_shown(
    desk: Life,
) -> None:
    desk.exchange.books.free["USDT"] += Decimal(500)
    for _ in range(2):
        await desk.reconcile(60)
    await desk.say(CommandKind.KILL)
    desk.exchange.books.free["USDT"] += Decimal(7000)
    outcome = await desk.say(CommandKind.RESUME)
    held = dict(desk.holds)
    again = await desk.say(CommandKind.RESUME)

    assert outcome.text.endswith("; the difference has changed to +7500 USDT: look and resume again")
    assert held == {"account": "the account differs from the books by +7500 USDT"}
    assert again.text.startswith("active")
    assert "changed" not in again.text
    assert desk.holds == {}
    assert desk.portfolio.external == {"USDT": Decimal(7500)}
    desk.judged()


async def test_a19_a_hold_shows_the_newest_difference_though_at_most_once_a_minute(desk: Life) -> None:
    for _ in range(13):
        desk.exchange.books.free["USDT"] += Decimal(1)
        await desk.reconcile(10)

    assert desk.told("hold account") == [f"the account differs from the books by +{n} USDT" for n in (2, 8)]


# --- what is missing of the desk's ---


async def resumed(desk: Life) -> None:
    """A person has looked, and lets the desk go on; then everything adds up."""
    await desk.say(CommandKind.KILL)
    said = [(await desk.say(CommandKind.RESUME)).text for _ in range(2)]
    for _ in range(2):
        await desk.reconcile(60)
    assert desk.holds == {}, said
    assert desk.engine.writer.state.risk.trading == "active"


def there(desk: Life) -> Decimal:
    """What the account is worth without what is external, which is never negative."""
    external = desk.portfolio.external
    assert all(amount > 0 for amount in external.values())
    prices = {"USDT": Decimal(1), "BTC": Decimal(PRICES[BTC]), "ETH": Decimal(PRICES[ETH])}
    books = desk.exchange.books
    return sum(
        (
            prices[asset]
            * (books.free.get(asset, ZERO) + books.locked.get(asset, ZERO) - external.get(asset, ZERO))
            for asset in prices
        ),
        ZERO,
    )


async def test_j1_what_was_sold_by_hand_of_the_desks_ends_its_position_at_what_it_brought(desk: Life) -> None:
    await desk.buy()
    desk.exchange.books.vanish(desk.stop().request.client_id, desk.exchange.now_ms())
    desk.clock.advance(1)
    desk.exchange.trade_outside("BTCUSDT", "SELL", "0.005", "by-hand")
    for _ in range(2):
        await desk.reconcile(60)
    held = dict(desk.holds)
    await desk.tend_for(30)
    await resumed(desk)
    part = desk.held().quantity
    desk.exchange.books.vanish(desk.stop().request.client_id, desk.exchange.now_ms())
    desk.clock.advance(1)
    desk.exchange.trade_outside("BTCUSDT", "SELL", "0.00499", "by-hand-2")
    await desk.reconcile()
    await desk.reconcile()
    await desk.tend_for(30)
    await resumed(desk)

    assert held == {"account": "the account differs from the books by -0.005 BTC"}
    assert part == Decimal("0.00499")
    assert desk.portfolio.positions == ()
    assert desk.portfolio.dust == desk.portfolio.external == {}
    assert abs(desk.portfolio.equity - there(desk)) < Decimal("0.01")
    assert desk.portfolio.cash > Decimal(CASH) - 5, "what it brought is the desk's"


async def test_a19_coins_that_were_taken_out_end_their_position_and_what_they_were_worth_is_gone(
    desk: Life,
) -> None:
    await desk.buy()
    books = desk.exchange.books
    books.vanish(desk.stop().request.client_id, desk.exchange.now_ms())
    books.free["BTC"] = ZERO
    for _ in range(2):
        await desk.reconcile(60)
    await desk.tend_for(30)
    await resumed(desk)

    (trade,) = desk.written(TradeRecord)
    assert trade.exit_reason == "external"
    assert desk.portfolio.positions == ()
    assert desk.portfolio.external == {}
    assert abs(desk.portfolio.equity - there(desk)) < Decimal("0.01")
    assert any("of the desk's cash is gone, accepted by me" in r.reason for r in desk.written(AccountRecord))


async def test_a19_money_that_was_taken_out_is_taken_from_the_desks_cash_and_is_no_loss(desk: Life) -> None:
    desk.exchange.books.free["USDT"] -= Decimal(9000)
    for _ in range(2):
        await desk.reconcile(60)
    await resumed(desk)

    assert desk.portfolio.cash == desk.portfolio.equity == there(desk) == Decimal(1000)
    assert desk.engine.writer.state.risk.day_equity == Decimal(1000)
    assert "9000 USDT of the desk's cash is gone, accepted by me" in [
        r.reason for r in desk.written(AccountRecord)
    ]
    desk.judged()


async def test_j1_coins_that_were_bought_with_the_desks_money_are_theirs_and_the_money_is_gone(
    desk: Life,
) -> None:
    desk.clock.advance(1)
    desk.exchange.trade_outside("BTCUSDT", "BUY", "0.02", "by-hand")
    for _ in range(2):
        await desk.reconcile(60)
    held = dict(desk.holds)
    await resumed(desk)

    assert held["account"].startswith("the account differs from the books by -100")
    assert desk.portfolio.external == {"BTC": Decimal("0.01998")}
    assert desk.portfolio.cash == desk.portfolio.equity == there(desk) == Decimal(9000)
    desk.judged()


# --- nobody waits for the account ---


async def while_the_account_is_asked_for(desk: Life, work: Awaitable[Any], meanwhile: Awaitable[Any]) -> None:
    """Begin the work; once it waits for the account do the other to its end; then the account is told."""
    inner, asked, told = desk.venue.account, asyncio.Event(), asyncio.Event()

    async def slowly(since: datetime) -> Account:
        account = await inner(since)
        asked.set()
        await told.wait()
        return account

    desk.venue.account = slowly  # type: ignore[method-assign]
    begun = soon(work)
    await asked.wait()
    await meanwhile
    told.set()
    await begun
    desk.venue.account = inner  # type: ignore[method-assign]


async def test_b8_a_flatten_does_not_wait_for_an_account_that_is_being_told(desk: Life) -> None:
    await desk.buy()
    await while_the_account_is_asked_for(desk, desk.reconcile(60), desk.say(CommandKind.FLATTEN))
    await desk.tend_for(4)

    assert desk.portfolio.positions == ()
    assert desk.holds == {}, "an account of before the exit says nothing about the books after it"
    for _ in range(2):
        await desk.reconcile(60)
    assert desk.holds == {}
    desk.judged()


# --- An account that cannot be read when the desk comes up ---


async def _admitted() -> None:
    """The key may do what it should."""


async def test_b8_an_account_that_cannot_be_read_at_the_start_holds_entries_and_not_protection(
    desk: Life,
) -> None:
    desk.exchange.fault("POST order", skip=1, answer="error", status=429, code=-1003, retry_after="1")
    await desk.buy()
    unprotected = not desk.sent(Side.SELL)
    await desk.restart(begin=False)
    desk.clock.advance(30)
    desk.exchange.fault("GET account", answer="error", status=503, count=3)
    keeper = desk.engine.keeper

    await keeper.begin(_admitted)
    held = dict(desk.holds)
    await desk.tend()
    refused = await desk.buy(name=ETH)
    await keeper.reconcile()
    await keeper.begin_again()
    still = "unread" in desk.holds
    await keeper.begin_again()
    await keeper.begin_again()

    assert unprotected
    assert "has not been read since the start" in held["unread"]
    assert desk.stop().status is OrderStatus.ACCEPTED
    assert not refused.accepted
    assert still
    assert desk.holds == {}
    assert "begin" in keeper.tasks()
    desk.judged()


async def test_i3c_a_first_look_that_comes_late_refuses_an_account_with_too_little_money(
    tmp_path: Path,
) -> None:
    async with life(tmp_path, started=False) as desk:
        desk.exchange.books.free["USDT"] = Decimal(9999)
        await desk.start(begin=False)
        desk.exchange.fault("GET account", answer="error", status=503)
        await desk.engine.keeper.begin(_admitted)
        entered = await desk.buy()

        assert not entered.accepted
        with pytest.raises(Refused, match="the account holds 9999"):
            await desk.engine.keeper.begin_again()


async def test_a_key_that_turns_out_to_be_refused_late_ends_the_desk(desk: Life) -> None:
    async def refused() -> None:
        raise Refused("the venue's key may withdraw")

    with pytest.raises(Refused):
        await desk.engine.keeper.begin(refused)


async def test_b8_what_an_old_look_tells_of_our_executions_is_booked_all_the_same(desk: Life) -> None:
    desk.exchange.fault("POST order", when="after", answer="reset")
    desk.exchange.fault("GET order", when="before", answer="error", status=503)
    await desk.buy()
    desk.clock.advance(1)
    await while_the_account_is_asked_for(desk, desk.reconcile(), desk.look_at_market_again())

    assert len(desk.fills()) == 1
    await desk.tend(2)
    desk.judged()


async def test_b8_a_kill_after_a_resume_does_not_wait_for_the_account_and_stands(desk: Life) -> None:
    desk.exchange.books.free["USDT"] += Decimal(500)
    for _ in range(2):
        await desk.reconcile(60)
    await desk.say(CommandKind.KILL)
    await while_the_account_is_asked_for(desk, desk.say(CommandKind.RESUME), desk.say(CommandKind.FLATTEN))

    assert desk.engine.writer.state.risk.trading == desk.store.halt().state == "halted"
    assert desk.holds == {}, "it was told again, and accepted by the same word"
    desk.judged()


async def test_a19_a_resume_from_elsewhere_accepts_as_well(desk: Life) -> None:
    desk.exchange.books.free["USDT"] += Decimal(500)
    for _ in range(2):
        await desk.reconcile(60)
    await desk.say(CommandKind.KILL)
    desk.store.set_halt(TradingState.REDUCING, "ops", "looked at it", desk.clock.now())
    await desk.tend()
    await desk.engine.keeper.accept()

    assert desk.holds == {}
    assert desk.written(AccountRecord)[-1].reason == "accepted by ops"
    desk.judged()


# --- a resume whose account is slow, or moves ---


async def test_a19_a_resume_is_answered_though_the_account_is_not_told_and_it_is_accepted_once_later(
    desk: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "ACCEPT_S", 0.1)
    desk.exchange.books.free["USDT"] += Decimal(500)
    for _ in range(2):
        await desk.reconcile(60)
    await desk.say(CommandKind.KILL)
    desk.exchange.fault("GET account", answer="hang", seconds=60)
    outcome = await desk.say(CommandKind.RESUME)
    held = list(desk.holds)

    said = await asyncio.gather(*(desk.engine.desk.accept() for _ in range(3)))

    assert outcome.accepted
    assert outcome.text.endswith("the account is not told yet, and until it is its hold stands")
    assert held == ["account"]
    assert said == ["", "", ""]
    assert desk.holds == {}
    reasons = [record.reason for record in desk.written(AccountRecord)]
    assert reasons == ["the account at the first start", "accepted by me"]
    desk.judged()


async def test_a19_a_resume_while_an_order_of_ours_is_on_its_way_says_so_and_accepts_nothing(
    desk: Life,
) -> None:
    await desk.buy()
    desk.exchange.books.free["USDT"] += Decimal(500)
    for _ in range(2):
        await desk.reconcile(60)
    desk.exchange.fault("POST order", when="before", answer="reset")
    await desk.sell()
    await desk.say(CommandKind.KILL)
    outcome = await desk.say(CommandKind.RESUME)
    held = list(desk.holds)
    again = await desk.say(CommandKind.KILL)

    assert outcome.accepted
    assert outcome.text.endswith(MOVING)
    assert "account" in held
    assert again.accepted
    assert len(desk.written(AccountRecord)) == 1
    await desk.tend_for(30)
    await desk.say(CommandKind.RESUME)
    assert "account" not in desk.holds
    desk.judged()
