"""Time-series momentum: what went up over one, two and four quarters tends to go on (Moskowitz, Ooi, Pedersen 2012).

Each past return is divided by what a random walk of the same volatility would have done, so that calm and wild
markets speak with the same voice; the three are averaged.
"""

import math

from configs.schema.decision import AlphaSettings
from engine.core.domain.signal import Signal
from engine.core.maths.scores import clip

SPANS = (60, 120, 250)
_PASTS = tuple((f"ret_{span}", math.sqrt(span)) for span in SPANS)


def signal(features: dict[str, float], settings: AlphaSettings) -> Signal:
    """Full conviction at `momentum_full` standard deviations. Past returns are in percent, the volatility a share."""
    volatility = features["vol_cc_60"]
    inputs = {"vol_cc_60": volatility}
    total = 0.0
    for name, root in _PASTS:
        past = inputs[name] = features[name]
        if volatility > 0:
            total += past / (100 * volatility * root)
    return Signal("momentum", clip(total / len(SPANS) / settings.momentum_full), inputs)
