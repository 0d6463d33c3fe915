"""From bars to a served model: nothing leaks, nothing is invented, and the same bars give the same model."""

import hashlib
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache

import numpy as np
import pytest

from configs.schema.models import ModelSettings
from engine.core.domain.errors import BadData, Refused
from engine.core.domain.market import Bar, BarArrays
from engine.core.domain.records import Observation
from engine.core.features.build import build_matrix
from engine.core.features.registry import NAMES, WARM_UP, feature_set_version
from engine.inference.predictor import OnnxPredictor, ServedModel
from engine.training import fit as training
from engine.training.dataset import assemble, data_hash
from engine.training.fit import Trained, train

for module in ("xgboost", "onnxmltools", "onnxruntime"):
    pytest.importorskip(module)

HOUR_MS = 3_600_000
SETTINGS = ModelSettings(rounds=60)


@cache
def random_walk(seed: int, n: int = 4000, pull: float = 0.0) -> BarArrays:
    """Bars of a market in which nothing can be predicted, unless `pull` drags price back to where it was."""
    random = np.random.default_rng(seed)
    noise = random.normal(scale=0.01, size=(n, 8))
    close, level, path = 0.0, 0.0, np.empty((n, 9))
    for row in range(n):
        path[row, 0] = close
        path[row, 1:] = close + np.cumsum(noise[row] - pull * (close - level) / 8)
        close = path[row, -1]
        level += 0.02 * (close - level)
    price = 100 * np.exp(path)
    end_ms = 1_600_000_000_000 // HOUR_MS * HOUR_MS + HOUR_MS * np.arange(n, dtype=np.int64)
    return BarArrays(
        end_ms, price[:, 0], price.max(axis=1), price.min(axis=1), price[:, -1], random.lognormal(size=n)
    )


@cache
def trained(rounds: int = 60) -> Trained:
    return train({"A": random_walk(1), "B": random_walk(2)}, ModelSettings(rounds=rounds))


def served(model: Trained) -> OnnxPredictor:
    known = ServedModel(
        "gbt", "v1", model.report.feature_set, model.features, model.model, model.report.calibration
    )
    return OnnxPredictor([known], feature_set_version(), NAMES, deadline_ms=None)


def observation(features: dict[str, float]) -> Observation:
    price = Decimal(100)
    bar = Bar("X", datetime(2024, 1, 2, tzinfo=UTC), price, price, price, price, Decimal(1))
    return Observation("X", bar, None, (), WARM_UP, WARM_UP, feature_set_version(), features, None)


def test_on_a_random_walk_the_walk_forward_finds_nothing() -> None:
    report = trained().report

    assert report.out_of_sample.auc == pytest.approx(0.5, abs=0.05)
    assert report.out_of_sample.accuracy == pytest.approx(0.5, abs=0.05)
    assert report.better_than_base is False
    assert report.canary.passed
    assert report.canary.auc == pytest.approx(0.5, abs=report.canary.tolerance)


def test_on_a_random_walk_the_served_model_says_nearly_the_base_rate() -> None:
    report = trained(300).report

    assert report.calibration.slope < 0.2
    for raw in (0.1, 0.9):
        assert report.calibration.probability(raw) == pytest.approx(report.base_rate, abs=0.1)
    assert report.out_of_sample_raw.log_loss > report.out_of_sample_raw.log_loss_base + 0.02
    assert report.out_of_sample.log_loss < report.out_of_sample.log_loss_base + 0.005


def test_calibrated_scores_are_of_folds_that_earlier_folds_calibrated() -> None:
    report = trained().report

    assert [fold.scores is None for fold in report.folds] == [True, False, False, False]
    assert [fold.calibration is None for fold in report.folds] == [True, False, False, False]
    assert report.out_of_sample.rows == report.out_of_sample_raw.rows
    assert report.out_of_sample.rows == sum(fold.scores.rows for fold in report.folds if fold.scores)
    assert report.out_of_sample.log_loss_base == report.out_of_sample_raw.log_loss_base


def test_a_fold_is_calibrated_by_nothing_that_came_after_it() -> None:
    """Other bars after the third fold, and every calibration up to it is what it was."""
    bars = random_walk(1)
    future = BarArrays(bars.end_ms, *(column.copy() for column in bars[1:]))
    for column in future[1:5]:
        column[3600:] = bars.close[3599] * (column[3600:] / bars.close[3599]) ** 1.5

    before, after = (train({"A": each}, SETTINGS).report.folds for each in (bars, future))

    assert before[1].test_last < before[3].test_first
    assert [fold.calibration for fold in before[:3]] == [fold.calibration for fold in after[:3]]


def test_what_can_be_predicted_is_found() -> None:
    report = train({"A": random_walk(3, pull=0.35)}, SETTINGS).report

    assert report.out_of_sample.auc is not None
    assert report.out_of_sample.auc > 0.6
    assert report.calibration.slope > 0.3
    assert report.better_than_base
    assert report.canary.passed


def test_no_fold_learns_from_its_own_future() -> None:
    report = trained().report

    assert len(report.folds) == SETTINGS.folds
    for fold in report.folds:
        assert fold.train_last < fold.test_first <= fold.test_last
        assert fold.purged > 0
    assert report.embargo_bars == 40


def test_every_bar_is_accounted_for() -> None:
    counts = trained().report.counts

    parts = counts.used + counts.timed_out + counts.without_features + counts.unfinished + counts.unmeasured
    assert counts.bars == parts == 8000
    assert counts.without_features == 2 * (WARM_UP - 1)
    assert sum(each.rows for each in trained().report.reliability) == trained().report.out_of_sample.rows


def test_features_end_at_the_close_and_answers_begin_after_it() -> None:
    """Bars after a row's own change its answer at most, and the bar of its answer only if it is inside the span."""
    bars = random_walk(1)
    cut = 3000
    future = BarArrays(bars.end_ms, *(column.copy() for column in bars[1:]))
    for column in future[1:]:
        column[cut:] *= 1.5

    before, after = assemble({"A": bars}, SETTINGS), assemble({"A": future}, SETTINGS)

    known = before.start < cut
    assert np.array_equal(before.rows[before.end < cut], after.rows[after.end < cut])
    assert np.array_equal(before.target[before.end < cut], after.target[after.end < cut])
    same = np.isin(before.start, after.start) & known
    assert np.array_equal(before.rows[same], after.rows[np.isin(after.start, before.start[same])])


def test_two_trainings_give_the_same_file_whatever_the_order_of_the_instruments() -> None:
    again = train({"B": random_walk(2), "A": random_walk(1)}, SETTINGS)

    assert hashlib.sha256(again.model).hexdigest() == hashlib.sha256(trained().model).hexdigest()
    assert again.report == trained().report


def test_a_fresh_process_gives_the_same_file() -> None:
    code = (
        "import hashlib; from tests.integration.test_training import trained; "
        "print(hashlib.sha256(trained().model).hexdigest())"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == hashlib.sha256(trained().model).hexdigest()


def test_the_data_hash_is_of_names_and_numbers() -> None:
    bars = random_walk(1)
    bumped = bars._replace(close=np.append(bars.close[:-1], np.nextafter(bars.close[-1], np.inf)))

    assert data_hash({"A": bars}) == data_hash({"A": BarArrays(*(column.copy() for column in bars))})  # type: ignore[arg-type]
    assert len({data_hash({"A": bars}), data_hash({"B": bars}), data_hash({"A": bumped})}) == 3


def test_weights_are_the_uniqueness_of_each_label() -> None:
    data = assemble({"A": random_walk(1)}, SETTINGS)

    assert (data.weight > 0).all()
    assert (data.weight <= 1).all()
    assert data.weight.mean() < 0.6, "neighbouring labels share most of their future"


@pytest.mark.parametrize("rounds", [60, 300])
def test_five_thousand_rows_at_once_and_one_by_one_are_the_same_bits(rounds: int) -> None:
    predictor = served(trained(rounds))
    matrix = np.concatenate([build_matrix(random_walk(seed)) for seed in (1, 4)])
    matrix = matrix[np.isfinite(matrix).all(axis=1)][:5000]
    assert len(matrix) == 5000

    together = predictor.predict_many(matrix)["gbt"]

    for row, *said in zip(matrix.tolist(), together.probability.tolist(), together.raw.tolist(), strict=True):
        (alone,) = predictor.predict(observation(dict(zip(NAMES, row, strict=True))))
        assert [alone.probability, alone.raw] == said


def test_rows_that_are_warming_up_are_absent_in_both() -> None:
    matrix = build_matrix(random_walk(1))[: WARM_UP + 5]

    answers = served(trained()).predict_many(matrix)["gbt"].probability

    assert np.isnan(answers).tolist() == [True] * (WARM_UP - 1) + [False] * 6


def test_too_few_bars_are_refused_in_one_line() -> None:
    with pytest.raises(BadData, match="too few bars to train on: ") as refused:
        train({"A": random_walk(1).slice(0, WARM_UP + 100)}, SETTINGS)
    assert "\n" not in str(refused.value)
    with pytest.raises(BadData, match="too few bars to train on: 0 usable rows"):
        train({"A": random_walk(1).slice(0, 50)}, SETTINGS)
    with pytest.raises(BadData, match="at least one instrument"):
        train({}, SETTINGS)


def test_a_leak_makes_the_canary_sing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk forward that lets a fold learn the rows it is judged by finds skill even in shuffled answers."""
    honest = training.walk_forward

    def leaking(*given: object) -> object:
        return (fold._replace(train=fold.train | fold.test) for fold in honest(*given))  # type: ignore[arg-type]

    monkeypatch.setattr(training, "walk_forward", leaking)

    with pytest.raises(Refused, match="the rows leak: on shuffled answers the walk-forward AUC is 0"):
        train({"A": random_walk(1)}, SETTINGS)


def test_no_library_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, engine.inference.predictor, engine.training.fit; "
        "print({'xgboost', 'onnxmltools', 'onnx', 'onnxruntime', 'sklearn'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
