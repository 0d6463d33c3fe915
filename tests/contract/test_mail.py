"""What the mail promises on every store: a letter once, a parcel until it is there, all or nothing."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from engine.core.domain.errors import StoreFailed
from engine.ports import Letter, Post
from engine.store.driver import connect, place
from engine.store.mail import KEPT, SqlMail

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def mail(url: str) -> Iterator[SqlMail]:
    with closing(SqlMail(url, "desk")) as mail:
        yield mail


def letter(key: str, source: str = "telegram") -> Letter:
    return Letter(source, key, NOW, b"\x00what was written\xff")


def post(text: str, lane: int = 1, *, group: str = "", source: str = "telegram") -> Post:
    return Post(source, "42", lane, NOW, text.encode(), group)


def test_a_letter_that_comes_again_is_kept_once_and_in_the_order_of_its_coming(mail: SqlMail) -> None:
    assert mail.receive([letter("9"), letter("10")]) == (letter("9"), letter("10"))
    assert mail.receive([letter("10"), letter("3"), letter("3")]) == (letter("3"),)
    assert mail.receive([letter("9", "discord")]) == (letter("9", "discord"),)

    assert [each.key for each in mail.unanswered("telegram")] == ["9", "10", "3"]


def test_what_was_received_is_there_after_the_process_and_belongs_to_its_desk(url: str) -> None:
    with closing(SqlMail(url, "desk")) as mail:
        mail.receive([letter("1")])
        mail.post([post("told")])

    with closing(SqlMail(url, "desk")) as again, closing(SqlMail(url, "other")) as other:
        assert again.unanswered("telegram") == (letter("1"),)
        assert [parcel.body for parcel in again.waiting("telegram")] == [b"told"]
        assert other.unanswered("telegram") == ()
        assert other.waiting("telegram") == ()


def test_a_letter_is_answered_together_with_its_answer_and_only_once(mail: SqlMail) -> None:
    mail.receive([letter("1")])

    mail.answered("telegram", "1", [post("yes", 0)])
    mail.answered("telegram", "1", [post("yes", 0)])

    assert mail.unanswered("telegram") == ()
    assert [parcel.body for parcel in mail.waiting("telegram")] == [b"yes"]
    assert mail.receive([letter("1")]) == ()


def test_an_answer_that_cannot_be_kept_leaves_its_letter_waiting(mail: SqlMail, url: str) -> None:
    mail.receive([letter("1")])
    with closing(connect(place(url), write=True)) as other:
        other.execute("ALTER TABLE parcels RENAME TO elsewhere")
        with pytest.raises(StoreFailed, match=r"the mail at .* cannot be used: .*parcels") as failed:
            mail.answered("telegram", "1", [post("yes", 0)])
        other.execute("ALTER TABLE elsewhere RENAME TO parcels")

    assert "\n" not in str(failed.value)
    assert mail.unanswered("telegram") == (letter("1"),)


def test_several_parcels_are_posted_all_or_none(mail: SqlMail) -> None:
    broken = post("never")._replace(body=object())  # type: ignore[arg-type]

    with pytest.raises(Exception, match=r"."):
        mail.post([post("one"), broken])

    assert mail.waiting("telegram") == ()


def test_parcels_wait_by_lane_and_number_until_they_are_there_or_given_up(mail: SqlMail) -> None:
    mail.post([post("info", 2), post("first", 1), post("urgent", 0), post("second", 1)])
    urgent, first, second, info = mail.waiting("telegram")

    mail.delivered([urgent.number, first.number], "m1", NOW)
    mail.dead(info.number, "the chat is gone", NOW)

    assert [second] == list(mail.waiting("telegram"))
    assert [(parcel.body, why) for parcel, why in mail.dead_letters()] == [(b"info", "the chat is gone")]


def test_a_try_without_a_known_end_is_remembered_and_one_that_certainly_failed_is_not(mail: SqlMail) -> None:
    mail.post([post("one"), post("two")])
    one, two = (parcel.number for parcel in mail.waiting("telegram"))
    later = NOW + timedelta(seconds=30)

    mail.trying([one, two])
    mail.delayed([one], later, "nobody answered", unknown=True)
    mail.delayed([two], later, "asked to wait")

    assert [(parcel.tries, parcel.due) for parcel in mail.waiting("telegram")] == [(1, later), (0, later)]


def test_a_group_knows_its_first_and_its_newest_message(mail: SqlMail) -> None:
    mail.post(
        [post("opened", group="trade"), post("stop moved", group="trade"), post("closed", group="trade")]
    )
    opened, moved, _ = (parcel.number for parcel in mail.waiting("telegram"))
    mail.delivered([opened], "m1", NOW)
    mail.delivered([moved], "m2", NOW)

    first, last = mail.first_of("telegram", "42", "trade"), mail.last_of("telegram", "42", "trade")

    assert first is not None
    assert last is not None
    assert (first.sent_as, last.sent_as) == ("m1", "m2")
    assert mail.last_of("telegram", "43", "trade") is None
    assert mail.first_of("discord", "42", "trade") is None


def test_what_ended_a_week_ago_is_forgotten_and_what_waits_is_not(mail: SqlMail) -> None:
    mail.receive([letter("old"), letter("waits")])
    mail.answered("telegram", "old", [post("an answer", 0), post("waits too")])
    answer, _ = (parcel.number for parcel in mail.waiting("telegram"))
    mail.delivered([answer], "m1", NOW)
    mail.post([post("new", group="trade")])
    newest = mail.waiting("telegram")[-1].number

    mail.delivered([newest], "m2", NOW + KEPT + timedelta(seconds=1))

    assert mail.receive([letter("old")]) == (letter("old"),), "nobody knows it any more"
    assert [parcel.body for parcel in mail.waiting("telegram")] == [b"waits too"]
    assert letter("waits") in mail.unanswered("telegram")
