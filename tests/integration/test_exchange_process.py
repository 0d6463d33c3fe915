"""The exchange as a process of its own: what chaos tests judge a killed desk by, and a venue that freezes."""

import asyncio
import json
import os
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any

import pytest

from configs.schema.desk import DeskSettings, Instrument
from configs.schema.settings import Settings
from configs.schema.venue import VenueSettings
from configs.secrets import load_keys
from engine.core.domain.errors import VenueDown
from engine.core.domain.order import OrderStatus, OrderType, Side
from engine.venues.ccxt.broker import CcxtVenue
from tests.builders import order_request
from tests.exchange import TurnedClock

BTC = "BTC/USDT"


class WallClock:
    """The present."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return monotonic()


class Exchange:
    """The process, what it printed, and its strings."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, environment: dict[str, str]) -> None:
        self.process, self.url, self.environment = process, url, environment

    async def pull(self, what: str, **said: Any) -> Any:
        """Ask the control page, or tell it."""

        def ask() -> Any:
            data = json.dumps(said).encode() if said else None
            with urllib.request.urlopen(f"{self.url}/_control/{what}", data, timeout=5) as answer:
                return json.load(answer)

        return await asyncio.to_thread(ask)


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.exchange", "--port", "0", "--balance", "USDT=10000", "--balance", "BTC=1",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    pairs = dict(pair.split("=", 1) for pair in (await process.stdout.readline()).decode().split())
    yield Exchange(process, url, pairs)
    process.send_signal(signal.SIGCONT)
    process.terminate()
    await process.communicate()
    assert process.returncode == 0


@pytest.fixture
async def venue(exchange: Exchange) -> AsyncIterator[CcxtVenue]:
    told = VenueSettings(kind="binance", base_url=exchange.url, request_timeout_s=0.5)
    desk = DeskSettings(currency="USDT", timeframe="1m", instruments=(Instrument(BTC),))
    settings = Settings(desk=desk, venue=told)
    venue = CcxtVenue(settings, WallClock(), load_keys(told, exchange.environment))
    yield venue
    await venue.close()


async def test_an_order_is_in_the_exchanges_own_truth_whatever_we_were_told(
    exchange: Exchange, venue: CcxtVenue
) -> None:
    await exchange.pull("fault", path="POST order", when="after", answer="reset")
    order = order_request("", "e", Side.BUY, "0.1", instrument=BTC)

    await venue.prepare(order)
    answer = await venue.submit(order)
    truth = await exchange.pull("truth")

    assert answer.status is OrderStatus.UNKNOWN
    (placed,) = truth["orders"]
    assert (placed["clientOrderId"], placed["status"], placed["who"]) == (order.client_id, "FILLED", "desk")
    assert [trade["orderId"] for trade in truth["trades"]] == [placed["orderId"]]
    assert [row["path"] for row in await exchange.pull("requests")] == ["exchangeInfo", "order"]


async def test_its_strings_move_the_market_and_the_account(exchange: Exchange, venue: CcxtVenue) -> None:
    stop = order_request("", "s", Side.SELL, "0.1", OrderType.STOP, "49000", instrument=BTC)
    await venue.prepare(stop)
    assert (await venue.submit(stop)).status is OrderStatus.ACCEPTED
    await exchange.pull("trade", symbol="BTCUSDT", side="BUY", quantity="0.01", client_id="somebody")
    await exchange.pull("balance", asset="ETH", free="3")
    await exchange.pull("price", symbol="BTCUSDT", price="48000")

    seen = await venue.lookup(stop)
    account = await venue.account(datetime.now(UTC) - timedelta(minutes=1))

    assert seen is not None
    assert (seen.status, seen.fills[0].price) == (OrderStatus.FILLED, Decimal(48000))
    assert account.balances["ETH"] == 3
    assert {fill.client_id for fill in account.fills} == {"somebody", stop.client_id}


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("path", {"symbol": "BTCUSDT", "path": [[0, "49000"], [0.1, "51000"]]}),
        ("rules", {"symbol": "BTCUSDT", "tick": "0.1", "status": "BREAK"}),
        ("clock", {"offset_ms": 1500, "advance_s": 60}),
        ("rights", {"can_trade": False}),
        ("books", {"parts": 3, "hide_s": 2.5, "share": "0.5", "repeat_trades": True, "fee_asset": "BNB"}),
        ("vanish", {"client_id": "nobody"}),
        ("calm", {"now": True}),
    ],
)
async def test_every_string_can_be_pulled(exchange: Exchange, what: str, said: dict[str, Any]) -> None:
    assert await exchange.pull(what, **said) == {"done": what}


async def test_b8_a_venue_that_freezes_holds_nobody_up_and_is_found_again(
    exchange: Exchange, venue: CcxtVenue
) -> None:
    """Its connections stay open and say nothing, which is what a half-open connection looks like from here."""
    await venue.rules()
    order = order_request("", "e", Side.BUY, "0.1", instrument=BTC)
    os.kill(exchange.process.pid, signal.SIGSTOP)

    begun = monotonic()
    answer = await venue.submit(order)
    with pytest.raises(VenueDown):
        await venue.lookup(order)
    took = monotonic() - begun
    os.kill(exchange.process.pid, signal.SIGCONT)
    async with asyncio.timeout(5):
        while (seen := await venue.lookup(order)) is None:
            await asyncio.wait([asyncio.create_task(asyncio.sleep(0))])

    assert answer.status is OrderStatus.UNKNOWN
    assert took < 2
    assert seen.status is OrderStatus.FILLED


def test_a_turned_clock_stands_until_it_is_turned() -> None:
    clock = TurnedClock()
    before = clock.now(), clock.monotonic()
    clock.advance(5)
    clock.set(-60)

    assert (clock.now() - before[0], clock.monotonic() - before[1]) == (timedelta(seconds=-55), 5)
