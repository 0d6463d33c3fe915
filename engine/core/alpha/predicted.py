"""Speaks for the served models: the mean of their probabilities of reaching the upper barrier first."""

from collections.abc import Sequence

from configs.schema.decision import AlphaSettings
from engine.core.domain.signal import Prediction, Signal
from engine.core.maths.scores import clip


def signal(predictions: Sequence[Prediction], settings: AlphaSettings) -> Signal | None:
    """`predicted_gain` times the distance from one half; None when no model answered with one.

    The readings hold the calibrated answers, which count, and what the models said before that.
    """
    answers = {
        p.model: p.probability for p in predictions if p.probability is not None and 0 <= p.probability <= 1
    }
    if not answers:
        return None
    mean = sum(answers.values()) / len(answers)
    raw = {f"{p.model} raw": p.raw for p in predictions if p.model in answers and p.raw is not None}
    return Signal("predicted", clip(settings.predicted_gain * (mean - 0.5)), answers | raw)
