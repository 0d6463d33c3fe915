import pytest

from configs.schema.decision import DecisionSettings
from engine.core.decision.gate import passes
from tests.builders import forecast

BOTH_WAYS = DecisionSettings(confidence=0.65, long_only=False)


@pytest.mark.parametrize(
    ("score", "direction"), [(0.28, 0), (0.3, 1), (0.32, 1), (-0.28, 0), (-0.3, -1), (-0.32, -1)]
)
def test_the_gate_opens_at_its_confidence(score: float, direction: int) -> None:
    assert passes(forecast(score), BOTH_WAYS) == direction


def test_a_long_only_desk_gives_no_direction_to_falling_prices() -> None:
    assert passes(forecast(-0.9), DecisionSettings(long_only=True)) == 0
    assert passes(forecast(0.9), DecisionSettings(long_only=True)) == 1


def test_a_forecast_without_a_direction_has_none_at_any_confidence() -> None:
    assert passes(forecast(0.0, a=0.0), DecisionSettings(confidence=0.5)) == 0
