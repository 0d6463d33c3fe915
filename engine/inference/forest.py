"""Forests as tables: all trees of all models asked about one row, a level at a time.

A runtime walks down one tree after the other. Which way it turns cannot be foreseen and most nodes are not in the
cache, so it waits at nearly every step. Here all trees are filled up to one depth and the nodes of a level lie side by
side: one comparison takes every tree a level down, and what they wait for, they wait for together. Below node `at`
of a level lie `2 * at` (the value is less than the threshold) and `2 * at + 1` of the next.

The leaves are added up as the runtime does it, in single precision and one after the other, and the runtime's own
sigmoid makes probabilities of the sums. So the answers are those of the runtime bit for bit; that is tried when the
models are opened, and where it does not hold there are no tables.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.core.maths.rows import Rows
from engine.inference.session import Session, trying_rows

DEEPEST = 8
"""Levels of the deepest trees that are put into tables: each level doubles them."""

Places = NDArray[np.intp]
Singles = NDArray[np.float32]


class _Nodes(NamedTuple):
    """Nodes in any order, and the nodes they lead to. A leaf leads to itself; `said` is what it adds to the sum."""

    roots: Places
    column: Places
    threshold: Singles
    less: Places
    more: Places
    said: Singles


class Forest:
    """Models of trees that answer together, to one thread. `forest_of` makes it."""

    def __init__(self, models: Sequence[_Nodes]) -> None:
        nodes = _joined(_filled(models))
        at = nodes.roots
        self._first: Places = 2 * np.arange(len(at))
        self._levels: list[tuple[Places, Singles]] = []
        while (nodes.less[at] != at).any() and len(self._levels) <= DEEPEST:
            self._levels.append((nodes.column[at], nodes.threshold[at]))
            at = np.stack([nodes.less[at], nodes.more[at]], axis=1).ravel()
        self._said = nodes.said[at]
        self._sums, self._answers = np.zeros((2, len(models), 1), np.float32)
        self._sigmoid = Session(_sigmoid(), 1).bound(self._sums, self._answers)

    @property
    def depth(self) -> int:
        """How many levels there are; more than `DEEPEST` when not all of them are here."""
        return len(self._levels)

    def answers(self, row: Rows) -> list[float]:
        """What each model answers for a matrix of one row of finite numbers."""
        values, (column, threshold) = row[0], self._levels[0]
        at = self._first + (values[column] >= threshold)
        for column, threshold in self._levels[1:]:
            at = at + at + (values[column[at]] >= threshold[at])
        said = self._said[at].reshape(len(self._sums), -1)
        self._sums[:] = said.cumsum(axis=1)[:, -1:]
        self._sigmoid()
        answers: list[float] = self._answers[:, 0].tolist()
        return answers


def forest_of(models: Sequence[bytes], sessions: Sequence[Session], features: int) -> Forest | None:
    """The tables of these models; None when one of them is no forest, is too deep, or answers otherwise."""
    found = [nodes for nodes in map(_read, models) if nodes is not None]
    if not found or len(found) < len(models):
        return None
    forest = Forest(found)
    if not 1 <= forest.depth <= DEEPEST:
        return None
    for row in trying_rows(features)[:, None]:
        if not np.array_equal(
            forest.answers(row), [session.one(row) for session in sessions], equal_nan=True
        ):
            return None
    return forest


def _read(model: bytes) -> _Nodes | None:
    """The nodes of a model; None when it is not summed trees with a sigmoid behind them."""
    from onnx import helper, load_model_from_string

    graph = load_model_from_string(model).graph
    if [step.op_type for step in graph.node] != ["TreeEnsembleRegressor", "Sigmoid"]:
        return None
    given = {each.name: helper.get_attribute_value(each) for each in graph.node[0].attribute}
    modes, number = np.array(given["nodes_modes"]), np.arange(len(given["nodes_modes"]))
    inner = modes == b"BRANCH_LT"
    if not (inner | (modes == b"LEAF")).all():
        return None
    trees, width = np.array(given["nodes_treeids"]), max(given["nodes_nodeids"]) + 1
    place = np.zeros((trees.max() + 1) * width, np.intp)
    place[trees * width + given["nodes_nodeids"]] = number
    less = np.where(inner, place[trees * width + given["nodes_truenodeids"]], number)
    more = np.where(inner, place[trees * width + given["nodes_falsenodeids"]], number)
    said = np.zeros(len(number), np.float32)
    said[place[np.array(given["target_treeids"]) * width + given["target_nodeids"]]] = given["target_weights"]
    nodes = _Nodes(
        roots=np.setdiff1d(number, np.concatenate([less[inner], more[inner]])),
        column=np.where(inner, given["nodes_featureids"], 0),
        threshold=np.array(given["nodes_values"], np.float32),
        less=less,
        more=more,
        said=said,
    )
    return _with_leaves(nodes, given.get("base_values", ()))  # what a sum begins with is added to it last


def _with_leaves(nodes: _Nodes, said: Sequence[float]) -> _Nodes:
    """The nodes and as many trees more, each of one leaf that says this."""
    added = len(nodes.said) + np.arange(len(said))
    column, threshold = np.zeros_like(added), np.zeros(len(said), np.float32)
    leaves = _Nodes(added, column, threshold, added, added, np.array(said, np.float32))
    return _one_behind_the_other([nodes, leaves])


def _filled(models: Sequence[_Nodes]) -> list[_Nodes]:
    """The models with equally many trees: those that are added say nothing."""
    most = max(len(nodes.roots) for nodes in models)
    return [_with_leaves(nodes, [0.0] * (most - len(nodes.roots))) for nodes in models]


def _joined(models: Sequence[_Nodes]) -> _Nodes:
    """The nodes of all models, with the places that they then have."""
    starts = np.cumsum([0, *(len(nodes.said) for nodes in models)])[:-1]
    moved = [
        nodes._replace(roots=nodes.roots + start, less=nodes.less + start, more=nodes.more + start)
        for nodes, start in zip(models, starts, strict=True)
    ]
    return _one_behind_the_other(moved)


def _one_behind_the_other(parts: Sequence[_Nodes]) -> _Nodes:
    return _Nodes(
        roots=np.concatenate([part.roots for part in parts]),
        column=np.concatenate([part.column for part in parts]),
        threshold=np.concatenate([part.threshold for part in parts]),
        less=np.concatenate([part.less for part in parts]),
        more=np.concatenate([part.more for part in parts]),
        said=np.concatenate([part.said for part in parts]),
    )


def _sigmoid() -> bytes:
    """A model of nothing but a sigmoid."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Sigmoid", ["sum"], ["probability"])],
        "sigmoid",
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 15)]
    model: bytes = helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString()
    return model
