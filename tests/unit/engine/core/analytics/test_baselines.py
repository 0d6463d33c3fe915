import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.analytics.baselines import (
    Placed,
    buy_and_hold,
    delayed,
    marks,
    random_entries,
    random_placements,
    sign_flipped,
    sma_cross,
    sma_cross_trades,
    trade_curve,
)
from engine.core.domain.errors import BadData


def walk(bars: int, seed: int = 1) -> np.ndarray:
    return 100 * np.exp(np.cumsum(np.random.Generator(np.random.PCG64(seed)).normal(size=bars) * 0.01))


def placed(*trades: tuple[int, int], side: float = 1.0, size: float = 1.0) -> Placed:
    entry, leave = np.array(trades, dtype=np.int64).reshape(-1, 2).T
    return Placed(entry, leave, np.full(entry.size, side), np.full(entry.size, size))


def scattered(last_mark: int, count: int, seed: int = 1) -> Placed:
    """Trades of all sorts, anywhere."""
    chance = np.random.Generator(np.random.PCG64(seed))
    holding = chance.integers(1, max(2, last_mark // (2 * count)), size=count)
    sides, sizes = np.where(chance.random(count) < 0.5, -1.0, 1.0), chance.random(count) / 2
    some = next(random_placements(Placed(np.zeros_like(holding), holding, sides, sizes), last_mark, seed, 1))
    return Placed(*(column[0] for column in some))


def test_buying_and_holding_pays_for_both_sides() -> None:
    curve = buy_and_hold(np.array([100.0, 110.0]), np.array([105.0, 120.0]), cost_bps=100, capital=1000.0)

    assert curve == pytest.approx([1000.0, 1000.0 * (1.1 - 0.01), 1000.0 * (1.2 - 0.01 - 0.01 * 1.2)])


def test_a_curve_has_one_value_more_than_there_are_bars_and_begins_with_the_capital() -> None:
    prices = walk(300)

    for curve in (buy_and_hold(prices, prices, 10), sma_cross(prices, prices, 10, fast=5, slow=20)):
        assert curve.size == 301 and curve[0] == 1.0


def test_a_short_earns_what_a_long_loses_before_costs() -> None:
    prices, trades = walk(200), scattered(199, 1)

    long, short = trade_curve(prices, trades, 0), trade_curve(prices, sign_flipped(trades), 0)

    assert long + short == pytest.approx(np.full(200, 2.0))


def test_costs_are_the_only_difference_between_dear_and_free() -> None:
    flat = np.full(10, 50.0)

    assert trade_curve(flat, placed((1, 3), (5, 8)), 0)[-1] == 1.0
    assert trade_curve(flat, placed((1, 3), (5, 8)), 25)[-1] == pytest.approx((1 - 2 * 0.0025) ** 2)


def test_a_crossing_seen_at_a_close_is_traded_at_the_next_open() -> None:
    closes = np.array([10.0, 9.0, 8.0, 12.0, 13.0, 14.0, 5.0, 4.0])

    trades = sma_cross_trades(closes, fast=1, slow=3)

    assert (trades.entry.tolist(), trades.exit.tolist()) == ([4], [7])


@given(st.integers(30, 119))
def test_the_averages_know_nothing_of_later_bars(cut: int) -> None:
    opens, closes = walk(120, seed=2), walk(120, seed=3)

    whole = sma_cross(opens, closes, 10, fast=3, slow=11)
    part = sma_cross(opens[:cut], closes[:cut], 10, fast=3, slow=11)

    # At the last mark the shorter run sells, at a price that the longer one does not see.
    assert part[:cut] == pytest.approx(whole[:cut])


def test_a_delayed_trade_keeps_its_length_until_the_data_ends() -> None:
    late = delayed(placed((0, 2), (3, 9), (9, 10)), last_mark=10, bars=2)

    assert list(zip(late.entry, late.exit, strict=True)) == [(2, 4), (5, 10)]


@given(st.integers(1, 12), st.integers(0, 30), st.integers(0, 1000))
def test_random_trades_fit_never_overlap_and_are_the_same_trades(count: int, spare: int, seed: int) -> None:
    holding = np.arange(1, count + 1)
    last_mark = int(holding.sum()) + spare
    trades = Placed(np.zeros_like(holding), holding, np.ones(count), holding.astype(np.float64))

    drawn = next(random_placements(trades, last_mark, seed, draws=5))

    assert (drawn.entry >= 0).all() and (drawn.exit <= last_mark).all()
    assert (drawn.entry[:, 1:] >= drawn.exit[:, :-1]).all()
    assert np.array_equal(np.sort(drawn.exit - drawn.entry, axis=1), np.tile(holding, (5, 1)))
    assert np.array_equal(drawn.size, drawn.exit - drawn.entry)


def test_a_random_draw_earns_what_its_curve_earns() -> None:
    prices, trades = walk(400), scattered(399, 20)

    result = random_entries(prices, trades, cost_bps=12, seed=5, draws=30)

    drawn = next(random_placements(trades, 399, 5, 30))
    curves = [trade_curve(prices, Placed(*(column[draw] for column in drawn)), 12) for draw in range(30)]
    assert result.total_returns == pytest.approx([curve[-1] - 1 for curve in curves])
    assert result.our_total_return == pytest.approx(trade_curve(prices, trades, 12)[-1] - 1)
    returns = [curve[1:] / curve[:-1] - 1 for curve in curves]
    sharpes = [one.mean() / one.std(ddof=1) for one in returns]
    assert result.sharpes == pytest.approx(sharpes, abs=5e-3)  # on the equity at entry, not at each bar


def test_without_gains_in_between_the_sharpe_ratio_is_that_of_the_curve() -> None:
    prices = np.array([10.0, 10.0, 11.0, 11.0, 11.0, 10.5, 10.5])
    trades = placed((1, 2), (4, 5), size=0.5)

    curve = trade_curve(prices, trades, 20)

    returns = np.diff(curve) / np.array([1, 1, 1, 1, curve[4], 1])
    expected = returns.mean() / returns.std(ddof=1)
    assert random_entries(prices, trades, 20, seed=1, draws=2).our_sharpe == pytest.approx(expected)


def test_foresight_beats_random_entries_and_the_same_sign_flipped_loses_to_them() -> None:
    prices = walk(1000)
    rises = np.flatnonzero(np.diff(prices) > 0)[::9]
    seer = Placed(rises, rises + 1, np.ones(rises.size), np.ones(rises.size))

    assert random_entries(prices, seer, 5, seed=1).percentile == 100.0
    assert random_entries(prices, seer, 5, seed=1).p_value == pytest.approx(1 / 1001)
    assert random_entries(prices, sign_flipped(seer), 5, seed=1).percentile == 0.0


def test_luck_lands_anywhere_among_random_entries() -> None:
    prices = walk(600, seed=8)

    found = [
        random_entries(prices, scattered(599, 15, seed), 5, seed=1, draws=200).percentile
        for seed in range(40)
    ]

    assert np.mean(found) == pytest.approx(50, abs=15)
    assert min(found) < 20 and max(found) > 80


def test_the_same_seed_gives_the_same_draws() -> None:
    prices, trades = walk(300), scattered(299, 8)

    once, again = (random_entries(prices, trades, 5, seed=4, draws=50) for _ in range(2))

    assert np.array_equal(once.total_returns, again.total_returns)


def test_a_trade_that_ended_in_its_first_bar_is_held_for_that_bar() -> None:
    prices = np.array([10.0, 11.0, 12.0])

    assert random_entries(prices, placed((1, 1)), 0, seed=1, draws=3).our_total_return == pytest.approx(
        1 / 11
    )


def test_no_trades_at_all_are_in_the_middle_of_no_trades_at_all() -> None:
    result = random_entries(walk(50), placed(), 5, seed=1, draws=10)

    assert (result.our_total_return, result.percentile, result.our_sharpe) == (0.0, 50.0, 0.0)


def test_memory_is_bounded_however_many_draws_there_are() -> None:
    prices, trades = walk(100_000), scattered(99_999, 5_000)

    tracemalloc.start()
    random_entries(prices, trades, 5, seed=1, draws=200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 80e6  # all draws at once would take 8 MB a column, forty columns


@pytest.mark.parametrize("trades", [placed((3, 3)), placed((0, 5), (4, 6)), placed((0, 10)), placed((-1, 2))])
def test_trades_that_cannot_be_are_refused(trades: Placed) -> None:
    with pytest.raises(BadData, match="trades must lie within the bars"):
        trade_curve(walk(10), trades, 5)


def test_more_bars_of_trades_than_bars_are_refused() -> None:
    with pytest.raises(BadData, match="do not fit"):
        next(random_placements(placed((0, 6), (6, 12)), last_mark=10, seed=1, draws=1))


def test_prices_that_are_not_positive_are_refused() -> None:
    with pytest.raises(BadData, match="positive"):
        marks(np.array([1.0, -37.63]), np.array([1.0, 1.0]))
