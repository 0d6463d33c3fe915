import pytest

from configs.schema.decision import EnsembleSettings
from engine.core.domain.records import EnsembleState, ModelEvidence
from engine.core.domain.signal import Signal
from engine.core.ensemble.combine import combine, remember

EQUAL = EnsembleSettings(method="equal")


def signals(**scores: float) -> list[Signal]:
    return [Signal(name, score, {}) for name, score in scores.items()]


def test_contributions_add_up_to_the_score() -> None:
    forecast = combine(signals(a=1.0, b=0.5, c=-0.3), EnsembleState(), EQUAL)

    assert forecast.score == pytest.approx(0.4)
    assert sum(vote.contribution for vote in forecast.votes) == pytest.approx(forecast.score)
    assert forecast.direction == 1
    assert forecast.confidence == pytest.approx(0.7)
    assert forecast.dispersion == pytest.approx(((0.6**2 + 0.1**2 + 0.7**2) / 3) ** 0.5)


@pytest.mark.parametrize(("score", "direction"), [(-0.2, -1), (0.0, 0), (0.2, 1)])
def test_the_direction_is_the_sign_of_the_score(score: float, direction: int) -> None:
    assert combine(signals(only=score), EnsembleState(), EQUAL).direction == direction


def test_silence_says_nothing() -> None:
    forecast = combine([], EnsembleState(), EQUAL)

    assert (forecast.score, forecast.direction, forecast.confidence, forecast.votes) == (0.0, 0, 0.5, ())


def test_the_edge_comes_with_a_variance_that_is_never_negative() -> None:
    state = EnsembleState(edge=0.1, edge_square=0.01 - 1e-18, edge_bars=3.0)
    forecast = combine(signals(a=1.0), state, EQUAL)

    assert (forecast.edge, forecast.edge_variance, forecast.edge_bars) == (0.1, 0.0, 3.0)


def test_what_was_said_is_remembered_to_be_judged() -> None:
    known = EnsembleState(
        {"silent": ModelEvidence(0.4, 1.0, 2.0, 0.9), "old": ModelEvidence(0.6, 3.0, 4.0, 0.1)}
    )
    kept = remember(known, signals(old=-0.5, new=0.25), 123.0, followed=-1)

    assert kept.voters == {
        "silent": ModelEvidence(0.4, 1.0, 2.0, 0.0),
        "old": ModelEvidence(0.6, 3.0, 4.0, -0.5),
        "new": ModelEvidence(0.5, 0.0, 0.0, 0.25),
    }
    assert (kept.last_close, kept.last_followed) == (123.0, -1)
