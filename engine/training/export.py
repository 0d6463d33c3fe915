"""From trees to ONNX: one graph, one number for each row, the same bytes every time, and a proof that it agrees.

onnxmltools writes a classifier with labels and a probability for each class, and names the graph at random. Serving
needs one number and twice the speed, so the same trees are put into a regressor node, whose sum a sigmoid turns
into the probability. A model that then answers differently from the trees by more than `TOLERANCE`, or answers
differently when asked row by row, is refused.

The calibration is applied by whoever serves, after the graph. The file holds it as a note all the same: a version is
the hash of its file, and the same trees with another calibration are another version.
"""

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.core.domain.errors import Refused
from engine.core.maths.calibration import Calibration
from engine.core.maths.rows import Rows, rows32
from engine.training.boosting import SEED, probabilities, splits

if TYPE_CHECKING:
    import onnx
    import xgboost

OPSET = 15
TOLERANCE = 1e-5
INPUT, OUTPUT = "features", "probability"
_RANDOM_ROWS = 500
_BOUNDARIES = 500
_TRAINING_ROWS = 500


class Parity(msgspec.Struct, frozen=True):
    """How many rows were asked of the trees and of the graph, and the largest difference."""

    rows: int
    largest_difference: float


def export(booster: "xgboost.Booster", training_rows: Rows, calibration: Calibration) -> tuple[bytes, Parity]:
    """Return the model file and how well it agrees; Refused when it does not.

    Trees without a single split are refused first: they say the same of every row, and onnxmltools 1.16 writes
    their starting value as a probability where a logarithm of odds belongs.
    """
    if not splits(booster):
        raise Refused(
            "nothing could be learned: no feature tells the rows apart, so there is no model to publish"
        )
    model = to_onnx(booster, training_rows.shape[1], calibration)
    return model, check_parity(model, booster, trying_rows(booster, training_rows))


def to_onnx(booster: "xgboost.Booster", features: int, calibration: Calibration) -> bytes:
    """Return the trees as an ONNX file with one float input row and one float answer."""
    from onnx import helper
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    converted = convert_xgboost(
        booster, initial_types=[(INPUT, FloatTensorType([None, features]))], target_opset=OPSET
    )
    model = _one_number(converted, features)
    helper.set_model_props(
        model, {"slope": repr(calibration.slope), "intercept": repr(calibration.intercept)}
    )
    return model.SerializeToString(deterministic=True)


def trying_rows(booster: "xgboost.Booster", training_rows: Rows) -> Rows:
    """Return random rows, rows on and beside the thresholds of the trees, rows with gaps, and training rows."""
    random = np.random.default_rng(SEED)
    features = training_rows.shape[1]
    known = training_rows[random.integers(0, len(training_rows), _TRAINING_ROWS)]
    wild = rows32(
        random.normal(size=(_RANDOM_ROWS, features)) * 10.0 ** random.integers(-3, 4, (_RANDOM_ROWS, 1))
    )
    gaps = known.copy()
    gaps[random.random(gaps.shape) < 0.2] = np.nan
    edges = splits(booster)
    chosen = random.permutation(len(edges))[:_BOUNDARIES]
    boundary = training_rows[random.integers(0, len(training_rows), 3 * len(chosen))]
    for number, edge in enumerate(chosen):
        feature, threshold = edges[edge][0], np.float32(edges[edge][1])
        below, above = (
            np.nextafter(threshold, np.float32(-np.inf)),
            np.nextafter(threshold, np.float32(np.inf)),
        )
        boundary[3 * number : 3 * number + 3, feature] = below, threshold, above
    return np.concatenate([wild, boundary, gaps, known])


def check_parity(model: bytes, booster: "xgboost.Booster", rows: Rows) -> Parity:
    """Ask both; Refused when any answer differs, or when one row at a time differs from all at once."""
    together, alone = _answers(model, rows)
    difference = np.abs(together - probabilities(booster, rows))
    worst = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
    if not difference[worst] <= TOLERANCE:
        raise Refused(
            f"the exported model differs from the trees by {difference[worst]:.2e} on row {worst} of {len(rows)} "
            f"(at most {TOLERANCE:.0e} is allowed): it is not published"
        )
    if not np.array_equal(together, alone):
        raise Refused("the exported model answers one row differently from many: it is not published")
    return Parity(rows=len(rows), largest_difference=float(difference[worst]))


def _answers(model: bytes, rows: Rows) -> tuple[NDArray[Any], NDArray[Any]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    together = session.run([OUTPUT], {INPUT: rows})[0]
    alone = [session.run([OUTPUT], {INPUT: rows[at : at + 1]})[0] for at in range(len(rows))]
    return together.reshape(-1).astype(np.float64), np.concatenate(alone).reshape(-1).astype(np.float64)


def _one_number(converted: "onnx.ModelProto", features: int) -> "onnx.ModelProto":
    """Put the trees of the classifier node, its only one, into a regressor with a sigmoid behind it."""
    from onnx import TensorProto, helper

    (classifier,) = converted.graph.node
    found = {attribute.name: helper.get_attribute_value(attribute) for attribute in classifier.attribute}
    trees = {name: value for name, value in found.items() if name.startswith("nodes_")}
    regressor = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        ["margin"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        base_values=found["base_values"],
        target_ids=[0] * len(found["class_ids"]),
        target_nodeids=found["class_nodeids"],
        target_treeids=found["class_treeids"],
        target_weights=found["class_weights"],
        **trees,
    )
    graph = helper.make_graph(
        [regressor, helper.make_node("Sigmoid", ["margin"], [OUTPUT])],
        "whydesk",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, producer_name="whydesk", ir_version=8, opset_imports=opsets)
