"""A sweep passes bars over, and nobody can tell from its trades."""

import numpy as np
import pytest

from configs.schema.decision import AlphaSettings, DecisionSettings, EnsembleSettings, SizingSettings
from configs.schema.execution import ExecutionSettings
from configs.schema.risk import RiskSettings
from configs.schema.settings import Settings
from engine.backtest.market import Stretch, cut, stretches
from engine.backtest.outlook import Outlook
from engine.backtest.replay import run
from engine.backtest.sweep import prepare, sweep
from engine.core.domain.errors import BadInput
from engine.core.domain.records import CycleRecord, EnsembleState, Record
from tests.unit.engine.backtest.markets import WIDE, OracleModel, random_walk, rows, trading

LARGE = SizingSettings(risk_per_trade=0.1, max_weight=1.0, target_volatility=2.0, var_limit=0.5)
CASES: dict[str, Settings] = {
    "as it comes": trading("BTC"),
    "long and short, eager": trading("BTC", decision=DecisionSettings(confidence=0.55, long_only=False), risk=WIDE),
    "short holding times": trading(
        "BTC", decision=DecisionSettings(0.53, stop_atr=1, target_atr=1, trail_atr=0, max_bars=3), risk=WIDE
    ),
    "breakers that trip": trading(
        "BTC",
        decision=DecisionSettings(confidence=0.52, blocked_regimes=()),
        sizing=LARGE,
        risk=RiskSettings(max_drawdown=0.02, max_order_value=1, max_position_value=1, max_gross=1, max_trade_risk=0.5),
    ),
    "daily loss": trading(
        "BTC",
        decision=DecisionSettings(confidence=0.52),
        sizing=LARGE,
        risk=RiskSettings(
            max_daily_loss=0.001, halt_daily_loss=0.01, max_order_value=1, max_position_value=1, max_gross=1
        ),
    ),
    "thin volume, orders fill in parts": trading(
        "BTC", decision=DecisionSettings(confidence=0.55), execution=ExecutionSettings(participation=0.00005), risk=WIDE
    ),
    "bayes": trading("BTC", decision=DecisionSettings(confidence=0.55), ensemble=EnsembleSettings("bayes"), risk=WIDE),
    "equal": trading("BTC", decision=DecisionSettings(confidence=0.55), ensemble=EnsembleSettings("equal"), risk=WIDE),
    "few voices": trading(
        "BTC", alpha=AlphaSettings(enabled=("predicted", "trend")), decision=DecisionSettings(confidence=0.6), risk=WIDE
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_sweep_trades_as_the_replay_does(case: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.backtest.market.STRETCH", 700)
    settings, series = CASES[case], {"BTC": random_walk(2600, seed)}
    model = OracleModel(silent_below=-1.5 if seed == 1 else -np.inf)

    whole = run(series, settings, model)
    swept = sweep(prepare(series, settings, model), settings)

    assert swept.trades == whole.trades
    assert swept.outcomes == whole.outcomes
    assert (swept.fills, swept.risk, swept.regimes) == (whole.fills, whole.risk, whole.regimes)
    assert np.allclose(swept.moments.equity, whole.moments.equity, rtol=1e-12)
    assert np.allclose(swept.moments.costs, whole.moments.costs, rtol=1e-12)
    assert np.array_equal(swept.moments.held, whole.moments.held)
    assert np.array_equal(swept.moments.end_ms, whole.moments.end_ms)
    assert np.array_equal(swept.moments.regimes, whole.moments.regimes)
    assert (swept.bars, swept.ready) == (whole.bars, whole.ready)


def test_the_cases_are_worth_comparing() -> None:
    trades = {
        name: len(run({"BTC": random_walk(2600, 2)}, case, OracleModel()).trades)
        for name, case in CASES.items()
    }

    assert sum(count > 0 for count in trades.values()) > 7, trades
    assert sum(trades.values()) > 100, trades


def test_a_series_with_holes_is_swept_alike() -> None:
    bars = random_walk(2000, 3)
    holed = rows(bars, np.delete(np.arange(2000), np.arange(600, 1900, 9)))
    settings = trading("BTC", decision=DecisionSettings(confidence=0.55), risk=WIDE)

    whole, swept = run({"BTC": holed}, settings), sweep(prepare({"BTC": holed}, settings), settings)

    assert (swept.trades, swept.outcomes) == (whole.trades, whole.outcomes)


def test_opinions_are_those_of_the_core_to_the_last_bit() -> None:
    settings, bars = CASES["as it comes"], random_walk(1400, 4)
    kept: list[Record] = []
    run({"BTC": bars}, settings, OracleModel(), record=kept.extend)
    (series,) = cut({"BTC": bars}, settings, None, None)
    (stretch,) = stretches(series, settings, OracleModel())

    outlook = Outlook(stretch, settings, EnsembleState())

    for row, record in enumerate(record for record in kept if isinstance(record, CycleRecord)):
        forecast = record.result.forecast
        if forecast is None:
            continue
        seen = (outlook.confidence[row], outlook.direction[row], outlook.gated[row], outlook.edge[row])
        assert seen == (
            forecast.confidence,
            forecast.direction,
            record.result.ensemble.last_followed,
            forecast.edge,
        )
        assert _voices(outlook.before(row)) == _voices(record.ensemble)


def _voices(state: EnsembleState) -> object:
    voters = {name: (voter.weight, voter.last_score) for name, voter in state.voters.items()}
    return voters, state.last_close, state.last_followed, state.edge, state.edge_square, state.edge_bars


def test_prepared_once_it_is_swept_with_many_settings() -> None:
    series = {"BTC": random_walk(1500, 5)}
    prepared = prepare(series, CASES["as it comes"])

    found = [
        sweep(prepared, trading("BTC", decision=DecisionSettings(confidence=share), risk=WIDE))
        for share in (0.55, 0.7)
    ]

    assert len(found[0].trades) > len(found[1].trades)
    assert isinstance(next(iter(prepared.stretches)), Stretch)


def test_several_instruments_are_for_the_replay() -> None:
    series = {"BTC": random_walk(20, 1), "ETH": random_walk(20, 2)}
    with pytest.raises(BadInput, match="one instrument"):
        prepare(series, trading("BTC", "ETH"))
