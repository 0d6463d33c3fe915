"""What the bot says arrives at Telegram: whole, readable, in its place, whatever stands in it and whatever fails."""

from collections.abc import AsyncIterator

import pytest

from bot.chat.port import Button, Lane, Said
from bot.chat.telegram_send import TelegramSender, packed
from bot.chat.telegram_wire import Line, line
from bot.outbox import Moved, Refused, TooFast, Unreachable
from tests.telegram.mail import ListMail, listening
from tests.telegram.server import BOT, GROUP, ME, PNG, TOKEN, Answer, BotServer, Fault

TABLE = "```\nasset  size\nBTC    1\n```"
PARSE = Answer(400, "Bad Request: can't parse entities: Unsupported start tag")
PICTURE = PNG + b"1"


class Sending:
    """A sender and what it was told of groups that moved."""

    def __init__(self, wire: Line) -> None:
        self.moves: list[tuple[int, int]] = []
        self._sender = TelegramSender(wire, lambda *move: self.moves.append(move))

    async def __call__(
        self, *said: Said | str, to: int = 0, place: str = str(ME), after: str = "", replace: str = ""
    ) -> str:
        bodies = [packed(Said(each) if isinstance(each, str) else each, to) for each in said]
        return await self._sender.send(place, bodies, after, replace)


@pytest.fixture
async def send(server: BotServer) -> AsyncIterator[Sending]:
    wire = line(TOKEN, server.url)
    yield Sending(wire)
    await wire.close()


async def test_a_text_arrives_with_its_table_in_fixed_width_and_its_signs_as_they_are(
    server: BotServer, send: Sending
) -> None:
    name = await send(f"P&L < 0 <b>\n{TABLE}\nas of 14:03")

    assert server.texts() == ["P&L < 0 <b>\nasset  size\nBTC    1\nas of 14:03"]
    assert server.called("sendMessage")[0]["text"].count("<pre>") == 1
    assert name == f"123456:{server.sent[0]['message_id']}"


async def test_what_another_bot_has_said_is_neither_changed_nor_answered(
    server: BotServer, send: Sending
) -> None:
    """In a private chat its message 1 is not the message 1 of this one."""
    name = await send("All is well.")
    others = name.replace("123456:", "654321:")

    again = await send("Sold.", after=others, replace=others)

    assert again != name
    assert server.texts() == ["All is well.", "Sold."]
    assert "reply_to_message" not in server.sent[-1]
    assert len(server.shown) == 2


async def test_what_is_said_shows_no_preview_of_a_page(server: BotServer, send: Sending) -> None:
    await send("https://example.org")

    assert '"is_disabled": true' in str(server.called("sendMessage")[0]["link_preview_options"])


async def test_a_long_text_is_several_messages_and_its_buttons_stand_under_the_last(
    server: BotServer, send: Sending
) -> None:
    text = "\n".join(f"line {number}" for number in range(1000))

    name = await send(Said(text, buttons=((Button("Why?", "why c-1"),),)))

    assert "\n".join(server.texts()) == text
    assert len(name.split()) == len(server.sent) == 3
    assert ["reply_markup" in message for message in server.sent] == [False, False, True]


async def test_buttons_that_telegram_cannot_carry_are_left_out_and_the_others_stay(
    server: BotServer, send: Sending
) -> None:
    await send(
        Said("Sell?", buttons=((Button("Yes", "y" * 64), Button("No", "n" * 65)), (Button(" ", "x"),)))
    )

    rows = server.sent[0]["reply_markup"]["inline_keyboard"]
    assert rows == [[{"text": "Yes", "callback_data": "y" * 64}]]


async def test_an_answer_stands_under_the_question_and_arrives_though_the_question_is_gone(
    server: BotServer, send: Sending
) -> None:
    first = await send("Bought.")

    await send("Sold.", after=first)
    await send("Held.", to=int(first.removeprefix("123456:")))
    await send("It was so.", to=99999)

    assert [message["reply_to_message"]["text"] for message in server.sent[1:3]] == ["Bought.", "Bought."]
    assert server.texts()[3] == "It was so."


async def test_a_topic_is_kept_and_one_that_is_gone_swallows_nothing(
    server: BotServer, send: Sending
) -> None:
    server.topics[GROUP] = {5}

    await send("here", place=f"{GROUP}/5")
    await send("there", place=f"{GROUP}/6")

    assert [message.get("message_thread_id") for message in server.sent] == [5, None]
    assert server.texts(GROUP) == ["here", "there"]


async def test_a_message_is_replaced_and_the_same_again_is_no_failure(
    server: BotServer, send: Sending
) -> None:
    name = await send("1 of 3")

    assert await send("2 of 3", replace=name) == name
    assert await send("2 of 3", replace=name) == name
    assert [message["text"] for message in server.shown.values()] == ["2 of 3"]


async def test_a_message_that_somebody_deleted_is_said_anew(server: BotServer, send: Sending) -> None:
    name = await send("1 of 3")
    server.shown.clear()

    again = await send("2 of 3", replace=name)

    assert again != name
    assert [message["text"] for message in server.shown.values()] == ["2 of 3"]


async def test_a_replacement_that_is_shorter_or_longer_leaves_nothing_of_the_old_one(
    server: BotServer, send: Sending
) -> None:
    long, short = "\n".join(["a line of it"] * 500), "short"

    name = await send(long)
    name = await send(short, replace=name)
    assert [message["text"] for message in server.shown.values()] == [short]
    name = await send(long, replace=name)

    assert "\n".join(message["text"] for message in server.shown.values()) == long


async def test_several_things_said_at_once_are_one_message(server: BotServer, send: Sending) -> None:
    await send("Bought BTC.", "Bought ETH.", Said("Sold XRP.", buttons=((Button("Why?", "why"),),)))

    assert server.texts() == ["Bought BTC.\n\nBought ETH.\n\nSold XRP."]
    assert "reply_markup" in server.sent[0]


async def test_a_picture_has_its_text_under_it_and_what_is_too_long_for_that_after_it(
    server: BotServer, send: Sending
) -> None:
    rows = [f"row {number}" for number in range(400)]

    await send(Said("Equity", picture=PICTURE))
    await send(Said("\n".join(rows), picture=PICTURE))

    assert ["photo" in message for message in server.sent] == [True, True, False]
    assert "\n".join(server.texts()[1:]).split("\n") == rows


async def test_a_picture_is_replaced_by_a_picture_and_by_a_text(server: BotServer, send: Sending) -> None:
    name = await send(Said("Equity", picture=PICTURE))
    again = await send(Said("Equity, later", picture=PICTURE + b"2"), replace=name)
    assert again == name
    assert server.texts() == ["Equity", "Equity, later"]

    last = await send("No picture today.", replace=again)

    assert last != again
    assert server.called("editMessageText") == []
    assert [message.get("text") for message in server.shown.values()] == ["No picture today."]


async def test_a_picture_that_is_refused_does_not_keep_its_text(server: BotServer, send: Sending) -> None:
    await send(Said("Equity 1,000", picture=b"no picture"))

    assert server.texts() == ["Equity 1,000"]


async def test_g8_a_text_that_cannot_be_parsed_arrives_without_markup_in_one_retry(
    server: BotServer, send: Sending
) -> None:
    """Bar F2."""
    server.fail("sendMessage", PARSE)

    await send(f"Sold < 5\n{TABLE}")

    assert server.texts() == ["Sold < 5\nasset  size\nBTC    1"]
    assert len(server.called("sendMessage")) == 2


async def test_a_text_that_is_refused_in_every_form_leaves_a_notice_of_what_it_was(
    server: BotServer, send: Sending
) -> None:
    server.fail("sendMessage", PARSE, Answer(400, "Bad Request: strange"))

    await send("Bought 1 BTC [c-4f2a]")
    await send("\u200b")
    await send("")

    assert server.texts() == [
        "A message could not be shown here. It was about c-4f2a.",
        "\u200b",
        "A message could not be shown here.",
    ]


async def test_an_edit_that_cannot_be_parsed_is_made_without_markup(server: BotServer, send: Sending) -> None:
    name = await send("1 < 3")
    server.fail("editMessageText", PARSE)

    assert await send("2 < 3", replace=name) == name
    assert server.texts() == ["1 < 3", "2 < 3"]


async def test_too_fast_says_for_how_long_to_wait(server: BotServer, send: Sending) -> None:
    server.burst, server.per_s = 2, 0.5
    await send("one")
    await send("two")

    with pytest.raises(TooFast) as refused:
        await send("three")

    assert refused.value.retry_after == 2
    assert server.texts() == ["one", "two"]


async def test_what_has_arrived_of_a_long_text_is_not_said_again_at_the_next_try(
    server: BotServer, send: Sending
) -> None:
    text = "\n".join(f"line {number}" for number in range(1000))
    server.burst, server.per_s = 2, 1000.0
    server.per_s = 0.001
    with pytest.raises(TooFast):
        await send(text)
    server.burst = 0

    name = await send(text)

    assert "\n".join(server.texts()) == text
    assert name == "123456:" + " ".join(str(message["message_id"]) for message in server.sent)


@pytest.mark.parametrize(
    "fault",
    [
        Fault.DROPPED_BEFORE,
        Fault.DROPPED_AFTER,
        Fault.HTML,
        Fault.EMPTY,
        Fault.STRANGE,
        Answer(500, "Internal Server Error"),
        Answer(401, "Unauthorized"),
    ],
    ids=str,
)
async def test_what_may_pass_asks_for_another_try(
    server: BotServer, send: Sending, fault: Fault | Answer
) -> None:
    server.fail("sendMessage", fault)

    with pytest.raises(Unreachable):
        await send("Sold.")
    await send("Sold.")

    assert set(server.texts()) == {"Sold."}


async def test_who_blocked_the_bot_and_a_chat_that_does_not_exist_are_given_up_after_one_request(
    server: BotServer, send: Sending
) -> None:
    server.blocked, server.unknown = {7}, {8}

    with pytest.raises(Refused, match="blocked by the user"):
        await send("Sold.", place="7")
    with pytest.raises(Refused, match="Chat not found"):
        await send("Sold.", place="8")

    assert len(server.called("sendMessage")) == 2


async def test_a_parcel_that_cannot_be_read_is_given_up(server: BotServer, send: Sending) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        await send._sender.send(str(ME), [b"{"], "", "")


async def test_a_group_that_moved_is_said_with_its_new_number_and_reached_there(
    server: BotServer, send: Sending
) -> None:
    server.upgraded[GROUP] = -100777

    with pytest.raises(Moved) as moved:
        await send("Sold.", place=f"{GROUP}/5")
    await send("Sold.", place=moved.value.place)
    await send("Bought.", place=str(GROUP))

    assert moved.value.place == "-100777/5"
    assert server.texts(-100777) == ["Sold.", "Bought."]
    assert send.moves == [(GROUP, -100777)]


async def test_an_answer_stands_in_the_topic_of_its_question_under_it_and_settles_it(
    server: BotServer,
) -> None:
    mail = ListMail()
    async with listening(server, mail) as (chat, ear):
        asked = server.message("/status", GROUP, is_topic_message=True, message_thread_id=5)
        server.shown[GROUP, asked["message_id"]] = asked
        server.push(message=asked)
        server.write("/status")
        server.press("yes", server.message("Sell?", GROUP, **{"from": BOT}))
        for _ in range(3):
            await chat.answer(await ear.next(), Said("All is well."))
        for post in mail.posts:
            await chat.sender.send(post.place, [post.body], "", "")

    assert mail.unanswered("telegram") == ()
    assert [message["chat"]["id"] for message in server.sent] == [GROUP, ME, GROUP]
    assert server.sent[0]["message_thread_id"] == 5
    assert ["reply_to_message" in message for message in server.sent] == [True, False, False]


async def test_an_alert_goes_to_every_chat_of_the_settings_in_its_lane_and_under_its_name(
    server: BotServer,
) -> None:
    mail = ListMail()
    async with listening(server, mail) as (chat, _):
        await chat.tell(Said("Bought.", thread="trade-1"), Lane.NOTICE)
        await chat.tell(Said("3 of 5", thread="trade-1", update="progress"), Lane.INFO)

    assert [(post.place, post.lane, post.group) for post in mail.posts] == [
        (str(ME), Lane.NOTICE, "trade-1"),
        (str(GROUP), Lane.NOTICE, "trade-1"),
        (str(ME), Lane.INFO, "=progress"),
        (str(GROUP), Lane.INFO, "=progress"),
    ]
