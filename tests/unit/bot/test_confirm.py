"""Cards: who may say yes, what voids them, and that one yes does it once."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from bot.chat.port import Lane
from bot.command import Reply
from configs.schema.chat import PersonSettings
from engine.core.domain.risk import Lock, RiskState
from tests.builders import CLOSE
from tests.fakes import ListAsks
from tests.unit.bot.talk import PEOPLE, STRANGER, Talk, button, digits
from tests.unit.bot.test_command import HELD


async def test_what_trades_says_exactly_what_will_happen_and_waits_for_a_yes() -> None:
    talk = Talk()

    card = await talk.say("tom", "/sell SP500 2.5")
    assert (
        "Close 2.5 SP500 (about 3,127.50 USD), of 12.5 held. The newest price is 1,251.00; +120.75 so far"
        in card.text
    )
    assert talk.done == []
    reply = await talk.press("tom", button(card, "Yes"))

    (command,) = talk.desk.commands
    assert (command.kind, command.instrument, command.quantity, command.by) == (
        "close", "SP500", Decimal("2.5"), "tom",
    )  # fmt: skip
    assert reply.ok and reply.update == card.update
    assert reply.text == "/sell SP500 2.5 of tom:\nClose done. [cmd-1]"


async def test_a_no_does_nothing_and_ends_it() -> None:
    talk = Talk()
    card = await talk.say("tom", "/buy SP500 500 USD")

    assert "Buy SP500 for 500.00 USD (about 0.39968026), with a stop" in card.text
    assert (await talk.press("tom", button(card, "No"))).text == "/buy SP500 500 USD of tom: tom said no."
    again = await talk.press("tom", button(card, "Yes"))

    assert again.text == "That was already answered by tom at 21:00:00 UTC: no."
    assert talk.done == []


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"name": "tim"}, "Only tom can answer this."),
        ({"name": "ola"}, "Only tom can answer this."),
        ({"name": "tom", "chat": 7}, "This is answered where it was asked."),
        ({"name": "tom", "surface": "discord"}, "This is answered where it was asked."),
    ],
)
async def test_a_tap_of_another_or_elsewhere_is_refused_and_the_card_stays(
    how: dict[str, Any], said: str
) -> None:
    talk = Talk()
    card = await talk.say("tom", "/sell SP500")
    name = how.pop("name")

    refused = await talk.press(name, button(card, "Yes"), **how)
    assert (refused.text, refused.ok, refused.update) == (said, False, "")
    assert talk.done == []

    assert (await talk.press("tom", button(card, "Yes"))).ok
    assert talk.done == ["close"]


async def test_a_stranger_who_presses_does_nothing() -> None:
    talk = Talk()
    card = await talk.say("tom", "/sell SP500")

    await talk.press("nobody", button(card, "Yes"))

    assert talk.done == []
    assert (await talk.press("tom", button(card, "Yes"))).ok


async def test_pressed_twice_it_is_done_once_and_the_second_says_by_whom() -> None:
    talk = Talk()
    card = await talk.say("tom", "/sell SP500 1")

    await talk.press("tom", button(card, "Yes"))
    second = await talk.press("tom", button(card, "Yes"))

    assert talk.done == ["close"]
    assert second.text == "That was already answered by tom at 21:00:00 UTC: yes."


async def test_after_its_time_it_does_nothing() -> None:
    talk = Talk()
    card = await talk.say("tom", "/sell SP500")
    talk.wait(60)

    late = await talk.press("tom", button(card, "Yes"))

    assert "Nothing was done: that could be answered until 21:01:00 UTC" in late.text
    assert "nothing was done" in (await talk.press("tom", button(card, "No"))).text
    assert talk.done == []


async def test_a_card_outlives_a_restart_and_an_answered_one_stays_answered() -> None:
    talk = Talk()
    card, other = await talk.say("tom", "/sell SP500 1"), await talk.say("tom", "/sell SP500 2")
    await talk.press("tom", button(card, "Yes"))
    talk.restart()

    assert "already answered by tom" in (await talk.press("tom", button(card, "Yes"))).text
    assert (await talk.press("tom", button(other, "Yes"))).ok
    assert talk.done == ["close", "close"]


async def test_a_yes_that_was_lost_in_a_crash_is_no_yes_to_what_has_changed_since() -> None:
    talk = Talk(state="reducing")
    card = await talk.say("ada", "/resume")
    talk.desk.refuse = "the process died here"
    await talk.press("ada", button(card, "Yes"), key="p1")
    talk.desk.refuse = ""
    talk.restart()
    await talk.say("tom", "/kill")

    again = await talk.press("ada", button(card, "Yes"), key="p1")

    assert again.text.startswith("Nothing was done: the desk was reducing since None and is now halted")
    assert talk.done == ["kill"]


async def test_a_yes_that_comes_again_after_its_asker_was_revoked_does_nothing() -> None:
    talk = Talk()
    card = await talk.say("tom", "/kill flatten")
    talk.desk.refuse = "the process died here"
    await talk.press("tom", button(card, "Yes"), key="p1")
    talk.desk.refuse = ""
    await talk.say("ola", "/roles revoke tom")
    await talk.press("tom", button(card, "Yes"), key="p1")

    assert talk.done == ["kill"]


async def test_a_press_that_comes_again_late_hears_what_came_of_it() -> None:
    talk = Talk()
    card = await talk.say("tom", "/buy SP500 1")
    first = await talk.press("tom", button(card, "Yes"), key="p1")
    talk.wait(40)

    again = await talk.press("tom", button(card, "Yes"), key="p1", age_s=40)

    assert again.text == first.text
    assert talk.done == ["enter"]


async def test_the_press_that_comes_again_after_a_crash_is_the_same_wish() -> None:
    """The store knows the yes, and perhaps the desk does not yet: it is told again, under the same key."""
    talk = Talk()
    card = await talk.say("tom", "/sell SP500 1")
    talk.desk.refuse = "the process died here"
    await talk.press("tom", button(card, "Yes"), key="p1")
    talk.desk.refuse = ""
    talk.restart()

    for _ in range(5):
        await talk.press("tom", button(card, "Yes"), key="p1")
    assert talk.done == ["close"]
    talk.wait(61)
    late = await talk.press("tom", button(card, "Yes"), key="p1")
    assert "the desk stopped meanwhile: /status shows" in late.text


@pytest.mark.parametrize(
    ("price", "does"), [("1257.25", True), ("1244.75", True), ("1257.26", False), ("1244.74", False)]
)
async def test_a_card_is_void_when_the_price_has_moved_by_more_than_half_a_percent(
    price: str, does: bool
) -> None:
    talk = Talk()
    card = await talk.say("tom", "/sell SP500")
    talk.desk.shown["positions"] = (HELD | {"price": price},)

    reply = await talk.press("tom", button(card, "Yes"))

    assert talk.done == (["close"] if does else [])
    if not does:
        assert "SP500 went from 1,251.00 to" in reply.text and "at most 0.5 % is allowed" in reply.text
        assert "already answered by tom" in (await talk.press("tom", button(card, "Yes"))).text


@pytest.mark.parametrize("now", [(), (HELD | {"quantity": "12"},)])
async def test_a_card_is_void_when_the_position_has_changed(now: tuple[dict[str, Any], ...]) -> None:
    talk = Talk()
    card = await talk.say("tom", "/sell SP500 1")
    talk.desk.shown["positions"] = now

    reply = await talk.press("tom", button(card, "Yes"))

    assert talk.done == []
    assert reply.text.startswith("Nothing was done: ")


async def test_closing_all_needs_the_digits_of_the_card_and_is_void_when_more_is_held() -> None:
    talk = Talk()
    card = await talk.say("tom", "/fx all")
    assert [each.label for row in card.buttons for each in row] == ["No"]
    assert "Close all 1 position(s) at the market:\n12.5 SP500 at about 1,251.00: +120.75 so far" in card.text

    wrong = "0000" if digits(card) != "0000" else "1111"
    assert "type the 4 digits" in (await talk.say("tom", wrong)).text
    await talk.say("tim", digits(card))
    await talk.say("tom", digits(card), chat=7)
    assert talk.done == []
    talk.desk.shown["positions"] = (HELD, HELD | {"instrument": "NASDAQ"})
    assert "more is held than the card says" in (await talk.say("tom", digits(card))).text
    again = await talk.say("tom", "/fx all")
    assert (await talk.say("tom", f" {digits(again)} ")).ok
    assert talk.done == ["close", "close"]


async def test_four_digits_that_nothing_waits_for_are_a_question() -> None:
    talk = Talk()

    reply = await talk.say("tom", "2008")

    assert talk.done == []
    assert "digits" not in reply.text


async def halted(talk: Talk) -> Reply:
    """A desk that was killed, and an admin who wants it to go on."""
    await talk.say("tom", "/kill news")
    return await talk.say("ada", "/resume all is well")


async def test_after_a_kill_another_admin_must_agree_and_everybody_who_listens_is_shown_the_card() -> None:
    talk = Talk()
    card = await halted(talk)
    (told,) = talk.chat.told

    assert "Resume: from halted to reducing. The desk is halted" in card.text
    assert "1 position(s) are open: SP500." in card.text
    assert (told.lane, told.said.text) == (Lane.URGENT, f"ada asks: {card.text}")
    reply = await talk.press("abe", button(told.said, "Yes"), surface="discord", chat=5)

    assert talk.done == ["kill", "resume"]
    assert talk.desk.commands[-1].by == "ada, approved by abe"
    assert reply.ok
    assert reply.text.startswith("/resume all is well of ada, approved by abe:\nResume done. [cmd-2]")


@pytest.mark.parametrize(
    ("name", "surface", "said"),
    [
        ("ada", "telegram", "Somebody else must approve what ada asked for."),
        ("ada", "discord", "Somebody else must approve what ada asked for."),
        ("tom", "telegram", "To approve /resume needs the role admin; tom has trader."),
        ("vera", "telegram", "To approve /resume needs the role admin; vera has viewer."),
        ("nobody", "telegram", f"You are telegram account {STRANGER}"),
    ],
)
async def test_the_second_person_is_not_the_first_nor_one_who_could_not_ask(
    name: str, surface: str, said: str, record_property: Callable[[str, object], None]
) -> None:
    talk = Talk()
    card = await halted(talk)

    reply = await talk.press(name, button(card, "Yes"), surface=surface)

    assert reply.text.startswith(said)
    assert talk.done == ["kill"]
    record_property("sums", {"A3 wrong second persons, all refused": 1})
    assert (await talk.press("ola", button(card, "Yes"))).ok


@pytest.mark.parametrize("revoked", ["ada", "abe"])
async def test_who_was_revoked_meanwhile_neither_asks_nor_approves(
    revoked: str, record_property: Callable[[str, object], None]
) -> None:
    talk = Talk()
    card = await halted(talk)
    await talk.say("ola", f"/roles revoke {revoked}")

    await talk.press("abe", button(card, "Yes"))

    assert talk.done == ["kill"]
    record_property("sums", {"A3 wrong second persons, all refused": 1})


async def test_who_asked_may_take_it_back_and_a_second_person_may_refuse() -> None:
    for name in ("ada", "abe"):
        talk = Talk()
        card = await halted(talk)
        said_no = await talk.press(name, button(card, "No"))
        assert said_no.text == f"/resume all is well of ada: {name} said no."
        assert f"already answered by {name}" in (await talk.press("ola", button(card, "Yes"))).text
        assert talk.done == ["kill"]


async def test_approving_by_typing_is_the_same_and_the_first_answer_wins_on_any_surface() -> None:
    talk = Talk()
    card = await halted(talk)
    nonce = button(card, "Yes").data.rpartition(":")[2]

    assert "Nothing waits" in (await talk.say("tom", "/approve")).text
    assert not (await talk.say("ada", "/approve")).ok
    assert (await talk.say("abe", f"/approve {nonce}", surface="discord")).ok
    assert "already answered by abe" in (await talk.press("ola", button(card, "Yes"))).text
    assert talk.done == ["kill", "resume"]
    second = await talk.say("ada", "/resume")
    assert "from reducing to active" in second.text
    assert (await talk.say("ada", "/approve")).ok
    assert talk.done == ["kill", "resume", "resume"]
    third = await talk.say("tom", "/sell SP500")
    assert (await talk.say("tom", "/deny")).text == "/sell SP500 of tom: tom said no."
    assert "already answered" in (await talk.press("tom", button(third, "Yes"))).text


async def test_a_kill_after_the_card_voids_the_resume() -> None:
    talk = Talk()
    await talk.say("tom", "/kill")
    talk.desk.shown["state"] = "reducing"
    card = await talk.say("ada", "/resume")
    await talk.say("tom", "/kill again")

    reply = await talk.press("ada", button(card, "Yes"))

    assert reply.text.startswith("Nothing was done: the desk was reducing since None and is now halted")
    assert talk.done == ["kill", "kill"]


async def test_whoever_is_alone_types_a_code_after_a_while() -> None:
    talk = Talk(PersonSettings("ada", "admin", telegram=4), PersonSettings("tom", "trader", telegram=2))
    card = await halted(talk)
    assert "Nobody else can approve it." in card.text
    assert talk.chat.told == []

    assert (await talk.say("ada", digits(card))).text == "Nothing was done yet: type it again in 30 s."
    talk.wait(29)
    assert not (await talk.say("ada", digits(card))).ok
    talk.wait(1)
    assert (await talk.say("ada", digits(card))).ok
    assert talk.done == ["kill", "resume"]


async def test_a_kill_that_flattens_halts_at_once_and_asks_before_it_sells() -> None:
    talk = Talk()

    card = await talk.say("tom", "/kill flatten enough")
    assert talk.done == ["kill"]
    assert "The desk is halted." in card.text and "Close all 1 position(s)" in card.text
    talk.desk.shown["positions"] = (HELD | {"price": "1000"},)
    await talk.press("tom", button(card, "Yes"))

    assert talk.done == ["kill", "flatten"]
    assert [command.reason for command in talk.desk.commands] == ["enough", "enough"]


async def test_a_kill_that_flattens_nothing_is_a_kill() -> None:
    talk = Talk(positions=())

    reply = await talk.say("tom", "/panic flat")

    assert talk.done == ["kill"]
    assert reply.ok and reply.text.endswith("Nothing is held, so there is nothing to close.")


async def test_to_tighten_needs_no_yes_and_to_raise_needs_two() -> None:
    talk = Talk()
    talk.desk.risk_state = RiskState(limits={"max_gross": 0.1}, locks={"SP500": Lock(CLOSE, "tom", "news")})

    assert (await talk.say("tom", "/setrisk max_gross 0.05")).ok
    assert "needs the role admin; tom has trader" in (await talk.say("tom", "/setrisk max_gross 0.4")).text
    card = await talk.say("ada", "/setrisk max_gross 0.4")
    assert talk.done == ["limit"]
    assert (await talk.press("abe", button(card, "Yes"))).ok
    assert talk.done == ["limit", "limit"]
    tap = await talk.say("ada", "/unlock sp500")
    assert "SP500 is locked since 15 Oct 2008 21:00 UTC by tom: news." in tap.text
    assert (await talk.press("ada", button(tap, "Yes"))).ok
    assert talk.done == ["limit", "limit", "unlock"]


async def test_a_limit_that_was_changed_after_the_card_is_not_raised_from_it() -> None:
    talk = Talk()
    talk.desk.risk_state = RiskState(limits={"max_gross": 0.1})
    card = await talk.say("ada", "/setrisk max_gross 0.4")
    talk.desk.risk_state = RiskState(limits={"max_gross": 0.01})

    reply = await talk.press("abe", button(card, "Yes"))

    assert "risk.max_gross was 0.1 and is now 0.01" in reply.text
    assert talk.done == []


async def test_what_trades_already_needs_no_resume() -> None:
    talk = Talk()

    reply = await talk.say("ada", "/resume")

    assert (reply.text, reply.buttons) == ("The desk is active already: there is nothing to resume.", ())
    assert talk.done == []


async def test_what_cannot_be_done_is_said_without_a_card() -> None:
    talk = Talk()

    for text in ("/sell GOLD", "/buy SP500 NaN", "/fx", "/unlock SP500", "/setrisk x 1", "/close"):
        reply = await talk.say("ada", text)
        assert (reply.ok, reply.buttons) == (False, ())
    assert talk.asks.questions == {}


async def test_the_console_is_asked_nothing() -> None:
    talk = Talk()

    for text in ("/kill flatten", "/resume", "/resume", "/fx all", "/buy SP500 1"):
        assert (await talk.say("console", text, surface="console")).buttons == ()

    assert talk.done == ["flatten", "resume", "resume", "close", "enter"]


@pytest.mark.parametrize(
    "data",
    ["v1:y:", "v1:y:nonsense", "v2:y:x", "v1:z:x", "", ":::", "v1:w:nonsense", "x" * 60, "v1:t:", "kill"],
)
async def test_a_button_that_nobody_made_does_nothing(data: str) -> None:
    talk = Talk()

    reply = await talk.press("ola", data)

    assert (reply.ok, talk.done, len(talk.asks.questions)) == (False, [], 0)


async def test_what_a_button_says_can_be_no_card_when_it_is_typed() -> None:
    talk = Talk()
    card = await talk.say("tom", "/sell SP500")

    await talk.say("tom", button(card, "Yes").data)

    assert talk.done == []


async def test_buttons_carry_no_more_than_a_platform_takes() -> None:
    talk = Talk()
    for text in ("/sell SP500", "/kill flatten", "/roles grant 99 trader bob"):
        for row in (await talk.say("ola", text)).buttons:
            for each in row:
                assert len(each.data) <= 60 and each.data.isascii()
    assert len(PEOPLE) == 6


async def test_a_kill_while_the_yes_to_a_resume_is_written_down_is_not_undone() -> None:
    talk = Talk(state="reducing")
    card = await talk.say("ada", "/resume")

    class Meanwhile(ListAsks):
        """Somebody kills the desk while the answer becomes durable."""

        def answer(self, nonce: str, answer: str, by: str, at: datetime, key: str) -> bool:
            talk.desk.shown["state"] = "halted"
            return super().answer(nonce, answer, by, at, key)

    slow = Meanwhile()
    slow.questions = talk.asks.questions
    talk.asks = slow
    talk.restart()
    reply = await talk.press("ada", button(card, "Yes"))

    assert reply.text.startswith("Nothing was done: the desk was reducing since None and is now halted")
    assert talk.done == []


async def test_a_yes_without_a_name_is_none_to_what_was_asked_after_it_was_written() -> None:
    talk = Talk()
    card = await halted(talk)

    reply = await talk.say("abe", "/approve", age_s=10)

    assert reply.text == "Nothing waits for your answer here."
    assert talk.done == ["kill"]
    talk.wait(1)
    assert (await talk.say("abe", "/approve")).ok
    assert card.update and talk.done == ["kill", "resume"]


async def test_a_yes_that_waited_says_nothing_any_more() -> None:
    talk = Talk()
    card = await halted(talk)
    nonce = button(card, "Yes").data.rpartition(":")[2]
    talk.wait(60)

    for text in ("/approve", f"/approve {nonce}"):
        assert "at most 30 s; say it again" in (await talk.say("abe", text, age_s=31)).text
    assert talk.done == ["kill"]


async def test_where_more_than_one_question_waits_a_yes_names_its_own() -> None:
    talk = Talk()
    await talk.say("tom", "/sell SP500 1")
    second = await talk.say("tom", "/sell SP500 2")
    nonce = button(second, "Yes").data.rpartition(":")[2]

    reply = await talk.say("tom", "/approve")

    assert (reply.ok, talk.done) == (False, [])
    assert reply.text == f"2 questions wait for your yes: name one, such as /approve {nonce}"
    assert (await talk.say("tom", f"/approve {nonce}")).ok
    assert [command.quantity for command in talk.desk.commands] == [Decimal("2")]
    assert (await talk.say("tom", "/approve")).ok
    assert talk.done == ["close", "close"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vera", "/status"),
        ("vera", "/trades"),
        ("vera", "/risk"),
        ("vera", "/report"),
        ("vera", "/report 2008-10-15"),
        ("vera", "/chart equity"),
        ("tom", "/sell SP500"),
        ("tom", "/fx all"),
        ("tom", "/kill flatten"),
        ("ola", "/roles grant vera trader"),
        ("ola", "/whoami"),
    ],
)
async def test_balances_previews_and_codes_are_for_whoever_asked(name: str, text: str) -> None:
    assert (await Talk().say(name, text, surface="discord")).said().only


@pytest.mark.parametrize("label", ["Yes", "No"])
async def test_what_came_of_a_card_is_for_those_who_saw_the_card(label: str) -> None:
    talk = Talk()

    own = await talk.press("tom", button(await talk.say("tom", "/sell SP500"), label))
    shared = await talk.press("abe", button(await halted(talk), label))

    assert (own.only, shared.only) == (True, False)


async def test_a_card_that_a_second_person_must_see_and_what_has_happened_are_for_everybody() -> None:
    talk = Talk()

    assert not (await halted(talk)).only
    assert not (await talk.say("tom", "/pause")).only


async def test_a_card_that_could_only_be_shown_in_private_is_answered_there_and_by_no_one_else() -> None:
    talk = Talk()
    card, other = await talk.say("tom", "/sell SP500 1"), await talk.say("tom", "/fx all")

    assert not (await talk.press("tim", button(card, "Yes"), chat=2, private=True)).ok
    assert not (await talk.press("tom", button(card, "Yes"), surface="discord", chat=2, private=True)).ok
    assert talk.done == []
    assert (await talk.press("tom", button(card, "Yes"), chat=2, private=True)).ok
    assert (await talk.say("tom", digits(other), chat=2, private=True)).ok
    assert talk.done == ["close", "close"]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({}, False),
        ({"private": True}, True),
        ({"surface": "discord"}, True),
    ],
)
async def test_who_may_do_what_is_not_told_to_a_group_at_telegram(how: dict[str, Any], told: bool) -> None:
    reply = await Talk().say("ola", "/roles", **how)

    assert ("tom: trader" in reply.text, "in private only" in reply.text) == (told, not told)
    assert reply.only is told
