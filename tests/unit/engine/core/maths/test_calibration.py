import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.maths.calibration import Calibration, calibrate, logit, sigmoid

Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


def sample(seed: int, n: int, slope: float, intercept: float = 0.2) -> Sample:
    """Answers whose log odds are to be multiplied by `slope` and moved by `intercept`, with uneven weights."""
    random = np.random.default_rng(seed)
    odds = random.normal(0.3, 1.2, n)
    true = 1 / (1 + np.exp(-(slope * odds + intercept)))
    return 1 / (1 + np.exp(-odds)), random.random(n) < true, random.uniform(0.1, 1.0, n)


def loss(calibration: Calibration, raw: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
    said = calibration.probabilities(raw)
    return float(np.average(-np.log(np.where(target, said, 1 - said)), weights=weight))


@given(seed=st.integers(0, 10_000), n=st.integers(30, 400), slope=st.floats(0.3, 3.0))
def test_slope_and_intercept_are_those_of_scikit_learn(seed: int, n: int, slope: float) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    raw, target, weight = sample(seed, n, slope)
    odds = np.log(raw / (1 - raw))
    if not odds[target].size or not odds[~target].size or odds[target].min() > odds[~target].max():
        return
    oracle = linear.LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    oracle.fit(odds[:, np.newaxis], target, sample_weight=weight)

    found = calibrate(raw, target, weight)

    assert found.slope == pytest.approx(max(0.0, oracle.coef_[0, 0]), abs=1e-5, rel=1e-5)
    if oracle.coef_[0, 0] > 0:
        assert found.intercept == pytest.approx(oracle.intercept_[0], abs=1e-5, rel=1e-5)


@given(seed=st.integers(0, 10_000))
def test_a_model_without_skill_says_nearly_the_base_rate(seed: int) -> None:
    raw, _, weight = sample(seed, 4000, 1.0)
    target = np.random.default_rng(seed + 1).random(4000) < 0.55

    found = calibrate(raw, target, weight)

    assert 0 <= found.slope < 0.15
    base = float(np.average(target, weights=weight))
    assert np.abs(found.probabilities(np.quantile(raw, [0.05, 0.5, 0.95])) - base).max() < 0.1


@given(seed=st.integers(0, 10_000), slope=st.floats(-2.0, -0.3))
def test_a_model_that_is_wrong_way_round_says_exactly_the_base_rate(seed: int, slope: float) -> None:
    raw, target, weight = sample(seed, 1000, slope)

    found = calibrate(raw, target, weight)

    assert found.slope == 0.0
    assert (
        found.probability(0.9) == found.probability(0.1) == pytest.approx(np.average(target, weights=weight))
    )


@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), slope=st.floats(-1.0, 3.0))
def test_no_other_calibration_with_such_a_slope_costs_less(seed: int, n: int, slope: float) -> None:
    raw, target, weight = sample(seed, n, slope)
    found = calibrate(raw, target, weight)

    cost = loss(found, raw, target, weight)

    for more, moved in ((0.01, 0.0), (-0.01, 0.0), (0.0, 0.01), (0.0, -0.01)):
        other = Calibration(max(0.0, found.slope + more), found.intercept + moved)
        assert cost <= loss(other, raw, target, weight) + 2e-6


def test_a_model_that_is_too_sure_is_held_back_and_keeps_its_order() -> None:
    found = calibrate(*sample(7, 5000, 0.25, 0.0))

    assert found.slope == pytest.approx(0.25, abs=0.08)
    said = found.probabilities(np.array([0.05, 0.2, 0.5, 0.8, 0.95]))
    assert (np.diff(said) > 0).all()
    assert 0.5 < said[3] < 0.65


@given(raw=st.lists(st.floats(0, 1), max_size=50), slope=st.floats(0, 50), intercept=st.floats(-50, 50))
def test_many_are_calibrated_as_each_alone(raw: list[float], slope: float, intercept: float) -> None:
    calibration = Calibration(slope, intercept)

    together = calibration.probabilities(np.array(raw))

    assert together.tolist() == [calibration.probability(each) for each in raw]
    assert ((together >= 0) & (together <= 1)).all()


def test_an_absent_answer_stays_absent() -> None:
    assert np.isnan(Calibration(0.5, 0.1).probabilities(np.array([np.nan, 0.5]))).tolist() == [True, False]


def test_answers_of_zero_and_one_can_be_learned_from_and_calibrated() -> None:
    found = calibrate(np.array([0.0, 1.0, 1.0, 0.0]), np.array([False, True, False, False]), np.ones(4))

    assert found.slope > 0
    assert 0 < found.probability(0.0) < found.probability(1.0) < 1


def test_answers_that_are_always_right_end_in_a_finite_slope() -> None:
    found = calibrate(np.array([0.2, 0.3, 0.7, 0.8]), np.array([False, False, True, True]), np.ones(4))

    assert math.isfinite(found.slope)
    assert found.probability(0.2) < 1e-6
    assert found.probability(0.8) > 1 - 1e-6


@pytest.mark.parametrize("came_true", [True, False])
def test_one_class_or_one_answer_gives_the_base_rate(came_true: bool) -> None:
    one_class = calibrate(np.array([0.2, 0.8]), np.array([came_true] * 2), np.ones(2))
    one_answer = calibrate(np.full(4, 0.9), np.array([True, False, False, False]), np.ones(4))

    assert one_class == Calibration(0.0, round(logit(float(came_true)), 9))
    assert one_answer.slope == 0.0
    assert one_answer.probability(0.9) == pytest.approx(0.25)


def test_a_calibration_that_cannot_be_is_refused() -> None:
    for slope, intercept in ((-0.1, 0.0), (math.nan, 0.0), (1.0, math.inf)):
        with pytest.raises(ValueError, match="slope not negative"):
            Calibration(slope, intercept)
    with pytest.raises(ValueError, match="nothing to calibrate from"):
        calibrate(np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0))


@given(odds=st.floats(-13, 13))
def test_logit_undoes_sigmoid(odds: float) -> None:
    assert logit(sigmoid(odds)) == pytest.approx(odds, abs=1e-9)
