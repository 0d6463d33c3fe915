"""Tier 1, beyond the single order: what a row of entries looks like. Ladders, grids and doubling up are refused; the
one exception is the grid that an instrument may have (`grid`).

A desk that buys more of what falls, or turns at every tick, wins often and loses all at once. Each entry of it looks
harmless; so the newest entries are kept (`RiskState.recent`) and looked at together.
"""

import itertools
from collections.abc import Container, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from configs.schema.desk import TIMEFRAME_MS
from configs.schema.settings import Settings
from engine.core.domain.order import Side
from engine.core.domain.risk import Approved, Check, Entry, Lock, Review, RiskState, at_most
from engine.core.risk.case import COUNT, Case
from engine.core.risk.grid import grid_checks

TIER = "position"
AT_ONCE = "entries at once"
PACE = {AT_ONCE, "entries in instrument", "daily entries"}
"""What refuses an entry for nothing but those before it."""
MANUAL, VENUE = "manual", "venue"
"""The locks on what persons enter, and on whatever goes to the venue."""
BREAKER = "breaker"
"""Who locked or halted, when it was nobody."""
SAME_SIZE = Decimal("0.01")
MOST = 256
"""Entries that are kept at most."""
_DAY = timedelta(days=1)


def pattern_checks(case: Case) -> tuple[Check, ...]:
    """Repetitions, ladders, flips and doubling up, seen from the entries before this one."""
    limits, own = case.settings.risk, _own(case)
    at_once, repeated, rungs, flips, doubling = 1, 0, 1, 0, 0.0
    if own:  # mostly there is none, and a moment is dear
        lately = _since(own, case.as_of - _window(case.settings))
        alike = [entry for entry in own if entry.side is case.side]
        at_once += len(_since(alike, case.as_of - timedelta(minutes=limits.entries_within_min)))
        repeated = _duplicates(case, _since(alike, case.as_of - timedelta(seconds=limits.duplicate_s)))
        rungs, flips, doubling = _rungs(case, lately), _flips(case, lately), _doubling(case, lately)
    return (
        at_most(
            "entries at once",
            TIER,
            at_once,
            limits.max_entries_at_once,
            COUNT,
            "risk.max_entries_at_once",
        ),
        at_most(
            "duplicate order",
            TIER,
            repeated,
            0,
            COUNT,
            "risk.duplicate_s",
        ),
        *_down(case, rungs),
        at_most("flips", TIER, flips, limits.max_flips, COUNT, "risk.max_flips"),
        at_most(
            "size after a loss",
            TIER,
            doubling,
            limits.max_size_after_loss,
            "times",
            "risk.max_size_after_loss",
        ),
    )


def _down(case: Case, rungs: int) -> tuple[Check, ...]:
    """Buying more of what falls: not at all beyond a few entries, or within a grid whose whole risk is fixed."""
    grid = case.grid
    if grid is not None:
        return grid_checks(case, grid)
    return (at_most("ladder", TIER, rungs, case.settings.risk.max_ladder, COUNT, "risk.max_ladder"),)


def count_entry(
    risk: RiskState, approved: Approved, price: Decimal, at: datetime, settings: Settings, *, by_person: bool
) -> RiskState:
    """The state with an approved entry among the newest; those that no check can see any more go."""
    entry = Entry(at, approved.instrument, approved.side, approved.quantity, price, by_person)
    return replace(risk, recent=(*_since(risk.recent, at - _horizon(settings)), entry)[-MOST:])


def too_often(verdict: Review) -> bool:
    """Whether an entry was refused for coming too soon after others, and for nothing else."""
    failed = {check.name for check in verdict.checks if not check.passed}
    return AT_ONCE in failed and failed <= PACE


def locked(case: Case) -> RiskState:
    """The state after a desk that enters too often in one place was refused: locked there, for a person to look at."""
    limits, name = case.settings.risk, MANUAL if case.by_person else case.observation.instrument
    why = (
        f"{limits.max_entries_at_once} entries in {case.observation.instrument} within"
        f" {limits.entries_within_min:g} minutes, and one more was wanted (risk.max_entries_at_once)"
    )
    lock = case.risk.locks.get(name) or Lock(case.as_of, BREAKER, why)
    return replace(case.risk, locks=case.risk.locks | {name: lock})


def locks_against(locks: Container[str], instrument: str, *, by_person: bool) -> list[str]:
    """The names of those locks that stand against an entry in `instrument`."""
    names = (VENUE, instrument, MANUAL) if by_person else (VENUE, instrument)
    return [name for name in names if name in locks]


def _own(case: Case) -> list[Entry]:
    """The entries in the instrument that some check can still see."""
    recent, name = case.risk.recent, case.observation.instrument
    if not recent:
        return []
    since = case.as_of - _horizon(case.settings)
    return [entry for entry in recent if entry.instrument == name and entry.at > since]


def _window(settings: Settings) -> timedelta:
    return timedelta(milliseconds=settings.risk.pattern_bars * TIMEFRAME_MS[settings.desk.timeframe])


def _horizon(settings: Settings) -> timedelta:
    """How far back any check looks: none but those of the window further than a day."""
    return max(_DAY, _window(settings))


def _since(entries: Sequence[Entry], moment: datetime) -> list[Entry]:
    return [entry for entry in entries if entry.at > moment]


def _duplicates(case: Case, entries: Sequence[Entry]) -> int:
    return sum(abs(entry.quantity - case.quantity) <= SAME_SIZE * entry.quantity for entry in entries)


def _rungs(case: Case, entries: Sequence[Entry]) -> int:
    """How many entries in a row, this one included, each at a worse price for the direction than the one before."""
    rungs, price = 1, case.observation.bar.close
    for entry in reversed(entries):
        if entry.side is not case.side or case.side.sign * (entry.price - price) <= 0:
            break
        rungs, price = rungs + 1, entry.price
    return rungs


def _flips(case: Case, entries: Sequence[Entry]) -> int:
    sides: list[Side] = [*(entry.side for entry in entries), case.side]
    return sum(one is not next_ for one, next_ in itertools.pairwise(sides))


def _doubling(case: Case, entries: Sequence[Entry]) -> float:
    """This entry's worth as a multiple of the newest that closed with a loss; 0 where the newest trade won."""
    lost = case.risk.last_losses.get(case.observation.instrument)
    own = [entry for entry in entries if lost is not None and entry.at <= lost]
    if not own:
        return 0.0
    before = own[-1].quantity * own[-1].price
    return float(case.quantity * case.observation.bar.close / before) if before > 0 else 0.0
