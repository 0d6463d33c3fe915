"""Ten orders at once for the last place: one gets in, whoever sends them, also after a restart."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from configs.schema.decision import DecisionSettings
from configs.schema.risk import GridSettings, RiskSettings
from configs.schema.settings import Settings, settings_hash
from engine.core.accounting.fold import DeskState
from engine.core.accounting.ledger import mark
from engine.core.accounting.settle import settled
from engine.core.domain.commands import Command, CommandKind, Outcome
from engine.core.domain.records import CycleRecord, Identity, IncidentRecord
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
from tests.builders import DAY, bar, portfolio, settings
from tests.core_builders import features, observation
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
        stays = DecisionSettings(trail_atr=0)
        self.settings = settings(*NAMES, risk=RiskSettings(**(FREELY | limits)), decision=stays)
        self.journal = SqlJournal(home / "desk.db", synchronous="NORMAL")
        self.store = SqlStateStore(home / "desk.db")
        self.venue = PaperVenue(self.settings)
        self.clock = FakeClock()
        if not self.journal.count():
            self.journal.append_many(self._looks(self.settings))
        recovered = rebuild(self.journal, self.settings)
        self.venue.restore(recovered.state)
        bus = Bus()
        writer = Writer(self.journal, bus, recovered.state, recovered.sequence)
        orders = OrderManager(writer, self.journal, self.venue, self.store, self.clock, self.settings)
        identity = Identity(self.settings, settings_hash(self.settings), "test")
        control = Control(writer, self.journal, self.store, orders, self.clock, identity)
        self.desk = LiveDesk(writer, control, bus)
        self.control, self.identity = control, identity
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

    async def tell(self, name: str, close: str, **prices: str) -> None:
        """A bar closes: what it did to the orders, and a look that finds nothing to do."""
        self.clock.move(DAY)
        told = bar(name, self.clock.now(), close, **prices)
        updates = await self.venue.updates([told])
        await self.writer.write(settled(self.writer.state, updates, told.end)[1])
        state = self.writer.state
        state = DeskState(mark(state.portfolio, told), state.risk)
        seen = observation(bar=told, regime="quiet_range", features=features(0.0))
        await self.writer.write([decide_on(seen, (), state, self.identity)])

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


# --- the last level of a grid ---

GRID = GridSettings("X0", Decimal(90), Decimal(110), Decimal(85), levels=2, max_risk=0.02)
PATIENT: dict[str, Any] = {"grids": (GRID,), "duplicate_s": 0.0}


async def with_one_level_left(home: Path) -> Desk:
    """A desk that bought in the upper level of two, and now the price is in the lower."""
    desk = Desk(home, **PATIENT)
    await desk.tell("X0", "105")
    assert (await desk.buy("X0", "first")).accepted
    await desk.tell("X0", "95", open="105")
    assert [position.quantity for position in desk.writer.state.portfolio.positions] == [10]
    return desk


def entries(desk: Desk) -> list[CycleRecord]:
    """What came of each wish, oldest first."""
    found = [stored.record for stored in desk.journal.find(kind="cycle", instrument="X0", limit=100)]
    return [each for each in reversed(found) if isinstance(each, CycleRecord) and each.wish is not None]


async def test_of_ten_that_race_for_the_last_level_of_a_grid_one_gets_in(tmp_path: Path) -> None:
    desk = await with_one_level_left(tmp_path)

    outcomes = await asyncio.gather(*(desk.buy("X0", f"console-{n}") for n in range(10)))

    assert sum(outcome.accepted for outcome in outcomes) == 1
    for refused in entries(desk)[2:]:
        failed = {check.name for check in refused.result.review.checks if not check.passed}
        assert {"order pending", "grid level", "grid entries"} <= failed
    desk.close()


async def test_the_last_level_of_a_grid_is_taken_after_a_restart_too(tmp_path: Path) -> None:
    first = await with_one_level_left(tmp_path)
    assert (await first.buy("X0", "second")).accepted
    await first.tell("X0", "95")
    first.close()

    again = Desk(tmp_path, **PATIENT)
    again.clock.move(4 * DAY)
    outcomes = await asyncio.gather(*(again.buy("X0", f"console-{n}") for n in range(10)))

    assert [outcome.accepted for outcome in outcomes] == [False] * 10
    assert {outcome.text for outcome in outcomes} == {
        "nothing was bought: grid level would be 1 count, at most 0 count is allowed (risk.grids.levels)"
    }
    again.close()


@pytest.mark.parametrize("dies", [False, True])
async def test_a_grid_that_ended_is_a_lock_in_the_store_until_a_person_unlocks_it(
    tmp_path: Path, dies: bool
) -> None:
    """Also where the desk died before it could give the lock its row."""
    desk = await with_one_level_left(tmp_path)
    await desk.tell("X0", "95", low="84")
    if dies:
        desk.close()
        desk = Desk(tmp_path, **PATIENT)
        desk.clock.move(3 * DAY)
    why = desk.writer.state.risk.locks["X0"].why
    await desk.control.adopt_row()

    (row,) = [row for row in desk.store.locks() if row.locked]
    refused = await desk.buy("X0", "too early")
    said = [stored.record for stored in desk.journal.find(kind="incident", limit=9)]
    unlock = Command(CommandKind.UNLOCK, "ana", "chat", "unlock", reason="looked at", name="X0")
    unlocked = await desk.desk.submit(unlock)
    again = await desk.buy("X0", "now")

    assert why.startswith("the grid of X0 ended: sold at ")
    assert (row.name, row.by, row.reason) == ("X0", "grid", why)
    assert [each.text for each in said if isinstance(each, IncidentRecord)] == [f"X0 is locked: {why}"]
    assert (refused.accepted, refused.text) == (False, f"nothing was bought: X0 is locked: {why}")
    assert unlocked.accepted
    assert again.accepted, again.text
    desk.close()
