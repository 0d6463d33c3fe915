"""What no shock may do, whatever the market was."""

from datetime import timedelta
from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema.execution import ExecutionSettings
from engine.backtest.events import Account, Candle, run_strategy
from engine.core.analytics import shock
from engine.core.analytics.scenarios import SCENARIOS, Scenario
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.instrument import exact
from engine.core.domain.market import Bar, BarArrays
from engine.core.domain.order import Fill, OrderRequest, OrderType, Side
from engine.core.execution.book import Book, Conditions
from tests.builders import settings as desk_settings
from tests.unit.engine.backtest.markets import random_walk

scenarios = st.sampled_from(SCENARIOS)
above_zero = st.sampled_from([scenario for scenario in SCENARIOS if scenario.lowest > 0])
scales = st.floats(0.0, 3.0)
paces = st.sampled_from([1.0, 6.5, 7.0, 24.0, 96.0, 288.0])
seeds = st.integers(0, 500)


def laid(base: BarArrays, scenario: Scenario, scale: float, per_day: float, first: int = 5) -> BarArrays:
    number = np.arange(base.size) - first
    return shock.lay(base, number, scenario, scale, shock.pace(scenario, per_day), 2)


class Holder:
    """Buys all it can and holds through."""

    def on_bar(self, bar: Candle, account: Account) -> float:
        return 1.0


@given(scenarios, paces, seeds)
def test_a_scale_of_zero_leaves_every_bar_as_it_was(scenario: Scenario, per_day: float, seed: int) -> None:
    base = random_walk(60, seed)

    for before, after in zip(base, laid(base, scenario, 0.0, per_day), strict=True):
        assert np.array_equal(before, after)


@given(above_zero, scales, paces, seeds)
def test_stressed_bars_are_bars(scenario: Scenario, scale: float, per_day: float, seed: int) -> None:
    bars = laid(random_walk(60, seed), scenario, scale, per_day)

    assert (bars.low > 0).all()
    assert (bars.low <= np.minimum(bars.open, bars.close)).all()
    assert (bars.high >= np.maximum(bars.open, bars.close)).all()
    assert (bars.volume >= 0).all()


@given(above_zero, scales, scales, paces, seeds)
def test_a_deeper_shock_never_helps_a_long_book_that_holds_through(
    scenario: Scenario, one: float, other: float, per_day: float, seed: int
) -> None:
    base = random_walk(80, seed)
    mild, deep = (
        run_strategy(laid(base, scenario, scale, per_day), Holder(), fee_bps=0)
        for scale in sorted((one, other))
    )

    assert (deep.equity <= mild.equity * (1 + 1e-12)).all()


prices = st.decimals("20", "200", places=2)


@given(
    prices, prices, st.floats(0, 0.1), st.floats(1, 50), st.floats(0.01, 1),
    st.sampled_from([Side.BUY, Side.SELL]), st.integers(1, 500),
)  # fmt: skip
@settings(max_examples=200)
def test_spread_and_depth_never_better_the_price_of_the_same_trade(
    opened: Decimal, close: Decimal, wick: float, spread: float, depth: float, side: Side, units: int
) -> None:
    usual = _traded(opened, close, wick, 1.0, 1.0, side, units)
    strained = _traded(opened, close, wick, spread, depth, side, units)

    assert usual is not None
    if strained is not None:
        assert side.sign * (strained.price - usual.price) >= 0
        assert strained.quantity <= usual.quantity


def _traded(
    opened: Decimal, close: Decimal, wick: float, spread: float, depth: float, side: Side, units: int
) -> Fill | None:
    """A market order for so many units in one bar."""
    costs = ExecutionSettings(participation=0.05)
    book = Book(desk_settings(execution=costs))
    book.conditions = Conditions(spread=spread)
    end = from_epoch_ms(1_500_000_000_000)
    book.place(
        OrderRequest(
            "wd1", "d-1", "SP500", side, Decimal(units), OrderType.MARKET, None, False, "e", "signal",
            end - timedelta(days=1),
        )
    )  # fmt: skip
    high, low = max(opened, close) * exact(1 + wick), min(opened, close) * exact(1 - wick)
    updates = book.on_bar(Bar("SP500", end, opened, high, low, close, exact(20_000 * depth)))
    return updates[0].fill if updates else None
