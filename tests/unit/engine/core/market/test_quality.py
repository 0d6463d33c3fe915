from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import numpy as np
import pytest

from configs.schema.data import DataQualitySettings
from engine.core.domain.errors import BadData
from engine.core.domain.market import Bar, BarArrays
from engine.core.market.quality import LISTED, QualityReport, check_bar, check_bars, repair, robust_sigma

DAY = 86_400_000
MONDAY = 19_723 * DAY  # 1 January 2024
FAR = MONDAY + 10_000 * DAY
LOOSE = DataQualitySettings(max_bad_share=1.0, max_gap_share=1.0)
WEEKDAYS = msgspec.structs.replace(LOOSE, session="weekdays")


def bars(n: int = 100, step: int = DAY, seed: int = 1) -> BarArrays:
    draw = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(draw.normal(0.0, 0.01, n)))
    open_ = close * np.exp(draw.normal(0.0, 0.003, n))
    high, low = np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998
    return BarArrays(
        MONDAY + np.arange(n, dtype=np.int64) * step, open_, high, low, close, draw.lognormal(5.0, 1.0, n)
    )


def broken(row: int, **values: float) -> BarArrays:
    columns = {name: column.copy() for name, column in bars()._asdict().items()}
    for name, value in values.items():
        columns[name][row] = value
    return BarArrays(**columns)


def rows_at(source: BarArrays, rows: list[int]) -> BarArrays:
    return BarArrays(*(column[rows] for column in source))


def check(given: BarArrays, settings: DataQualitySettings = LOOSE, step: int = DAY) -> QualityReport:
    return check_bars(given, step, settings, FAR)


def test_clean_bars_raise_no_doubt_and_stay_as_they_are() -> None:
    report = check(bars(), DataQualitySettings())
    assert (report.accepted, report.findings, report.counts, report.missing) == (True, (), {}, 0)
    for found, wanted in zip(repair(bars(), report, FAR), bars(), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("non_finite", {"close": float("nan")}),
        ("non_finite", {"volume": float("inf")}),
        ("non_positive", {"low": 0.0}),
        ("non_positive", {"open": -3.0}),
        ("negative_volume", {"volume": -1.0}),
        ("high_below_low", {"high": 1.0}),
        ("bad_ohlc", {"close": 500.0}),
        ("bad_ohlc", {"open": 0.01}),
        ("future", {"end_ms": FAR + 1}),
    ],
)
def test_an_unusable_row_is_named_once_with_its_reason_and_dropped(
    kind: str, values: dict[str, float]
) -> None:
    given = broken(40, **values)
    report = check(given)
    wrong = [finding for finding in report.findings if finding.kind not in ("gap", "out_of_order")]
    assert [(finding.kind, finding.row) for finding in wrong] == [(kind, 40)]
    assert "row 40" in wrong[0].text
    assert report.unusable == report.counts[kind] == 1
    kept = repair(given, report, FAR)
    assert kept.size == 99
    assert kept.end_ms.tolist() == [MONDAY + day * DAY for day in range(100) if day != 40]


def test_rows_out_of_order_are_named_and_sorted() -> None:
    given = rows_at(bars(), [0, 1, 4, 2, 3, *range(5, 100)])
    report = check(given)
    assert [(f.kind, f.row, f.value) for f in report.findings] == [
        ("out_of_order", 3, 2 * DAY),
        ("out_of_order", 4, DAY),
    ]
    np.testing.assert_array_equal(repair(given, report, FAR).close, bars().close)


def test_a_bar_that_came_twice_is_kept_once() -> None:
    given = rows_at(bars(), [*range(51), 50, *range(51, 100), 7])
    report = check(given)
    assert report.counts == {"duplicate": 2, "out_of_order": 1}
    assert report.accepted
    np.testing.assert_array_equal(repair(given, report, FAR).end_ms, bars().end_ms)


def test_two_different_bars_for_one_time_are_refused_because_nobody_knows_which_is_true() -> None:
    given = rows_at(bars(), [*range(51), 50, *range(51, 100)])
    given.close[51] *= 1.0001
    report = check(given)
    assert (report.refused_by, report.counts) == ("conflict", {"conflict": 1})
    with pytest.raises(BadData, match="contradict"):
        repair(given, report, FAR)


def test_an_unusable_row_contradicts_nobody() -> None:
    given = rows_at(bars(), [*range(51), 50, *range(51, 100)])
    given.close[51] = np.nan
    report = check(given)
    assert report.accepted
    assert repair(given, report, FAR).size == 100


def test_a_gap_counts_its_missing_bars_and_is_left_open() -> None:
    given = rows_at(bars(), [*range(30), *range(33, 100)])
    report = check(given)
    assert (report.missing, report.expected, report.counts) == (3, 100, {"gap": 3})
    assert (report.findings[0].row, report.findings[0].value) == (30, 3.0)
    assert repair(given, report, FAR).size == 97


def test_weekends_and_holidays_are_no_gaps_where_the_market_has_sessions() -> None:
    weekdays = [day for day in range(98) if day % 7 < 5]
    assert check(rows_at(bars(), weekdays), WEEKDAYS).missing == 0
    assert check(rows_at(bars(), weekdays)).missing == 26
    holidays = [day for day in weekdays if day not in (11, 14)]  # a Friday and the Monday after it
    assert check(rows_at(bars(), holidays), WEEKDAYS).missing == 0
    fortnight = [day for day in weekdays if not 14 <= day < 28]
    assert check(rows_at(bars(), fortnight), WEEKDAYS).missing == 10


def test_within_a_session_a_missing_hour_is_a_gap_and_a_night_is_not() -> None:
    hour = 3_600_000
    day_session = [24 * day + h for day in range(5) for h in range(9, 17)]
    whole = rows_at(bars(24 * 5, hour), day_session)
    assert check(whole, WEEKDAYS, hour).missing == 0
    holed = rows_at(bars(24 * 5, hour), [h for h in day_session if h not in (12, 13)])
    assert check(holed, WEEKDAYS, hour).missing == 2


def test_a_spike_is_reported_and_kept() -> None:
    given = broken(60, open=150.0, high=200.0, low=150.0, close=199.0)
    report = check(given)
    spikes = [(f.row, round(f.value, 1)) for f in report.findings if f.kind == "spike"]
    assert [row for row, _ in spikes] == [60, 61]
    assert repair(given, report, FAR).size == 100
    assert "robust deviations" in report.findings[0].text


def test_a_frozen_feed_and_a_run_without_volume_are_each_reported_once() -> None:
    columns = [column.copy() for column in bars()]
    for column in columns[1:]:
        column[20:35] = column[20]
    columns[5][60:72] = 0.0
    report = check(BarArrays(*columns))
    assert [(f.kind, f.row, f.value) for f in report.findings] == [
        ("stale", 20, 15.0),
        ("zero_volume_run", 60, 12.0),
    ]
    short = msgspec.structs.replace(LOOSE, stale_bars=16, zero_volume_bars=13)
    assert check(BarArrays(*columns), short).findings == ()


def test_a_series_is_refused_when_too_much_of_it_is_unusable_or_missing() -> None:
    given = broken(40, close=float("nan"))
    assert check(given, DataQualitySettings(max_bad_share=0.01)).accepted
    report = check(given, DataQualitySettings(max_bad_share=0.009))
    assert report.refused_by == "max_bad_share"
    assert "1 of 100 rows (1.00%)" in report.reason
    holed = rows_at(bars(), [*range(30), *range(40, 100)])
    assert check(holed, DataQualitySettings(max_gap_share=0.1)).accepted
    assert check(holed, DataQualitySettings(max_gap_share=0.09)).refused_by == "max_gap_share"
    assert check(bars(0)).refused_by == "no_rows"


def test_a_report_lists_some_rows_and_counts_all() -> None:
    given = bars(1000)
    given.close[:500] = np.nan
    report = check(given)
    assert (report.counts["non_finite"], len([f for f in report.findings if f.kind == "non_finite"])) == (
        500,
        LISTED,
    )


def test_a_report_encodes_itself_for_the_journal() -> None:
    report = check(broken(40, close=500.0))
    assert msgspec.json.decode(msgspec.json.encode(report), type=QualityReport) == report


def test_robust_sigma_is_not_moved_by_one_wild_bar() -> None:
    close = bars(2000).close
    wild = close.copy()
    wild[1000:] *= 5.0
    assert robust_sigma(close) == pytest.approx(0.01, rel=0.1)
    assert robust_sigma(wild) == pytest.approx(robust_sigma(close), rel=0.01)
    assert robust_sigma(np.full(50, 3.0)) == 0.0
    assert robust_sigma(close[:2]) == 0.0


START = datetime(2024, 1, 1, tzinfo=UTC)
LATER = START + timedelta(days=100)


def bar(day: float, close: str = "100") -> Bar:
    price = Decimal(close)
    return Bar("BTC/USD", START + timedelta(days=day), price, price + 1, price - 1, price, Decimal(5))


def kinds(previous: Bar | None, new: Bar, as_of: datetime = LATER, sigma: float = 0.01) -> list[str]:
    return [issue.kind for issue in check_bar(previous, new, as_of, DAY, DataQualitySettings(), sigma)]


def test_a_live_bar_in_its_place_raises_no_doubt() -> None:
    assert kinds(bar(1), bar(2)) == []
    assert kinds(None, bar(2)) == []
    assert kinds(bar(1), bar(2), as_of=bar(2).end) == []


def test_a_live_bar_is_held_against_the_one_before_and_the_time_known() -> None:
    assert kinds(bar(1), bar(5)) == ["gap"]
    assert kinds(bar(2), bar(2)) == ["duplicate"]
    assert kinds(bar(2), bar(2, "101")) == ["conflict"]
    assert kinds(bar(2), bar(1)) == ["out_of_order"]
    assert kinds(bar(1), bar(2, "150")) == ["spike"]
    assert kinds(bar(1), bar(2, "150"), sigma=0.0) == []
    assert kinds(bar(1), bar(2), as_of=bar(1.5).end) == ["future"]


def test_a_live_issue_says_what_and_how_much_in_one_line() -> None:
    (gap,) = check_bar(bar(1), bar(5), LATER, DAY, DataQualitySettings())
    assert gap.value == "3"
    assert gap.text.startswith("BTC/USD: 3 bars are missing between 2024-01-02")
    assert "\n" not in gap.text
