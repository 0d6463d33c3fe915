"""Who may do what. A role includes the ones before it; nobody without a role is answered."""

from enum import IntEnum
from typing import NamedTuple


class Role(IntEnum):
    """Viewers ask, traders stop and close, owners let the desk trade again."""

    VIEWER = 1
    TRADER = 2
    OWNER = 3

    @property
    def word(self) -> str:
        """As people write it."""
        return self.name.lower()


class Person(NamedTuple):
    """Somebody who talks to the desk."""

    name: str
    role: Role


CONSOLE = Person("console", Role.OWNER)
"""Whoever can type at the desk's own terminal could also stop its process."""
