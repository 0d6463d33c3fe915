"""The replay decides as live does, records what live records, and forgets nothing of it."""

from collections import Counter
from datetime import timedelta

import numpy as np
import pytest

from configs.schema.decision import DecisionSettings
from configs.schema.risk import RiskSettings
from engine.backtest.market import NEED, cut, find_issues, stretches
from engine.backtest.replay import Progress, run
from engine.core.accounting.fold import DeskState, apply
from engine.core.domain.errors import BadInput
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.market import BarArrays
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import (
    CycleRecord,
    IncidentRecord,
    Record,
    StartRecord,
    TradeRecord,
    decode,
    encode,
)
from engine.core.domain.risk import TradingState
from engine.core.pipeline import decide
from tests.unit.engine.backtest.markets import WIDE, OracleModel, random_walk, rows, trading

EAGER = DecisionSettings(confidence=0.55, long_only=False, max_bars=10)
SETTINGS = trading("BTC", decision=EAGER, risk=WIDE)


def recorded(*args: object, **kwargs: object) -> list[Record]:
    kept: list[Record] = []
    run(*args, record=kept.extend, **kwargs)  # type: ignore[arg-type]
    return kept


@pytest.mark.parametrize("seed", [1, 2])
def test_many_bars_at_once_give_the_trades_that_bar_by_bar_gives(seed: int) -> None:
    series = {"BTC": random_walk(1100, seed)}

    batch = run(series, SETTINGS, OracleModel())
    exact = run(series, SETTINGS, OracleModel(), mode="exact")

    assert len(batch.trades) > 5
    assert [_essence(trade) for trade in batch.trades] == [_essence(trade) for trade in exact.trades]
    assert batch.outcomes == exact.outcomes
    assert np.array_equal(batch.moments.equity, exact.moments.equity)


def _essence(trade: TradeRecord) -> tuple[object, ...]:
    """All of a trade but how its net is shared out, which carries the last digits of the features."""
    return tuple(getattr(trade, name) for name in trade.__struct_fields__ if name != "attribution")


def test_observations_agree_to_a_billionth_and_everything_else_of_them_exactly() -> None:
    series = {"BTC": random_walk(NEED + 60, 3)}

    batch = [r for r in recorded(series, SETTINGS, OracleModel(-1.0)) if isinstance(r, CycleRecord)]
    exact = [
        r for r in recorded(series, SETTINGS, OracleModel(-1.0), mode="exact") if isinstance(r, CycleRecord)
    ]

    for ours, theirs in zip(batch, exact, strict=True):
        a, b = ours.observation, theirs.observation
        assert (a.bar, a.previous_close, a.issues, a.have, a.need) == (
            b.bar,
            b.previous_close,
            b.issues,
            b.have,
            b.need,
        )
        assert list(a.features) == list(b.features)
        assert np.allclose(list(a.features.values()), list(b.features.values()), rtol=1e-9, atol=1e-9)
        assert (a.regime and (a.regime.label, a.regime.previous)) == (
            b.regime and (b.regime.label, b.regime.previous)
        )
        assert ours.predictions == theirs.predictions
        assert a.tail == b.tail
        assert (a.tail is not None) is bool(a.features)
        assert a.correlations == b.correlations == a.volatilities == {}


def test_instruments_are_set_beside_each_other_as_live_does_it() -> None:
    series = {"BTC": random_walk(NEED + 80, 3), "ETH": random_walk(NEED + 80, 4)}
    series["ETH"] = _without(series["ETH"], range(NEED + 10, NEED + 20))
    settings = trading("BTC", "ETH", decision=EAGER, risk=WIDE)

    batch = [r.observation for r in recorded(series, settings) if isinstance(r, CycleRecord)]
    exact = [r.observation for r in recorded(series, settings, mode="exact") if isinstance(r, CycleRecord)]

    told = 0
    for ours, theirs in zip(batch, exact, strict=True):
        other = {"BTC": "ETH", "ETH": "BTC"}[ours.instrument]
        assert ours.tail == theirs.tail
        for a, b in ((ours.correlations, theirs.correlations), (ours.volatilities, theirs.volatilities)):
            assert set(a) == set(b) == ({other} if ours.features else set())
            assert a == pytest.approx(b, abs=1e-9)
        told += len(ours.correlations)
    assert told > 100


def _without(bars: BarArrays, gone: range) -> BarArrays:
    return BarArrays(*(np.delete(column, list(gone)) for column in bars))


def test_a_stretch_ends_without_anyone_noticing(monkeypatch: pytest.MonkeyPatch) -> None:
    series = {"BTC": random_walk(1000, 4)}
    whole = run(series, SETTINGS, OracleModel())

    monkeypatch.setattr("engine.backtest.market.STRETCH", 97)

    assert [_essence(t) for t in run(series, SETTINGS, OracleModel()).trades] == [
        _essence(t) for t in whole.trades
    ]


def test_every_bar_of_every_instrument_leaves_a_record_with_the_decision_that_its_inputs_give() -> None:
    settings = trading("BTC", "ETH", decision=EAGER, risk=WIDE)
    series = {"BTC": random_walk(620, 5), "ETH": random_walk(620, 6)}

    records = recorded(series, settings, OracleModel())

    assert isinstance(records[0], StartRecord)
    assert len({record.id for record in records}) == len(records)
    cycles = [record for record in records if isinstance(record, CycleRecord)]
    assert Counter(record.instrument for record in cycles) == {"BTC": 620, "ETH": 620}
    for record in cycles[::7]:
        again = decode(encode(record))
        assert isinstance(again, CycleRecord)
        assert decide(again.inputs(settings)) == record.result


def test_the_records_alone_lead_to_the_same_account() -> None:
    settings = trading("BTC", decision=EAGER, risk=WIDE)
    kept: list[Record] = []

    result = run({"BTC": random_walk(900, 7)}, settings, record=kept.extend)

    state = DeskState(Portfolio(cash=settings.desk.cash))
    for record in kept:
        state = apply(state, record)
    assert float(state.portfolio.equity) == result.moments.equity[-1]
    assert result.records == len(kept)
    if not result.open_positions:
        assert sum(trade.net for trade in result.trades) == state.portfolio.cash - settings.desk.cash


def test_a_breaker_halts_the_run_to_its_end_and_says_so() -> None:
    tight = RiskSettings(max_drawdown=0.002)
    settings = trading("BTC", decision=DecisionSettings(confidence=0.5, blocked_regimes=()), risk=tight)
    kept: list[Record] = []

    result = run({"BTC": random_walk(1500, 8)}, settings, record=kept.extend)

    assert result.risk.trading is TradingState.HALTED
    assert [r.name for r in kept if isinstance(r, IncidentRecord)] == ["breaker"]
    assert result.open_positions == 0
    halted = next(n for n, record in enumerate(kept) if isinstance(record, IncidentRecord))
    assert not any(r.result.outcome.value == "entered" for r in kept[halted:] if isinstance(r, CycleRecord))


def test_bars_before_the_start_fill_the_windows_and_are_not_told() -> None:
    bars = random_walk(NEED + 50, 9)
    start, end = from_epoch_ms(int(bars.end_ms[NEED])), from_epoch_ms(int(bars.end_ms[NEED + 20]))
    seen: list[Progress] = []

    result = run({"BTC": bars}, SETTINGS, start=start, end=end, progress=seen.append)

    assert (result.bars, result.ready) == (20, 0)
    assert (seen[0].at, seen[-1].at) == (start, end - timedelta(hours=1))
    assert seen[-1][:2] == (20, 20)


def test_a_hole_in_the_series_is_an_issue_at_the_bar_after_it() -> None:
    bars = random_walk(30, 10)
    holed = rows(bars, np.delete(np.arange(30), [10, 11]))
    (series,) = cut({"BTC": holed}, SETTINGS, None, None)

    (found,) = find_issues(series, SETTINGS).items()

    assert found[0] == 10
    assert [issue.kind for issue in found[1]] == ["gap"]
    (stretch,) = stretches(series, SETTINGS, None)
    assert stretch.issues == dict([found])


def test_series_that_cannot_be_meant_are_refused() -> None:
    bars = random_walk(10, 11)
    with pytest.raises(BadInput, match="does not trade it"):
        run({"DOGE": bars}, SETTINGS)
    with pytest.raises(BadInput, match="time order"):
        run({"BTC": rows(bars, np.arange(10)[::-1])}, SETTINGS)
    with pytest.raises(BadInput, match="no bars"):
        run({"BTC": bars}, SETTINGS, start=from_epoch_ms(int(bars.end_ms[-1]) + 1))
