"""Is this series fit to trade on? Every doubt is named, with its row; some rows are unusable, others only odd.

* unusable, and dropped by `repair`: non_finite, non_positive, negative_volume, high_below_low, bad_ohlc, future;
* put right by `repair`: duplicate (the same bar twice), out_of_order;
* refused: conflict (two different bars for one time: nobody knows which is true);
* only reported: gap, spike, stale, zero_volume_run. A spike may be a crash: dropping it would hide the worst day.

Gaps are never filled. A series is refused as a whole when too many rows are unusable or too many bars missing.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from configs.schema.data import DataQualitySettings
from engine.core.domain.errors import BadData
from engine.core.domain.market import Bar, BarArrays, QualityIssue

Kind = Literal[
    "non_finite",
    "non_positive",
    "negative_volume",
    "high_below_low",
    "bad_ohlc",
    "future",
    "duplicate",
    "out_of_order",
    "conflict",
    "gap",
    "spike",
    "stale",
    "zero_volume_run",
]
LISTED = 100
"""Rows of one kind that a report lists; it counts all of them."""
_DAY = 86_400_000
_CLOSED = _DAY // 2  # a pause this long in a market with sessions is a night, a shorter one a hole

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Finding(msgspec.Struct, frozen=True):
    """One doubt about one row (counted from 0): `value` is what was seen, `text` is for people."""

    kind: Kind
    row: int
    end_ms: int
    value: float
    text: str


class QualityReport(msgspec.Struct, frozen=True):
    """What was found. `counts` counts rows, of gaps missing bars, of runs their first rows."""

    rows: int
    unusable: int
    missing: int
    expected: int
    counts: dict[str, int]
    findings: tuple[Finding, ...]
    refused_by: str
    reason: str

    @property
    def accepted(self) -> bool:
        return not self.refused_by


def check_bars(bars: BarArrays, step_ms: int, settings: DataQualitySettings, as_of_ms: int) -> QualityReport:
    """Look at a whole series, in any order, as it came in. A bar that ends after `as_of_ms` is from the future."""
    unusable = _unusable_rows(bars, as_of_ms)
    order = _usable_in_order(bars, unusable)
    again = _same_time_as_before(bars, order)
    kept = order[~again]
    findings = [f for kind, rows in unusable.items() for f in _bad_rows(bars, kind, rows, as_of_ms)]
    findings += _out_of_order(bars)
    findings += _repeats(bars, order, again)
    gaps = _gaps(bars, kept, step_ms, settings)
    missing = int(sum(gap.value for gap in gaps))
    findings += gaps
    findings += _spikes(bars, kept, settings.spike_sigmas)
    findings += _stale(bars, kept, settings.stale_bars)
    findings += _zero_volume(bars, kept, settings.zero_volume_bars)
    counts = _count(findings) | ({"gap": missing} if missing else {})
    dropped, expected = bars.size - order.size, int(kept.size) + missing
    refused_by, reason = _verdict(bars.size, dropped, missing, expected, counts, settings)
    return QualityReport(bars.size, dropped, missing, expected, counts, _listed(findings), refused_by, reason)


def repair(bars: BarArrays, report: QualityReport, as_of_ms: int) -> BarArrays:
    """Return the series sorted, without unusable rows and second copies; BadData when the report refused it."""
    if not report.accepted:
        raise BadData(report.reason)
    order = _usable_in_order(bars, _unusable_rows(bars, as_of_ms))
    kept = order[~_same_time_as_before(bars, order)]
    return BarArrays(bars.end_ms[kept], *(column[kept] for column in bars[1:]))


def check_bar(
    previous: Bar | None,
    bar: Bar,
    as_of: datetime,
    step_ms: int,
    settings: DataQualitySettings,
    sigma: float = 0.0,
) -> tuple[QualityIssue, ...]:
    """Look at one live bar and the one before it. What makes a bar impossible was refused when it was made.

    `sigma` is the robust deviation of log returns (`robust_sigma`); without it no spike is seen.
    """
    issues: list[QualityIssue] = []
    if bar.end > as_of:
        text = f"{bar.instrument}: bar ends {bar.end}, after the time known, {as_of}"
        issues.append(QualityIssue("future", str(bar.end), text))
    if previous is None:
        return tuple(issues)
    end_ms, before_ms = _ms(bar.end), _ms(previous.end)
    if end_ms <= before_ms:
        return (*issues, _not_newer(previous, bar))
    missing = _missing_between(before_ms, end_ms, step_ms, settings)
    if missing:
        text = f"{bar.instrument}: {missing} bars are missing between {previous.end} and {bar.end}"
        issues.append(QualityIssue("gap", str(missing), text))
    move = float(np.log(float(bar.close) / float(previous.close)))
    if sigma > 0 and abs(move) > settings.spike_sigmas * sigma:
        text = (
            f"{bar.instrument} {bar.end}: close moved {move:+.2%}, {abs(move) / sigma:.1f} robust deviations"
        )
        issues.append(QualityIssue("spike", f"{move:.6g}", text))
    return tuple(issues)


def robust_sigma(close: NDArray[np.float64]) -> float:
    """Return the standard deviation of log returns that outliers cannot move: 1.4826 times the median deviation.

    When more than half of the returns are the same, the mean deviation stands in; 0 when all are.
    """
    if close.size < 3:
        return 0.0
    returns = np.diff(np.log(close))
    away = np.abs(returns - np.median(returns))
    median = float(np.median(away))
    return 1.4826 * median if median > 1e-12 else 1.2533 * float(np.mean(away))


def _unusable_rows(bars: BarArrays, as_of_ms: int) -> dict[Kind, Rows]:
    """The rows that cannot be used, each under the first rule that it breaks."""
    prices = np.stack(bars[1:5])
    finite = np.logical_and.reduce(np.isfinite(prices)) & np.isfinite(bars.volume)
    rules: tuple[tuple[Kind, Mask], ...] = (
        ("non_finite", ~finite),
        ("non_positive", np.logical_or.reduce(prices <= 0.0)),
        ("negative_volume", bars.volume < 0.0),
        ("high_below_low", bars.high < bars.low),
        ("bad_ohlc", _outside(bars)),
        ("future", bars.end_ms > as_of_ms),
    )
    free = np.ones(bars.size, dtype=bool)
    found: dict[Kind, Rows] = {}
    for kind, broken in rules:
        found[kind] = np.flatnonzero(broken & free)
        free &= ~broken
    return found


def _usable_in_order(bars: BarArrays, unusable: dict[Kind, Rows]) -> Rows:
    """The rows that can be used, by time; those of the same time as they came."""
    bad = np.zeros(bars.size, dtype=bool)
    for rows in unusable.values():
        bad[rows] = True
    order = np.argsort(bars.end_ms, kind="stable")
    return order[~bad[order]]


def _outside(bars: BarArrays) -> Mask:
    top, bottom = np.maximum(bars.open, bars.close), np.minimum(bars.open, bars.close)
    return (top > bars.high) | (bottom < bars.low)


_SEEN = {
    "non_finite": "a price or the volume is not a number",
    "non_positive": "a price is not above zero, the smallest is {value:g}",
    "negative_volume": "volume is {value:g}",
    "high_below_low": "high lies {value:g} below low",
    "bad_ohlc": "open or close lies {value:g} outside low to high",
    "future": "it ends {value:.0f} ms after the time known",
}


def _bad_rows(bars: BarArrays, kind: Kind, rows: Rows, as_of_ms: int) -> Iterable[Finding]:
    for row in rows:
        o, h, low, c, v = (float(column[row]) for column in bars[1:])
        value = {
            "non_finite": float("nan"),
            "non_positive": min(o, h, low, c),
            "negative_volume": v,
            "high_below_low": low - h,
            "bad_ohlc": max(max(o, c) - h, low - min(o, c)),
            "future": float(bars.end_ms[row] - as_of_ms),
        }[kind]
        yield _finding(bars, kind, row, value, _SEEN[kind].format(value=value))


def _out_of_order(bars: BarArrays) -> Iterable[Finding]:
    latest = np.maximum.accumulate(bars.end_ms)
    for row in np.flatnonzero(bars.end_ms < latest):
        late = float(latest[row] - bars.end_ms[row])
        yield _finding(bars, "out_of_order", row, late, f"it comes after a bar that ends {late:g} ms later")


def _same_time_as_before(bars: BarArrays, order: Rows) -> Mask:
    times = bars.end_ms[order]
    again = np.zeros(order.size, dtype=bool)
    again[1:] = times[1:] == times[:-1]
    return again


def _repeats(bars: BarArrays, order: Rows, again: Mask) -> Iterable[Finding]:
    first = np.maximum.accumulate(np.where(again, 0, np.arange(order.size)))
    for place in np.flatnonzero(again):
        row, kept = order[place], order[first[place]]
        if all(column[row] == column[kept] for column in bars[1:]):
            yield _finding(bars, "duplicate", row, float(kept), f"the same bar as row {kept}")
        else:
            yield _finding(bars, "conflict", row, float(kept), f"another bar for the time of row {kept}")


def _gaps(bars: BarArrays, kept: Rows, step_ms: int, settings: DataQualitySettings) -> list[Finding]:
    times = bars.end_ms[kept]
    found = []
    for place in np.flatnonzero(np.diff(times) > 1.5 * step_ms) + 1:
        missing = _missing_between(int(times[place - 1]), int(times[place]), step_ms, settings)
        if missing:
            text = f"{missing} bars are missing after {_when(int(times[place - 1]))}"
            found.append(_finding(bars, "gap", kept[place], float(missing), text))
    return found


def _missing_between(before_ms: int, end_ms: int, step_ms: int, settings: DataQualitySettings) -> int:
    """How many bars should have come between two; a market with sessions may sleep, at weekends and on holidays."""
    missing = max(0, round((end_ms - before_ms) / step_ms) - 1)
    if settings.session == "24/7" or not missing:
        return missing
    pause = end_ms - before_ms - step_ms
    if _CLOSED <= pause <= settings.holiday_days * _DAY:
        return 0
    # a daily bar may be stamped with the day it covers or with the midnight after: count what both call missing
    stamps = before_ms + step_ms * np.arange(missing + 1, dtype=np.int64)
    working = (stamps // _DAY + 3) % 7 < 5  # 1 January 1970 was a Thursday; Monday is 0
    return int(min(working[:-1].sum(), working[1:].sum()))


def _spikes(bars: BarArrays, kept: Rows, sigmas: float) -> Iterable[Finding]:
    close = bars.close[kept]
    sigma = robust_sigma(close)
    if sigma <= 0.0:
        return
    returns = np.diff(np.log(close))
    away = (returns - np.median(returns)) / sigma
    for place in np.flatnonzero(np.abs(away) > sigmas):
        text = f"close moved {returns[place]:+.2%}, {abs(away[place]):.1f} robust deviations from the median"
        yield _finding(bars, "spike", kept[place + 1], float(returns[place]), text)


def _stale(bars: BarArrays, kept: Rows, at_least: int) -> Iterable[Finding]:
    same = np.zeros(kept.size, dtype=bool)
    same[1:] = np.logical_and.reduce([np.diff(column[kept]) == 0.0 for column in bars[1:]])
    for place, length in _runs(same):
        if length + 1 >= at_least:
            text = f"{length + 1} identical bars in a row begin here"
            yield _finding(bars, "stale", kept[place - 1], float(length + 1), text)


def _zero_volume(bars: BarArrays, kept: Rows, at_least: int) -> Iterable[Finding]:
    for place, length in _runs(bars.volume[kept] == 0.0):
        if length >= at_least:
            text = f"{length} bars in a row without volume begin here"
            yield _finding(bars, "zero_volume_run", kept[place], float(length), text)


def _runs(holds: Mask) -> Iterable[tuple[int, int]]:
    """Where each run of True begins, and how long it is."""
    edges = np.flatnonzero(np.diff(np.r_[False, holds, False].astype(np.int8)))
    return ((int(start), int(stop - start)) for start, stop in zip(edges[::2], edges[1::2], strict=True))


def _verdict(
    rows: int,
    dropped: int,
    missing: int,
    expected: int,
    counts: dict[str, int],
    settings: DataQualitySettings,
) -> tuple[str, str]:
    if not rows:
        return "no_rows", "refused: there are no bars"
    if counts.get("conflict"):
        return "conflict", f"refused: {counts['conflict']} rows contradict another row of the same time"
    if dropped > settings.max_bad_share * rows:
        limit = f"the limit is {settings.max_bad_share:.2%}"
        return (
            "max_bad_share",
            f"refused: {dropped} of {rows} rows ({dropped / rows:.2%}) are unusable, {limit}",
        )
    if missing > settings.max_gap_share * expected:
        limit = f"the limit is {settings.max_gap_share:.2%}"
        share = missing / expected
        return "max_gap_share", f"refused: {missing} of {expected} bars ({share:.2%}) are missing, {limit}"
    return "", f"accepted: {rows} rows, {dropped} unusable, {missing} missing"


def _not_newer(previous: Bar, bar: Bar) -> QualityIssue:
    if bar.end < previous.end:
        text = f"{bar.instrument}: bar ends {bar.end}, before the last one, {previous.end}"
        return QualityIssue("out_of_order", str(bar.end), text)
    if bar == previous:
        return QualityIssue("duplicate", str(bar.end), f"{bar.instrument}: the bar of {bar.end} came twice")
    text = f"{bar.instrument}: two different bars for {bar.end}, close {previous.close} and {bar.close}"
    return QualityIssue("conflict", str(bar.close), text)


def _finding(bars: BarArrays, kind: Kind, row: np.int64 | int, value: float, text: str) -> Finding:
    end_ms = int(bars.end_ms[row])
    return Finding(kind, int(row), end_ms, value, f"row {row} ({_when(end_ms)}): {text}")


def _when(end_ms: int) -> str:
    try:
        return datetime.fromtimestamp(end_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return f"{end_ms} ms"


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _count(findings: Iterable[Finding]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.kind] = counts.get(finding.kind, 0) + 1
    return counts


def _listed(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    listed: list[Finding] = []
    seen: dict[str, int] = {}
    for finding in findings:
        seen[finding.kind] = seen.get(finding.kind, 0) + 1
        if seen[finding.kind] <= LISTED:
            listed.append(finding)
    return tuple(listed)
