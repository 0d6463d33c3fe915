"""/buy, /sell, /forcelong and /fx: a person trades, under the same limits as the desk itself."""

from decimal import Decimal, InvalidOperation

from bot.command import ChatCommand, Context, Reply
from bot.people import Role
from bot.render import cited, sentence
from engine.core.domain.commands import CommandKind
from engine.core.domain.order import Side

HOW_MUCH = "a quantity such as 0.5, or an amount such as 500 {}"
_LONGEST_NUMBER = 40


async def _buy(context: Context, arguments: str) -> Reply:
    name, much = _split(arguments)
    if not name or not much:
        return Reply(
            f"/buy takes an instrument and how much: {HOW_MUCH.format(_currency(context))}.", ok=False
        )
    return await _enter(context, name, much)


async def _force_long(context: Context, arguments: str) -> Reply:
    name, much = _split(arguments)
    if not name:
        return Reply("/forcelong takes an instrument, and how much unless the desk is to size it.", ok=False)
    return await _enter(context, name, much)


async def _enter(context: Context, name: str, much: str) -> Reply:
    quantity, amount, wrong = _how_much(much, name, _currency(context))
    if wrong:
        return Reply(wrong, ok=False)
    known = {str(each) for each in context.desk.status()["instruments"]}
    match = _match(name, known)
    if match is None:
        return Reply(f"The desk does not trade {name[:32]}. It trades {_listed(known)}.", ok=False)
    wish = context.wish(CommandKind.ENTER, instrument=match, side=Side.BUY, quantity=quantity, amount=amount)
    outcome = await context.desk.submit(wish)
    return Reply(f"{sentence(outcome.text)} {cited(outcome.record)}".rstrip(), ok=outcome.accepted)


async def _sell(context: Context, arguments: str) -> Reply:
    name, much = _split(arguments)
    held = {str(position["instrument"]) for position in context.desk.positions()}
    if not name:
        return Reply(
            f"/sell takes an instrument, and how much unless all of it. Held: {_listed(held)}.", ok=False
        )
    quantity, amount, wrong = _how_much(much, name, _currency(context))
    if wrong:
        return Reply(wrong, ok=False)
    match = _match(name, held)
    if match is None:
        return Reply(f"There is no position in {name[:32]}. Held: {_listed(held)}.", ok=False)
    wish = context.wish(CommandKind.CLOSE, instrument=match, quantity=quantity, amount=amount)
    outcome = await context.desk.submit(wish)
    return Reply(f"{sentence(outcome.text)} {cited(outcome.record)}".rstrip(), ok=outcome.accepted)


async def _force_exit(context: Context, arguments: str) -> Reply:
    if arguments.strip().casefold() != "all":
        return await _sell(context, arguments)
    held = sorted(str(position["instrument"]) for position in context.desk.positions())
    if not held:
        return Reply("Nothing is held.", ok=False)
    replies = [await _sell(context._replace(key=f"{context.key}-{name}"), name) for name in held]
    return Reply("\n".join(reply.text for reply in replies), ok=all(reply.ok for reply in replies))


def _split(arguments: str) -> tuple[str, str]:
    name, _, much = arguments.strip().partition(" ")
    return name, much.strip()


def _currency(context: Context) -> str:
    return str(context.desk.status()["currency"])


def _how_much(text: str, instrument: str, currency: str) -> tuple[Decimal, Decimal, str]:
    """Quantity, amount, and what is wrong with the text. Only plain numbers: 1,000 means different things to people.

    A unit behind the number is the account's currency or what the instrument is made of; any other is refused.
    """
    zero = Decimal(0)
    if not text:
        return zero, zero, ""
    number, _, unit = text.partition(" ")
    wrong = f"{text[:_LONGEST_NUMBER]!r} is not how much: expected {HOW_MUCH.format(currency)}."
    if len(number) > _LONGEST_NUMBER or not number.isascii() or set(number) - set("0123456789."):
        return zero, zero, wrong
    try:
        value = Decimal(number)
    except InvalidOperation:
        return zero, zero, wrong
    base = instrument.partition("/")[0]
    if value <= 0 or unit.casefold() not in ("", currency.casefold(), base.casefold()):
        return zero, zero, wrong
    return (zero, value, "") if unit.casefold() == currency.casefold() else (value, zero, "")


def _match(name: str, known: set[str]) -> str | None:
    return next((each for each in known if each.casefold() == name.casefold()), None)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


COMMANDS = (
    ChatCommand(
        "buy", Role.TRADER, "/buy <instrument> <how much>", "Buy, with a stop; every limit holds.", _buy
    ),
    ChatCommand("sell", Role.TRADER, "/sell <instrument> [how much]", "Sell of what is held.", _sell),
    ChatCommand(
        "forcelong", Role.TRADER, "/forcelong <instrument> [how much]", "Buy; the desk sizes it.", _force_long
    ),
    ChatCommand("fx", Role.TRADER, "/fx <instrument|all>", "Close one position, or all.", _force_exit),
)
