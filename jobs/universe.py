"""Files become what the desk trades: their bars, and rules for instruments that no profile has named."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from configs.schema.data import DataQualitySettings, Session
from configs.schema.desk import Instrument
from configs.schema.settings import Settings
from engine.core.domain.errors import BadData, BadInput
from engine.core.domain.market import BarArrays
from engine.data.files import LoadedBars, load_bars, read_bars

DAY_MS = 86_400_000
YEAR_MS = 365.25 * DAY_MS
SATURDAY = 2  # 1 January 1970 was a Thursday


class Universe(NamedTuple):
    """Bars by instrument, and the settings that fit them."""

    loaded: tuple[LoadedBars, ...]
    settings: Settings

    @property
    def series(self) -> dict[str, BarArrays]:
        """The bars alone."""
        return {each.instrument: each.bars for each in self.loaded}


def open_files(
    paths: Sequence[Path],
    settings: Settings,
    as_of: datetime,
    *,
    symbol: str = "",
    start: datetime | None = None,
    stop: datetime | None = None,
) -> Universe:
    """Read every file, then fit the desk to them: its timeframe, its session, its instruments.

    An instrument that the profile names keeps the profile's rules.
    """
    if not paths:
        raise BadInput("no data file was given; expected at least one CSV or parquet file")
    loaded: list[LoadedBars] = []
    for path in paths:
        check = replace(settings.data, session=_session(path, settings.data, as_of, symbol))
        bars = load_bars(path, check=check, as_of=as_of, symbol=symbol, start=start, stop=stop)
        if any(bars.instrument == other.instrument for other in loaded):
            raise BadData(f"{path}: {bars.instrument} was loaded from another file already")
        if loaded and bars.timeframe != loaded[0].timeframe:
            raise BadData(f"{path}: bars of {bars.timeframe} beside bars of {loaded[0].timeframe}")
        if not bars.bars.size:
            raise BadData(f"{path}: no bars in the period asked for")
        loaded.append(bars)
    return Universe(tuple(loaded), fit(settings, loaded))


def fit(settings: Settings, loaded: Sequence[LoadedBars]) -> Settings:
    """The settings with the timeframe and the instruments of the files."""
    known = {instrument.name: instrument for instrument in settings.desk.instruments}
    instruments = tuple(
        known.get(each.instrument) or rules_from(each.instrument, each.bars)
        for each in sorted(loaded, key=lambda each: each.instrument)
    )
    desk = replace(settings.desk, timeframe=loaded[0].timeframe, instruments=instruments)
    volume = settings.execution.volume_is_known and all(each.volume_is_known for each in loaded)
    sessions = {session_of(each.bars) for each in loaded}
    data = replace(settings.data, session="24/7" if "24/7" in sessions else "weekdays")
    return replace(
        settings, desk=desk, data=data, execution=replace(settings.execution, volume_is_known=volume)
    )


def rules_from(name: str, bars: BarArrays) -> Instrument:
    """Rules for an instrument that nobody described: ticks as fine as its prices, lots worth about a cent.

    Years are counted in bars as the data has them, nights and holidays left out.
    """
    digits = max((-int(Decimal(repr(p)).as_tuple().exponent) for p in bars.close[-1000:].tolist()), default=2)
    finest = -round(float(np.log10(np.median(bars.close)))) - 2
    years = (int(bars.end_ms[-1]) - int(bars.end_ms[0])) / YEAR_MS
    per_year = (bars.size - 1) / years if years > 0 else 252.0
    return Instrument(
        name=name,
        tick=Decimal(1).scaleb(-min(max(digits, 0), 10)),
        lot=Decimal(1).scaleb(max(finest, -10)),
        bars_per_year=round(per_year, 1),
    )


def _session(path: Path, check: DataQualitySettings, as_of: datetime, symbol: str) -> Session:
    return session_of(read_bars(path, check=check, as_of=as_of, symbol=symbol).bars)


def session_of(bars: BarArrays) -> Session:
    """Markets that never trade on a Saturday close for the weekend; two weeks of bars show it."""
    if bars.size < 2 or int(bars.end_ms[-1] - bars.end_ms[0]) < 14 * DAY_MS:
        return "24/7"
    step = int(np.median(np.diff(bars.end_ms)))
    days = (bars.end_ms - step // 2) // DAY_MS % 7
    return "24/7" if np.any(days == SATURDAY) else "weekdays"


def moment(text: str) -> datetime:
    """A date or a moment as people write it; without a zone it is UTC."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            f"{text!r} is not a date; expected one such as 2008-10-15 or 2008-10-15T14:00"
        ) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
