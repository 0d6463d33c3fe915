import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.analytics.performance import (
    Performance,
    Trades,
    annualising_factor,
    drawdown,
    performance,
    sharpe_error,
)
from engine.core.domain.errors import BadData
from engine.core.maths.statistics import Moments

# Bacon 2008, "Practical Portfolio Performance Measurement and Attribution": 24 monthly returns in percent.
BACON = [0.3, 2.6, 1.1, -1.0, 1.5, 2.5, 1.6, 6.7, -1.4, 4.0, -0.5, 8.1]
BACON += [4.0, -3.7, -6.1, 1.7, -4.9, -2.2, 7.0, 5.8, -6.5, 2.4, -0.5, -0.9]


def equity_of(returns: list[float] | np.ndarray, capital: float = 1.0) -> np.ndarray:
    return capital * np.cumprod(np.concatenate(([1.0], 1 + np.asarray(returns))))


def bacon() -> Performance:
    return performance(equity_of(np.array(BACON) / 100), bars_per_year=12)


def trades_of(
    *net: float, fees: float = 1.0, holding_bars: float = 2.0, traded: float | None = None
) -> Trades:
    values = np.array(net)
    costs = np.full(values.size, fees)
    each = None if traded is None else np.full(values.size, traded)
    return Trades(values, values + costs, costs, np.full(values.size, holding_bars), each)


@pytest.mark.parametrize(
    ("field", "printed"),
    [
        ("annual_volatility", 0.137000158679692),
        ("cagr", 0.103678289729809),
        ("sharpe", 0.788320254814486),
        ("sortino", 0.392372028795065 * math.sqrt(12)),
        ("max_drawdown", 0.144672955739218),
        ("calmar", 0.716639051162374),
        ("var_95", 0.0592),
        ("es_95", 0.063),
        ("ulcer_index", 0.0611842872618962),
        ("skew", -0.0825624552085681),
        ("kurtosis", 3 - 0.567546205892125),
    ],
)
def test_bacons_months_give_what_performance_analytics_prints(field: str, printed: float) -> None:
    assert getattr(bacon(), field) == pytest.approx(printed, abs=1e-10)


def test_lo_2002_prints_the_same_standard_errors() -> None:
    for sharpe, months, printed in [(0.5, 12, 0.306), (0.5, 60, 0.137), (1.0, 12, 0.354), (1.0, 60, 0.158)]:
        # Lo divides by T and we by T - 1, the divisor of the probabilistic Sharpe ratio.
        shape = Moments(size=months + 1, mean=sharpe, std=1.0, skew=0.0, kurtosis=3.0)

        assert sharpe_error(shape, bars_per_year=1) == pytest.approx(printed, abs=5e-4)


def test_smoothed_returns_add_less_in_a_year() -> None:
    assert annualising_factor(12, 0.2) == pytest.approx(2.879, abs=5e-4)
    assert annualising_factor(12, 0.0) == pytest.approx(math.sqrt(12))
    assert annualising_factor(12, -0.2) > math.sqrt(12)


def test_los_factor_is_the_sum_over_all_lags() -> None:
    for q, rho in [(4, 0.5), (12, -0.3), (7, -0.6), (252, 0.1)]:
        lags = sum((q - lag) * rho**lag for lag in range(1, q))

        assert annualising_factor(q, rho) == pytest.approx(q / math.sqrt(q + 2 * lags))


def test_the_interval_is_centred_on_the_sharpe_ratio_and_shrinks_with_the_record() -> None:
    short, long = bacon(), performance(equity_of(np.tile(np.array(BACON) / 100, 16)), bars_per_year=12)

    for result in (short, long):
        assert result.sharpe is not None and result.sharpe_ci_low is not None
        assert result.sharpe_ci_high is not None
        assert result.sharpe_ci_low + result.sharpe_ci_high == pytest.approx(2 * result.sharpe)
    width = [result.sharpe_ci_high - result.sharpe_ci_low for result in (short, long)]  # type: ignore[operator]
    assert width[0] / width[1] == pytest.approx(4, rel=0.02)


def test_a_risk_free_rate_is_taken_off_the_mean_and_not_off_the_spread() -> None:
    cash = performance(equity_of(np.array(BACON) / 100), bars_per_year=12, risk_free=0.108)

    assert cash.sharpe == pytest.approx(0.0, abs=1e-12)
    assert cash.annual_volatility == pytest.approx(bacon().annual_volatility)


def test_a_loss_from_the_first_bar_on_is_a_drawdown_of_the_starting_capital() -> None:
    result = performance(np.array([100.0, 80.0, 90.0]), bars_per_year=2)

    assert result.max_drawdown == pytest.approx(0.2)
    assert result.max_drawdown_bars == 2


def test_the_longest_stretch_under_water_counts_also_when_it_has_not_ended() -> None:
    fall = drawdown(np.array([100.0, 90.0, 100.0, 99.0, 98.0, 97.0]))

    assert fall.bars == 3
    assert fall.depth == pytest.approx(0.1)


def test_less_than_a_year_gives_no_return_a_year_and_says_so() -> None:
    result = performance(equity_of([0.01, -0.02, 0.03]), bars_per_year=365)

    assert result.cagr is None and result.calmar is None
    assert any("less than one" in note for note in result.notes)


def test_an_account_that_stands_still_has_no_sharpe_ratio() -> None:
    result = performance(np.full(500, 1000.0), bars_per_year=365)

    assert result.sharpe is None and result.sortino is None
    assert result.max_drawdown == 0.0 and result.annual_volatility == 0.0


def test_an_account_that_is_lost_stays_lost() -> None:
    result = performance(np.array([100.0, 50.0, -20.0, 400.0, 500.0]), bars_per_year=2)

    assert result.total_return == -1.0 and result.max_drawdown == 1.0 and result.bars == 2
    assert any("lost at bar 2" in note for note in result.notes)


def test_trades_are_counted_with_their_intervals() -> None:
    result = performance(equity_of([0.1, 0.1, 0.1, 0.1], 100.0), 4, trades_of(30.0, -10.0, 20.0, 0.0, -5.0))

    assert result.trades == 5 and result.win_rate == pytest.approx(0.4)
    assert result.win_rate_low == pytest.approx(0.1176, abs=5e-5)
    assert result.win_rate_high == pytest.approx(0.7693, abs=5e-5)
    assert result.profit_factor == pytest.approx(50 / 15)
    assert result.payoff == pytest.approx(25 / 7.5)
    assert (result.average_win, result.average_loss, result.expectancy) == (25.0, -7.5, 7.0)
    assert result.fees == 5.0
    assert result.gross_return - result.net_return == pytest.approx(0.05)


def test_no_losing_trade_means_no_profit_factor_and_not_a_large_one() -> None:
    result = performance(equity_of([0.1]), 1, trades_of(5.0, 7.0))

    assert result.profit_factor is None and result.payoff is None
    assert any("No trade lost" in note for note in result.notes)


def test_exposure_is_what_was_held_and_turnover_what_was_traded() -> None:
    equity = np.full(11, 200.0)

    by_trades = performance(equity, 5, trades_of(1.0, -1.0, holding_bars=3, traded=400.0))
    by_bars = performance(equity, 5, in_market=np.array([True] * 2 + [False] * 8))

    assert by_trades.exposure == pytest.approx(0.6)
    assert by_trades.turnover == pytest.approx(800 / 200 / 2)
    assert by_bars.exposure == pytest.approx(0.2) and by_bars.turnover is None


@pytest.mark.parametrize("equity", [[], [0.0, 1.0], [100.0, float("nan")], [-5.0, 1.0]])
def test_what_is_no_equity_curve_is_refused(equity: list[float]) -> None:
    with pytest.raises(BadData, match="starting capital"):
        performance(np.array(equity), bars_per_year=365)


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(BadData, match="one length"):
        performance(equity_of([0.1]), 365, Trades(np.ones(2), np.ones(1), np.ones(2), np.ones(2)))


@pytest.mark.parametrize("bars", [0, 1, 2])
def test_a_curve_of_a_bar_or_two_still_gives_a_result(bars: int) -> None:
    result = performance(equity_of([0.01] * bars), bars_per_year=365)

    assert result.bars == bars and result.total_return == pytest.approx(1.01**bars - 1)


def test_the_figures_go_through_json_unchanged() -> None:
    assert msgspec.json.decode(msgspec.json.encode(bacon()), type=Performance) == bacon()


@given(st.lists(st.floats(-0.3, 0.3), min_size=2, max_size=60), st.floats(0.1, 1e6))
def test_the_figures_do_not_depend_on_how_large_the_account_is(returns: list[float], capital: float) -> None:
    small, large = (performance(equity_of(returns, size), bars_per_year=4) for size in (1.0, capital))

    assert large.max_drawdown == pytest.approx(small.max_drawdown, abs=1e-9)
    assert large.total_return == pytest.approx(small.total_return, rel=1e-9, abs=1e-9)
    assert 0.0 <= large.max_drawdown <= 1.0 and large.max_drawdown_bars <= large.bars
    assert large.ulcer_index <= large.max_drawdown + 1e-12
