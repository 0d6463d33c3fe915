"""The confidence gate: which direction, if any, is worth a proposal."""

from configs.schema.decision import DecisionSettings
from engine.core.domain.signal import Forecast


def passes(forecast: Forecast, settings: DecisionSettings) -> int:
    """The direction that may be traded: +1, -1, or 0 when conviction or permission is missing.

    A long-only desk gives no direction to a forecast of falling prices.
    """
    if forecast.confidence < settings.confidence:
        return 0
    if settings.long_only and forecast.direction < 0:
        return 0
    return forecast.direction
