"""The one way in which features become what a model reads: training and serving must not differ by a bit."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]


def rows32(matrix: NDArray[np.float64]) -> Rows:
    """Return the rows rounded to single precision, one behind the other in memory. Too large becomes infinite.

    >>> rows32(np.array([[0.1, 1e300]])).tolist()
    [[0.10000000149011612, inf]]
    """
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(matrix, dtype=np.float32)


def row32(features: Mapping[str, float], names: Sequence[str]) -> Rows:
    """Return one row, in the order of `names`. KeyError when one of them is missing.

    >>> row32({"b": 2.0, "a": 1.0}, ("a", "b")).tolist()
    [[1.0, 2.0]]
    """
    return rows32(np.fromiter(map(features.__getitem__, names), np.float64, len(names))[np.newaxis])
