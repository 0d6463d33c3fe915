"""What is asked before something is done: the card, who may say yes to it, and that one yes does it once.

Stopping needs no confirmation. What trades is confirmed by whoever asked for it, and what lets the desk risk more by a
second person. A card says what will happen, and holds for the desk as it was when it was made: it is void when a price
has moved, a position has changed or its time is over. The answer is one statement in the store that only the first
can make, whether it was pressed or typed, here or at another platform. Buttons carry nothing but the nonce.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from bot.chat.port import Button, Lane, Place, Said
from bot.command import Card, ChatCommand, Confirm, Context, Denied, Registry, Reply, beneath, clean
from bot.commands.roles import Change, change
from bot.people import People, Person, Role, Who, aside, numbered
from configs.schema.chat import ChatSettings
from engine.core.domain.errors import WhydeskError
from engine.core.domain.records import CommandRecord
from engine.ports import Asked, Asks
from explain.units import percent, price

COOL_OFF = timedelta(seconds=30)
"""So long whoever is alone in approving has to think it over."""
MOVED = Decimal("0.005")
"""By how much of itself a price may have moved since the card."""
ACCESS_FOR = timedelta(days=1)
"""So long a stranger's wish for access waits for an owner."""
PRESSED = "v1"
RECENT = 200
"""Commands among which one that has just begun is looked for."""
_CODE_DIGITS = 4


class Kind(StrEnum):
    """How the question is answered."""

    TAP = "tap"
    CODE = "code"
    TWO = "two persons"
    ALONE = "alone"
    ACCESS = "access"


class Request(msgspec.Struct, frozen=True):
    """Everything about a question that its buttons do not carry.

    `name` is who asked, `who` from which account, `place` where. `role` is the least that may ask and approve.
    """

    kind: Kind
    who: Who
    place: Place
    text: str
    role: Role
    name: str = ""
    command: str = ""
    arguments: str = ""
    source: str = ""
    key: str = ""
    code: str = ""
    opens: datetime | None = None
    facts: dict[str, str] = {}
    prices: dict[str, Decimal] = {}


GRANTS = {"w": Role.VIEWER, "t": Role.TRADER}
"""What the buttons of a wish for access give."""


class Confirmations:
    """The questions of one desk. `wall` is the time of people, which is not the desk's where it replays."""

    def __init__(
        self,
        asks: Asks,
        people: People,
        settings: ChatSettings,
        tell: Callable[[Said, Lane], Awaitable[None]],
        wall: Callable[[], datetime],
    ) -> None:
        self._asks = asks
        self._people = people
        self._settings = settings
        self._tell = tell
        self._wall = wall
        self._asking = asyncio.Lock()

    async def ask(self, command: ChatCommand, context: Context, arguments: str, card: Card) -> Reply:
        """The card, for whoever asked; what needs a second person is told to everybody who listens."""
        kind, now = await aside(self._kind, card, context.person), self._wall()
        coded = kind in (Kind.CODE, Kind.ALONE)
        opens = now + COOL_OFF if kind is Kind.ALONE else now
        lasts = self._settings.two_person_s if kind is Kind.TWO else self._settings.confirm_s
        request = Request(
            kind=kind,
            who=context.who,
            place=context.place,
            text=card.text,
            role=card.role,
            name=context.person.name,
            command=command.name,
            arguments=arguments,
            source=context.source,
            key=context.key,
            code=f"{secrets.randbelow(10**_CODE_DIGITS):0{_CODE_DIGITS}d}" if coded else "",
            opens=opens,
            facts=card.facts,
            prices=card.prices,
        )
        nonce = await self._keep(request, now, opens + timedelta(seconds=lasts))
        text = f"{card.text}\n{_how(request, nonce, opens, lasts)}"
        buttons: tuple[Button, ...] = (Button("No", _data("n", nonce)),)
        if not coded:
            buttons = (Button("Yes", _data("y", nonce)), *buttons)
        if kind is Kind.TWO:
            await self._tell(
                Said(f"{context.person.name} asks: {text}", (buttons,), update=_named(nonce)), Lane.URGENT
            )
        return Reply(text, buttons=(buttons,), update=_named(nonce), only=kind is not Kind.TWO)

    async def ask_access(self, who: Who, place: Place) -> None:
        """Tell the owners that somebody wants to be heard, unless they were told and have not said yet."""
        async with self._asking:  # of two who show one name, the second is told that the first may have it
            await self._ask_access(who._replace(shown=clean(who.shown)[:40]), place)

    async def _ask_access(self, who: Who, place: Place) -> None:
        waiting = [_read(asked) for asked in await aside(self._asks.waiting, self._wall())]
        strangers = [request for request in waiting if request.kind is Kind.ACCESS]
        if any(request.who[:2] == who[:2] for request in strangers):
            return
        name = await aside(self._people.new_name, who, frozenset(request.name for request in strangers))
        text = (
            f"{who.surface} account {who.number} asks for access; it shows the name {who.shown!r}, which"
            f" proves nothing. It would be called {name}."
        )
        request = Request(Kind.ACCESS, who, place, text, Role.OWNER, name=name)
        now = self._wall()
        nonce = await self._keep(request, now, now + ACCESS_FOR)
        buttons = (
            Button("Viewer", _data("w", nonce)),
            Button("Trader", _data("t", nonce)),
            Button("Deny", _data("n", nonce)),
        )
        await self._tell(Said(text, (buttons,), update=_named(nonce)), Lane.NOTICE)

    async def pressed(self, data: str, context: Context) -> Reply:
        """What came of a button."""
        version, _, rest = data.partition(":")
        verb, _, nonce = rest.partition(":")
        if version != PRESSED or verb not in ("y", "n", *GRANTS) or not nonce:
            return Reply("This button is not known here.", ok=False)
        if verb in GRANTS:
            return await self._access(context, nonce, GRANTS[verb])
        return await self.answer(context, nonce, "", yes=verb == "y", pressed=True)

    async def waiting(self, context: Context, *, yes: bool) -> tuple[str, ...]:
        """The questions that this person may answer so, newest first; none that was asked after the answer was sent."""
        now = self._wall()
        return tuple(
            asked.nonce
            for asked in reversed(await aside(self._asks.waiting, now))
            if asked.at <= (context.sent or now) and self._may_answer(_read(asked), context, yes=yes)
        )

    def _may_answer(self, request: Request, context: Context, *, yes: bool) -> bool:
        asks = request.kind is not Kind.ACCESS
        return asks and self._may_not(request, context, yes=yes, pressed=True) is None

    async def awaiting_code(self, context: Context) -> str:
        """The newest question that this person answers here by four digits; empty for none."""
        for asked in reversed(await aside(self._asks.waiting, self._wall())):
            request = _read(asked)
            if request.code and request.name == context.person.name and _is_here(request, context):
                return asked.nonce
        return ""

    async def answer(self, context: Context, nonce: str, code: str, *, yes: bool, pressed: bool) -> Reply:
        """Do what was asked for, at the first yes of whoever may say it; else say why nothing is done."""
        asked = await aside(self._asks.asked, nonce)
        if asked is None:
            return Reply("There is no such question; nothing was done.", ok=False)
        request = _read(asked)
        refused = self._may_not(request, context, yes=yes, pressed=pressed)
        if refused is not None:
            return refused
        if asked.answer:
            return await self._again(asked, request, context)
        if request.kind is Kind.ACCESS and yes:
            account = f"{request.who.surface}:{request.who.number}"
            return Reply(f"Say as what: /roles grant {account} viewer {request.name}", ok=False)
        if request.kind is Kind.ACCESS:
            return await self._access(context, nonce, None)
        if not yes:
            said = f"{_called(request)}: {context.person.name} said no."
            return await self._closed(asked, "no", context, said, request.kind)
        early = self._too_early(asked, request, code)
        if early is not None:
            return early
        void = self._void(request, context, await aside(self._asker, request))
        if void:
            said = f"Nothing was done: {void}. Say it again if it is meant."
            return await self._closed(asked, "void", context, said, request.kind)
        if not await self._first(nonce, "yes", context):
            return await self.answer(context, nonce, code, yes=yes, pressed=pressed)
        asker = await aside(self._asker, request)
        void = self._void(request, context, asker)  # once more, for what came while the yes was written down
        if void:
            return Reply(f"Nothing was done: {void}. Say it again if it is meant.", ok=False)
        return await self._carry_out(request, context, nonce, asker)

    def _kind(self, card: Card, person: Person) -> Kind:
        if card.confirm is not Confirm.TWO:
            return Kind(card.confirm.value)
        others = [
            entry
            for entry in self._people.everybody()
            if entry.role and entry.role >= card.role and entry.accounts and entry.name != person.name
        ]
        return Kind.TWO if others else Kind.ALONE

    async def _keep(self, request: Request, now: datetime, expires: datetime) -> str:
        """Beside the loop, as every write here: the engine waits for no commit of a chat."""
        nonce = secrets.token_urlsafe(12)
        asked = Asked(nonce, now, expires, msgspec.json.encode(request))
        await asyncio.to_thread(self._asks.ask, asked)
        return nonce

    def _may_not(self, request: Request, context: Context, *, yes: bool, pressed: bool) -> Reply | None:
        """Why this person may not answer this question, here; the card stays as it is."""
        person = context.person
        if request.kind is Kind.ACCESS:
            return (
                beneath("To say who may talk", request.role, person) if person.role < request.role else None
            )
        if request.kind is Kind.TWO:
            if person.name == request.name:
                return (
                    _not_yours(f"Somebody else must approve what {person.name} asked for.") if yes else None
                )
            return (
                beneath(f"To approve /{request.command}", request.role, person)
                if person.role < request.role
                else None
            )
        if person.name != request.name:
            return _not_yours(f"Only {request.name} can answer this.")
        if pressed and not _is_here(request, context):
            return _not_yours("This is answered where it was asked.")
        return None

    def _too_early(self, asked: Asked, request: Request, code: str) -> Reply | None:
        """Too late, too early, or without the digits: the question stays as it is."""
        now = self._wall()
        if now >= asked.expires:
            return Reply(
                f"Nothing was done: that could be answered until {_time(asked.expires)}. Say it again.",
                ok=False,
            )
        if request.code and code != request.code:
            return Reply(f"Nothing was done yet: type the {_CODE_DIGITS} digits of the card.", ok=False)
        if request.opens is not None and now < request.opens:
            left = (request.opens - now).total_seconds()
            return Reply(f"Nothing was done yet: type it again in {left:.0f} s.", ok=False)
        return None

    def _void(self, request: Request, context: Context, asker: Person | None) -> str:
        """What has changed since the card, so that it is not what was agreed to; empty when nothing has."""
        if asker is None:
            return f"{request.name} may no longer ask for it"
        registry = _registry(context)
        command = registry.called(request.command)
        if command is None or command.preview is None:
            return f"/{request.command} is not known any more"
        asking = context._replace(person=asker, who=request.who)
        try:
            card = command.preview(asking, request.arguments)
        except WhydeskError as error:
            return str(error)
        if not isinstance(card, Card):
            return card.text.rstrip(".").replace("The", "the", 1) if card else "it is not what it was"
        for name, before in request.facts.items():
            if card.facts.get(name) != before:
                return f"{name} was {before} and is now {card.facts.get(name, 'not known')}"
        if card.facts.keys() - request.facts.keys():
            return "more is held than the card says"
        return _moved(request.prices, card.prices)

    def _asker(self, request: Request) -> Person | None:
        """Who asked, if they still may."""
        role = self._people.role(request.name)
        return Person(request.name, role) if role is not None and role >= request.role else None

    async def _carry_out(self, request: Request, context: Context, nonce: str, asker: Person | None) -> Reply:
        """For whoever asked; under a key of its own, since what did not wait for the answer had the message's."""
        registry = _registry(context)
        command = registry.called(request.command)
        if asker is None or command is None:
            return Reply(f"Nothing was done: {request.name} may no longer ask for it.", ok=False)
        asking = context._replace(
            person=asker,
            who=request.who,
            source=request.source,
            key=_wish_key(request),
            age_s=0.0,  # the question has its own time, and a press that comes again must hear what came of it
            sure=True,
            approved=context.person.name if context.person.name != request.name else "",
        )
        reply = await registry.carry_out(command, asking, request.arguments)
        told = f", approved by {asking.approved}" if asking.approved else ""
        text = f"{_called(request)}{told}:\n{reply.text}"
        return reply._replace(text=text, update=_named(nonce), only=request.kind is not Kind.TWO)

    async def _again(self, asked: Asked, request: Request, context: Context) -> Reply:
        """It was answered. The very message that did it may come again after a crash: the desk knows its key."""
        when = _time(asked.answered or asked.at)
        if asked.answer == "yes" and asked.key == _key(context):
            if self._wall() < asked.expires:
                asker = await aside(self._asker, request)
                void = "" if _begun(request, context) else self._void(request, context, asker)
                if void:
                    return Reply(f"Nothing was done: {void}. Say it again if it is meant.", ok=False)
                return await self._carry_out(request, context, asked.nonce, asker)
            text = (
                f"It was answered at {when}, and the desk stopped meanwhile: /status shows what came of it."
            )
            return Reply(text, ok=False)
        return Reply(f"That was already answered by {asked.by} at {when}: {asked.answer}.", ok=False)

    async def _access(self, context: Context, nonce: str, role: Role | None) -> Reply:
        """An owner's word on a stranger."""
        asked = await aside(self._asks.asked, nonce)
        request = _read(asked) if asked else None
        if asked is None or request is None or request.kind is not Kind.ACCESS:
            return Reply("There is no such question; nothing was done.", ok=False)
        refused = self._may_not(request, context, yes=True, pressed=True)
        if refused is not None:
            return refused
        if asked.answer and asked.key != _key(context):
            return await self._again(asked, request, context)
        if self._wall() >= asked.expires:
            return Reply("That could be answered for a day. /roles grant does the same.", ok=False)
        account = request.who._replace(shown="")
        name = await aside(self._name_for, account, request.name if role else "")
        if not name:
            told = f"{account.surface}:{account.number}"
            return Reply(f"Its name is somebody else's by now. /roles grant {told} <role> <name>", ok=False)
        if not asked.answer and not await self._first(nonce, role.word if role else "no", context):
            return await self._access(context, nonce, role)
        try:
            reply = await change(
                context, Change("grant" if role else "deny", name, role, account), context.key
            )
        except WhydeskError as error:
            return Reply(str(error), ok=False)
        return reply._replace(update=_named(nonce))

    def _name_for(self, account: Who, wished: str) -> str:
        """What it is called from now on; the wished one only while nobody else is; empty where nothing is free."""
        names = (wished, numbered(account))
        return next((each for each in names if each and self._people.may_be(account, each)), "")

    async def _closed(self, asked: Asked, answer: str, context: Context, text: str, kind: Kind) -> Reply:
        if self._wall() >= asked.expires:
            return Reply(f"That could be answered until {_time(asked.expires)}; nothing was done.", ok=False)
        if await self._first(asked.nonce, answer, context):
            only = kind is not Kind.TWO
            return Reply(text, ok=answer != "void", update=_named(asked.nonce), only=only)
        return Reply("Somebody else has answered just now.", ok=False)

    async def _first(self, nonce: str, answer: str, context: Context) -> bool:
        by, at = context.person.name, self._wall()
        return await asyncio.to_thread(self._asks.answer, nonce, answer, by, at, _key(context))


def _how(request: Request, nonce: str, opens: datetime, lasts: float) -> str:
    """What to do about the card."""
    if request.kind is Kind.TAP:
        return f"Yes or no, within {lasts:g} s; or /approve {nonce}"
    if request.kind is Kind.TWO:
        return (
            f"Somebody else with the role {request.role.word} has {lasts:g} s to say yes; or /approve {nonce}"
        )
    if request.kind is Kind.CODE:
        return f"Type {request.code} within {lasts:g} s; or /approve {nonce} {request.code}"
    return (
        f"Nobody else can approve it. Type {request.code}, not before {_time(opens)} and then within {lasts:g} s;"
        f" or /approve {nonce} {request.code}"
    )


def _moved(before: dict[str, Decimal], now: dict[str, Decimal]) -> str:
    """The first price that is too far from the card's; one that is not known any more is."""
    for name, old in before.items():
        new = now.get(name)
        if new is None:
            return f"the price of {name} is not known any more"
        if old <= 0 or abs(new / old - 1) > MOVED:
            return f"{name} went from {price(old)} to {price(new)}, at most {percent(MOVED)} is allowed"
    return ""


def _is_here(request: Request, context: Context) -> bool:
    """Whether the card is here: where it was asked for, or, where nothing could be hidden there, in private."""
    in_private = context.private and context.place.surface == request.place.surface
    return in_private or context.place == request.place


def _not_yours(text: str) -> Reply:
    return Reply(text, ok=False, only=True, denied=Denied.ROLE)


def _registry(context: Context) -> Registry:
    assert context.registry is not None, "the bot gives it"
    return context.registry


def _read(asked: Asked) -> Request:
    return msgspec.json.decode(asked.body, type=Request)


def _called(request: Request) -> str:
    """The wish and whose it is, for what takes the place of the card."""
    return f"/{request.command} {request.arguments}".strip() + f" of {request.name}"


def _wish_key(request: Request) -> str:
    return f"{request.key}-yes"


def _begun(request: Request, context: Context) -> bool:
    """Whether the desk has a record of it: then the position and the state may be what it has made of them."""
    newest = (each.record for each in context.journal.find(kind="command", limit=RECENT))
    return any(
        isinstance(record, CommandRecord)
        and record.source == request.source
        and record.key.startswith(_wish_key(request))
        for record in newest
    )


def _key(context: Context) -> str:
    return f"{context.source} {context.key}"


def _data(verb: str, nonce: str) -> str:
    return f"{PRESSED}:{verb}:{nonce}"


def _named(nonce: str) -> str:
    return f"ask-{nonce}"


def _time(moment: datetime) -> str:
    return f"{moment:%H:%M:%S} UTC"
