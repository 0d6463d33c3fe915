"""Who is heard: by number, closed by default, from the next message on."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from bot import app
from bot.chat.port import Lane, Said
from bot.people import CONSOLE, TERMINAL, Pace, People, Person, Role, Who, numbered
from configs.schema.chat import ChatSettings, PersonSettings
from engine.core.domain.errors import Refused
from engine.core.domain.records import AnswerRecord, CommandRecord
from engine.ports import Known, Linked
from tests.builders import CLOSE
from tests.fakes import ListAsks
from tests.unit.bot.talk import NUMBERS, PEOPLE, STRANGER, Talk, button, digits


def test_a_desk_that_names_nobody_hears_nobody_but_its_own_terminal() -> None:
    people = People(ChatSettings(), ListAsks())

    assert [
        people.of(Who(surface, number)) for surface in ("telegram", "discord", "mail") for number in (0, 1)
    ] == [None] * 6
    assert people.of(TERMINAL) == CONSOLE


def test_the_name_that_an_account_shows_proves_nothing() -> None:
    people = People(ChatSettings(people=PEOPLE))

    assert people.of(Who("telegram", 2, "ola")) == Person("tom", Role.TRADER)
    assert people.of(Who("telegram", 7, "ola")) is None
    assert people.of(Who("discord", 2, "tom")) is None
    assert people.of(Who("discord", 12)) == Person("tom", Role.TRADER)


async def test_a_stranger_gets_one_answer_an_hour_and_the_owners_are_asked() -> None:
    talk = Talk()

    first = await talk.say("bob", "hello")
    silent = [(await talk.say("bob", text)).text for text in ("/status", "/kill", "why?", "")]
    (told,) = [each for each in talk.chat.told if each.said.buttons]

    assert first.text == f"You are telegram account {STRANGER}: nobody here yet. Access was asked for."
    assert silent == [""] * 4
    assert told.lane is Lane.NOTICE
    assert f"telegram account {STRANGER} asks for access; it shows the name 'bob'" in told.said.text
    assert [each.label for row in told.said.buttons for each in row] == ["Viewer", "Trader", "Deny"]
    talk.wait(3600)
    assert (await talk.say("bob", "hello")).text == first.text
    assert len([each for each in talk.chat.told if each.said.buttons]) == 1, "it waits already"


@pytest.mark.parametrize("shown", ["\ud800", "a\nb", "x" * 10_000, "<b>", "\x1b[2J", "ola"])
async def test_what_a_stranger_is_called_cannot_break_or_forge_the_card(shown: str) -> None:
    talk = Talk()
    message = talk.message("bob", "hello")

    reply = await talk.bot.answer(message._replace(who=Who("telegram", 9, shown)), "telegram")

    assert "Access was asked for" in reply.text
    (told,) = talk.chat.told
    assert len(told.said.text) < 250 and "\n" not in told.said.text and "\x1b" not in told.said.text


async def test_many_strangers_do_not_drown_the_owners() -> None:
    talk = Talk()

    for number in range(100):
        message = talk.message("x", "hello")
        await talk.bot.answer(message._replace(who=Who("telegram", 10_000 + number)), "telegram")

    assert len([each for each in talk.chat.told if each.said.buttons]) == 20


async def test_an_owner_lets_a_stranger_in_by_a_button_and_the_next_message_is_heard() -> None:
    talk = Talk()
    await talk.say("bob", "hello")
    said = talk.chat.told[0].said

    for nobody in ("ada", "tom", "vera", "bob"):
        await talk.press(nobody, button(said, "Trader"))
    assert talk.bot._people.of(Who("telegram", STRANGER)) is None
    granted = await talk.press("ola", button(said, "Trader"), surface="discord")
    again = await talk.press("ola", button(said, "Viewer"))

    assert granted.text == f"Bob is trader, at telegram account {STRANGER}."
    assert again.text == "That was already answered by ola at 21:00:00 UTC: trader."
    assert (await talk.say("bob", "/whoami")).text == f"You are telegram account {STRANGER}: bob, trader."
    assert (await talk.say("bob", "/kill now")).ok
    (record,) = [record for record in talk.records if isinstance(record, CommandRecord)]
    assert (record.kind, record.by, record.text) == (
        "grant",
        "ola",
        f"bob is trader, at telegram account {STRANGER}",
    )


async def test_a_stranger_who_is_denied_stays_one() -> None:
    talk = Talk()
    await talk.say("bob", "hello")

    denied = await talk.press("ola", button(talk.chat.told[0].said, "Deny"))

    assert denied.text == f"Telegram-{STRANGER} gets no role, at telegram account {STRANGER}."
    assert talk.bot._people.of(Who("telegram", STRANGER)) is None
    talk.wait(7200)
    assert (await talk.say("bob", "hello")).text == f"You are telegram account {STRANGER}: nobody here."
    assert len([each for each in talk.chat.told if each.said.buttons]) == 1
    card = await talk.say("ola", f"/roles grant {STRANGER} viewer bob")
    assert (await talk.say("ola", digits(card))).ok
    assert (await talk.say("bob", "/whoami")).text == f"You are telegram account {STRANGER}: bob, viewer."


async def shown_as(talk: Talk, number: int, shown: str) -> Said:
    """The card about an account that shows a name."""
    message = talk.message("x", "hello")._replace(who=Who("telegram", number, shown))
    await talk.bot.answer(message, "telegram")
    return talk.chat.told[-1].said


async def test_a_role_given_to_somebody_is_not_given_to_a_stranger_who_showed_their_name_and_was_denied() -> (
    None
):
    talk = Talk()
    await talk.press("ola", button(await shown_as(talk, 666, "Zoe"), "Deny"))

    card = await talk.say("ola", "/roles grant telegram:345678901 trader zoe")
    assert "Heard: telegram 345678901." in card.text
    assert (await talk.say("ola", digits(card))).ok

    people = talk.bot._people
    assert people.of(Who("telegram", 345678901)) == Person("zoe", Role.TRADER)
    assert people.of(Who("telegram", 666)) is None


async def test_of_two_strangers_who_show_one_name_each_is_somebody_and_denying_one_takes_nothing_from_the_other() -> (
    None
):
    talk = Talk()
    first, second = await shown_as(talk, 345, "Zoe"), await shown_as(talk, 666, "Zoe")

    assert ["It would be called zoe." in first.text, "called telegram-666." in second.text] == [True, True]
    await talk.press("ola", button(first, "Trader"))
    await talk.press("ola", button(second, "Deny"))

    people = talk.bot._people
    assert people.of(Who("telegram", 345)) == Person("zoe", Role.TRADER)
    assert people.of(Who("telegram", 666)) is None


@pytest.mark.parametrize(("label", "role"), [("Trader", Role.TRADER), ("Deny", None)])
async def test_a_name_that_somebody_got_while_the_card_waited_is_not_given_twice(
    label: str, role: Role | None
) -> None:
    talk = Talk()
    waiting = await shown_as(talk, 666, "Zoe")
    card = await talk.say("ola", "/roles grant telegram:345 viewer zoe")
    await talk.say("ola", digits(card))

    assert (await talk.press("ola", button(waiting, label))).ok

    people = talk.bot._people
    assert people.of(Who("telegram", 345)) == Person("zoe", Role.VIEWER)
    assert people.of(Who("telegram", 666)) == (Person("telegram-666", role) if role else None)


def test_a_denied_name_says_nothing_of_a_person_whom_the_profile_names_later() -> None:
    asks, who = ListAsks(), Who("telegram", 666, "Zoe")
    before = People(ChatSettings(), asks)
    before.grant(numbered(who), None, "ola", CLOSE, who)

    after = People(ChatSettings(people=(PersonSettings("zoe", "owner", telegram=5),)), asks)

    assert after.of(Who("telegram", 5)) == Person("zoe", Role.OWNER)
    assert after.of(who) is None


def test_accounts_of_a_name_without_a_role_do_not_come_back_with_a_new_one() -> None:
    people = People(ChatSettings(people=PEOPLE), ListAsks())
    old, new = Who("telegram", 666), Who("telegram", 345)
    people.grant("zoe", None, "ola", CLOSE, old)
    people.grant("tom", None, "ola", CLOSE)

    people.grant("zoe", Role.TRADER, "ola", CLOSE, new)
    people.grant("tom", Role.TRADER, "ola", CLOSE, Who("telegram", 99))

    assert (people.of(old), people.of(new)) == (None, Person("zoe", Role.TRADER))
    assert people.name_of(old) == "telegram-666"
    assert people.of(Who("discord", 12)) == Person("tom", Role.TRADER), "the profile says so"


@pytest.mark.parametrize("shown", ["telegram-345", "Discord-1", "TELEGRAM-666"])
async def test_nobody_is_called_by_the_number_of_another(shown: str) -> None:
    people = People(ChatSettings(people=PEOPLE), ListAsks())

    assert people.new_name(Who("telegram", 99, shown)) == "telegram-99"
    with pytest.raises(Refused, match="is the name of another account"):
        people.grant(shown.lower(), Role.VIEWER, "ola", CLOSE, Who("telegram", 99))


async def test_a_card_lists_whoever_will_be_heard_and_is_void_when_that_is_another_list() -> None:
    talk = Talk()

    card = await talk.say("ola", "/roles grant vera trader")
    assert "Heard: discord 11, telegram 1." in card.text
    talk.asks.link(Linked("telegram", 77, "vera", "ola", CLOSE))

    reply = await talk.say("ola", digits(card))

    assert (
        "the list of accounts of vera was discord 11, telegram 1 and is now discord 11, telegram 1"
        in reply.text
    )
    assert talk.bot._people.role("vera") is Role.VIEWER


@pytest.mark.parametrize("shown", ["ola", "console", "TOM", "", "Ж", "x" * 99, "all", "9lives", "a b"])
async def test_a_stranger_cannot_choose_a_name_that_somebody_has(shown: str) -> None:
    people = People(ChatSettings(people=PEOPLE), ListAsks())

    name = people.new_name(Who("telegram", 99, shown))

    assert name not in {*NUMBERS, "console", "all"}
    people.grant(name, Role.VIEWER, "ola", CLOSE)


async def test_whoami_is_for_anybody_but_not_without_end() -> None:
    talk = Talk()

    said = [(await talk.say("bob", "/tg_info")).text for _ in range(5)]

    assert said == [f"You are telegram account {STRANGER}: nobody here."] * 3 + [""] * 2
    assert talk.chat.told == []
    assert (await talk.say("vera", "/whoami")).text == "You are telegram account 1: vera, viewer."


async def test_owners_give_and_take_roles_and_it_holds_from_the_next_message_on(
    record_property: Callable[[str, object], None],
) -> None:
    talk = Talk()

    card = await talk.say("ola", "/roles grant vera trader")
    assert "From now on vera is trader. Before: viewer." in card.text
    assert not (await talk.say("vera", "/pause")).ok
    assert (await talk.say("ola", digits(card))).text == "/roles grant vera trader of ola:\nVera is trader."
    assert (await talk.say("vera", "/pause")).ok
    assert (await talk.say("ola", "/roles revoke vera")).text == "Vera has no role from the next message on."
    assert "nobody here" in (await talk.say("vera", "/status")).text
    talk.restart()
    await talk.say("vera", "/kill")
    assert talk.done == ["pause"]
    kinds = [(record.kind, record.by) for record in talk.records if isinstance(record, CommandRecord)]
    assert kinds == [("grant", "ola"), ("revoke", "ola")]
    record_property("figure", "A6 a revoked person is heard: 0 messages")


@pytest.mark.parametrize("text", ["/roles revoke ola", "/roles grant ola admin"])
async def test_the_only_owner_is_not_lost_in_a_chat(text: str) -> None:
    talk = Talk()

    refused = await talk.say("ola", text)

    assert not refused.ok
    assert "ola is the only owner: make another one first" in refused.text
    card = await talk.say("ola", "/roles grant vera owner")
    assert (await talk.say("ola", digits(card))).ok
    assert (await talk.say("vera", "/roles revoke ola")).text == "Ola has no role from the next message on."


async def test_an_account_can_be_named_and_a_second_platform_linked() -> None:
    talk = Talk()

    for text in ("/roles grant 99 trader bob", "/roles link bob discord 77"):
        card = await talk.say("ola", text)
        assert (await talk.say("ola", digits(card))).ok

    people = talk.bot._people
    assert people.of(Who("telegram", 99)) == people.of(Who("discord", 77)) == Person("bob", Role.TRADER)
    assert (
        "bob: trader, said by ola; discord 77, telegram 99"
        in (await talk.say("ola", "/roles", private=True)).text
    )
    assert (
        "ola: owner, said by the profile; telegram 6, discord 16"
        in (await talk.say("ola", "/roles", private=True)).text
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/roles link bob discord 12", "nobody is called 'bob'"),
        ("/roles revoke bob", "nobody is called 'bob'. Known: abe, ada"),
        ("/roles grant vera king", "'king' is no role: expected one of viewer, trader, admin, owner"),
        ("/roles grant -5 trader", "'-5' is neither a known name nor an account"),
        ("/roles grant 0 trader", "neither a known name nor an account"),
        (f"/roles grant {2**63} trader", "neither a known name nor an account"),
        ("/roles grant mail:7 trader", "neither a known name nor an account"),
        ("/roles grant １２ trader", "neither a known name nor an account"),
        ("/roles grant vera", "/roles lists who may do what"),
        ("/roles everybody owner", "/roles lists who may do what"),
    ],
)
async def test_what_is_no_change_of_a_role_is_told_with_what_is(text: str, said: str) -> None:
    talk = Talk()

    reply = await talk.say("ola", text)

    assert (reply.ok, reply.buttons) == (False, ())
    assert said in reply.text


@pytest.mark.parametrize(
    "text", ["/roles link vera telegram 2", "/roles grant 99 trader console", "/roles grant 99 trader A!"]
)
async def test_no_account_is_taken_from_somebody_and_nobody_becomes_the_console(text: str) -> None:
    talk = Talk()
    card = await talk.say("ola", text)

    assert not (await talk.say("ola", digits(card))).ok
    assert talk.bot._people.of(Who("telegram", 2)) == Person("tom", Role.TRADER)
    assert talk.bot._people.of(Who("telegram", 99)) is None


def test_without_a_store_nobody_can_be_let_in() -> None:
    with pytest.raises(Refused, match="cannot be changed here"):
        People(ChatSettings()).grant("bob", Role.VIEWER, "ola", CLOSE)


async def test_five_refused_tries_within_ten_minutes_are_told_once_and_each_is_written_down(
    record_property: Callable[[str, object], None],
) -> None:
    talk = Talk()

    for _ in range(4):
        await talk.say("vera", "/kill")
    assert talk.chat.told == []
    for _ in range(4):
        await talk.say("vera", "/resume")

    (told,) = talk.chat.told
    assert told.lane is Lane.URGENT
    assert told.said.text == "vera (telegram 1) was refused 5 times within ten minutes. Last: “/resume”."
    record_property("figure", "A5 refused tries until the owners are told, once: 5")
    refused = [record for record in talk.records if isinstance(record, AnswerRecord)]
    assert len({record.id for record in refused}) == 8
    assert (refused[0].by, refused[0].question, refused[0].refused) == ("vera", "/kill", True)
    assert refused[0].answer == "refused: /kill needs the role trader; vera has viewer."


@pytest.mark.parametrize("name", ["nobody", "vera"])
async def test_whoever_keeps_being_refused_fills_no_journal_and_how_often_it_was_is_written_down(
    name: str,
) -> None:
    talk = Talk()

    for _ in range(500):
        await talk.say(name, "/kill x")
    during = [record.answer for record in talk.records if isinstance(record, AnswerRecord)]
    talk.wait(600)
    await talk.say("tom", "/resume")
    await talk.say(name, "/kill x")

    assert len(during) == 11
    assert during[-1].endswith(" Further ones are counted and not written down.")
    others, last = (record.answer for record in talk.records[11:] if isinstance(record, AnswerRecord))
    assert "not written down" not in others
    assert last.endswith(" Before it 490 more were refused and not written down.")


async def test_refused_tries_that_are_far_apart_are_no_alarm() -> None:
    talk = Talk()

    for _ in range(12):
        await talk.say("vera", "/kill")
        talk.wait(151)

    assert talk.chat.told == []


async def test_a_kill_needs_no_store_of_people_and_whatever_else_does() -> None:
    talk = Talk()
    talk.asks.broken = True

    assert (await talk.say("tom", "/kill now")).ok
    assert (await talk.say("tom", "/pause")).ok
    assert (await talk.say("tom", "/fx all")).text == "the store is gone"
    assert not (await talk.say("vera", "/kill")).ok
    assert (await talk.say("bob", "/kill")).text == f"You are telegram account {STRANGER}: nobody here."
    assert [(await talk.say("bob", text)).text for text in ("/status", "hello", "/pause")] == ["", "", ""]
    assert talk.done == ["kill", "pause"]


async def test_a_message_older_than_its_command_may_be_is_refused_and_says_how_old() -> None:
    talk = Talk()

    reply = await talk.say("ada", "/resume", age_s=95)

    assert reply.text == "Nothing was done: sent 20:58:25 UTC, 95 s ago: at most 30 s; say it again."
    assert talk.done == []
    assert [type(record) for record in talk.records] == [AnswerRecord]


async def test_what_makes_the_desk_safer_is_done_late_and_said_to_be() -> None:
    talk = Talk()

    late = await talk.say("tom", "/kill news", age_s=599)
    too_late = await talk.say("tom", "/kill news", age_s=601)
    in_time = await talk.say("tom", "/pause", age_s=29)

    assert late.text.endswith("\nExecuted late: sent 20:50:01 UTC, 599 s ago.")
    assert "at most 600 s; say it again" in too_late.text
    assert "late" not in in_time.text
    assert talk.done == ["kill", "pause"]
    assert talk.desk.commands[0].at == talk.now - timedelta(seconds=599)


async def test_a_question_is_never_too_old_and_a_clock_that_is_ahead_is_ours() -> None:
    talk = Talk()

    assert (await talk.say("vera", "why did you buy SP500?", age_s=1e6)).ok
    assert (await talk.say("vera", "/status", age_s=1e6)).ok
    assert (await talk.say("tom", "/kill", age_s=-1e6)).ok
    assert talk.desk.commands[0].at == talk.now


async def test_what_is_typed_at_the_terminal_may_wait_for_its_turn() -> None:
    talk = Talk(state="reducing")

    assert (await talk.say("console", "/resume", surface="console", age_s=999)).ok
    assert talk.desk.commands[0].at == talk.now


def test_a_pace_remembers_no_more_keys_than_it_may() -> None:
    pace = Pace(2, timedelta(minutes=1))

    for number in range(5000):
        assert pace.allows(number, CLOSE)
    assert len(pace._seen) == Pace.MOST_KEYS
    assert [pace.allows(4999, CLOSE) for _ in range(3)] == [True, False, False]
    assert pace.allows(4999, CLOSE + timedelta(minutes=1))


def test_two_people_cannot_be_one_account() -> None:
    with pytest.raises(ValueError, match="telegram 5 is named twice"):
        ChatSettings(people=(PersonSettings("a", telegram=5), PersonSettings("b", telegram=5)))


async def test_an_account_changes_hands_only_after_its_owner_was_revoked_and_never_against_the_profile() -> (
    None
):
    talk = Talk()

    async def done(text: str) -> str:
        reply = await talk.say("ola", text)
        said = await talk.say("ola", digits(reply)) if "Type " in reply.text else reply
        return said.text.rpartition("\n")[2]

    await done("/roles grant 99 trader bob")
    assert (
        await done("/roles link vera telegram 99") == "telegram account 99 is bob's: /roles revoke bob first"
    )
    await done("/roles revoke bob")
    assert await done("/roles link vera telegram 99") == "Vera is heard, at telegram account 99."
    assert talk.bot._people.of(Who("telegram", 99)) == Person("vera", Role.VIEWER)
    await done("/roles revoke tom")
    assert await done("/roles link vera telegram 2") == (
        "telegram account 2 is tom's by the profile, and stays so"
    )
    assert talk.bot._people.of(Who("telegram", 2)) is None


class Stalled(ListAsks):
    """A store that says nothing until a test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.let = threading.Event(), threading.Event()

    def linked(self) -> tuple[Linked, ...]:
        """When it is let, or after two seconds."""
        self.begun.set()
        self.let.wait(2)
        return super().linked()


@pytest.mark.parametrize("text", ["hello", "/kill now"])
async def test_the_engine_waits_for_no_store_that_is_asked_who_a_stranger_is(text: str) -> None:
    talk = Talk()
    talk.asks = asks = Stalled()
    talk.restart()

    asking = asyncio.create_task(talk.say("bob", text))
    assert await asyncio.to_thread(asks.begun.wait, 2)

    assert not asking.done()
    assert not asks.let.is_set()
    asks.let.set()
    assert "nobody here" in (await asking).text


async def test_a_kill_waits_half_a_second_for_a_store_that_stalls_and_then_goes_by_the_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert app.STORE_S == 0.5
    monkeypatch.setattr(app, "STORE_S", 0.01)
    talk = Talk()
    talk.asks = asks = Stalled()
    talk.restart()

    reply = await talk.say("tom", "/kill now")
    stalled = not asks.let.is_set() and asks.begun.is_set()
    asks.let.set()

    assert (reply.ok, stalled, talk.done) == (True, True, ["kill"])
    talk.asks.set_role(Known("tom", "", "ola", CLOSE))
    assert "nobody here" in (await talk.say("tom", "/pause")).text
