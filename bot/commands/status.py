"""/status: the state of the desk, its money and what it holds, as of its last bar."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from bot.command import ChatCommand, Context, Reply
from bot.people import Role
from bot.render import state_sentence
from explain.units import gain, money, percent, price, units, when


async def _status(context: Context, arguments: str) -> Reply:
    shown = context.desk.status()
    lines = [state_sentence(shown), _money(shown), *[_position(position) for position in shown["positions"]]]
    if not shown["positions"]:
        lines.append("Nothing is held.")
    lines += [f"Nothing new is opened: {why}." for why in shown["holds"].values()]
    lines += [f"{name} is locked: {why or 'no reason was given'}." for name, why in shown["locks"].items()]
    if shown["open_orders"]:
        lines.append(f"{shown['open_orders']} open order(s).")
    return Reply("\n".join(lines), only=True)


def _money(shown: dict[str, Any]) -> str:
    as_of = when(datetime.fromisoformat(shown["last_bar"])) if shown["last_bar"] else "no bar yet"
    return (
        f"Equity {money(Decimal(shown['equity']))}, cash {money(Decimal(shown['cash']))}, day's loss"
        f" {percent(max(0.0, shown['day_loss']))}, drawdown {percent(shown['drawdown'])}; as of {as_of},"
        f" {shown['records']:,} records."
    )


def _position(position: dict[str, Any]) -> str:
    quantity = Decimal(position["quantity"])
    side = "Long" if quantity > 0 else "Short"
    return (
        f"{side} {units(abs(quantity))} {position['instrument']} at {price(Decimal(position['average_price']))},"
        f" now {price(Decimal(position['price']))}: {gain(Decimal(position['profit']))} so far, stop"
        f" {price(Decimal(position['stop']))}, target {price(Decimal(position['target']))}, held for"
        f" {position['bars_held']} bars [{position['entry']}]"
    )


COMMANDS = (
    ChatCommand(
        "status",
        Role.VIEWER,
        "/status",
        "State, equity, positions, as of the last bar.",
        _status,
        aliases=("balance", "count"),
    ),
)
