"""/whoami and /roles: who somebody is, who may do what, and how owners change it."""

import asyncio
from typing import NamedTuple

from bot.command import Card, ChatCommand, Confirm, Context, Effect, Reply
from bot.people import ROLES, SURFACES, Entry, People, Role, Who, aside
from engine.core.domain.errors import BadQuestion, Refused
from engine.core.domain.ids import record_id
from engine.core.domain.records import CommandRecord

USAGE = (
    "/roles lists who may do what. /roles grant <account or name> <role> [name], /roles revoke <name>,"
    " /roles link <name> telegram|discord <account> change it."
)
LARGEST = 2**63 - 1


class Change(NamedTuple):
    """What is to become of a name. `role` is None to take it away; `account` is given to it, if any."""

    kind: str
    name: str
    role: Role | None
    account: Who | None = None


def who_is(who: Who, person: str) -> str:
    """Their own account, for whoever has to write it into a profile."""
    return f"You are {who.surface} account {who.number}: {person}"


async def _whoami(context: Context, arguments: str) -> Reply:
    person = context.person
    return Reply(who_is(context.who, f"{person.name}, {person.role.word}."), only=True)


async def _roles(context: Context, arguments: str) -> Reply:
    people = _people(context)
    if not arguments and context.place.surface == "telegram" and not context.private:
        return Reply(IN_PRIVATE, ok=False)
    if not arguments:
        return Reply("\n".join(_line(entry) for entry in await aside(people.everybody)) or NOBODY, only=True)
    return await change(context, await aside(_read, context, arguments), context.key)


IN_PRIVATE = "Who may do what is told in private only, and here everybody would read it: ask me there."
NOBODY = "Nobody is named, so nobody but this machine's terminal is heard. /roles grant telegram:<account> owner <name>"


async def change(context: Context, wanted: Change, key: str) -> Reply:
    """Make the change and write down who did."""
    people, at = _people(context), context.now()
    if wanted.kind == "link" and wanted.account is not None:
        await asyncio.to_thread(people.link, wanted.account, wanted.name, context.person.name, at)
    else:
        by = context.person.name
        await asyncio.to_thread(people.grant, wanted.name, wanted.role, by, at, wanted.account)
    text = _said(wanted)
    if context.remember is not None:
        await context.remember(
            CommandRecord(
                id=record_id("cmd", at, wanted.kind, context.source, key),
                at=at,
                kind=wanted.kind,
                by=context.person.name,
                source=context.source,
                key=key,
                instrument="",
                reason="",
                accepted=True,
                text=text,
                risk=None,
            )
        )
    return Reply(f"{text[:1].upper()}{text[1:]}.")


def _said(wanted: Change) -> str:
    account = f", at {wanted.account.surface} account {wanted.account.number}" if wanted.account else ""
    if wanted.kind == "link":
        return f"{wanted.name} is heard{account}"
    if wanted.kind == "deny":
        return f"{wanted.name} gets no role{account}"
    if wanted.role is None:
        return f"{wanted.name} has no role from the next message on"
    return f"{wanted.name} is {wanted.role.word}{account}"


def _preview(context: Context, arguments: str) -> Card | Reply | None:
    """Whatever lets somebody do more is confirmed; looking and taking away are not."""
    if not arguments:
        return None
    wanted = _read(context, arguments)
    if wanted.kind == "revoke":
        return None
    people = _people(context)
    before, heard = people.role(wanted.name), _accounts(people.heard(wanted.name, wanted.account))
    facts = {
        f"the role of {wanted.name}": before.word if before else "none",
        f"the list of accounts of {wanted.name}": heard,
    }
    text = f"From now on {_said(wanted)}. Before: {before.word if before else 'no role'}. Heard: {heard}."
    return Card(Confirm.CODE, text, Role.OWNER, facts, {})


def _read(context: Context, arguments: str) -> Change:
    """The change that is asked for; BadQuestion when it is none."""
    verb, *words = arguments.split()
    people = _people(context)
    names = {entry.name for entry in people.everybody()}
    if verb == "revoke" and len(words) == 1:
        return Change("revoke", _but_the_only_owner(context, _one_of(words[0], names)), None)
    if verb == "link" and len(words) == 3:
        return Change("link", _one_of(words[0], names), None, _account(context, f"{words[1]}:{words[2]}"))
    if verb == "grant" and len(words) in (2, 3):
        role = ROLES.get(words[1])
        if role is None:
            raise BadQuestion(f"{words[1][:32]!r} is no role: expected one of {', '.join(ROLES)}")
        if words[0] in names and len(words) == 2:
            name = words[0] if role is Role.OWNER else _but_the_only_owner(context, words[0])
            return Change("grant", name, role)
        account = _account(context, words[0])
        return Change("grant", words[2] if len(words) == 3 else people.new_name(account), role, account)
    raise BadQuestion(USAGE)


def _one_of(name: str, names: set[str]) -> str:
    if name not in names:
        raise BadQuestion(f"nobody is called {name[:32]!r}. Known: {', '.join(sorted(names)) or 'nobody'}")
    return name


def _but_the_only_owner(context: Context, name: str) -> str:
    """A chat in which nobody is owner any more could be mended from nowhere but the desk's terminal."""
    owners = {entry.name for entry in _people(context).everybody() if entry.role is Role.OWNER}
    if owners == {name} and not context.sure:
        raise BadQuestion(
            f"{name} is the only owner: make another one first, or say it at the desk's own terminal,"
            f' whydesk cmd "/roles revoke {name}"'
        )
    return name


def _account(context: Context, text: str) -> Who:
    """`telegram:123`, or a number alone where it is clear of which platform: the one that is spoken from."""
    surface, colon, number = text.rpartition(":")
    surface = surface if colon else context.who.surface
    plain = number.isascii() and number.isdigit() and len(number) <= 19 and 0 < int(number) <= LARGEST
    if surface not in SURFACES or not plain:
        raise BadQuestion(
            f"{text[:40]!r} is neither a known name nor an account: expected a number such as telegram:123456"
        )
    return Who(surface, int(number))


def _line(entry: Entry) -> str:
    role = entry.role.word if entry.role else "no role"
    return f"{entry.name}: {role}, said by {entry.by}; {_accounts(entry.accounts)}"


def _accounts(accounts: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{surface} {number}" for surface, number in accounts) or "no account"


def _people(context: Context) -> People:
    if context.people is None:
        raise Refused("who is who is not known here")
    return context.people


COMMANDS = (
    ChatCommand(
        "whoami",
        None,
        "/whoami",
        "Your own account number and role.",
        _whoami,
        aliases=("tg_info",),
    ),
    ChatCommand(
        "roles",
        Role.OWNER,
        "/roles [grant|revoke|link ...]",
        "Who may do what; give a role, take it away, add an account.",
        _roles,
        effect=Effect.MORE,
        stale_s=30,
        confirm=Confirm.CODE,
        confirmed="to grant or link; to revoke and to look, none",
        preview=_preview,
        examples=(
            "/roles grant 123456 trader tom",
            "/roles grant tom admin",
            "/roles revoke tom",
            "/roles link tom discord 987654",
        ),
    ),
)
