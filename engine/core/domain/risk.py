"""What a risk check says, what an approval is, and the state that limits are measured against."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.core.domain.order import Side


class TradingState(StrEnum):
    """ACTIVE trades, REDUCING only closes, HALTED sends nothing that adds risk and takes no decisions."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class Check(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One question that was asked, in the order asked, with the number and the limit.

    `operator` says how `value` must stand to `limit`; `headroom` is how far it is on the good side
    (negative: how far from a yes), in the unit of the value; `key` is the setting that holds the limit.
    """

    name: str
    tier: str
    value: float
    limit: float
    operator: str
    passed: bool
    headroom: float
    unit: str
    key: str


def at_most(name: str, tier: str, value: float, limit: float, unit: str, key: str) -> Check:
    """A check that holds while `value` does not exceed `limit`."""
    value, limit = (
        float(value),
        float(limit),
    )  # counts come as integers; a record must decode to what was encoded
    return Check(name, tier, value, limit, "<=", value <= limit, limit - value, unit, key)


def at_least(name: str, tier: str, value: float, limit: float, unit: str, key: str) -> Check:
    """A check that holds while `value` reaches `limit`."""
    value, limit = float(value), float(limit)
    return Check(name, tier, value, limit, ">=", value >= limit, value - limit, unit, key)


class SizingStep(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One step between the wish and the quantity: shares of equity before and after, and why."""

    name: str
    before: float
    after: float
    bound: bool
    reason: str


class Size(msgspec.Struct, frozen=True, gc=False):
    """How much: the steps, the rounded quantity, and which step had the last word."""

    quantity: Decimal
    weight: float
    bound_by: str
    steps: tuple[SizingStep, ...]


class Approved(msgspec.Struct, frozen=True, gc=False):
    """The only thing that orders are planned from. Made by `core/risk/review.py` alone."""

    decision: str
    instrument: str
    side: Side
    quantity: Decimal
    reduce_only: bool


class Review(msgspec.Struct, frozen=True, gc=False):
    """Every check that was made, the first that failed, and the approval if none did."""

    checks: tuple[Check, ...]
    approved: Approved | None
    refused_by: str = ""


class NearMiss(msgspec.Struct, frozen=True, gc=False):
    """For a decision that did not trade: the failed check that was nearest to a yes, and by how much."""

    check: str
    gap: float
    relative: float
    unit: str


class Entry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An entry that was approved: what patterns of entries are seen in. `price` is the close it was reviewed at."""

    at: datetime
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    by_person: bool


class Lock(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Something that nothing new is opened in, or that is not heard, until somebody unlocks it."""

    since: datetime
    by: str
    why: str


class GridEntry(msgspec.Struct, frozen=True, gc=False):
    """An entry of a grid that is on its way or has filled. `price` is the close it was reviewed at."""

    decision: str
    price: Decimal
    quantity: Decimal
    filled: bool = False


class GridRun(msgspec.Struct, frozen=True, gc=False):
    """A declared grid that has begun: `equity` is what its risk is a share of, until it begins anew.

    `stop` and `target` are those of the whole position, fixed by its first entry. `lost` is what earlier positions of
    it lost, costs included; what others earned is not set against that. It is `over` once anything was sold at its
    stop or below.
    """

    begun: datetime
    equity: Decimal
    stop: Decimal
    target: Decimal
    entries: tuple[GridEntry, ...] = ()
    lost: Decimal = Decimal(0)
    over: bool = False


class RiskState(msgspec.Struct, frozen=True, gc=False):
    """What the limits are measured against. Changed only by the fold over the records."""

    trading: TradingState = TradingState.ACTIVE
    since: datetime | None = None
    by: str = ""
    why: str = ""
    flatten: bool = False
    """While halted: close what is held as well."""
    day: str = ""
    last_equity: Decimal = Decimal(0)
    day_equity: Decimal = Decimal(0)
    high_water: Decimal = Decimal(0)
    day_entries: int = 0
    day_turnover: Decimal = Decimal(0)
    instrument_entries: dict[str, int] = {}
    losses_in_a_row: int = 0
    last_loss: datetime | None = None
    last_exit: dict[str, datetime] = {}
    holds: dict[str, str] = {}
    """Why nothing new is opened for now, by name: a silent venue, an account that does not add up, a wrong clock.

    A hold on one instrument alone has its name behind a space.
    """
    locks: dict[str, Lock] = {}
    """What a person has to unlock again, by name: an instrument, an alpha, `manual` for what persons enter, or `venue`
    for everything."""
    limits: dict[str, float] = {}
    """Settings of `risk` that somebody has tightened since the start of the desk, by name."""
    recent: tuple[Entry, ...] = ()
    """Entries of the newest day or `pattern_bars`, oldest first."""
    bar_losses: int = 0
    """Bars of the day that lost more than `risk.max_bar_loss`."""
    last_bar_loss: datetime | None = None
    """The newest of them; forgotten once a trade that began after it has won."""
    bar_loss_streak: int = 0
    """How many there were until that."""
    last_losses: dict[str, datetime] = {}
    """When the newest trade of an instrument closed, where it lost."""
    grids: dict[str, GridRun] = {}
    """The grids that have begun, by instrument."""

    def against(self, instrument: str) -> list[str]:
        """The holds that stand against an entry in `instrument`, in words.

        >>> RiskState(holds={"clock": "off", "refused BTC/USDT": "no"}).against("ETH/USDT")
        ['off']
        """
        return [why for name, why in self.holds.items() if name.partition(" ")[2] in ("", instrument)]
