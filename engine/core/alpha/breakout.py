"""Volatility breakout: a close beyond the 20 bars before it, measured in average true ranges."""

from configs.schema.decision import AlphaSettings
from engine.core.domain.signal import Signal
from engine.core.maths.scores import clip


def signal(features: dict[str, float], settings: AlphaSettings) -> Signal:
    """Zero inside the channel; full conviction `breakout_full` ranges outside."""
    beyond = features["donchian_break_20"]
    return Signal("breakout", clip(beyond / settings.breakout_full), {"donchian_break_20": beyond})
