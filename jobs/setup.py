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
from bot.command import clean
from bot.people import Who
from configs.load import convert, find, load, read, text_of
from configs.secrets import TELEGRAM
from engine.core.domain.errors import BadInput, Refused
from jobs.output import say, show

PROFILE, KEYS = "desk.yaml", "chat.env"
WITHIN_S = 300.0
"""So long somebody may take to write the word."""
LETTERS, LONG = "abcdefghjkmnpqrstuvwxyz", 8
"""Of the word: none that looks like another, and too many to guess."""
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
    _agreed(met)
    values["chat"] = _chat(values.get("chat", {}), name, met, made.keys)
    convert(values, {}, made.profile)
    root.mkdir(parents=True, exist_ok=True)
    header = f"# The profile {base.stem}, talked to by {name} at Telegram. Made by `whydesk setup`.\n"
    _write(made.keys, f"{TELEGRAM}={token}\n")
    try:
        _write(made.profile, header + text_of(values))
    except BaseException:
        made.keys.unlink()
        raise
    try:
        asyncio.run(_hello(token, url, met.chat, HELLO.format(name=name)))
    except Refused as error:
        say(f"The first words did not arrive: {error}. Everything else is done.")
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
        await talk.forget()
        word = "".join(secrets.choice(LETTERS) for _ in range(LONG))
        say(
            f"The bot is @{bot}. Open https://t.me/{bot}?start={word} and press Start, or write to it: {word}"
        )
        met = await talk.wait_for(word, WITHIN_S)
    return met, bot


def _agreed(met: Met) -> None:
    """Somebody who sits at the terminal says whether that is who should own the desk."""
    shown = f"{clean(met.who.shown)} (number {met.who.number})"
    say(f"{shown} wrote it.")
    if sys.stdin.isatty() and not typer.confirm("Is that you?", default=True, err=True):
        raise Refused(f"nothing was written: {shown} is not you")


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


def _write(path: Path, text: str) -> None:
    """Make the file, for its owner's eyes only; never write over one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _paths(made: Written) -> dict[str, str]:
    return {"profile": str(made.profile), "key_file": str(made.keys)}


def _next(result: dict[str, Any], root: Path) -> list[str]:
    return [
        f"Written: {result['profile']} and, for your eyes only, {result['key_file']}.",
        f"Start the desk: whydesk run --profile {result['profile']} --home {root}",
        f"Then write /status to @{result['bot']}.",
    ]
