from datetime import timedelta

import msgspec
import pytest

from engine.core.domain.errors import BadSettings
from engine.core.domain.records import (
    AnswerRecord,
    Columns,
    CycleRecord,
    Record,
    ReportRecord,
    columns,
    decode,
    encode,
    readable,
)
from engine.core.pipeline import decide
from tests.builders import (
    CLOSE,
    command_record,
    cycle_record,
    fill,
    incident,
    order_record,
    position,
    settings,
    start_record,
    trade_record,
)
from tests.core_builders import inputs

EVERY_KIND: dict[str, Record] = {
    "cycle": cycle_record(),
    "cycle held": cycle_record("held", held=position()),
    "start": start_record(),
    "order": order_record(),
    "fill": fill(),
    "trade": trade_record(),
    "command": command_record(),
    "report": ReportRecord("r-1", CLOSE, "2008-10-15", {}, "quiet"),
    "answer": AnswerRecord("a-1", CLOSE, "ana", "why?", "because", False, ("d-1",)),
    "incident": incident(),
}


@pytest.mark.parametrize("record", EVERY_KIND.values(), ids=EVERY_KIND)
def test_every_record_comes_back_from_its_bytes(record: Record) -> None:
    payload = encode(record)

    assert decode(payload) == record
    assert encode(decode(payload)) == payload


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("order", Columns("order", "SP500", "accepted", "", "d-.*", "wd.*", "")),
        ("fill", Columns("fill", "SP500", "signal", "", "d-.*", "wd.*", "")),
        ("trade", Columns("trade", "SP500", "stop", "", "d-.*", "wd.*", "t-.*")),
        ("command", Columns("command", "", "accepted", "", "", "", "")),
        ("incident", Columns("incident", "", "", "", "", "", "")),
        ("cycle", Columns("cycle", "SP500", "entered", "", "d-.*", "", "")),
    ],
)
def test_every_record_names_what_questions_filter_on(kind: str, wanted: Columns) -> None:
    for found, pattern in zip(columns(EVERY_KIND[kind]), wanted, strict=True):
        assert found.startswith(pattern.removesuffix(".*"))
        assert bool(found) is bool(pattern)


def test_a_refused_command_is_filed_as_refused() -> None:
    assert columns(command_record(accepted=False, kind="close", instrument="SP500")).outcome == "refused"


def test_a_record_holds_its_inputs_whole() -> None:
    given = inputs()
    record = CycleRecord.of(given, decide(given), "abcd", "0.1.0")

    assert record.inputs(given.settings) == given


def test_a_readable_record_has_every_name_and_can_be_read_again() -> None:
    record = cycle_record()
    told = readable(record)

    assert told["result"]["review"]["checks"][0]["name"] == "warm-up"
    assert list(told["result"]["forecast"]["votes"][0]) == ["source", "score", "weight", "contribution"]
    assert decode(msgspec.json.encode(told)) == record


def test_the_bytes_take_far_less_room_than_what_people_read() -> None:
    record = cycle_record()

    assert len(encode(record)) < 0.7 * len(msgspec.json.encode(readable(record)))


def test_bytes_that_are_no_record_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(b'{"type":"cycle"}')
    with pytest.raises(msgspec.ValidationError):
        decode(msgspec.msgpack.encode({"type": "cycle"}))


def test_a_start_gives_its_settings_back_or_says_why_not() -> None:
    chosen = settings("SP500", "NASDAQ")
    start = start_record(chosen=chosen)

    assert start.settings() == chosen
    with pytest.raises(BadSettings, match="other code"):
        msgspec.structs.replace(start, values=start.values | {"gone": 1}).settings()


def test_a_readable_record_is_plain() -> None:
    plain = readable(order_record(at=CLOSE + timedelta(seconds=1)))

    assert (plain["type"], plain["status"]) == ("order", "accepted")
