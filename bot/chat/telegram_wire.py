"""The connection to Telegram, and the token that stands in each of its addresses.

The token is the whole right to be the bot. The library puts it into addresses, into some of its errors and into what
its bot says of itself, so no error of the library leaves the files that speak to Telegram, and what they log of one has
passed `Secret.redact`. What the libraries below log is filtered as well.
"""

import logging
import os
from typing import NamedTuple

from telegram import Bot
from telegram.request import HTTPXRequest

os.environ.setdefault("PTB_TIMEDELTA", "1")  # spans of time in the form that is to stay: the older one warns

HIDDEN = "[hidden]"
LOUD = ("httpx", "httpcore")
"""They log whole addresses from INFO on."""
BELOW = (*LOUD, "telegram", "asyncio")
ANSWER_S, CONNECT_S, UPLOAD_S = 10.0, 5.0, 20.0
AT_ONCE = 16
"""Requests under way."""
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)
"""How the library fails at an answer of a shape that it does not know."""


class Secret:
    """The token. It is no part of any text that this object gives of itself."""

    __slots__ = ("_values", "token")

    def __init__(self, token: str) -> None:
        self.token = token
        self._values = [value for value in (token, token.partition(":")[2]) if value]

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __reduce__(self) -> str:
        raise TypeError("a token is not written anywhere")

    def redact(self, text: str) -> str:
        """The text without it."""
        for value in self._values:
            text = text.replace(value, HIDDEN)
        return text


class Redacting(logging.Filter):
    """Cuts a token out of records, tracebacks included, before any handler sees them."""

    def __init__(self, secret: Secret) -> None:
        super().__init__()
        self._secret = secret

    def filter(self, record: logging.LogRecord) -> bool:
        """Keeps every record."""
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
        clean = self._secret.redact(text)
        if clean != text:
            record.msg, record.args, record.exc_info, record.exc_text = clean, (), None, None
        return True


class Line(NamedTuple):
    """A bot and its two connections: a poll that waits must keep nothing that is sent waiting."""

    bot: Bot
    sending: HTTPXRequest
    polling: HTTPXRequest
    secret: Secret

    async def close(self) -> None:
        """Let go of the connections."""
        await self.sending.shutdown()
        await self.polling.shutdown()


def line(token: str, url: str) -> Line:
    """The way to the bot of that token, by the API at `url`. Nothing is sent yet."""
    secret = Secret(token)
    _quiet(secret)
    sending = HTTPXRequest(
        connection_pool_size=AT_ONCE,
        read_timeout=ANSWER_S,
        write_timeout=ANSWER_S,
        connect_timeout=CONNECT_S,
        pool_timeout=ANSWER_S,
        media_write_timeout=UPLOAD_S,
    )
    polling = HTTPXRequest(
        connection_pool_size=2, read_timeout=ANSWER_S, connect_timeout=CONNECT_S, pool_timeout=ANSWER_S
    )
    base = url.rstrip("/")
    bot = Bot(
        token,
        base_url=f"{base}/bot",
        base_file_url=f"{base}/file/bot",
        request=sending,
        get_updates_request=polling,
    )
    return Line(bot, sending, polling, secret)


def _quiet(secret: Secret) -> None:
    """A filter of a logger sees only what is logged to that very one, so each that exists by now gets it."""
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)
    redacting = Redacting(secret)
    for name in {*logging.root.manager.loggerDict, *BELOW}:
        if name.partition(".")[0] in BELOW:
            logging.getLogger(name).addFilter(redacting)
