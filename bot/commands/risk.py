"""/risk, /pause, /lock, /unlock and /setrisk: what holds the desk back, and how a person holds it back further."""

import math
from datetime import datetime
from typing import Any, NamedTuple

from bot.command import Card, ChatCommand, Confirm, Context, Effect, Reply, beneath
from bot.people import Role
from bot.render import cited, sentence, state_sentence
from engine.core.domain.commands import CommandKind
from explain.units import percent, when

BAR = 10
"""Blocks of the bar that shows how much of a limit is used."""


async def _risk(context: Context, arguments: str) -> Reply:
    return Reply("\n".join(panel_lines(context.desk.risk())), only=True)


def panel_lines(shown: dict[str, Any]) -> list[str]:
    """The panel for people: the state, each limit with its bar, holds, locks and what was tightened."""
    lines = [state_sentence(shown), *[_limit(check) for check in shown["checks"]]]
    lines += [f"Nothing new is opened: {why}." for why in shown["holds"].values()]
    lines += [_lock(name, lock) for name, lock in shown["locks"].items()]
    return lines + [f"Tightened: risk.{name} is {value:g}." for name, value in shown["tightened"].items()]


def _limit(check: dict[str, Any]) -> str:
    """One limit: a mark, how much is used of it, and what is left."""
    value, limit, left = (_number(check[name], check["unit"]) for name in ("value", "limit", "headroom"))
    if check["operator"] == ">=":
        state = "met" if check["passed"] else "not met"
        return f"{_mark(check)} {check['name']}: {state} ({check['key']})"
    return f"{_mark(check)} {_bar(check)} {check['name']}: {value} of {limit}, {left} left ({check['key']})"


def _mark(check: dict[str, Any]) -> str:
    return "ok" if check["passed"] else "NO"


def _bar(check: dict[str, Any]) -> str:
    used = check["value"] / check["limit"] if check["limit"] > 0 else float(check["value"] > 0)
    filled = min(max(math.ceil(used * BAR), 0), BAR) if math.isfinite(used) else BAR
    return "[" + "#" * filled + "." * (BAR - filled) + "]"


def _number(value: float, unit: str) -> str:
    return percent(value) if unit == "share" else f"{value:g}"


def _lock(name: str, lock: dict[str, str]) -> str:
    since, why = when(datetime.fromisoformat(lock["since"])), lock["reason"] or "no reason was given"
    return f"{name} is locked since {since} by {lock['by']}: {why}."


async def _pause(context: Context, arguments: str) -> Reply:
    outcome = await context.desk.submit(context.wish(CommandKind.PAUSE, reason=arguments))
    return Reply(f"{sentence(outcome.text)} {cited(outcome.record)}".rstrip(), ok=outcome.accepted)


async def _lock_it(context: Context, arguments: str) -> Reply:
    return await _locks(context, arguments, CommandKind.LOCK)


async def _unlock_it(context: Context, arguments: str) -> Reply:
    return await _locks(context, arguments, CommandKind.UNLOCK)


async def _locks(context: Context, arguments: str, kind: CommandKind) -> Reply:
    match, reason = _named(context, arguments, kind), arguments.strip().partition(" ")[2]
    if isinstance(match, Reply):
        return match
    outcome = await context.desk.submit(context.wish(kind, name=match, reason=reason))
    return Reply(f"{sentence(outcome.text)} {cited(outcome.record)}".rstrip(), ok=outcome.accepted)


def _named(context: Context, arguments: str, kind: CommandKind) -> str | Reply:
    """What is to be locked or unlocked, or what can be."""
    name, shown = arguments.strip().partition(" ")[0], context.desk.risk()
    names = shown["lockable"] if kind is CommandKind.LOCK else sorted(shown["locks"])
    match = next((str(each) for each in names if each.casefold() == name.casefold()), None)
    if match is not None:
        return match
    asked = f"{name[:32]!r} cannot be {kind}ed" if name else f"/{kind} takes what to {kind}"
    return Reply(f"{asked}. Expected one of: {', '.join(names) or 'nothing is locked'}.", ok=False)


def _unlock_card(context: Context, arguments: str) -> Card | Reply:
    match = _named(context, arguments, CommandKind.UNLOCK)
    if isinstance(match, Reply):
        return match
    lock = context.desk.risk()["locks"][match]
    text = f"Unlock {match}, so that it may be opened again. {_lock(match, lock)}"
    return Card(Confirm.TAP, text, Role.ADMIN, {f"the lock of {match}": str(lock["since"])}, {})


class Limit(NamedTuple):
    """A limit as it is to be. `more` is whether that allows more than now."""

    name: str
    now: float
    value: float
    more: bool


async def _set_risk(context: Context, arguments: str) -> Reply:
    wanted = _limit_of(context, arguments)
    if isinstance(wanted, Reply):
        return wanted
    if wanted.more and context.person.role < Role.ADMIN:
        return beneath(_allows_more(wanted), Role.ADMIN, context.person)
    outcome = await context.desk.submit(context.wish(CommandKind.LIMIT, name=wanted.name, value=wanted.value))
    return Reply(f"{sentence(outcome.text)} {cited(outcome.record)}".rstrip(), ok=outcome.accepted)


def _limit_of(context: Context, arguments: str) -> Limit | Reply:
    """The limit that is asked for, or what can be."""
    name, _, told = arguments.strip().partition(" ")
    shown = context.desk.risk()
    limits, name = shown["limits"] | shown["tightened"], name.removeprefix("risk.")
    if name not in limits:
        listed = ", ".join(f"{each} {value:g}" for each, value in limits.items())
        return Reply(f"/setrisk takes a limit and a number. Limits: {listed}.", ok=False)
    value = _value(told)
    if value is None:
        return Reply(f"{told[:32]!r} is not a limit: expected a number such as 0.1 or 10%.", ok=False)
    more = value < limits[name] if name in shown["larger_is_tighter"] else value > limits[name]
    return Limit(name, limits[name], value, more)


def _set_risk_card(context: Context, arguments: str) -> Card | Reply | None:
    """To tighten needs nobody's yes."""
    wanted = _limit_of(context, arguments)
    if isinstance(wanted, Reply):
        return wanted
    if not wanted.more:
        return None
    open_now = len(context.desk.positions())
    text = f"{_allows_more(wanted)}. {open_now} position(s) are open."
    return Card(Confirm.TWO, text, Role.ADMIN, {f"risk.{wanted.name}": f"{wanted.now:g}"}, {})


def _allows_more(wanted: Limit) -> str:
    return f"To allow more again (risk.{wanted.name} from {wanted.now:g} to {wanted.value:g})"


def _value(text: str) -> float | None:
    """A plain number, or one in percent; None for anything else."""
    number, sign, rest = text.strip().partition("%")
    if rest or not number.isascii() or set(number) - set("0123456789.") or number.count(".") > 1:
        return None
    try:
        value = float(number)
    except ValueError:
        return None
    return value / 100 if sign else value


COMMANDS = (
    ChatCommand("risk", Role.VIEWER, "/risk", "Every limit, what is used of it, and what is locked.", _risk),
    ChatCommand(
        "pause",
        Role.TRADER,
        "/pause [reason]",
        "Open nothing new; what is held may close.",
        _pause,
        aliases=("stopentry", "stopbuy"),
        effect=Effect.LESS,
        stale_s=600,
        examples=("/pause until the news is out",),
    ),
    ChatCommand(
        "lock",
        Role.TRADER,
        "/lock <name> [reason]",
        "Open nothing new in an instrument; or do not hear an alpha; or manual, or venue.",
        _lock_it,
        effect=Effect.LESS,
        stale_s=600,
        examples=("/lock BTC/USDT the fork", "/lock trend"),
    ),
    ChatCommand(
        "unlock",
        Role.ADMIN,
        "/unlock <name> [reason]",
        "Let it be opened again.",
        _unlock_it,
        effect=Effect.MORE,
        stale_s=30,
        confirm=Confirm.TAP,
        preview=_unlock_card,
        examples=("/unlock BTC/USDT",),
    ),
    ChatCommand(
        "setrisk",
        Role.TRADER,
        "/setrisk <limit> <value>",
        "Tighten a limit at once; to raise it again, never above the profile, needs an admin.",
        _set_risk,
        effect=Effect.MORE,
        stale_s=30,
        confirm=Confirm.TWO,
        confirmed="to raise; to tighten, none",
        preview=_set_risk_card,
        examples=("/setrisk max_gross 40%", "/setrisk max_daily_entries 5"),
    ),
)
