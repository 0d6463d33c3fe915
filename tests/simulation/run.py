"""Many worlds: how they are counted, looked at more closely now and then, and died through at every seam."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine.core.domain.records import decode, encode
from engine.store.journal import SqlJournal
from jobs.replay_day import replay
from tests.simulation.market import remember_features
from tests.simulation.world import Found, World

EVERY = 25
"""One world in so many is written into a real journal, read again, and its decisions are taken again."""
QUIET_DAY = frozenset({"partial fill", "invisible", "trades told late"})
REGRESSIONS = Path(__file__).with_name("regressions.txt")
COUNTED = ("orders", "fills", "crashes", "passages", "commands", "records")


def examine(seed: int, *, told: bool = False) -> Found:
    """One world, and once in a while everything about its journal."""
    remember_features()
    world = World(seed, told=told)
    found = world.run()
    if seed % EVERY == 0:
        found = found._replace(violations=found.violations + journal_flaws(world))
    return found


def journal_flaws(world: World) -> tuple[str, ...]:
    """What a real journal, a reader and a second decision find in what the world wrote."""
    records = [stored.record for stored in world.disk.records]
    flaws = [
        f"I10: {each.id} is not read as it was written" for each in records if decode(encode(each)) != each
    ]
    with tempfile.TemporaryDirectory() as folder:
        journal = SqlJournal(Path(folder) / "desk.sqlite3", synchronous="NORMAL")
        try:
            journal.append_many(records)
            walked = journal.verify(deep=True)
            if not walked.chain_ok or walked.records != len(records):
                flaws.append(f"I10: {walked.reason or 'the journal holds another number of records'}")
            if walked.head != world.disk.walk().head:
                flaws.append("I10: the real journal makes another chain of the same records")
        finally:
            journal.close()
    again = replay(world.disk.records)
    if again.mismatches or again.without_settings:
        flaws.append(f"I12: decided otherwise when decided again: {again.first_mismatches[:3]}")
    return tuple(flaws)


def die_everywhere(seed: int) -> tuple[int, list[str]]:
    """One quiet day over and over, each time with the end of the process at the next seam: how many, and what broke."""
    remember_features()
    whole = World(seed, only=QUIET_DAY, people=seed % 2 == 1).run()
    broken = [f"undisturbed: {violation}" for violation in whole.violations]
    for die_at in range(1, whole.passages + 1):
        found = World(seed, only=QUIET_DAY, people=seed % 2 == 1, die_at=die_at).run()
        broken += [
            f"killed at passage {die_at} ({', '.join(found.spots)}): {each}" for each in found.violations
        ]
    return whole.passages, broken


def figures(worlds: Iterable[Found]) -> dict[str, Any]:
    """Sums over worlds."""
    seen = list(worlds)
    total: dict[str, Any] = {"simulated worlds": len(seen)}
    for name in COUNTED:
        total[f"simulated {name}"] = sum(getattr(found, name) for found in seen)
    total["simulated hours"] = round(sum(found.seconds for found in seen) / 3600)
    total["simulated violations"] = sum(len(found.violations) for found in seen)
    return total


def failures(worlds: Iterable[Found]) -> list[str]:
    """One line for each world that broke a promise, with what to type to see it again."""
    return [
        f"python -m tests.simulation {found.seed}   # {found.violations[0]}"
        for found in worlds
        if found.violations
    ]


def regressions() -> list[tuple[int, str]]:
    """Seeds that once found something, and what it was."""
    rows = [line for line in REGRESSIONS.read_text().splitlines() if line and not line.startswith("#")]
    return [(int(number), reason.strip()) for number, _, reason in (row.partition(" ") for row in rows)]
