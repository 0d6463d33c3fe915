"""Speaks for the served models: the mean of their probabilities of reaching the upper barrier first."""

from collections.abc import Sequence

from configs.schema.decision import AlphaSettings
from engine.core.domain.signal import Prediction, Signal
from engine.core.maths.scores import clip


def signal(predictions: Sequence[Prediction], settings: AlphaSettings) -> Signal | None:
    """`predicted_gain` times the distance from one half; None when no model answered."""
    answers = {p.model: p.probability for p in predictions if p.probability is not None}
    if not answers:
        return None
    mean = sum(answers.values()) / len(answers)
    return Signal("predicted", clip(settings.predicted_gain * (mean - 0.5)), answers)
