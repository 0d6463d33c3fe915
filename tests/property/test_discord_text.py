"""Whatever a text holds, Discord shows it letter by letter, calls nobody, and takes every part of it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.discord_text import CONTENT, EMBED, Part, escaped, markdown, parts
from bot.pages import FENCE, blocks, units

GAP = "\u200b"
PIECES = st.sampled_from(
    [
        *"*_~|`\\<>[]()#@-+.:/ \n\t",
        "**", "__", "||", "```", "~~", "> ", ">>> ", "# ", "### ", "-# ", "- ", "1. ", "12) ",
        "@everyone", "@here", "<@1234567890123456789>", "<@&12345678901234567>", "<#12345678901234567>",
        "<t:1700000000:R>", "<:buy:12345678901234567>", "</kill:12345678901234567>", "[x](https://a.b/c_d)", "https://a.b/_c_",
        "\u202e", "\u200d", "é", "\N{ROCKET}", "NaN", "1e-12", "BTC/USDT", "x" * 300, "\r\n", "\x00", "\u2028",
    ]
)  # fmt: skip
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=60).map("".join)
LINES = st.text(alphabet=st.characters(exclude_characters="\r\n"), max_size=200)


def shown(markup: str) -> str:
    """What stands there once Discord has read it: a strict reader that fails on anything that it would act on."""
    letters: list[str] = []
    at = 0
    while at < len(markup):
        letter = markup[at]
        if letter == "\\":
            assert markup[at + 1 : at + 2] and not markup[at + 1].isalnum() and not markup[at + 1].isspace()
            letters.append(markup[at + 1])
            at += 2
            continue
        assert letter not in "*_~|`[]<>", f"{letter} at {at} is markup in {markup!r}"
        begun = markup[markup.rfind("\n", 0, at) + 1 : at]
        assert not (letter in "#-+" and not begun.strip()), f"{letter} begins a line in {markup!r}"
        assert not (letter in ".)" and re.fullmatch(r"\s*[0-9]+", begun)), f"a list begins in {markup!r}"
        letters.append(letter)
        at += 1
    return "".join(letters)


def calls(text: str) -> list[str]:
    """What would call somebody."""
    return re.findall(r"@everyone|@here|<@[!&]?\d+>", text)


@given(TEXTS)
def test_escaped_text_is_shown_as_it_was_and_calls_nobody(text: str) -> None:
    assert shown(escaped(text)).replace(GAP, "") == text.replace(GAP, "")
    assert calls(escaped(text)) == []


@given(TEXTS)
def test_a_text_of_anything_has_no_markup_but_its_tables(text: str) -> None:
    for block in blocks(markdown(text)):
        inside = "\n".join(block.lines)
        if block.table:
            assert FENCE not in inside
        else:
            shown(inside)


@given(TEXTS, st.booleans())
def test_every_part_of_anything_is_taken(text: str, headed: bool) -> None:
    written = parts(text, headed=headed)

    assert all(units(part.content) <= CONTENT and units(part.embed) <= EMBED for part in written)
    assert all(part.content.strip() or part.embed.strip() for part in written)
    for part in written:
        for side in part:
            assert sum(line == FENCE for line in side.split("\n")) % 2 == 0
            for block in blocks(side):
                assert block.table or shown("\n".join(block.lines)) is not None


@given(st.lists(LINES, min_size=1, max_size=40), st.booleans())
def test_no_line_is_lost_and_none_comes_twice(lines: list[str], headed: bool) -> None:
    text = "\n".join(line.replace("`", "") for line in lines)

    told = "\n".join(side for part in parts(text, headed=headed) for side in part if side)

    def letters(text: str) -> str:
        return "".join(text.replace(GAP, "").split())

    assert letters(shown(told)) == letters(text)


def test_a_head_that_is_a_table_or_too_long_stands_in_the_embed() -> None:
    assert parts("```\na b\n```", headed=True) == [Part("", "```\na b\n```")]
    (long,) = parts("x" * 1000 + "\nrest", headed=True)
    assert long.content == ""


@pytest.mark.parametrize("text", ["", "  ", "\n\n", "```\n```"])
def test_nothing_is_no_part(text: str) -> None:
    assert parts(text) == parts(text, headed=True) == []
