"""Moving-average trend: `gain * (short - long) / long`, the 20-bar against the 50-bar mean."""

from configs.schema.decision import AlphaSettings
from engine.core.domain.signal import Signal
from engine.core.maths.scores import clip


def signal(features: dict[str, float], settings: AlphaSettings) -> Signal:
    """With the default gain of 40, a spread of 2.5 % is full conviction."""
    spread = features["sma_ratio_20_50"]
    return Signal("trend", clip(settings.trend_gain * spread / 100), {"sma_ratio_20_50": spread})
