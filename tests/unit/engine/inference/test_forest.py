from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.inference.forest import DEEPEST, Forest, forest_of
from engine.inference.session import Session

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

from tests.bench.models import forest as full  # noqa: E402 - needs onnx
from tests.unit.engine.inference.test_predictor import stump  # noqa: E402

FEATURES = 121


def changed(model: bytes, **attributes: object) -> bytes:
    """The model with other attributes of its trees."""
    read = onnx.load_model_from_string(model)
    node = read.graph.node[0]
    kept = [each for each in node.attribute if each.name not in attributes]
    del node.attribute[:]
    node.attribute.extend(kept + [onnx.helper.make_attribute(*each) for each in attributes.items()])
    return bytes(read.SerializeToString())


def thresholds(*models: bytes) -> NDArray[Any]:
    """Values on and just beside what the trees compare with."""
    exact = np.concatenate([_attribute(model, "nodes_values") for model in models]).astype(np.float32)
    return np.concatenate(
        [exact, np.nextafter(exact, np.float32(-np.inf)), np.nextafter(exact, np.float32(np.inf))]
    )


def _attribute(model: bytes, name: str) -> NDArray[Any]:
    (found,) = (
        each for each in onnx.load_model_from_string(model).graph.node[0].attribute if each.name == name
    )
    return np.array(onnx.helper.get_attribute_value(found))


def opened(*models: bytes) -> tuple[Forest | None, list[Session]]:
    sessions = [Session(model, FEATURES) for model in models]
    return forest_of(models, sessions, FEATURES), sessions


@pytest.mark.parametrize(
    "models",
    [
        (full(1, 300, 6),),
        (full(1, 80, 3), full(2, 11, 5), stump(features=FEATURES)),
        (changed(full(3, 100, 4), base_values=[0.371]), full(4, 7, 2)),
    ],
    ids=["one", "of different sizes and depths", "with a first guess"],
)
def test_tables_answer_bit_for_bit_as_the_runtime_does(models: tuple[bytes, ...]) -> None:
    tables, sessions = opened(*models)
    chance, edges = np.random.default_rng(5), thresholds(*models)

    assert tables is not None
    for _ in range(300):
        row = chance.choice(edges, (1, FEATURES))
        assert tables.answers(row) == [session.one(row) for session in sessions]


@pytest.mark.parametrize(
    "model",
    [
        full(1, 1, DEEPEST + 1),
        changed(stump(features=FEATURES), nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"]),
        changed(full(1, 9, 2), aggregate_function="AVERAGE"),
    ],
    ids=["too deep", "another comparison", "another sum"],
)
def test_what_tables_cannot_say_is_left_to_the_runtime(model: bytes) -> None:
    tables, _ = opened(full(2, 10, 2), model)

    assert tables is None


def test_without_models_there_are_no_tables() -> None:
    assert forest_of((), (), FEATURES) is None
