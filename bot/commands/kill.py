"""/kill, /resume and /close: the wishes that change the engine. Each is one Command through the Desk."""

from bot.command import ChatCommand, Context, Reply
from bot.people import Role
from bot.render import cited, sentence
from engine.core.domain.commands import CommandKind

NEXT_STEP = {
    "halted": "/resume lets it close positions again; a second /resume lets it trade.",
    "reducing": "It closes positions and opens none. /resume once more to let it trade.",
    "active": "It trades.",
}
"""What may follow, by the state reached."""


async def _kill(context: Context, arguments: str) -> Reply:
    first, _, rest = arguments.partition(" ")
    flatten = first in ("flatten", "flat")
    kind = CommandKind.FLATTEN if flatten else CommandKind.KILL
    return await _switch(context, kind, rest if flatten else arguments)


async def _resume(context: Context, arguments: str) -> Reply:
    return await _switch(context, CommandKind.RESUME, arguments)


async def _switch(context: Context, kind: CommandKind, reason: str) -> Reply:
    outcome = await context.desk.submit(context.wish(kind, reason=reason))
    state = str(context.desk.status()["state"])
    told, now = sentence(outcome.text), f"The desk is {state}."
    after = f"{now} {NEXT_STEP.get(state, '')}".rstrip()
    source = cited(outcome.record)
    text = f"{after} {source}" if told == now else f"{told} {source}".rstrip() + f"\n{after}"
    return Reply(text.rstrip(), ok=outcome.accepted)


async def _close(context: Context, arguments: str) -> Reply:
    name, _, reason = arguments.partition(" ")
    held = {str(position["instrument"]) for position in context.desk.positions()}
    if not name:
        return Reply(f"/close takes an instrument. Held: {_listed(held)}.", ok=False)
    match = next((each for each in held if each.casefold() == name.casefold()), None)
    if match is None:
        return Reply(f"There is no position in {name[:32]}. Held: {_listed(held)}.", ok=False)
    outcome = await context.desk.submit(context.wish(CommandKind.CLOSE, instrument=match, reason=reason))
    return Reply(f"{sentence(outcome.text)} {cited(outcome.record)}".rstrip(), ok=outcome.accepted)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


COMMANDS = (
    ChatCommand(
        "kill",
        Role.TRADER,
        "/kill [flatten] [reason]",
        "Halt at once; with flatten, close everything too.",
        _kill,
    ),
    ChatCommand("close", Role.TRADER, "/close <instrument> [reason]", "Close one position.", _close),
    ChatCommand(
        "resume",
        Role.OWNER,
        "/resume [reason]",
        "From halted to reducing; the second time to active.",
        _resume,
    ),
)
