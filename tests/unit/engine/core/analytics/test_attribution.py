from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.analytics.attribution import (
    by_regime,
    by_source,
    returns_by,
)
from engine.core.domain.errors import BadData
from engine.core.domain.order import Side
from engine.core.domain.records import TradeRecord


def trade(
    net: str, year: int = 2024, entry_decision: str = "d-1", fees: str = "1", **parts: str
) -> TradeRecord:
    closed = datetime(year, 3, 1, tzinfo=UTC)
    return TradeRecord(
        id="t",
        at=closed,
        trade="t",
        instrument="BTC",
        side=Side.BUY,
        quantity=Decimal(1),
        entry_price=Decimal(100),
        exit_price=Decimal(100),
        opened_at=closed,
        closed_at=closed,
        bars_held=3,
        gross=Decimal(net) + Decimal(fees),
        fees=Decimal(fees),
        slippage=Decimal(0),
        net=Decimal(net),
        return_share=0.0,
        exit_reason="stop",
        entry_decision=entry_decision,
        exit_order="o",
        attribution={source: Decimal(part) for source, part in parts.items()},
    )


def test_every_table_adds_up_to_all_trades() -> None:
    trades = [trade("10", 2023, "d-1"), trade("-4", 2024, "d-2"), trade("3", 2024, "d-3")]

    regimes = by_regime(trades, {"d-1": "strong_up", "d-2": "crash"})

    assert [row.key for row in regimes] == ["crash", "strong_up", "unknown"]
    assert sum(row.net for row in regimes) == 9
    assert all(row.gross - row.fees == row.net for row in regimes)


def test_a_voice_is_credited_over_all_its_trades() -> None:
    trades = [trade("10", momentum="12", carry="-2"), trade("-3", momentum="-3")]

    assert by_source(trades) == {"carry": Decimal(-2), "momentum": Decimal(9)}


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.floats(-0.2, 0.2)), min_size=1, max_size=40))
def test_the_returns_of_all_labels_compound_to_the_whole(bars: list[tuple[str, float]]) -> None:
    labels, returns = zip(*bars, strict=True)
    equity = np.cumprod(np.concatenate(([100.0], 1 + np.array(returns))), dtype=np.float64)

    rows = returns_by(equity, labels)

    assert np.prod([1 + row.total_return for row in rows]) == pytest.approx(equity[-1] / equity[0])
    assert sum(row.bars for row in rows) == len(bars)


def test_labels_that_do_not_fit_the_curve_are_refused() -> None:
    with pytest.raises(BadData, match="need 2 labels, were 3"):
        returns_by(np.ones(3), ["a", "b", "c"])
