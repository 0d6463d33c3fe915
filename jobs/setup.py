"""`whydesk setup`: from a bot's token to a desk that answers its owner, in a terminal."""

import asyncio
import os
import secrets
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any, NamedTuple

import typer

from bot.chat.telegram_setup import FirstTalk, Met
from bot.people import Who
from configs.load import convert, find, load, read, text_of
from configs.secrets import TELEGRAM
from engine.core.domain.errors import BadInput
from jobs.output import say, show

PROFILE, KEYS = "desk.yaml", "chat.env"
WITHIN_S = 300.0
"""So long somebody may take to write the number."""
HELLO = "This is your desk. You are {name}, its owner. /help lists what it can be asked."

NOBODY = Met(Who("telegram", 1), 1)


class Written(NamedTuple):
    """The files that were made."""

    profile: Path
    keys: Path


def main(root: Path, profile: str, name: str, *, as_json: bool) -> None:
    """Ask, check, write the two files, and say the first words. Nothing is written before all of it is known."""
    base = find(profile)
    values, lines = read(base)
    settings = load(profile, os.environ)
    made = Written(root / PROFILE, root / KEYS)
    convert(
        values | {"chat": _chat({}, name, NOBODY, made.keys)}, lines, base
    )  # a name that cannot be, at once
    for path in made:
        if path.exists():
            raise BadInput(f"{path} is there already: remove it, or name another --home")
    token = _token()
    url = settings.chat.telegram.url
    met, bot = asyncio.run(_meet(token, url))
    values["chat"] = _chat(values.get("chat", {}), name, met, made.keys)
    convert(values, {}, made.profile)
    root.mkdir(parents=True, exist_ok=True)
    _write(made.keys, f"{TELEGRAM}={token}\n", 0o600)
    header = f"# The profile {base.stem}, talked to by {name} at Telegram. Made by `whydesk setup`.\n"
    _write(made.profile, header + text_of(values), 0o644)
    asyncio.run(_hello(token, url, met.chat, HELLO.format(name=name)))
    result = {"bot": bot, "owner": name, "telegram": met.who.number} | _paths(made)
    show(as_json, result, _next(result, root))


def _token() -> str:
    """From the environment, or typed unseen: never on the command line, which others can list."""
    if token := os.environ.get(TELEGRAM, "").strip():
        return token
    if not sys.stdin.isatty():
        raise BadInput(f"no terminal to ask for the token: set {TELEGRAM}")
    say("Write to @BotFather at Telegram: /newbot, a name, a user name. It answers with a token.")
    return str(typer.prompt("The token (not shown)", hide_input=True, err=True)).strip()


async def _meet(token: str, url: str) -> tuple[Met, str]:
    async with aclosing(FirstTalk(token, url)) as talk:
        bot = await talk.name()
        number = f"{secrets.randbelow(9000) + 1000}"
        say(f"The bot is @{bot}. Open https://t.me/{bot}, press Start, and write this number to it: {number}")
        met = await talk.wait_for(number, WITHIN_S)
    say(f"{met.who.shown} ({met.who.number}) wrote it.")
    return met, bot


async def _hello(token: str, url: str, chat: int, text: str) -> None:
    async with aclosing(FirstTalk(token, url)) as talk:
        await talk.say(chat, text)


def _chat(before: dict[str, Any], name: str, met: Met, keys: Path) -> dict[str, Any]:
    """The section `chat` of the profile: its owner, and where alerts go."""
    return before | {
        "key_file": str(keys.resolve()),
        "people": [{"name": name, "role": "owner", "telegram": met.who.number}],
        "telegram": before.get("telegram", {}) | {"enabled": True, "chats": [met.chat]},
    }


def _write(path: Path, text: str, mode: int) -> None:
    """Make the file; never write over one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)


def _paths(made: Written) -> dict[str, str]:
    return {"profile": str(made.profile), "key_file": str(made.keys)}


def _next(result: dict[str, Any], root: Path) -> list[str]:
    return [
        f"Written: {result['profile']} and, for your eyes only, {result['key_file']}.",
        f"Start the desk: whydesk run --profile {result['profile']} --home {root}",
        f"Then write /status to @{result['bot']}.",
    ]
