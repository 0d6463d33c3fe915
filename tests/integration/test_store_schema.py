import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, select, text
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import Session

from engine.core.domain.errors import StoreFailed
from engine.core.domain.records import IncidentRecord
from engine.store.database import alembic_config, async_engine, async_readers, readers, sync_engine
from engine.store.driver import SCHEMA, connect, place, prepare
from engine.store.journal import SqlJournal
from engine.store.tables import HaltTable, RecordRow

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@contextmanager
def opened(url: str | Path) -> Iterator[Engine]:
    engine = sync_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def test_an_empty_store_gets_the_schema_that_the_tables_describe(url: str) -> None:
    prepare(place(url), write=True)

    with opened(url) as engine, engine.begin() as connection:
        command.check(alembic_config(connection))
        names = inspect(connection).get_table_names()
    assert sorted(names) == [
        "accounts", "alembic_version", "asks", "halts", "inbox", "leases", "letters", "locks", "parcels", "people",
        "records",
    ]  # fmt: skip


def test_the_schema_goes_down_and_up_again(url: str) -> None:
    prepare(place(url), write=True)
    with opened(url) as engine:
        with engine.begin() as connection:
            command.downgrade(alembic_config(connection), "base")
        with engine.connect() as connection:
            assert inspect(connection).get_table_names() == ["alembic_version"]
    prepare(place(url), write=True)

    with closing(SqlJournal(url)) as journal:
        assert journal.count() == 0


def test_a_store_of_an_older_program_keeps_its_records(url: str) -> None:
    with closing(SqlJournal(url)) as journal:
        journal.append_sync([IncidentRecord("i-1", NOW, "test", "", {}, None)])
    with opened(url) as engine, engine.begin() as connection:
        command.downgrade(alembic_config(connection), "0001")
    with pytest.raises(StoreFailed, match=f"has schema 0001, not {SCHEMA}: start the desk once"):
        SqlJournal(url, read_only=True)

    with closing(SqlJournal(url)) as journal:
        assert (journal.count(), journal.verify(deep=True).chain_ok) == (1, True)


def test_the_newest_migration_is_the_one_that_the_driver_looks_for(tmp_path: Path) -> None:
    with opened(tmp_path / "x.db") as engine, engine.connect() as connection:
        scripts = ScriptDirectory.from_config(alembic_config(connection))
        assert scripts.get_heads() == [SCHEMA]


def test_a_store_of_a_newer_program_is_refused(url: str) -> None:
    prepare(place(url), write=True)
    with opened(url) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreFailed, match="made by a newer Whydesk"):
        SqlJournal(url)


def test_a_reader_neither_makes_nor_changes_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="nothing is stored at"):
        SqlJournal(tmp_path / "none.db", read_only=True)

    assert list(tmp_path.iterdir()) == []


OPEN = "import sys; from engine.store.journal import SqlJournal; SqlJournal(sys.argv[1]).close()"


def test_processes_that_start_at_once_share_one_new_store(url: str) -> None:
    starting = [
        subprocess.Popen([sys.executable, "-c", OPEN, url], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    said = [process.communicate(timeout=60)[1] for process in starting]

    assert [process.returncode for process in starting] == [0] * 4, said
    with closing(SqlJournal(url)) as journal:
        assert journal.verify().chain_ok


def test_a_new_file_that_another_process_is_just_writing_is_waited_for(tmp_path: Path) -> None:
    """SQLite's own time-out does not hold for the change of a file's mode: it says at once that it is locked."""
    other = sqlite3.connect(tmp_path / "desk.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.2, other.execute, ["COMMIT"])
    done.start()

    with closing(connect(place(tmp_path / "desk.db"), write=True)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

    done.join()
    other.close()


def test_opening_a_store_that_is_up_to_date_loads_no_toolkit(tmp_path: Path) -> None:
    SqlJournal(tmp_path / "desk.db").close()
    code = (
        f"{OPEN}; from engine.store.state import SqlStateStore; SqlStateStore(sys.argv[1], read_only=True).halt();"
        " print({'sqlalchemy', 'alembic', 'psycopg'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "desk.db")], capture_output=True, text=True, check=True
    )

    assert done.stdout == "set()\n"


async def lost_updates(engine: AsyncEngine) -> int:
    """Two hundred read-modify-writes by forty tasks; how many of them were overwritten."""
    begin = async_sessionmaker(engine, expire_on_commit=False).begin
    async with begin() as session:
        session.add(HaltTable(desk="desk", state="active", since=NOW, by="", reason="", version=0))

    async def bump() -> None:
        for _ in range(5):
            async with begin() as session:
                row = (await session.execute(select(HaltTable).with_for_update())).scalar_one()
                await asyncio.sleep(0)
                row.version += 1

    await asyncio.gather(*(bump() for _ in range(40)))
    async with begin() as session:
        return 200 - (await session.execute(select(HaltTable.version))).scalar_one()


async def test_no_update_is_lost(url: str) -> None:
    prepare(place(url), write=True)
    engine = async_engine(url)

    assert await lost_updates(engine) == 0

    await engine.dispose()


async def test_readers_wait_for_no_writer_and_cannot_write(url: str) -> None:
    prepare(place(url), write=True)
    engine = async_engine(url)
    async with engine.begin() as writer:
        await writer.execute(
            text(
                'INSERT INTO halts (desk, state, since, "by", reason, version)'
                " VALUES ('a', 'active', 0, 'me', '', 1)"
            )
        )
        async with async_readers(engine).begin() as reader:
            found = (await asyncio.wait_for(reader.execute(text("SELECT * FROM halts")), 2)).all()
    assert found == []
    await engine.dispose()


def test_a_time_that_is_not_aware_is_refused_and_others_come_back_in_utc(url: str) -> None:
    prepare(place(url), write=True)
    there = datetime(2026, 11, 21, 9, 0, 0, 123456, tzinfo=timezone(timedelta(hours=9)))
    row = {"desk": "desk", "state": "active", "by": "", "reason": "", "version": 1}
    with opened(url) as engine:
        with Session(engine) as session:
            session.add(HaltTable(since=datetime(2026, 1, 1), **row))  # noqa: DTZ001
            with pytest.raises(StatementError, match="must be aware"):
                session.flush()
        with Session(engine) as session, session.begin():
            session.add(HaltTable(since=there, **row))
        with Session(readers(engine)) as session:
            since = session.execute(select(HaltTable.since)).scalar_one()
    assert (since, since.tzinfo) == (there, UTC)


def test_what_the_journal_wrote_can_be_asked_for_with_sqlalchemy(url: str) -> None:
    with closing(SqlJournal(url)) as journal:
        (stored,) = journal.append_sync([IncidentRecord("i-1", NOW, "test", "", {}, None)])
    with opened(url) as engine, Session(readers(engine)) as session:
        row = session.execute(select(RecordRow)).scalar_one()
        assert (row.sequence, row.id, row.hash.hex(), row.outcome) == (1, "i-1", stored.hash, None)


def test_an_unusable_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "desk.db").write_bytes(b"not a database at all" * 500)

    with pytest.raises(StoreFailed, match="file is not a database"):
        SqlJournal(tmp_path / "desk.db")


def test_sqlite_engines_keep_foreign_keys_and_flush_each_commit(tmp_path: Path) -> None:
    with opened(tmp_path / "x.db") as engine, engine.connect() as connection:
        asked = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("foreign_keys", "synchronous", "journal_mode")
        }
    assert asked == {"foreign_keys": 1, "synchronous": 2, "journal_mode": "wal"}
