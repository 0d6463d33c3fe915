"""Bars in, features out: whole series for training and replay, the newest rows for live."""

import math

import numpy as np
from numpy.typing import NDArray

from engine.core.domain.market import BarArrays
from engine.core.features.feature import Feature
from engine.core.features.registry import FEATURES, NAMES, WARM_UP
from engine.core.features.workings import Workings


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
    recent = bars.tail(WARM_UP + count - 1)
    workings = Workings(recent, last=count)
    known = min(count, recent.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = [_newest(feature, workings, recent.size, known) for feature in FEATURES]
    return tuple(dict(zip(NAMES, row, strict=True)) for row in zip(*columns, strict=True))


def build_row(bars: BarArrays) -> dict[str, float]:
    """Return the features of the newest bar. It looks at no more than the last `WARM_UP` bars."""
    return build_rows(bars, 1)[0]


def _newest(feature: Feature, workings: Workings, size: int, count: int) -> list[float]:
    values: list[float] = feature.function(workings)[size - count :].tolist()
    blind = min(count, max(0, feature.warm_up - 1 - (size - count)))
    return [math.nan] * blind + values[blind:]
