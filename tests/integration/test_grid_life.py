"""A grid at a venue that lives elsewhere: each entry adds to one position, one stop ends all of it."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from configs.schema.risk import GridSettings
from engine.core.domain.commands import CommandKind
from engine.core.domain.order import Order, OrderStatus, OrderType
from engine.core.domain.records import TradeRecord
from tests.life import BTC, Life, life

HELD, SELLABLE = Decimal("0.017982"), Decimal("0.01798")
"""Of 0.018 the exchange keeps a thousandth as its fee; what can be sold are whole lots."""
GRID = GridSettings(BTC, Decimal(45_000), Decimal(51_000), Decimal(44_000), levels=3, max_risk=0.02)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Life]:
    async with life(tmp_path, started=False) as one:
        risk = replace(one.settings.risk, grids=(GRID,), max_ladder=1)
        decision = replace(one.settings.decision, trail_atr=0)
        one.settings = replace(one.settings, risk=risk, decision=decision)
        yield await one.start()


async def falls_to(desk: Life, price: str) -> None:
    """The price is there, and the desk has looked."""
    desk.clock.advance(20)
    desk.exchange.set_price("BTCUSDT", price)
    await desk.look_at_market_again({BTC: price})


def stops(desk: Life) -> list[Order]:
    """Those that rest at the exchange."""
    return [o for o in desk.orders() if o.request.type is OrderType.STOP and o.status is OrderStatus.ACCEPTED]


async def two_levels(desk: Life) -> None:
    """Bought in the upper two of three levels."""
    first = await desk.buy()
    await desk.tend(2)
    await falls_to(desk, "48000")
    second = await desk.buy("0.008")
    await desk.tend(2)
    assert (first.accepted, second.accepted) == (True, True), second.text


async def test_an_entry_lower_down_adds_to_the_position_and_to_what_protects_it(desk: Life) -> None:
    await two_levels(desk)
    position = desk.held()

    assert (position.quantity, position.stop, len(position.added)) == (HELD, 44_000, 1)
    assert {order.request.price for order in stops(desk)} == {44_000}
    assert sum(order.remaining for order in stops(desk)) == SELLABLE
    again = await desk.buy("0.001")
    assert again.text == (
        "nothing was bought: grid level would be 1 count, at most 0 count is allowed (risk.grids.levels)"
    )
    desk.judged()


async def test_all_of_it_leaves_at_one_stop_and_the_instrument_is_locked_until_somebody_unlocks_it(
    desk: Life,
) -> None:
    await two_levels(desk)
    desk.exchange.set_price("BTCUSDT", "43990")
    await desk.tend_for(12)
    await desk.restart()
    await falls_to(desk, "46000")
    refused = await desk.buy("0.001")

    assert desk.portfolio.positions == desk.portfolio.orders == ()
    (trade,) = desk.written(TradeRecord)
    assert (trade.quantity, trade.exit_reason) == (HELD, "stop")
    assert -trade.net <= Decimal("0.02") * 10_000
    assert refused.text.startswith(
        "nothing was bought: BTC/USDT is locked: the grid of BTC/USDT ended: sold at "
    )
    unlocked = await desk.engine.desk.submit(replace(desk.command(CommandKind.UNLOCK), name=BTC))
    assert (unlocked.text, desk.engine.writer.state.risk.locks) == ("BTC/USDT is unlocked", {})
    assert (await desk.buy("0.001")).accepted
    desk.judged()


async def test_after_a_restart_the_grid_is_what_it_was(desk: Life) -> None:
    await two_levels(desk)
    before = desk.engine.writer.state.risk.grids
    await desk.restart()
    await desk.tend(2)

    assert desk.engine.writer.state.risk.grids == before
    refused = await desk.buy("0.001")
    assert "grid level would be 1 count" in refused.text
    await falls_to(desk, "46000")
    assert (await desk.buy("0.002")).accepted
    await desk.tend(2)
    assert sum(order.remaining for order in stops(desk)) == desk.held().quantity == Decimal("0.01998")
    desk.judged()


async def test_an_entry_that_the_venue_refuses_leaves_its_level_free(desk: Life) -> None:
    await desk.buy()
    await desk.tend(2)
    await falls_to(desk, "48000")
    desk.exchange.fault("POST order", answer="error", status=400, code=-2010, msg="Not now.", count=1)
    refused = await desk.buy("0.008")
    await desk.tend(2)
    again = await desk.buy("0.008")
    await desk.tend(2)

    assert (refused.accepted, again.accepted) == (False, True)
    assert (desk.held().quantity, sum(order.remaining for order in stops(desk))) == (HELD, SELLABLE)
    desk.judged()


async def test_a_person_closes_all_of_a_grid_and_it_may_begin_anew(desk: Life) -> None:
    await two_levels(desk)
    await desk.sell()
    await desk.tend_for(6)

    assert desk.portfolio.positions == desk.portfolio.orders == ()
    run = desk.engine.writer.state.risk.grids[BTC]
    assert (run.entries, run.over, desk.engine.writer.state.risk.locks) == ((), False, {})
    assert run.lost > 0
    assert (await desk.buy("0.008")).accepted
    desk.judged()
