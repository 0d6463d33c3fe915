"""Opinions over many bars at once: signals, the ensemble's weights, the forecast and the gate.

None of it depends on what the desk owns, so a sweep works it out before it steps. The arithmetic is that of
`core/alpha` and `core/ensemble` to the last bit (a test holds them against each other): the same operations in
the same order, on columns where a bar does not need the one before, in one tight loop where it does.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from configs.schema.decision import AlphaSettings, EnsembleSettings
from configs.schema.settings import Settings
from engine.backtest.market import Stretch
from engine.core.alpha.momentum import SPANS
from engine.core.decision.gate import passes
from engine.core.domain.market import Floats
from engine.core.domain.records import EnsembleState, ModelEvidence
from engine.core.domain.signal import Prediction, Signal
from engine.core.ensemble.combine import combine, remember
from engine.core.ensemble.weights import learn
from engine.core.features.registry import NAMES
from engine.core.pipeline import ALPHAS, predicted

Directions = NDArray[np.int8]


class Outlook(NamedTuple):
    """The opinions of a stretch, row by row; rows before `ready` have none (direction 0, confidence 0.5).

    `direction` is the forecast's, `gated` the one that passed the gate. `edge` and `edge_variance` are what Kelly
    may rely on at that bar. `states` hold what the ensemble knew *before* each row from `ready` on, and `last`
    what it knows after the stretch.
    """

    ready: int
    confidence: Floats
    direction: Directions
    gated: Directions
    edge: Floats
    edge_variance: Floats
    states: "States"
    last: EnsembleState


class States(NamedTuple):
    """The ensemble before each row, as columns; made whole only where a decision asks for it."""

    names: tuple[str, ...]
    weights: list[list[float]]
    right: list[list[float]]
    wrong: list[list[float]]
    scores: list[list[float]]
    closes: list[float]
    followed: list[int]
    edges: list[tuple[float, float, float]]
    first: EnsembleState

    def before(self, row: int) -> EnsembleState:
        """The state that the decision on a row begins with."""
        if row == 0:
            return self.first
        voters = {
            name: ModelEvidence(weight, right, wrong, score)
            for name, weight, right, wrong, score in zip(
                self.names, self.weights[row], self.right[row], self.wrong[row], self.scores[row - 1], strict=True
            )
        }
        return EnsembleState(voters, self.closes[row - 1], self.followed[row - 1], *self.edges[row])
