"""What is new since the last start: other code, other settings, other models. It may not trade before it was looked at.

The newest decisions are taken again from their records by the code that runs now. Where one comes out otherwise, or a
limit has become much wider, nothing new is opened until a person resumes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import asdict, replace

from configs.schema.risk import RiskSettings
from engine.core.domain.errors import BadSettings
from engine.core.domain.ids import record_id
from engine.core.domain.order import OrderRequest
from engine.core.domain.records import (
    CycleRecord,
    CycleResult,
    IncidentRecord,
    OutcomeKind,
    Record,
    StartRecord,
)
from engine.core.domain.risk import RiskState, TradingState
from engine.core.pipeline import decide
from engine.core.risk.limits import NAMES, allows_more
from engine.live.holds import CHANGE
from engine.ports import Journal

STARTS = 1000
TAKEN_AGAIN = 100
"""So many of the newest decisions are taken again."""
MUCH = 5.0
"""A limit that is so many times as wide is looked at by a person: it may be a slip of a digit, or of a unit."""


class Change(NamedTuple):
    """What changed, in words; `for_a_person` is why somebody must look first, empty when nobody need."""

    text: str
    for_a_person: str


def look_at_change(
    before: Record, now: StartRecord, journal: Journal, risk: RiskState
) -> list[IncidentRecord]:
    """What is to be written down with the start: what is new, and the hold where a person must look at it first."""
    assert isinstance(before, StartRecord), "it was asked for by its kind"
    newest = [stored.record for stored in journal.find(kind="cycle", limit=TAKEN_AGAIN)]
    starts = [stored.record for stored in journal.find(kind="start", limit=STARTS)]
    made_with = {start.settings_hash: start for start in starts if isinstance(start, StartRecord)}
    found = change(before, now, [each for each in newest if isinstance(each, CycleRecord)], made_with)
    if found is None:
        return []
    held = None
    if found.for_a_person:
        why = f"{found.for_a_person}; /resume says that it was looked at"
        held = replace(risk, holds=risk.holds | {CHANGE: why})
    return [IncidentRecord(record_id("i", now.at, CHANGE, now.id), now.at, CHANGE, found.text, {}, held)]


def change(
    before: StartRecord,
    now: StartRecord,
    cycles: Sequence[CycleRecord],
    made_with: Mapping[str, StartRecord],
) -> Change | None:
    """What is new in `now`, None when nothing is. `cycles` are the newest decisions, `made_with` the starts that their
    settings are in, by hash."""
    parts = [
        words
        for words, differs in (
            ("code", before.code_version != now.code_version),
            ("settings", before.settings_hash != now.settings_hash),
            ("models", before.models != now.models),
        )
        if differs
    ]
    if not parts:
        return None
    text = f"new since {before.id}: {', '.join(parts)}"
    try:
        wider = widened(before.settings().risk, now.settings().risk)
    except BadSettings as error:
        return Change(text, f"what ran before cannot be compared: {error}")
    differences = [_difference(record, made_with.get(record.settings_hash)) for record in cycles]
    otherwise = [words for words in differences if words]
    text = f"{text}; of {len(cycles)} decisions taken again {len(otherwise)} came out otherwise"
    reasons = []
    if otherwise:
        reasons.append(f"{len(otherwise)} of {len(cycles)} decisions come out otherwise now: {otherwise[0]}")
    if wider:
        reasons.append("much wider limits: " + ", ".join(wider))
    return Change(text, "; ".join(reasons))


def _difference(record: CycleRecord, start: StartRecord | None) -> str:
    """What the code that runs now does otherwise than what was done; empty where it does the same."""
    if start is None:
        return f"{record.id} was made with settings that no start tells"
    try:
        again = decide(record.inputs(start.settings()))
    except Exception as error:  # noqa: BLE001 - whatever new code does to an old record, a person looks at it
        return f"{record.id} cannot be taken again: {error}"
    return "" if _done(again) == _done(record.result) else f"{record.id} comes out otherwise"


def _done(result: CycleResult) -> tuple[OutcomeKind, tuple[OrderRequest, ...], TradingState, list[str]]:
    """What a decision does. A check or a step that is new and changes nothing of it needs nobody's look."""
    return result.outcome, result.orders, result.risk.trading, sorted(result.risk.locks)


def widened(before: RiskSettings, now: RiskSettings) -> list[str]:
    """Limits that allow at least `MUCH` times as much as they did, in words.

    >>> widened(RiskSettings(max_order_value=0.05), RiskSettings(max_order_value=0.25))
    ['risk.max_order_value from 0.05 to 0.25']
    """
    old, new = asdict(before), asdict(now)
    found = []
    for name in NAMES:
        low, high = sorted((float(old[name]), float(new[name])))
        if allows_more(name, float(new[name]), float(old[name])) and high >= MUCH * low:
            found.append(f"risk.{name} from {old[name]:g} to {new[name]:g}")
    for grid in now.grids:
        was = before.grid(grid.instrument)
        if was is not None and grid.max_risk >= MUCH * was.max_risk:
            found.append(
                f"risk.grids.max_risk of {grid.instrument} from {was.max_risk:g} to {grid.max_risk:g}"
            )
    return found
