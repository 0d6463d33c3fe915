"""Who may do what. A role includes the ones before it; nobody without a role is answered.

Accounts are told apart by their numbers, never by the names that they show. The profile names people; what owners say
in a chat is kept in the store and is newer than the profile. Both are read anew at every message: who is revoked is
nobody from the next one on.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

from configs.schema.chat import RESERVED, ChatSettings
from engine.core.domain.errors import Refused
from engine.ports import Asks, Known, Linked

_Value = TypeVar("_Value")
_LOOKING = ThreadPoolExecutor(4, "people")


async def aside(look: Callable[..., _Value], *values: Any) -> _Value:
    """Look something up beside the loop, at most four at once: the engine waits for no store of a chat."""
    return await asyncio.get_running_loop().run_in_executor(_LOOKING, look, *values)


class Role(IntEnum):
    """Viewers ask, traders stop and close, admins let the desk trade again, owners say who is what."""

    VIEWER = 1
    TRADER = 2
    ADMIN = 3
    OWNER = 4

    @property
    def word(self) -> str:
        """As people write it."""
        return self.name.lower()


class Who(NamedTuple):
    """An account at a platform: its number, which never changes, and the name it shows, which proves nothing."""

    surface: str
    number: int
    shown: str = ""


class Person(NamedTuple):
    """Somebody who talks to the desk, from whichever account."""

    name: str
    role: Role


CONSOLE = Person("console", Role.OWNER)
"""Whoever can type at the desk's own terminal could also stop its process."""
TERMINAL = Who("console", 0, "console")
"""The account of whoever types there."""
SURFACES = ("telegram", "discord")
"""Where people have accounts."""
ROLES = {role.word: role for role in Role}
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_NUMBERED = re.compile(rf"({'|'.join(SURFACES)})-[0-9]+")


class Entry(NamedTuple):
    """What is known of a name: the role, None when it was taken away, who said so, and the accounts."""

    name: str
    role: Role | None
    by: str
    accounts: tuple[tuple[str, int], ...]


class People:
    """Who is who: the profile's people, and what was said in chats since."""

    def __init__(self, settings: ChatSettings, asks: Asks | None = None) -> None:
        self._settings = settings
        self._asks = asks

    def of(self, who: Who) -> Person | None:
        """Whose account it is, if they have a role. StoreFailed when that cannot be looked up."""
        if who.surface == TERMINAL.surface:
            return CONSOLE
        name = self._named(who.surface, who.number)
        role = self.role(name) if name else None
        return Person(name, role) if role else None

    def by_profile(self, who: Who) -> Person | None:
        """Whose account it is by the profile alone, for what must not wait for a store."""
        if who.surface == TERMINAL.surface:
            return CONSOLE
        found = (each for each in self._settings.people if _number(each, who.surface) == who.number != 0)
        person = next(found, None)
        return Person(person.name, ROLES[person.role]) if person else None

    def role(self, name: str) -> Role | None:
        """The role of a name; None for nobody, and for somebody whose role was taken away."""
        return next((entry.role for entry in self.everybody() if entry.name == name), None)

    def everybody(self) -> tuple[Entry, ...]:
        """All names, by name."""
        roles = {person.name: (ROLES.get(person.role), "the profile") for person in self._settings.people}
        if self._asks is not None:
            roles |= {known.name: (ROLES.get(known.role), known.by) for known in self._asks.known()}
        accounts = self._accounts()
        return tuple(
            Entry(name, role, by, tuple(each for each, whose in accounts.items() if whose == name))
            for name, (role, by) in sorted(roles.items())
        )

    def grant(self, name: str, role: Role | None, by: str, at: datetime, account: Who | None = None) -> None:
        """Give somebody a role, or take it away, and an account with it. Refused before anything is changed."""
        _check_name(name)
        if account is not None:
            self._check_account(account, name)
            self._give(account, name, by, at)
        self._store.set_role(Known(name, role.word if role else "", by, at))

    def _give(self, account: Who, name: str, by: str, at: datetime) -> None:
        """Accounts of a name that has no role do not come back as somebody else: they are their numbers from now on."""
        for surface, number in set(self._accounts_of(name)) - set(self.heard(name, account)):
            own = numbered(Who(surface, number))
            self._store.set_role(Known(own, "", by, at))
            self._store.link(Linked(surface, number, own, by, at))
        self._store.link(Linked(account.surface, account.number, name, by, at))

    def heard(self, name: str, account: Who | None = None) -> tuple[tuple[str, int], ...]:
        """The accounts that are heard as that name once it has a role, and this account with it."""
        theirs = self._accounts_of(name)
        if account is None:
            return theirs
        if self.role(name) is None:
            theirs = tuple(each for each in theirs if self.by_profile(Who(*each)))
        return tuple(sorted({*theirs, (account.surface, account.number)}))

    def link(self, account: Who, name: str, by: str, at: datetime) -> None:
        """Give somebody another account. Refused when it is somebody else's."""
        _check_name(name)
        self._check_account(account, name)
        self._give(account, name, by, at)

    def _check_account(self, account: Who, name: str) -> None:
        """It is nobody's, or theirs already, or of somebody who has no role and whom the profile does not name."""
        whose, what = (
            self._named(account.surface, account.number),
            f"{account.surface} account {account.number}",
        )
        if whose and whose != name and self.by_profile(account):
            raise Refused(f"{what} is {whose}'s by the profile, and stays so")
        if whose and whose != name and self.role(whose):
            raise Refused(f"{what} is {whose}'s: /roles revoke {whose} first")
        if _NUMBERED.fullmatch(name) and name != numbered(account) and name not in self._names():
            raise Refused(f"{name} is the name of another account")

    def name_of(self, who: Who) -> str:
        """The name that an account was given, also to say no to it; empty for one that was never spoken of."""
        return self._named(who.surface, who.number)

    def new_name(self, who: Who, taken: frozenset[str] = frozenset()) -> str:
        """The name of an account: the one that it has; else what it shows if nobody has or had it; else its number.

        `taken` is what cannot be had besides.
        """
        known = self.name_of(who)
        if known:
            return known
        shown = re.sub(r"[^a-z0-9_-]", "", who.shown.casefold())[:32]
        free = _NAME.fullmatch(shown) and not _NUMBERED.fullmatch(shown)
        return shown if free and shown not in self._names() | taken else numbered(who)

    def may_be(self, who: Who, name: str) -> bool:
        """Whether a new account can have that name and be nobody else by it."""
        return self.name_of(who) == name or name not in self._names()

    def _names(self) -> set[str]:
        """All that somebody has or had."""
        return {entry.name for entry in self.everybody()} | set(self._accounts().values()) | RESERVED

    def _accounts_of(self, name: str) -> tuple[tuple[str, int], ...]:
        return tuple(each for each, whose in sorted(self._accounts().items()) if whose == name)

    @property
    def _store(self) -> Asks:
        if self._asks is None:
            raise Refused("who is who cannot be changed here: nothing is kept")
        return self._asks

    def _named(self, surface: str, number: int) -> str:
        return self._accounts().get((surface, number), "") if number else ""

    def _accounts(self) -> dict[tuple[str, int], str]:
        """Whose each account is. The profile, which only whoever runs the desk can write, is asked first."""
        said = self._asks.linked() if self._asks is not None else ()
        profile = {
            (surface, _number(person, surface)): person.name
            for person in self._settings.people
            for surface in SURFACES
            if _number(person, surface)
        }
        return {(each.surface, each.number): each.name for each in said} | profile


def numbered(who: Who) -> str:
    """The name that no account can choose: of whoever is denied, and of whoever shows none that is free."""
    return f"{who.surface}-{who.number}"


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise Refused(
            f"{name[:32]!r} is no name: expected a letter, then letters, digits, - and _, such as ana"
        )


def _number(person: object, surface: str) -> int:
    return int(getattr(person, surface, 0)) if surface in SURFACES else 0


class Pace:
    """How often something may happen for one key, over a sliding time. It remembers a bounded number of keys."""

    MOST_KEYS = 1000

    def __init__(self, most: int, within: timedelta) -> None:
        self._most = most
        self._within = within
        self._seen: OrderedDict[object, list[datetime]] = OrderedDict()

    def count(self, key: object, now: datetime) -> int:
        """Note it; how often it has happened within the time, this once included."""
        times = [at for at in self._seen.pop(key, []) if now - self._within < at <= now]
        self._seen[key] = [*times[-self._most :], now]
        while len(self._seen) > self.MOST_KEYS:
            self._seen.popitem(last=False)
        return len(times) + 1

    def allows(self, key: object, now: datetime) -> bool:
        """Whether it may happen now; if so it is noted."""
        times = [at for at in self._seen.get(key, []) if now - self._within < at <= now]
        return len(times) < self._most and bool(self.count(key, now))
