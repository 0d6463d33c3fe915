"""What somebody with a database client and time could do to a journal, and that verifying it shows."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import msgspec
import pytest

from engine.core.domain.errors import StoreFailed
from engine.core.domain.records import IncidentRecord
from engine.ports import Verification
from engine.store.audit import leaf, link
from engine.store.journal import SqlJournal

NOW = datetime(2026, 11, 21, tzinfo=UTC)
RECORDS = 12


def incident(number: int) -> IncidentRecord:
    return IncidentRecord(f"i-{number}", NOW, "test", "text", {}, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    with closing(SqlJournal(path)) as journal:
        journal.append_many(map(incident, range(1, RECORDS + 1)))
    return path


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        yield connection


def verify(path: Path, *, deep: bool = False) -> Verification:
    with closing(SqlJournal(path, read_only=True)) as journal:
        return journal.verify(deep=deep)


@pytest.mark.parametrize("column", ["payload", "hash"])
def test_every_single_byte_edit_is_found_where_it_is(
    path: Path, database: sqlite3.Connection, column: str
) -> None:
    rows = database.execute(f"SELECT sequence, {column} FROM records").fetchall()
    missed = []
    with closing(SqlJournal(path, read_only=True)) as journal:
        for sequence, value in rows:
            for position in range(len(value)):
                edited = bytearray(value)
                edited[position] ^= 1 << (position % 8)
                database.execute(
                    f"UPDATE records SET {column} = ? WHERE sequence = ?", (bytes(edited), sequence)
                )
                if journal.verify().first_break != sequence:
                    missed.append((sequence, position))
            database.execute(f"UPDATE records SET {column} = ? WHERE sequence = ?", (value, sequence))
        assert missed == []
        assert journal.verify().chain_ok


def delete(database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM records WHERE sequence = 5")


def delete_and_close_the_gap(database: sqlite3.Connection) -> None:
    delete(database)
    database.execute("UPDATE records SET sequence = sequence - 1 WHERE sequence > 5")


def cut_out_the_middle(database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM records WHERE sequence BETWEEN 5 AND 11")


def swap(database: sqlite3.Connection) -> None:
    database.execute("UPDATE records SET sequence = -sequence WHERE sequence IN (5, 6)")
    database.execute("UPDATE records SET sequence = 11 + sequence WHERE sequence < 0")


def rewrite_with_a_fitting_link(database: sqlite3.Connection) -> None:
    (before,) = database.execute("SELECT hash FROM records WHERE sequence = 4").fetchone()
    forged = link(before, 5, leaf(b"{}"))
    database.execute("UPDATE records SET payload = ?, hash = ? WHERE sequence = 5", (b"{}", forged))


def insert(database: sqlite3.Connection) -> None:
    database.execute("UPDATE records SET sequence = -sequence - 1 WHERE sequence >= 5")
    database.execute("UPDATE records SET sequence = -sequence WHERE sequence < 0")
    database.execute(
        "INSERT INTO records SELECT 5, 'new', at_ms, kind, instrument, outcome, refused_by, decision,"
        " client_id, trade, hash, payload FROM records WHERE sequence = 4"
    )


def remove_the_first(database: sqlite3.Connection) -> None:
    database.execute("DELETE FROM records WHERE sequence = 1")


def make_it_text(database: sqlite3.Connection) -> None:
    database.execute("UPDATE records SET payload = CAST(payload AS TEXT) WHERE sequence = 5")


def put_one_before_the_first(database: sqlite3.Connection) -> None:
    database.execute("UPDATE records SET sequence = -3 WHERE sequence = 5")


@pytest.mark.parametrize(
    ("tamper", "first_break"),
    [
        (delete, 5),
        (delete_and_close_the_gap, 5),
        (cut_out_the_middle, 5),
        (swap, 5),
        (rewrite_with_a_fitting_link, 6),
        (insert, 5),
        (remove_the_first, 1),
        (make_it_text, 5),
        (put_one_before_the_first, -3),
    ],
)
def test_records_cannot_be_removed_added_moved_or_rewritten(
    path: Path, database: sqlite3.Connection, tamper: Callable[[sqlite3.Connection], None], first_break: int
) -> None:
    tamper(database)

    seen = verify(path)

    assert (seen.chain_ok, seen.first_break) == (False, first_break)
    assert seen.reason


@pytest.mark.parametrize(
    "change", ["kind = 'cycle'", "at_ms = 1", "id = 'x'", "outcome = 'held'", "trade = 't'"]
)
def test_a_deep_look_finds_columns_that_differ_from_their_record(
    path: Path, database: sqlite3.Connection, change: str
) -> None:
    database.execute(f"UPDATE records SET {change} WHERE sequence = 7")

    assert verify(path).chain_ok
    assert (seen := verify(path, deep=True)).first_break == 7
    assert seen.reason == "the columns of record 7 differ from the record"


def test_a_journal_with_a_broken_end_takes_no_records_but_can_be_read(
    path: Path, database: sqlite3.Connection
) -> None:
    database.execute("UPDATE records SET hash = zeroblob(32) WHERE sequence = ?", (RECORDS,))

    with pytest.raises(StoreFailed, match=f"damaged at its end .record {RECORDS} does not have the hash"):
        SqlJournal(path)

    with closing(SqlJournal(path, read_only=True)) as journal:
        assert len(list(journal.read())) == RECORDS


def flipped_bits(whole: bytes) -> Iterator[bytes]:
    random = Random(7)
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[random.randrange(100, len(whole))] ^= 1 << random.randrange(8)
        yield bytes(damaged)


def lost_pages(whole: bytes) -> Iterator[bytes]:
    for page in range(1, len(whole) // 4096):
        yield whole[: page * 4096] + b"\xff" * 4096 + whole[(page + 1) * 4096 :]


@pytest.mark.parametrize("damage", [flipped_bits, lost_pages])
def test_damage_to_the_file_is_an_answer_and_never_a_whole_chain_with_other_content(
    tmp_path: Path, damage: Callable[[bytes], Iterator[bytes]]
) -> None:
    path, said = tmp_path / "journal.db", []
    with closing(SqlJournal(path)) as journal:
        journal.append_many(map(incident, range(1, 201)))
        records = list(journal.read())
    for trial, damaged in enumerate(damage(path.read_bytes())):
        folder = tmp_path / f"trial{trial}"
        folder.mkdir()
        (folder / "journal.db").write_bytes(damaged)
        try:
            with closing(SqlJournal(folder / "journal.db", read_only=True)) as journal:
                seen = journal.verify()
                said.append(seen.reason)
                if seen.chain_ok and seen.records == len(records):
                    assert list(journal.read()) == records, trial
                else:
                    assert seen.head != records[-1].hash, trial
        except StoreFailed as error:
            said.append(str(error))

    assert not any("\n" in text for text in said)
    assert any("cannot be read" in text or "does not have the hash" in text for text in said)


def test_the_first_record_that_a_damaged_page_took_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(SqlJournal(path)) as journal:
        journal.append_many(
            IncidentRecord(f"i-{number}", NOW, "", "x" * 3000, {}, None) for number in range(1, 51)
        )
    content = path.read_bytes()
    page = content.index(msgspec.msgpack.encode("id") + msgspec.msgpack.encode("i-20")) // 4096 * 4096
    path.write_bytes(content[:page] + b"\xff" * 4096 + content[page + 4096 :])

    seen = verify(path)

    assert (seen.first_break, seen.records) == (20, 19)
    assert "malformed" in seen.reason


def test_a_deep_look_finds_a_record_that_is_none_under_hashes_that_fit(
    path: Path, database: sqlite3.Connection
) -> None:
    (before,) = database.execute("SELECT hash FROM records WHERE sequence = ?", (RECORDS - 1,)).fetchone()
    forged = link(before, RECORDS, leaf(b"{}"))
    database.execute("UPDATE records SET payload = ?, hash = ? WHERE sequence = ?", (b"{}", forged, RECORDS))

    assert verify(path).chain_ok
    assert f"record {RECORDS} cannot be read" in verify(path, deep=True).reason
