"""Market data files: CSV (also gzipped) and parquet, one bar a row. The rules, stated once:

- Columns `ts, open, high, low, close` and, if there is one, `volume`, in any order and case; others are ignored.
  A file without volume gets zeros, and `volume_is_known` says so. The time may also be called `timestamp`,
  `datetime`, `date`, `time` or `open_time`: the first of these that is there counts, but `date` beside `time` is
  refused, for neither is the whole. How cells are read stands in `columns`.
- The time is the OPEN of the bar: a bar is known one timeframe later, and that is its `end_ms`.
- The timeframe is the commonest step between rows, or the given one, which may not be longer than that step.
- A file with a `symbol` column and two symbols or more needs one picked; with several venues it is refused.
- A file with its newest row first is turned round. Any other doubt is the data check's: rows it rejects are counted
  in the report, and a series that it refuses is not loaded.
"""

import gzip
import hashlib
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec
import numpy as np

from configs.schema.data import DataQualitySettings
from configs.schema.desk import TIMEFRAME_MS, Name, Timeframe
from engine.core.domain.errors import BadData
from engine.core.domain.market import BarArrays, Ints
from engine.core.market.quality import QualityReport, check_bars, repair
from engine.data.columns import numbers, times, without_noise
from engine.data.replay import milliseconds

if TYPE_CHECKING:
    import polars as pl

PRICES = ("open", "high", "low", "close")
TIMES = ("ts", "timestamp", "datetime", "date", "time", "open_time")
_KEYS = ("symbol", "venue", "exchange")
_EXPECTED = "expected ts, open, high, low, close[, volume]"
_LISTED = 12  # names that a message shows


class LoadedBars(NamedTuple):
    """Bars of one file with where they are from. `rows` were asked for, `rejected` of them are not in `bars`."""

    instrument: str
    timeframe: Timeframe
    bars: BarArrays
    quality: QualityReport
    volume_is_known: bool
    path: Path
    sha256: str
    rows: int
    rejected: int


def load_bars(
    path: Path,
    *,
    check: DataQualitySettings,
    as_of: datetime,
    instrument: str = "",
    timeframe: Timeframe | None = None,
    symbol: str = "",
    start: datetime | None = None,
    stop: datetime | None = None,
) -> LoadedBars:
    """Read, check and repair; BadData in one line when the file cannot be used.

    `start` is included and `stop` is not, both by the open of the bar; `as_of` is now, after which no bar ends.
    The name is `instrument`, else `symbol`, else that of the file.
    """
    read = read_bars(
        path,
        check=check,
        as_of=as_of,
        instrument=instrument,
        timeframe=timeframe,
        symbol=symbol,
        start=start,
        stop=stop,
    )
    if not read.quality.accepted:
        raise BadData(f"{path}: {read.quality.reason}")
    bars = repair(read.bars, read.quality, milliseconds(as_of))
    return read._replace(bars=bars, rejected=read.rows - bars.size)


def read_bars(
    path: Path,
    *,
    check: DataQualitySettings,
    as_of: datetime,
    instrument: str = "",
    timeframe: Timeframe | None = None,
    symbol: str = "",
    start: datetime | None = None,
    stop: datetime | None = None,
) -> LoadedBars:
    """Read and check, but repair nothing and refuse nothing for its content: what `data check` shows."""
    raw, digest = _bytes(path)
    try:
        frame, picked = _one_symbol(_parse(raw, path.suffix.lower()), symbol)
        opened, bars, volume_is_known = _columns(frame)
        name = _name(instrument or symbol or picked or _stem(path))
        timeframe = _timeframe(opened, timeframe)
        bars = _between(bars, opened, start, stop)
    except BadData as error:
        raise BadData(f"{path}: {error}") from None
    step_ms = TIMEFRAME_MS[timeframe]
    bars = bars._replace(end_ms=bars.end_ms + step_ms)
    report = check_bars(bars, step_ms, check, milliseconds(as_of))
    return LoadedBars(name, timeframe, bars, report, volume_is_known, path, digest, bars.size, 0)


def symbols(path: Path) -> tuple[str, ...]:
    """The symbols that a file holds; none when it has no such column."""
    raw, _ = _bytes(path)
    try:
        frame = _parse(raw, path.suffix.lower())
    except BadData as error:
        raise BadData(f"{path}: {error}") from None
    return tuple(_distinct(frame, "symbol")) if "symbol" in frame.columns else ()


def _bytes(path: Path) -> tuple[bytes, str]:
    """What the file holds, unpacked, and the hash of the file as it lies there."""
    if path.is_dir():
        raise BadData(f"{path}: this is a folder, expected a CSV or parquet file")
    try:
        raw = path.read_bytes()
        digest = hashlib.sha256(raw).hexdigest()
        raw = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    except (OSError, EOFError) as error:
        found = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadData(f"{path}: cannot be read ({found}), expected a CSV or parquet file") from None
    if not raw.strip():
        raise BadData(f"{path}: the file is empty, {_EXPECTED}")
    return raw, digest


def _parse(raw: bytes, suffix: str) -> "pl.DataFrame":
    """The wanted columns under lower-case names. CSV cells stay text, so that a wrong one can be shown."""
    import polars as pl

    binary = raw.startswith(b"PAR1")
    if suffix in (".parquet", ".pq") and not binary:
        raise BadData("this is no parquet file, for it does not begin with PAR1")
    separator = max(",;\t", key=raw.split(b"\n", 1)[0].decode("utf-8", "replace").count)
    try:
        if binary:
            header = list(pl.read_parquet_schema(io.BytesIO(raw)))
        else:
            header = pl.read_csv(raw, separator=separator, infer_schema=False, n_rows=0).columns
        wanted = _wanted(header)
        if binary:
            return pl.read_parquet(io.BytesIO(raw), columns=list(wanted)).rename(wanted)
        frame = pl.read_csv(raw, columns=list(wanted), separator=separator, infer_schema=False)
        return frame.filter(~pl.all_horizontal(pl.all().is_null())).rename(wanted)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        kind = "parquet" if binary else "CSV"
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadData(f"this cannot be read as {kind} ({said}), {_EXPECTED}") from None


def _wanted(header: list[str]) -> dict[str, str]:
    """The columns that are used, and the plain name of each."""
    known = {*PRICES, "volume", *TIMES, *_KEYS}
    plain = {name: name.strip().strip("<>").lower() for name in header}
    wanted = {name: short for name, short in plain.items() if short in known}
    names = list(wanted.values())
    found = f"found {_listed(header)}, {_EXPECTED}"
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadData(f"column {', '.join(twice)} is there twice (case does not count): {found}")
    if missing := [name for name in PRICES if name not in names]:
        raise BadData(f"column {', '.join(missing)} is missing: {found}")
    time = next((name for name in TIMES if name in names), None)
    if time is None:
        raise BadData(f"there is no column of times: {found}")
    if time == "date" and "time" in names:
        raise BadData("the time is split into date and time, expected one column ts")
    return {name: short for name, short in wanted.items() if short not in TIMES or short == time}


def _one_symbol(frame: "pl.DataFrame", symbol: str) -> tuple["pl.DataFrame", str]:
    if "symbol" not in frame.columns:
        if symbol:
            raise BadData(f"there is no column symbol to find {symbol} in")
        picked = ""
    else:
        held = _distinct(frame, "symbol")
        picked = symbol or (held[0] if len(held) == 1 else "")
        if not picked:
            raise BadData(f"the file holds {len(held)} symbols, pick one: {_listed(held)}")
        if picked not in held:
            raise BadData(f"symbol {picked} is not in the file, which holds {_listed(held)}")
        frame = frame.filter(frame["symbol"] == picked)
    for key in ("venue", "exchange"):
        if key in frame.columns and len(venues := _distinct(frame, key)) > 1:
            raise BadData(f"the file holds several venues ({_listed(venues)}), expected one")
    return frame, picked


def _columns(frame: "pl.DataFrame") -> tuple[Ints, BarArrays, bool]:
    """Opening times and bars, which carry the opening time until the timeframe is known; oldest first."""
    if frame.height == 0:
        raise BadData("there are columns but no rows, expected at least one bar")
    opened = times(frame[next(name for name in TIMES if name in frame.columns)])
    prices = without_noise([numbers(frame[name]) for name in PRICES])
    known = "volume" in frame.columns
    volume = without_noise([numbers(frame["volume"])])[0] if known else np.zeros(frame.height)
    bars = BarArrays(opened, prices[0], prices[1], prices[2], prices[3], volume)
    if opened.size > 1 and (opened[1:] < opened[:-1]).all():
        bars = _rows(bars, np.arange(opened.size)[::-1])
    return bars.end_ms, bars, known


def _timeframe(opened: Ints, given: Timeframe | None) -> Timeframe:
    steps = np.diff(np.sort(opened))  # `unique` would hash a million times: half a second
    steps = steps[steps > 0]
    if steps.size == 0:
        if given is None:
            raise BadData(f"one row does not show its timeframe, say which: {', '.join(TIMEFRAME_MS)}")
        return given
    lengths, counts = np.unique(steps, return_counts=True)
    commonest = int(lengths[np.argmax(counts)])
    if given is not None:
        if commonest < TIMEFRAME_MS[given]:
            raise BadData(
                f"rows are mostly {_span(commonest)} apart, which is less than the timeframe {given}"
            )
        return given
    for name, length in TIMEFRAME_MS.items():
        if length == commonest:
            return cast(Timeframe, name)
    raise BadData(f"rows are mostly {_span(commonest)} apart, expected one of {', '.join(TIMEFRAME_MS)}")


def _between(bars: BarArrays, opened: Ints, start: datetime | None, stop: datetime | None) -> BarArrays:
    if start is None and stop is None:
        return bars
    kept = np.ones(opened.size, dtype=bool)
    if start is not None:
        kept &= opened >= milliseconds(start)
    if stop is not None:
        kept &= opened < milliseconds(stop)
    if not kept.any():
        raise BadData(
            f"no bars from {start or 'the beginning'} to {stop or 'the end'}: "
            f"the file goes from {_when(int(opened.min()))} to {_when(int(opened.max()))}"
        )
    return _rows(bars, np.flatnonzero(kept))


def _rows(bars: BarArrays, kept: Ints) -> BarArrays:
    end_ms, *columns = bars
    return BarArrays(end_ms[kept], *(column[kept] for column in columns))


def _name(name: str) -> str:
    try:
        return msgspec.convert(name, Name)
    except msgspec.ValidationError:
        raise BadData(
            f"{name!r} cannot be an instrument's name (at most 32 of A-Z, a-z, 0-9, _ / - .), say what it is called"
        ) from None


def _stem(path: Path) -> str:
    """The file's name without the endings that say how it is written.

    >>> _stem(Path("data/BTCUSD.csv.gz"))
    'BTCUSD'
    """
    name = path.name.removesuffix(".gz")
    return name.rpartition(".")[0] or name


def _distinct(frame: "pl.DataFrame", column: str) -> list[str]:
    import polars as pl

    return cast(list[str], frame[column].cast(pl.String).drop_nulls().unique().sort().to_list())


def _listed(names: list[str]) -> str:
    shown = ", ".join(name[:32] for name in names[:_LISTED])
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown


def _span(length_ms: int) -> str:
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if length_ms % size == 0:
            return f"{length_ms // size}{unit}"
    return f"{length_ms} ms"


def _when(moment_ms: int) -> str:
    return datetime.fromtimestamp(moment_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
