from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from configs.schema.desk import DeskSettings, Instrument
from configs.schema.settings import Settings
from engine.core.domain.errors import BadData, BadInput
from engine.core.domain.market import BarArrays
from jobs.universe import moment, open_files, rules_from, session_of
from tests.desks import trending_bars, write_csv

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000


def weekdays(bars: BarArrays) -> BarArrays:
    """Without what covers a Saturday or a Sunday: 1 January 1970 was a Thursday."""
    open_days = ((bars.end_ms - 1) // DAY_MS + 3) % 7 < 5
    return BarArrays._make(column[open_days] for column in bars)


def test_files_bring_their_instruments_and_their_timeframe(tmp_path: Path) -> None:
    hour = timedelta(hours=1)
    paths = [write_csv(tmp_path / f"{name}.csv", trending_bars(1, 400, hour), hour) for name in ("B", "A")]

    universe = open_files(paths, Settings(), NOW)

    assert universe.settings.desk.timeframe == "1h"
    assert [each.name for each in universe.settings.desk.instruments] == ["A", "B"]
    assert set(universe.series) == {"A", "B"}
    assert universe.settings.data.session == "24/7"


def test_an_instrument_that_the_profile_names_keeps_its_rules(tmp_path: Path) -> None:
    mine = Instrument(name="A", tick=Decimal("0.5"), lot=Decimal(7))
    path = write_csv(tmp_path / "A.csv", trending_bars(1, 400))

    universe = open_files([path], Settings(desk=DeskSettings(instruments=(mine,))), NOW)

    assert universe.settings.desk.instruments == (mine,)


def test_files_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    hour = timedelta(hours=1)
    days = write_csv(tmp_path / "A.csv", trending_bars(1, 400))
    hours = write_csv(tmp_path / "B.csv", trending_bars(1, 400, hour), hour)

    with pytest.raises(BadData, match=r"B\.csv: bars of 1h beside bars of 1d"):
        open_files([days, hours], Settings(), NOW)
    with pytest.raises(BadData, match="A was loaded from another file already"):
        open_files([days, days], Settings(), NOW)
    with pytest.raises(BadInput, match="no data file was given"):
        open_files([], Settings(), NOW)


def test_two_weeks_without_a_weekend_are_weekdays() -> None:
    bars = trending_bars(1, 60)

    assert session_of(bars) == "24/7"
    assert session_of(weekdays(bars)) == "weekdays"
    assert session_of(weekdays(bars).tail(3)) == "24/7"


@pytest.mark.parametrize("scale", [1e-6, 0.01, 1.0, 60_000.0])
def test_rules_are_as_fine_as_the_prices(scale: float) -> None:
    bars = trending_bars(1, 300)
    scaled = bars._replace(**{name: getattr(bars, name) * scale for name in ("open", "high", "low", "close")})

    rules = rules_from("X", scaled)

    worth = float(rules.lot) * float(np.median(scaled.close))
    assert 0.001 < worth < 0.1
    assert rules.lot.as_tuple().digits == (1,), "a power of ten, without a digit of noise"
    assert float(rules.tick) <= float(scaled.close.min())
    assert 360 < rules.bars_per_year < 370


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2008-10-15", datetime(2008, 10, 15, tzinfo=UTC)),
        ("2008-10-15T14:00", datetime(2008, 10, 15, 14, tzinfo=UTC)),
        ("2008-10-15T14:00+02:00", datetime(2008, 10, 15, 12, tzinfo=UTC)),
    ],
)
def test_a_moment_without_a_zone_is_utc(text: str, expected: datetime) -> None:
    assert moment(text) == expected


@pytest.mark.parametrize("text", ["blah", "2008-13-01", "15.10.2008", "now"])
def test_what_is_no_moment_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(BadInput, match=f"'{text}' is not a date; expected one such as 2008-10-15"):
        moment(text)
