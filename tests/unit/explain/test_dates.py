from datetime import date

import pytest

from engine.core.domain.errors import BadQuestion
from explain.dates import find_clock, find_period

TODAY = date(2008, 10, 20)  # a Monday


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("why no trade on 15 oct 2008?", "2008-10-15", "2008-10-15"),
        ("october 15, 2008", "2008-10-15", "2008-10-15"),
        ("the 15th of october 2008", "2008-10-15", "2008-10-15"),
        ("oct 15th", "2008-10-15", "2008-10-15"),
        ("15.10.2008", "2008-10-15", "2008-10-15"),
        ("2008-10-15", "2008-10-15", "2008-10-15"),
        ("2008/10/15", "2008-10-15", "2008-10-15"),
        ("10/15/2008", "2008-10-15", "2008-10-15"),
        ("15/10/2008", "2008-10-15", "2008-10-15"),
        ("yesterday", "2008-10-19", "2008-10-19"),
        ("the day before yesterday", "2008-10-18", "2008-10-18"),
        ("today", "2008-10-20", "2008-10-20"),
        ("last week", "2008-10-13", "2008-10-19"),
        ("this week", "2008-10-20", "2008-10-20"),
        ("last month", "2008-09-01", "2008-09-30"),
        ("this month", "2008-10-01", "2008-10-20"),
        ("last year", "2007-01-01", "2007-12-31"),
        ("last 10 days", "2008-10-11", "2008-10-20"),
        ("3 days ago", "2008-10-17", "2008-10-17"),
        ("on monday", "2008-10-20", "2008-10-20"),
        ("last monday", "2008-10-13", "2008-10-13"),
        ("on friday", "2008-10-17", "2008-10-17"),
        ("in october 2008", "2008-10-01", "2008-10-31"),
        ("in november", "2007-11-01", "2007-11-30"),
        ("2008-10", "2008-10-01", "2008-10-31"),
        ("q3 2008", "2008-07-01", "2008-09-30"),
        ("in 2008", "2008-01-01", "2008-12-31"),
        ("between 1 oct 2008 and 15 oct 2008", "2008-10-01", "2008-10-15"),
        ("from 2008-10-01 to 2008-10-15?", "2008-10-01", "2008-10-15"),
        ("from january to march 2008", "2008-01-01", "2008-03-31"),
        ("from 15 oct to 17 oct 2008", "2008-10-15", "2008-10-17"),
        ("since 2008-10-01", "2008-10-01", "2008-10-20"),
        ("after 2008-10-15", "2008-10-16", "2008-10-20"),
        ("29 feb", "2008-02-29", "2008-02-29"),
        ("9999-12-31", "9999-12-31", "9999-12-31"),
    ],
)
def test_a_date_phrase_becomes_whole_days(text: str, first: str, last: str) -> None:
    period = find_period(text, TODAY).period

    assert period is not None
    assert (period.first.isoformat(), period.last.isoformat()) == (first, last)


@pytest.mark.parametrize(
    "text",
    [
        "31 february",
        "february 31",
        "2008-02-30",
        "2008-13-01",
        "0000-01-01",
        "32.10.2008",
        "29 feb 2007",
        "after 9999-12-31",
        "last 9999 years",
        "from 2008-10-15 to 2008-10-01",
    ],
)
def test_a_date_that_does_not_exist_is_refused_and_named(text: str) -> None:
    with pytest.raises(BadQuestion, match=r".+"):
        find_period(text, TODAY)


def test_a_date_that_can_be_read_in_two_ways_is_asked_back() -> None:
    with pytest.raises(BadQuestion, match="2008-11-10 or 2008-10-11"):
        find_period("why no trade on 10/11/2008", TODAY)


@pytest.mark.parametrize(
    "text", ["may i ask why", "march on", "before the crash", "why not after all", "1240.50"]
)
def test_ordinary_words_are_no_dates(text: str) -> None:
    assert find_period(text, TODAY).period is None


def test_a_time_of_day_is_found_and_an_impossible_one_refused() -> None:
    assert str(find_clock("at 14:30 utc")[0]) == "14:30:00"
    with pytest.raises(BadQuestion, match="25:00"):
        find_clock("at 25:00")
