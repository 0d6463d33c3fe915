import fcntl
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.core.domain.errors import BadInput
from engine.core.domain.records import IncidentRecord
from engine.store.anchors import Anchors, Trace, examine, read_text, trace_file, trace_line
from engine.store.journal import SqlJournal

NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)


def at(minute: int) -> datetime:
    return NOW + timedelta(minutes=minute)


def incident(number: int, text: str = "text") -> IncidentRecord:
    return IncidentRecord(f"i-{number}", at(number), "test", text, {}, None)


def filled(path: Path, records: int, text: str = "text") -> SqlJournal:
    journal = SqlJournal(path)
    journal.append_many(incident(number, text) for number in range(1, records + 1))
    return journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqlJournal]:
    with closing(filled(tmp_path / "desk.db", 12)) as journal:
        yield journal


@pytest.fixture
def anchors(tmp_path: Path) -> Anchors:
    return Anchors("desk", [tmp_path / "anchors.jsonl"], tmp_path / "keys")


def heads(journal: SqlJournal, *numbers: int) -> list[tuple[int, str]]:
    return [(number, journal.link(number)) for number in numbers]


def write_all(anchors: Anchors, journal: SqlJournal, *numbers: int) -> None:
    for head in heads(journal, *numbers):
        assert anchors.write(head, at(head[0])) == []


def trace(anchors: Anchors) -> Trace:
    return trace_file(anchors.paths[0], anchors.key.public)


def test_anchors_vouch_for_the_records_up_to_the_newest_of_them(
    journal: SqlJournal, anchors: Anchors
) -> None:
    write_all(anchors, journal, 3, 6, 10)

    found = examine(journal, [trace(anchors)])

    assert (found.chain.records, found.chain.chain_ok, found.anchors_ok) == (12, True, True)
    assert (found.anchors, found.vouching, found.vouched) == (3, 3, 10)
    assert found.newest == at(10).replace(microsecond=0)


def test_a_head_that_has_not_moved_is_not_written_again(journal: SqlJournal, anchors: Anchors) -> None:
    write_all(anchors, journal, 3, 3, 3)

    assert len(trace(anchors).found) == 1


def test_an_empty_journal_can_be_anchored_and_what_comes_later_fits(tmp_path: Path, anchors: Anchors) -> None:
    with closing(SqlJournal(tmp_path / "new.db")) as journal:
        assert anchors.write(journal.head(), NOW) == []
        journal.append_sync([incident(1)])

        assert anchors.objection(journal) == ""
        assert examine(journal, [trace(anchors)]).anchors_ok


def test_every_file_that_is_named_gets_its_own_chain_of_anchors(tmp_path: Path, journal: SqlJournal) -> None:
    paths = [tmp_path / "one.jsonl", tmp_path / "other.jsonl"]
    anchors = Anchors("desk", paths, tmp_path / "keys")
    write_all(anchors, journal, 3)
    paths[1].unlink()
    write_all(anchors, journal, 6)

    found = examine(journal, [trace_file(path, anchors.key.public) for path in paths])

    assert (found.anchors, found.anchors_ok, found.vouched) == (3, True, 6)


def test_a_posted_anchor_survives_what_a_chat_does_to_it(journal: SqlJournal, anchors: Anchors) -> None:
    made = anchors.checkpoint(heads(journal, 12)[0], NOW)

    assert len(made.text()) < 400
    assert read_text(made.text()) == made
    assert read_text(f"  {made.text().replace(' ', chr(10) + '  ')} \n") == made
    assert examine(journal, [trace_line(made.text(), anchors.key.public)]).vouched == 12


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace(" 12 ", " 11 "),
        lambda text: text.replace(" desk ", " disk "),
        lambda text: text.replace("12:00:00Z", "12:00:01Z"),
        lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"),
        lambda text: text[:-2],
        lambda text: text.replace(text.split()[6], "0" * 16),
    ],
)
def test_a_posted_anchor_that_was_changed_is_told_from_a_genuine_one(
    journal: SqlJournal, anchors: Anchors, spoil: Callable[[str], str]
) -> None:
    text = spoil(anchors.checkpoint(heads(journal, 12)[0], NOW).text())

    found = examine(journal, [trace_line(text, anchors.key.public)])

    assert (found.anchors_ok, found.first_bad, found.vouched) == (False, "the anchor given", 0)
    assert "sign" in found.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "found 0 words"),
        ("whydesk-anchor 1 desk 3", "found 4 words"),
        ("whydesk-anchor 2 desk 3 a b c d", "an anchor of form '2' is of a newer Whydesk"),
        ("whydesk-anchor 1 desk x a b c d", "the anchor cannot be read: invalid literal"),
        (
            "whydesk-anchor 1 desk 3 a 2026-01-01T00:00:00Z c d",
            "the anchor cannot be read: a checkpoint needs",
        ),
        ("whydesk-anchor 1 desk -1 " + "0" * 64 + " 2026-01-01T00:00:00Z c d", "a checkpoint needs"),
        (
            "whydesk-anchor 1 desk 1 " + "0" * 64 + " yesterday c d",
            "the anchor cannot be read: Invalid RFC3339",
        ),
        ("whydesk-anchor 1 desk 1 " + "0" * 64 + " 2026-01-01T00:00:00 c d", "an aware time"),
    ],
)
def test_what_is_no_anchor_is_bad_input(text: str, expected: str) -> None:
    with pytest.raises(BadInput, match=expected):
        read_text(text)


def test_f4_a_line_that_a_power_cut_left_half_written_is_gone_over_and_still_vouched_for(
    journal: SqlJournal, anchors: Anchors
) -> None:
    (path,) = anchors.paths
    write_all(anchors, journal, 3, 6)
    whole = path.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])

    for cut in range(1, last + 1):
        path.write_bytes(whole[:-cut])
        assert trace(anchors).reason == "", cut
        assert anchors.objection(journal) == "", cut
        write_all(anchors, journal, 9, 12)
        found = examine(journal, [trace(anchors)])
        assert (found.anchors_ok, found.vouched) == (True, 12), cut

    path.write_bytes(whole[:-9])
    write_all(anchors, journal, 9)
    torn = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([torn[0], torn[1].replace(b"6", b"7"), *torn[2:]]))
    assert trace(anchors).first_bad == f"{path} line 2"


def test_words_without_an_end_do_not_hide_the_anchors_before_them(
    tmp_path: Path, journal: SqlJournal, anchors: Anchors
) -> None:
    write_all(anchors, journal, 12)
    with anchors.paths[0].open("ab") as file:
        file.write(b"x" * 20_000)

    assert "the last line is not an anchor" in anchors.objection(journal)
    assert trace(anchors).first_bad == f"{anchors.paths[0]} line 2"
    with closing(filled(tmp_path / "short.db", 9)) as short:
        assert not examine(short, [trace(anchors)]).anchors_ok


def test_the_newest_anchor_is_held_against_the_journal_without_reading_the_others(
    tmp_path: Path, journal: SqlJournal, anchors: Anchors
) -> None:
    write_all(anchors, journal, 3, 10)

    assert anchors.objection(journal) == ""
    with closing(filled(tmp_path / "short.db", 9)) as short:
        assert "names record 10 of 2026-11-24 12:10:00 UTC, and the journal ends at 9" in anchors.objection(
            short
        )
    with closing(filled(tmp_path / "other.db", 20, "other")) as other:
        assert "record 10 is not the one that was anchored on" in anchors.objection(other)


def test_an_anchor_of_another_key_is_neither_believed_nor_gone_on_from(
    tmp_path: Path, journal: SqlJournal, anchors: Anchors
) -> None:
    stranger = Anchors("desk", anchors.paths, tmp_path / "stranger")
    write_all(stranger, journal, 3)

    assert "it was signed with key" in anchors.objection(journal)
    (wrong,) = anchors.write(journal.head(), NOW)
    assert "it was signed with key" in wrong
    assert len(anchors.paths[0].read_bytes().splitlines()) == 1


def test_a_person_can_set_aside_what_stands_there_and_only_as_it_stood(
    tmp_path: Path, journal: SqlJournal, anchors: Anchors
) -> None:
    write_all(anchors, journal, 3, 6, 12)
    with closing(filled(tmp_path / "backup.db", 8)) as backup:
        assert anchors.objection(backup)
        assert anchors.write(backup.head(), at(20), note="the disk died;\n a backup of Monday") == []
        backup.append_sync([incident(99)])
        assert anchors.write(backup.head(), at(21)) == []

        assert anchors.objection(backup) == ""
        found = examine(backup, [trace(anchors)])
        assert (found.anchors_ok, found.vouched, found.vouching) == (True, 9, 2)
        assert [each.note for each in found.accepted] == ["the disk died; a backup of Monday"]
        assert not examine(journal, [trace(anchors)]).anchors_ok

        lines = anchors.paths[0].read_bytes().splitlines(keepends=True)
        for without in range(3):
            anchors.paths[0].write_bytes(b"".join(lines[:without] + lines[without + 1 :]))
            assert not examine(backup, [trace(anchors)]).anchors_ok, without


def test_setting_aside_holds_also_over_a_line_that_was_never_finished(
    journal: SqlJournal, anchors: Anchors
) -> None:
    write_all(anchors, journal, 3)
    with anchors.paths[0].open("ab") as file:
        file.write(b'{"desk":"de')

    assert anchors.write(journal.head(), NOW, note="seen to") == []

    assert (trace(anchors).reason, len(trace(anchors).accepted)) == ("", 1)


@contextmanager
def files_may_grow_to(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_an_anchor_that_cannot_be_written_is_told_and_harms_nothing(
    tmp_path: Path, journal: SqlJournal, anchors: Anchors
) -> None:
    write_all(anchors, journal, 3)
    size = anchors.paths[0].stat().st_size

    for room in (0, 100):
        with files_may_grow_to(size + room):
            (wrong,) = anchors.write(journal.head(), NOW)
        assert "no anchor could be written to" in wrong
        assert anchors.objection(journal) == ""

    write_all(anchors, journal, 12)
    assert examine(journal, [trace(anchors)]).vouched == 12


def test_a_disk_that_is_not_there_gets_no_file_in_its_place(tmp_path: Path, journal: SqlJournal) -> None:
    there, away = tmp_path / "anchors.jsonl", tmp_path / "disk" / "anchors.jsonl"
    anchors = Anchors("desk", [away, there], tmp_path / "keys")

    (wrong,) = anchors.write(journal.head(), NOW)

    assert wrong == f"no anchor could be written to {away}: No such file or directory"
    assert len(trace_file(there, anchors.key.public).found) == 1
    assert not away.parent.exists()
    assert anchors.objection(journal) == ""


def test_two_who_write_at_once_do_not_mix_their_lines(journal: SqlJournal, anchors: Anchors) -> None:
    write_all(anchors, journal, 3)
    held = os.open(anchors.paths[0], os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)

    (wrong,) = anchors.write(journal.head(), NOW)

    os.close(held)
    assert "another process has been writing to it all the time" in wrong
    write_all(anchors, journal, 12)


def test_anchors_that_cannot_be_read_are_bad_input_for_whoever_asks(tmp_path: Path, anchors: Anchors) -> None:
    with pytest.raises(BadInput, match=r"the anchors cannot be read .No such file"):
        trace(anchors)
    with pytest.raises(BadInput, match="Is a directory"):
        trace_file(tmp_path, anchors.key.public)
