"""Whatever a strategy wishes, its books balance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backtest.events import Account, Candle, Fill, run_strategy
from tests.unit.engine.backtest.markets import random_walk

wishes = st.lists(
    st.one_of(st.none(), st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0, -0.3, -1.0])), min_size=5, max_size=40
)
fills: st.SearchStrategy[Fill] = st.sampled_from(["close", "next open"])


class Told:
    """Answers as told, and notes what it was shown."""

    def __init__(self, answers: list[float | None]) -> None:
        self.answers, self.shown = answers, []  # type: ignore[var-annotated]

    def on_bar(self, bar: Candle, account: Account) -> float | None:
        self.shown.append(bar)
        return self.answers[len(self.shown) - 1]


@given(wishes, fills, st.integers(0, 1000))
def test_equity_is_capital_and_what_trades_earned(answers: list[float | None], fill: Fill, seed: int) -> None:
    bars = random_walk(len(answers), seed)

    result = run_strategy(
        bars, Told([*answers[:-2], 0.0, None]), capital=5000.0, fee_bps=7, slippage_bps=3, fill=fill
    )

    assert not result.open_trade
    assert result.equity[-1] - 5000 == pytest.approx(sum(trade.net for trade in result.trades), abs=1e-6)
    assert result.fees == pytest.approx(sum(trade.fees for trade in result.trades), abs=1e-9)
    assert np.isfinite(result.equity).all()
    assert all(
        first.exit <= second.entry for first, second in zip(result.trades, result.trades[1:], strict=False)
    )


@given(wishes, st.integers(0, 1000))
def test_a_fill_at_the_next_open_is_the_open_after_the_wish(answers: list[float | None], seed: int) -> None:
    bars = random_walk(len(answers), seed)

    result = run_strategy(bars, Told(answers), fee_bps=0)

    for trade in result.trades:
        assert answers[trade.entry - 1] or trade.entry in {other.exit for other in result.trades}
        assert bars.low.min() <= trade.entry_price <= bars.high.max()
    assert not result.position[0]


@given(wishes, st.integers(0, 1000))
def test_a_strategy_sees_each_bar_once_and_none_of_the_future(answers: list[float | None], seed: int) -> None:
    bars, told = random_walk(len(answers), seed), Told(answers)

    run_strategy(bars, told)

    assert [bar.end_ms for bar in told.shown] == bars.end_ms.tolist()
