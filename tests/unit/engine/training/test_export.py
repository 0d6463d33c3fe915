import hashlib
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from configs.schema.models import ModelSettings
from engine.core.domain.errors import Refused
from engine.core.maths.calibration import Calibration
from engine.core.maths.rows import Rows
from engine.inference.session import Session
from engine.training.boosting import fit, gains, probabilities, splits
from engine.training.export import check_parity, export, to_onnx, trying_rows

if TYPE_CHECKING:
    import xgboost

pytest.importorskip("xgboost")
pytest.importorskip("onnxmltools")

FEATURES = 12
ASIS = Calibration(slope=1.0, intercept=0.0)


@cache
def rows() -> Rows:
    return np.random.default_rng(1).normal(size=(1200, FEATURES)).astype(np.float32)


@cache
def target() -> np.ndarray:
    noise = np.random.default_rng(2).normal(size=1200)
    return rows()[:, 0] + rows()[:, 1] * rows()[:, 2] + noise > 0


def trees(rounds: int = 40, depth: int = 3) -> "xgboost.Booster":
    return fit(rows(), target(), np.ones(1200), ModelSettings(rounds=rounds, depth=depth))


@pytest.mark.parametrize(("rounds", "depth"), [(1, 1), (100, 3), (300, 6)])
def test_the_exported_model_answers_as_the_trees_do(rounds: int, depth: int) -> None:
    booster = trees(rounds, depth)

    model, parity = export(booster, rows(), ASIS)

    assert parity.rows > 1000
    assert parity.largest_difference <= 1e-6
    said = Session(model, FEATURES).many(rows())
    assert np.abs(said - probabilities(booster, rows())).max() <= 1e-6


def test_two_fits_of_the_same_rows_are_the_same_file() -> None:
    first, second = (hashlib.sha256(to_onnx(trees(), FEATURES, ASIS)).hexdigest() for _ in range(2))

    assert first == second


def test_the_rows_that_are_tried_lie_on_and_beside_thresholds_and_have_gaps() -> None:
    booster = trees()

    tried = trying_rows(booster, rows())

    asked = {(feature, np.float32(threshold)) for feature, threshold in splits(booster)}
    assert sum(bool((tried[:, feature] == threshold).any()) for feature, threshold in asked) > 50
    assert np.isnan(tried).any()
    assert tried.tobytes() == trying_rows(booster, rows()).tobytes()


def test_the_same_trees_with_another_calibration_are_another_file_with_the_same_answers() -> None:
    plain, other = (to_onnx(trees(), FEATURES, given) for given in (ASIS, Calibration(0.5, 0.1)))

    assert plain != other
    assert np.array_equal(Session(plain, FEATURES).many(rows()), Session(other, FEATURES).many(rows()))


def test_a_model_that_answers_otherwise_is_not_published() -> None:
    with pytest.raises(Refused, match=r"differs from the trees by .* it is not published"):
        check_parity(to_onnx(trees(30), FEATURES, ASIS), trees(40), rows())


@pytest.mark.parametrize("answer", [True, False])
def test_trees_that_never_split_are_not_published(answer: bool) -> None:
    booster = fit(rows(), np.full(1200, answer), np.ones(1200), ModelSettings(rounds=5))

    with pytest.raises(Refused, match="nothing could be learned"):
        export(booster, rows(), ASIS)


def test_gains_are_shares_and_find_what_matters() -> None:
    found = gains(trees(), tuple(f"feature_{number}" for number in range(FEATURES)))

    assert sum(found.values()) == pytest.approx(1.0, abs=1e-4)
    assert next(iter(found)) == "feature_0"
