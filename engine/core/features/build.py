"""Bars in, features out: whole series for training and replay, the newest rows for live."""

import math

import numpy as np
from numpy.typing import NDArray

from engine.core.domain.market import BarArrays
from engine.core.features.feature import Feature
from engine.core.features.registry import FEATURES, NAMES, WARM_UP
from engine.core.features.workings import Workings

_FEW = 130


def build_matrix(bars: BarArrays) -> NDArray[np.float64]:
    """Return one row for each bar and one column for each of `NAMES`.

    A value is NaN until its feature's warm-up is over: what live could not reproduce, training must not see.
    Bars must be clean (see the data check): one NaN among them would stay in every average for ever.
    """
    workings = Workings(bars)
    matrix = np.empty((bars.size, len(FEATURES)), order="F")
    with np.errstate(divide="ignore", invalid="ignore"):
        for column, feature in enumerate(FEATURES):
            matrix[:, column] = feature.function(workings)
            matrix[: feature.warm_up - 1, column] = np.nan
    return matrix


def build_rows(bars: BarArrays, count: int) -> tuple[dict[str, float], ...]:
    """Return the features of the newest `count` bars, oldest first: the last rows of `build_matrix`, to 1e-9.

    No more than the last `WARM_UP + count - 1` bars are looked at.
    """
    # most features need a fraction of the longest warm-up: they are given no more, because shorter is faster
    few, many = (Workings(bars.tail(need + count - 1), last=count) for need in (_FEW, WARM_UP))
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = [_newest(feature, few if feature.warm_up <= _FEW else many, count) for feature in FEATURES]
    return tuple(dict(zip(NAMES, row, strict=True)) for row in zip(*columns, strict=True))


def build_row(bars: BarArrays) -> dict[str, float]:
    """Return the features of the newest bar. It looks at no more than the last `WARM_UP` bars."""
    return build_rows(bars, 1)[0]


def _newest(feature: Feature, workings: Workings, count: int) -> list[float]:
    size = workings.bars.size
    values: list[float] = feature.function(workings)[-count:].tolist()
    blind = feature.warm_up - 1 - size + len(values)
    return values if blind <= 0 else [math.nan] * min(blind, len(values)) + values[blind:]
