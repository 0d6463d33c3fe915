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
    return _measure_edge(replace(state, voters=_judge(state.voters, surprise, settings)), move, settings)


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


def _judge(
    voters: dict[str, ModelEvidence], surprise: float, settings: EnsembleSettings
) -> dict[str, ModelEvidence]:
    """Multiply the weights, share them out so that they add up to one, and count right and wrong calls."""
    rate, discount, share, exp = -settings.learning_rate, settings.discount, settings.share, math.exp
    grown = [voter.weight * exp(rate * hedge_loss(voter.last_score, surprise)) for voter in voters.values()]
    total = sum(grown)
    floor, kept = (share / len(grown), (1 - share) / total) if total > 0 else (0.0, 1.0)
    judged = {}
    for (name, voter), weight in zip(voters.items(), grown, strict=True):
        right, wrong, said = voter.right * discount, voter.wrong * discount, voter.last_score
        outcome = said * surprise
        if outcome > 0:
            right += outcome
        elif outcome < 0:
            wrong -= outcome
        judged[name] = ModelEvidence(weight * kept + floor, right, wrong, said)
    return judged


def admit(state: EnsembleState, signals: Sequence[Signal]) -> list[ModelEvidence]:
    """What is known of those who speak at this bar, in their order; a new voter starts with an equal part."""
    voters, new = state.voters, ModelEvidence(1 / (len(signals) or 1), 0.0, 0.0, 0.0)
    return [voters.get(signal.source, new) for signal in signals]


def weigh(voters: Sequence[ModelEvidence], method: str) -> list[float]:
    """Weights that add up to one, by the method named in the settings."""
    raw = _RAW[method](voters)
    total = sum(raw)
    if total <= 0:
        return [1 / len(raw) for _ in raw]
    return [weight / total for weight in raw]


def _equal(voters: Sequence[ModelEvidence]) -> list[float]:
    return [1.0 for _ in voters]


def _hedge(voters: Sequence[ModelEvidence]) -> list[float]:
    return [voter.weight for voter in voters]


def _bayes(voters: Sequence[ModelEvidence]) -> list[float]:
    return [_is_skilled(voter) for voter in voters]


def _is_skilled(voter: ModelEvidence) -> float:
    """The probability that the hit rate is above one half."""
    a, b = 1 + voter.right, 1 + voter.wrong
    mean = a / (a + b)
    deviation = math.sqrt(mean * (1 - mean) / (a + b + 1))
    return normal_cdf((mean - 0.5) / deviation)


_RAW = {"equal": _equal, "hedge": _hedge, "bayes": _bayes}
