"""Whatever the market and the settings, a sweep and a replay trade alike."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema.decision import DecisionSettings, SizingSettings
from configs.schema.execution import ExecutionSettings
from configs.schema.risk import RiskSettings
from engine.backtest.replay import run
from engine.backtest.sweep import prepare, sweep
from tests.unit.engine.backtest.markets import OracleModel, random_walk, trading

decisions = st.builds(
    DecisionSettings,
    confidence=st.floats(0.5, 0.7),
    long_only=st.booleans(),
    stop_atr=st.floats(0.3, 5),
    target_atr=st.floats(0.3, 8),
    trail_atr=st.sampled_from([0.0, 0.5, 2.0, 4.0]),
    max_bars=st.integers(1, 60),
    exit_confidence=st.floats(0.5, 0.8),
    blocked_regimes=st.sampled_from([(), ("crash",), ("crash", "quiet_range")]),
    cooldown_bars=st.integers(0, 5),
)
sizes = st.builds(
    SizingSettings,
    risk_per_trade=st.floats(0.001, 0.1),
    max_weight=st.floats(0.01, 0.5),
    var_limit=st.floats(1e-4, 0.05),
    es_limit=st.floats(1e-4, 0.05),
    book_var_limit=st.floats(1e-4, 0.05),
    drawdown_floor=st.floats(0, 1),
)
costs = st.builds(ExecutionSettings, participation=st.sampled_from([0.05, 0.0005]))
"""The second so little that entries and stops take several bars to fill."""
limits = st.builds(
    RiskSettings,
    max_drawdown=st.floats(0.005, 0.5),
    max_daily_loss=st.just(0.002),
    halt_daily_loss=st.floats(0.002, 0.1),
    max_daily_entries=st.integers(1, 20),
    max_consecutive_losses=st.integers(1, 6),
)


@settings(max_examples=25)
@given(st.integers(0, 10_000), decisions, sizes, limits, costs, st.sampled_from([0.002, 0.01, 0.03]))
@pytest.mark.slow
def test_a_sweep_and_a_replay_trade_alike(
    seed: int,
    decision: DecisionSettings,
    sizing: SizingSettings,
    risk: RiskSettings,
    execution: ExecutionSettings,
    sigma: float,
) -> None:
    chosen = trading("BTC", decision=decision, sizing=sizing, risk=risk, execution=execution)
    series = {"BTC": random_walk(1300, seed, sigma)}

    whole = run(series, chosen, OracleModel())
    swept = sweep(prepare(series, chosen, OracleModel()), chosen)

    assert swept.trades == whole.trades
    assert (swept.outcomes, swept.risk) == (whole.outcomes, whole.risk)
