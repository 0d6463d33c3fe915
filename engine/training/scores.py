"""How good probabilities were, against what was known without a model. One convention each, no library."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.core.domain.market import Floats

Answers = NDArray[np.bool_]
_SMALLEST = 1e-15  # a probability of exactly 0 or 1 that is wrong costs 34.5 nats, not infinity


class Scores(msgspec.Struct, frozen=True):
    """`*_base` is what the same rows cost when every forecast is the share of ups in the training rows.

    `majority` is the accuracy of always naming the class that was commoner in training. `auc` is None when the
    rows hold one class only.
    """

    rows: int
    log_loss: float
    log_loss_base: float
    brier: float
    brier_base: float
    auc: float | None
    accuracy: float
    majority: float


class Gain(msgspec.Struct, frozen=True):
    """How much less the forecasts cost than the base rate, in nats a row, and the standard error of that."""

    log_loss: float
    error: float

    @property
    def sure(self) -> bool:
        """Whether it is more than chance gives to one in forty."""
        return self.log_loss > 2 * self.error


class ReliabilityBin(msgspec.Struct, frozen=True):
    """Rows with neighbouring forecasts: what was said on average, and how often it came true."""

    rows: int
    said: float
    seen: float


def score(probability: Floats, base: Floats, target: Answers) -> Scores:
    """Judge forecasts; `base` is, row by row, the share of ups that the training rows had.

    >>> score(np.array([0.9, 0.2]), np.array([0.6, 0.6]), np.array([True, False])).brier
    0.025
    """
    return Scores(
        rows=int(target.size),
        log_loss=_rounded(log_loss(probability, target)),
        log_loss_base=_rounded(log_loss(base, target)),
        brier=_rounded(((probability - target) ** 2).mean()),
        brier_base=_rounded(((base - target) ** 2).mean()),
        auc=area_under_curve(probability, target),
        accuracy=_rounded(((probability >= 0.5) == target).mean()),
        majority=_rounded(((base >= 0.5) == target).mean()),
    )


def log_loss(probability: Floats, target: Answers) -> float:
    """Return the mean negative log likelihood in nats."""
    return float(_losses(probability, target).mean())


def gain(probability: Floats, base: Floats, target: Answers, weight: Floats) -> Gain:
    """Return what the forecasts save over the base rate; a row is as much of a witness as its `weight`.

    >>> half = np.full(4, 0.5)
    >>> gain(half, half, np.array([True, False, True, False]), np.ones(4))
    Gain(log_loss=0.0, error=0.0)
    """
    saved = _losses(base, target) - _losses(probability, target)
    return Gain(_rounded(saved.mean()), _rounded(saved.std() / np.sqrt(weight.sum())))


def _losses(probability: Floats, target: Answers) -> Floats:
    given = np.clip(np.where(target, probability, 1.0 - probability), _SMALLEST, 1.0)
    return np.asarray(-np.log(given), dtype=np.float64)


def area_under_curve(probability: Floats, target: Answers) -> float | None:
    """Return the chance that a random true row is ranked above a random false one, ties counted half.

    >>> area_under_curve(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, True, False, True]))
    0.875
    """
    ups = int(np.count_nonzero(target))
    downs = int(target.size) - ups
    if ups == 0 or downs == 0:
        return None
    values, place = np.unique(probability, return_inverse=True)
    counts = np.bincount(place, minlength=values.size)
    rank = np.cumsum(counts) - (counts - 1) / 2.0
    return _rounded((rank[place][target].sum() - ups * (ups + 1) / 2.0) / (ups * downs))


def auc_error(target: Answers) -> float:
    """Return the standard deviation that the area under the curve has when nothing can be predicted."""
    ups = max(1, int(np.count_nonzero(target)))
    downs = max(1, int(target.size) - ups)
    return float(np.sqrt((ups + downs + 1) / (12.0 * ups * downs)))


def reliability(probability: Floats, target: Answers, bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Return equally filled bins from the lowest forecast to the highest."""
    order = np.argsort(probability, kind="stable")
    return tuple(
        ReliabilityBin(int(part.size), _rounded(probability[part].mean()), _rounded(target[part].mean()))
        for part in np.array_split(order, bins)
        if part.size
    )


def _rounded(value: float) -> float:
    return round(float(value), 6)
