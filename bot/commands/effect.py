"""What a command would do, as far as it is known before: prices, quantities, what is held. For the cards."""

from decimal import Decimal
from typing import Any, NamedTuple

from bot.command import Card, Confirm, Context
from bot.people import Role
from engine.core.domain.records import CycleRecord
from explain.units import gain, money, price, units


class Much(NamedTuple):
    """How much of an instrument: units, or an amount in the account's currency, or neither: all of it."""

    instrument: str
    quantity: Decimal
    amount: Decimal


def held(context: Context) -> dict[str, dict[str, Any]]:
    """Open positions by instrument."""
    return {str(position["instrument"]): position for position in context.desk.positions()}


def price_of(context: Context, instrument: str) -> Decimal | None:
    """The newest price that the desk has seen of it."""
    position = held(context).get(instrument)
    if position is not None:
        return Decimal(position["price"])
    newest = context.journal.find(kind="cycle", instrument=instrument, limit=1)
    record = newest[0].record if newest else None
    return record.observation.bar.close if isinstance(record, CycleRecord) else None


def buying(context: Context, much: Much) -> Card:
    """A card for an entry."""
    instrument, currency = much.instrument, str(context.desk.status()["currency"])
    now, position = price_of(context, instrument), held(context).get(instrument)
    has = f"{units(Decimal(position['quantity']))} {instrument} is held" if position else "None is held"
    text = (
        f"Buy {_wanted(much, now, currency) or f'as much {instrument} as the desk would'}, with a stop; every"
        f" limit holds. {_at(now, instrument)}. {has}. The desk is {context.desk.status()['state']}."
    )
    facts = {
        "the desk": str(context.desk.status()["state"]),
        f"the position in {instrument}": _quantity(position),
    }
    return Card(Confirm.TAP, text, Role.TRADER, facts, {instrument: now} if now is not None else {})


def selling(context: Context, much: Much) -> Card:
    """A card for closing one position, or a part of it."""
    instrument, currency = much.instrument, str(context.desk.status()["currency"])
    position, now = held(context)[instrument], price_of(context, instrument)
    all_of_it = Much(instrument, abs(Decimal(position["quantity"])), Decimal(0))
    wanted = much if much.quantity or much.amount else all_of_it
    text = (
        f"Close {_wanted(wanted, now, currency)}, of {units(abs(Decimal(position['quantity'])))} held. "
        f"{_at(now, instrument)}; {gain(Decimal(position['profit']))} so far, before what closing costs."
    )
    facts = {f"the position in {instrument}": _quantity(position)}
    return Card(Confirm.TAP, text, Role.TRADER, facts, {instrument: now} if now is not None else {})


def closing_all(context: Context, confirm: Confirm) -> Card:
    """A card for closing everything. It binds what is held, not its prices: they are many, and one always moves."""
    positions = held(context)
    lines = [
        f"{units(abs(Decimal(each['quantity'])))} {name} at about {price(Decimal(each['price']))}:"
        f" {gain(Decimal(each['profit']))} so far"
        for name, each in sorted(positions.items())
    ]
    text = "\n".join([f"Close all {len(positions)} position(s) at the market:", *lines])
    facts = {f"the position in {name}": _quantity(each) for name, each in positions.items()}
    return Card(confirm, text, Role.TRADER, facts, {})


def _wanted(much: Much, now: Decimal | None, currency: str) -> str:
    """How much, with its worth at the present price, as far as that is known."""
    if much.quantity:
        worth = f" (about {money(much.quantity * now)} {currency})" if now is not None else ""
        return f"{units(much.quantity)} {much.instrument}{worth}"
    if much.amount:
        about = f" (about {units(much.amount / now)})" if now else ""
        return f"{much.instrument} for {money(much.amount)} {currency}{about}"
    return ""


def _at(now: Decimal | None, instrument: str) -> str:
    return f"The newest price is {price(now)}" if now is not None else f"No price of {instrument} is known"


def _quantity(position: dict[str, Any] | None) -> str:
    return units(Decimal(position["quantity"])) if position else "nothing"
