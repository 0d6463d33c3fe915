"""The first look at the account waits for nobody, and nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.core.domain.errors import Refused
from engine.core.domain.risk import TradingState
from engine.live import supervise
from tests.life import Life, life


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Life]:
    async with life(tmp_path, started=False) as desk:
        await desk.start(begin=False)
        yield desk


async def test_e7_a_first_look_that_takes_long_holds_entries_and_goes_on_by_itself(
    desk: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "AGAIN_S", 0.01)
    answered = asyncio.Event()

    async def admit() -> None:
        await answered.wait()

    await desk.engine.keeper.begin(admit)
    held = dict(desk.holds)
    answered.set()
    while desk.holds:
        await desk.engine.keeper.begin_again()

    assert held == {"unread": "the account is being read for the first time since the start"}
    assert not desk.engine.desk.turn.locked()


async def test_a_first_look_that_is_refused_later_ends_the_desk(
    desk: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "AGAIN_S", 0.01)
    answered = asyncio.Event()

    async def admit() -> None:
        await answered.wait()
        raise Refused("the key may withdraw")

    await desk.engine.keeper.begin(admit)
    answered.set()

    with pytest.raises(Refused, match="withdraw"):
        await desk.engine.keeper.begin_again()


async def test_where_there_is_no_first_look_nothing_begins_again(desk: Life) -> None:
    await desk.engine.keeper.begin_again()

    assert desk.holds == {}


async def test_a_first_look_that_succeeds_at_once_holds_nothing_at_all(desk: Life) -> None:
    async def admit() -> None: ...

    await desk.engine.keeper.begin(admit)

    assert desk.holds == {}
    assert desk.told("hold unread") == []


async def test_a_desk_that_ends_during_its_first_look_does_not_wait_for_it(
    desk: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "AGAIN_S", 0.01)
    left = asyncio.Event()

    async def admit() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    await desk.engine.keeper.begin(admit)
    await asyncio.wait_for(desk.engine.keeper.end(), 5)

    assert left.is_set()
    await desk.engine.keeper.end()  # and a second time there is nothing to end


async def test_a_desk_that_ends_without_a_first_look_has_nothing_to_let_go_of(desk: Life) -> None:
    await desk.engine.keeper.end()

    assert desk.holds == {}


async def test_a_kill_during_the_boot_is_taken_over_before_the_desk_says_that_it_is_up(desk: Life) -> None:
    desk.store.set_halt(TradingState.HALTED, "ops", "wait", desk.clock.now())

    await desk.engine.keeper.adopt_halt()

    status = desk.engine.desk.status()
    assert (status["state"], status["by"], status["reason"]) == ("halted", "ops", "wait")
