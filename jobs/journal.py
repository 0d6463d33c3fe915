"""The chain of records, from the console: export, verify, replay."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from configs.schema.settings import Settings
from engine.core.domain.errors import Refused
from jobs.clocks import WallClock
from jobs.home import Home
from jobs.opened import before_resuming, opened
from jobs.output import show

if TYPE_CHECKING:
    from engine.store.anchors import Examined, Trace


def export(root: Path, settings: Settings) -> None:
    """Every record as one line of JSON."""
    with opened(Home(root), settings) as desk:
        for line in desk.journal.export():
            sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
        sys.stdout.buffer.flush()


def export_orders(root: Path, settings: Settings) -> None:
    """Every order as one line of JSON, with what became of it."""
    from engine.core.accounting.lives import lives

    with opened(Home(root), settings) as desk:
        for life in lives(stored.record for stored in desk.journal.read()).values():
            sys.stdout.buffer.write(msgspec.json.encode(life) + b"\n")
        sys.stdout.buffer.flush()


def verify(root: Path, settings: Settings, given: Sequence[str], key: Path | None, *, as_json: bool) -> int:
    """Walk the chain and hold it against its anchors, those of the home and those `given`; 1 when it does not hold."""
    from engine.store.anchors import examine

    home = Home(root)
    with opened(home, settings) as desk:
        found = examine(desk.journal, _traces(home, settings, given, key))
    chain = found.chain
    show(as_json, _plain(found), _lines(found))
    return 0 if chain.chain_ok and found.anchors_ok else 1


def _traces(home: Home, settings: Settings, given: Sequence[str], key: Path | None) -> list["Trace"]:
    files = [path for path in home.anchors(settings) if path.exists()]
    if not files and not given:
        return []
    from engine.store.anchors import trace_file, trace_line
    from jobs.anchoring import verifying_key

    public = verifying_key(home, key)
    own = [trace_file(path, public) for path in files]
    return own + [
        trace_line(each, public) if each.startswith("whydesk-anchor") else trace_file(Path(each), public)
        for each in given
    ]


def _plain(found: "Examined") -> dict[str, Any]:
    return found.chain._asdict() | {
        "anchors": found.anchors,
        "anchors_ok": found.anchors_ok,
        "first_bad_anchor": found.first_bad,
        "anchor_reason": found.reason,
        "vouched": found.vouched,
        "newest_anchor": found.newest.isoformat() if found.newest else None,
        "accepted": [{"at": each.at, "sequence": each.sequence, "why": each.note} for each in found.accepted],
    }


def _lines(found: "Examined") -> Iterator[str]:
    chain = found.chain
    word = "holds" if chain.chain_ok else f"breaks at record {chain.first_break}: {chain.reason}"
    yield f"{chain.records} records; the chain {word}"
    if found.first_bad is not None:
        yield f"{found.first_bad} does not hold: {found.reason}"
    if found.newest is not None:
        age = spoken((WallClock().now() - found.newest).total_seconds())
        yield (
            f"{found.vouched:,} of {chain.records:,} records are vouched for by {found.vouching:,} signed"
            f" anchor{'s' if found.vouching != 1 else ''}; the newest is {age} old"
        )
    else:
        yield "no record is vouched for: nothing outside the store can show that its end was cut off"
    for each in found.accepted:
        yield f"on {each.at:%Y-%m-%d %H:%M:%S} UTC a person took it as it was, at record {each.sequence:,}: {each.note}"
    yield f"head {chain.head}"


def spoken(seconds: float) -> str:
    """A length of time in its largest unit.

    >>> spoken(40), spoken(7300), spoken(-3)
    ('40 s', '2 h', '0 s')
    """
    for unit, size in (("days", 172_800), ("h", 7200), ("min", 120)):
        if seconds >= size:
            return f"{int(seconds // {'days': 86_400, 'h': 3600, 'min': 60}[unit])} {unit}"
    return f"{max(0, int(seconds))} s"


def anchor(root: Path, settings: Settings, accept: str, *, as_json: bool) -> None:
    """The newest head as a signed line. With `accept` it is also written down, and earlier anchors are set aside."""
    from jobs.anchoring import anchors_of

    home, at = Home(root), WallClock().now()
    with opened(home, settings) as desk:
        anchors = anchors_of(home, desk.settings)
        objection = anchors.objection(desk.journal)
        if objection and not accept:
            raise Refused(before_resuming(objection))
        if accept and not (walked := desk.journal.verify(deep=True)).chain_ok:
            raise Refused(f"the chain breaks at record {walked.first_break}: {walked.reason}")
        head = desk.journal.head()
    wrong = anchors.write(head, at, accept) if accept else []
    if wrong:
        raise Refused("; ".join(wrong))
    made = anchors.checkpoint(head, at)
    value = {"desk": made.desk, "sequence": made.sequence, "link": made.link, "at": made.at, "key": made.key}
    show(as_json, value | {"accepted": accept, "text": made.text()}, [made.text()])


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
