import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.domain.errors import BadData
from engine.data.columns import numbers, rounded, times, without_noise

NEW_YEAR_2020 = 1_577_836_800_000


@pytest.mark.parametrize(
    "cell",
    [
        "2020-01-01",
        "2020-01-01 00:00",
        "2020-01-01T00:00:00",
        "2020-01-01 00:00:00.000",
        "2020-01-01T00:00:00Z",
        "2020-01-01T00:00:00z",
        "2020-01-01 00:00 UTC",
        "2020-01-01T02:00:00+02:00",
        "2020-01-01 02:00+0200",
        "2019-12-31T19:00:00-05:00",
        " 2020-01-01 ",
        "1577836800",
        "1577836800.0",
        "1577836800000",
        "1577836800000000",
        "1577836800000000000",
        1577836800,
        1577836800.0,
        1577836800000,
        1577836800000000000,
    ],
)
def test_a_time_in_any_usual_writing(cell: str | float) -> None:
    assert times(pl.Series("ts", [cell])).tolist() == [NEW_YEAR_2020]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_a_timestamp_without_a_zone_is_utc(unit: str, zone: str | None) -> None:
    column = pl.Series("ts", [NEW_YEAR_2020]).cast(pl.Datetime("ms")).cast(pl.Datetime(unit))  # type: ignore[arg-type]
    column = column.dt.replace_time_zone("UTC").dt.convert_time_zone(zone) if zone else column

    assert times(column).tolist() == [NEW_YEAR_2020]


@pytest.mark.parametrize("cells", [["1577836800001000000"], [1577836800001000000]])
def test_nanoseconds_keep_all_their_digits(cells: list[object]) -> None:
    assert times(pl.Series("ts", cells)).tolist() == [NEW_YEAR_2020 + 1]


def test_a_date_is_its_midnight() -> None:
    assert times(pl.Series("ts", [NEW_YEAR_2020]).cast(pl.Datetime("ms")).cast(pl.Date)).tolist() == [
        NEW_YEAR_2020
    ]


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        (["2020-01-01", "soon"], "column ts, row 2 is 'soon', expected an ISO 8601 time"),
        (["2020-02-30"], "column ts, row 1 is '2020-02-30', expected an ISO 8601 time"),
        ([None, 1577836800], "column ts, row 1 is empty, expected a time"),
        ([1577836800.5], "column ts, row 1 is 1577836800.5, expected whole seconds or finer"),
        ([20200101], "not seconds, milliseconds, microseconds or nanoseconds"),
        ([1577836800, 1577836800000], "not seconds, milliseconds, microseconds or nanoseconds"),
        ([True], "column ts is Boolean, expected a time"),
    ],
)
def test_what_is_no_time_is_shown(cells: list[object], line: str) -> None:
    with pytest.raises(BadData, match=line):
        times(pl.Series("ts", cells))


def test_numbers_may_be_text_and_an_empty_cell_is_not_a_number() -> None:
    found = numbers(pl.Series("open", ["1.5", " 2e3 ", "", None]))

    assert np.array_equal(found, [1.5, 2000, np.nan, np.nan], equal_nan=True)


def test_text_where_a_number_belongs_is_shown() -> None:
    with pytest.raises(BadData, match="column open, row 2 is 'n/a', expected a number"):
        numbers(pl.Series("open", ["1", "n/a"]))


def test_single_precision_is_read_as_the_decimal_it_stands_for() -> None:
    assert numbers(pl.Series("open", [0.1, 1229.23], dtype=pl.Float32)).tolist() == [0.1, 1229.23]


@given(st.lists(st.decimals(min_value="0.00001", max_value="1e9", places=5), min_size=1, max_size=30))
def test_decimals_of_a_file_stay_exactly_as_they_are(values: list[object]) -> None:
    column = np.array([float(value) for value in values])  # type: ignore[arg-type]

    assert without_noise([column])[0].tolist() == column.tolist()


@given(st.lists(st.floats(1e-8, 1e12), min_size=1, max_size=30))
def test_rounding_is_what_printing_ten_digits_gives_and_keeps_the_order(values: list[float]) -> None:
    column = np.sort(np.array(values))

    found = rounded(column, 10)

    assert found == pytest.approx([float(f"{value:.9e}") for value in values and column], rel=1.1e-10)
    assert (np.diff(found) >= 0).all()
    assert rounded(found, 10).tolist() == found.tolist()


def test_noise_in_one_price_rounds_all_of_them() -> None:
    high, low = without_noise([np.array([0.1 + 0.2]), np.array([0.12345678901])])

    assert (high.tolist(), low.tolist()) == ([0.3], [0.123456789])
