"""Who may do what. A role includes the ones before it; nobody without a role is answered."""

from enum import IntEnum
from typing import NamedTuple


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
