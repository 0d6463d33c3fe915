from decimal import Decimal

import pytest

from configs.schema.decision import DecisionSettings
from engine.core.decision.propose import propose_entry
from engine.core.domain.instrument import Instrument
from engine.core.domain.order import Side

X = Instrument("X", tick=Decimal("0.25"))
GEOMETRY = DecisionSettings(stop_atr=2.0, target_atr=4.0, max_bars=9)


def test_a_long_trade_stands_between_its_stop_and_its_target() -> None:
    wish = propose_entry(1, Decimal(100), 1.1, X, GEOMETRY)

    assert (wish.action, wish.side, wish.reason, wish.max_bars) == ("enter", Side.BUY, "signal", 9)
    assert (wish.stop, wish.target) == (Decimal("97.75"), Decimal("104.50"))  # 97.8 and 104.4, rounded away


def test_a_short_trade_is_its_mirror() -> None:
    wish = propose_entry(-1, Decimal(100), 1.1, X, GEOMETRY)

    assert (wish.side, wish.stop, wish.target) == (Side.SELL, Decimal("102.25"), Decimal("95.50"))


@pytest.mark.parametrize(("direction", "low"), [(1, "stop"), (-1, "target")])
def test_no_price_is_below_the_first_tick(direction: int, low: str) -> None:
    wish = propose_entry(direction, Decimal(3), 50.0, X, GEOMETRY)

    assert getattr(wish, low) == X.tick
