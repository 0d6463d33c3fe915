"""The one way in which features become what a model reads: training and serving must not differ by a bit."""

import struct
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter

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


def row_maker(names: Sequence[str]) -> Callable[[Mapping[str, float]], Rows]:
    """Return what makes one row of features, in the order of `names`. KeyError when one of them is missing.

    For live, where a row is made at every bar: a third of the time of `rows32`, and bit for bit the same.

    >>> row_maker(("a", "b"))({"b": 2.0, "a": 1.0}).tolist()
    [[1.0, 2.0]]
    """
    # a native float is cast as C casts it: too large becomes infinite, where the standard sizes would refuse
    pack, shape = struct.Struct(f"{len(names)}f").pack, (1, len(names))
    # twice the last, for of a single name itemgetter gives the bare value
    pick = itemgetter(*names, names[-1])
    return lambda features: np.frombuffer(pack(*pick(features)[:-1]), np.float32).reshape(shape)
