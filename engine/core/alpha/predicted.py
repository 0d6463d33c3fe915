"""Speaks for the served models: the mean of their probabilities of reaching the upper barrier first."""

from collections.abc import Sequence

from configs.schema.decision import AlphaSettings
from engine.core.domain.signal import Prediction, Signal
from engine.core.maths.scores import clip


def signal(predictions: Sequence[Prediction], settings: AlphaSettings) -> Signal | None:
    """`predicted_gain` times the distance from one half; None when no model answered with one.

    The readings hold the calibrated answers, which count, and what the models said before that.
    """
    answers, raw = {}, {}
    for said in predictions:
        if said.probability is not None and 0 <= said.probability <= 1:
            answers[said.model] = said.probability
            if said.raw is not None:
                raw[f"{said.model} raw"] = said.raw
    if not answers:
        return None
    mean = sum(answers.values()) / len(answers)
    return Signal("predicted", clip(settings.predicted_gain * (mean - 0.5)), answers | raw)
