"""What the port of a venue promises, kept by the real ccxt client against an exchange that misbehaves.

The names a1 to d3 are rows of the failure catalogue: what is lost, late, refused, hidden or nonsense on the way.
"""

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest

from configs.schema.desk import DeskSettings, Instrument
from configs.schema.settings import Settings
from configs.schema.venue import VenueSettings
from engine.core.domain.errors import VenueDown
from engine.core.domain.order import OrderRequest, OrderStatus, OrderType, Side
from engine.ports import Sighting
from engine.venues.ccxt.broker import CcxtVenue
from tests.builders import CLOSE, order_request
from tests.exchange import FakeExchange, TurnedClock

BTC = "BTC/USDT"
TIMEOUT_S = 0.3


def desk(url: str, *names: str, **venue: Any) -> Settings:
    """Settings of a spot desk whose venue is at `url`."""
    instruments = tuple(Instrument(name) for name in names or (BTC,))
    told = VenueSettings(kind="binance", base_url=url, **{"request_timeout_s": TIMEOUT_S, **venue})
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
async def venue(exchange: FakeExchange, clock: TurnedClock) -> AsyncIterator[CcxtVenue]:
    venue = CcxtVenue(desk(exchange.url), clock, exchange.keys)
    yield venue
    await venue.close()


@pytest.fixture
async def others(exchange: FakeExchange, clock: TurnedClock) -> AsyncIterator[Callable[..., CcxtVenue]]:
    """Venues with other settings or another clock, closed at the end."""
    made: list[CcxtVenue] = []

    def make(*names: str, on: Any = None, veto: Any = str, url: str = "", **venue: Any) -> CcxtVenue:
        made.append(CcxtVenue(desk(url or exchange.url, *names, **venue), on or clock, exchange.keys, veto))
        return made[-1]

    yield make
    for venue in made:
        await venue.close()


# --- When all is well -----------------------------------------------------------------------------


def test_the_venue_says_for_how_long_it_may_leave_us_in_the_dark(venue: CcxtVenue) -> None:
    assert venue.traits == ("binance", False, 18.0, 3.0)


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
    exchange.books.fee_asset = "XYZ"
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
    assert rests == (OrderStatus.ACCEPTED, 0, (), rests.venue_id, "")
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
    exchange.can_withdraw = True
    assert await venue.permissions() == (True, True, True)

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


async def test_a3_an_order_that_is_taken_after_our_time_out_is_first_absent_then_found(
    venue: CcxtVenue, exchange: FakeExchange
) -> None:
    await venue.rules()
    exchange.fault("POST order", when="later", seconds=2 * TIMEOUT_S)
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
