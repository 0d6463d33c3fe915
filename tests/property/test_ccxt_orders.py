"""Whatever goes wrong on the way, what the adapter says of an order agrees with what the exchange knows of it."""

import contextlib
import random
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from engine.core.domain.errors import VenueDown
from engine.core.domain.order import OrderRequest, OrderStatus, OrderType, Side
from engine.venues.ccxt.broker import CcxtVenue
from tests.builders import order_request
from tests.contract.test_ccxt_venue import BTC, desk
from tests.exchange import FakeExchange, TurnedClock

ORDERS = 150
ANSWERS = ("reset", "error", "html", "truncated", "doubled", "nested", "empty", "other_order")


def an_order(chance: random.Random, number: int) -> OrderRequest:
    side = chance.choice(list(Side))
    kind = chance.choice([OrderType.MARKET, OrderType.MARKET, OrderType.LIMIT, OrderType.STOP])
    away = Decimal(chance.randrange(-300, 300))
    quantity = Decimal(chance.randrange(1, 4000)).scaleb(-6)  # some below the least that is taken
    price = None if kind is OrderType.MARKET else Decimal(50_000) + away
    return order_request(
        f"d-{number:09d}-x", chance.choice("ex"), side, quantity, kind, price, instrument=BTC
    )


def a_fault(exchange: FakeExchange, chance: random.Random) -> None:
    when = chance.choice(["before", "after", "after", "later"])
    answer = "reset" if when == "later" else chance.choice(ANSWERS)
    status, code = chance.choice(
        [(500, -1000), (503, -1008), (504, -1007), (400, -1006), (429, -1003), (502, 0)]
    )
    if when == "after" and status == 429:
        status = 500  # an exchange that says 429 has not carried it out
    exchange.fault(
        chance.choice(["POST order", "POST order", "DELETE order", "GET order", "myTrades"]),
        when=when, answer=answer, status=status, code=code, retry_after="1" if status == 429 else "", seconds=0.005,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def closing(venue: CcxtVenue) -> AsyncIterator[CcxtVenue]:
    """The venue, closed at the end."""
    try:
        yield venue
    finally:
        await venue.close()


@pytest.mark.parametrize("seed", range(6))
async def test_no_order_is_lost_none_is_doubled_and_none_is_called_absent_that_is_there(seed: int) -> None:
    chance, clock = random.Random(seed), TurnedClock()
    sent: dict[str, OrderRequest] = {}
    said: dict[str, OrderStatus] = {}
    async with (
        FakeExchange(
            {"BTCUSDT": "50000"}, {"USDT": "20000", "BTC": "0.2", "BNB": "30"}, clock, seed=seed
        ) as exchange,
        closing(CcxtVenue(desk(exchange.url, weight_per_minute=100_000), clock, exchange.keys)) as venue,
    ):
        exchange.books.parts, exchange.books.fee_asset = chance.choice([1, 3]), chance.choice(["", "BNB"])
        exchange.books.repeat_trades, exchange.books.trades_lag_s = (
            chance.random() < 0.5,
            chance.choice([0, 4]),
        )
        for number in range(ORDERS):
            if chance.random() < 0.6:
                a_fault(exchange, chance)
            exchange.set_price("BTCUSDT", str(50_000 + chance.randrange(-300, 300)))
            exchange.books.fill_before_cancel = chance.random() < 0.3
            order = an_order(chance, number)
            sent[order.client_id] = order
            await venue.prepare(order)
            said[order.client_id] = (await venue.submit(order)).status
            victim = sent[chance.choice(list(sent))]
            cancelled = await venue.cancel(victim)
            with contextlib.suppress(VenueDown):
                await venue.lookup(victim)
            if cancelled.status is OrderStatus.CANCELLED:
                rows = [row for row in exchange.books.orders.values() if row.client_id == victim.client_id]
                assert [row.status for row in rows] == ["CANCELED"]
            clock.advance(chance.choice([0, 0.5, 2]))
        await exchange.quiet()
        exchange.faults.waiting.clear()
        clock.advance(130)

        truth = {order.client_id: order for order in exchange.books.orders.values()}
        assert len(truth) == len(exchange.books.orders), "no client id was used twice"
        assert set(truth) <= set(sent)
        assert len([1 for row in exchange.requests("POST order")]) <= ORDERS, "each was sent at most once"
        for client_id, order in sent.items():
            there, seen = truth.get(client_id), await venue.lookup(order)
            if said[client_id] in (OrderStatus.REFUSED, OrderStatus.EXPIRED):
                assert there is None, "certainly not there, it was said"
            if said[client_id] is OrderStatus.ACCEPTED:
                assert there is not None
            assert (seen is None) == (there is None)
            if seen is not None and there is not None:
                assert seen.filled == there.done
                assert sum(fill.quantity + fill.withheld for fill in seen.fills) == there.done
                assert len({fill.trade_id for fill in seen.fills}) == len(seen.fills)
                assert seen.status.open == there.open
        account = await venue.account(clock.now().replace(year=2020))
        told = {fill.trade_id for fill in account.fills}
        assert told == {f"BTCUSDT-{trade['id']}" for trade in exchange.books.trades}
        moved = sum(fill.quantity * fill.side.sign for fill in account.fills)
        assert account.balances["BTC"] == Decimal("0.2") + moved
        assert exchange.violations == 0
        assert {OrderStatus.ACCEPTED, OrderStatus.UNKNOWN} <= set(said.values())
