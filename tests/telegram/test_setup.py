"""The first talk with a bot: only who writes the word after it was made, and not before, becomes its owner."""

import asyncio

import pytest

from bot.chat.telegram_setup import MOST_WRONG, FirstTalk
from engine.core.domain.errors import BadInput, Refused
from tests.telegram.server import GROUP, ME, TOKEN, BotServer, person

WORD = "kqmvxtra"


@pytest.fixture
async def talk(server: BotServer) -> FirstTalk:
    return FirstTalk(TOKEN, server.url)


async def test_what_was_written_before_the_word_was_made_is_thrown_away(
    server: BotServer, talk: FirstTalk
) -> None:
    server.write(WORD, 666, **{"from": person(666, "Mallory")})

    await talk.forget()
    with pytest.raises(Refused, match=f"nobody wrote {WORD} to the bot within"):
        await talk.wait_for(WORD, 0.3)

    await talk.aclose()


async def test_who_starts_the_bot_with_the_word_is_met_and_nobody_else(
    server: BotServer, talk: FirstTalk
) -> None:
    meeting = asyncio.create_task(talk.wait_for(WORD, 20))
    await server.until(lambda: server.called("getUpdates"))
    server.write("hello", 666, **{"from": person(666, "Mallory")})
    server.write(WORD, GROUP, **{"from": person(667, "Trudy")})
    server.write(WORD, 668, **{"from": person(668, "Robot", is_bot=True)})
    server.write(f"/start {WORD}")

    met = await meeting
    await talk.aclose()

    assert (met.who.number, met.chat) == (ME, ME)
    assert not server.waiting, "the desk does not hear it as a command"


async def test_guessing_ends_it(server: BotServer, talk: FirstTalk) -> None:
    meeting = asyncio.create_task(talk.wait_for(WORD, 20))
    await server.until(lambda: server.called("getUpdates"))
    for number in range(MOST_WRONG + 1):
        server.write(f"kqmvxt{number:02}", 666, **{"from": person(666, "Mallory")})

    with pytest.raises(Refused, match="somebody guesses: 21 messages"):
        await meeting

    await talk.aclose()


async def test_a_token_that_telegram_does_not_know_is_named_as_that(server: BotServer) -> None:
    talk = FirstTalk("1:nobody-knows-it", server.url)

    with pytest.raises(BadInput, match="Telegram does not know this token"):
        await talk.name()

    await talk.aclose()
