"""How much each label counts, and which ones may be learned from together (Lopez de Prado 2018, chapters 4 and 7).

Labels of neighbouring bars share most of their future, so they are not independent witnesses: a label's weight is
its uniqueness. And a training label whose span touches the test block has seen part of the answer: it is purged.
Spans are closed: two that share a single bar overlap.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.core.domain.market import Floats, Ints

Mask = NDArray[np.bool_]


def uniqueness(start: Ints, end: Ints) -> Floats:
    """Return the mean, over each span, of one divided by the number of spans alive at that bar.

    >>> uniqueness(np.array([0, 2, 4]), np.array([2, 3, 5])).round(4).tolist()
    [0.8333, 0.75, 1.0]
    """
    if start.size == 0:
        return np.zeros(0)
    bars = int(end.max()) + 2
    alive = np.cumsum(np.bincount(start, minlength=bars) - np.bincount(end + 1, minlength=bars))
    share = np.concatenate(([0.0], np.cumsum(1.0 / np.maximum(alive, 1))))
    return np.asarray((share[end + 1] - share[start]) / (end + 1 - start), dtype=np.float64)


def clear_of(start: Ints, end: Ints, test_first: int, test_last: int, embargo: int) -> Mask:
    """Say which spans may be trained on when the test spans reach from `test_first` to `test_last`, both included.

    Purged are spans that touch the test block, and spans that begin within `embargo` bars after it.

    >>> clear_of(np.array([0, 1, 6, 7]), np.array([2, 3, 7, 8]), test_first=3, test_last=5, embargo=1).tolist()
    [True, False, False, True]
    """
    return np.asarray((end < test_first) | (start > test_last + embargo))


class Fold(NamedTuple):
    """One step of a walk forward: which rows are learned from, which are predicted, how many were purged between."""

    train: Mask
    test: Mask
    purged: int


def walk_forward(start: Ints, end: Ints, folds: int, embargo: int) -> Iterator[Fold]:
    """Cut the starts into `folds + 1` blocks of equal length; predict each but the first from all that came before.

    A training span ends more than `embargo` bars before the test block begins; every other earlier one is purged.

    >>> bars = np.arange(6)
    >>> [(f.train.nonzero()[0].tolist(), f.test.nonzero()[0].tolist()) for f in walk_forward(bars, bars + 1, 2, 0)]
    [([0], [2, 3]), ([0, 1, 2], [4, 5])]
    """
    moments = np.unique(start)
    edges = [int(block[0]) for block in np.array_split(moments, folds + 1) if block.size]
    for first, following in pairwise([*edges[1:], int(moments[-1]) + 1] if edges else []):
        train = clear_of(start, end, first - embargo, int(moments[-1]), embargo=0)
        yield Fold(
            train, (start >= first) & (start < following), int(np.count_nonzero((start < first) & ~train))
        )
