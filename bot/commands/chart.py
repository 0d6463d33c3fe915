"""/chart: a picture of an instrument, a decision, the equity or the limits, with the same in words."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from bot.command import ChatCommand, Context, Reply
from bot.commands.risk import panel_lines
from bot.people import Role
from bot.render import Stage, distance, driver, stage_of
from engine.core.domain.errors import BadQuestion, WhydeskError
from engine.core.domain.records import CycleRecord, TradeRecord
from explain.units import name, percent, units, when

MOST_DAYS = 36500
HOW = "/chart takes an instrument, a decision's id, equity or risk, and how many days, such as /chart equity 30."


class Wanted(NamedTuple):
    """A picture by its kind and what it is of, and the same in words."""

    kind: str
    about: str
    text: str
    risk: dict[str, Any] | None = None


async def _chart(context: Context, arguments: str) -> Reply:
    """Words first: a picture that fails takes nothing from them."""
    what, _, rest = arguments.strip().partition(" ")
    days = rest.strip()
    if not what or not (
        not days or (days.isascii() and days.isdigit() and 1 <= int(days[:9]) <= MOST_DAYS and len(days) < 9)
    ):
        return Reply(HOW, ok=False)
    wanted = _wanted(context, what)
    if context.picture is None:
        return Reply(f"{wanted.text}\nNo picture: nothing is drawn here.", ok=False, only=True)
    try:
        picture = await context.picture(wanted.kind, wanted.about, int(days or 0), wanted.risk)
    except WhydeskError as error:
        return Reply(f"{wanted.text}\nNo picture: {error}.", ok=False, only=True)
    return Reply(wanted.text, only=True, picture=picture)


def _wanted(context: Context, what: str) -> Wanted:
    stage, shown = stage_of(context.journal), context.desk.status()
    if what.casefold() == "equity":
        return Wanted("equity", "", _equity(shown, stage))
    if what.casefold() == "risk":
        risk = context.desk.risk()
        text = "\n".join([f"{stage.mode}, as of {_moment(risk['as_of'])}", *panel_lines(risk)])
        return Wanted("risk", "", text, risk)
    known = [str(each) for each in shown["instruments"]]
    match = next((each for each in known if each.casefold() == what.casefold()), None)
    if match is not None:
        return Wanted("candles", match, _instrument(context, match, shown, stage))
    stored = context.journal.get(what)
    if stored is not None and isinstance(stored.record, TradeRecord):
        stored = context.journal.get(stored.record.entry_decision)
    if stored is not None and isinstance(stored.record, CycleRecord):
        return Wanted("decision", stored.record.id, _decision(stored.record, stage))
    listed = ", ".join(sorted(known)[:20]) or "nothing"
    raise BadQuestion(
        f"{what[:40]!r} is nothing to draw: expected equity, risk, a decision's id or one of {listed}"
    )


def _moment(text: str | None) -> str:
    return when(datetime.fromisoformat(text)) if text else "no bar yet"


def _equity(shown: dict[str, Any], stage: Stage) -> str:
    return (
        f"{stage.mode}: equity {stage.money(Decimal(shown['equity']))}, drawdown {percent(shown['drawdown'])},"
        f" as of {_moment(shown['last_bar'])}"
    )


def _instrument(context: Context, instrument: str, shown: dict[str, Any], stage: Stage) -> str:
    held = next((each for each in context.desk.positions() if each["instrument"] == instrument), None)
    as_of = f"as of {_moment(shown['last_bar'])}"
    if held is None:
        return f"{stage.mode}: {instrument}, nothing is held, {as_of}"
    quantity, last = Decimal(held["quantity"]), Decimal(held["price"])
    levels = [
        f"{word} {stage.price(level, instrument)} ({distance(level, last)})"
        for word in ("stop", "target")
        if (level := Decimal(held[word]))
    ]
    side = "long" if quantity > 0 else "short"
    entry = stage.price(Decimal(held["average_price"]), instrument)
    return (
        f"{stage.mode}: {side} {units(abs(quantity))} {instrument} at {entry}, now {stage.price(last, instrument)}:"
        f" {stage.gain(Decimal(held['profit']))} so far; {', '.join(levels)}, {as_of} [{held['entry']}]"
    )


def _decision(cycle: CycleRecord, stage: Stage) -> str:
    result = cycle.result
    why = f" by {result.refused_by}" if result.refused_by else ""
    head = f"{stage.mode}: {cycle.instrument}, {name(result.outcome.value)}{why}, {when(cycle.at)}"
    forecast = result.forecast
    if forecast is None:
        return f"{head} [{cycle.id}]"
    ranked = sorted(forecast.votes, key=lambda vote: -abs(vote.contribution))
    votes = [f"- {driver(vote, forecast)}" for vote in ranked[:5]]
    return "\n".join([f"{head}, confidence {percent(forecast.confidence)} [{cycle.id}]", *votes])


COMMANDS = (
    ChatCommand(
        "chart",
        Role.VIEWER,
        "/chart <instrument|decision|equity|risk> [days]",
        "A picture, with the same in words.",
        _chart,
        examples=("/chart SP500", "/chart equity 30"),
    ),
)
