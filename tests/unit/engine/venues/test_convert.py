"""Payloads mutated by tens of thousands: what comes out keeps its promises, or is BadData, and nothing else."""

import json
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from engine.core.domain.errors import BadData
from engine.core.domain.order import OrderRequest, OrderType, Side
from engine.venues.ccxt import convert
from engine.venues.ccxt.convert import Owner, Rules
from tests.builders import order_request
from tests.exchange.books import SymbolRules
from tests.exchange.mutate import mutated

BTC = "BTC/USDT"
REQUEST = order_request("", "e", Side.BUY, "0.1", instrument=BTC)
HOUR_MS = 3_600_000
NOW_MS = 1_772_452_800_000
CASES = 4_000

ORDER = {
    "symbol": "BTCUSDT", "orderId": 1000, "clientOrderId": REQUEST.client_id, "price": "0.00000000",
    "origQty": "0.10000000", "executedQty": "0.10000000", "status": "FILLED", "side": "BUY", "type": "MARKET",
}  # fmt: skip
TRADE = {
    "symbol": "BTCUSDT", "id": 500, "orderId": 1000, "price": "50000.00000000", "qty": "0.10000000",
    "commission": "0.00010000", "commissionAsset": "BTC", "time": NOW_MS, "isBuyer": True,
}  # fmt: skip
KLINE = [NOW_MS - HOUR_MS, "1.0", "3.0", "0.5", "2.0", "10.0", NOW_MS - 1, "0", 5, "0", "0", "0"]
INFO = {"symbols": [SymbolRules("BTC", "USDT").info()]}
ACCOUNT = {"canTrade": True, "balances": [{"asset": "BTC", "free": "1.00000000", "locked": "0.50000000"}]}
TICKER = {"symbol": "BTCUSDT", "bidPrice": "50000.00", "askPrice": "50000.01"}
DEPTH = {
    "lastUpdateId": 1027024,
    "bids": [["50000.00", "1.5"], ["49999.99", "0.20000000"], ["49990", "3"]],
    "asks": [["50000.01", "0.7"], ["50000.02", "0"], ["50010.00", "12"]],
}
RIGHTS = {"enableSpotAndMarginTrading": True, "enableWithdrawals": False, "ipRestrict": True}


def read_order(payload: Any) -> None:
    order = convert.order_answer(payload, REQUEST)
    assert (order.symbol, order.side) == ("BTCUSDT", "BUY")
    assert order.quantity.is_finite() and order.executed >= 0
    assert convert.sighting(order, ()).filled == 0


def read_trades(payload: Any) -> None:
    for trade in convert.trades(payload, "BTCUSDT", 1000):
        fill = convert.fill(trade, BTC, Owner.of(REQUEST), Decimal(1))
        assert fill.quantity > 0 and fill.price > 0 and fill.withheld >= 0
        assert fill.quantity + fill.withheld == trade.quantity


def read_candles(payload: Any) -> None:
    told = convert.candles(payload, BTC, HOUR_MS, NOW_MS)
    ends = [bar.end for bar in told.bars]
    assert ends == sorted(set(ends))
    assert all(end.timestamp() * 1000 <= NOW_MS for end in ends), "an unclosed candle is none"
    if told.refused:
        raise BadData("; ".join(told.refused)[:400])


def read_rules(payload: Any) -> None:
    for rules in convert.rules(payload, [BTC]).values():
        assert rules.tick > 0 and rules.lot > 0 and rules.max_quantity > 0
        assert rules.min_notional >= 0


def read_account(payload: Any) -> None:
    found = convert.balances(payload, ["BTC"])
    assert all(amount.is_finite() and amount >= 0 for amount in found.values())
    assert "BTC" in found


def read_open_orders(payload: Any) -> None:
    for row in convert.read(payload, list):
        order = convert.open_order(row, {"BTCUSDT": BTC})
        assert order is None or (order.instrument == BTC and order.quantity.is_finite())


def read_quote(payload: Any) -> None:
    bid, ask = convert.quote(payload, "BTCUSDT")
    assert 0 < bid <= ask


def read_depth(payload: Any) -> None:
    for side in Side:
        told = convert.depth(payload, "BTCUSDT", side, 3)
        prices = [price for price, _ in told.levels]
        assert prices and all(price.is_finite() and price > 0 for price in prices)
        assert prices == sorted(set(prices), reverse=side is Side.SELL)
        assert all(units.is_finite() and units >= 0 for _, units in told.levels)


def read_rights(payload: Any) -> None:
    assert convert.permissions(payload, ACCOUNT).can_trade in (True, False)


def read_time(payload: Any) -> None:
    assert convert.read(payload, convert.ServerTime).server_time > 0


def read_error(payload: Any) -> None:
    assert isinstance(convert.read(payload, convert.VenueError).code, int)


READERS: list[tuple[str, Callable[[Any], None], Any]] = [
    ("order", read_order, ORDER),
    ("trades", read_trades, [TRADE, TRADE | {"id": 501}]),
    (
        "candles",
        read_candles,
        [
            KLINE,
            [NOW_MS, *KLINE[1:6], NOW_MS + HOUR_MS - 1, "0"],
            [NOW_MS - 2 * HOUR_MS, *KLINE[1:6], NOW_MS - HOUR_MS - 1, *KLINE[7:]],
        ],
    ),
    ("rules", read_rules, INFO),
    ("account", read_account, ACCOUNT),
    ("open orders", read_open_orders, [ORDER]),
    ("quote", read_quote, TICKER),
    ("depth", read_depth, DEPTH),
    ("rights", read_rights, RIGHTS),
    (
        "time",
        read_time,
        {"serverTime": NOW_MS},
    ),
    (
        "error",
        read_error,
        {"code": -1, "msg": "x"},
    ),
]


@pytest.mark.parametrize(("reader", "payload"), [row[1:] for row in READERS], ids=[row[0] for row in READERS])
def test_a15_a_payload_with_something_wrong_in_it_is_read_right_or_refused(
    reader: Callable[[Any], None], payload: Any
) -> None:
    reader(payload)
    chance = random.Random(7)
    refused: list[str] = []

    for _ in range(CASES):
        try:
            reader(mutated(payload, chance))
        except BadData as error:
            refused.append(str(error))

    assert len(refused) > CASES / 20, "a mutator that never hurts proves nothing"
    assert all(why.isprintable() and len(why) < 500 for why in refused)


def test_an_answer_that_is_no_json_at_all_is_refused_at_the_first_byte() -> None:
    raw = json.dumps(ORDER).encode()
    chance = random.Random(11)
    for _ in range(CASES):
        cut = bytearray(raw)
        for _ in range(chance.randint(1, 4)):
            cut[chance.randrange(len(cut))] = chance.randrange(256)
        try:
            read_order(convert.parsed(bytes(cut[: chance.randint(1, len(cut))])))
        except BadData:
            continue


def test_what_has_only_just_closed_may_still_change_and_what_has_not_begun_is_refused() -> None:
    future = [NOW_MS + 10 * HOUR_MS, *KLINE[1:6], NOW_MS + 11 * HOUR_MS - 1]
    unclosed = [NOW_MS, *KLINE[1:6], NOW_MS + HOUR_MS - 1]

    told = convert.candles([KLINE, unclosed, future], BTC, HOUR_MS, NOW_MS)
    settling = convert.candles([KLINE], BTC, HOUR_MS, NOW_MS + 999, settle_ms=1000)

    assert len(told.bars) == 1
    assert len(told.refused) == 1 and "from the future" in told.refused[0]
    assert settling == ((), ())


# --- What an order becomes ------------------------------------------------------------------------


RULES = Rules(
    BTC, Decimal("0.01"), Decimal("0.001"), Decimal("0.002"), Decimal(100), Decimal(5), "TRADING",
    frozenset({"MARKET", "LIMIT", "STOP_LOSS_LIMIT"}),
)  # fmt: skip
COLLAR = Decimal("0.03")


def sent(request: OrderRequest, rules: Rules = RULES) -> dict[str, str] | str:
    return convert.order_parameters(request, rules, COLLAR)


@pytest.mark.parametrize("side", list(Side))
def test_prices_are_rounded_up_to_sell_and_down_to_buy(side: Side) -> None:
    limit = order_request("", "x", side, "1.2345", OrderType.LIMIT, "100.005", instrument=BTC)

    told = sent(limit)

    assert isinstance(told, dict)
    assert told["price"] == ("100.01" if side is Side.SELL else "100")
    assert told["quantity"] == "1.234"


def test_a_stop_with_a_limit_reaches_a_collar_beyond_on_the_side_that_fills() -> None:
    down = sent(order_request("", "s", Side.SELL, "1", OrderType.STOP, "99.999", instrument=BTC))
    up = sent(order_request("", "s", Side.BUY, "1", OrderType.STOP, "100.001", instrument=BTC))

    assert isinstance(down, dict) and isinstance(up, dict)
    assert (down["stopPrice"], down["price"]) == ("100", "97")
    assert (up["stopPrice"], up["price"]) == ("100", "103")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (
            order_request("", "e", Side.BUY, "0.0019", instrument=BTC),
            "0.001 BTCUSDT is not from 0.002 to 100",
        ),
        (order_request("", "e", Side.BUY, "NaN", instrument=BTC), "is no order"),
        (order_request("", "e", Side.BUY, "-1", instrument=BTC), "is not from"),
        (order_request("", "e", Side.BUY, "1", OrderType.LIMIT, None, instrument=BTC), "needs a price"),
        (
            order_request("", "e", Side.BUY, "1", OrderType.LIMIT, "0.001", instrument=BTC),
            "less than one tick",
        ),
        (order_request("", "e", Side.BUY, "1", OrderType.LIMIT, "Infinity", instrument=BTC), "is no order"),
        (order_request("", "e", Side.BUY, "0.002", OrderType.LIMIT, "100", instrument=BTC), "is worth 0.2"),
    ],
)
def test_what_cannot_be_sent_says_why_with_its_numbers(request_: OrderRequest, said: str) -> None:
    told = sent(request_)

    assert isinstance(told, str)
    assert said in told


def test_ten_thousand_orders_of_any_size_are_sent_within_the_rules() -> None:
    chance = random.Random(3)
    for _ in range(10_000):
        quantity = Decimal(chance.randrange(1, 10**9)).scaleb(chance.randrange(-9, 2))
        price = Decimal(chance.randrange(1, 10**9)).scaleb(chance.randrange(-6, 2))
        kind, side = chance.choice(list(OrderType)), chance.choice(list(Side))
        told = sent(order_request("", "x", side, quantity, kind, price, instrument=BTC))
        if isinstance(told, str):
            continue
        assert Decimal(told["quantity"]) % RULES.lot == 0
        assert RULES.min_quantity <= Decimal(told["quantity"]) <= min(quantity, RULES.max_quantity)
        for name in ("price", "stopPrice"):
            assert Decimal(told.get(name, "1")) % RULES.tick == 0
            assert "E" not in told.get(name, "")


# --- What an error means --------------------------------------------------------------------------


def test_only_an_answer_that_leaves_no_doubt_is_a_refusal() -> None:
    for status in (200, 302, 400, 401, 403, 404, 408, 409, 410, 418, 429, 500, 502, 503, 504, 599):
        for code in range(-3000, 1):
            told = convert.verdict(status, code, "words")
            if status in (418, 429):
                assert told is convert.Verdict.NOT_EXECUTED
            elif told is convert.Verdict.REFUSED:
                assert status in (400, 401, 403)
                assert code not in (-1000, -1001, -1003, -1006, -1007, -1008, -1015, -1016, 0)


def test_strange_words_become_one_short_printable_line() -> None:
    told = convert.printable("a\r\n\x1b[31m\u202eb" + "x" * 10_000)

    assert told.startswith("a???[31m?b")
    assert len(told) == convert.LONGEST_TEXT
