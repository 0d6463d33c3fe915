"""Columns of a file as arrays: times in any of the usual writings, numbers, and numbers with float noise.

- Whole numbers are seconds, milliseconds, microseconds or nanoseconds since 1970 UTC, by size. Text is ISO 8601;
  where it names no zone it is UTC. Naive timestamps of a parquet file are UTC as well.
- Floats that carry more than 14 significant digits are noise of somebody's arithmetic (0.30000000000000004). If a
  group of columns holds one, the whole group is rounded to 10 significant digits, which keeps its order. Single
  precision is read as the shortest decimal that it stands for.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.core.domain.errors import BadData
from engine.core.domain.market import Floats, Ints

if TYPE_CHECKING:
    import polars as pl

_PER_MS = {"ms": 1, "us": 1_000, "ns": 1_000_000}
_SMALLEST_SECOND = 10**8  # 3 March 1973; below this a number is no time of a market but a day or a row number
_WHOLE = r"^\s*[+-]?\d+(\.0*)?\s*$"
_EXACT_DIGITS, _KEPT_DIGITS = 14, 10


def times(column: "pl.Series") -> Ints:
    """Return milliseconds since 1970 UTC; BadData shows the first cell that is no time."""
    import polars as pl

    if column.null_count():
        raise BadData(f"{_place(column, column.is_null())} is empty, expected a time")
    if column.dtype == pl.String:
        whole = column.str.contains(_WHOLE)
        return _from_numbers(_digits(column)) if whole.all() else _from_text(column)
    if column.dtype == pl.Date:
        return column.cast(pl.Datetime("ms")).cast(pl.Int64).to_numpy()
    if isinstance(column.dtype, pl.Datetime):
        return column.cast(pl.Int64).to_numpy() // _PER_MS[column.dtype.time_unit]
    if column.dtype.is_numeric():
        return _from_numbers(column)
    raise BadData(f"column {column.name} is {column.dtype}, expected a time")


def numbers(column: "pl.Series") -> Floats:
    """Return the numbers, NaN for an empty cell; BadData shows the first cell that is no number."""
    import polars as pl

    if column.dtype == pl.Float32:  # 0.1 in single precision is not 0.10000000149011612 but 0.1
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        text = text.set(text == "", None)
        found = text.cast(pl.Float64, strict=False)
        if (wrong := found.is_null() & text.is_not_null()).any():
            raise BadData(f"{_place(column, wrong)} is {column.filter(wrong)[0][:40]!r}, expected a number")
        column = found
    if not (column.dtype.is_numeric() or column.dtype == pl.Null):
        raise BadData(f"column {column.name} is {column.dtype}, expected numbers")
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy()


def without_noise(columns: Sequence[Floats]) -> list[Floats]:
    """Return the columns as they are, or all of them rounded if one of them holds noise.

    >>> without_noise([np.array([0.1 + 0.2, 1.1])])[0].tolist()
    [0.3, 1.1]
    """
    exact = all(np.array_equal(column, rounded(column, _EXACT_DIGITS), equal_nan=True) for column in columns)
    return list(columns) if exact else [rounded(column, _KEPT_DIGITS) for column in columns]


def rounded(values: Floats, digits: int) -> Floats:
    """Return the values with so many significant digits, each the float nearest to its decimal.

    Both steps are exact enough for that: powers of ten up to 22 are whole floats, and a division rounds once.

    >>> rounded(np.array([1229.2299804, -0.00012345, 0.0]), 5).tolist()
    [1229.2, -0.00012345, 0.0]
    """
    usable = np.isfinite(values) & (values != 0)
    size = np.floor(np.log10(np.abs(np.where(usable, values, 1.0))))
    places = np.clip(digits - 1 - size, -22, 22)
    factor = 10.0 ** np.abs(places)
    scaled = np.where(places >= 0, values * factor, values / factor)
    whole = np.rint(scaled)
    return np.asarray(np.where(usable, np.where(places >= 0, whole / factor, whole * factor), values))


def _from_numbers(column: "pl.Series") -> Ints:
    import polars as pl

    values = column.cast(pl.Int64, strict=False)
    if (wrong := values.is_null() | (values.cast(pl.Float64) != column.cast(pl.Float64))).any():
        raise BadData(
            f"{_place(column, wrong)} is {column.filter(wrong)[0]}, expected whole seconds or finer"
        )
    stamps = values.to_numpy()
    low, high = int(stamps.min()), int(stamps.max())
    for per_ms, start in ((0, _SMALLEST_SECOND), (1, 10**11), (1_000, 10**14), (1_000_000, 10**17)):
        if start <= low and high < start * 1000:
            return stamps * 1000 if per_ms == 0 else stamps // per_ms
    raise BadData(
        f"column {column.name} goes from {low} to {high}: not seconds, milliseconds, microseconds or nanoseconds "
        "since 1970"
    )


def _digits(column: "pl.Series") -> "pl.Series":
    """Text as whole numbers, and not by way of a float, which has too few digits for nanoseconds."""
    import polars as pl

    return column.str.strip_chars().str.replace(r"\.0*$", "").cast(pl.Int64, strict=False)


def _from_text(column: "pl.Series") -> Ints:
    """ISO 8601 with the usual liberties: a blank for the T, no seconds, no zone."""
    import polars as pl

    text = column.str.strip_chars().str.replace(" ", "T", literal=True).str.replace(r"[T ]?UTC$|z$", "Z")
    text = text.str.replace(r"^(\d{4}-\d\d-\d\d)$", "${1}T00:00").str.replace(
        r"([+-]\d\d)(\d\d)$", "${1}:${2}"
    )
    text = text.str.replace(r"T(\d\d:\d\d)($|[Z+-])", "T${1}:00${2}")
    text = text.str.replace(r"(T\d\d:\d\d:\d\d(\.\d+)?)$", "${1}Z")
    found = text.str.to_datetime("%+", time_unit="ms", time_zone="UTC", strict=False)
    if found.null_count():
        wrong = found.is_null()
        raise BadData(
            f"{_place(column, wrong)} is {column.filter(wrong)[0][:40]!r}, expected an ISO 8601 time"
        )
    return found.cast(pl.Int64).to_numpy()


def _place(column: "pl.Series", wrong: "pl.Series") -> str:
    return f"column {column.name}, row {int(wrong.arg_max() or 0) + 1}"
