"""Mean reversion: far from its 20-bar mean, a price tends to come back."""

from configs.schema.decision import AlphaSettings
from engine.core.domain.signal import Signal
from engine.core.maths.scores import clip


def signal(features: dict[str, float], settings: AlphaSettings) -> Signal:
    """Against the stretch; full conviction at `reversion_full` standard deviations."""
    stretch = features["zscore_20"]
    return Signal("mean_reversion", clip(-stretch / settings.reversion_full), {"zscore_20": stretch})
