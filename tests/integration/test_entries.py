"""What is cancelled for a desk that cannot do it itself: entries of its own kind, and nothing else."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from configs.load import SettingsError, load
from configs.schema.settings import Settings
from configs.secrets import load_keys
from engine.core.domain.errors import VenueDown
from engine.core.domain.ids import order_id
from engine.core.domain.order import OrderRequest, OrderStatus, OrderType, Side
from engine.venues.ccxt.broker import CcxtVenue
from jobs.clocks import WallClock
from jobs.entries import cancel_entries
from tests.architecture.source import ROOT
from tests.exchange.server import KEY, SECRET, FakeExchange

PROFILE = """
desk:
  currency: USDT
  instruments: [{{name: BTC/USDT, bars_per_year: 8760}}]
decision: {{long_only: true}}
venue: {{kind: binance, base_url: "{url}"}}
"""


@dataclass
class Room:
    """An exchange, and the profile of a desk that trades there."""

    exchange: FakeExchange
    profile: Path

    @property
    def settings(self) -> Settings:
        return load(str(self.profile), {})

    async def rest(self, client_id: str, side: Side = Side.BUY, price: int = 20_000) -> str:
        """An order that rests."""
        request = OrderRequest(
            client_id, "", "BTC/USDT", side, Decimal("0.01"), OrderType.LIMIT, Decimal(price), False, "e", "",
            datetime.now(UTC),
        )  # fmt: skip
        venue = CcxtVenue(self.settings, WallClock(), load_keys(self.settings.venue, os.environ))
        try:
            await venue.server_time_offset()
            await venue.prepare(request)
            assert (await venue.submit(request)).status is OrderStatus.ACCEPTED
        finally:
            await venue.close()
        return client_id

    def status(self, client_id: str) -> str:
        """How it stands at the exchange."""
        (found,) = [each for each in self.exchange.books.orders.values() if each.client_id == client_id]
        return str(found.status)


@pytest.fixture
async def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    monkeypatch.setenv("WHYDESK_VENUE_KEY", KEY)
    monkeypatch.setenv("WHYDESK_VENUE_SECRET", SECRET)
    async with FakeExchange(balances={"USDT": "10000", "BTC": "1"}) as exchange:
        profile = tmp_path / "desk.yaml"
        profile.write_text(PROFILE.format(url=exchange.url))
        yield Room(exchange, profile)


async def test_entries_are_cancelled_and_everything_else_is_left(room: Room) -> None:
    entries = [await room.rest(order_id(f"d-0fmb756o0-aa83997{n}", "e")) for n in range(3)]
    stop = await room.rest(order_id("d-0fmb756o0-aa839972", "s2"), Side.SELL, 90_000)
    stranger = await room.rest("web_5f3e")

    said = await cancel_entries(room.settings)

    assert said == "3 of 3 resting entries cancelled at the venue, 2 others left"
    assert {room.status(each) for each in entries} == {"CANCELED"}
    assert {room.status(each) for each in (stop, stranger)} == {"NEW"}
    assert (
        await cancel_entries(room.settings) == "0 of 0 resting entries cancelled at the venue, 2 others left"
    )


async def test_a_cancel_without_an_answer_is_told_and_not_counted(room: Room) -> None:
    await room.rest(order_id("d-0fmb756o0-aa839972", "e"))
    room.exchange.fault("DELETE order", when="before", answer="reset")

    said = await cancel_entries(room.settings)

    assert said.startswith("0 of 1 resting entries cancelled at the venue, 0 others left; ")
    assert "after the request had left" in said


async def test_a_venue_that_does_not_answer_and_keys_that_are_missing_are_said(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.exchange.fault("*", answer="error", status=503, count=10)
    with pytest.raises(VenueDown, match="503"):
        await cancel_entries(room.settings)
    monkeypatch.delenv("WHYDESK_VENUE_SECRET")
    with pytest.raises(SettingsError, match="WHYDESK_VENUE_SECRET not found"):
        await cancel_entries(room.settings)


def test_as_a_process_it_says_on_one_line_why_not(tmp_path: Path) -> None:
    profile = tmp_path / "desk.yaml"
    profile.write_text(PROFILE.format(url="http://127.0.0.1:1"))

    done = subprocess.run(
        [sys.executable, "-m", "jobs.entries", str(profile)],
        cwd=ROOT,
        env=os.environ | {"WHYDESK_VENUE_KEY": KEY, "WHYDESK_VENUE_SECRET": SECRET},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "no connection to the venue (ClientConnectorError)\n"
