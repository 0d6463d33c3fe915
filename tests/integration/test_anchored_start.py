"""Journals that are not what was anchored: put back from a backup, torn, cut, flipped. What a start makes of them."""

import json
import shutil
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from engine.core.domain.errors import StoreFailed
from engine.core.domain.records import CycleRecord, IncidentRecord
from engine.store.anchors import Anchors
from engine.store.journal import SqlJournal
from jobs import __main__ as console
from jobs.home import Home
from tests.desks import brisk, opened_journal, profile, trending_bars, write_csv

NOW = datetime(2026, 11, 24, tzinfo=UTC)
BARS = 700


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


class Desk:
    """One home, and the console command over it in this process."""

    def __init__(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.home = folder / "home"
        self.store = self.home / "desk.sqlite3"
        self._capsys, self._monkeypatch = capsys, monkeypatch
        self._profile = profile(folder / "profile.yaml", brisk("AAA"))
        self._data = write_csv(folder / "AAA.csv", trending_bars(3, BARS))

    def say(self, *words: object) -> Said:
        place = ("--home", self.home, "--profile", self._profile)
        self._monkeypatch.setattr(sys, "argv", ["whydesk", *map(str, (*words, *place))])
        self._capsys.readouterr()
        code = 0
        try:
            console.main()
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        said = self._capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    def run(self, stop: str) -> Said:
        return self.say("run", "--replay", self._data, "--no-chat", "--json", "--to", stop)

    def value(self, *words: object, code: int = 0) -> dict[str, Any]:
        said = self.say(*words, "--json")
        assert said.code == code, said
        value: dict[str, Any] = json.loads(said.out)
        return value

    def put_back(self, backup: Path) -> None:
        for path in self.home.glob("desk.sqlite3*"):
            path.unlink()
        shutil.copy(backup, self.store)

    def records(self) -> list[Any]:
        with closing(opened_journal(self.home)) as journal:
            return [stored.record for stored in journal.read()]


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, capsys, monkeypatch)


@pytest.mark.slow
def test_f6_a_desk_whose_old_backup_was_put_back_comes_up_halted_until_a_person_has_said_why(
    desk: Desk, tmp_path: Path
) -> None:
    assert desk.run("2002-08-01").code == 0
    backup = shutil.copy(desk.store, tmp_path / "backup")
    assert desk.run("2002-10-01").code == 0
    entered = [each for each in desk.records() if isinstance(each, CycleRecord) and each.result.orders]
    assert len(entered) > 20
    desk.put_back(backup)

    ran = desk.run("2002-10-01")

    assert ran.code == 0
    (line,) = [each for each in ran.err.splitlines() if each.startswith("halted: ")]
    assert (
        "an older copy was put back; if that is meant, say so first: whydesk journal anchor --accept" in line
    )
    assert json.loads(ran.out)["status"]["state"] == "halted"
    assert json.loads(ran.out)["status"]["by"] == "audit"
    incidents = [each for each in desk.records() if isinstance(each, IncidentRecord) and each.name == "audit"]
    assert [each.text in line for each in incidents] == [True]
    since = [each for each in desk.records() if isinstance(each, CycleRecord) and each.at > incidents[0].at]
    assert len(since) > 10
    assert all(order.reduce_only for each in since for order in each.result.orders)

    broken = desk.value("journal", "verify", code=1)
    assert (broken["chain_ok"], broken["anchors_ok"]) == (True, False)
    assert broken["first_bad_anchor"].endswith("anchors.jsonl line 2")
    assert desk.say("resume").code == 1
    assert "say so first: whydesk journal anchor --accept WHY" in desk.say("resume").err
    assert desk.say("cmd", "/resume").code == 1
    assert "say so first" in desk.say("cmd", "/resume").out
    assert desk.say("journal", "anchor").code == 1
    assert desk.value("status")["state"] == "halted"

    assert desk.value("journal", "anchor", "--accept", "the disk died")["accepted"] == "the disk died"
    assert [desk.value("resume")["state"] for _ in range(2)] == ["reducing", "active"]
    again = desk.run("2002-11-01")
    assert json.loads(again.out)["status"]["state"] == "active"
    assert "halted: " not in again.err
    whole = desk.value("journal", "verify")
    assert (whole["anchors_ok"], whole["vouched"]) == (True, whole["records"])
    assert [each["why"] for each in whole["accepted"]] == ["the disk died"]
    assert "a person took it as it was" in desk.say("journal", "verify").out


def test_f6_a_journal_that_another_one_was_put_in_place_of_comes_up_halted(
    desk: Desk, tmp_path: Path
) -> None:
    assert desk.run("2001-02-01").code == 0
    with closing(SqlJournal(tmp_path / "other.db")) as other:
        other.append_many(IncidentRecord(f"i-{n}", NOW, "test", "", {}, None) for n in range(100))
    desk.put_back(tmp_path / "other.db")

    ran = desk.run("2001-02-01")

    assert json.loads(ran.out)["status"]["state"] == "halted"
    assert "the journal was rewritten, or is another one" in ran.err


def test_f6_a_write_ahead_log_that_was_deleted_shows_at_the_anchor(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with closing(SqlJournal(home.root / "desk.sqlite3")) as journal:
        journal.append_many(IncidentRecord(f"i-{n}", NOW, "test", "", {}, None) for n in range(10))
        anchors = Anchors("desk", [home.root / "anchors.jsonl"], home.keys)
        assert anchors.write(journal.head(), NOW) == []
        assert (home.root / "desk.sqlite3-wal").stat().st_size > 0
        shutil.copy(home.root / "desk.sqlite3", tmp_path / "without.sqlite3")

    with closing(SqlJournal(tmp_path / "without.sqlite3")) as journal:
        assert journal.count() < 10
        assert "its end was cut off, or an older copy was put back" in anchors.objection(journal)


def test_a_journal_without_anchors_is_taken_as_it_is_and_anchored_from_then_on(desk: Desk) -> None:
    assert desk.run("2001-02-01").code == 0
    shutil.rmtree(desk.home / "keys")
    (desk.home / "anchors.jsonl").unlink()
    bare = desk.say("journal", "verify")
    assert bare.code == 0
    assert "no record is vouched for: nothing outside the store can show" in bare.out

    assert json.loads(desk.run("2001-03-01").out)["status"]["state"] == "active"

    said = desk.say("journal", "verify")
    assert "records are vouched for by 1 signed anchor; the newest is 0 s old" in said.out


def test_anchors_that_are_gone_although_the_desk_has_signed_before_are_an_incident(desk: Desk) -> None:
    assert desk.run("2001-02-01").code == 0
    (desk.home / "anchors.jsonl").unlink()

    assert desk.run("2001-03-01").code == 0

    (incident,) = [each for each in desk.records() if isinstance(each, IncidentRecord)]
    assert incident.text.startswith(
        f"there are no anchors at {desk.home}/anchors.jsonl: they begin there anew"
    )
    assert desk.value("journal", "verify")["anchors"] == 1


def test_anchors_can_be_checked_from_elsewhere_with_the_public_half(desk: Desk, tmp_path: Path) -> None:
    assert desk.run("2001-02-01").code == 0
    posted = desk.say("journal", "anchor").out
    public = shutil.copy(desk.home / "keys" / "audit.pub", tmp_path / "desk.pub")
    anchors = shutil.move(desk.home / "anchors.jsonl", tmp_path / "kept.jsonl")
    shutil.rmtree(desk.home / "keys")

    for given in (posted, anchors):
        said = desk.value("journal", "verify", "--anchor", given, "--key", public)
        assert (said["anchors"], said["anchors_ok"], said["vouched"]) == (1, True, said["records"])
    both = desk.value("journal", "verify", "--anchor", posted, "--anchor", anchors, "--key", public)
    assert both["anchors"] == 2

    assert desk.say("journal", "verify", "--anchor", posted).code == 2
    assert "name its public half with --key FILE" in desk.say("journal", "verify", "--anchor", posted).err
    assert desk.say("journal", "verify", "--anchor", "nowhere.jsonl", "--key", public).code == 2
    assert desk.say("journal", "verify", "--anchor", posted[:80], "--key", public).code == 2
    assert desk.say("journal", "verify", "--anchor", posted, "--key", anchors).code == 2
    changed = posted.replace(" desk ", " disk ")
    assert desk.value("journal", "verify", "--anchor", changed, "--key", public, code=1)["first_bad_anchor"]


def test_a_key_that_others_can_read_stops_the_start_with_one_line(desk: Desk) -> None:
    assert desk.run("2001-02-01").code == 0
    (desk.home / "keys" / "audit.pem").chmod(0o644)

    said = desk.run("2001-03-01")

    assert said.code == 1
    assert said.err.splitlines() == [
        f"{desk.home}/keys/audit.pem can be read by others (mode 644) and signs nothing: chmod 600 it"
    ]


def test_an_anchor_that_cannot_be_written_is_an_incident_and_the_desk_runs_on(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path / "disk" / "anchors.jsonl"
    monkeypatch.setenv("WHYDESK__STORE__ANCHORS", f"[{away}, anchors.jsonl]")

    ran = desk.run("2001-02-01")

    assert (ran.code, json.loads(ran.out)["status"]["state"]) == (0, "active")
    (incident,) = [each for each in desk.records() if isinstance(each, IncidentRecord)]
    assert incident.text == f"no anchor could be written to {away}: No such file or directory"
    assert (desk.home / "anchors.jsonl").exists()


# --- torn and flipped -----------------------------------------------------------------------------


def written(folder: Path, records: int) -> tuple[bytes, bytes, list[Any], Anchors]:
    """The two files of a journal whose log is not yet copied back, its records, and their anchor."""
    path = folder / "desk.db"
    with closing(SqlJournal(path)) as journal:
        for number in range(records):
            journal.append_sync(
                [IncidentRecord(f"i-{number}", NOW + timedelta(number), "test", "x", {}, None)]
            )
        anchors = Anchors("desk", [folder / "anchors.jsonl"], folder / "keys")
        assert anchors.write(journal.head(), NOW) == []
        return path.read_bytes(), (folder / "desk.db-wal").read_bytes(), list(journal.read()), anchors


def test_f4_a_torn_end_of_the_log_is_dropped_and_shows_at_the_anchor(tmp_path: Path) -> None:
    store, log, records, anchors = written(tmp_path, 20)
    seen = set()
    for trial, cut in enumerate((*range(1, 64), *range(64, len(log), 997))):
        path = tmp_path / f"{trial}.db"
        path.write_bytes(store)
        Path(f"{path}-wal").write_bytes(log[:-cut])

        with closing(SqlJournal(path)) as journal:
            found = list(journal.read())
            assert found == records[: len(found)], cut
            assert journal.verify(deep=True).chain_ok
            assert (anchors.objection(journal) == "") == (len(found) == len(records))
            assert (
                journal.append_sync([IncidentRecord("new", NOW, "", "", {}, None)])[0].sequence
                == len(found) + 1
            )
        seen.add(len(found))

    assert {len(records) - 1, 0} <= seen


@pytest.mark.slow
def test_f5_a_flipped_bit_is_never_a_whole_journal_with_other_content(tmp_path: Path) -> None:
    _, _, records, anchors = written(tmp_path, 450)
    with closing(SqlJournal(tmp_path / "desk.db")):
        pass  # the last one to close copies the log back
    whole = (tmp_path / "desk.db").read_bytes()
    path, chance = tmp_path / "flipped.db", Random(7)
    outcomes = {"refused": 0, "found": 0, "harmless": 0}
    for _ in range(1000):
        damaged = bytearray(whole)
        damaged[chance.randrange(100, len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            with closing(SqlJournal(path, read_only=True)) as journal:
                seen, objection = journal.verify(deep=True), anchors.objection(journal)
                if seen.chain_ok and not objection:
                    assert list(journal.read()) == records
                    outcomes["harmless"] += 1
                else:
                    outcomes["found"] += 1
        except StoreFailed:
            outcomes["refused"] += 1

    print(f"\n1,000 flipped bits: {outcomes}")
    assert outcomes["found"] > 200, "the rest lies in indexes and in room that is not used"
