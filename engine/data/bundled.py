"""Twenty years of real daily bars that come with the Python package `arch`, so that the demo needs no network.

S&P 500 and Nasdaq Composite, 4 January 1999 to 31 December 2018, as published by Yahoo. Prices are the raw
ones; for an index the column `Adj Close` is the same as `Close`. A bar is taken to be known at 21:00 UTC of its day:
the close of New York in winter, one hour after it in summer.
"""

import gzip
import hashlib
import importlib.util
from pathlib import Path
from typing import NamedTuple

from engine.core.domain.errors import BadData
from engine.core.domain.market import BarArrays

FILES = {"SP500": "sp500", "NASDAQ": "nasdaq"}
CLOSE_MS = 21 * 3_600_000
TIMEFRAME = "1d"


class Bundled(NamedTuple):
    """Bars of one instrument and the hash of the file that they were read from."""

    instrument: str
    timeframe: str
    bars: BarArrays
    sha256: str


def load(instrument: str) -> Bundled:
    """Read one of `FILES`; BadData when the package that carries it is missing or has changed.

    The package itself is not imported: that would take a second, and only its file is wanted.
    """
    if instrument not in FILES:
        raise BadData(f"{instrument} is not bundled, there are {', '.join(FILES)}")
    path = _folder() / FILES[instrument] / f"{FILES[instrument]}.csv.gz"
    try:
        raw = path.read_bytes()
        bars = _bars(gzip.decompress(raw))
    except (OSError, EOFError, ValueError) as error:
        raise BadData(f"{path}: expected the daily bars of {instrument} ({error})") from None
    return Bundled(instrument, TIMEFRAME, bars, hashlib.sha256(raw).hexdigest())


def _folder() -> Path:
    found = importlib.util.find_spec("arch")
    if found is None or not found.submodule_search_locations:
        raise BadData('the bundled market data is not installed: pip install "whydesk[demo]"')
    return Path(found.submodule_search_locations[0]) / "data"


def _bars(text: bytes) -> BarArrays:
    import polars as pl

    try:
        table = pl.read_csv(text, columns=["Date", "Open", "High", "Low", "Close", "Volume"])
        midnight = table["Date"].str.to_date("%m/%d/%Y").cast(pl.Datetime("ms")).cast(pl.Int64)
    except pl.exceptions.PolarsError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    prices = (table[name].cast(pl.Float64).to_numpy() for name in ("Open", "High", "Low", "Close", "Volume"))
    return BarArrays((midnight + CLOSE_MS).to_numpy(), *prices)
