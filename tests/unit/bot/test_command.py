from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.command import LONGEST, Context, Reply
from bot.commands import REGISTRY
from bot.people import CONSOLE, Person, Role
from engine.core.domain.commands import CommandKind
from engine.core.domain.errors import Refused
from engine.core.domain.records import AnswerRecord, Record
from tests.builders import CLOSE, DAY, cycle_record, start_record, trade_record
from tests.fakes import FakeClock, FakeDesk, ListJournal

VIEWER, TRADER = Person("vera", Role.VIEWER), Person("tom", Role.TRADER)
HELD = {
    "instrument": "SP500",
    "quantity": "12.5",
    "average_price": "1240.10",
    "price": "1251.00",
    "profit": "120.75",
    "stop": "1180.00",
    "target": "1360.00",
    "bars_held": 3,
    "opened_at": CLOSE.isoformat(),
    "entry": "d-0fmcg5k00-87cd0a88",
}


async def report(day: str) -> str:
    """What the desk would send."""
    if day == "1990-01-01":
        raise Refused("there is no report of 1990-01-01")
    return f"report of {day or 'the last day'}"


async def say(
    text: str,
    person: Person = CONSOLE,
    desk: FakeDesk | None = None,
    key: str = "k-1",
    remember: Callable[[Record], Awaitable[object]] | None = None,
    journal: ListJournal | None = None,
) -> Reply:
    """Type one line."""
    clock = FakeClock(CLOSE + 3 * DAY)
    given_journal = journal or ListJournal(start_record(), cycle_record(), trade_record())
    now: Callable[[], datetime] = clock.now
    context = Context(
        desk or FakeDesk(), given_journal, person, "console", key, report, now, remember, sure=True
    )
    return await REGISTRY.dispatch(text, context)


async def test_status_tells_state_money_and_positions_with_as_of() -> None:
    desk = FakeDesk(state="halted", since=CLOSE.isoformat(), by="ana", reason="news", positions=(HELD,))

    text = (await say("/status", VIEWER, desk)).text

    assert "The desk is halted since 15 Oct 2008 21:00 UTC, by ana: “news”." in text
    assert (
        "Equity 100,412.30, cash 84,911.05, day's loss 0 %, drawdown 1.2 %; as of 15 Oct 2008 21:00 UTC"
        in text
    )
    assert "Long 12.5 SP500 at 1,240.10, now 1,251.00: +120.75 so far, stop 1,180.00" in text


async def test_kill_reaches_the_desk_once_with_who_where_and_why() -> None:
    desk = FakeDesk()

    first = await say("/kill news tonight", TRADER, desk)
    await say("/kill news tonight", TRADER, desk)

    assert first.ok
    assert "The desk is halted. /resume lets it close positions again" in first.text
    assert [(c.kind, c.by, c.source, c.key, c.reason) for c in desk.commands] == [
        (CommandKind.KILL, "tom", "console", "k-1", "news tonight")
    ]


async def test_kill_flatten_closes_everything_too() -> None:
    desk = FakeDesk()

    await say("/kill flatten it is enough", desk=desk)

    assert (desk.commands[0].kind, desk.commands[0].reason) == (CommandKind.FLATTEN, "it is enough")


async def test_resume_goes_in_two_steps_and_says_which_one_was_reached() -> None:
    desk = FakeDesk(state="halted")

    assert (
        "The desk is reducing. It closes positions and opens none. /resume once more"
        in (await say("/resume", desk=desk, key="k-1")).text
    )
    assert "The desk is active. It trades." in (await say("/resume", desk=desk, key="k-2")).text


async def test_close_takes_only_what_is_held() -> None:
    desk = FakeDesk(positions=(HELD,))

    assert not (await say("/close", desk=desk)).ok
    assert (await say("/close GOLD", desk=desk)).text == "There is no position in GOLD. Held: SP500."
    assert desk.commands == []
    assert (await say("/close sp500 too risky", desk=desk)).ok
    assert (desk.commands[0].instrument, desk.commands[0].reason) == ("SP500", "too risky")


async def test_what_the_desk_refuses_is_not_called_done() -> None:
    desk = FakeDesk(positions=(HELD,))
    desk.refuse = "nothing was closed: exit pending"

    reply = await say("/close SP500", desk=desk)

    assert not reply.ok
    assert reply.text.startswith("Nothing was closed: exit pending.")


@pytest.mark.parametrize(
    ("text", "person", "role"),
    [
        ("/kill", VIEWER, "trader"),
        ("/close SP500", VIEWER, "trader"),
        ("/resume", VIEWER, "admin"),
        ("/resume", TRADER, "admin"),
        ("/unlock SP500", TRADER, "admin"),
        ("/roles", Person("adam", Role.ADMIN), "owner"),
    ],
)
async def test_a_wish_beyond_the_role_is_refused_with_the_role_it_needs(
    text: str, person: Person, role: str
) -> None:
    desk = FakeDesk(state="halted", positions=(HELD,))

    reply = await say(text, person, desk)

    assert not reply.ok
    assert f"needs the role {role}" in reply.text
    assert desk.commands == []


async def test_help_lists_only_what_this_person_may_use() -> None:
    assert "/kill" not in (await say("/help", VIEWER)).text
    assert "/resume" not in (await say("/help", TRADER)).text
    assert "/resume" in (await say("/help")).text
    assert "Needs the role trader" in (await say("/help kill")).text
    assert not (await say("/help nothing")).ok


async def test_help_of_one_command_says_all_there_is_to_know_by_whichever_name() -> None:
    assert (await say("/help stopbuy")).text == (
        "/pause [reason]\nOpen nothing new; what is held may close. Needs the role trader.\n"
        "Also: /stopentry, /stopbuy.\nFor example: /pause until the news is out"
    )
    assert "Confirmed by code (for all; a tap for one)." in (await say("/help /fx")).text
    assert "Anybody may use it." in (await say("/help whoami")).text


async def test_opening_a_chat_does_nothing_but_say_how_things_stand() -> None:
    desk = FakeDesk(state="reducing")

    assert (await say("/start", VIEWER, desk)).text == (
        "The desk is reducing. /resume lets it go on. /help lists what you may use."
    )
    assert desk.commands == []


@pytest.mark.parametrize("text", ["/Kill", "/KILL", "/ｋｉｌｌ", "/kіll", "/ki\u200bll", "／kill", "/kilI"])
async def test_a_capital_or_a_look_alike_is_another_name(text: str) -> None:
    desk = FakeDesk()

    reply = await say(text, desk=desk)

    assert not reply.ok or not text.startswith("/")
    assert desk.commands == []


async def test_an_unknown_command_suggests_the_nearest() -> None:
    assert (await say("/stats")).text == "There is no command /stats. Did you mean /status?"
    assert "/help" in (await say("/zzzzzz")).text


async def test_trades_lists_the_newest_with_reason_and_id() -> None:
    text = (await say("/trades 3", VIEWER)).text

    assert (
        "closed long 12.5 SP500 by stop, 1,240.10 to 1,180.10: net -780.25 (-5.03 %) after fees of 30.25"
        in text
    )
    for wrong in ("0", "-1", "21", "x", "1 2", "9" * 40, "٣"):
        assert not (await say(f"/trades {wrong}")).ok
    assert (await say("/trades", journal=ListJournal(start_record()))).text == "No trade has been closed yet."


async def test_why_and_whynot_and_free_text_are_answered_from_the_records() -> None:
    assert "Decided to buy SP500" in (await say("/why did you buy SP500?", VIEWER)).text
    assert "Decided to buy SP500" in (await say("why did you buy SP500?", VIEWER)).text
    assert "Decided to buy SP500" in (await say("/why SP500", VIEWER)).text
    assert "There was one" in (await say("/whynot SP500 2008-10-15", VIEWER)).text
    assert not (await say("/whynot GOLD", VIEWER)).ok


async def test_a_question_is_remembered_where_the_journal_may_be_written() -> None:
    kept: list[Record] = []

    async def remember(record: Record) -> None:
        kept.append(record)

    await say("why did you buy SP500?", VIEWER, remember=remember)

    assert isinstance(kept[0], AnswerRecord)
    assert (kept[0].by, kept[0].question) == ("vera", "why did you buy SP500?")


async def test_report_takes_a_day_or_none() -> None:
    assert (await say("/report", VIEWER)).text == "report of the last day"
    assert (await say("/report 2008-10-15", VIEWER)).text == "report of 2008-10-15"
    assert (await say("/report yesterday", VIEWER)).text == "report of 2008-10-17"
    assert (await say("/report 1990-01-01")).text == "there is no report of 1990-01-01"
    for wrong in ("2008-02-30", "last week", "soon", "2008-10-15 now"):
        assert not (await say(f"/report {wrong}")).ok


async def test_nothing_and_too_much_are_told_so() -> None:
    assert not (await say("  \x00 ")).ok
    assert str(LONGEST) in (await say("/kill " + "x" * 10_000)).text


FUZZ_DESK = FakeDesk()
FUZZ_JOURNAL = ListJournal(start_record(), cycle_record(), trade_record())
NAMES = st.sampled_from(sorted(REGISTRY.commands))


@given(
    st.one_of(
        st.text(max_size=300), st.builds(lambda name, rest: f"/{name} {rest}", NAMES, st.text(max_size=80))
    )
)
async def test_whatever_is_typed_gets_a_reply_and_a_viewer_changes_nothing(text: str) -> None:
    reply: Any = await say(text, VIEWER, FUZZ_DESK, journal=FUZZ_JOURNAL)

    assert reply.text
    assert FUZZ_DESK.commands == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("/kill", "kill"),
        ("  /kill flatten now", "kill"),
        ("/kill\nnow", "kill"),
        ("/panic now", "kill"),
        ("/stopbuy", "pause"),
        ("/stopentry", "pause"),
        ("/start", "start"),
        ("/Panic", ""),
        ("/Kill", ""),
        ("/killed", ""),
        ("kill", ""),
        ("/ kill", ""),
        ("/\u043aill", ""),
        ("/", ""),
        ("", ""),
    ],
)
def test_a_message_calls_a_command_by_its_exact_name_or_none(text: str, name: str) -> None:
    assert REGISTRY.named(text) == name
