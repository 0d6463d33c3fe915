"""Served models without training: 300 full trees over the desk's features, the same ones every time."""

import numpy as np

from engine.core.features.registry import NAMES, feature_set_version
from engine.core.maths.calibration import Calibration
from engine.inference.predictor import OnnxPredictor, ServedModel

TREES, DEPTH = 300, 6


def predictor(models: int, trees: int = TREES, depth: int = DEPTH) -> OnnxPredictor:
    """So many models; each asks for features at random around their usual size."""
    served = [
        ServedModel(
            name=f"model_{number}",
            version=f"{number:064x}",
            feature_set=feature_set_version(),
            features=NAMES,
            model=forest(number, trees, depth),
            calibration=Calibration(slope=1.0, intercept=0.0),
        )
        for number in range(models)
    ]
    return OnnxPredictor(served, feature_set_version(), NAMES, deadline_ms=None)


def forest(seed: int, trees: int = TREES, depth: int = DEPTH) -> bytes:
    """A gradient-boosted classifier as `engine.training.export` writes it: summed trees and a sigmoid."""
    from onnx import TensorProto, helper

    chance = np.random.default_rng(seed)
    inner, nodes = 2**depth - 1, 2 ** (depth + 1) - 1
    numbers = np.arange(nodes)
    leaf = numbers >= inner
    regressor = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["margin"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        base_values=[0.0],
        nodes_treeids=np.repeat(np.arange(trees), nodes).tolist(),
        nodes_nodeids=np.tile(numbers, trees).tolist(),
        nodes_featureids=chance.integers(0, len(NAMES), trees * nodes).tolist(),
        nodes_modes=np.tile(np.where(leaf, "LEAF", "BRANCH_LT"), trees).tolist(),
        nodes_values=chance.normal(0, 1, trees * nodes).astype(np.float32).tolist(),
        nodes_truenodeids=np.tile(np.where(leaf, 0, 2 * numbers + 1), trees).tolist(),
        nodes_falsenodeids=np.tile(np.where(leaf, 0, 2 * numbers + 2), trees).tolist(),
        nodes_missing_value_tracks_true=[0] * (trees * nodes),
        nodes_hitrates=[1.0] * (trees * nodes),
        target_ids=[0] * (trees * (inner + 1)),
        target_nodeids=np.tile(numbers[leaf], trees).tolist(),
        target_treeids=np.repeat(np.arange(trees), inner + 1).tolist(),
        target_weights=chance.normal(0, 0.02, trees * (inner + 1)).astype(np.float32).tolist(),
    )
    graph = helper.make_graph(
        [regressor, helper.make_node("Sigmoid", ["margin"], ["probability"])],
        "bench",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(NAMES)])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 1)]
    model: bytes = helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString()
    return model
