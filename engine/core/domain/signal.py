"""Opinions: what served models answered, what the alphas said, and what came of joining them."""

from typing import NamedTuple

import msgspec

from engine.core.domain.market import Floats


class Prediction(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A served model's answer, kept as an input. `probability` is of the upper barrier first; None is absent.

    `raw` is what the model said before its calibration, None where it has none.
    """

    model: str
    version: str
    probability: float | None
    reason: str = ""
    raw: float | None = None


class Answers(NamedTuple):
    """A model's answers for many bars, NaN where it is absent: the fields of Prediction as columns."""

    probability: Floats
    raw: Floats


class Signal(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One alpha's opinion: `score` from -1 (down) to 1 (up), and the readings it was made of."""

    source: str
    score: float
    inputs: dict[str, float]


class Vote(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A signal with its weight; `contribution` is weight times score, and contributions add up to the score."""

    source: str
    score: float
    weight: float
    contribution: float


class Forecast(msgspec.Struct, frozen=True, gc=False):
    """The joined opinion.

    `confidence` is the share of weighted conviction on the forecast's side, (1 + |score|) / 2: agreement,
    not a win rate. `dispersion` is the weighted standard deviation of the votes.
    `edge` and `edge_variance` are the mean and variance, per bar, of having held past forecasts that passed the
    gate (`edge_bars` of evidence, recency-weighted): what Kelly may rely on.
    """

    score: float
    direction: int
    confidence: float
    dispersion: float
    votes: tuple[Vote, ...]
    method: str
    edge: float
    edge_variance: float
    edge_bars: float
