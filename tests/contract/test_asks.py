"""What the store of people and questions promises, in either database and in the tests' own."""

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.core.domain.errors import StoreFailed
from engine.ports import Asked, Asks, Known, Linked
from engine.store import asks as asks_module
from engine.store.asks import KEPT, SqlAsks
from engine.store.driver import connect, place
from tests.fakes import ListAsks

NOW = datetime(2026, 11, 24, 14, 3, 10, 123456, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(params=["sqlite", "postgresql", "memory"])
def asks(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Asks]:
    if request.param == "memory":
        yield ListAsks()
        return
    in_a_file = request.param == "sqlite"
    place = f"sqlite:///{tmp_path}/desk.db" if in_a_file else request.getfixturevalue("postgres_database")
    with closing(SqlAsks(place, "desk")) as store:
        yield store


def question(nonce: str, at: datetime = NOW) -> Asked:
    return Asked(nonce, at, at + MINUTE, b"{}")


def test_nobody_is_known_and_nothing_waits_in_a_new_store(asks: Asks) -> None:
    assert (asks.known(), asks.linked(), asks.waiting(NOW), asks.asked("n")) == ((), (), (), None)


def test_the_newest_word_on_a_role_and_an_account_counts(asks: Asks) -> None:
    asks.set_role(Known("tom", "trader", "ana", NOW))
    asks.set_role(Known("bob", "viewer", "ana", NOW))
    asks.set_role(Known("tom", "", "ola", NOW + MINUTE))
    asks.link(Linked("telegram", 2**63 - 1, "tom", "ana", NOW))
    asks.link(Linked("discord", 7, "tom", "ana", NOW))
    asks.link(Linked("discord", 7, "bob", "ola", NOW))

    assert asks.known() == (Known("bob", "viewer", "ana", NOW), Known("tom", "", "ola", NOW + MINUTE))
    assert asks.linked() == (
        Linked("discord", 7, "bob", "ola", NOW),
        Linked("telegram", 2**63 - 1, "tom", "ana", NOW),
    )


def test_a_question_is_answered_once_and_says_by_whom(asks: Asks) -> None:
    asks.ask(question("n1"))
    assert asks.waiting(NOW) == (question("n1"),)

    first = asks.answer("n1", "yes", "ana", NOW + MINUTE / 2, "telegram 5")
    second = asks.answer("n1", "no", "ola", NOW + MINUTE / 2, "discord 6")

    assert (first, second) == (True, False)
    assert asks.asked("n1") == question("n1")._replace(
        answer="yes", by="ana", answered=NOW + MINUTE / 2, key="telegram 5"
    )
    assert asks.waiting(NOW) == ()


def test_what_is_over_waits_no_more_and_the_oldest_comes_first(asks: Asks) -> None:
    for number in range(3):
        asks.ask(question(f"n{number}", NOW + number * MINUTE))

    assert [each.nonce for each in asks.waiting(NOW + MINUTE)] == ["n1", "n2"]


def test_of_many_who_answer_at_once_from_many_processes_one_is_first(url: str) -> None:
    with closing(SqlAsks(url, "desk")) as one:
        one.ask(question("n"))
    won: list[str] = []
    begin = threading.Barrier(8)

    def press(name: str) -> None:
        with closing(SqlAsks(url, "desk")) as mine:
            begin.wait()
            if mine.answer("n", "yes", name, NOW, name):
                won.append(name)

    pressing = [threading.Thread(target=press, args=(f"p{number}",)) for number in range(8)]
    for thread in pressing:
        thread.start()
    for thread in pressing:
        thread.join()

    with closing(SqlAsks(url, "desk")) as one:
        asked = one.asked("n")
    assert asked is not None
    assert won == [asked.by]


def test_what_was_kept_is_there_after_a_restart_and_for_no_other_desk(url: str) -> None:
    with closing(SqlAsks(url, "desk")) as before:
        before.set_role(Known("tom", "trader", "ana", NOW))
        before.ask(question("n"))
        before.answer("n", "no", "ana", NOW, "k")

    with closing(SqlAsks(url, "desk")) as after, closing(SqlAsks(url, "other")) as other:
        assert after.known() == (Known("tom", "trader", "ana", NOW),)
        assert not after.answer("n", "yes", "ola", NOW, "k2")
        assert (other.known(), other.asked("n")) == ((), None)


def test_more_questions_than_anybody_answers_are_refused_until_they_are_over(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asks_module, "MOST_WAITING", 2)
    with closing(SqlAsks(url, "desk")) as store:
        store.ask(question("n1"))
        store.ask(question("n2"))
        with pytest.raises(StoreFailed, match="2 questions already wait for an answer"):
            store.ask(question("n3"))
        store.ask(question("n4", NOW + 2 * MINUTE))

        assert store.asked("n1") is not None
        store.ask(question("n5", NOW + KEPT + 2 * MINUTE))
        assert store.asked("n1") is None


def test_a_store_that_fails_is_told_in_one_line(url: str) -> None:
    with closing(SqlAsks(url, "desk")) as store:
        store.set_role(Known("tom", "trader", "ana", NOW))
        with closing(connect(place(url), write=True)) as other:
            other.execute("ALTER TABLE people RENAME TO elsewhere")
        with pytest.raises(StoreFailed, match=r"the store at .* cannot be read") as refused:
            store.known()

    assert "\n" not in str(refused.value)


def test_who_may_talk_is_read_while_somebody_writes(url: str) -> None:
    with closing(SqlAsks(url, "desk")) as store:
        store.set_role(Known("tom", "trader", "ana", NOW))
        store.ask(question("n"))
        with store._own.transaction():
            read: list[object] = []
            reading = threading.Thread(
                target=lambda: read.append((store.known(), store.asked("n"))), daemon=True
            )
            reading.start()
            reading.join(10)

        assert read == [((Known("tom", "trader", "ana", NOW),), question("n"))]
