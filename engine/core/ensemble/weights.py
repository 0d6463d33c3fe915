"""How much each voter is listened to, from how its past calls came out.

At each bar the calls of the bar before are judged by the return since. Three ways to turn that into weights:

* equal: the baseline that the others must beat.
* hedge: multiplicative weights w *= exp(-rate * loss), with a fixed share that flows back to everyone so that a
  voter can recover after the market changes (Herbster and Warmuth 1998). Losses lie in [0, 1].
* bayes: right and wrong calls, discounted, are a Beta posterior of the hit rate; the weight is the probability
  that the hit rate is above one half (normal approximation).
"""

import math
from collections.abc import Sequence

from msgspec.structs import replace

from configs.schema.decision import EnsembleSettings
from engine.core.domain.records import EnsembleState, ModelEvidence
from engine.core.domain.signal import Signal
from engine.core.maths.scores import clip, normal_cdf


def learn(state: EnsembleState, close: float, volatility: float, settings: EnsembleSettings) -> EnsembleState:
    """Judge the last calls by the return to `close`; `volatility` is one bar's, as a share."""
    if state.last_close is None:
        return state
    move = math.log(close / state.last_close)
    surprise = clip(move / (2 * volatility)) if volatility > 0 else 0.0
    voters = {name: _judge(voter, surprise, settings) for name, voter in state.voters.items()}
    return _measure_edge(replace(state, voters=_share_out(voters, settings.share)), move, settings)


def _measure_edge(state: EnsembleState, move: float, settings: EnsembleSettings) -> EnsembleState:
    """Only bars whose forecast passed the gate count: the edge is that of what the desk would have held."""
    if not state.last_followed:
        return state
    earned = state.last_followed * move
    bars = state.edge_bars * 0.5 ** (1 / settings.edge_half_life) + 1
    return replace(
        state,
        edge=state.edge + (earned - state.edge) / bars,
        edge_square=state.edge_square + (earned * earned - state.edge_square) / bars,
        edge_bars=bars,
    )


def hedge_loss(score: float, surprise: float) -> float:
    """Between 0 (fully right) and 1 (fully wrong); one half for no opinion."""
    return (1 - score * surprise) / 2


def _judge(voter: ModelEvidence, surprise: float, settings: EnsembleSettings) -> ModelEvidence:
    outcome = voter.last_score * surprise
    return ModelEvidence(
        weight=voter.weight * math.exp(-settings.learning_rate * hedge_loss(voter.last_score, surprise)),
        right=voter.right * settings.discount + max(0.0, outcome),
        wrong=voter.wrong * settings.discount + max(0.0, -outcome),
        last_score=voter.last_score,
    )


def _share_out(voters: dict[str, ModelEvidence], share: float) -> dict[str, ModelEvidence]:
    total = sum(voter.weight for voter in voters.values())
    if not voters or total <= 0:
        return voters
    floor, kept = share / len(voters), (1 - share) / total
    return {
        name: ModelEvidence(voter.weight * kept + floor, voter.right, voter.wrong, voter.last_score)
        for name, voter in voters.items()
    }


def admit(state: EnsembleState, signals: Sequence[Signal]) -> dict[str, ModelEvidence]:
    """The voters of this bar with their evidence; a new voter starts with an equal part."""
    part = 1 / len(signals) if signals else 0.0
    fresh = ModelEvidence(part, 0.0, 0.0, 0.0)
    return {signal.source: state.voters.get(signal.source, fresh) for signal in signals}


def weigh(voters: dict[str, ModelEvidence], method: str) -> dict[str, float]:
    """Weights that add up to one, by the method named in the settings."""
    raw = {name: _RAW[method](voter) for name, voter in voters.items()}
    total = sum(raw.values())
    if total <= 0:
        return {name: 1 / len(raw) for name in raw}
    return {name: weight / total for name, weight in raw.items()}


def _equal(voter: ModelEvidence) -> float:
    return 1.0


def _hedge(voter: ModelEvidence) -> float:
    return voter.weight


def _bayes(voter: ModelEvidence) -> float:
    a, b = 1 + voter.right, 1 + voter.wrong
    mean = a / (a + b)
    deviation = math.sqrt(mean * (1 - mean) / (a + b + 1))
    return normal_cdf((mean - 0.5) / deviation)


_RAW = {"equal": _equal, "hedge": _hedge, "bayes": _bayes}
