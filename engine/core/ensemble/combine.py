"""Signals and weights become one forecast, with its doubt and its measured edge."""

import math
from collections.abc import Sequence

from configs.schema.decision import EnsembleSettings
from engine.core.domain.records import EnsembleState, ModelEvidence
from engine.core.domain.signal import Forecast, Signal, Vote
from engine.core.ensemble.weights import admit, weigh


def combine(signals: Sequence[Signal], state: EnsembleState, settings: EnsembleSettings) -> Forecast:
    """One score from all votes. With no signals at all, a forecast that says nothing."""
    method, edge = settings.method, state.edge
    weights = weigh(admit(state, signals), method)
    votes, score, spread = [], 0.0, 0.0
    for signal, weight in zip(signals, weights, strict=True):
        said = signal.score
        part = weight * said
        votes.append(Vote(signal.source, said, weight, part))
        score += part
    for vote in votes:
        spread += vote.weight * (vote.score - score) ** 2
    return Forecast(
        score,
        (score > 0) - (score < 0),
        (1 + abs(score)) / 2,
        math.sqrt(spread),
        tuple(votes),
        method,
        edge,
        max(0.0, state.edge_square - edge**2),
        state.edge_bars,
    )


def remember(state: EnsembleState, signals: Sequence[Signal], close: float, followed: int) -> EnsembleState:
    """The state that keeps what was said at this bar, so that the next one can judge it.

    `followed` is the direction that passed the gate, 0 if none did. A voter that was silent keeps its evidence.
    """
    said = {signal.source: signal.score for signal in signals}
    voters = {
        name: ModelEvidence(voter.weight, voter.right, voter.wrong, said.get(name, 0.0))
        for name, voter in state.voters.items()
    }
    for name, score in said.items():
        if name not in voters:
            voters[name] = ModelEvidence(1 / len(signals), 0.0, 0.0, score)
    return EnsembleState(voters, close, followed, state.edge, state.edge_square, state.edge_bars)
