import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.training.scores import area_under_curve, auc_error, gain, log_loss, reliability, score


def test_scores_by_hand() -> None:
    found = score(np.array([0.8, 0.4]), np.array([0.6, 0.6]), np.array([True, False]))

    assert found.log_loss == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2, abs=1e-6)
    assert found.log_loss_base == pytest.approx(-(np.log(0.6) + np.log(0.4)) / 2, abs=1e-6)
    assert found.brier == pytest.approx((0.04 + 0.16) / 2)
    assert found.brier_base == pytest.approx((0.16 + 0.36) / 2)
    assert (found.auc, found.accuracy, found.majority) == (1.0, 1.0, 0.5)


def test_one_class_has_no_curve() -> None:
    assert area_under_curve(np.array([0.1, 0.2]), np.array([True, True])) is None


def test_certainty_that_is_wrong_costs_much_but_not_infinity() -> None:
    assert log_loss(np.array([0.0]), np.array([True])) == pytest.approx(34.5388, abs=1e-3)


@given(seed=st.integers(0, 1000), n=st.integers(4, 200), steps=st.integers(2, 20))
def test_the_scores_are_those_of_scikit_learn(seed: int, n: int, steps: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(seed)
    target = random.random(n) < 0.5
    target[:2] = True, False
    said = random.integers(1, steps, n) / (steps + 1)

    found = score(said, said, target)

    assert found.auc == pytest.approx(metrics.roc_auc_score(target, said), abs=1e-6)
    assert found.log_loss == pytest.approx(metrics.log_loss(target, said), abs=1e-6)
    assert found.brier == pytest.approx(metrics.brier_score_loss(target, said), abs=1e-6)


def test_the_error_of_the_curve_is_what_chance_shows() -> None:
    random = np.random.default_rng(3)
    target = random.random(200) < 0.4
    found = [area_under_curve(random.random(200), target) for _ in range(1000)]

    assert np.std(np.array(found, dtype=float)) == pytest.approx(auc_error(target), rel=0.1)


def test_the_error_of_the_gain_is_what_chance_shows() -> None:
    random = np.random.default_rng(5)
    base = np.full(400, 0.5)
    found = []
    for _ in range(500):
        said = np.clip(random.normal(0.5, 0.05, 400), 0.01, 0.99)
        found.append(gain(said, base, random.random(400) < 0.5, np.ones(400)))

    assert np.std([each.log_loss for each in found]) == pytest.approx(
        np.mean([each.error for each in found]), rel=0.1
    )
    assert np.mean([each.sure for each in found]) < 0.05


def test_rows_that_count_less_make_the_gain_less_sure() -> None:
    said, target = np.array([0.7, 0.4, 0.6, 0.3]), np.array([True, True, True, False])
    base = np.full(4, 0.5)

    whole, quarter = (gain(said, base, target, np.full(4, weight)) for weight in (1.0, 0.25))

    assert quarter.log_loss == whole.log_loss
    assert quarter.error == pytest.approx(2 * whole.error, abs=1e-6)


def test_reliability_bins_are_filled_equally_and_sorted() -> None:
    said = np.array([0.9, 0.1, 0.5, 0.3])

    bins = reliability(said, np.array([True, False, True, False]), bins=2)

    assert [(each.rows, each.said, each.seen) for each in bins] == [(2, 0.2, 0.0), (2, 0.7, 1.0)]
