"""Every test about Telegram is also one of what may be in the logs."""

import io
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.telegram.server import TOKEN, BotServer


@pytest.fixture(autouse=True)
def everything() -> Iterator[io.StringIO]:
    """All that any logger says, from DEBUG on. The token is never in it. Bar R9."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield text
    root.removeHandler(handler)
    root.setLevel(before)
    assert TOKEN.partition(":")[2] not in text.getvalue()


@pytest.fixture
async def server() -> AsyncIterator[BotServer]:
    """Telegram, for one bot."""
    async with BotServer() as server:
        yield server
