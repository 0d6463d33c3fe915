from datetime import UTC, datetime

import msgspec

from engine.core.domain.errors import Impossible
from engine.core.domain.records import IncidentRecord, readable
from engine.store.audit import GENESIS, walk
from engine.store.journal import _Entry, _entry, _Head, chain

NOW = datetime(2026, 11, 21, tzinfo=UTC)
START = _Head(0, GENESIS)


def entry(name: str, text: str = "") -> _Entry:
    return _entry(IncidentRecord(name, NOW, "test", text, {}, None))


def test_numbers_and_links_follow_from_the_head() -> None:
    head, rows, answers = chain(START, [[entry("a"), entry("b")], [entry("c")]], {})

    assert [(row[0], row[1]) for row in rows] == [(1, "a"), (2, "b"), (3, "c")]
    assert walk([(row[0], row[-1], row[-2]) for row in rows]) == (*head, None, "")
    assert [[stored.sequence for stored in answer] for answer in answers] == [[1, 2], [3]]  # type: ignore[union-attr]


def test_what_is_stored_already_is_answered_and_not_written() -> None:
    known = {"a": (7, b"x" * 32, entry("a").payload)}

    head, rows, answers = chain(_Head(9, b"y" * 32), [[entry("a"), entry("b")]], known)

    assert head.sequence == 10
    assert [row[1] for row in rows] == ["b"]
    assert [stored.sequence for stored in answers[0]] == [7, 10]  # type: ignore[union-attr]


def test_a_record_that_was_stored_as_json_is_the_same_record() -> None:
    known = {"a": (7, b"x" * 32, msgspec.json.encode(readable(entry("a").record)))}

    _, rows, answers = chain(_Head(9, b"y" * 32), [[entry("a")], [entry("a", "other")]], known)

    assert rows == []
    assert [stored.sequence for stored in answers[0]] == [7]  # type: ignore[union-attr]
    assert isinstance(answers[1], Impossible)


def test_the_same_record_twice_in_one_batch_is_one() -> None:
    _, rows, (answer,) = chain(START, [[entry("a"), entry("a")]], {})

    assert len(rows) == 1
    assert [stored.sequence for stored in answer] == [1, 1]  # type: ignore[union-attr]


def test_a_batch_with_a_contradiction_leaves_no_mark() -> None:
    batches = [[entry("a")], [entry("b"), entry("a", "other")], [entry("b")]]

    head, rows, answers = chain(START, batches, {})

    assert [(row[0], row[1]) for row in rows] == [(1, "a"), (2, "b")]
    assert walk([(row[0], row[-1], row[-2]) for row in rows]).link == head.link
    assert isinstance(answers[1], Impossible)
    assert answers[2][0].sequence == 2  # type: ignore[index]
