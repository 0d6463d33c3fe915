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
    """Where every bar went: `used` and the four that follow it add up to `bars`.

    `without_features`: still warming up, or not finite. `ambiguous` of the used labels were decided by a bar that
    held both barriers, against the buyer.
    """

    bars: int
    used: int
    timed_out: int
    without_features: int
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
    rows = np.concatenate([part.rows for part in parts])
    target = np.concatenate([part.target for part in parts])
    weight = np.concatenate([part.weight for part in parts])
    start = np.concatenate([part.start for part in parts])
    end = np.concatenate([part.end for part in parts])
    order = np.argsort(start, kind="stable")
    return Dataset(
        rows=np.ascontiguousarray(rows[order]),
        target=target[order],
        weight=weight[order],
        start=start[order],
        end=end[order],
        moments=moments,
        instruments=names,
        counts=_sum([part.counts for part in parts]),
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


class _Part(NamedTuple):
    rows: Rows
    target: NDArray[np.bool_]
    weight: Floats
    start: Ints
    end: Ints
    counts: Counts


def _rows_of(bars: BarArrays, moments: Ints, settings: ModelSettings) -> _Part:
    matrix = build_matrix(bars)
    rows = rows32(matrix)
    whole = np.isfinite(rows).all(axis=1)
    average_range = np.where(whole, matrix[:, _RANGE] * bars.close / 100.0, np.nan)
    labels = triple_barrier(bars, average_range, settings.barrier_atr, settings.horizon)
    touched = labels.value != 0
    start, end = labels.start[touched], labels.end[touched]
    without_features = int(np.count_nonzero(~whole))
    counts = Counts(
        bars=bars.size,
        used=int(np.count_nonzero(touched)),
        timed_out=int(np.count_nonzero(~touched)),
        without_features=without_features,
        unfinished=labels.unfinished,
        unmeasured=labels.unmeasured - without_features,
        ambiguous=labels.ambiguous,
    )
    place = np.searchsorted(moments, bars.end_ms)
    target = labels.value[touched] == 1
    return _Part(rows[start], target, uniqueness(start, end), place[start], place[end], counts)


def _sum(parts: list[Counts]) -> Counts:
    return Counts(*(sum(getattr(part, field) for part in parts) for field in Counts.__struct_fields__))
