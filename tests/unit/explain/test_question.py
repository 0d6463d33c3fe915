from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explain.question import Kind, Scope, parse

FIRST, LAST = datetime(2000, 1, 3, 21, tzinfo=UTC), datetime(2008, 10, 20, 21, tzinfo=UTC)
ONE = Scope(("SP500",), FIRST, LAST)
TWO = Scope(("NASDAQ", "SP500"), FIRST, LAST)

QUESTIONS = [
    ("why did you buy SP500 on 15 Oct 2008?", Kind.WHY_ENTRY, "SP500", "2008-10-15"),
    ("Why did you buy sp500?", Kind.WHY_ENTRY, "SP500", ""),
    ("WHY DID YOU BUY SP500", Kind.WHY_ENTRY, "SP500", ""),
    ("what made you buy NASDAQ yesterday", Kind.WHY_ENTRY, "NASDAQ", "2008-10-19"),
    ("how come you bought SP500", Kind.WHY_ENTRY, "SP500", ""),
    ("what was the reason for buying SP500", Kind.WHY_ENTRY, "SP500", ""),
    ("why did you enter SP500 on 2008-10-15", Kind.WHY_ENTRY, "SP500", "2008-10-15"),
    ("why did you go long NASDAQ", Kind.WHY_ENTRY, "NASDAQ", ""),
    ("why did you short NASDAQ", Kind.WHY_ENTRY, "NASDAQ", ""),
    ("why did you open a position in SP500", Kind.WHY_ENTRY, "SP500", ""),
    ("explain the entry in SP500 on October 15, 2008", Kind.WHY_ENTRY, "SP500", "2008-10-15"),
    ("why was SP500 bought", Kind.WHY_ENTRY, "SP500", ""),
    ("why did you take the trade in NASDAQ", Kind.WHY_ENTRY, "NASDAQ", ""),
    ("why did you buy S&P 500?", Kind.WHY_ENTRY, "SP500", ""),
    ("why did you buy SP50", Kind.WHY_ENTRY, "SP500", ""),
    ("why did you buy NASDQA?", Kind.WHY_ENTRY, "NASDAQ", ""),
    ("why did you sell SP500?", Kind.WHY_EXIT, "SP500", ""),
    ("why was SP500 sold on 15.10.2008", Kind.WHY_EXIT, "SP500", "2008-10-15"),
    ("why did you close NASDAQ", Kind.WHY_EXIT, "NASDAQ", ""),
    ("why did you exit SP500 last week", Kind.WHY_EXIT, "SP500", "2008-10-13..2008-10-19"),
    ("why was my position in SP500 closed?", Kind.WHY_EXIT, "SP500", ""),
    ("why was NASDAQ stopped out", Kind.WHY_EXIT, "NASDAQ", ""),
    ("why did you get out of SP500", Kind.WHY_EXIT, "SP500", ""),
    ("why did we lose money on SP500", Kind.WHY_EXIT, "SP500", ""),
    ("why did you take profit in NASDAQ", Kind.WHY_EXIT, "NASDAQ", ""),
    ("what closed SP500", Kind.WHY_EXIT, "SP500", ""),
    ("how did the trade in SP500 end", Kind.WHY_EXIT, "SP500", ""),
    ("why no trade in SP500 on 15 oct 2008", Kind.WHY_NOT, "SP500", "2008-10-15"),
    ("why didn't you buy SP500?", Kind.WHY_NOT, "SP500", ""),
    ("why didnt you buy NASDAQ today", Kind.WHY_NOT, "NASDAQ", "2008-10-20"),
    ("why did you not trade SP500", Kind.WHY_NOT, "SP500", ""),
    ("why not SP500", Kind.WHY_NOT, "SP500", ""),
    ("why not NASDAQ in october 2008", Kind.WHY_NOT, "NASDAQ", "2008-10-01..2008-10-20"),
    ("why nothing in SP500 last week", Kind.WHY_NOT, "SP500", "2008-10-13..2008-10-19"),
    ("what blocked the trade in SP500", Kind.WHY_NOT, "SP500", ""),
    ("why was the signal in NASDAQ ignored", Kind.WHY_NOT, "NASDAQ", ""),
    ("why was the entry in SP500 refused", Kind.WHY_NOT, "SP500", ""),
    ("why isn't there a trade in SP500", Kind.WHY_NOT, "SP500", ""),
    ("how come there was no entry in SP500 on 3 days ago", Kind.WHY_NOT, "SP500", "2008-10-17"),
    ("what stopped you from buying SP500", Kind.WHY_NOT, "SP500", ""),
    ("why did you skip NASDAQ", Kind.WHY_NOT, "NASDAQ", ""),
    ("why wasn't SP500 bought on 2008/10/15", Kind.WHY_NOT, "SP500", "2008-10-15"),
    ("why no short in NASDAQ", Kind.WHY_NOT, "NASDAQ", ""),
    ("why that size in SP500?", Kind.WHY_SIZE, "SP500", ""),
    ("why so small on SP500 on 2008-10-15", Kind.WHY_SIZE, "SP500", "2008-10-15"),
    ("how was the size of NASDAQ chosen", Kind.WHY_SIZE, "NASDAQ", ""),
    ("why did you buy so much SP500", Kind.WHY_SIZE, "SP500", ""),
    ("why only 3 units of SP500", Kind.WHY_SIZE, "SP500", ""),
    ("why is SP500 still open", Kind.WHY_OPEN, "SP500", ""),
    ("why do you hold NASDAQ?", Kind.WHY_OPEN, "NASDAQ", ""),
    ("why are you still in SP500", Kind.WHY_OPEN, "SP500", ""),
    ("why haven't you closed SP500 yet", Kind.WHY_OPEN, "SP500", ""),
    ("why didn't you sell NASDAQ yesterday", Kind.WHY_OPEN, "NASDAQ", "2008-10-19"),
    ("why did you hold SP500 on 2008-10-01", Kind.WHY_OPEN, "SP500", "2008-10-01"),
    ("how many trades", Kind.COUNT, "", ""),
    ("how many trades in NASDAQ in 2008", Kind.COUNT, "NASDAQ", "2008-01-01..2008-10-20"),
    ("number of trades last month", Kind.COUNT, "", "2008-09-01..2008-09-30"),
    ("how much did we make", Kind.PROFIT, "", ""),
    ("how much did we lose on SP500 last year", Kind.PROFIT, "SP500", "2007-01-01..2007-12-31"),
    ("what was the profit in 2007", Kind.PROFIT, "", "2007-01-01..2007-12-31"),
    ("pnl", Kind.PROFIT, "", ""),
    ("last trade", Kind.LAST_TRADE, "", ""),
    ("explain the last trade in SP500", Kind.LAST_TRADE, "SP500", ""),
    ("worst trade", Kind.WORST_TRADE, "", ""),
    ("what was our worst trade in 2008?", Kind.WORST_TRADE, "", "2008-01-01..2008-10-20"),
    ("best trade of NASDAQ", Kind.BEST_TRADE, "NASDAQ", ""),
    ("status", Kind.STATUS, "", ""),
    ("what do you hold", Kind.STATUS, "", ""),
    ("why are we halted", Kind.WHY_HALTED, "", ""),
    ("why has it stopped trading", Kind.WHY_HALTED, "", ""),
    ("what happened in SP500 on 2008-10-15", Kind.WHY, "SP500", "2008-10-15"),
    ("why SP500 on 15 Oct 2008", Kind.WHY, "SP500", "2008-10-15"),
]


@pytest.mark.parametrize(("text", "kind", "instrument", "days"), QUESTIONS, ids=[q[0] for q in QUESTIONS])
def test_a_phrasing_is_read_as_it_is_meant(text: str, kind: Kind, instrument: str, days: str) -> None:
    question = parse(text, TWO)

    assert question.refusal == ""
    assert (question.kind, question.instrument) == (kind, instrument)
    first, last = question.period or ("", "")
    assert days == ("" if not first else str(first) if first == last else f"{first}..{last}")


def test_a_name_that_is_one_letter_off_is_read_and_said() -> None:
    assert parse("why did you buy SP50?", TWO).notes == ("Read “SP50” as SP500.",)


def test_the_beginning_of_a_name_is_enough_when_only_one_begins_so() -> None:
    files = Scope(("BTCUSDT_binance_spot_1h", "ETHUSDT_binance_spot_1h"), FIRST, LAST)

    read = parse("why did you buy btcusdt", files)

    assert read.instrument == "BTCUSDT_binance_spot_1h"
    assert any("BTCUSDT_binance_spot_1h" in note for note in read.notes)


def test_the_only_instrument_is_taken_and_said() -> None:
    question = parse("why no trade yesterday", ONE)

    assert question.instrument == "SP500"
    assert question.notes == ("SP500 is the only instrument in the records.",)


def test_which_of_several_instruments_is_asked_back() -> None:
    assert parse("why no trade yesterday", TWO).refusal == "Which instrument? The records hold NASDAQ, SP500."
    assert "NASDAQ or SP500" in parse("why no trade in NASDAQ and SP500", TWO).refusal


@pytest.mark.parametrize(
    "text", ["why did you buy AAPL", "why no trade in gold", "why apple", "how many trades in TSLA"]
)
def test_an_instrument_that_is_not_in_the_records_is_never_replaced_by_one_that_is(text: str) -> None:
    assert parse(text, ONE).refusal.startswith("There is no “")


@pytest.mark.parametrize(
    "text",
    [
        "will SP500 go up",
        "should i buy SP500",
        "why did SP500 fall in October 2008",
        "why did the market crash",
    ],
)
def test_what_records_cannot_know_is_refused(text: str) -> None:
    question = parse(text, ONE)

    assert question.kind is Kind.HELP
    assert "records" in question.refusal


def test_a_day_that_does_not_exist_is_one_clear_line() -> None:
    assert (
        parse("why no trade on 31 February", ONE).refusal == "“on 31 february” is not a date of the calendar."
    )


def test_what_was_not_understood_is_named() -> None:
    question = parse("why no trade in SP500 on 2008-10-15 despite whales", ONE)

    assert question.residue == ("despite", "whales")
    assert question.notes == ("Not understood and left out: despite, whales.",)


def test_today_counts_from_the_newest_record_unless_a_moment_is_given() -> None:
    later = parse("why no trade in SP500 yesterday", ONE, now=LAST - timedelta(days=10))

    assert later.period is not None
    assert str(later.period.first) == "2008-10-09"


def test_an_id_is_taken_out_of_the_question() -> None:
    question = parse("why d-0fmapqsjk-8d8e0a5d?", TWO)

    assert (question.kind, question.record) == (Kind.WHY, "d-0fmapqsjk-8d8e0a5d")


def test_too_long_and_empty_questions_are_told_so() -> None:
    assert "500" in parse("why " * 1000, ONE).refusal
    assert parse(" \x00\u200b\n", ONE).refusal.startswith("Ask why")


@given(st.text(max_size=700))
def test_no_text_makes_it_fail(text: str) -> None:
    parse(text, TWO)


@given(
    st.lists(
        st.sampled_from(
            sorted({w for q in QUESTIONS for w in q[0].split()} | {"31", "99", "/", "'", "..", "٣"})
        ),
        max_size=12,
    )
)
def test_no_order_of_known_words_makes_it_fail(words: list[str]) -> None:
    parse(" ".join(words), ONE)
