"""/risk, /pause, /lock, /unlock and /setrisk."""

import pytest
from msgspec.structs import replace

from bot.command import Context, Reply
from bot.commands import REGISTRY
from bot.people import Person, Role
from engine.core.domain.commands import CommandKind
from engine.core.domain.risk import Lock, RiskState
from tests.builders import CLOSE
from tests.fakes import FakeDesk, ListJournal


async def nothing(day: str) -> str:
    return ""


async def say(desk: FakeDesk, text: str, role: Role = Role.OWNER) -> Reply:
    context = Context(
        desk, ListJournal(), Person("ana", role), "console", text, nothing, lambda: CLOSE, sure=True
    )
    return await REGISTRY.dispatch(text, context)


def locked() -> FakeDesk:
    desk = FakeDesk()
    desk.risk_state = replace(
        RiskState(), locks={"SP500": Lock(CLOSE, "tom", "news")}, limits={"max_gross": 0.1}
    )
    return desk


async def test_risk_tells_each_limit_with_what_is_left_of_it() -> None:
    reply = await say(locked(), "/risk", Role.VIEWER)

    assert "ok [..........] gross exposure: 0 % of 10 %, 10 % left (risk.max_gross)" in reply.text
    assert "ok trading state: met (command.resume)" in reply.text
    assert "NO [##########] locks: 1 of 0, -1 left (command.unlock)" in reply.text
    assert "SP500 is locked since 15 Oct 2008 21:00 UTC by tom: news." in reply.text
    assert reply.text.endswith("Tightened: risk.max_gross is 0.1.")


@pytest.mark.parametrize(
    ("text", "kind", "name", "value", "reason"),
    [
        ("/pause lunch", CommandKind.PAUSE, "", 0, "lunch"),
        ("/lock sp500 the news", CommandKind.LOCK, "SP500", 0, "the news"),
        ("/lock Trend", CommandKind.LOCK, "trend", 0, ""),
        ("/lock venue", CommandKind.LOCK, "venue", 0, ""),
        ("/unlock sp500", CommandKind.UNLOCK, "SP500", 0, ""),
        ("/setrisk max_order_value 0.1", CommandKind.LIMIT, "max_order_value", 0.1, ""),
        ("/setrisk risk.max_order_value 10%", CommandKind.LIMIT, "max_order_value", 0.1, ""),
        ("/setrisk max_gross 0.4", CommandKind.LIMIT, "max_gross", 0.4, ""),
    ],
)
async def test_a_wish_is_one_command(
    text: str, kind: CommandKind, name: str, value: float, reason: str
) -> None:
    desk = locked()
    reply = await say(desk, text)

    (command,) = desk.commands
    assert (command.kind, command.name, command.value, command.reason) == (kind, name, value, reason)
    assert reply.ok and reply.text.startswith(kind.value.capitalize())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/lock", "/lock takes what to lock. Expected one of: venue, manual, SP500, momentum"),
        ("/lock DOGE", "'DOGE' cannot be locked. Expected one of: venue, manual, SP500"),
        ("/unlock trend", "'trend' cannot be unlocked. Expected one of: SP500."),
        ("/setrisk", "/setrisk takes a limit and a number. Limits: max_order_value 0.25"),
        ("/setrisk max_gros 1", "/setrisk takes a limit and a number."),
        ("/setrisk max_gross", "'' is not a limit"),
        ("/setrisk max_gross 1e3", "'1e3' is not a limit: expected a number such as 0.1 or 10%."),
        ("/setrisk max_gross nan", "'nan' is not a limit"),
        ("/setrisk max_gross -1", "'-1' is not a limit"),
        ("/setrisk max_gross 1.2.3", "'1.2.3' is not a limit"),
        ("/setrisk max_gross .", "'.' is not a limit"),
        ("/setrisk max_gross 10% more", "'10% more' is not a limit"),
    ],
)
async def test_what_cannot_be_done_is_told_with_what_can(text: str, said: str) -> None:
    desk = locked()
    reply = await say(desk, text)

    assert not reply.ok and reply.text.startswith(said)
    assert desk.commands == []


async def test_nothing_is_locked_where_nothing_is_locked() -> None:
    assert (await say(FakeDesk(), "/unlock SP500")).text.endswith("Expected one of: nothing is locked.")


async def test_a_trader_may_tighten_and_only_an_admin_may_let_go_again() -> None:
    desk = locked()

    assert (await say(desk, "/setrisk max_gross 0.05", Role.TRADER)).ok
    refused = await say(desk, "/setrisk max_gross 0.4", Role.TRADER)
    sooner = await say(desk, "/setrisk loss_pause_bars 4", Role.TRADER)
    later = await say(desk, "/setrisk loss_pause_bars 9", Role.TRADER)

    assert (
        refused.text
        == "To allow more again (risk.max_gross from 0.1 to 0.4) needs the role admin; ana has trader."
    )
    assert (sooner.ok, later.ok) == (False, True)
    assert not (await say(desk, "/unlock SP500", Role.TRADER)).ok
    assert not (await say(desk, "/pause", Role.VIEWER)).ok
