"""Decide again what was decided, from the recorded inputs, and compare to the last byte."""

from collections.abc import Iterable

import msgspec

from configs.schema.settings import Settings
from engine.core.domain.records import CycleRecord, StartRecord
from engine.core.pipeline import decide
from engine.ports import StoredRecord


class Replay(msgspec.Struct, frozen=True):
    """How many decisions were taken again, and which came out otherwise (at most a hundred are named)."""

    records: int
    replayed: int
    mismatches: int
    first_mismatches: tuple[str, ...]
    without_settings: int


def replay(stored: Iterable[StoredRecord]) -> Replay:
    """Run every cycle's inputs through `decide`. Settings come from the start records of the same journal."""
    settings: dict[str, Settings] = {}
    records = replayed = lost = 0
    wrong: list[str] = []
    for item in stored:
        records += 1
        record = item.record
        if isinstance(record, StartRecord):
            settings[record.settings_hash] = record.settings()
        elif isinstance(record, CycleRecord):
            if record.settings_hash not in settings:
                lost += 1
                continue
            replayed += 1
            if not same(record, settings[record.settings_hash]):
                wrong.append(record.id)
    return Replay(records, replayed, len(wrong), tuple(wrong[:100]), lost)


def same(record: CycleRecord, settings: Settings) -> bool:
    """Whether deciding again gives the recorded result, compared as encoded."""
    again = decide(record.inputs(settings))
    return msgspec.json.encode(again) == msgspec.json.encode(record.result)
