"""The token is in no log and in no error, whatever fails and however loud the logs are. Bar R9."""

import asyncio
import io
import logging
import pickle

import pytest

from bot.chat.port import Said
from bot.chat.telegram_send import packed
from bot.chat.telegram_wire import LOUD, Redacting, Secret, line
from bot.outbox import Refused, TooFast, Unreachable
from tests.telegram.mail import listening
from tests.telegram.server import ME, TOKEN, Answer, BotServer, Fault

SECRET = TOKEN.partition(":")[2]


FAULTS = (
    Fault.DROPPED_BEFORE, Fault.DROPPED_AFTER, Fault.HTML, Answer(401, "Unauthorized"), Answer(404, "Not Found"),
    Answer(400, f"Bad Request: strange {TOKEN}"), Answer(403, "Forbidden"), Answer(429, "Too Many", retry_after=1),
    Answer(500, f"Internal {TOKEN}"),
)  # fmt: skip


async def test_no_failure_of_a_whole_session_shows_the_token(everything: io.StringIO) -> None:
    errors = []
    async with BotServer() as server:
        for method in ("getMe", "deleteWebhook", "getMyCommands", "answerCallbackQuery"):
            server.fail(method, Answer(500, f"Internal {TOKEN}"), Answer(401, f"No {TOKEN}"), Fault.HTML)
        server.fail("getUpdates", *FAULTS)
        async with listening(server, menu=[("kill", "stop")]) as (chat, ear):
            for name in LOUD:  # as loud as somebody may make them later
                logging.getLogger(name).setLevel(logging.DEBUG)
            server.press("yes", server.message("card"))
            server.push(message={"message_id": "?"})
            await ear.next()
            for fault in FAULTS:
                server.faults.clear()
                server.fail("sendMessage", fault, fault, fault)
                try:
                    await chat.sender.send(str(ME), [packed(Said("hello"))], "", "")
                except (Unreachable, Refused, TooFast) as error:
                    errors.append(f"{error!r} {error} {error.__cause__}")
            await server.until(lambda: server.called("answerCallbackQuery"))
            texts = [repr(chat), repr(chat.sender), str(vars(chat).get("trouble"))]
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)

    said = everything.getvalue()
    assert len(errors) >= 6
    assert len(said.splitlines()) > 50
    assert "getUpdates" in said
    for text in (said, *errors, *texts):
        assert TOKEN not in text
        assert SECRET not in text


async def test_the_libraries_below_are_quiet(everything: io.StringIO) -> None:
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.DEBUG)
    async with BotServer() as server, listening(server) as (_, ear):
        server.write("/status")
        await ear.next()

    assert "HTTP Request" not in everything.getvalue()


def test_a_traceback_loses_the_token_too(everything: io.StringIO) -> None:
    logger = logging.getLogger("httpx")
    redacting = Redacting(Secret(TOKEN))
    logger.addFilter(redacting)
    try:
        raise ValueError(f"https://api.telegram.org/bot{TOKEN}/getMe")
    except ValueError:
        logger.exception("%s failed", f"bot{TOKEN}")
    logger.removeFilter(redacting)

    assert "bot[hidden] failed" in everything.getvalue()
    assert "ValueError" in everything.getvalue()
    assert SECRET not in everything.getvalue()


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret(TOKEN)

    assert SECRET not in f"{secret} {secret!r}"
    with pytest.raises(TypeError, match="not written anywhere"):
        pickle.dumps(secret)


async def test_a_connection_that_is_closed_says_so_without_the_token() -> None:
    wire = line(TOKEN, "http://127.0.0.1:9")
    await asyncio.gather(wire.close(), wire.close())

    assert SECRET not in repr(wire.secret)
