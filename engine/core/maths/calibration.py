"""Platt scaling: how far the odds that a model gives may be believed (Platt 1999).

A model that fits noise is too sure of itself: it says 0.80 where 0.55 comes true. Two numbers learned from answers
about rows that it had not seen put that right: the logarithm of its odds is multiplied by a slope and moved by an
intercept. A slope of one believes it, a slope of zero hears only how often the answer was yes.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.core.maths.rolling import Floats

EDGE = 1e-6  # no answer is taken to be surer than this far from 0 and 1
_DIGITS = 9  # kept of slope and intercept, so that the last bits of another processor do not show
_STEPS = 100
_HALVINGS = 30
_DONE = 1e-14  # nats that a further step could still gain


class Calibration(msgspec.Struct, frozen=True):
    """What makes of a raw probability one that may be believed. The slope is never negative.

    >>> Calibration(slope=1.0, intercept=0.0).probability(0.75)
    0.75
    >>> round(Calibration(slope=0.25, intercept=0.0).probability(0.8), 4)
    0.5858
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope >= 0):
            raise ValueError(f"a calibration is finite and its slope not negative, was {self}")

    def probability(self, raw: float) -> float:
        """The calibrated probability. NaN stays NaN."""
        return sigmoid(self.slope * logit(raw) + self.intercept)

    def probabilities(self, raw: Floats) -> Floats:
        """The same for many, bit for bit: one after the other, for vector code may round otherwise."""
        return np.array([self.probability(each) for each in raw.tolist()], dtype=np.float64)


def logit(probability: float) -> float:
    """Return the logarithm of the odds, of a probability held within `EDGE` of 0 and 1.

    >>> logit(0.5), round(logit(0.0), 4), round(logit(1.0), 4)
    (0.0, -13.8155, 13.8155)
    """
    held = min(max(probability, EDGE), 1.0 - EDGE) if probability == probability else probability
    return math.log(held / (1.0 - held))


def sigmoid(odds: float) -> float:
    """Return the probability of which `odds` is the logarithm of the odds.

    >>> sigmoid(0.0), sigmoid(-1e6), sigmoid(1e6)
    (0.5, 0.0, 1.0)
    """
    if odds >= 0:
        return 1.0 / (1.0 + math.exp(-odds))
    small = math.exp(odds)
    return small / (1.0 + small)


def calibrate(raw: Floats, target: NDArray[np.bool_], weight: Floats) -> Calibration:
    """Return the slope and intercept of least weighted log loss; the answers must be about unseen rows.

    Where higher answers came true more rarely, or all answers are the same, the slope is zero and the intercept
    that of the share of yes: by convexity the best that a slope which is not negative can do.

    >>> calibrate(np.array([0.9, 0.9, 0.1, 0.1]), np.array([True, False, True, False]), np.ones(4))
    Calibration(slope=0.0, intercept=0.0)
    """
    total = float(weight.sum())
    if total <= 0:
        raise ValueError(f"nothing to calibrate from: {raw.size} answers with a weight of {total}")
    share = weight / total
    base = Calibration(0.0, round(logit(float(share @ target)), _DIGITS))
    held = np.clip(raw, EDGE, 1.0 - EDGE)
    odds = np.log(held / (1.0 - held))
    centre = float(share @ odds)
    spread = math.sqrt(float(share @ (odds - centre) ** 2))
    if spread < EDGE or not 0.0 < float(share @ target) < 1.0:
        return base
    scaled_slope, level = _newton((odds - centre) / spread, target.astype(np.float64), share, base.intercept)
    slope = round(scaled_slope / spread, _DIGITS)
    if slope <= 0:
        return base
    return Calibration(slope, round(level - slope * centre, _DIGITS))


def _newton(x: Floats, target: Floats, share: Floats, level: float) -> tuple[float, float]:
    """Slope and level of the logistic curve through centred and scaled `x`, from the flat one at `level`.

    A step that does not help is halved. Where `x` tells the answers apart completely no curve is steepest: the
    steps end when there is nothing left to gain.
    """
    slope, loss = 0.0, _loss(0.0, level, x, target, share)
    for _ in range(_STEPS):
        said = 1.0 / (1.0 + np.exp(-(slope * x + level)))
        off, bend = share * (said - target), share * said * (1.0 - said)
        down = float(off @ x), float(off.sum())
        xx, x1, one = float(bend @ (x * x)), float(bend @ x), float(bend.sum())
        area = xx * one - x1 * x1
        if not area > 0:
            break
        step = (one * down[0] - x1 * down[1]) / area, (xx * down[1] - x1 * down[0]) / area
        if step[0] * down[0] + step[1] * down[1] < _DONE:
            break
        for halving in range(_HALVINGS):
            part = 0.5**halving
            tried = slope - part * step[0], level - part * step[1]
            found = _loss(*tried, x, target, share)
            if found <= loss:
                slope, level, loss = *tried, found
                break
        else:
            break
    return slope, level


def _loss(slope: float, level: float, x: Floats, target: Floats, share: Floats) -> float:
    margin = slope * x + level
    return float(share @ (np.logaddexp(0.0, margin) - target * margin))
