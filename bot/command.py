"""The registry: one table of commands for every chat, and the one place where a wish is read and checked."""

import difflib
import unicodedata
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from bot.chat.console import HERE
from bot.chat.port import Button, Place, Said
from bot.people import TERMINAL, People, Person, Role, Who
from engine.core.domain.commands import Command, CommandKind
from engine.core.domain.errors import WhydeskError
from engine.core.domain.records import Record
from engine.ports import Desk, Journal

LONGEST = 2000
"""Characters of one message."""
LONGEST_REASON = 200
LATE_S = 30.0
"""What makes the desk safer is done also when it comes later than this, and said to be late."""
UNDOES = "resume"
"""What must not come after a kill or a pause because it waited."""
OVERTAKEN = "Nothing was resumed: a kill or a pause came after it. Say it again if you mean it."


class Confirm(StrEnum):
    """How a command is confirmed: not at all, by a button, by typing four digits, by a second person."""

    NONE = "none"
    TAP = "tap"
    CODE = "code"
    TWO = "two persons"


class Effect(StrEnum):
    """What a command does to the risk that the desk runs."""

    NOTHING = "nothing"
    LESS = "less risk"
    MORE = "more risk"


class Denied(StrEnum):
    """Why a wish was turned away before it was read further."""

    ROLE = "role"
    LATE = "late"


class Reply(NamedTuple):
    """What is said back; `ok` is false when the wish was not carried out.

    `buttons`, `update`, `only` and `picture` are those of `Said`. `denied` is why it was turned away, if it was.
    """

    text: str
    ok: bool = True
    buttons: tuple[tuple[Button, ...], ...] = ()
    update: str = ""
    only: bool = False
    denied: Denied | None = None
    picture: bytes = b""

    def said(self) -> Said:
        """As a chat says it."""
        return Said(self.text, buttons=self.buttons, update=self.update, only=self.only, picture=self.picture)


class Card(NamedTuple):
    """What will happen when it is confirmed, exactly, and how that is done.

    It holds for the market and the desk as they are now: `facts` by name, `prices` by instrument. `role` is the least
    that may ask for it, and approve it.
    """

    confirm: Confirm
    text: str
    role: Role
    facts: dict[str, str]
    prices: dict[str, Decimal]


class ChatCommand(NamedTuple):
    """A command of the registry.

    `role` is the least that may use it, None for anybody. `usage` is the line that help shows. `confirm` is the most
    that may be asked before it is done, `confirmed` says when; `preview` gives the card, None when this time none is
    needed, or what is wrong with the wish. `at_once` is what does not wait for the answer. A message older than
    `stale_s` seconds is refused; None is never too old.
    """

    name: str
    role: Role | None
    usage: str
    help: str
    handler: "Callable[[Context, str], Awaitable[Reply]]"
    aliases: tuple[str, ...] = ()
    effect: Effect = Effect.NOTHING
    stale_s: float | None = None
    confirm: Confirm = Confirm.NONE
    confirmed: str = ""
    preview: "Callable[[Context, str], Card | Reply | None] | None" = None
    at_once: "Callable[[Context, str], Awaitable[Reply | None]] | None" = None
    examples: tuple[str, ...] = ()


class Questions(Protocol):
    """What is asked before something is done, and its answer."""

    async def ask(self, command: ChatCommand, context: "Context", arguments: str, card: Card) -> Reply:
        """The card, for whoever asked."""

    async def answer(self, context: "Context", nonce: str, code: str, *, yes: bool, pressed: bool) -> Reply:
        """What came of a yes or a no."""

    async def waiting(self, context: "Context", *, yes: bool) -> tuple[str, ...]:
        """The questions that this person may answer so, here, newest first."""


class Context(NamedTuple):
    """What a command may use, and who asked from where.

    `key` makes a repeated message the same wish. `report` gives the text of a day's report ("" for the last whole
    day). `remember` writes a record into the journal; None where the journal is only read. `age_s` is how many seconds
    ago it was said. `private` is whether nobody else reads the answer. `sure` is whether nothing has to be confirmed:
    at the desk's own terminal, and after a yes. `approved` names who said yes beside the person. `overtaken` says
    whether a kill or a pause has come since.
    `picture` draws one, given its kind, what it is of, days and the risk panel; None where nothing can.
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
    who: Who = TERMINAL
    place: Place = HERE
    private: bool = True
    people: People | None = None
    questions: Questions | None = None
    age_s: float = 0.0
    sent: datetime | None = None
    sure: bool = False
    approved: str = ""
    overtaken: Callable[[], bool] = bool
    picture: Callable[..., Awaitable[bytes]] | None = None

    def wish(self, kind: CommandKind, *, reason: str = "", **more: Any) -> Command:
        """The wish of whoever asks; what else it says, by the names of `Command`."""
        return Command(
            kind=kind,
            by=f"{self.person.name}, approved by {self.approved}" if self.approved else self.person.name,
            source=self.source,
            key=self.key,
            reason=reason.strip()[:LONGEST_REASON],
            at=self.now() - timedelta(seconds=self.age_s),
            **more,
        )


class Registry:
    """Commands by name and alias. Names are exact: a capital or a look-alike letter makes another name."""

    def __init__(self, commands: Iterable[ChatCommand], question: str = "why") -> None:
        self.commands = {command.name: command for command in commands}
        self._called = dict(self.commands)
        for command in self.commands.values():
            for alias in command.aliases:
                assert alias not in self._called, f"/{alias} is two commands"
                self._called[alias] = command
        self._question = self.commands[question]

    def for_role(self, role: Role) -> list[ChatCommand]:
        """What somebody of that role may use."""
        return [command for command in self.commands.values() if command.role is None or command.role <= role]

    def called(self, name: str) -> ChatCommand | None:
        """The command of that name or alias."""
        return self._called.get(name)

    def named(self, text: str) -> str:
        """The name of the command that a message calls, by whichever alias; empty when it calls none."""
        name = clean(text)[1:].partition(" ")[0] if text.lstrip().startswith("/") and _as_typed(text) else ""
        command = self.called(name)
        return command.name if command else ""

    async def dispatch(self, text: str, context: Context) -> Reply:
        """Carry out one message. Whatever a person types, the answer is a reply."""
        plain = clean(text)
        if not plain:
            return Reply("Nothing was asked. /help lists what can be.", ok=False)
        if len(text) > LONGEST:
            return Reply(f"A message may have at most {LONGEST} characters.", ok=False)
        if not text.lstrip().startswith("/"):
            return await self.carry_out(self._question, context, plain)
        name, _, rest = plain[1:].partition(" ")
        command = self.called(name) if _as_typed(text) else None
        if command is None:
            return Reply(self._unknown(name), ok=False)
        return await self.carry_out(command, context, rest.strip())

    async def carry_out(self, command: ChatCommand, context: Context, arguments: str) -> Reply:
        """Do it, ask whether it is meant, or say why not."""
        refused = _refused(command, context)
        if refused is not None:
            return refused
        try:
            reply = await self._ask_or_do(command, context._replace(registry=self), arguments)
        except WhydeskError as error:
            return Reply(str(error), ok=False)
        if context.age_s > LATE_S and command.effect is not Effect.NOTHING and reply.ok:
            return reply._replace(text=f"{reply.text}\nExecuted late: {_sent(context)}.")
        return reply

    async def _ask_or_do(self, command: ChatCommand, context: Context, arguments: str) -> Reply:
        if context.sure or command.preview is None:
            return await command.handler(context, arguments)
        done = await command.at_once(context, arguments) if command.at_once else None
        card = command.preview(context, arguments)
        if card is None:
            return await command.handler(context, arguments)
        asked = await self._asked(command, context, arguments, card) if isinstance(card, Card) else card
        return asked if done is None else asked._replace(text=f"{done.text}\n\n{asked.text}", ok=done.ok)

    @staticmethod
    async def _asked(command: ChatCommand, context: Context, arguments: str, card: Card) -> Reply:
        if context.person.role < card.role:
            return beneath(f"/{command.name} {arguments}", card.role, context.person)
        if context.questions is None:
            return Reply(f"/{command.name} must be confirmed, and nothing can be here.", ok=False)
        return await context.questions.ask(command, context, arguments, card)

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name.casefold(), self._called, n=1, cutoff=0.7)
        hint = f" Did you mean /{near[0]}?" if near else " /help lists the commands."
        return f"There is no command /{name[:32]}.{hint}"


def beneath(what: str, role: Role, person: Person) -> Reply:
    """The refusal of a wish beyond somebody's role."""
    text = f"{what.strip()[:100]} needs the role {role.word}; {person.name} has {person.role.word}."
    return Reply(text, ok=False, only=True, denied=Denied.ROLE)


def _refused(command: ChatCommand, context: Context) -> Reply | None:
    """What stands in the way before anything is read: a kill that came after it, the role, its age."""
    if command.role is not None and context.person.role < command.role:
        return beneath(f"/{command.name}", command.role, context.person)
    if command.name == UNDOES and context.overtaken():
        return Reply(OVERTAKEN, ok=False)
    if command.stale_s is not None and context.age_s > command.stale_s:
        text = f"Nothing was done: {_sent(context)}: at most {command.stale_s:g} s; say it again."
        return Reply(text, ok=False, denied=Denied.LATE)
    return None


def _sent(context: Context) -> str:
    assert context.sent is not None, "what has an age was sent"
    return f"sent {context.sent:%H:%M:%S} UTC, {context.age_s:.0f} s ago"


def clean(text: str) -> str:
    """One line without control characters and invisible ones; letters stay as they were typed."""
    kept = "".join(" " if unicodedata.category(c)[0] in "ZC" else c for c in text[: LONGEST + 1])
    return " ".join(kept.split())


def _as_typed(text: str) -> bool:
    """False when the first word holds anything but plain letters: what looks like a command may not be one."""
    word = text.lstrip(" \t\r\n").split(maxsplit=1)[0]
    return word.isascii() and unicodedata.normalize("NFKC", word) == word and word.isprintable()
