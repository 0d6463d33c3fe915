"""The report: figures that agree with the run, baselines under the same costs, and nothing claimed beyond them."""

import json
from functools import cache

import numpy as np
import pytest

from configs.schema.decision import DecisionSettings
from configs.schema.risk import RiskSettings
from engine.backtest.replay import run
from engine.backtest.report import DRAWS, Report, judge, lines, summary
from engine.core.pipeline import NEED
from tests.unit.engine.backtest.markets import WIDE, random_walk, trading

EAGER = DecisionSettings(confidence=0.55, long_only=False, max_bars=15)


@cache
def report(trials: int = 1) -> Report:
    return judge(
        run({"BTC": random_walk(3000, 1)}, trading("BTC", decision=EAGER, risk=WIDE)), n_trials=trials
    )


def test_bars_that_only_filled_the_windows_are_not_measured() -> None:
    assert report().first == NEED - 1
    assert report().net.bars == 3000 - (NEED - 1)
    assert all(figures.bars == report().net.bars for figures in report().baselines.values())


def test_net_is_the_account_and_gross_is_it_with_all_costs_given_back() -> None:
    result, net, gross = report().result, report().net, report().gross

    assert net.end == result.moments.equity[-1]
    assert gross.end - net.end == pytest.approx(result.fees + result.slippage)
    assert net.trades == len(result.trades) > 20
    assert gross.fees == 0


def test_costs_name_the_price_at_which_nothing_would_be_left() -> None:
    costs, result = report().costs, report().result
    profit = result.moments.equity[-1] - result.moments.equity[0]

    assert costs["paid_bps"] == pytest.approx((result.fees + result.slippage) / result.traded * 1e4)
    assert costs["return_at_double_costs"] == pytest.approx((profit - result.fees - result.slippage) / 1e5)


def test_the_value_at_risk_is_judged_in_every_form_of_the_report() -> None:
    tests = {test.estimator: test for test in report().tails}
    (line,) = [line for line in lines(report()) if "95 % loss of BTC" in line]

    assert list(tests) == ["normal", "historical", "evt", "used"]
    assert summary(report())["value_at_risk"][2]["exceptions"] == tests["evt"].exceptions
    assert f"evt {tests['evt'].exceptions} {tests['evt'].verdict}" in line
    assert all(test.bars == 3000 - NEED for test in report().tails)


def test_doing_without_us_is_measured_over_the_same_bars_and_costs() -> None:
    bars, baselines = report().result.series["BTC"], report().baselines
    first = report().first

    held = bars.close[-1] / bars.open[first] - 1
    assert baselines["buy_and_hold"].total_return == pytest.approx(held, abs=0.004)
    assert baselines["buy_and_hold_at_our_volatility"].annual_volatility == pytest.approx(
        report().net.annual_volatility
    )
    assert set(baselines) == {
        "buy_and_hold",
        "sma_cross_50_200",
        "our_trades_one_bar_late",
        "our_trades_reversed",
        "buy_and_hold_at_our_volatility",
    }


def test_more_trials_make_the_same_result_less_convincing() -> None:
    few, many = report().honesty, report(50).honesty

    assert few.dsr is not None and many.dsr is not None
    assert many.dsr < few.dsr
    assert many.n_trials == 50
    assert few.pbo is None
    assert 0 <= (few.percentile or -1) <= 100
    assert report().draws == DRAWS


def test_years_and_regimes_add_up_to_the_whole() -> None:
    for rows in (report().years, report().regimes):
        assert sum(row["bars"] for row in rows) == report().net.bars
        assert np.prod([1 + row["return"] for row in rows]) == pytest.approx(1 + report().net.total_return)
        assert sum(row["trades"] for row in rows) == report().net.trades
        assert sum(row["net"] for row in rows) == pytest.approx(
            sum(float(t.net) for t in report().result.trades)
        )


def test_the_summary_is_json_and_has_what_a_script_wants() -> None:
    plain = json.loads(json.dumps(summary(report())))

    assert {
        "run_id",
        "bars",
        "seconds",
        "bars_per_second",
        "trades",
        "metrics",
        "baselines",
        "honesty",
    } <= set(plain)
    assert {"psr", "dsr", "n_trials", "pbo", "percentile"} <= set(plain["honesty"])
    assert plain["decisions"] == report().result.outcomes
    assert sum(plain["decisions"].values()) == plain["bars"] == 3000


def test_the_same_run_has_the_same_id_and_another_has_not() -> None:
    series = {"BTC": random_walk(700, 2)}
    ids = [judge(run(series, trading("BTC", decision=EAGER))).run_id for _ in range(2)]

    assert ids[0] == ids[1] != judge(run(series, trading("BTC"))).run_id
    assert ids[0] != judge(run({"BTC": random_walk(700, 3)}, trading("BTC", decision=EAGER))).run_id


def test_people_are_told_about_a_halt_and_about_what_was_not_measured() -> None:
    settings = trading(
        "BTC",
        decision=DecisionSettings(confidence=0.5, blocked_regimes=()),
        risk=RiskSettings(max_drawdown=0.002),
    )

    told = "\n".join(lines(judge(run({"BTC": random_walk(1500, 8)}, settings))))

    assert "nobody resumes a back-test" in told
    assert "Overfitting of a choice: not measured" in told


@pytest.mark.parametrize("bars", [3, NEED - 1, NEED, NEED + 1])
def test_a_run_too_short_to_trade_is_reported_without_a_claim(bars: int) -> None:
    short = judge(run({"BTC": random_walk(bars, 4)}, trading("BTC")))

    assert short.net.trades == 0
    assert not short.honesty.convincing
    assert json.dumps(summary(short))
    assert list(lines(short))


def test_several_instruments_share_the_account_and_the_baselines() -> None:
    settings = trading("BTC", "ETH", decision=EAGER, risk=WIDE)

    both = judge(run({"BTC": random_walk(1200, 5), "ETH": random_walk(1100, 6)}, settings))

    assert both.net.bars == 1200 - (NEED - 1)
    assert both.baselines["buy_and_hold"].start == pytest.approx(1e5)
    assert {row["bars"] for row in both.regimes} == {None}
    assert 0 <= (both.honesty.percentile or -1) <= 100
