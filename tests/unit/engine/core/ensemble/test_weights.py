import math

import pytest

from configs.schema.decision import EnsembleSettings
from engine.core.domain.records import EnsembleState, ModelEvidence
from engine.core.domain.signal import Signal
from engine.core.ensemble.combine import combine, remember
from engine.core.ensemble.weights import hedge_loss, learn

PURE_HEDGE = EnsembleSettings(learning_rate=0.5, share=0.0)


def voters(*scores: float, weights: tuple[float, ...] = ()) -> dict[str, ModelEvidence]:
    parts = weights or (1 / len(scores),) * len(scores)
    return {f"v{n}": ModelEvidence(parts[n], 0.0, 0.0, score) for n, score in enumerate(scores)}


def seen(*scores: float, followed: int = 0, close: float | None = 100.0) -> EnsembleState:
    return EnsembleState(voters(*scores), close, followed)


def test_the_first_bar_teaches_nothing() -> None:
    state = seen(1.0, -1.0, close=None)

    assert learn(state, 110.0, 0.01, PURE_HEDGE) is state


@pytest.mark.parametrize(
    ("score", "surprise", "loss"),
    [(1, 1, 0.0), (1, -1, 1.0), (-1, -1, 0.0), (0, 1, 0.5), (1, 0, 0.5), (0.5, 1, 0.25)],
)
def test_loss_runs_from_right_to_wrong(score: float, surprise: float, loss: float) -> None:
    assert hedge_loss(score, surprise) == loss


def test_who_was_right_gains_weight_by_the_rule_of_hedge() -> None:
    learned = learn(
        seen(1.0, -1.0, 0.0), 100 * math.exp(0.02), 0.01, PURE_HEDGE
    )  # two deviations up: a full surprise

    raw = [math.exp(-0.5 * loss) for loss in (0.0, 1.0, 0.5)]
    assert [voter.weight for voter in learned.voters.values()] == pytest.approx([w / sum(raw) for w in raw])


def test_a_fixed_share_keeps_everybody_alive() -> None:
    state, settings = seen(1.0, -1.0), EnsembleSettings(learning_rate=10.0, share=0.1)
    for _ in range(50):
        state = learn(state, 110.0, 0.01, settings)

    assert state.voters["v1"].weight >= 0.1 / 2
    assert sum(voter.weight for voter in state.voters.values()) == pytest.approx(1.0)


def test_without_volatility_there_is_no_surprise() -> None:
    learned = learn(seen(1.0, -1.0), 110.0, 0.0, PURE_HEDGE)

    assert [voter.weight for voter in learned.voters.values()] == pytest.approx([0.5, 0.5])


def test_hits_and_misses_are_discounted_and_counted() -> None:
    before = EnsembleState(
        {"right": ModelEvidence(0.5, 2.0, 4.0, 1.0), "wrong": ModelEvidence(0.5, 2.0, 4.0, -0.5)}, 100.0
    )
    after = learn(before, 110.0, 0.01, EnsembleSettings(discount=0.5)).voters

    assert (after["right"].right, after["right"].wrong) == (2.0, 2.0)
    assert (after["wrong"].right, after["wrong"].wrong) == (1.0, 2.5)


def test_nobody_to_judge_is_no_trouble() -> None:
    assert learn(EnsembleState(last_close=100.0), 101.0, 0.01, PURE_HEDGE).voters == {}


def test_weights_that_ran_out_are_left_as_they_are() -> None:
    state = EnsembleState(voters(1.0, -1.0, weights=(0.0, 0.0)), 100.0)

    assert [v.weight for v in learn(state, 101.0, 0.01, PURE_HEDGE).voters.values()] == [0.0, 0.0]


# --- the measured edge ---


def test_only_bars_that_the_gate_let_through_count_for_the_edge() -> None:
    assert learn(seen(1.0, followed=0), 110.0, 0.01, PURE_HEDGE).edge_bars == 0.0

    followed = learn(seen(1.0, followed=-1), 110.0, 0.01, PURE_HEDGE)
    assert followed.edge == pytest.approx(-math.log(1.1))
    assert followed.edge_square == pytest.approx(math.log(1.1) ** 2)
    assert followed.edge_bars == 1.0


def test_the_edge_is_the_recency_weighted_mean() -> None:
    settings = EnsembleSettings(edge_half_life=2.0)
    moves, state, price = [0.01, -0.02, 0.03], EnsembleState(last_close=1.0, last_followed=1), 1.0
    for move in moves:
        price *= math.exp(move)
        state = remember(learn(state, price, 0.01, settings), [], price, followed=1)

    ages = [0.5 ** (age / 2) for age in (2, 1, 0)]
    mean = sum(age * move for age, move in zip(ages, moves, strict=True)) / sum(ages)
    assert state.edge == pytest.approx(mean)
    assert state.edge_bars == pytest.approx(sum(ages))


# --- weights for voting ---


def weights(method: str, **evidence: ModelEvidence | None) -> dict[str, float]:
    """The weight of every vote; None for a voter that has never spoken."""
    known = {name: voter for name, voter in evidence.items() if voter is not None}
    spoken = [Signal(name, 0.5, {}) for name in evidence]
    forecast = combine(spoken, EnsembleState(known), EnsembleSettings(method=method))  # type: ignore[arg-type]
    return {vote.source: vote.weight for vote in forecast.votes}


GOOD, BAD = ModelEvidence(0.6, 30.0, 10.0, 0.0), ModelEvidence(0.2, 10.0, 30.0, 0.0)


def test_equal_weights_are_equal_whatever_was_seen() -> None:
    assert weights("equal", good=GOOD, bad=BAD, new=None) == pytest.approx(
        {"good": 1 / 3, "bad": 1 / 3, "new": 1 / 3}
    )


def test_hedge_weights_are_those_that_were_learned() -> None:
    assert weights("hedge", good=GOOD, bad=BAD) == pytest.approx({"good": 0.75, "bad": 0.25})


def test_a_new_voter_starts_with_an_equal_part() -> None:
    assert weights("hedge", a=None, b=None) == {"a": 0.5, "b": 0.5}
    assert weights("hedge", old=ModelEvidence(0.5, 0.0, 0.0, 0.0), new=None) == {"old": 0.5, "new": 0.5}


def test_the_bayesian_weight_is_the_probability_of_a_hit_rate_above_one_half() -> None:
    """Beta(31, 11) has mean 31/42 and variance 31*11/(42^2*43)."""
    mean, deviation = 31 / 42, math.sqrt(31 * 11 / (42**2 * 43))
    chance = 0.5 * math.erfc(-(mean - 0.5) / deviation / math.sqrt(2))

    found = weights("bayes", good=GOOD, bad=BAD, new=None)

    assert sum(found.values()) == pytest.approx(1.0)
    assert found["good"] / found["new"] == pytest.approx(chance / 0.5)
    assert found["good"] / found["bad"] > 100


@pytest.mark.parametrize("method", ["hedge", "bayes"])
def test_when_nobody_deserves_any_weight_all_are_heard_alike(method: str) -> None:
    hopeless = ModelEvidence(0.0, 0.0, 1e9, 0.0)

    assert weights(method, a=hopeless, b=hopeless) == {"a": 0.5, "b": 0.5}
