"""What people may ask the engine for, and what came of it."""

from enum import StrEnum

import msgspec


class CommandKind(StrEnum):
    """The wishes that change the engine."""

    KILL = "kill"
    FLATTEN = "flatten"
    RESUME = "resume"
    CLOSE = "close"


class Command(msgspec.Struct, frozen=True):
    """A wish: what, by whom, from where, and why. `key` makes a repeated message the same command."""

    kind: CommandKind
    by: str
    source: str
    key: str
    instrument: str = ""
    reason: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """What the desk did about a command, for the one who asked."""

    accepted: bool
    text: str
    record: str = ""
