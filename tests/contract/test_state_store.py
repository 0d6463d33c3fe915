import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from engine.core.domain.errors import Refused
from engine.core.domain.risk import TradingState
from engine.ports import HaltRow, LockRow
from engine.store.driver import connect, place
from engine.store.state import SqlStateStore

NOW = datetime(2026, 11, 21, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[SqlStateStore]:
    store = SqlStateStore(url, home=tmp_path)
    yield store
    store.close()


def test_a_new_desk_was_never_halted(store: SqlStateStore) -> None:
    assert store.halt() == HaltRow(TradingState.ACTIVE, datetime(1970, 1, 1, tzinfo=UTC), "", "", 0)


def test_a_halt_is_seen_at_once_by_everyone_and_after_a_restart(
    store: SqlStateStore, url: str, tmp_path: Path
) -> None:
    other = SqlStateStore(url, home=tmp_path)
    assert other.halt().version == 0

    row = store.set_halt(TradingState.HALTED, "me", "too hot", NOW)

    assert row == HaltRow(TradingState.HALTED, NOW, "me", "too hot", 1)
    assert store.halt() == other.halt() == row
    other.close()
    store.close()
    reopened = SqlStateStore(url, home=tmp_path, read_only=True)
    assert reopened.halt() == row
    reopened.close()


def test_every_change_of_the_halt_has_a_version_of_its_own(
    store: SqlStateStore, url: str, tmp_path: Path
) -> None:
    stores = [store, SqlStateStore(url, home=tmp_path)]

    def change(number: int) -> int:
        return stores[number % 2].set_halt(TradingState.REDUCING, str(number), "", NOW).version

    with ThreadPoolExecutor(8) as pool:
        versions = sorted(pool.map(change, range(40)))

    assert versions == list(range(1, 41))
    assert store.halt().version == 40
    stores[1].close()


def test_desks_in_one_store_have_halts_of_their_own(store: SqlStateStore, url: str, tmp_path: Path) -> None:
    other = SqlStateStore(url, home=tmp_path, desk="other")
    store.set_halt(TradingState.HALTED, "me", "", NOW)

    assert other.halt().state is TradingState.ACTIVE
    other.close()


def test_times_keep_their_moment(store: SqlStateStore) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=9)))

    assert store.set_halt(TradingState.HALTED, "", "", there).since == NOW
    assert store.halt().since.tzinfo is UTC
    with pytest.raises(TypeError):
        store.set_halt(TradingState.ACTIVE, "", "", NOW.replace(tzinfo=None))
    assert store.halt().state is TradingState.HALTED


def test_a_resume_that_did_not_see_the_newest_kill_is_refused(store: SqlStateStore) -> None:
    seen = store.set_halt(TradingState.HALTED, "me", "first", NOW)
    newer = store.set_halt(TradingState.HALTED, "you", "second", NOW)

    with pytest.raises(Refused, match="changed meanwhile"):
        store.set_halt(TradingState.REDUCING, "me", "", NOW, after=seen.version)
    assert store.halt() == newer
    assert (
        store.set_halt(TradingState.REDUCING, "me", "", NOW, after=newer.version).state
        is TradingState.REDUCING
    )


def test_a_resume_sees_the_file_of_a_kill(store: SqlStateStore, tmp_path: Path) -> None:
    seen = store.set_halt(TradingState.REDUCING, "me", "", NOW)
    (tmp_path / "KILLED").touch()

    with pytest.raises(Refused):
        store.set_halt(TradingState.ACTIVE, "me", "", NOW, after=seen.version)
    again = store.halt()
    assert store.set_halt(TradingState.REDUCING, "me", "", NOW, after=again.version).version > again.version


def test_the_file_of_a_kill_halts_whatever_the_row_says(store: SqlStateStore, tmp_path: Path) -> None:
    store.set_halt(TradingState.ACTIVE, "me", "", NOW)
    (tmp_path / "KILLED").touch()

    row = store.halt()

    assert (row.state, row.by, row.version) == (TradingState.HALTED, "unknown", 2)
    assert store.set_halt(TradingState.REDUCING, "me", "seen to", NOW).version == 3
    assert store.halt().state is TradingState.REDUCING
    assert not (tmp_path / "KILLED").exists()


def test_a_kill_does_not_wait_for_a_writer_that_holds_the_store(store: SqlStateStore, url: str) -> None:
    where = place(url)
    holder = connect(where, write=True)
    for statement in where.dialect.begin:
        holder.execute(statement)

    begin = time.perf_counter()
    row = store.set_halt(TradingState.HALTED, "me", "stuck", NOW)
    seconds = time.perf_counter() - begin

    assert seconds < 2
    assert store.halt() == row == HaltRow(TradingState.HALTED, NOW, "me", "stuck", 1)
    holder.execute("ROLLBACK")
    assert store.set_halt(TradingState.REDUCING, "me", "", NOW).version == 2
    assert store.halt().state is TradingState.REDUCING
    holder.close()


def test_the_halt_is_read_in_microseconds(tmp_path: Path) -> None:
    store = SqlStateStore(tmp_path / "desk.db")
    store.set_halt(TradingState.HALTED, "me", "", NOW)
    spent = []
    for _ in range(5):
        begin = time.process_time()
        for _ in range(500):
            store.halt()
        spent.append((time.process_time() - begin) / 500)

    assert min(spent) < 50e-6
    store.close()


def test_a_lock_is_seen_at_once_by_everyone_and_after_a_restart(
    store: SqlStateStore, url: str, tmp_path: Path
) -> None:
    other = SqlStateStore(url, home=tmp_path)
    assert other.locks() == ()

    locked = store.set_lock("BTC/USDT", True, "me", "news", NOW)

    assert locked == LockRow("BTC/USDT", True, NOW, "me", "news", 1)
    assert store.locks() == other.locks() == (locked,)
    opened = other.set_lock("BTC/USDT", False, "you", "over", NOW)
    other.close()
    store.close()
    reopened = SqlStateStore(url, home=tmp_path, read_only=True)
    assert reopened.locks() == (opened,)
    assert opened.version == 2
    reopened.close()


def test_an_unlock_by_somebody_who_did_not_see_the_newest_lock_is_refused(
    store: SqlStateStore, url: str, tmp_path: Path
) -> None:
    other = SqlStateStore(url, home=tmp_path)
    seen = store.set_lock("venue", True, "me", "news", NOW).version
    newer = other.set_lock("venue", True, "you", "worse news", NOW)

    for after in (seen, 0, newer.version + 1):
        with pytest.raises(
            Refused, match="the lock on venue was changed meanwhile: look at it and say it again"
        ):
            store.set_lock("venue", False, "me", "over", NOW, after=after)
    assert store.locks() == (newer,)
    assert not store.set_lock("venue", False, "me", "over", NOW, after=newer.version).locked
    assert store.set_lock("BTC/USDT", False, "me", "", NOW, after=0).version == 1, "there was none"
    other.close()


def test_of_locks_and_unlocks_at_once_no_unlock_lifts_a_lock_that_it_had_not_seen(
    url: str, tmp_path: Path
) -> None:
    """Eight threads lock and unlock by what they have read; each version but the first follows the one it names."""
    lifted: list[int] = []

    def turns(number: int) -> None:
        own = SqlStateStore(url, home=tmp_path)
        for turn in range(10):
            version = next((row.version for row in own.locks()), 0)
            if (number + turn) % 2:
                own.set_lock("venue", True, f"{number}", "", NOW)
                continue
            with contextlib.suppress(Refused):
                row = own.set_lock("venue", False, f"{number}", "", NOW, after=version)
                lifted.append(row.version - version)
        own.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(turns, range(8)))

    assert lifted, "some were not too late"
    assert set(lifted) == {1}


def test_locks_of_other_names_and_other_desks_are_their_own(
    store: SqlStateStore, url: str, tmp_path: Path
) -> None:
    other = SqlStateStore(url, home=tmp_path, desk="other")
    store.set_lock("venue", True, "me", "", NOW)
    store.set_lock("BTC/USDT", False, "me", "", NOW)

    assert [(row.name, row.locked) for row in store.locks()] == [("BTC/USDT", False), ("venue", True)]
    assert other.locks() == ()
    other.close()


def test_nothing_is_unlocked_over_an_objection(url: str, tmp_path: Path) -> None:
    store = SqlStateStore(url, home=tmp_path, objection=lambda: "the journal is behind its anchor")
    store.set_lock("venue", True, "me", "", NOW)

    with pytest.raises(Refused, match="behind its anchor"):
        store.set_lock("venue", False, "me", "", NOW)
    assert store.locks()[0].locked
    store.close()
