"""Ten orders at once for the last place: one gets in, whoever sends them, also after a restart."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from configs.schema.risk import RiskSettings
from configs.schema.settings import Settings, settings_hash
from engine.core.accounting.fold import DeskState
from engine.core.domain.commands import Command, CommandKind, Outcome
from engine.core.domain.records import CycleRecord, Identity
from engine.core.pipeline import decide_on
from engine.live.bus import Bus
from engine.live.control import Control
from engine.live.desk import LiveDesk
from engine.live.orders import OrderManager
from engine.live.recover import rebuild
from engine.live.writer import Writer
from engine.store.journal import SqlJournal
from engine.store.state import SqlStateStore
from engine.venues.paper import PaperVenue
from tests.builders import bar, portfolio, settings
from tests.core_builders import observation
from tests.fakes import FakeClock

NAMES = tuple(f"X{n}" for n in range(10))
FREELY: dict[str, Any] = {
    "max_entries_per_instrument": 100,
    "max_daily_entries": 100,
    "max_entries_at_once": 100,
}


class Desk:
    """A desk over a real journal and a real row, that has looked at ten instruments and holds none."""

    def __init__(self, home: Path, **limits: Any) -> None:
        self.settings = settings(*NAMES, risk=RiskSettings(**(FREELY | limits)))
        self.journal = SqlJournal(home / "desk.db", synchronous="NORMAL")
        self.store = SqlStateStore(home / "desk.db")
        self.venue = PaperVenue(self.settings)
        self.clock = FakeClock()
        if not self.journal.count():
            self.journal.append_many(self._looks(self.settings))
        recovered = rebuild(self.journal, self.settings)
        bus = Bus()
        writer = Writer(self.journal, bus, recovered.state, recovered.sequence)
        orders = OrderManager(writer, self.journal, self.venue, self.store, self.clock, self.settings)
        identity = Identity(self.settings, settings_hash(self.settings), "test")
        control = Control(writer, self.journal, self.store, orders, self.clock, identity)
        self.desk = LiveDesk(writer, control, bus)
        self.writer = writer

    def _looks(self, chosen: Settings) -> list[CycleRecord]:
        marks = {name: Decimal(100) for name in NAMES}
        state = DeskState(portfolio=portfolio(cash="100000", marks=marks))
        identity = Identity(chosen, settings_hash(chosen), "test")
        quiet = [observation(bar=bar(name, close="100.00"), regime="crash") for name in NAMES]
        return [decide_on(each, (), state, identity) for each in quiet]

    async def buy(self, name: str, key: str, quantity: str = "10") -> Outcome:
        wish = Command(
            CommandKind.ENTER, "ana", "chat", key, name, quantity=Decimal(quantity), at=self.clock.now()
        )
        return await self.desk.submit(wish)

    def close(self) -> None:
        self.journal.close()
        self.store.close()


@pytest.fixture(
    params=[
        ({"max_daily_entries": 1}, "daily entries"),
        ({"max_positions": 1}, "positions"),
        ({"max_gross": 0.015}, "gross exposure"),
        ({"max_open_orders": 5}, "open orders"),
        ({"max_daily_turnover": 0.015}, "daily turnover"),
        ({"max_stock_leverage": 0.015}, "leverage"),
    ],
    ids=lambda case: case[1],
)
def case(request: pytest.FixtureRequest) -> tuple[dict[str, Any], str]:
    found: tuple[dict[str, Any], str] = request.param
    return found


async def test_of_ten_that_race_for_the_last_place_one_gets_in(
    tmp_path: Path, case: tuple[dict[str, Any], str]
) -> None:
    limits, name = case
    desk = Desk(tmp_path, **limits)

    outcomes = await asyncio.gather(*(desk.buy(each, f"k{each}") for each in NAMES))

    refused = [outcome.text for outcome in outcomes if not outcome.accepted]
    assert len(refused) == 9
    assert all(text.startswith(f"nothing was bought: {name} would be ") for text in refused)
    assert sum(not order.request.reduce_only for order in desk.writer.state.portfolio.orders) == 1
    desk.close()


async def test_the_place_is_taken_after_a_restart_too(
    tmp_path: Path, case: tuple[dict[str, Any], str]
) -> None:
    limits, _ = case
    first = Desk(tmp_path, **limits)
    assert (await first.buy("X0", "one")).accepted
    first.close()

    again = Desk(tmp_path, **limits)
    outcomes = await asyncio.gather(*(again.buy(each, f"k{each}") for each in NAMES[1:]))

    assert [outcome.accepted for outcome in outcomes] == [False] * 9
    again.close()


async def test_the_same_wish_from_ten_consoles_buys_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    outcomes = await asyncio.gather(*(desk.buy("X0", f"console-{n}") for n in range(10)))

    assert sum(outcome.accepted for outcome in outcomes) == 1
    desk.close()
