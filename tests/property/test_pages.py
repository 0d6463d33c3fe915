"""A long text loses nothing, tears nothing and fits, wherever it has to be cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.pages import FENCE, LEAST, blocks, split, units

LETTERS = st.characters(codec="utf-8", exclude_characters="`", exclude_categories=("Cs",))
LINES = st.text(LETTERS, max_size=60) | st.text("ab \N{ROCKET}<&", max_size=60)
SHORT = st.text("abc \N{ROCKET}1.", min_size=1, max_size=20).filter(str.strip)
ROWS = st.lists(SHORT, min_size=1, max_size=30)
TEXTS = st.lists(LINES | st.just(FENCE), max_size=40).map("\n".join)
LIMITS = st.integers(LEAST, 200)


def seen(text: str) -> str:
    """What of a text is not a blank."""
    return "".join(text.split())


@given(TEXTS, LIMITS)
def test_every_part_fits_and_none_is_blank(text: str, most: int) -> None:
    parts = split(text, most)

    assert all(units(part) <= most for part in parts)
    assert all(seen(part.replace(FENCE, "")) for part in parts)


@given(TEXTS, LIMITS)
def test_every_part_closes_the_tables_that_it_opens(text: str, most: int) -> None:
    for part in split(text, most):
        assert sum(line == FENCE for line in part.split("\n")) % 2 == 0


@given(st.lists(LINES, max_size=40).map("\n".join), LIMITS)
def test_nothing_but_blanks_is_lost_between_the_parts(text: str, most: int) -> None:
    assert seen("".join(split(text, most))) == seen(text)


@given(st.lists(SHORT, max_size=40), st.integers(41, 200))
def test_a_line_that_fits_is_not_cut(lines: list[str], most: int) -> None:
    kept = [line.rstrip() for part in split("\n".join(lines), most) for line in part.split("\n")]

    assert kept == [line.rstrip() for line in lines]


@given(ROWS, st.lists(SHORT, max_size=5), st.integers(100, 300))
def test_each_row_of_a_table_is_whole_and_every_part_repeats_the_first_row(
    rows: list[str], before: list[str], most: int
) -> None:
    parts = split("\n".join([*before, FENCE, *rows, FENCE]), most)

    tables = [block.lines for part in parts for block in blocks(part) if block.table]
    assert all(table[0] == rows[0] for table in tables)
    assert [row for table in tables for row in table[1:]] == rows[1:]
    assert all(len(table) > 1 for table in tables) or len(rows) == 1


@given(ROWS, st.lists(SHORT, max_size=5), st.integers(100, 300))
def test_a_table_that_fits_into_one_part_stays_in_one(rows: list[str], before: list[str], most: int) -> None:
    table = "\n".join([FENCE, *rows, FENCE])
    parts = split("\n".join([*before, table]), most)

    assert units(table) > most or any(table in part for part in parts)


@given(TEXTS)
def test_a_text_that_fits_is_one_part(text: str) -> None:
    assert len(split(text, max(LEAST, 2 * units(text) + LEAST))) == bool(seen(text.replace(FENCE, "")))


def test_five_hundred_positions_become_few_messages_of_whole_rows() -> None:
    rows = [f"{number:03d} BTC/USDT 0.0123 61,240 +1.2 %" for number in range(500)]

    parts = split("\n".join(["Open positions", FENCE, "id  what", *rows, FENCE]), 4096)

    assert len(parts) <= 5
    assert sum(part.count("BTC/USDT") for part in parts) == 500


def test_a_part_without_room_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 units, was 15"):
        split("text", 15)
