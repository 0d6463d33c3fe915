"""Gradient-boosted trees by xgboost, made to give the same trees from the same rows, every time.

One thread, a fixed seed and no sampling. The rows carry no column names: the manifest keeps them, in order.
"""

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from configs.schema.models import ModelSettings
from engine.core.domain.market import Floats
from engine.core.maths.rows import Rows

if TYPE_CHECKING:
    import xgboost

SEED = 7


def fit(rows: Rows, target: NDArray[np.bool_], weight: Floats, settings: ModelSettings) -> "xgboost.Booster":
    """Learn the probability that `target` is true. Every `weight` counts how often its row does."""
    import xgboost

    data = xgboost.QuantileDMatrix(
        rows, label=target.astype(np.float32), weight=weight.astype(np.float32), nthread=1
    )
    parameters = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": settings.depth,
        "eta": settings.eta,
        "nthread": 1,
        "seed": SEED,
        "verbosity": 0,
    }
    return xgboost.train(parameters, data, num_boost_round=settings.rounds)


def probabilities(booster: "xgboost.Booster", rows: Rows) -> Floats:
    """What the trees say of each row; NaN in a row is a missing value, infinity is refused by xgboost."""
    import xgboost

    return booster.predict(xgboost.DMatrix(rows, nthread=1)).astype(np.float64)


def gains(booster: "xgboost.Booster", names: tuple[str, ...]) -> dict[str, float]:
    """Each used feature's share of all the loss that splits removed, largest first."""
    found = {
        names[int(key[1:])]: float(np.sum(value))
        for key, value in booster.get_score(importance_type="total_gain").items()
    }
    total = sum(found.values()) or 1.0
    return {
        name: round(found[name] / total, 6) for name in sorted(found, key=lambda name: (-found[name], name))
    }


def splits(booster: "xgboost.Booster") -> list[tuple[int, float]]:
    """Every feature number and threshold that a tree asks for, each once: where rounding would show."""
    found: set[tuple[int, float]] = set()
    for tree in booster.get_dump(dump_format="json"):
        pending: list[dict[str, Any]] = [json.loads(tree)]
        while pending:
            node = pending.pop()
            if "children" in node:
                found.add((int(str(node["split"]).lstrip("f")), float(node["split_condition"])))
                pending.extend(node["children"])
    return sorted(found)
