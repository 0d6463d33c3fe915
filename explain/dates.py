"""Dates as people write them, in whole UTC days, found in a text and taken out of it.

Relative words count from the newest record: in a replay of 2008, "yesterday" is a day of 2008.
"""

import calendar
import re
from collections.abc import Callable
from datetime import date, time, timedelta
from typing import NamedTuple

from engine.core.domain.errors import BadQuestion
from explain.claims import Period
from explain.units import MONTHS, day

_FULL = [
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
]  # fmt: skip
_NUMBER = {name: place + 1 for place, name in enumerate(_FULL)}
_NUMBER |= {name.lower(): place + 1 for place, name in enumerate(MONTHS)} | {"sept": 9}
_WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

_MONTH = rf"(?P<month>{'|'.join(sorted(_NUMBER, key=len, reverse=True))})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4})"
_ON = r"(?:(?:on|for|at|in|of|during|from|the)\s+)*"


class Found(NamedTuple):
    """A period, and the text without the words that named it."""

    period: Period | None
    rest: str


def find_period(text: str, today: date) -> Found:
    """The period that a lower-case text names. BadQuestion when it names a date that does not exist.

    >>> find_period("why no trade on 15 oct 2008?", date(2010, 1, 1)).period.first
    datetime.date(2008, 10, 15)
    """
    for pattern, joined in _RANGES:
        match = pattern.search(text)
        if match is None:
            continue
        last = _single(match.groupdict().get("last") or match["first"], today)
        first = _single(match["first"], last.last if last else today)
        if first is None or last is None:
            continue
        try:
            period = joined(first, last, today)
        except OverflowError:
            raise BadQuestion(f"“{match[0].strip()}” is beyond the calendar") from None
        if period.last < period.first:
            raise BadQuestion(f"{match[0].strip()}: {day(period.last)} comes before {day(period.first)}")
        return Found(period, _without(text, match))
    for pattern, read in _SINGLES:
        match = pattern.search(text)
        if match is not None:
            return Found(_within_calendar(match, read, today), _without(text, match))
    return Found(None, text)


_CLOCK = re.compile(
    r"(?:\bat\s+|(?<=\d)t)?(?<![\d:])(\d{1,2}):(\d{2})(?::\d{2})?(?:\.\d+)?\s*(?:z\b|utc\b|\+00:00)?",
    re.ASCII,
)


def find_clock(text: str) -> tuple[time | None, str]:
    """A time of day in UTC, and the text without it. BadQuestion for a time that no clock shows.

    >>> find_clock("why no trade at 14:30 utc on 2008-10-15")
    (datetime.time(14, 30), 'why no trade   on 2008-10-15')
    """
    match = _CLOCK.search(text)
    if match is None:
        return None, text
    try:
        return time(int(match[1]), int(match[2])), _without(text, match)
    except ValueError:
        raise BadQuestion(f"“{match[0].strip()}” is not a time of day") from None


def _without(text: str, match: re.Match[str]) -> str:
    return f"{text[: match.start()]} {text[match.end() :]}"


def _single(text: str, today: date) -> Period | None:
    for pattern, read in [*_SINGLES, _BARE_MONTH]:
        match = pattern.fullmatch(text.strip(" ,?!."))
        if match is not None:
            return _within_calendar(match, read, today)
    return None


def _within_calendar(
    match: re.Match[str], read: Callable[[re.Match[str], date], Period], today: date
) -> Period:
    try:
        return read(match, today)
    except (ValueError, OverflowError):
        raise BadQuestion(f"“{match[0].strip()}” is not a date of the calendar") from None


def _ymd(match: re.Match[str], today: date) -> Period:
    found = date(int(match["year"]), int(match["month"]), int(match["day"]))
    return Period(found, found)


def _slashes(match: re.Match[str], today: date) -> Period:
    one, two, year = int(match["one"]), int(match["two"]), int(match["year"])
    if one <= 12 and two <= 12 and one != two:
        raise BadQuestion(
            f"{match[0].strip()} can be read in two ways: write {year}-{two:02d}-{one:02d}"
            f" or {year}-{one:02d}-{two:02d}"
        )
    found = date(year, one, two) if two > 12 else date(year, two, one)
    return Period(found, found)


def _named_day(match: re.Match[str], today: date) -> Period:
    month, number = _NUMBER[match["month"]], int(match["day"])
    if match["year"]:
        found = date(int(match["year"]), month, number)
        return Period(found, found)
    for year in range(today.year, today.year - 8, -1):  # a 29 February is at most eight years back
        if number <= calendar.monthrange(year, month)[1] and date(year, month, number) <= today:
            found = date(year, month, number)
            return Period(found, found)
    raise ValueError


def _month(match: re.Match[str], today: date) -> Period:
    month, year = _NUMBER[match["month"]], match.groupdict().get("year")
    return _whole_month(int(year) if year else today.year - (month > today.month), month)


def _iso_month(match: re.Match[str], today: date) -> Period:
    return _whole_month(int(match["year"]), int(match["number"]))


def _whole_month(year: int, month: int) -> Period:
    first = date(year, month, 1)
    return Period(first, date(year, month, calendar.monthrange(year, month)[1]))


def _quarter(match: re.Match[str], today: date) -> Period:
    year, last = int(match["year"]), int(match["quarter"]) * 3
    return Period(date(year, last - 2, 1), _whole_month(year, last).last)


def _year(match: re.Match[str], today: date) -> Period:
    year = int(match["year"])
    return Period(date(year, 1, 1), date(year, 12, 31))


def _weekday(match: re.Match[str], today: date) -> Period:
    back = (today.weekday() - _WEEKDAYS.index(match["weekday"])) % 7
    if match["last"] and not back:
        back = 7
    found = today - timedelta(days=back)
    return Period(found, found)


def _ago(match: re.Match[str], today: date) -> Period:
    found = today - timedelta(days=int(match["count"]) * (7 if match["unit"].startswith("week") else 1))
    return Period(found, found)


def _past(match: re.Match[str], today: date) -> Period:
    many = int(match["count"] or 1)
    days = {"day": 1, "week": 7, "month": 30, "year": 365}[match["unit"].rstrip("s")]
    return Period(today - timedelta(days=many * days - 1), today)


def _relative(text: str) -> Callable[[re.Match[str], date], Period]:
    def read(match: re.Match[str], today: date) -> Period:
        return _RELATIVE[text](today)

    return read


def _last_week(today: date) -> Period:
    monday = today - timedelta(days=today.weekday() + 7)
    return Period(monday, monday + timedelta(days=6))


def _this_week(today: date) -> Period:
    return Period(today - timedelta(days=today.weekday()), today)


def _last_month(today: date) -> Period:
    before = today.replace(day=1) - timedelta(days=1)
    return _whole_month(before.year, before.month)


def _back(days: int) -> Callable[[date], Period]:
    return lambda today: Period(today - timedelta(days=days), today - timedelta(days=days))


_RELATIVE: dict[str, Callable[[date], Period]] = {
    r"(?:the\s+)?day\s+before\s+yesterday": _back(2),
    r"yesterday": _back(1),
    r"today": _back(0),
    r"last\s+week": _last_week,
    r"this\s+week": _this_week,
    r"last\s+month": _last_month,
    r"this\s+month": lambda today: Period(today.replace(day=1), today),
    r"last\s+year": lambda today: Period(date(today.year - 1, 1, 1), date(today.year - 1, 12, 31)),
    r"this\s+year": lambda today: Period(date(today.year, 1, 1), today),
}


def _after(period: Period, today: date) -> Period:
    end = max(today, period.last)
    return Period(min(period.last + timedelta(days=1), end), end)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.-]){_ON}{pattern}(?![\w-])(?!\.\d)", re.ASCII)


_SINGLES: list[tuple[re.Pattern[str], Callable[[re.Match[str], date], Period]]] = [
    (
        _compiled(r"(?P<year>\d{4})[-/](?P<month>\d{1,2})[-/](?P<day>\d{1,2})(?:t[\d:.z+]*)?"),
        _ymd,
    ),
    (_compiled(r"(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.\s?(?P<year>\d{4})"), _ymd),
    (_compiled(r"(?P<one>\d{1,2})/(?P<two>\d{1,2})/(?P<year>\d{4})"), _slashes),
    (_compiled(rf"{_DAY}\s*(?:of\s+)?{_MONTH},?(?:\s*{_YEAR})?"), _named_day),
    (_compiled(rf"{_MONTH}\s*(?:the\s+)?{_DAY}(?!\d),?(?:\s+{_YEAR})?"), _named_day),
    (_compiled(rf"{_MONTH},?\s*{_YEAR}"), _month),
    (_compiled(r"(?P<year>\d{4})-(?P<number>\d{1,2})"), _iso_month),
    (_compiled(r"q(?P<quarter>[1-4])\s*(?:of\s+)?(?P<year>\d{4})"), _quarter),
    (_compiled(r"(?P<count>\d{1,4})\s+(?P<unit>days?|weeks?)\s+ago"), _ago),
    (_compiled(r"(?:last|past)\s+(?P<count>\d{1,4})?\s*(?P<unit>days|weeks|months|years)"), _past),
    *[(_compiled(pattern), _relative(pattern)) for pattern in _RELATIVE],
    (_compiled(rf"(?:(?P<last>last|past)\s+)?(?P<weekday>{'|'.join(_WEEKDAYS)})"), _weekday),
    (
        re.compile(rf"\b(?:in|during|of|for|last|this)\s+{_MONTH}(?!\w)", re.ASCII),
        _month,
    ),
    (_compiled(r"(?P<year>(?:19|20)\d{2})"), _year),
]  # fmt: skip

# "may" is a month only where nothing else can stand
_BARE_MONTH = (_compiled(_MONTH), _month)
_EARLIEST = date(1970, 1, 1)

_ANY = r"[^?!]{1,40}?"
_END = r"(?=\s*[?!.,]*$|\s+(?:why|how|did|do|were|was|for|in|on)\b)"
_RANGES: list[tuple[re.Pattern[str], Callable[[Period, Period, date], Period]]] = [
    (
        re.compile(
            rf"\b(?:between|from)\s+(?P<first>{_ANY})\s+(?:and|to|until|till|through)\s+(?P<last>{_ANY}){_END}",
            re.ASCII,
        ),
        lambda first, last, today: Period(first.first, last.last),
    ),
    (
        re.compile(rf"\bsince\s+(?P<first>{_ANY}){_END}", re.ASCII),
        lambda first, last, today: Period(first.first, max(today, first.first)),
    ),
    (
        re.compile(rf"\bafter\s+(?P<first>{_ANY}){_END}", re.ASCII),
        lambda first, last, today: _after(first, today),
    ),
    (
        re.compile(rf"(?<!day )\bbefore\s+(?P<first>{_ANY}){_END}", re.ASCII),
        lambda first, last, today: Period(_EARLIEST, max(_EARLIEST, first.first - timedelta(days=1))),
    ),
]  # fmt: skip
