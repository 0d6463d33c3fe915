"""From bars to rows that can be learned from: features known at a close, and what came after it.

The question that a model answers is: if price reaches one of the two barriers in time, is it the upper one first?
Rows whose time ran out answer nothing and are left out (and counted), so one half is the neutral answer, whatever
the width of the barriers and the horizon.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from configs.schema.models import ModelSettings
from engine.core.domain.errors import BadData
from engine.core.domain.market import BarArrays, Floats, Ints
from engine.core.features.build import build_matrix
from engine.core.features.registry import NAMES
from engine.core.labels.triple_barrier import triple_barrier
from engine.core.labels.weights import uniqueness
from engine.core.maths.rows import Rows, rows32

_RANGE = NAMES.index("atr_pct_14")


class Counts(msgspec.Struct, frozen=True):
    """Where every bar went: `used` and the five that follow it add up to `bars`.

    `ambiguous` of all labels were bars that held both barriers and were settled against the buyer.
    """

    bars: int
    used: int
    timed_out: int
    warming_up: int
    not_finite: int
    unfinished: int
    unmeasured: int
    ambiguous: int


class Dataset(NamedTuple):
    """Rows ordered by moment, then by instrument.

    `target` is true when the upper barrier came first. `start` and `end` are places in `moments`, the sorted
    times (ms) at which any instrument had a bar: spans of several instruments share one clock.
    """

    rows: Rows
    target: NDArray[np.bool_]
    weight: Floats
    start: Ints
    end: Ints
    moments: Ints
    instruments: tuple[str, ...]
    counts: Counts
    data_hash: str


def assemble(series: Mapping[str, BarArrays], settings: ModelSettings) -> Dataset:
    """Return everything that may be learned from; the order of the mapping does not matter."""
    names = tuple(sorted(series))
    if not names:
        raise BadData("training needs the bars of at least one instrument, got none")
    moments = np.unique(np.concatenate([series[name].end_ms for name in names]))
    parts = [_rows_of(series[name], moments, settings) for name in names]
    rows, target, weight, start, end = (
        np.concatenate([part[column] for part in parts])
        for column in range(5)  # type: ignore[misc]
    )
    order = np.argsort(start, kind="stable")
    return Dataset(
        rows=np.ascontiguousarray(rows[order]),
        target=target[order],
        weight=weight[order],
        start=start[order],
        end=end[order],
        moments=moments,
        instruments=names,
        counts=_sum([part[5] for part in parts]),
        data_hash=data_hash(series),
    )


def data_hash(series: Mapping[str, BarArrays]) -> str:
    """Return 64 hex digits that depend on names and numbers only, not on files, order or byte order.

    >>> column = np.ones(2)
    >>> bars = BarArrays(np.arange(2), column, column, column, column, column)
    >>> data_hash({"A": bars, "B": bars}) == data_hash({"B": bars, "A": bars})
    True
    """
    digest = hashlib.sha256()
    for name in sorted(series):
        bars = series[name]
        digest.update(f"{name}\n{bars.size}\n".encode())
        digest.update(np.ascontiguousarray(bars.end_ms, dtype="<i8").tobytes())
        for column in bars[1:]:
            digest.update(np.ascontiguousarray(column + 0.0, dtype="<f8").tobytes())
    return digest.hexdigest()


_Part = tuple[Rows, NDArray[np.bool_], Floats, Ints, Ints, Counts]


def _rows_of(bars: BarArrays, moments: Ints, settings: ModelSettings) -> _Part:
    matrix = build_matrix(bars)
    average_range = matrix[:, _RANGE] * bars.close / 100.0
    labels = triple_barrier(bars, average_range, settings.barrier_atr, settings.horizon)
    rows = rows32(matrix[labels.start])
    warm = ~np.isnan(matrix[labels.start]).any(axis=1)
    finite = np.isfinite(rows).all(axis=1)
    touched = labels.value != 0
    kept = warm & finite & touched
    start, end = labels.start[kept], labels.end[kept]
    counts = Counts(
        bars=bars.size,
        used=int(kept.sum()),
        timed_out=int((warm & finite & ~touched).sum()),
        warming_up=int((~warm).sum()),
        not_finite=int((warm & ~finite).sum()),
        unfinished=labels.unfinished,
        unmeasured=labels.unmeasured,
        ambiguous=labels.ambiguous,
    )
    place = np.searchsorted(moments, bars.end_ms)
    return rows[kept], labels.value[kept] == 1, uniqueness(start, end), place[start], place[end], counts


def _sum(parts: list[Counts]) -> Counts:
    return Counts(*(sum(getattr(part, field) for part in parts) for field in Counts.__struct_fields__))
