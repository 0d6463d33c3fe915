"""What people may ask the engine for, and what came of it."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.core.domain.errors import BadQuestion
from engine.core.domain.order import Side

MOST = Decimal(10) ** 15


class CommandKind(StrEnum):
    """The wishes that change the engine."""

    KILL = "kill"
    FLATTEN = "flatten"
    PAUSE = "pause"
    RESUME = "resume"
    CLOSE = "close"
    ENTER = "enter"
    LOCK = "lock"
    UNLOCK = "unlock"
    LIMIT = "limit"


class Command(msgspec.Struct, frozen=True):
    """A wish: what, by whom, from where, and why. `key` makes a repeated message the same command.

    `at` is when it was said. To enter, and to close a part, it says how much: `quantity` in units or `amount` in the
    account's currency; none of both leaves it to the desk. To lock or unlock, `name` says what; to limit, which setting
    of `risk`, and `value` how far.
    """

    kind: CommandKind
    by: str
    source: str
    key: str
    instrument: str = ""
    reason: str = ""
    side: Side = Side.BUY
    quantity: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    at: datetime | None = None
    name: str = ""
    value: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("quantity", self.quantity), ("amount", self.amount)):
            if not value.is_finite() or not 0 <= value <= MOST:
                raise BadQuestion(f"{name} must be a number from 0 to {MOST:f}, was {value}")
        if self.at is not None and self.at.tzinfo is None:
            raise BadQuestion(f"at must be timezone-aware, was {self.at}")


class Outcome(msgspec.Struct, frozen=True):
    """What the desk did about a command, for the one who asked."""

    accepted: bool
    text: str
    record: str = ""
