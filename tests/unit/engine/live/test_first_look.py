"""The first look at the account waits for nobody, and nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.core.domain.errors import Refused
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
