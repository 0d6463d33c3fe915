"""Signals and weights become one forecast, with its doubt and its measured edge."""

import math
from collections.abc import Sequence

from msgspec.structs import replace

from configs.schema.decision import EnsembleSettings
from engine.core.domain.records import EnsembleState, ModelEvidence
from engine.core.domain.signal import Forecast, Signal, Vote
from engine.core.ensemble.weights import admit, weigh


def combine(signals: Sequence[Signal], state: EnsembleState, settings: EnsembleSettings) -> Forecast:
    """One score from all votes. With no signals at all, a forecast that says nothing."""
    weights = weigh(admit(state, signals), settings.method)
    pairs = zip(signals, weights, strict=True)
    votes = tuple([Vote(said.source, said.score, weight, weight * said.score) for said, weight in pairs])
    score = sum([vote.contribution for vote in votes])
    spread = sum([vote.weight * (vote.score - score) ** 2 for vote in votes])
    return Forecast(
        score=score,
        direction=(score > 0) - (score < 0),
        confidence=(1 + abs(score)) / 2,
        dispersion=math.sqrt(spread),
        votes=votes,
        method=settings.method,
        edge=state.edge,
        edge_variance=max(0.0, state.edge_square - state.edge**2),
        edge_bars=state.edge_bars,
    )


def remember(state: EnsembleState, signals: Sequence[Signal], close: float, followed: int) -> EnsembleState:
    """The state that keeps what was said at this bar, so that the next one can judge it.

    `followed` is the direction that passed the gate, 0 if none did. A voter that was silent keeps its evidence.
    """
    said = {signal.source: signal.score for signal in signals}
    voters = state.voters | dict(zip(said, admit(state, signals), strict=True))
    called = {
        name: ModelEvidence(voter.weight, voter.right, voter.wrong, said.get(name, 0.0))
        for name, voter in voters.items()
    }
    return replace(state, voters=called, last_close=close, last_followed=followed)
