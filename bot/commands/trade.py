"""/buy, /sell, /forcelong and /fx: a person trades, under the same limits as the desk itself."""

from decimal import Decimal, InvalidOperation

from bot.command import Card, ChatCommand, Confirm, Context, Effect, Reply
from bot.commands.effect import Much, buying, closing_all, held, selling
from bot.people import Role
from bot.render import cited, sentence
from engine.core.domain.commands import CommandKind
from engine.core.domain.order import Side

HOW_MUCH = "a quantity such as 0.5, or an amount such as 500 {}"
_LONGEST_NUMBER = 40


async def _buy(context: Context, arguments: str) -> Reply:
    return await _enter(context, _to_buy(context, arguments))


async def _force_long(context: Context, arguments: str) -> Reply:
    return await _enter(context, _to_force(context, arguments))


def _buy_card(context: Context, arguments: str) -> Card | Reply:
    much = _to_buy(context, arguments)
    return much if isinstance(much, Reply) else buying(context, much)


def _force_card(context: Context, arguments: str) -> Card | Reply:
    much = _to_force(context, arguments)
    return much if isinstance(much, Reply) else buying(context, much)


def _to_buy(context: Context, arguments: str) -> Much | Reply:
    name, much = _split(arguments)
    if not name or not much:
        return Reply(
            f"/buy takes an instrument and how much: {HOW_MUCH.format(_currency(context))}.", ok=False
        )
    return _to_enter(context, name, much)


def _to_force(context: Context, arguments: str) -> Much | Reply:
    name, much = _split(arguments)
    if not name:
        return Reply("/forcelong takes an instrument, and how much unless the desk is to size it.", ok=False)
    return _to_enter(context, name, much)


def _to_enter(context: Context, name: str, much: str) -> Much | Reply:
    quantity, amount, wrong = _how_much(much, name, _currency(context))
    if wrong:
        return Reply(wrong, ok=False)
    known = {str(each) for each in context.desk.status()["instruments"]}
    match = _match(name, known)
    if match is None:
        return Reply(f"The desk does not trade {name[:32]}. It trades {_listed(known)}.", ok=False)
    return Much(match, quantity, amount)


async def _enter(context: Context, much: Much | Reply) -> Reply:
    if isinstance(much, Reply):
        return much
    wish = context.wish(
        CommandKind.ENTER,
        instrument=much.instrument,
        side=Side.BUY,
        quantity=much.quantity,
        amount=much.amount,
    )
    outcome = await context.desk.submit(wish)
    return Reply(f"{sentence(outcome.text)} {cited(outcome.record)}".rstrip(), ok=outcome.accepted)


async def _sell(context: Context, arguments: str) -> Reply:
    much = _to_sell(context, arguments)
    if isinstance(much, Reply):
        return much
    wish = context.wish(
        CommandKind.CLOSE, instrument=much.instrument, quantity=much.quantity, amount=much.amount
    )
    outcome = await context.desk.submit(wish)
    return Reply(f"{sentence(outcome.text)} {cited(outcome.record)}".rstrip(), ok=outcome.accepted)


def _sell_card(context: Context, arguments: str) -> Card | Reply:
    much = _to_sell(context, arguments)
    return much if isinstance(much, Reply) else selling(context, much)


def _to_sell(context: Context, arguments: str) -> Much | Reply:
    name, much = _split(arguments)
    names = set(held(context))
    if not name:
        return Reply(
            f"/sell takes an instrument, and how much unless all of it. Held: {_listed(names)}.", ok=False
        )
    quantity, amount, wrong = _how_much(much, name, _currency(context))
    if wrong:
        return Reply(wrong, ok=False)
    match = _match(name, names)
    if match is None:
        return Reply(f"There is no position in {name[:32]}. Held: {_listed(names)}.", ok=False)
    return Much(match, quantity, amount)


async def _force_exit(context: Context, arguments: str) -> Reply:
    if not _all(arguments):
        return await _sell(context, arguments)
    names = sorted(held(context))
    if not names:
        return NOTHING_HELD
    replies = [await _sell(context._replace(key=f"{context.key}-{name}"), name) for name in names]
    return Reply("\n".join(reply.text for reply in replies), ok=all(reply.ok for reply in replies))


def _exit_card(context: Context, arguments: str) -> Card | Reply:
    if not _all(arguments):
        return _sell_card(context, arguments)
    return closing_all(context, Confirm.CODE) if held(context) else NOTHING_HELD


NOTHING_HELD = Reply("Nothing is held.", ok=False)


def _all(arguments: str) -> bool:
    return arguments.strip().casefold() == "all"


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
        "buy",
        Role.TRADER,
        "/buy <instrument> <how much>",
        "Buy, with a stop; every limit holds.",
        _buy,
        effect=Effect.MORE,
        stale_s=15,
        confirm=Confirm.TAP,
        preview=_buy_card,
        examples=("/buy BTC/USDT 0.01", "/buy BTC/USDT 500 USDT"),
    ),
    ChatCommand(
        "sell",
        Role.TRADER,
        "/sell <instrument> [how much]",
        "Sell of what is held.",
        _sell,
        effect=Effect.LESS,
        stale_s=30,
        confirm=Confirm.TAP,
        preview=_sell_card,
        examples=("/sell BTC/USDT", "/sell BTC/USDT 0.005"),
    ),
    ChatCommand(
        "forcelong",
        Role.TRADER,
        "/forcelong <instrument> [how much]",
        "Buy; the desk sizes it.",
        _force_long,
        effect=Effect.MORE,
        stale_s=15,
        confirm=Confirm.TAP,
        preview=_force_card,
        examples=("/forcelong BTC/USDT",),
    ),
    ChatCommand(
        "fx",
        Role.TRADER,
        "/fx <instrument|all>",
        "Close one position, or all.",
        _force_exit,
        aliases=("forceexit",),
        effect=Effect.LESS,
        stale_s=30,
        confirm=Confirm.CODE,
        confirmed="for all; a tap for one",
        preview=_exit_card,
        examples=("/fx BTC/USDT", "/fx all"),
    ),
)
