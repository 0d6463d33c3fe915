"""The registry: one table of commands for every chat, and the one place where a wish is read and checked."""

import difflib
import unicodedata
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from bot.chat.port import Button, Said
from bot.people import Person, Role
from engine.core.domain.commands import Command, CommandKind
from engine.core.domain.errors import WhydeskError
from engine.core.domain.records import Record
from engine.ports import Desk, Journal

LONGEST = 2000
"""Characters of one message."""
LONGEST_REASON = 200


class Reply(NamedTuple):
    """What is said back; `ok` is false when the wish was not carried out.

    `buttons`, `update`, `only` and `picture` are those of `Said`.
    """

    text: str
    ok: bool = True
    buttons: tuple[tuple[Button, ...], ...] = ()
    update: str = ""
    only: bool = False
    picture: bytes = b""

    def said(self) -> Said:
        """As a chat says it."""
        return Said(self.text, buttons=self.buttons, update=self.update, only=self.only, picture=self.picture)


class ChatCommand(NamedTuple):
    """A command of the registry. `usage` is the line that help shows; `role` is the least that may use it."""

    name: str
    role: Role
    usage: str
    help: str
    handler: "Callable[[Context, str], Awaitable[Reply]]"


class Context(NamedTuple):
    """What a command may use, and who asked from where.

    `key` makes a repeated message the same wish. `report` gives the text of a day's report ("" for the last whole
    day). `remember` writes a question and its answer into the journal; None where the journal is only read.
    `picture` draws one: kind, what it is of, days, the risk panel; None where nothing can.
    """

    desk: Desk
    journal: Journal
    person: Person
    source: str
    key: str
    report: Callable[[str], Awaitable[str]]
    now: Callable[[], datetime]
    remember: Callable[[Record], Awaitable[object]] | None = None
    registry: "Registry | None" = None
    picture: Callable[..., Awaitable[bytes]] | None = None

    def wish(self, kind: CommandKind, *, reason: str = "", **more: Any) -> Command:
        """The wish of whoever asks; what else it says, by the names of `Command`."""
        return Command(
            kind=kind,
            by=self.person.name,
            source=self.source,
            key=self.key,
            reason=reason.strip()[:LONGEST_REASON],
            at=self.now(),
            **more,
        )


class Registry:
    """Commands by name. Names are exact: a capital or a look-alike letter makes another name."""

    def __init__(self, commands: Iterable[ChatCommand], question: str = "why") -> None:
        self.commands = {command.name: command for command in commands}
        self._question = self.commands[question]

    def for_role(self, role: Role) -> list[ChatCommand]:
        """What somebody of that role may use."""
        return [command for command in self.commands.values() if command.role <= role]

    def named(self, text: str) -> str:
        """The command that a message calls; empty when it calls none."""
        name = clean(text)[1:].partition(" ")[0] if text.lstrip().startswith("/") and _as_typed(text) else ""
        return name if name in self.commands else ""

    async def dispatch(self, text: str, context: Context) -> Reply:
        """Carry out one message. Whatever a person types, the answer is a reply."""
        plain = clean(text)
        if not plain:
            return Reply("Nothing was asked. /help lists what can be.", ok=False)
        if len(text) > LONGEST:
            return Reply(f"A message may have at most {LONGEST} characters.", ok=False)
        if not text.lstrip().startswith("/"):
            return await self._carry_out(self._question, context, plain)
        name, _, rest = plain[1:].partition(" ")
        command = self.commands.get(name) if _as_typed(text) else None
        if command is None:
            return Reply(self._unknown(name), ok=False)
        return await self._carry_out(command, context, rest.strip())

    async def _carry_out(self, command: ChatCommand, context: Context, arguments: str) -> Reply:
        role = context.person.role
        if role < command.role:
            return Reply(
                f"/{command.name} needs the role {command.role.word}; {context.person.name} has {role.word}.",
                ok=False,
            )
        try:
            return await command.handler(context._replace(registry=self), arguments)
        except WhydeskError as error:
            return Reply(str(error), ok=False)

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name.casefold(), self.commands, n=1, cutoff=0.5)
        hint = f" Did you mean /{near[0]}?" if near else " /help lists the commands."
        return f"There is no command /{name[:32]}.{hint}"


def clean(text: str) -> str:
    """One line without control characters and invisible ones; letters stay as they were typed."""
    kept = "".join(" " if unicodedata.category(c)[0] in "ZC" else c for c in text[: LONGEST + 1])
    return " ".join(kept.split())


def _as_typed(text: str) -> bool:
    """False when the first word holds anything but plain letters: what looks like a command may not be one."""
    word = text.lstrip(" \t\r\n").split(maxsplit=1)[0]
    return word.isascii() and unicodedata.normalize("NFKC", word) == word and word.isprintable()
