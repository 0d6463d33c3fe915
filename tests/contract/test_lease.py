import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.core.domain.errors import Fenced, HeldElsewhere, StoreFailed
from engine.core.domain.records import IncidentRecord
from engine.core.domain.risk import TradingState
from engine.store import lease as lease_module
from engine.store.driver import Place, connect, place, prepare
from engine.store.journal import SqlJournal
from engine.store.lease import Fence, Sole, SqlLease, elapsed, holder_of, lease, signature, take
from engine.store.state import SqlStateStore

NOW = datetime(2026, 11, 24, tzinfo=UTC)
TTL_S = 0.8


@pytest.fixture
def where(url: str) -> Place:
    return place(url)


@pytest.fixture(autouse=True)
def _leases_that_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "TTL_S", TTL_S)
    monkeypatch.setattr(lease_module, "RENEW_S", 0.1)
    monkeypatch.setattr(lease_module, "POLL_S", 0.02)


@pytest.fixture
def holders() -> Iterator[list[SqlLease]]:
    """Leases that are given back when the test is over."""
    held: list[SqlLease] = []
    yield held
    for each in held:
        each.give_back()


def freeze(held: SqlLease) -> None:
    """It extends its lease no more, and does not know it."""
    held._ended.set()
    held._thread.join()


def until(reached: Callable[[], bool], seconds: float = 10) -> None:
    ends, pause = elapsed() + seconds, threading.Event()
    while not reached():
        assert elapsed() < ends, "nothing happened"
        pause.wait(0.01)


def incident(number: int) -> IncidentRecord:
    return IncidentRecord(f"i-{number}", NOW, "test", "", {}, None)


def test_one_has_it_and_another_is_told_who_and_since_when(where: Place, holders: list[SqlLease]) -> None:
    holders.append(take(where, "desk"))

    with pytest.raises(HeldElsewhere) as refused:
        take(where, "desk")

    who = f"desk at .* is held by pid {os.getpid()} on {re.escape(socket.gethostname())} since 20..-..-..T..:..:.."
    assert re.match(who, str(refused.value))
    assert "\n" not in str(refused.value)
    assert holders[0].token == 1


def test_what_was_given_back_can_be_taken_at_once_and_the_token_grows(where: Place) -> None:
    for token in (1, 2, 3):
        began = elapsed()
        held = take(where, "desk")
        assert held.token == token
        assert elapsed() - began < TTL_S
        held.give_back()
        assert not held.certain()


def test_whoever_asks_is_told_who_holds_it_until_it_runs_out(
    url: str, where: Place, holders: list[SqlLease]
) -> None:
    """On SQLite it is the lock of the home that counts, and there is nobody to tell of."""
    if not url.startswith("sqlite"):
        prepare(where, write=True)
        assert holder_of(url, "desk") == ""
    held = take(where, "desk")
    holders.append(held)

    assert holder_of(url, "desk") == ("" if url.startswith("sqlite") else signature(os.getpid()))
    freeze(held)
    until(lambda: holder_of(url, "desk") == "")


def test_each_desk_has_a_lease_of_its_own(where: Place, holders: list[SqlLease]) -> None:
    holders += [take(where, "desk"), take(where, "other")]

    assert [held.token for held in holders] == [1, 1]
    assert all(held.certain() for held in holders)


def test_it_is_extended_for_as_long_as_its_holder_lives(where: Place, holders: list[SqlLease]) -> None:
    holders.append(take(where, "desk"))
    began = elapsed()

    until(lambda: elapsed() - began > 2 * TTL_S)

    assert holders[0].certain(TTL_S / 4)
    assert not holders[0].certain(2 * TTL_S)
    with pytest.raises(HeldElsewhere):
        take(where, "desk")


def test_one_that_is_not_extended_ends_for_its_holder_before_anyone_can_take_it(
    where: Place, holders: list[SqlLease]
) -> None:
    frozen = take(where, "desk")
    freeze(frozen)
    assert frozen.certain()

    holders.append(take(where, "desk"))

    assert not frozen.certain()
    assert holders[0].token == frozen.token + 1
    assert holders[0].certain()


def test_of_many_who_want_it_at_once_one_gets_it(where: Place, holders: list[SqlLease]) -> None:
    take(where, "desk").give_back()

    def want(_: int) -> SqlLease | None:
        with suppress(HeldElsewhere):
            return take(where, "desk")
        return None

    with ThreadPoolExecutor(6) as pool:
        holders += [held for held in pool.map(want, range(6)) if held]

    assert [held.token for held in holders] == [2]


def test_a_standby_is_told_who_holds_it_once_and_takes_over(where: Place, holders: list[SqlLease]) -> None:
    first, told = take(where, "desk"), list[str]()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take, where, "desk", told.append)
        began = elapsed()
        until(lambda: bool(told) and elapsed() - began > TTL_S)
        freeze(first)
        holders.append(waiting.result(timeout=10))

    assert len(told) == 1
    assert f"held by pid {os.getpid()}" in told[0]
    assert holders[0].token == 2


def test_whoever_lost_it_is_told(where: Place, holders: list[SqlLease]) -> None:
    held, told = take(where, "desk"), threading.Event()
    held.watch(told.set)
    with closing(connect(where, write=True)) as other:
        other.execute("UPDATE leases SET token = token + 1")

    assert told.wait(5)
    assert not held.certain()
    with pytest.raises(Fenced, match=r"another copy of desk has taken over .lease 1 is not the newest"):
        held.check()
    late = threading.Event()
    held.watch(late.set)
    assert late.is_set()


def test_a_store_that_does_not_answer_ends_certainty_and_a_later_answer_restores_it(
    where: Place, holders: list[SqlLease]
) -> None:
    holders.append(take(where, "desk"))
    with closing(connect(where, write=True)) as other:
        for statement in where.dialect.begin:
            other.execute(statement)
        other.execute("UPDATE leases SET holder = holder")
        until(lambda: not holders[0].certain())
        other.execute("ROLLBACK")

    until(holders[0].certain)
    holders[0].check()


@pytest.mark.parametrize("at_once", [1, 3])
async def test_e11_a_writer_with_an_old_token_writes_nothing_ever_again(
    url: str, where: Place, holders: list[SqlLease], at_once: int
) -> None:
    frozen = take(where, "desk")
    old = SqlJournal(url, fence=Fence("desk", frozen.token))
    await old.append([incident(number) for number in range(at_once)])
    freeze(frozen)
    holders.append(take(where, "desk"))
    new = SqlJournal(url, fence=Fence("desk", holders[0].token))

    for _ in range(2):
        with pytest.raises(Fenced, match="another copy of desk has taken over"):
            await old.append([incident(number) for number in range(100, 100 + at_once)])
    await new.append([incident(number) for number in range(200, 200 + at_once)])
    with pytest.raises(Fenced):
        old.append_sync([incident(300)])

    assert (new.count(), new.verify(deep=True).chain_ok) == (2 * at_once, True)
    assert new.get("i-100") is None
    old.close()
    new.close()


def test_a_writer_whose_desk_nobody_holds_writes_nothing(url: str) -> None:
    with closing(SqlJournal(url, fence=Fence("desk", 1))) as journal, pytest.raises(Fenced):
        journal.append_sync([incident(1)])


async def test_a_fenced_writer_goes_on_behind_records_it_did_not_know(
    url: str, where: Place, holders: list[SqlLease]
) -> None:
    holders.append(take(where, "desk"))
    fenced, other = SqlJournal(url, fence=Fence("desk", 1)), SqlJournal(url)
    for number in range(3):
        await other.append([incident(number)])
        stored = await fenced.append([incident(number), incident(10 + number)])
        assert [each.sequence for each in stored] == [2 * number + 1, 2 * number + 2]
        assert (await fenced.append([incident(number)]))[0].sequence == 2 * number + 1

    assert fenced.verify(deep=True).chain_ok
    fenced.close()
    other.close()


def test_a_kill_needs_no_lease(url: str, where: Place, tmp_path: Path, holders: list[SqlLease]) -> None:
    holders.append(take(where, "desk"))

    with closing(SqlStateStore(url, home=tmp_path)) as store:
        assert store.set_halt(TradingState.HALTED, "me", "now", NOW).version == 1


def test_what_cannot_be_reached_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed):
        take(place("postgresql://nobody@127.0.0.1:1/none"), "desk")


def test_a_transaction_in_which_its_owner_froze_is_ended_by_the_database(postgres_database: str) -> None:
    where = place(postgres_database)
    frozen = take(where, "desk")
    standing = connect(where, write=True)
    for statement in (*where.dialect.begin, f"SELECT 1 FROM leases{where.dialect.share}"):
        standing.execute(statement)
    freeze(frozen)

    began = elapsed()
    held = take(where, "desk", waiting=lambda _: None)
    with closing(SqlJournal(postgres_database, fence=Fence("desk", held.token))) as journal:
        journal.append_sync([incident(1), incident(2)])

    assert elapsed() - began < 5
    held.give_back()
    standing.close()


def test_a_file_in_a_home_is_held_by_the_lock_of_the_home(tmp_path: Path) -> None:
    with lease(f"{tmp_path}/desk.db", "desk") as held:
        assert isinstance(held, Sole)
        assert (held.token, held.certain(3600)) == (0, True)
        held.check()

    assert not (tmp_path / "desk.db").exists()


def test_a_database_is_held_by_its_row_until_the_end_of_the_block(postgres_database: str) -> None:
    for token in (1, 2):
        with lease(postgres_database, "desk") as held:
            assert (held.token, held.certain()) == (token, True)


def test_a_store_that_fails_again_and_again_is_told_once_and_the_lease_is_extended_when_it_answers(
    where: Place, holders: list[SqlLease], caplog: pytest.LogCaptureFixture
) -> None:
    holders.append(take(where, "desk"))
    with closing(connect(where, write=True)) as other:
        other.execute("ALTER TABLE leases RENAME TO elsewhere")
        until(lambda: bool(caplog.messages))
        until(lambda: not holders[0].certain())
        told = list(caplog.messages)
        other.execute("ALTER TABLE elsewhere RENAME TO leases")
    until(holders[0].certain)

    assert len(told) == 1
    assert told[0].startswith("the lease of desk could not be extended: ")
    assert holders[0].token == 1


def test_one_that_was_lost_is_not_given_back_for_it_is_another_holders(where: Place) -> None:
    held = take(where, "desk")
    with closing(connect(where, write=True)) as other:
        other.execute("UPDATE leases SET token = token + 1")
        until(lambda: not held.certain())
        before = other.execute("SELECT token, expires FROM leases").fetchone()
        held.give_back()
        assert tuple(other.execute("SELECT token, expires FROM leases").fetchone()) == tuple(before)
    with pytest.raises(Fenced):
        held.check()


def test_a_lease_that_cannot_be_taken_for_as_long_as_a_dead_holder_would_keep_it_is_refused(
    where: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "IDLE_MS", 0)
    take(where, "desk").give_back()
    with closing(connect(where, write=True)) as other:
        other.execute("ALTER TABLE leases RENAME TO elsewhere")

    began = elapsed()
    with pytest.raises(StoreFailed, match=r"the lease of desk cannot be taken: .*leases"):
        take(where, "desk")

    assert elapsed() - began >= TTL_S
