"""A strategy of one's own: one call a bar, and books that balance."""

import numpy as np
import pytest

from engine.backtest.events import Account, Candle, Mean, run_strategy
from engine.core.domain.errors import BadInput
from engine.core.domain.market import BarArrays
from tests.unit.engine.backtest.markets import HOUR_MS, START_MS, random_walk


class Script:
    """Wishes by bar number, and what the account looked like when asked."""

    def __init__(self, wishes: dict[int, float]) -> None:
        self.wishes, self.seen, self.bars = wishes, [], []  # type: ignore[var-annotated]

    def on_bar(self, bar: Candle, account: Account) -> float | None:
        self.seen.append((account.cash, account.quantity, account.entry_price))
        self.bars.append(bar)
        return self.wishes.get(len(self.bars) - 1)


class Cross:
    """Long while the fast mean is above the slow one, from the first crossing on."""

    def __init__(self, fast: int = 20, slow: int = 50, share: float = 0.1) -> None:
        self.fast, self.slow, self.share = Mean(fast), Mean(slow), share
        self.up: bool | None = None

    def on_bar(self, bar: Candle, account: Account) -> float | None:
        fast, slow = self.fast.add(bar.close), self.slow.add(bar.close)
        if slow is None or fast is None:
            return None
        was, self.up = self.up, fast > slow
        if was is None or was == self.up:
            return None
        return self.share if self.up else 0.0


def flat_bars(*closes: float) -> BarArrays:
    """Bars that open ten cents above where they close."""
    close = np.array(closes)
    ends = START_MS + HOUR_MS * np.arange(1, close.size + 1)
    return BarArrays(ends, close + 0.1, close + 0.2, close - 0.2, close, np.ones(close.size))


def test_a_wish_at_the_close_buys_its_share_of_equity_and_pays_the_fee() -> None:
    script = Script({1: 0.5, 3: 0.0})

    result = run_strategy(flat_bars(100, 100, 110, 120, 120), script, capital=1000, fee_bps=10, fill="close")

    (trade,) = result.trades
    assert (trade.entry, trade.exit, trade.quantity) == (1, 3, 5.0)
    assert trade.gross == pytest.approx(100.0)
    assert trade.fees == pytest.approx(0.5 + 0.6)
    assert result.equity.tolist() == pytest.approx([1000, 1000, 999.5, 1049.5, 1098.9, 1098.9])
    assert result.position.tolist() == [0, 5, 5, 0, 0]
    assert script.seen[2] == (pytest.approx(499.5), 5.0, 100.0)


def test_a_wish_for_the_next_open_fills_there_and_the_last_one_never() -> None:
    result = run_strategy(flat_bars(100, 100, 110, 120), Script({0: 1.0, 3: 0.0}), capital=1000.0, fee_bps=0)

    assert result.trades == ()
    assert (result.open_trade, result.unfilled, result.fills) == (True, True, 1)
    assert result.position.tolist() == pytest.approx([0, *[1000 / 100.1] * 3])


def test_slippage_is_paid_on_both_sides_and_is_inside_gross() -> None:
    bars = flat_bars(100, 100, 100)

    result = run_strategy(
        bars, Script({0: 1.0, 1: 0.0}), capital=1000, fee_bps=0, slippage_bps=100, fill="close"
    )

    assert result.trades[0].entry_price == pytest.approx(101)
    assert result.trades[0].exit_price == pytest.approx(99)
    assert result.equity[-1] == pytest.approx(1000 - 20)


def test_a_change_of_side_closes_one_trade_and_opens_another() -> None:
    result = run_strategy(
        flat_bars(100, 110, 100, 100),
        Script({0: 1.0, 1: -1.0, 2: 0.0}),
        capital=1000,
        fee_bps=0,
        fill="close",
    )

    assert [(trade.entry, trade.exit) for trade in result.trades] == [(0, 1), (1, 2)]
    assert [trade.quantity for trade in result.trades] == [10.0, -10.0]
    assert [trade.net for trade in result.trades] == pytest.approx([100, 100])


def test_a_larger_wish_adds_to_the_trade_and_a_smaller_one_takes_from_it() -> None:
    result = run_strategy(
        flat_bars(100, 100, 100, 120),
        Script({0: 0.5, 1: 1.0, 2: 0.2, 3: 0.0}),
        capital=1000,
        fee_bps=0,
        fill="close",
    )

    (trade,) = result.trades
    assert (trade.quantity, result.fills) == (10.0, 4)
    assert trade.net == pytest.approx(2 * 20)


def test_the_same_wish_again_changes_nothing() -> None:
    result = run_strategy(flat_bars(100, 150, 50, 100), Script({0: 0.5, 1: 0.5, 2: 0.5}), fill="close")

    assert result.fills == 1


def test_an_account_that_is_worth_nothing_can_only_close() -> None:
    result = run_strategy(
        flat_bars(100, 100, 10, 10), Script({0: 5.0, 2: 3.0, 3: 0.0}), capital=1000, fee_bps=0, fill="close"
    )

    assert result.position.tolist() == [50, 50, 50, 0]
    assert result.equity[-1] == pytest.approx(-3500)


def test_what_cannot_be_meant_is_refused() -> None:
    for wish in (float("nan"), float("inf"), 11.0):
        with pytest.raises(BadInput, match="bar 0"):
            run_strategy(flat_bars(100, 100), Script({0: wish}))
    with pytest.raises(BadInput, match="capital"):
        run_strategy(flat_bars(100), Script({}), capital=0)
    with pytest.raises(BadInput, match="above zero"):
        run_strategy(flat_bars(0.1), Script({}))
    with pytest.raises(BadInput, match="next open"):
        run_strategy(flat_bars(1), Script({}), fill="yesterday")  # type: ignore[arg-type]


def test_the_crossing_means_trade_as_a_loop_without_an_engine() -> None:
    bars = random_walk(6000, 1)

    result = run_strategy(bars, Cross(), capital=1e6, fee_bps=10, fill="close")

    trades, equity = _plain_loop(bars.close.tolist())
    assert len(result.trades) + result.open_trade == trades
    assert result.equity[-1] == pytest.approx(equity, rel=1e-9)


def _plain_loop(closes: list[float]) -> tuple[int, float]:
    cash, quantity, trades, up = 1e6, 0.0, 0, None
    for number in range(49, len(closes)):
        was, price = up, closes[number]
        up = sum(closes[number - 19 : number + 1]) / 20 > sum(closes[number - 49 : number + 1]) / 50
        if was is None or up == was:
            continue
        if up:
            spent = cash * 0.1
            quantity, trades = spent / price, trades + 1
            cash -= spent * 1.001
        elif quantity:
            cash, quantity = cash + quantity * price * 0.999, 0.0
    return trades, cash + quantity * closes[-1]


def test_the_result_is_judged_with_the_conventions_of_the_house() -> None:
    result = run_strategy(random_walk(6000, 1), Cross(), fill="close")

    judged = result.judged(bars_per_year=8760)

    assert judged.trades == len(result.trades)
    assert judged.total_return == pytest.approx(result.equity[-1] / result.equity[0] - 1)
    assert 0 < judged.exposure < 1


def test_blocks_of_bars_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = random_walk(500, 2)
    whole = run_strategy(bars, Cross())

    monkeypatch.setattr("engine.backtest.events._BLOCK", 7)

    assert run_strategy(bars, Cross()).trades == whole.trades
