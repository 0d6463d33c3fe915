"""Hedge keeps its promise: it is never much worse than the best of its voters, whoever that turns out to be."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema.decision import EnsembleSettings
from engine.core.domain.records import EnsembleState
from engine.core.domain.signal import Signal
from engine.core.ensemble.combine import combine, remember
from engine.core.ensemble.weights import hedge_loss, learn

SCORES = st.floats(-1, 1)


@st.composite
def seasons(draw: st.DrawFn) -> list[tuple[list[float], float]]:
    """At each bar: what everybody said, and the surprise that followed."""
    voters, bars = draw(st.integers(2, 5)), draw(st.integers(8, 60))
    said = st.lists(SCORES, min_size=voters, max_size=voters)
    return draw(st.lists(st.tuples(said, SCORES), min_size=bars, max_size=bars))


def forecast_losses(
    season: list[tuple[list[float], float]], settings: EnsembleSettings
) -> tuple[float, list[float]]:
    """What the joined forecast lost, and what each voter did, on a market that surprises as told."""
    state, close, volatility = EnsembleState(), 100.0, 0.01
    lost, lost_by = 0.0, [0.0] * len(season[0][0])
    for said, surprise in season:
        signals = [Signal(f"v{n}", score, {}) for n, score in enumerate(said)]
        lost += hedge_loss(combine(signals, state, settings).score, surprise)
        lost_by = [loss + hedge_loss(score, surprise) for loss, score in zip(lost_by, said, strict=True)]
        state = remember(state, signals, close, 0)
        close *= math.exp(2 * volatility * surprise)
        state = learn(state, close, volatility, settings)
    return lost, lost_by


@given(seasons())
def test_regret_is_within_the_bound_of_hedge(season: list[tuple[list[float], float]]) -> None:
    """Cesa-Bianchi and Lugosi 2006, theorem 2.2: losses in [0, 1], rate sqrt(8 ln N / T), no shared weight."""
    bars, voters = len(season), len(season[0][0])
    rate = math.sqrt(8 * math.log(voters) / bars)
    lost, lost_by = forecast_losses(season, EnsembleSettings(learning_rate=rate, share=0.0))

    assert lost - min(lost_by) <= math.sqrt(bars * math.log(voters) / 2) + 1e-9


@given(seasons(), st.sampled_from(["equal", "hedge", "bayes"]), st.floats(0.01, 10), st.floats(0, 0.5))
def test_every_method_gives_weights_between_zero_and_one_that_add_up(
    season: list[tuple[list[float], float]], method: str, rate: float, share: float
) -> None:
    settings = EnsembleSettings(method=method, learning_rate=rate, share=share)  # type: ignore[arg-type]
    state, close = EnsembleState(), 100.0
    for said, surprise in season:
        signals = [Signal(f"v{n}", score, {}) for n, score in enumerate(said)]
        forecast = combine(signals, state, settings)
        assert all(0 <= vote.weight <= 1 for vote in forecast.votes)
        assert sum(vote.weight for vote in forecast.votes) == pytest.approx(1.0)
        assert abs(forecast.score) <= 1 + 1e-12
        assert forecast.dispersion <= 1 + 1e-12
        state = remember(state, signals, close, forecast.direction)
        close *= math.exp(0.02 * surprise)
        state = learn(state, close, 0.01, settings)
        assert state.edge_square >= 0
