"""Market data files on a disk: what is read, and the one line that says what is wrong with the others."""

import contextlib
import gzip
import hashlib
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from configs.schema.data import DataQualitySettings
from configs.schema.desk import TIMEFRAME_MS
from engine.core.domain.errors import BadData
from engine.data.files import LoadedBars, load_bars, read_bars, symbols

HOUR_MS = 3_600_000
START = datetime(2024, 1, 1, tzinfo=UTC)
START_MS = 1_704_067_200_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def table(rows: int = 50, step_ms: int = HOUR_MS, **columns: Any) -> pl.DataFrame:
    price = np.round(100 + np.sin(np.arange(rows)), 2)
    plain = {
        "ts": START_MS + step_ms * np.arange(rows, dtype=np.int64),
        "open": price,
        "high": price + 1,
        "low": price - 1,
        "close": price + 0.5,
        "volume": np.arange(1, rows + 1, dtype=np.float64),
    }
    return pl.DataFrame({name: value for name, value in {**plain, **columns}.items() if value is not None})


def write(folder: Path, frame: pl.DataFrame, name: str = "BTCUSD.csv") -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        frame.write_parquet(path)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(frame.write_csv().encode()))
    else:
        frame.write_csv(path)
    return path


def load(path: Path, **asked: Any) -> LoadedBars:
    return load_bars(path, check=DataQualitySettings(), as_of=NOW, **asked)


def refusal(path: Path, **asked: Any) -> str:
    """The one line, which names the file."""
    with pytest.raises(BadData) as refused:
        load(path, **asked)
    line = str(refused.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", ["BTCUSD.csv", "BTCUSD.csv.gz", "BTCUSD.parquet"])
def test_a_file_becomes_bars_that_are_known_when_they_close(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, table(), name)

    loaded = load(path)

    assert (loaded.instrument, loaded.timeframe, loaded.rows, loaded.rejected) == ("BTCUSD", "1h", 50, 0)
    assert loaded.bars.end_ms.tolist() == [START_MS + HOUR_MS * (row + 1) for row in range(50)]
    assert loaded.bars.close.tolist() == table()["close"].to_list()
    assert loaded.bars.volume.tolist() == table()["volume"].to_list()
    assert (loaded.volume_is_known, loaded.quality.accepted) == (True, True)
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("step", ["1s", "1m", "5m", "15m", "30m", "1h", "4h", "1d"])
def test_the_timeframe_is_the_commonest_step(tmp_path: Path, step: str) -> None:
    length = TIMEFRAME_MS[step]
    ts = START_MS + length * np.delete(np.arange(41, dtype=np.int64), 7)

    assert load(write(tmp_path, table(40, ts=ts))).timeframe == step


def test_columns_may_be_named_and_ordered_otherwise(tmp_path: Path) -> None:
    frame = table().rename({"ts": "Timestamp", "open": "OPEN", "close": " Close "})
    frame = frame.select(reversed(frame.columns)).with_columns(note=pl.lit("x"))

    assert load(write(tmp_path, frame)).bars.open.tolist() == table()["open"].to_list()


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_seen(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "X.csv"
    table().write_csv(path, separator=separator)

    assert load(path).rows == 50


def test_a_byte_order_mark_and_windows_lines_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "X.csv"
    path.write_bytes(b"\xef\xbb\xbf" + table().write_csv().replace("\n", "\r\n").encode())

    assert load(path).rows == 50


def test_a_file_without_volume_says_so(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, table(volume=None)))

    assert loaded.volume_is_known is False
    assert not loaded.bars.volume.any()


def test_the_newest_row_first_is_turned_round(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, table().reverse()))

    assert loaded.bars.close.tolist() == table()["close"].to_list()
    assert loaded.quality.counts == {}


def test_a_bad_row_is_rejected_counted_and_the_rest_is_kept(tmp_path: Path) -> None:
    frame = table(200).with_columns(high=pl.when(pl.int_range(200) == 3).then(1.0).otherwise(pl.col("high")))
    frame = frame.with_columns(open=pl.when(pl.int_range(200) == 9).then(None).otherwise(pl.col("open")))

    loaded = load(write(tmp_path, frame))

    assert (loaded.rows, loaded.rejected, loaded.bars.size) == (200, 2, 198)
    assert loaded.quality.counts["non_finite"] == 1


def test_a_bar_that_has_not_closed_yet_is_rejected(tmp_path: Path) -> None:
    loaded = load_bars(
        write(tmp_path, table(200)),
        check=DataQualitySettings(),
        as_of=START + timedelta(hours=199, minutes=59),
    )

    assert (loaded.rejected, loaded.bars.size) == (1, 199)


def test_from_is_included_and_to_is_not(tmp_path: Path) -> None:
    path = write(tmp_path, table())

    loaded = load(path, start=START + timedelta(hours=10), stop=START + timedelta(hours=12))

    assert loaded.bars.end_ms.tolist() == [START_MS + 11 * HOUR_MS, START_MS + 12 * HOUR_MS]
    assert "the file goes from 2024-01-01 00:00 to 2024-01-03 01:00" in refusal(path, start=NOW)


def test_one_of_several_symbols_is_picked(tmp_path: Path) -> None:
    both = pl.concat([table(symbol=["AAA"] * 50), table(symbol=["B/B"] * 50, close=table()["close"] + 0.1)])
    path = write(tmp_path, both, "panel.parquet")

    assert symbols(path) == ("AAA", "B/B")
    assert load(path, symbol="B/B").instrument == "B/B"
    assert load(path, symbol="B/B").bars.close[0] == 100.6
    assert refusal(path) == "the file holds 2 symbols, pick one: AAA, B/B"
    assert refusal(path, symbol="C") == "symbol C is not in the file, which holds AAA, B/B"
    assert refusal(write(tmp_path, table()), symbol="C") == "there is no column symbol to find C in"


def test_several_venues_are_not_mixed(tmp_path: Path) -> None:
    both = pl.concat([table(venue=["okx"] * 50), table(venue=["bybit"] * 50)])

    assert "several venues (bybit, okx)" in refusal(write(tmp_path, both))


def test_float_noise_is_rounded_away(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, table(close=table()["open"] + 0.1), "X.parquet"))

    assert max(len(repr(price)) for price in loaded.bars.close.tolist()) <= 6


def test_a_file_that_is_not_there_or_not_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder.csv"
    folder.mkdir()

    assert "cannot be read (No such file or directory)" in refusal(tmp_path / "none.csv")
    assert "this is a folder" in refusal(folder)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, table())
    path.chmod(0)

    assert "cannot be read (Permission denied)" in refusal(path)


@pytest.mark.parametrize("name", ["X.csv", "X.parquet"])
@pytest.mark.parametrize("content", [b"", b" \n\n"])
def test_an_empty_file(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert refusal(path).startswith("the file is empty, expected ts, open, high, low, close")


@pytest.mark.parametrize("kept", [4, 100, 1000, -4])
def test_a_truncated_parquet_file(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path, table(), "X.parquet")
    path.write_bytes(path.read_bytes()[:kept])

    assert refusal(path).startswith("this cannot be read as parquet (")


def test_a_damaged_parquet_file_is_bad_data_and_nothing_else(tmp_path: Path) -> None:
    whole = write(tmp_path, table(), "whole.parquet").read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / "X.parquet"
    for _ in range(30):
        damaged = bytearray(whole)
        for place in random.integers(4, len(whole) - 8, 40):
            damaged[place] ^= 0xFF
        path.write_bytes(bytes(damaged))
        with contextlib.suppress(BadData):
            assert load(path).rows == 50


def test_a_truncated_gzip_file(tmp_path: Path) -> None:
    path = write(tmp_path, table(), "X.csv.gz")
    path.write_bytes(path.read_bytes()[:100])

    assert "cannot be read (Compressed file ended" in refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("X.parquet", b"ts,open\n1,2\n", "this is no parquet file, for it does not begin with PAR1"),
        ("X.csv", bytes(range(256)) * 20, "column open, high, low, close is missing"),
        ("X.csv", b"ts,open,high,low,close\n", "there are columns but no rows"),
        (
            "X.csv",
            b"ts,open,high,low\n1,2,3,4\n",
            "column close is missing: found ts, open, high, low, expected",
        ),
        (
            "X.csv",
            b"open,high,low,close\n1,2,3,4\n",
            "there is no column of times: found open, high, low, close",
        ),
        ("X.csv", b"ts,open,high,low,close,Close\n1,2,3,4,5,6\n", "column close is there twice"),
        ("X.csv", b"date,time,open,high,low,close\n1,2,3,4,5,6\n", "the time is split into date and time"),
        (
            "X.csv",
            b"ts,open,high,low,close\n1704067200,1,1,1,one\n",
            "column close, row 1 is 'one', expected a number",
        ),
        (
            "X.csv",
            b"ts,open,high,low,close\nyesterday,1,1,1,1\n",
            "column ts, row 1 is 'yesterday', expected an ISO",
        ),
        (
            "X.csv",
            b"ts,open,high,low,close\n1704067200,1,1,1,1,7,8\n",
            "this cannot be read as CSV (found more fields",
        ),
        (
            "X.csv",
            b"ts,open,high,low,close\n1704067200,1,1,1,1\n",
            "one row does not show its timeframe, say which",
        ),
        (
            "no name!.csv",
            b"ts,open,high,low,close\n1704067200,1,1,1,1\n",
            "'no name!' cannot be an instrument's name",
        ),
    ],
)
def test_broken_content(tmp_path: Path, name: str, content: bytes, line: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert refusal(path).startswith(line)


def test_a_step_that_is_no_timeframe(tmp_path: Path) -> None:
    assert refusal(write(tmp_path, table(step_ms=420_000))).startswith(
        "rows are mostly 7m apart, expected one of 1s, 1m"
    )
    assert refusal(write(tmp_path, table()), timeframe="4h").startswith(
        "rows are mostly 1h apart, which is less"
    )


def test_contradicting_rows_refuse_the_file_but_it_can_still_be_looked_at(tmp_path: Path) -> None:
    path = write(tmp_path, pl.concat([table(), table().tail(1).with_columns(close=pl.col("close") - 0.25)]))

    assert refusal(path) == "refused: 1 rows contradict another row of the same time"
    seen = read_bars(path, check=DataQualitySettings(), as_of=NOW)
    assert (seen.rows, seen.quality.counts) == (51, {"conflict": 1})


def test_polars_is_not_imported_before_a_file_is_read() -> None:
    code = "import sys, engine.data.files, engine.data.bundled, engine.data.replay; print('polars' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_a_million_rows_are_read_within_seconds(tmp_path: Path) -> None:
    ts = START_MS - 60_000 * np.arange(1_000_000, dtype=np.int64)[::-1]
    path = write(tmp_path, table(1_000_000, ts=ts), "X.parquet")

    began = time.perf_counter()
    loaded = load(path)

    assert loaded.bars.size == 1_000_000
    assert time.perf_counter() - began < 5, "about one second on a quiet machine"
