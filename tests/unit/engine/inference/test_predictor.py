from datetime import UTC, datetime
from decimal import Decimal
from functools import cache

import numpy as np
import pytest

from engine.core.domain.errors import BadInput, Refused
from engine.core.domain.market import Bar
from engine.core.domain.records import Observation
from engine.core.maths.calibration import Calibration
from engine.inference.forest import Forest
from engine.inference.predictor import NoPredictor, OnnxPredictor, ServedModel
from engine.inference.session import Session

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

NAMES = ("slow", "fast")
SET = "0123456789ab"
ASIS = Calibration(slope=1.0, intercept=0.0)


def stump(margin: float = 1.0, features: int = 2) -> bytes:
    """A model of one tree: `margin` when the first feature is at least 0.5, else its opposite."""
    tree = onnx.helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["margin"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[0, 0, 0],
        nodes_values=[0.5, 0.0, 0.0],
        nodes_modes=["BRANCH_LT", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        target_ids=[0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_weights=[-margin, margin],
    )
    graph = onnx.helper.make_graph(
        [tree, onnx.helper.make_node("Sigmoid", ["margin"], ["probability"])],
        "stump",
        [onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, [None, features])],
        [onnx.helper.make_tensor_value_info("probability", onnx.TensorProto.FLOAT, [None, 1])],
    )
    opsets = [onnx.helper.make_opsetid("", 15), onnx.helper.make_opsetid("ai.onnx.ml", 1)]
    return bytes(onnx.helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString())


@cache
def served(
    name: str = "gbt", margin: float = 1.0, feature_set: str = SET, calibration: Calibration = ASIS
) -> ServedModel:
    return ServedModel(name, f"{name}-version", feature_set, NAMES, stump(margin), calibration)


def predictor(*models: ServedModel, deadline_ms: int | None = None, took_ms: float = 0.0) -> OnnxPredictor:
    moments = iter(np.arange(0, 1000) * took_ms / 1000)
    return OnnxPredictor(models or (served(),), SET, NAMES, deadline_ms, clock=lambda: float(next(moments)))


def observation(**features: float) -> Observation:
    price = Decimal(100)
    bar = Bar("X", datetime(2024, 1, 2, tzinfo=UTC), price, price, price, price, Decimal(1))
    return Observation("X", bar, None, (), 30, 400, SET, features, None)


def test_the_answer_is_the_probability_of_the_model_and_names_its_version() -> None:
    (answer,) = predictor().predict(observation(fast=9.0, slow=0.5))

    assert answer.probability == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)
    assert (answer.model, answer.version, answer.reason) == ("gbt", "gbt-version", "")


def test_the_calibrated_answer_counts_and_the_raw_one_is_kept_beside_it() -> None:
    (answer,) = predictor(served(calibration=Calibration(0.5, 0.25))).predict(observation(fast=9.0, slow=0.5))

    assert answer.raw == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)
    assert answer.probability == pytest.approx(1 / (1 + np.exp(-0.75)), abs=1e-6)


def test_an_absent_model_has_no_raw_answer_either() -> None:
    late = predictor(deadline_ms=15, took_ms=20).predict(observation(slow=1, fast=1))
    cold = predictor().predict(observation())

    assert [(each.probability, each.raw) for each in (*late, *cold)] == [(None, None)] * 2


def test_without_features_every_model_is_warming_up() -> None:
    answers = predictor(served("a"), served("b")).predict(observation())

    assert [each.probability for each in answers] == [None, None]
    assert answers[0].reason == "warming up: 30 of 400 bars"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_feature_that_is_not_finite_is_not_asked_about(value: float) -> None:
    (answer,) = predictor().predict(observation(slow=0.0, fast=value))

    assert (answer.probability, answer.reason) == (None, "feature fast is not finite")


def test_a_missing_feature_is_named() -> None:
    (answer,) = predictor().predict(observation(slow=0.0))

    assert (answer.probability, answer.reason) == (None, "feature 'fast' is missing")


def test_an_answer_that_is_no_number_is_absent() -> None:
    (answer,) = predictor(served(margin=float("nan"))).predict(observation(slow=1.0, fast=0.0))

    assert (answer.probability, answer.reason) == (None, "answered nan, which is no probability")


def test_a_late_answer_is_absent_and_an_early_one_is_not() -> None:
    answers = predictor(served("a"), served("b"), deadline_ms=15, took_ms=10).predict(
        observation(slow=1, fast=1)
    )

    assert answers[0].probability is not None
    assert (answers[1].probability, answers[1].reason) == (None, "late: 20 ms, the deadline is 15 ms")


def test_a_runtime_that_fails_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = predictor(served("a"), served("b"))

    def fail(*_: object) -> None:
        raise RuntimeError("out of memory\nat line 7")

    monkeypatch.setattr(Forest, "answers", fail)
    together = asked.predict(observation(slow=1, fast=1))
    monkeypatch.setattr(asked, "_forest", None)
    monkeypatch.setattr(Session, "one", fail)
    alone = asked.predict(observation(slow=1, fast=1))

    assert (
        [each.reason for each in together] == [each.reason for each in alone] == ["failed: out of memory"] * 2
    )


def test_a_replay_has_no_deadline() -> None:
    (answer,) = predictor(took_ms=1e9).predict(observation(slow=1, fast=1))

    assert answer.probability is not None


def test_a_model_of_other_features_is_refused_in_one_line() -> None:
    with pytest.raises(Refused, match="was trained on feature set older, this desk runs 0123456789ab"):
        predictor(served(feature_set="older"))


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(BadInput, match="not a model that can be served"):
        Session(b"not a model", 2)
    with pytest.raises(BadInput, match=r"it takes \[2\] numbers"):
        Session(stump(), 3)


def test_versions_are_those_that_are_served() -> None:
    assert predictor(served("a"), served("b")).versions() == {"a": "a-version", "b": "b-version"}


def test_many_rows_are_answered_as_each_alone_and_bad_rows_not_at_all() -> None:
    matrix = np.array([[0.0, 1.0], [np.nan, 1.0], [0.5, 1.0], [0.0, 1e300]])

    asked = predictor(served(calibration=Calibration(0.3, -0.1)))

    answers = asked.predict_many(matrix)["gbt"]

    assert (
        np.isnan(answers.probability).tolist() == np.isnan(answers.raw).tolist() == [False, True, False, True]
    )
    for place in (0, 2):
        (alone,) = asked.predict(observation(slow=matrix[place, 0], fast=matrix[place, 1]))
        assert (alone.probability, alone.raw) == (answers.probability[place], answers.raw[place])


def test_a_desk_without_models_hears_nothing() -> None:
    nobody = NoPredictor()

    assert (nobody.versions(), nobody.predict(observation()), nobody.predict_many(np.ones((2, 2)))) == (
        {},
        (),
        {},
    )
