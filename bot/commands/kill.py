"""/kill, /resume and /close: the wishes that change the engine. Each is one Command through the Desk."""

from decimal import Decimal

from bot.command import Card, ChatCommand, Confirm, Context, Effect, Reply
from bot.commands.effect import Much, closing_all, held, selling
from bot.people import Role
from bot.render import cited, sentence, state_sentence
from engine.core.domain.commands import CommandKind
from explain.units import words

NEXT_STEP = {
    "halted": "/resume lets it close positions again; a second /resume lets it trade.",
    "reducing": "It closes positions and opens none. /resume once more to let it trade.",
    "active": "It trades.",
}
"""What may follow, by the state reached."""


async def _kill(context: Context, arguments: str) -> Reply:
    kind = CommandKind.FLATTEN if _flattens(arguments) else CommandKind.KILL
    return await _switch(context, kind, _reason(arguments))


def _flattens(arguments: str) -> bool:
    return arguments.partition(" ")[0] in ("flatten", "flat")


def _reason(arguments: str) -> str:
    return arguments.partition(" ")[2] if _flattens(arguments) else arguments


async def _halt_first(context: Context, arguments: str) -> Reply | None:
    """The halt waits for nobody; only what is sold does."""
    return await _switch(context, CommandKind.KILL, _reason(arguments)) if _flattens(arguments) else None


def _kill_card(context: Context, arguments: str) -> Card | Reply | None:
    """A market that runs is no reason to ask again whether to leave it: the card binds nothing."""
    if not _flattens(arguments):
        return None
    if not held(context):
        return Reply("Nothing is held, so there is nothing to close.")
    return closing_all(context, Confirm.TAP)._replace(facts={})


def _resume_card(context: Context, arguments: str) -> Card | Reply:
    """What held it back, what is held, and which checks still say no."""
    shown, panel = context.desk.status(), context.desk.risk()
    if shown["state"] == "active" and not shown["holds"]:
        return Reply("The desk is active already: there is nothing to resume.")
    halted = shown["state"] == "halted"
    after = {"halted": "reducing", "reducing": "active"}.get(shown["state"], "active")
    lines = [f"Resume: from {shown['state']} to {after}. {state_sentence(shown)}"]
    lines += [
        f"Stands in the way and goes, where a person may say so: {words(why)}."
        for why in shown["holds"].values()
    ]
    lines += [f"{len(shown['positions'])} position(s) are open: {', '.join(held(context)) or 'none'}."]
    failing = [check["name"] for check in panel["checks"] if not check["passed"]]
    lines += [f"Checks that fail now: {', '.join(failing) or 'none'}."]
    facts = {"the desk": f"{shown['state']} since {shown['since']}"}
    return Card(Confirm.TWO if halted else Confirm.TAP, "\n".join(lines), Role.ADMIN, facts, {})


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
    match, reason = _position(context, arguments), arguments.partition(" ")[2]
    if isinstance(match, Reply):
        return match
    outcome = await context.desk.submit(context.wish(CommandKind.CLOSE, instrument=match, reason=reason))
    return Reply(f"{sentence(outcome.text)} {cited(outcome.record)}".rstrip(), ok=outcome.accepted)


def _close_card(context: Context, arguments: str) -> Card | Reply:
    match = _position(context, arguments)
    return match if isinstance(match, Reply) else selling(context, Much(match, Decimal(0), Decimal(0)))


def _position(context: Context, arguments: str) -> str | Reply:
    """The instrument that is meant, or what can be."""
    name, names = arguments.partition(" ")[0], set(held(context))
    if not name:
        return Reply(f"/close takes an instrument. Held: {_listed(names)}.", ok=False)
    match = next((each for each in names if each.casefold() == name.casefold()), None)
    return match or Reply(f"There is no position in {name[:32]}. Held: {_listed(names)}.", ok=False)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


COMMANDS = (
    ChatCommand(
        "kill",
        Role.TRADER,
        "/kill [flatten] [reason]",
        "Halt at once; with flatten, close everything too.",
        _kill,
        aliases=("panic",),
        effect=Effect.LESS,
        stale_s=600,
        confirm=Confirm.TAP,
        confirmed="to flatten, after the halt; else none",
        preview=_kill_card,
        at_once=_halt_first,
        examples=("/kill news tonight", "/kill flatten"),
    ),
    ChatCommand(
        "close",
        Role.TRADER,
        "/close <instrument> [reason]",
        "Close one position.",
        _close,
        effect=Effect.LESS,
        stale_s=30,
        confirm=Confirm.TAP,
        preview=_close_card,
        examples=("/close BTC/USDT too risky",),
    ),
    ChatCommand(
        "resume",
        Role.ADMIN,
        "/resume [reason]",
        "From halted to reducing; the second time to active.",
        _resume,
        effect=Effect.MORE,
        stale_s=30,
        confirm=Confirm.TWO,
        confirmed="after a kill or a breaker; a tap from reducing",
        preview=_resume_card,
        examples=("/resume checked with the venue",),
    ),
)
