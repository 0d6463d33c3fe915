"""What is new since the last start: other code, other settings, other models. It may not trade before it was looked at.

The newest decisions are taken again from their records by the code that runs now. Where one comes out otherwise, or a
limit has become much wider, nothing new is opened until a person resumes.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import asdict

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
from engine.core.pipeline import decide
from engine.core.risk.limits import NAMES, allows_more
from engine.live.holds import CHANGE, Holds
from engine.live.writer import Writer
from engine.ports import Journal

TAKEN_AGAIN = 100
"""So many of the newest decisions are taken again."""
MUCH = 5.0
"""A limit that is so many times as wide is looked at by a person: it may be a slip of a digit, or of a unit."""


class Change(NamedTuple):
    """What changed, in words; `for_a_person` is why somebody must look first, empty when nobody need."""

    text: str
    for_a_person: str


async def look_at_change(
    before: Record, now: StartRecord, journal: Journal, writer: Writer, holds: Holds
) -> None:
    """Say what is new since the last start, and hold entries where a person must look at it first."""
    assert isinstance(before, StartRecord), "it was asked for by its kind"
    newest = [stored.record for stored in journal.find(kind="cycle", limit=TAKEN_AGAIN)]
    found = change(before, now, [each for each in newest if isinstance(each, CycleRecord)])
    if found is None:
        return
    key = record_id("i", now.at, CHANGE, now.id)
    await writer.write([IncidentRecord(key, now.at, CHANGE, found.text, {}, None)])
    if found.for_a_person:
        await holds.renew(CHANGE, f"{found.for_a_person}; /resume says that it was looked at")


def change(before: StartRecord, now: StartRecord, cycles: Sequence[CycleRecord]) -> Change | None:
    """What is new in `now`, None when nothing is. `cycles` are the newest decisions made since `before`."""
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
        settings = before.settings()
    except BadSettings as error:
        return Change(text, f"what ran before cannot be compared: {error}")
    wider = widened(settings.risk, now.settings().risk)
    own = [record for record in cycles if record.settings_hash == before.settings_hash]
    otherwise = [
        record.id for record in own if _done(decide(record.inputs(settings))) != _done(record.result)
    ]
    text = f"{text}; of {len(own)} decisions taken again {len(otherwise)} came out otherwise"
    reasons = (
        [f"{len(otherwise)} of {len(own)} decisions come out otherwise now, the first {otherwise[0]}"]
        if otherwise
        else []
    )
    if wider:
        reasons.append("much wider limits: " + ", ".join(wider))
    return Change(text, "; ".join(reasons))


def _done(result: CycleResult) -> tuple[OutcomeKind, tuple[OrderRequest, ...]]:
    """What a decision does. A check or a step that is new and changes nothing of it needs nobody's look."""
    return result.outcome, result.orders


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
    return found
