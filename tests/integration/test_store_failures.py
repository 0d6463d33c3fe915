"""The disk is full, the store is locked, the process is killed: what was acknowledged stays, the rest is refused."""

import asyncio
import contextlib
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.core.domain.errors import HeldElsewhere, Impossible, StoreFailed
from engine.core.domain.records import IncidentRecord
from engine.core.domain.risk import TradingState
from engine.store import journal as journal_module
from engine.store import state as state_module
from engine.store.journal import SqlJournal
from engine.store.lock import hold
from engine.store.state import SqlStateStore

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def incident(number: int, size: int = 4000) -> IncidentRecord:
    return IncidentRecord(f"i-{number}", NOW, "test", "x" * size, {}, None)


@contextlib.contextmanager
def files_may_grow_to(size: int) -> Iterator[None]:
    """Every write beyond `size` fails with EFBIG, in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB, where the machine lets us have one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("this machine does not let a test mount a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))
    return filler


async def keep_appending(journal: SqlJournal) -> None:
    for number in range(2, 500):
        await journal.append([incident(number)])


async def test_a_write_that_fails_is_told_to_all_who_wait_and_the_next_one_works(tmp_path: Path) -> None:
    journal = SqlJournal(tmp_path / "journal.db")
    await journal.append([incident(1)])

    with files_may_grow_to(4096):
        answers = await asyncio.gather(
            *(journal.append([incident(number), incident(number + 100)]) for number in range(2, 12)),
            return_exceptions=True,
        )
        with pytest.raises(StoreFailed):
            journal.append_sync([incident(50)])

    assert [type(answer) for answer in answers] == [StoreFailed] * 10
    assert all(
        "could not be written" in str(answer) or "cannot be opened" in str(answer) for answer in answers
    )
    assert journal.count() == 1
    assert (await journal.append([incident(2), incident(3)]))[-1].sequence == 3
    assert journal.verify(deep=True).records == 3
    journal.close()


async def test_a_full_disk_refuses_records_takes_a_kill_and_recovers(small_disk: Path) -> None:
    journal, state = SqlJournal(small_disk / "desk.db"), SqlStateStore(small_disk / "desk.db")
    await journal.append([incident(1)])
    state.set_halt(TradingState.ACTIVE, "me", "", NOW)
    filler = fill(small_disk)

    with pytest.raises(StoreFailed, match=r"full|I/O|open"):
        await keep_appending(journal)
    acknowledged = journal.count()
    with contextlib.suppress(StoreFailed):  # until not even a small one fits
        for number in range(500):
            state.set_halt(TradingState.ACTIVE, "me", "x" * number, NOW)
    killed = state.set_halt(TradingState.HALTED, "me", "no room", NOW)

    assert state.halt() == killed
    assert (small_disk / "KILLED").exists()
    with closing(SqlStateStore(small_disk / "desk.db")) as other:
        assert other.halt() == killed
        with pytest.raises(StoreFailed):
            other.set_halt(TradingState.REDUCING, "me", "", NOW)
        assert other.halt() == killed

    filler.unlink()
    assert (await journal.append([incident(1000)]))[0].sequence == acknowledged + 1
    assert journal.verify(deep=True).records == acknowledged + 1
    assert state.set_halt(TradingState.REDUCING, "me", "room again", NOW).version == killed.version + 1
    assert state.halt().state is TradingState.REDUCING
    assert not (small_disk / "KILLED").exists()
    state.close()
    journal.close()


@pytest.mark.parametrize(("size", "by"), [(4096, "me"), (0, "unknown")])
def test_a_kill_holds_where_no_file_may_grow(tmp_path: Path, size: int, by: str) -> None:
    state = SqlStateStore(tmp_path / "desk.db")
    state.set_halt(TradingState.ACTIVE, "me", "", NOW)

    with files_may_grow_to(size):
        state.set_halt(TradingState.HALTED, "me", "no room", NOW)
        assert (state.halt().state, state.halt().by) == (TradingState.HALTED, by)

    state.close()
    with closing(SqlStateStore(tmp_path / "desk.db")) as reopened:
        assert (reopened.halt().state, reopened.halt().by) == (TradingState.HALTED, by)


def test_a_kill_works_where_the_store_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "desk.db").write_bytes(b"this is not a database" * 1000)
    state = SqlStateStore(tmp_path / "desk.db")
    with pytest.raises(StoreFailed):
        state.halt()

    assert state.set_halt(TradingState.HALTED, "me", "broken", NOW).state is TradingState.HALTED
    assert state.halt().state is TradingState.HALTED
    state.close()


def test_a_kill_that_cannot_be_written_anywhere_holds_in_its_process_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = SqlStateStore(tmp_path / "desk.db")

    def refuse(*_: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "rename", refuse)
    with files_may_grow_to(0), pytest.raises(StoreFailed, match=r"holds in this process only.*Read-only"):
        state.set_halt(TradingState.HALTED, "me", "", NOW)

    assert state.halt().state is TradingState.HALTED
    state.close()


async def test_after_a_failed_flush_nothing_is_written_until_it_is_opened_anew(tmp_path: Path) -> None:
    journal = SqlJournal(tmp_path / "journal.db")

    class FailingDisk:
        def execute(self, *_: Any) -> None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            raise error

        def close(self) -> None: ...

    assert journal._connection is not None
    journal._connection.close()
    journal._connection = FailingDisk()  # type: ignore[assignment]
    for _ in range(2):
        with pytest.raises(
            StoreFailed, match="disk I/O error; it takes no more records until it is opened anew"
        ):
            await journal.append([incident(1)])
    journal.close()

    with closing(SqlJournal(tmp_path / "journal.db")) as reopened:
        assert (await reopened.append([incident(1)]))[0].sequence == 1


async def test_what_nobody_foresaw_reaches_whoever_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqlJournal(tmp_path / "journal.db")

    def fail(*_: Any) -> None:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(journal_module, "chain", fail)

    with pytest.raises(Impossible, match="KeyError"):
        await journal.append([incident(1)])
    journal.close()


@pytest.mark.slow
async def test_a_store_that_stays_locked_is_refused_after_five_seconds(tmp_path: Path) -> None:
    with closing(SqlJournal(tmp_path / "journal.db")) as journal:
        with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreFailed, match="locked"):
                await journal.append([incident(1)])
        assert (await journal.append([incident(1)]))[0].sequence == 1


async def test_those_who_wait_for_the_disk_share_the_next_commit(tmp_path: Path) -> None:
    journal = SqlJournal(tmp_path / "journal.db")
    statements: list[str] = []
    connection: Any = journal._connection
    connection.set_trace_callback(statements.append)

    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = [asyncio.create_task(journal.append([incident(number)])) for number in range(64)]
        await asyncio.sleep(0)
        other.execute("ROLLBACK")
    await asyncio.gather(*waiting)

    assert journal.count() == 64
    assert sum(statement == "COMMIT" for statement in statements) <= 2
    journal.close()


async def test_more_than_may_wait_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "QUEUE", 8)
    journal = SqlJournal(tmp_path / "journal.db")
    with journal._write:  # as if the disk had stopped
        waiting = [asyncio.create_task(journal.append([incident(number)])) for number in range(2000)]
        await asyncio.sleep(0)
        refused = [task for task in waiting if task.done()]
    answers = await asyncio.gather(*waiting, return_exceptions=True)

    assert len(refused) >= 2000 - 8 - journal_module._GROUP
    assert all(
        "already wait for the disk" in str(answer) for answer in answers if isinstance(answer, Exception)
    )
    assert journal.count() == sum(not isinstance(answer, Exception) for answer in answers)
    journal.close()


WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from engine.core.domain.records import IncidentRecord
from engine.store.journal import SqlJournal
from engine.store.lock import hold

NOW = datetime(2026, 11, 21, tzinfo=UTC)

async def write(journal, writer):
    for number in range(100_000):
        name = f"i-{sys.argv[2]}-{writer}-{number}"
        (stored,) = await journal.append([IncidentRecord(name, NOW, "test", "x" * 2000, {}, None)])
        print(stored.sequence, stored.hash, flush=True)

async def main():
    home = Path(sys.argv[1])
    with hold(home, NOW):
        journal = SqlJournal(home / "journal.db")
        await asyncio.gather(*(write(journal, writer) for writer in range(8)))

asyncio.run(main())
"""


def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged: dict[int, str] = {}
    for turn in range(10):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(turn)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(20 + 13 * turn)]
            if turn == 0:
                with pytest.raises(HeldElsewhere, match=f"held by pid {writer.pid} on"), hold(tmp_path, NOW):
                    pass
            writer.kill()
            lines += writer.stdout.readlines()
        told = [line.split() for line in lines if line.endswith("\n")]
        acknowledged |= {int(sequence): digest for sequence, digest in told}

    with closing(SqlJournal(tmp_path / "journal.db")) as journal:
        stored = {each.sequence: each.hash for each in journal.read()}
        assert journal.verify(deep=True).chain_ok
    assert len(acknowledged) >= 500
    assert acknowledged.items() <= stored.items()
    assert list(stored) == list(range(1, len(stored) + 1))


def test_a_torn_end_of_the_log_costs_the_last_records_and_no_more(tmp_path: Path) -> None:
    journal = SqlJournal(tmp_path / "journal.db")
    for number in range(20):
        journal.append_sync([incident(number)])
    log = (tmp_path / "journal.db-wal").read_bytes()
    kept = []
    for cut in (1, 100, 4096, 5000, 30_000, 100_000):
        copy = tmp_path / f"cut{cut}"
        copy.mkdir()
        shutil.copy(tmp_path / "journal.db", copy)
        (copy / "journal.db-wal").write_bytes(log[:-cut])
        with closing(SqlJournal(copy / "journal.db")) as torn:
            seen = torn.verify(deep=True)
            kept.append(seen.records)
            assert seen.chain_ok
            assert torn.append_sync([incident(99)])[0].sequence == seen.records + 1
    journal.close()

    assert kept == sorted(kept, reverse=True)
    assert kept[0] == 19


async def test_a_record_that_is_damaged_is_neither_overwritten_nor_taken_for_another(tmp_path: Path) -> None:
    with closing(SqlJournal(tmp_path / "journal.db")) as journal:
        await journal.append([incident(1), incident(2)])
        with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
            other.execute("UPDATE records SET payload = x'C1' WHERE sequence = 1")

        with pytest.raises(StoreFailed, match="record 1 cannot be read"):
            journal.get("i-1")
        with pytest.raises(Impossible, match="record i-1 is stored already, with other content"):
            await journal.append([incident(1)])
        assert journal.count() == 2


def test_a_journal_whose_newest_hash_is_no_hash_has_no_head(tmp_path: Path) -> None:
    with closing(SqlJournal(tmp_path / "journal.db")) as journal:
        journal.append_sync([incident(1)])
        with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as other:
            other.execute("UPDATE records SET hash = 'words'")

        with pytest.raises(
            StoreFailed, match=r"the newest record of the journal at .* is damaged: verify it"
        ):
            journal.head()


def test_a_kill_waits_for_no_other_transaction_and_a_resume_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_module, "BUSY_MS", 50)
    with closing(SqlStateStore(tmp_path / "desk.db")) as state:
        with state._write:  # another thread's transaction, which does not end
            began = time.monotonic()
            killed = state.set_halt(TradingState.HALTED, "me", "now", NOW)
            took = time.monotonic() - began
            with pytest.raises(StoreFailed, match=r"another transaction has held the store at .* for 50 ms"):
                state.set_halt(TradingState.REDUCING, "me", "", NOW)

        assert took < 1
        assert state.halt() == killed
        assert (tmp_path / "KILLED").exists()
        assert state.set_halt(TradingState.REDUCING, "me", "", NOW).state is TradingState.REDUCING
        assert not (tmp_path / "KILLED").exists()


def test_a_second_kill_without_room_says_the_newest_reason(tmp_path: Path) -> None:
    with closing(SqlStateStore(tmp_path / "desk.db")) as state, state._write:
        state.set_halt(TradingState.HALTED, "me", "first", NOW)
        state.set_halt(TradingState.HALTED, "you", "second", NOW)

        assert (state.halt().by, state.halt().reason) == ("you", "second")
        with closing(SqlStateStore(tmp_path / "desk.db", read_only=True)) as other:
            assert other.halt().reason == "second"


def test_a_kill_makes_its_file_where_none_lies_ready(tmp_path: Path) -> None:
    with closing(SqlStateStore(tmp_path / "desk.db")) as state, state._write:
        (tmp_path / "kill.reserve").unlink()
        state.set_halt(TradingState.HALTED, "me", "now", NOW)

        assert (tmp_path / "KILLED").read_bytes() == b""
        assert state.halt().state is TradingState.HALTED


def test_a_store_that_is_open_for_looking_can_halt_and_nothing_else(tmp_path: Path) -> None:
    SqlStateStore(tmp_path / "desk.db").close()
    with closing(SqlStateStore(tmp_path / "desk.db", read_only=True)) as state:
        with pytest.raises(StoreFailed, match="is open for reading only"):
            state.set_halt(TradingState.REDUCING, "me", "", NOW)
        assert state.set_halt(TradingState.HALTED, "me", "now", NOW).state is TradingState.HALTED
    with closing(SqlStateStore(tmp_path / "desk.db")) as other:
        assert (other.halt().state, other.halt().reason) == (TradingState.HALTED, "now")


def test_a_desk_stays_halted_while_its_marker_cannot_be_removed(tmp_path: Path) -> None:
    with closing(SqlStateStore(tmp_path / "desk.db")) as state:
        state.set_halt(TradingState.ACTIVE, "me", "", NOW)
        (tmp_path / "KILLED").mkdir()  # by hand, and not a file

        with pytest.raises(StoreFailed, match=r"still halted: .*KILLED cannot be removed"):
            state.set_halt(TradingState.REDUCING, "me", "", NOW)

        assert (state.halt().state, state.halt().by) == (TradingState.HALTED, "unknown")
        (tmp_path / "KILLED").rmdir()
        assert state.halt().state is TradingState.REDUCING
