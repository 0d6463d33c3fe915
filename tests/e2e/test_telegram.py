"""From a bot's token to a desk that is asked, killed and started again at Telegram, as somebody new would do it."""

import asyncio
import os
import re
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from configs.load import load
from engine.core.pipeline import NEED
from tests.desks import brisk, profile, trending_bars, write_csv
from tests.telegram.server import GROUP, ME, TOKEN, BotServer, person

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
PATIENCE_S = 60.0
BARS_A_SECOND = 40


class Newcomer:
    """Somebody with a token, a terminal and a telephone."""

    def __init__(self, folder: Path, server: BotServer) -> None:
        self.server = server
        self.home = folder / "home"
        self._base = profile(folder / "base.yaml", brisk("AAA"))
        self._data = write_csv(folder / "AAA.csv", trending_bars(3, NEED + 6000))
        self.heard: list[str] = []
        """What the processes said on stderr."""

    async def start(self, *words: str, token: str = TOKEN) -> asyncio.subprocess.Process:
        environment = os.environ | {
            "WHYDESK_TELEGRAM_TOKEN": token,
            "WHYDESK__CHAT__TELEGRAM__URL": self.server.url,
            "WHYDESK__CHAT__TELEGRAM__POLL_S": "1",
        }
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jobs", *words, "--home", str(self.home), env=environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def set_up(self) -> int:
        setting_up = await self.start("setup", "--profile", str(self._base), "--name", "ann")
        assert setting_up.stderr is not None
        async for line in setting_up.stderr:
            self.heard.append(line.decode())
            if word := re.search(r"write to it: ([a-z]{8})$", self.heard[-1].strip()):
                self.server.write("hello?")
                self.server.write(word[1], GROUP)
                self.server.write(word[1], **{"from": person(7, "Mallory", is_bot=True)})
                self.server.write(f"/start {word[1]}")
        return await setting_up.wait()

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """It runs on recorded bars, some each second."""
        speed = ["--speed", str(86_400 * BARS_A_SECOND)]
        words = ["run", "--replay", str(self._data), "--profile", str(self.home / "desk.yaml"), "--json"]
        process = await self.start(*words, *speed)
        hearing = asyncio.create_task(self._hear(process))
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await hearing

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.heard.append(line.decode())

    async def ask(self, text: str, wanted: str) -> str:
        """Write it, and wait for what says what is wanted."""
        before = len(self.server.sent)
        self.server.write(text)
        await self.until(lambda: self._said(before, wanted))
        return self._said(before, wanted)

    def _said(self, before: int, wanted: str) -> str:
        texts = [str(message.get("text", message.get("caption"))) for message in self.server.sent[before:]]
        return next((text for text in texts if wanted in text), "")

    async def until(self, what: object) -> None:
        await self.server.until(what, PATIENCE_S)  # type: ignore[arg-type]

    def card(self, label: str) -> tuple[str, dict[str, object]]:
        """The newest message with that button, and the button's data."""
        for message in reversed(self.server.sent):
            for row in message.get("reply_markup", {}).get("inline_keyboard", []):
                for button in row:
                    if button["text"] == label:
                        return button["callback_data"], message
        return "", {}


@pytest.fixture
async def newcomer(tmp_path: Path) -> AsyncIterator[Newcomer]:
    async with BotServer() as server:
        yield Newcomer(tmp_path, server)


async def test_from_a_token_to_an_answer_and_through_a_kill_and_a_crash(newcomer: Newcomer) -> None:
    server = newcomer.server

    assert await newcomer.set_up() == 0
    assert server.texts() == ["This is your desk. You are ann, its owner. /help lists what it can be asked."]
    keys = newcomer.home / "chat.env"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    settings = load(str(newcomer.home / "desk.yaml"), {})
    assert [(each.name, each.role, each.telegram) for each in settings.chat.people] == [("ann", "owner", ME)]
    assert settings.chat.telegram.chats == (ME,)
    assert TOKEN not in (newcomer.home / "desk.yaml").read_text()

    async with newcomer.desk() as process:
        await newcomer.ask("/status", "The desk is active.")
        await newcomer.until(lambda: newcomer.card("Why")[0])
        why = newcomer.card("Why")[0]
        await newcomer.ask(why, why.removeprefix("/why "))
        await newcomer.ask("/chart equity", "PAPER: equity")
        assert server.called("sendPhoto"), "a picture, not only its text"
        await newcomer.ask("/kill something is odd", "The desk is halted.")
        process.send_signal(signal.SIGKILL)
        await process.wait()

    server.write("/trades 3")  # nobody is there to hear it
    async with newcomer.desk() as process:
        await newcomer.until(lambda: any(": net" in text for text in server.texts()[-3:]))
        await newcomer.ask("/status", "The desk is halted since")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0

    everything = "".join(newcomer.heard)
    assert TOKEN not in everything
    assert "Traceback" not in everything


async def test_a_card_is_confirmed_once_and_a_stranger_is_nobody(newcomer: Newcomer) -> None:
    server = newcomer.server
    assert await newcomer.set_up() == 0

    async with newcomer.desk():
        await newcomer.ask("/status", "The desk is active.")
        server.write("/status", 77, **{"from": person(77, "Stranger")})
        await newcomer.until(lambda: server.texts(77))
        assert "77" in server.texts(77)[0]
        assert "active" not in server.texts(77)[0]
        await newcomer.ask("/pause lunch", "Reducing: ")
        await newcomer.ask("/resume", "from reducing to active")
        data, card = newcomer.card("Yes")
        server.press(data, card, **{"from": person(77, "Stranger")})
        server.press(data, card)
        await newcomer.until(lambda: any("asked for resume" in text for text in server.texts()))
        server.press(data, card)
        await newcomer.ask("/status", "The desk is active")
        assert sum("asked for resume" in text for text in server.texts()) == 1


async def test_a_token_that_nobody_knows_is_one_line_and_writes_nothing(newcomer: Newcomer) -> None:
    process = await newcomer.start("setup", token="1:not-a-token-of-anybody")
    _, said = await process.communicate()

    assert process.returncode == 2
    assert said.decode().splitlines() == [
        "Telegram does not know this token: expected the one that @BotFather gave"
    ]
    assert not (newcomer.home / "desk.yaml").exists()
