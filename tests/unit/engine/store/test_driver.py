import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from engine.core.domain.errors import BadSettings, StoreFailed
from engine.store.driver import POSTGRESQL, SQLITE, Readers, place, prepare


@pytest.mark.parametrize(
    ("url", "dialect", "target"),
    [
        (Path("var/desk.db"), SQLITE, "var/desk.db"),
        ("var/desk.db", SQLITE, "var/desk.db"),
        ("sqlite:///var/desk.db", SQLITE, "var/desk.db"),
        ("sqlite+aiosqlite:////var/my%20desk.db", SQLITE, "/var/my desk.db"),
        ("postgresql://me@host/desk", POSTGRESQL, "me@host/desk"),
        ("postgresql+asyncpg://me@host/desk", POSTGRESQL, "me@host/desk"),
    ],
)
def test_paths_and_urls_name_a_place(url: str | Path, dialect: object, target: str) -> None:
    assert place(url) == (dialect, target)


@pytest.mark.parametrize("url", ["mysql://host/desk", "sqlite://", "sqlite:///", "sqlite://desk.db"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(BadSettings, match=r"store\.url"):
        place(url)


def test_a_place_is_shown_without_its_password() -> None:
    assert "secret" not in str(place("postgresql://desk:secret@db/desk"))


def test_connections_of_threads_that_have_ended_are_closed_when_the_next_one_reads(tmp_path: Path) -> None:
    where = place(tmp_path / "desk.db")
    prepare(where, write=True)
    readers = Readers(where)
    for _ in range(3):
        thread = threading.Thread(target=readers.rows, args=("SELECT 1",))
        thread.start()
        thread.join()

    assert readers.rows("SELECT 2") == [(2,)]

    assert len(readers._open) == 1
    readers.close()


def test_a_reader_that_never_connected_says_so_and_reads_once_there_is_a_store(tmp_path: Path) -> None:
    where = place(tmp_path / "desk.db")
    readers = Readers(where)
    with pytest.raises(StoreFailed, match=r"desk\.db cannot be read: unable to open"):
        readers.rows("SELECT 1")

    prepare(where, write=True)

    assert readers.rows("SELECT 1") == [(1,)]
    readers.close()


def test_a_store_that_holds_something_else_already_is_refused_in_one_line(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "desk.db")) as other:
        other.execute("CREATE TABLE records (mine INTEGER)")

    with pytest.raises(
        StoreFailed, match=r"cannot be brought to the newest schema: table records"
    ) as refused:
        prepare(place(tmp_path / "desk.db"), write=True)

    assert "\n" not in str(refused.value)
    with closing(sqlite3.connect(tmp_path / "desk.db")) as other:
        assert [name for (name,) in other.execute("SELECT name FROM sqlite_master")] == ["records"]
