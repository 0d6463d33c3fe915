"""The same inputs decide the same, today and after any change that did not mean to change a decision.

Floats may differ in their last digits from one machine's mathematics to another's; nothing else may.
"""

import math
from pathlib import Path
from typing import Any

import pytest

from engine.core.domain.records import CycleRecord, StartRecord, decode, encode, readable
from engine.core.pipeline import decide
from tests.replay.make import CYCLES, SETTINGS, name_of

RECORDED = sorted(path for path in CYCLES.glob("*.json") if path.stem != "start")


def recorded(path: Path) -> CycleRecord:
    record = decode(path.read_bytes())
    assert isinstance(record, CycleRecord)
    return record


def start() -> StartRecord:
    record = decode((CYCLES / "start.json").read_bytes())
    assert isinstance(record, StartRecord)
    return record


def differences(old: Any, new: Any, place: str = "") -> list[str]:
    """Where two records differ by more than the last digits of a float."""
    if isinstance(old, dict) and isinstance(new, dict) and list(old) == list(new):
        return [found for key in old for found in differences(old[key], new[key], f"{place}.{key}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [found for number, (a, b) in pairs for found in differences(a, b, f"{place}[{number}]")]
    if (
        isinstance(old, float)
        and isinstance(new, float)
        and math.isclose(old, new, rel_tol=1e-9, abs_tol=1e-12)
    ):
        return []
    return [] if old == new else [f"{place}: {old} became {new}"]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_decision_is_decided_again(path: Path) -> None:
    record, chosen = recorded(path), start().settings()
    inputs = record.inputs(chosen)
    again = CycleRecord.of(inputs, decide(inputs), record.settings_hash, record.code_version)

    assert differences(readable(record), readable(again)) == []
    assert [order.client_id for order in again.result.orders] == [
        order.client_id for order in record.result.orders
    ]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_decision_is_read_and_written_without_loss(path: Path) -> None:
    record = recorded(path)

    assert decode(encode(record)) == record
    assert readable(decode(encode(record))) == readable(record)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_decision_is_what_its_file_says(path: Path) -> None:
    assert name_of(recorded(path)) == path.stem


def test_the_settings_are_those_that_the_records_name() -> None:
    assert start().settings() == SETTINGS
    assert {recorded(path).settings_hash for path in RECORDED} == {start().settings_hash}


def test_every_outcome_was_recorded() -> None:
    kinds = {recorded(path).result.outcome.value for path in RECORDED}

    assert kinds == {"entered", "exited", "held", "refused", "no_signal"}
