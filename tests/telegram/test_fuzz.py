"""Whatever a value holds, Telegram can parse and take what is made of it. Bar F1."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.port import Said
from bot.chat.telegram_send import TelegramSender, packed
from bot.chat.telegram_text import MOST_TEXT, clean, notice, parts, plain, rendered
from bot.chat.telegram_wire import line
from bot.pages import FENCE
from tests.telegram.markup import read, units
from tests.telegram.server import ME, TOKEN, BotServer

VALUES = 10_000
ODD = (
    "<", ">", "&", "&amp;", "&lt", "</pre>", "<b>", "<script>", "`", "```", "_*[]()~", '"', "'", "\\", "\n", "\t", "\r",
    "\x00", "\x1b[31m", "\u202e", "\u2066", "\u200f", "\u05d0\u05d1", "\u0627", "\ufeff", "\u200b", "\u2028", "\ud800",
    "\N{ROCKET}", "\U0001f468\u200d\U0001f469", "e\u0301", "nan", "inf", "-0", "1e-12", "61,240.10", "\xa0", "@all",
    "/kill", "https://example.org", "tg://user?id=1",
)  # fmt: skip
TEMPLATES = (
    "Bought {0} at {1}: {2} agree [c-{3}]",
    "The desk is halted: {0}.\nIt was {1}.",
    f"Positions\n{FENCE}\nasset  size  {{0}}\n{{1}}  {{2}}\n{{3}}\n{FENCE}\nas of {{0}}",
    "{0}",
    f"{FENCE}\n{{0}}",
)


def values(chance: random.Random, count: int) -> Iterator[str]:
    """Odd signs, some of them very long, some of them plain letters."""
    for number in range(count):
        if number % 200 == 0:
            yield chance.choice(ODD) * chance.randrange(1, 3000)
        elif number % 7 == 0:
            yield "S" * 300
        else:
            yield "".join(chance.choice((*ODD, "BTC", " ")) for _ in range(chance.randrange(0, 12)))


@pytest.mark.slow
async def test_g8_ten_thousand_odd_values_are_parsed_and_are_never_too_long() -> None:
    chance = random.Random(5)
    made = list(values(chance, VALUES))
    texts = [
        TEMPLATES[number % len(TEMPLATES)].format(*(chance.choice(made) for _ in range(3)), value)
        + f" {value}"
        for number, value in enumerate(made)
    ]
    async with BotServer() as server:
        wire = line(TOKEN, server.url)
        sender = TelegramSender(wire, lambda *_: None)
        for start in range(0, VALUES, 25):
            together = [packed(Said(text)) for text in texts[start : start + 25]]
            await sender.send(str(ME), together, "", "")
        await wire.close()

    read_there = "".join("".join(server.texts()).split())
    print(
        f"F1: {VALUES:,} odd values in {len(server.sent):,} messages: {len(server.parse_errors)} parse errors,"
        f" {server.too_long} too long (goal 0 and 0)"
    )
    assert server.parse_errors == []
    assert server.too_long == 0
    assert len(server.called("sendMessage")) == len(server.sent)
    assert "S" * 300 in read_there


@given(st.lists(st.sampled_from((*ODD, "a", "b ", "\n", FENCE + "\n")) | st.text(max_size=20), max_size=60))
def test_what_people_read_is_the_text_itself(pieces: list[str]) -> None:
    text = "".join(pieces)

    said = parts([Said(text)])

    seen = [read(rendered(part)) for part in said.texts]
    assert seen == [plain(part) for part in said.texts]
    assert all(units(part) <= MOST_TEXT for part in seen)
    assert len(seen) != 1 or "".join(seen[0].split()) == "".join(
        "".join(line for line in clean(text).replace("\r", "\n").split("\n") if line.strip() != FENCE).split()
    )


@given(st.text(max_size=5000))
def test_a_notice_is_short_and_needs_no_markup(text: str) -> None:
    assert units(notice(text)) < 200
    assert "<" not in notice(text)
