"""How the chat connects, with the library's own transport against a server on this machine."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import discord
import msgspec
import pytest
from aiohttp import web
from yarl import URL

from bot.chat.discord import NO_TOKEN, DiscordChat
from bot.chat.port import Lane, Said
from bot.outbox import Unreachable
from configs.schema.chat import DiscordSettings
from tests.discord_desk import AT, SERVER, TOKEN, ListMail

ME = {"id": "1", "username": "desk", "discriminator": "0", "avatar": None, "bot": True}
APPLICATION = {
    "id": "1", "name": "desk", "icon": None, "description": "", "bot_public": False, "bot_require_code_grant": False,
    "verify_key": "", "flags": 0, "owner": ME, "team": None, "summary": "",
}  # fmt: skip


@asynccontextmanager
async def discord_at_home(
    monkeypatch: pytest.MonkeyPatch, answers: list[int], closes: list[int]
) -> AsyncIterator[list[str]]:
    """A Discord that answers logins with `answers` and closes connections with `closes`, one after the other."""
    asked: list[str] = []

    def json(value: object, status: int = 200) -> web.Response:
        body = msgspec.json.encode(value)
        return web.Response(body=body, status=status, headers={"Content-Type": "application/json"})

    async def me(request: web.Request) -> web.Response:
        asked.append(request.headers["Authorization"])
        status = answers.pop(0)
        return json(ME if status == 200 else {"message": "no", "code": 0}, status)

    async def gateway(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close(code=closes.pop(0))
        return socket

    async def given(request: web.Request) -> web.Response:
        return json(APPLICATION if request.path.endswith("applications/@me") else [])

    app = web.Application()
    app.router.add_get("/users/@me", me)
    app.router.add_get("/socket/", gateway)
    app.router.add_get("/{path:.*}", given)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    here = f"127.0.0.1:{runner.addresses[0][1]}"
    monkeypatch.setattr(discord.http.Route, "BASE", f"http://{here}")
    monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", URL(f"ws://{here}/socket/"))
    try:
        yield asked
    finally:
        await runner.cleanup()


def chat(pauses: list[float], tried: asyncio.Event | None = None) -> DiscordChat:
    """One that writes its pauses down instead of waiting; `tried` is set at the third."""

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if tried is not None and len(pauses) == 3:
            tried.set()

    return DiscordChat(TOKEN, DiscordSettings(guild=SERVER, channel=1), ListMail(), lambda: AT, pause=pause)


async def until_it_ends(found: DiscordChat) -> int:
    """How many messages came before the chat ended."""
    return len([message async for message in found.messages()])


async def test_a_token_that_is_not_taken_is_said_once_and_ends_only_the_chat(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pauses: list[float] = []
    found = chat(pauses)
    async with discord_at_home(monkeypatch, [401], []) as asked:
        assert await asyncio.wait_for(until_it_ends(found), 20) == 0

    said = [record.message for record in caplog.records if record.name.startswith("bot.")]
    assert said == [found.trouble] == [NO_TOKEN]
    assert asked == [f"Bot {TOKEN}"]
    assert pauses == []
    assert TOKEN not in caplog.text
    await found.tell(Said("Bought BTC"), Lane.NOTICE)  # nobody hears it, and nothing ends
    with pytest.raises(Unreachable):
        await found.sender.send("1", [parcel.body for parcel in found._mail.waiting("discord")])


async def test_a_discord_that_is_down_is_tried_again_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pauses: list[float] = []
    async with discord_at_home(monkeypatch, [503] * 10 + [401], []):
        assert await asyncio.wait_for(until_it_ends(chat(pauses)), 20) == 0

    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert TOKEN not in caplog.text


async def test_a_server_that_cannot_be_reached_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = asyncio.Event()
    monkeypatch.setattr(discord.http.Route, "BASE", "http://127.0.0.1:9")
    ended = asyncio.ensure_future(until_it_ends(chat([], tried)))
    await tried.wait()
    async with discord_at_home(monkeypatch, [401], []):
        assert await asyncio.wait_for(ended, 20) == 0


@pytest.mark.parametrize(("closed", "tries"), [([4004], 1), ([4011, 4004], 2)])
async def test_g6_a_connection_that_is_closed_for_good_is_made_anew_unless_the_token_is_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, closed: list[int], tries: int
) -> None:
    caplog.set_level(logging.DEBUG)
    pauses: list[float] = []
    async with discord_at_home(monkeypatch, [200] * tries, closed) as asked:
        assert await asyncio.wait_for(until_it_ends(chat(pauses)), 20) == 0

    assert len(asked) == tries
    assert len(pauses) == tries - 1
    assert TOKEN not in caplog.text
