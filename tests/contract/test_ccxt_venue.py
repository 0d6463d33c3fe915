"""What the port of a venue promises, kept by the real ccxt client against an exchange that misbehaves.

The names a1 to d3 are rows of the failure catalogue: what is lost, late, refused, hidden or nonsense on the way.
"""

import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from configs.schema.desk import DeskSettings, Instrument
from configs.schema.settings import Settings
from configs.schema.venue import VenueSettings
from engine.core.domain.errors import VenueDown
from engine.core.domain.order import OrderRequest, OrderStatus, OrderType, Side, Submission
from engine.ports import Sighting
from engine.venues.ccxt import broker
from engine.venues.ccxt.broker import MOST_ASKED_RIGHTS, CcxtVenue
from engine.venues.ccxt.rules import FRESH_S, STALE_S
from tests.builders import CLOSE, order_request
from tests.exchange import FakeExchange, TurnedClock
from tests.exchange.mutate import mutated

BTC = "BTC/USDT"
HASTY_S = 0.4
"""A short deadline for tests in which somebody hangs; the others wait long enough for a busy machine."""


class Venue(CcxtVenue):
    """Every order is prepared before it is sent, as the desk does."""

    async def submit(self, order: OrderRequest) -> Submission:
        """Both steps."""
        await self.prepare(order)
        return await super().submit(order)


def desk(url: str, *names: str, **venue: Any) -> Settings:
    """Settings of a spot desk whose venue is at `url`."""
    instruments = tuple(Instrument(name) for name in names or (BTC,))
    told = VenueSettings(kind="binance", base_url=url, **{"request_timeout_s": 5.0, **venue})
    return Settings(desk=DeskSettings(currency="USDT", timeframe="1h", instruments=instruments), venue=told)


def buy(quantity: str = "0.1", cause: str = "", **how: Any) -> OrderRequest:
    return order_request(cause, "e", Side.BUY, quantity, instrument=BTC, **how)


def sell(quantity: str = "0.1", leg: str = "x", **how: Any) -> OrderRequest:
    return order_request("", leg, Side.SELL, quantity, instrument=BTC, **how)


def stop(quantity: str = "0.1", price: str = "49000") -> OrderRequest:
    return sell(quantity, "s", type_=OrderType.STOP, price=price)


async def seen_by(venue: CcxtVenue, order: OrderRequest) -> Sighting:
    """What a look-up of an order shows that is there."""
    seen = await venue.lookup(order)
    assert seen is not None
    return seen


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
async def exchange(clock: TurnedClock) -> AsyncIterator[FakeExchange]:
    async with FakeExchange(
        {"BTCUSDT": "50000", "ETHUSDT": "3000", "BNBUSDT": "600"},
        {"USDT": "10000", "BTC": "1", "BNB": "5"},
        clock,
    ) as exchange:
        yield exchange


@pytest.fixture
def timeout_s(request: pytest.FixtureRequest) -> float:
    """The venue's deadline."""
    hangs = "hang" in getattr(getattr(request.node, "callspec", None), "params", {}).values()
    return HASTY_S if hangs else 5.0


@pytest.fixture
async def venue(exchange: FakeExchange, clock: TurnedClock, timeout_s: float) -> AsyncIterator[CcxtVenue]:
    venue = Venue(desk(exchange.url, request_timeout_s=timeout_s), clock, exchange.keys)
    yield venue
    await venue.close()


@pytest.fixture
async def others(exchange: FakeExchange, clock: TurnedClock) -> AsyncIterator[Callable[..., CcxtVenue]]:
    """Venues with other settings or another clock, closed at the end."""
    made: list[CcxtVenue] = []

    def make(*names: str, on: Any = None, veto: Any = str, url: str = "", **venue: Any) -> CcxtVenue:
        made.append(Venue(desk(url or exchange.url, *names, **venue), on or clock, exchange.keys, veto))
        return made[-1]

    yield make
    for venue in made:
        await venue.close()


# --- When all is well -----------------------------------------------------------------------------


def test_the_venue_says_for_how_long_it_may_leave_us_in_the_dark(venue: CcxtVenue) -> None:
    assert venue.traits == ("binance", False, 18.0, 3.0, True)


async def test_a_market_order_is_accepted_and_told_with_every_trade(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    exchange.books.parts = 3
    order = buy("0.1")

    answer = await venue.submit(order)
    seen = await seen_by(venue, order)

    assert answer.status is OrderStatus.ACCEPTED
    assert (seen.status, seen.filled, seen.venue_id) == (OrderStatus.FILLED, Decimal("0.1"), answer.venue_id)
    assert len(seen.fills) == 3
    assert len({fill.trade_id for fill in seen.fills}) == 3
    for fill in seen.fills:
        assert (fill.client_id, fill.decision, fill.leg, fill.reason) == (
            order.client_id, order.decision, order.leg, order.reason,
        )  # fmt: skip
        assert fill.reference == fill.price == Decimal(50000)


async def test_what_a_fee_kept_of_the_thing_bought_is_not_in_the_position(venue: CcxtVenue) -> None:
    order = buy("0.1")
    await venue.submit(order)

    (fill,) = (await seen_by(venue, order)).fills

    assert (fill.quantity, fill.withheld, fill.fee) == (Decimal("0.0999"), Decimal("0.0001"), Decimal(5))
    account = await venue.account(CLOSE)
    assert account.balances == {
        "BTC": Decimal(1) + fill.quantity,
        "USDT": Decimal(10000) - fill.quantity * fill.price - fill.fee,
        "BNB": Decimal(5),
    }


async def test_a_sale_pays_its_fee_in_money(venue: CcxtVenue) -> None:
    order = sell("0.1")
    await venue.submit(order)

    (fill,) = (await seen_by(venue, order)).fills

    assert (fill.side, fill.quantity, fill.withheld, fill.fee) == (Side.SELL, Decimal("0.1"), 0, Decimal(5))


async def test_a_fee_in_a_third_asset_is_told_at_the_venues_price_of_it(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    exchange.books.fee_asset = "BNB"
    first, second = buy("0.1"), sell("0.1")
    for order in (first, second):
        await venue.submit(order)

    fees = [fill.fee for order in (first, second) for fill in (await seen_by(venue, order)).fills]

    assert [round(fee, 2) for fee in fees] == [Decimal("5.00"), Decimal("5.00")]
    assert len(exchange.requests("ticker/bookTicker")) == 1, "its price is good for a minute"


async def test_a_fee_that_cannot_be_converted_is_estimated_and_that_is_said(
    venue: CcxtVenue, exchange: FakeExchange, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.books.fee_asset, exchange.books.free["XYZ"] = "XYZ", Decimal(100)
    order = buy("0.1")
    await venue.submit(order)

    (fill,) = (await seen_by(venue, order)).fills

    assert fill.fee == Decimal(5)
    assert "could not be converted" in caplog.text


async def test_a_limit_order_rests_fills_in_parts_and_can_be_cancelled(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    order = buy("0.1", type_=OrderType.LIMIT, price="49000.019")
    await venue.submit(order)
    rests = await seen_by(venue, order)
    exchange.books.share = Decimal("0.25")
    exchange.set_price("BTCUSDT", "48900")
    exchange.books.share = Decimal(0)
    partly = await seen_by(venue, order)
    cancelled = await venue.cancel(order)
    ended = await seen_by(venue, order)

    assert exchange.requests("POST order")[0]["query"]["price"] == "49000.01", "a buy's price is rounded down"
    assert rests == (OrderStatus.ACCEPTED, 0, (), rests.venue_id, "", 0)
    assert (partly.status, partly.filled) == (OrderStatus.PARTIAL, Decimal("0.025"))
    assert cancelled.status is OrderStatus.CANCELLED
    assert (ended.status, ended.filled, ended.fills) == (
        OrderStatus.CANCELLED,
        Decimal("0.025"),
        partly.fills,
    )


async def test_a_stop_is_sent_as_the_venues_own_and_fills_at_the_market(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    order = stop(price="49000.001")
    await venue.submit(order)
    exchange.set_price("BTCUSDT", "48000")

    seen = await seen_by(venue, order)

    assert exchange.requests("POST order")[0]["query"]["type"] == "STOP_LOSS"
    assert exchange.requests("POST order")[0]["query"]["stopPrice"] == "49000.01", "a sell's is rounded up"
    assert seen.status is OrderStatus.FILLED
    assert (seen.fills[0].price, seen.fills[0].reference) == (Decimal(48000), Decimal("49000.001"))


async def test_where_stops_need_a_limit_it_lies_a_collar_beyond(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    exchange.books.symbols["BTCUSDT"].order_types = ("LIMIT", "MARKET", "STOP_LOSS_LIMIT")

    await venue.submit(stop(price="49000"))
    exchange.set_price("BTCUSDT", "48000")

    sent = exchange.requests("POST order")[0]["query"]
    assert (sent["type"], sent["stopPrice"], sent["price"]) == ("STOP_LOSS_LIMIT", "49000", "47530")
    assert (await seen_by(venue, stop(price="49000"))).status is OrderStatus.FILLED


async def test_prices_are_the_ask_to_buy_and_the_bid_to_sell(venue: CcxtVenue) -> None:
    assert await venue.price(BTC, Side.BUY) == Decimal("50000.01")
    assert await venue.price(BTC, Side.SELL) == Decimal("50000.00")


async def test_what_is_offered_is_the_asks_to_a_buy_and_the_bids_to_a_sale_the_best_first(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    asks, bids = await venue.depth(BTC, Side.BUY), await venue.depth(BTC, Side.SELL)
    deep = await venue.depth(BTC, Side.BUY, deep=True)

    assert asks is not None and bids is not None and deep is not None
    assert asks.levels[0] == (Decimal("50000.01"), Decimal(20))
    assert [price for price, _ in bids.levels[:2]] == [Decimal("50000.00"), Decimal("49999.99")]
    assert (len(asks.levels), len(deep.levels)) == (100, 1000)
    assert not asks.whole and not deep.whole, "as many as were asked for: there may be more"
    exchange.rewrites["depth"] = lambda book, q: book | {"asks": book["asks"][:99]}
    short = await venue.depth(BTC, Side.BUY)
    assert short is not None and short.whole


async def test_a_book_is_paid_for_by_its_length(
    others: Callable[..., CcxtVenue], exchange: FakeExchange
) -> None:
    venue = others()

    await venue.depth(BTC, Side.BUY)
    shallow = venue.rest.budget.used
    await venue.depth(BTC, Side.BUY, deep=True)

    assert (shallow, venue.rest.budget.used) == (5, 55)
    assert [each["query"]["limit"] for each in exchange.requests("depth")] == ["100", "1000"]


async def test_the_account_tells_strangers_orders_and_trades_too(
    venue: CcxtVenue, exchange: FakeExchange, clock: TurnedClock
) -> None:
    before = clock.now()
    exchange.trade_outside("BTCUSDT", "SELL", "0.2", "somebody")
    order = stop()
    await venue.submit(order)
    clock.advance(5)

    account = await venue.account(before)

    assert [(each.client_id, each.quantity) for each in account.orders] == [(order.client_id, Decimal("0.1"))]
    (fill,) = account.fills
    assert (fill.client_id, fill.quantity, fill.decision, fill.leg) == ("somebody", Decimal("0.2"), "", "")
    assert (await venue.account(clock.now())).fills == ()
    assert len(exchange.requests("GET order")) == 1, "whose order it was is asked once"


async def test_whose_trades_our_own_are_need_not_be_asked(venue: CcxtVenue, exchange: FakeExchange) -> None:
    order = buy()
    await venue.submit(order)

    assert [fill.client_id for fill in (await venue.account(CLOSE)).fills] == [order.client_id]
    assert exchange.requests("GET order") == []


async def test_trades_are_read_page_by_page(venue: CcxtVenue, exchange: FakeExchange) -> None:
    exchange.books.parts = 2500
    order = buy("0.1")
    await venue.submit(order)

    seen = await seen_by(venue, order)

    assert len(seen.fills) == len({fill.trade_id for fill in seen.fills}) == 2500
    assert (seen.status, seen.filled) == (OrderStatus.FILLED, Decimal("0.1"))
    assert len((await venue.account(CLOSE)).fills) == 2500


async def test_nothing_is_told_unasked(venue: CcxtVenue) -> None:
    assert await venue.updates([]) == ()


async def test_a_key_tells_what_it_may_do(venue: CcxtVenue, exchange: FakeExchange) -> None:
    assert (await venue.permissions()).objection == ""
    exchange.can_withdraw = True
    assert await venue.permissions() == (True, True, True)
    assert "may withdraw" in (await venue.permissions()).objection
    exchange.can_withdraw = exchange.bound = False
    assert "any address" in (await venue.permissions()).objection

    exchange.tells_rights = False
    assert await venue.permissions() == (True, None, None)


# --- Orders that are not taken --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (buy("0.000009"), "0 BTCUSDT is not from 0.00001"),
        (buy("9999"), "is not from 0.00001"),
        (buy("0.0001", type_=OrderType.LIMIT, price="40000"), "is worth 4; the venue takes 5"),
    ],
    ids=["less than a step", "too much", "worth too little"],
)
async def test_what_the_venue_would_not_take_is_refused_with_numbers_and_not_sent(
    venue: CcxtVenue, exchange: FakeExchange, order: OrderRequest, said: str
) -> None:
    answer = await venue.submit(order)

    assert answer.status is OrderStatus.REFUSED
    assert said in answer.reason
    assert exchange.requests("order") == []


@pytest.mark.parametrize("quantity", ["NaN", "Infinity", "-Infinity", "-0.1", "0", "1E+999999", "1E-999999"])
async def test_a_quantity_that_is_none_is_not_sent_and_nothing_is_raised(
    venue: CcxtVenue, exchange: FakeExchange, quantity: str
) -> None:
    answer = await venue.submit(buy(quantity))

    assert answer.status in (OrderStatus.REFUSED, OrderStatus.EXPIRED)
    assert exchange.requests("order") == []


async def test_a6_a_definite_refusal_is_refused_with_the_venues_words(venue: CcxtVenue) -> None:
    answer = await venue.submit(buy("5"))

    assert answer.status is OrderStatus.REFUSED
    assert "400 -2010: Account has insufficient balance" in answer.reason


async def test_a6_a_stop_that_would_trigger_at_once_is_refused(venue: CcxtVenue) -> None:
    assert (await venue.submit(stop(price="51000"))).status is OrderStatus.REFUSED


@pytest.mark.parametrize("code", [-1013, -1021, -1100, -1102, -1111, -1121, -2010, -2014, -2015, -1022])
async def test_a6_codes_that_leave_no_doubt(venue: CcxtVenue, exchange: FakeExchange, code: int) -> None:
    exchange.fault("POST order", answer="error", status=400, code=code)

    assert (await venue.submit(buy())).status is OrderStatus.REFUSED


async def test_an_order_that_exists_already_is_unknown_and_found(venue: CcxtVenue) -> None:
    order = buy(type_=OrderType.LIMIT, price="40000")
    await venue.submit(order)

    again = await venue.submit(order)

    assert again.status is OrderStatus.UNKNOWN
    assert "Duplicate" in again.reason
    assert (await seen_by(venue, order)).status is OrderStatus.ACCEPTED


# --- A: the venue ---------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout_s", [HASTY_S])
async def test_a1_a_request_lost_on_the_way_is_unknown_and_never_seen(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    await venue.rules()
    exchange.fault("POST order", when="before", answer="hang")
    order = buy()

    answer = await venue.submit(order)

    assert answer.status is OrderStatus.UNKNOWN
    assert await venue.lookup(order) is None
    assert len(exchange.requests("POST order")) == 1


@pytest.mark.parametrize(
    "answer", ["hang", "reset", "html", "truncated", "doubled", "huge", "nested", "empty", "other_order"]
)
async def test_a2_a_lost_or_garbled_answer_is_unknown_and_the_order_is_found(
    venue: CcxtVenue, exchange: FakeExchange, answer: str
) -> None:
    await venue.rules()
    exchange.fault("POST order", when="after", answer=answer)
    order = buy()

    answered = await venue.submit(order)
    seen = await seen_by(venue, order)

    assert answered.status is OrderStatus.UNKNOWN
    assert (seen.status, seen.filled) == (OrderStatus.FILLED, Decimal("0.1"))
    assert len(exchange.requests("POST order")) == 1
    assert len(exchange.books.orders) == 1


@pytest.mark.parametrize("timeout_s", [HASTY_S])
async def test_a3_an_order_that_is_taken_after_our_time_out_is_first_absent_then_found(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    await venue.rules()
    exchange.fault("POST order", when="later", seconds=2 * HASTY_S)
    order = buy()

    answer = await venue.submit(order)
    absent = await venue.lookup(order)
    await exchange.quiet()
    seen = await seen_by(venue, order)

    assert answer.status is OrderStatus.UNKNOWN
    assert absent is None
    assert venue.traits.absent_after_s == 18, "only after that long does absence mean anything"
    assert seen.status is OrderStatus.FILLED


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, -1000), (502, -1000), (503, -1001), (504, -1007), (500, -1006), (503, -2010), (500, -1013),
        (400, -1000), (400, -1001), (400, -1006), (400, -1007), (409, -2021), (409, -2010), (404, -1013),
        (400, 0), (400, -99999), (403, -1003), (302, -1013), (200, -2010),
    ],
)  # fmt: skip
async def test_a4_what_leaves_a_doubt_is_unknown_whatever_class_of_exception_ccxt_has_for_it(
    venue: CcxtVenue, exchange: FakeExchange, when: str, status: int, code: int
) -> None:
    exchange.fault("POST order", when=when, answer="error", status=status, code=code)
    order = buy()

    assert (await venue.submit(order)).status is OrderStatus.UNKNOWN
    assert (await venue.lookup(order) is None) == (when == "before")


@pytest.mark.parametrize(
    ("status", "retry_after", "silent_s"),
    [(429, "7", 7), (418, "30", 30), (429, "", 60), (418, "", 120), (429, "soon", 60), (429, "-5", 60)],
)
async def test_a5_not_one_request_leaves_while_the_venue_demands_silence(
    venue: CcxtVenue, exchange: FakeExchange, clock: TurnedClock, status: int, retry_after: str, silent_s: int
) -> None:
    await venue.rules()
    exchange.fault("POST order", answer="error", status=status, code=-1003, retry_after=retry_after)
    order = buy()

    answer = await venue.submit(order)
    asked = len(exchange.log)
    clock.advance(silent_s - 0.5)
    silent = await venue.submit(order)
    cancelled = await venue.cancel(order)
    for ask in (
        venue.lookup(order),
        venue.account(CLOSE),
        venue.price(BTC, Side.BUY),
        venue.depth(BTC, Side.BUY),
        venue.server_time_offset(),
    ):
        with pytest.raises(VenueDown, match="demands silence"):
            await ask

    assert answer.status is OrderStatus.EXPIRED
    assert f"nothing is sent for {silent_s}.0 s" in answer.reason
    assert (silent.status, cancelled.status) == (OrderStatus.EXPIRED, OrderStatus.UNKNOWN)
    assert venue.silent_until == pytest.approx(clock.monotonic() + 0.5)
    assert len(exchange.log) == asked
    assert exchange.violations == 0

    clock.advance(0.6)
    assert venue.silent_until is None
    assert (await venue.submit(order)).status is OrderStatus.ACCEPTED


async def test_a8_an_order_that_is_hidden_is_told_as_absent_until_it_shows(
    venue: CcxtVenue, exchange: FakeExchange, clock: TurnedClock
) -> None:
    exchange.books.hide_s = 10
    order = buy()

    answer = await venue.submit(order)
    hidden = await venue.lookup(order)
    clock.advance(11)

    assert answer.status is OrderStatus.ACCEPTED
    assert hidden is None
    assert venue.traits.absent_after_s > 10
    assert (await seen_by(venue, order)).status is OrderStatus.FILLED


async def test_a10_a_cancel_that_comes_after_the_fill_is_refused_and_the_fill_is_found(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    order = stop()
    await venue.submit(order)
    exchange.books.fill_before_cancel = True

    answer = await venue.cancel(order)

    assert answer.status is OrderStatus.REFUSED
    assert "-2011" in answer.reason
    assert (await seen_by(venue, order)).status is OrderStatus.FILLED


@pytest.mark.parametrize("lost", ["hang", "reset", "html", "truncated", "huge"])
async def test_a10_a_lost_answer_to_a_cancel_is_unknown_and_the_look_up_tells(
    venue: CcxtVenue, exchange: FakeExchange, lost: str
) -> None:
    order = stop()
    await venue.submit(order)
    exchange.fault("DELETE order", when="after", answer=lost, count=1)

    answer = await venue.cancel(order)
    seen = await seen_by(venue, order)

    assert answer.status is OrderStatus.UNKNOWN
    assert len(exchange.requests("DELETE order")) == 1, "nobody below us sends it again"
    assert seen.status is OrderStatus.CANCELLED
    assert (await venue.cancel(order)).status is OrderStatus.REFUSED


@pytest.mark.parametrize(
    ("status", "code"), [(503, -1000), (500, -2011), (401, -2015), (400, -1021), (429, -1003)]
)
async def test_a10_a_cancel_that_was_not_carried_out_is_never_told_as_an_end(
    venue: CcxtVenue, exchange: FakeExchange, status: int, code: int
) -> None:
    order = stop()
    await venue.submit(order)
    exchange.fault("DELETE order", answer="error", status=status, code=code)

    assert (await venue.cancel(order)).status is OrderStatus.UNKNOWN
    assert exchange.books.open_orders(None, exchange.now_ms())


async def test_a13_a_halted_symbol_is_refused_without_sending_and_looked_at_twice_a_minute(
    venue: CcxtVenue, exchange: FakeExchange, clock: TurnedClock
) -> None:
    exchange.books.symbols["BTCUSDT"].status = "BREAK"
    answers = []
    for _ in range(60):
        answers.append(await venue.submit(sell()))
        clock.advance(1)

    assert {answer.status for answer in answers} == {OrderStatus.REFUSED}
    assert "status is BREAK" in answers[0].reason
    assert exchange.requests("order") == []
    assert len(exchange.requests("exchangeInfo")) == 2
    exchange.books.symbols["BTCUSDT"].status = "TRADING"
    clock.advance(30)
    assert (await venue.submit(sell())).status is OrderStatus.ACCEPTED


async def test_a13_maintenance_makes_no_storm(
    venue: CcxtVenue, exchange: FakeExchange, clock: TurnedClock
) -> None:
    exchange.fault("*", answer="error", status=503, code=-1000, count=1000)
    answers = []
    for _ in range(30):
        answers.append(await venue.submit(sell()))
        clock.advance(1)

    assert {answer.status for answer in answers} == {OrderStatus.EXPIRED}
    assert len(exchange.log) == 10
    exchange.faults.waiting.clear()
    clock.advance(3)
    assert (await venue.submit(sell())).status is OrderStatus.ACCEPTED


async def test_a14_a_changed_tick_is_noticed_after_the_first_refusal(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    await venue.rules()
    exchange.books.symbols["BTCUSDT"].tick = Decimal("0.5")
    order = buy(type_=OrderType.LIMIT, price="40000.26")

    first, second = await venue.submit(order), await venue.submit(order)

    assert first.status is OrderStatus.REFUSED
    assert "PRICE_FILTER" in first.reason
    assert second.status is OrderStatus.ACCEPTED
    assert exchange.requests("POST order")[-1]["query"]["price"] == "40000"


async def test_a14_rules_are_read_again_every_quarter_of_an_hour(
    venue: CcxtVenue, exchange: FakeExchange, clock: TurnedClock
) -> None:
    assert (await venue.rules())[BTC].lot == Decimal("0.00001")
    exchange.books.symbols["BTCUSDT"].step = Decimal("0.001")
    clock.advance(899)
    assert (await venue.rules())[BTC].lot == Decimal("0.00001")

    clock.advance(1)

    assert (await venue.rules())[BTC].lot == Decimal("0.001")
    assert len(exchange.requests("exchangeInfo")) == 2


async def test_a14_old_rules_are_better_than_none(
    venue: CcxtVenue, exchange: FakeExchange, clock: TurnedClock
) -> None:
    await venue.rules()
    clock.advance(901)
    exchange.fault("exchangeInfo", answer="error", status=503, count=10)

    answers = [await venue.submit(sell()) for _ in range(3)]

    assert answers[0].status is OrderStatus.ACCEPTED
    assert len(exchange.requests("exchangeInfo")) == 2, "and not asked for with every order"


@pytest.mark.parametrize(
    "answer", ["html", "truncated", "doubled", "huge", "nested", "empty", "reset", "hang"]
)
async def test_a15_whatever_cannot_be_read_is_an_outage(
    venue: CcxtVenue, exchange: FakeExchange, answer: str
) -> None:
    order = buy()
    await venue.submit(order)

    async def asked(path: str, ask: Callable[[], Any]) -> None:
        exchange.fault(path, when="after", answer=answer, status=200, count=2)
        with pytest.raises(VenueDown):
            await ask()
        exchange.faults.waiting.clear()

    await asked("GET order", lambda: venue.lookup(order))
    await asked("myTrades", lambda: venue.lookup(order))
    await asked("account", lambda: venue.account(CLOSE))
    await asked("openOrders", lambda: venue.account(CLOSE))
    await asked("ticker/bookTicker", lambda: venue.price(BTC, Side.BUY))
    await asked("depth", lambda: venue.depth(BTC, Side.BUY))
    await asked("time", venue.server_time_offset)
    assert (await seen_by(venue, order)).status is OrderStatus.FILLED


async def test_a16_a_stop_that_the_venue_dropped_is_seen_as_cancelled(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    order = stop()
    await venue.submit(order)
    exchange.books.vanish(order.client_id, exchange.now_ms())

    assert (await seen_by(venue, order)).status is OrderStatus.CANCELLED
    assert (await venue.account(CLOSE)).orders == ()


async def test_a17_a_key_that_lost_its_right_is_refused_and_says_so_until_it_is_back(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    exchange.can_trade = False

    answer = await venue.submit(buy())

    assert answer.status is OrderStatus.REFUSED
    assert "401 -2015" in answer.reason
    assert "401 -2015" in venue.denied
    assert (await venue.permissions()).can_trade is False
    assert "401 -2015" in venue.denied, "that it may still ask says nothing of its right to trade"

    exchange.key_works = False
    with pytest.raises(VenueDown, match="-2015"):
        await venue.account(CLOSE)
    exchange.key_works = exchange.can_trade = True
    assert (await venue.permissions()).can_trade
    assert venue.denied == ""
    assert (await venue.submit(buy())).status is OrderStatus.ACCEPTED


async def test_a12_an_order_that_filled_more_than_was_asked_is_told_as_it_is(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    order = buy("0.1")
    await venue.submit(order)
    extra = exchange.books.trades[0] | {"id": 999}
    exchange.rewrites["myTrades"] = lambda trades, q: [*trades, extra]

    seen = await seen_by(venue, order)

    assert (seen.status, seen.filled, len(seen.fills)) == (OrderStatus.FILLED, Decimal("0.2"), 2)


# --- Trades that lag, repeat or do not fit --------------------------------------------------------


async def test_trades_that_lag_behind_are_not_invented_and_the_end_waits_for_them(
    venue: CcxtVenue, exchange: FakeExchange, clock: TurnedClock
) -> None:
    exchange.books.trades_lag_s = 5
    order = buy()
    await venue.submit(order)

    early = await seen_by(venue, order)
    clock.advance(6)
    late = await seen_by(venue, order)

    assert (early.status, early.filled, early.fills) == (OrderStatus.PARTIAL, 0, ())
    assert (late.status, late.filled) == (OrderStatus.FILLED, Decimal("0.1"))


async def test_b3_trades_that_are_told_twice_count_once(venue: CcxtVenue, exchange: FakeExchange) -> None:
    exchange.books.repeat_trades = True
    exchange.books.parts = 4
    order = buy()
    await venue.submit(order)

    seen = await seen_by(venue, order)

    assert (seen.status, seen.filled, len(seen.fills)) == (OrderStatus.FILLED, Decimal("0.1"), 4)
    assert len((await venue.account(CLOSE)).fills) == 4


async def test_what_is_told_again_is_told_the_same(venue: CcxtVenue, exchange: FakeExchange) -> None:
    exchange.books.fee_asset = "BNB"
    order = buy()
    await venue.submit(order)
    first = await seen_by(venue, order)
    exchange.set_price("BNBUSDT", "900")

    assert await seen_by(venue, order) == first


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": "ETHUSDT"}, {"orderId": 1}, {"qty": "0"}, {"qty": "-1"}, {"price": "0.0"}, {"price": 50000},
        {"commission": "0.1"}, {"commission": "NaN"}, {"id": "7"}, {"isBuyer": "true"}, {"time": 12},
        {"commissionAsset": ""}, {"qty": "9" * 40}, {"qty": "١"}, {"price": "5e4"}, {"price": None},
    ],
    ids=str,
)  # fmt: skip
async def test_a15_a_trade_that_cannot_be_is_an_outage_not_a_fill(
    venue: CcxtVenue, exchange: FakeExchange, change: dict[str, Any]
) -> None:
    order = buy()
    await venue.submit(order)
    exchange.rewrites["myTrades"] = lambda trades, q: [trade | change for trade in trades]

    with pytest.raises(VenueDown):
        await venue.lookup(order)


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": "ETHUSDT"}, {"clientOrderId": "another"}, {"side": "SELL"}, {"status": "DREAMING"},
        {"executedQty": "-0.1"}, {"executedQty": 0.1}, {"orderId": None}, {"origQty": "inf"},
    ],
    ids=str,
)  # fmt: skip
async def test_a15_an_order_that_cannot_be_ours_is_an_outage(
    venue: CcxtVenue, exchange: FakeExchange, change: dict[str, Any]
) -> None:
    order = buy()
    await venue.submit(order)
    exchange.rewrites["GET order"] = lambda row, q: row | change

    with pytest.raises(VenueDown):
        await venue.lookup(order)


async def test_a15_hundreds_of_mutated_answers_end_in_an_answer_of_ours_or_an_outage(
    venue: CcxtVenue, exchange: FakeExchange, clock: TurnedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The same as for the converters, with the real client in between."""
    caplog.set_level(logging.CRITICAL)
    chance = random.Random(5)
    order = stop("0.001")
    await venue.submit(order)
    exchange.trade_outside("BTCUSDT", "SELL", "0.001", "somebody")
    paths = (
        "POST order",
        "GET order",
        "DELETE order",
        "myTrades",
        "openOrders",
        "account",
        "ticker/bookTicker",
    )
    outages = 0
    for _ in range(150):
        for path in (*paths, "exchangeInfo"):
            exchange.rewrites[path] = lambda payload, q: mutated(payload, chance)
        exchange.books.free["BTC"] = Decimal(1)
        venue._rules.doubt()
        answer = await venue.submit(sell("0.001"))
        assert answer.status in (
            OrderStatus.ACCEPTED,
            OrderStatus.REFUSED,
            OrderStatus.EXPIRED,
            OrderStatus.UNKNOWN,
        )
        assert len(answer.reason) < 500 and answer.reason.isprintable()
        cancelled = await venue.cancel(order)
        assert cancelled.status in (OrderStatus.CANCELLED, OrderStatus.REFUSED, OrderStatus.UNKNOWN)
        for ask in (venue.lookup(sell("0.001")), venue.account(CLOSE), venue.price(BTC, Side.SELL)):
            try:
                await ask
            except VenueDown:
                outages += 1
        clock.advance(60)

    assert outages > 100


async def test_an_order_that_the_venue_rejects_in_its_answer_is_refused(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    exchange.rewrites["POST order"] = lambda row, q: row | {"status": "REJECTED"}

    assert (await venue.submit(buy())).status is OrderStatus.REFUSED


async def test_a_cancel_that_is_answered_with_anything_but_an_end_is_unknown(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    await venue.submit(stop())
    exchange.rewrites["DELETE order"] = lambda row, q: row | {"status": "FILLED"}

    assert (await venue.cancel(stop())).status is OrderStatus.UNKNOWN


async def test_a_trade_whose_order_is_answered_with_another_is_an_outage(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    exchange.trade_outside("BTCUSDT", "SELL", "0.2", "somebody")
    exchange.rewrites["GET order"] = lambda row, q: row | {"orderId": 1}

    with pytest.raises(VenueDown, match="answered about 1"):
        await venue.account(CLOSE)


async def test_a_right_to_trade_that_cannot_be_read_is_not_guessed(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    exchange.rewrites["account"] = lambda payload, q: payload | {"canTrade": "yes"}
    with pytest.raises(VenueDown):
        await venue.permissions()

    exchange.rewrites.clear()
    exchange.fault("account", answer="error", status=503)
    with pytest.raises(VenueDown, match="503"):
        await venue.permissions()


@pytest.mark.parametrize("status", [405, 501])
async def test_rights_of_a_venue_that_has_no_such_question_are_unknown(
    venue: CcxtVenue, exchange: FakeExchange, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.fault("account/apiRestrictions", answer="error", status=status)

    assert await venue.permissions() == (True, None, None)
    assert caplog.text.count("does not tell whether the key may withdraw") == 1


@pytest.mark.parametrize("how", ["500", "reset", "malformed"])
async def test_rights_that_stay_untold_are_unknown_after_three_tries(
    venue: CcxtVenue, exchange: FakeExchange, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = {"500": {"answer": "error", "status": 500}, "reset": {"answer": "reset"}}.get(how)
    if answer:
        exchange.fault("account/apiRestrictions", count=9, **answer)
    exchange.rewrites["account/apiRestrictions"] = lambda payload, q: {"enableWithdrawals": "no"}

    for _ in range(2):
        with pytest.raises(VenueDown):
            await venue.permissions()
    assert [await venue.permissions() for _ in range(2)] == [(True, None, None)] * 2
    assert caplog.text.count("does not tell whether the key may withdraw") == 1


async def test_an_account_without_a_filter_for_zeros_is_asked_plainly_from_then_on(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    exchange.fault("account", answer="error", status=400, code=-1104, msg="Not all sent parameters were read")

    first, second = await venue.account(CLOSE), await venue.account(CLOSE)

    assert first.balances == second.balances
    asked = ["omitZeroBalances" in each["query"] for each in exchange.requests("account")]
    assert asked == [True, False, False]


async def test_one_instrument_that_the_venue_does_not_know_does_not_hide_the_others(
    others: Callable[..., CcxtVenue], exchange: FakeExchange
) -> None:
    venue = others(BTC, "XRP/USDT", "ETH/USDT")

    assert set(await venue.rules()) == {BTC, "ETH/USDT"}
    assert (await venue.submit(buy())).status is OrderStatus.ACCEPTED
    unknown = await venue.submit(order_request("", "e", Side.BUY, "1", instrument="XRP/USDT"))
    assert (unknown.status, unknown.reason) == (
        OrderStatus.EXPIRED, "not sent: the venue tells no rules for XRP/USDT",
    )  # fmt: skip


async def test_rules_come_also_from_a_venue_that_tells_only_all_of_them(
    venue: CcxtVenue, exchange: FakeExchange, clock: TurnedClock
) -> None:
    exchange.fault("exchangeInfo", answer="error", status=400, code=-1101, msg="Too many parameters", count=2)
    exchange.rewrites["exchangeInfo"] = lambda info, q: {
        "symbols": [{"symbol": "币安人生USDT"}, *info["symbols"]]
    }

    assert set(await venue.rules()) == {BTC}
    asked = [each["query"] for each in exchange.requests("exchangeInfo")]
    assert [sorted(each) for each in asked] == [["symbols"], ["symbol"], []]


async def test_rules_that_cannot_be_read_again_for_an_hour_are_for_exits_only_and_that_is_said(
    venue: CcxtVenue, exchange: FakeExchange, clock: TurnedClock, caplog: pytest.LogCaptureFixture
) -> None:
    await venue.rules()
    exchange.fault("exchangeInfo", answer="error", status=503, count=100)
    clock.advance(FRESH_S + 1)
    assert (await venue.submit(buy("0.01", cause="d-early-1"))).status is OrderStatus.ACCEPTED
    assert "old ones are used" in caplog.text

    clock.advance(STALE_S)
    entry, exit_order = await venue.submit(buy()), await venue.submit(sell())

    assert (entry.status, exit_order.status) == (OrderStatus.EXPIRED, OrderStatus.ACCEPTED)
    assert "no entries by rules of more than 4500 s ago" in entry.reason
    assert "503" in entry.reason


async def test_a_rule_that_is_missing_is_not_made_up(venue: CcxtVenue, exchange: FakeExchange) -> None:
    exchange.rewrites["exchangeInfo"] = lambda info, q: {"symbols": []}

    answer = await venue.submit(buy())

    assert answer.status is OrderStatus.EXPIRED
    assert "the venue tells no rules for BTC/USDT" in answer.reason


async def test_the_open_orders_of_many_instruments_are_asked_for_at_once(
    others: Callable[..., CcxtVenue], exchange: FakeExchange
) -> None:
    await others().submit(stop())
    venue = others(BTC, *(f"C{number}/USDT" for number in range(20)))
    exchange.rewrites["myTrades"] = lambda trades, q: []
    for number in range(20):
        exchange.books.symbols[f"C{number}USDT"] = exchange.books.symbols["BTCUSDT"]
    stranger = {"symbol": "币安人生USDT", "orderId": 3}
    exchange.rewrites["openOrders"] = lambda rows, q: [*rows, stranger]

    account = await venue.account(CLOSE)

    assert [each.instrument for each in account.orders] == [BTC]
    assert len(exchange.requests("openOrders")) == 1


# --- B: the network -------------------------------------------------------------------------------


async def test_b7_a_refused_connection_means_that_nothing_was_sent(
    others: Callable[..., CcxtVenue], exchange: FakeExchange
) -> None:
    venue = others()
    await venue.rules()
    closed = others(url="http://127.0.0.1:1")
    closed._rules = venue._rules

    answer = await closed.submit(buy())

    assert answer.status is OrderStatus.EXPIRED
    assert "no connection to the venue" in answer.reason
    assert exchange.requests("order") == []
    assert (await closed.cancel(buy())).status is OrderStatus.UNKNOWN
    with pytest.raises(VenueDown, match="no connection"):
        await closed.lookup(buy())


async def test_b7_a_certificate_that_nobody_vouches_for_ends_it(
    others: Callable[..., CcxtVenue], tmp_path: Path
) -> None:
    """TLS fails before a byte of the request is written, and it is not tried without."""
    async with FakeExchange(tls=self_signed(tmp_path)) as exchange:
        known = others(url=exchange.url)
        with pytest.raises(VenueDown, match="no connection to the venue"):
            await known.rules()
        assert (await known.submit(buy())).status is OrderStatus.EXPIRED
        assert exchange.log == []


@pytest.mark.parametrize("timeout_s", [HASTY_S])
async def test_b8_every_wait_has_an_end_and_a_late_answer_does_no_harm(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    order = buy()
    await venue.submit(order)
    exchange.fault("*", when="after", answer="hang", count=50, seconds=2 * HASTY_S)

    for ask in (
        venue.lookup(order),
        venue.account(CLOSE),
        venue.price(BTC, Side.BUY),
        venue.depth(BTC, Side.BUY),
        venue.server_time_offset(),
    ):
        with pytest.raises(VenueDown, match="no answer in time after the request had left"):
            await ask
    assert (await venue.cancel(order)).status is OrderStatus.UNKNOWN
    exchange.faults.waiting.clear()
    assert (await seen_by(venue, order)).filled == Decimal("0.1")


async def test_a_veto_is_asked_at_the_last_moment(
    others: Callable[..., CcxtVenue], exchange: FakeExchange
) -> None:
    refused = ""
    venue = others(veto=lambda: refused)
    await venue.rules()
    refused = "the lease has run out"

    answer = await venue.submit(buy())

    assert (answer.status, answer.reason) == (OrderStatus.EXPIRED, "not sent: the lease has run out")
    assert exchange.requests("order") == []


# --- C: the clock ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-30, -5.5, -1.2, -0.2, 0, 0.2, 1.2, 5.5, 30])
async def test_c1_the_venues_clock_is_measured_and_requests_carry_it(
    venue: CcxtVenue, exchange: FakeExchange, seconds: float
) -> None:
    exchange.offset_ms = int(seconds * 1000)

    offset = await venue.server_time_offset()

    assert offset.seconds == pytest.approx(seconds, abs=0.002)
    assert 0 <= offset.uncertainty_s < 5
    assert (await venue.submit(buy())).status is OrderStatus.ACCEPTED


@pytest.mark.parametrize("seconds", [-30, 30])
async def test_c1_an_order_with_a_wrong_stamp_is_refused_once_and_the_next_is_right(
    venue: CcxtVenue, exchange: FakeExchange, seconds: int
) -> None:
    await venue.rules()
    exchange.offset_ms = seconds * 1000

    first, second = await venue.submit(buy()), await venue.submit(buy())

    assert first.status is OrderStatus.REFUSED
    assert "-1021" in first.reason
    assert second.status is OrderStatus.ACCEPTED
    assert [each["path"] for each in exchange.log[1:]] == ["order", "time", "order"], (
        "never sent again by itself"
    )


async def test_c1_a_question_with_a_wrong_stamp_is_asked_again_by_the_right_clock(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    exchange.offset_ms = -20_000

    assert await venue.lookup(buy()) is None
    assert [each["path"] for each in exchange.log] == ["order", "time", "order"]


async def test_c1_a_measurement_that_may_be_far_off_does_not_replace_a_good_one(
    venue: CcxtVenue, exchange: FakeExchange, clock: TurnedClock
) -> None:
    await venue.server_time_offset()

    def late(told: dict[str, int], q: dict[str, str]) -> dict[str, int]:
        clock.advance(8)
        return told

    exchange.rewrites["time"] = late
    offset = await venue.server_time_offset()

    assert offset.uncertainty_s == 4
    assert (await venue.submit(buy())).status is OrderStatus.ACCEPTED
    assert venue.rest.venue_now() == clock.now()


async def test_c2_a_wall_clock_that_is_set_changes_no_stamp_once_the_venues_is_known(
    venue: CcxtVenue, exchange: FakeExchange, clock: TurnedClock
) -> None:
    await venue.server_time_offset()
    clock.set(-7200)
    exchange.offset_ms = 7_200_000  # nobody has set the venue's

    assert (await venue.submit(buy())).status is OrderStatus.ACCEPTED
    assert (await venue.server_time_offset()).seconds == pytest.approx(7200, abs=0.002)


# --- D: prices ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"bidPrice": "50000.02"}, {"bidPrice": "0"}, {"askPrice": "0.00"}, {"bidPrice": "-1"}, {"askPrice": "NaN"},
        {"askPrice": "inf"}, {"askPrice": "1e308"}, {"askPrice": ""}, {"askPrice": None}, {"bidPrice": 50000.0},
        {"askPrice": "100000.01"}, {"symbol": "ETHUSDT"}, {"askPrice": "9" * 400}, {"bidPrice": "50_000"},
    ],
    ids=str,
)  # fmt: skip
async def test_d3_a_price_that_is_none_is_refused_at_the_door(
    venue: CcxtVenue, exchange: FakeExchange, change: dict[str, Any]
) -> None:
    exchange.rewrites["ticker/bookTicker"] = lambda ticker, q: ticker | change

    with pytest.raises(VenueDown) as told:
        await venue.price(BTC, Side.BUY)

    assert len(str(told.value)) < 400


# --- What may be asked ----------------------------------------------------------------------------


async def test_a_fifth_of_the_budget_is_kept_for_what_must_get_through(
    others: Callable[..., CcxtVenue], exchange: FakeExchange, clock: TurnedClock
) -> None:
    venue = others(weight_per_minute=200)
    order = stop()
    await venue.submit(order)
    for _ in range(69):  # the rules weigh 20, the order 1, each of these 2
        await venue.price(BTC, Side.BUY)
    with pytest.raises(VenueDown, match=r"request budget of this minute is used up \(159 of 160\)"):
        await venue.price(BTC, Side.BUY)

    assert (await venue.submit(buy())).status is OrderStatus.ACCEPTED, "the last one"
    assert (await venue.submit(buy())).status is OrderStatus.EXPIRED
    assert (await seen_by(venue, order)).status is OrderStatus.ACCEPTED
    assert (await venue.submit(sell())).status is OrderStatus.ACCEPTED
    assert (await venue.cancel(order)).status is OrderStatus.CANCELLED
    clock.advance(60)
    assert await venue.price(BTC, Side.BUY)


async def test_what_others_at_our_address_have_used_is_not_ours_to_use(
    others: Callable[..., CcxtVenue], exchange: FakeExchange
) -> None:
    venue = others(weight_per_minute=1000)
    exchange.used = 900
    await venue.rules()

    assert (await venue.submit(buy())).status is OrderStatus.EXPIRED
    assert (await venue.submit(sell())).status is OrderStatus.ACCEPTED


# --- Secrets --------------------------------------------------------------------------------------


async def test_no_key_is_in_any_text_whatever_goes_wrong(
    others: Callable[..., CcxtVenue], exchange: FakeExchange, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    """Everything that can be read of a desk that had every kind of trouble: logs at their loudest, answers, errors."""
    caplog.set_level(logging.DEBUG)
    venue, texts = others(request_timeout_s=HASTY_S), []
    key, secret = exchange.keys.key, exchange.keys.secret
    await venue.rules()
    for answer in ("hang", "reset", "html", "truncated", "huge", "nested", "empty", "other_order"):
        exchange.fault("POST order", when="after", answer=answer)
        texts.append(repr(await venue.submit(sell("0.001"))))
    for code in (-2010, -2014, -2015, -1022, -1021, -1013, -1000):
        exchange.fault(
            "order", answer="error", status=400, code=code, msg=f"bad key {key} or {secret}", count=2
        )
        texts.append(repr(await venue.submit(sell("0.001"))))
        for ask in (venue.cancel(sell()), venue.lookup(sell())):
            try:
                texts.append(repr(await ask))
            except VenueDown as error:
                texts += [repr(error), str(error), repr(error.__dict__)]
    closed = others(url="http://127.0.0.1:1")
    texts.append(repr(await closed.submit(buy())))
    objects = (venue, venue.rest, venue.rest._wire, exchange.keys, venue.denied)
    texts += [repr(each) for each in objects] + [str(each) for each in objects]
    printed = capfd.readouterr()

    everything = "\n".join([*texts, caplog.text, printed.out, printed.err])

    assert "[hidden]" in everything
    assert key not in everything
    assert secret not in everything
    assert "signature" not in everything.replace("Signature", "")


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate that only we believe in."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=36500))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / "server.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


# --- Pages, memories and permissions at their ends ---


async def test_rights_that_may_not_be_asked_for_now_are_not_counted_as_untold(
    others: Callable[..., CcxtVenue], exchange: FakeExchange
) -> None:
    """Nothing left: that says nothing about the venue, however often it happens."""
    asked = list[str]()

    def veto() -> str:
        asked.append("")
        return "" if len(asked) % 2 else "the lease ran out"

    venue = others(veto=veto)
    for _ in range(MOST_ASKED_RIGHTS + 1):
        with pytest.raises(VenueDown, match="the lease ran out"):
            await venue.permissions()

    assert exchange.requests("account/apiRestrictions") == []
    assert len(exchange.requests("account")) == MOST_ASKED_RIGHTS + 1


async def test_more_trades_than_can_be_read_at_once_are_a_venue_that_is_down(
    venue: CcxtVenue, exchange: FakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "PAGE", 2)
    monkeypatch.setattr(broker, "MOST_PAGES", 3)
    for number in range(5):
        exchange.trade_outside("BTCUSDT", "BUY", "0.001", f"hand-{number}")
    fills = (await venue.account(CLOSE - timedelta(days=400))).fills
    exchange.trade_outside("BTCUSDT", "BUY", "0.001", "one too many")

    with pytest.raises(VenueDown, match="BTCUSDT: more than 6 trades to read at once"):
        await venue.account(CLOSE - timedelta(days=400))

    assert [fill.client_id for fill in fills] == [f"hand-{number}" for number in range(5)]


async def test_whose_order_a_trade_was_is_asked_again_when_it_was_forgotten(
    venue: CcxtVenue, exchange: FakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "MOST_REMEMBERED", 1)
    for number in range(3):
        exchange.trade_outside("BTCUSDT", "BUY", "0.001", f"hand-{number}")

    looks = [await venue.account(CLOSE - timedelta(days=400)) for _ in range(2)]

    assert looks[0].fills == looks[1].fills
    assert [fill.client_id for fill in looks[0].fills] == ["hand-0", "hand-1", "hand-2"]
    assert len(exchange.requests("GET order")) == 6
    assert len(venue._client_ids) == len(venue._fees) == 1


@pytest.mark.parametrize("time", ["noon", -1, 10**20, None])
async def test_c1_a_time_that_is_none_measures_nothing(
    venue: CcxtVenue, exchange: FakeExchange, time: object
) -> None:
    exchange.rewrites["time"] = lambda told, q: {"serverTime": time}

    with pytest.raises(VenueDown):
        await venue.clock_offset()

    assert venue.rest.clock_age_s() == float("inf")


async def test_c1_a_refused_time_stamp_whose_clock_cannot_be_read_is_told_and_the_order_is_in_doubt_no_longer(
    venue: CcxtVenue, exchange: FakeExchange, caplog: pytest.LogCaptureFixture
) -> None:
    await venue.clock_offset()
    exchange.offset_ms = 30_000
    exchange.fault("GET time", answer="error", status=503)

    answer = await venue.submit(buy())

    assert "-1021" in answer.reason
    assert "the venue refused a time stamp, and its clock cannot be read: " in caplog.text
    assert exchange.books.truth()["orders"] == []


async def test_balances_are_free_and_locked_together_for_one_question(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    await venue.submit(stop("0.1"))
    before = len(exchange.log)

    balances = await venue.balances()

    assert (balances["BTC"], balances["USDT"]) == (Decimal(1), Decimal(10000))
    assert [each["path"] for each in exchange.log[before:]] == ["account"]
    assert (await venue.account(CLOSE)).balances == balances
    exchange.rewrites["account"] = lambda told, q: told | {"balances": "none"}
    with pytest.raises(VenueDown):
        await venue.balances()
