"""The chain of records, from the console: export, verify, replay."""

import sys
from pathlib import Path

import msgspec

from configs.schema.settings import Settings
from jobs.home import Home
from jobs.opened import opened
from jobs.output import show


def export(root: Path, settings: Settings) -> None:
    """Every record as one line of JSON."""
    with opened(Home(root), settings) as desk:
        for line in desk.journal.export():
            sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
        sys.stdout.buffer.flush()


def verify(root: Path, settings: Settings, *, as_json: bool) -> int:
    """Walk the chain; 1 when it does not hold."""
    with opened(Home(root), settings) as desk:
        found = desk.journal.verify(deep=True)
    word = "holds" if found.chain_ok else f"breaks at record {found.first_break}: {found.reason}"
    lines = [f"{found.records} records; the chain {word}", f"head {found.head}"]
    show(as_json, found._asdict(), lines)
    return 0 if found.chain_ok else 1


def replay_all(root: Path, settings: Settings, *, as_json: bool) -> int:
    """Decide everything again; 1 when any decision comes out otherwise."""
    from jobs.replay_day import replay

    with opened(Home(root), settings) as desk:
        found = replay(desk.journal.read())
    lines = [f"{found.records} records, {found.replayed} decisions taken again, {found.mismatches} otherwise"]
    lines += [f"  {record}" for record in found.first_mismatches]
    if found.without_settings:
        lines.append(
            f"{found.without_settings} decisions could not be replayed: their settings are not recorded"
        )
    show(as_json, msgspec.to_builtins(found), lines)
    return 1 if found.mismatches or found.without_settings else 0
