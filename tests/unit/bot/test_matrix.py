"""Every command × role × way of saying it, generated from the registry: who may do what, and nobody else."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from bot.chat.port import How
from bot.command import ChatCommand, Confirm, Effect
from bot.commands import REGISTRY
from bot.people import Role
from engine.core.domain.risk import Lock, RiskState
from tests.builders import CLOSE
from tests.unit.bot.talk import Talk, button, digits

NAMES = {Role.VIEWER: "vera", Role.TRADER: "tom", Role.ADMIN: "ada", Role.OWNER: "ola"}
OTHERS = {Role.TRADER: "tim", Role.ADMIN: "abe"}
ARGUMENTS = {
    "close": "SP500",
    "sell": "SP500",
    "fx": "SP500",
    "buy": "SP500 1",
    "forcelong": "SP500",
    "lock": "trend why",
    "unlock": "SP500",
    "setrisk": "max_gross 0.4",
    "roles": "grant 99 viewer bob",
    "kill": "flatten",
    "why": "did you buy SP500",
    "whynot": "SP500",
}
"""What makes each command whole, and asks for the most that it can."""
ENGINE = [
    c
    for c in REGISTRY.commands.values()
    if c.effect is not Effect.NOTHING and c.name not in ("approve", "deny")
]


def talk() -> Talk:
    """A desk with a position, a lock and a limit to raise; halted, so that there is something to resume."""
    made = Talk(state="halted")
    made.desk.risk_state = RiskState(limits={"max_gross": 0.1}, locks={"SP500": Lock(CLOSE, "tom", "news")})
    return made


def changed(made: Talk) -> int:
    """What has changed: commands at the desk, and words on who is who."""
    return len(made.desk.commands) + len(made.asks.known()) + len(made.asks.linked())


def text_of(command: ChatCommand, name: str = "") -> str:
    return f"/{name or command.name} {ARGUMENTS.get(command.name, '')}".strip()


def may(command: ChatCommand, role: Role) -> bool:
    """What the registry says, and the one exception: to raise a limit needs an admin."""
    least = Role.ADMIN if command.name == "setrisk" else command.role
    return least is None or role >= least


async def confirmed(made: Talk, reply: Any, role: Role) -> None:
    """Say yes to whatever is asked, as whoever may."""
    labels = [each.label for row in reply.buttons for each in row]
    if "Type " in reply.text:
        made.wait(30 if "not before" in reply.text else 0)
        await made.say(NAMES[role], digits(reply))
    elif labels and "Somebody else" in reply.text:
        await made.press("abe", button(reply, "Yes"), surface="discord")
    elif labels:
        await made.press(NAMES[role], button(reply, "Yes"))


@pytest.mark.parametrize("command", REGISTRY.commands.values(), ids=lambda command: command.name)
async def test_typed_pressed_and_by_each_alias_a_command_does_what_its_role_may_and_no_more(
    command: ChatCommand, record_property: Callable[[str, object], None]
) -> None:
    cells = 0
    ways = itertools.product(
        (How.TYPED, How.PRESSED), (command.name, *command.aliases), ("telegram", "discord")
    )
    for how, name, surface in ways:
        for role in Role:
            made = talk()
            before = changed(made)
            reply = await made.say(NAMES[role], text_of(command, name), how=how, surface=surface)
            if not may(command, role):
                assert "needs the role" in reply.text
                assert changed(made) == before
            elif command in ENGINE and surface == "telegram":
                if command.confirm is not Confirm.NONE:
                    assert changed(made) == before + (command.name == "kill")
                    assert reply.buttons
                await confirmed(made, reply, role)
                assert changed(made) > before + (command.name == "kill")
            cells += 1
    record_property("sums", {"A1 cells of the permission matrix, all as the registry says": cells})


@pytest.mark.parametrize("command", REGISTRY.commands.values(), ids=lambda command: command.name)
async def test_strangers_and_the_revoked_change_nothing_in_any_way(
    command: ChatCommand, record_property: Callable[[str, object], None]
) -> None:
    cells = 0
    for how, name, surface in itertools.product(
        (How.TYPED, How.PRESSED), (command.name, *command.aliases), ("telegram", "discord")
    ):
        for who in ("nobody", "ada"):
            made = talk()
            await made.say("ola", "/roles revoke ada")
            before = changed(made)
            await made.say(who, text_of(command, name), how=how, surface=surface)
            assert changed(made) == before
            assert not any(asked.body.count(b'"command":"r') for asked in made.asks.questions.values())
            cells += 1
    record_property("sums", {"A1 cells of the permission matrix, all as the registry says": cells})


@pytest.mark.parametrize("command", ENGINE, ids=lambda command: command.name)
async def test_a_backlog_raises_no_risk_and_every_message_of_it_is_answered(
    command: ChatCommand, record_property: Callable[[str, object], None]
) -> None:
    assert command.stale_s is not None, "what changes something has its time"
    late = {"R3 late messages: risk raised": 0, "R3 late messages: answered": 0, "R3 late messages": 0}
    for age in (command.stale_s + 1, 601, 86_400):
        made = talk()
        before = changed(made)
        reply = await made.say("ola", text_of(command), age_s=age)
        late["R3 late messages"] += 1
        late["R3 late messages: answered"] += bool(reply.text)
        late["R3 late messages: risk raised"] += changed(made) != before
    record_property("sums", late)
    assert late["R3 late messages: risk raised"] == 0
    assert late["R3 late messages: answered"] == late["R3 late messages"]


@pytest.mark.parametrize("name", ["kill", "pause", "lock"])
async def test_what_makes_it_safer_is_done_until_ten_minutes_late(name: str) -> None:
    made = talk()

    reply = await made.say("tom", f"/{name} trend", age_s=600)

    assert len(made.desk.commands) == 1
    assert "Executed late" in reply.text


async def test_the_same_message_five_times_is_one_effect(
    record_property: Callable[[str, object], None],
) -> None:
    effects = {}
    for command in ENGINE:
        made = talk()
        before = changed(made)
        role = Role.OWNER
        replies = [await made.say(NAMES[role], text_of(command), key="the same") for _ in range(5)]
        for reply in replies:  # each has its card, and all cards are one wish
            await confirmed(made, reply, role)
        effects[command.name] = changed(made) - before
    record_property("sums", {"R4 messages that came five times": len(effects)})

    # a kill that flattens is two: the halt at once, the sale after a yes; a grant names somebody and links the account
    assert effects == dict.fromkeys(effects, 1) | {"kill": 2, "roles": 2}


@pytest.mark.parametrize(
    "command", [c for c in ENGINE if c.confirm is not Confirm.NONE], ids=lambda c: c.name
)
async def test_a_yes_that_comes_late_twice_after_a_restart_or_from_another_does_nothing_more(
    command: ChatCommand, record_property: Callable[[str, object], None]
) -> None:
    tries = extra = 0
    for after in ("expiry", "restart and expiry"):
        made = talk()
        reply = await made.say("ola", text_of(command))
        before = changed(made)
        made.wait(200)
        if after != "expiry":
            made.restart()
        nonce = button(reply, "No").data.rpartition(":")[2]
        for name in (*NAMES.values(), "tim", "abe", "nobody"):
            await made.press(name, f"v1:y:{nonce}")
            tries += 1
            extra += changed(made) != before
    made = talk()
    reply = await made.say("ola", text_of(command))
    nonce = button(reply, "No").data.rpartition(":")[2]
    before = changed(made)
    for name in ("vera", "tom", "nobody"):
        await made.press(name, f"v1:y:{nonce}", chat=77)
        tries += 1
        extra += changed(made) != before
    await confirmed(made, reply, Role.OWNER)
    before = changed(made)
    made.restart()
    for name in (*NAMES.values(), "tim", "abe", "nobody"):
        await made.press(name, f"v1:y:{nonce}")
        tries += 1
        extra += changed(made) != before
    record_property("sums", {"R6 presses that may do nothing": tries, "R6 extra effects": extra})
    assert extra == 0


def test_every_command_that_changes_something_says_how_old_it_may_be_and_what_raises_risk_is_confirmed() -> (
    None
):
    for command in ENGINE:
        assert command.stale_s is not None
        assert command.role is not None and command.role >= Role.TRADER
        if command.effect is Effect.MORE:
            assert command.confirm is not Confirm.NONE
            assert command.stale_s <= 30
    for command in REGISTRY.commands.values():
        assert (command.confirm is Confirm.NONE) == (command.preview is None)
        assert not command.confirmed or command.confirm is not Confirm.NONE
        for name in (command.name, *command.aliases):
            assert name.isascii() and len(name) <= 32 and name.replace("_", "").isalnum() and name.islower()
