"""What is the desk's and not in the account any more, taken out of the books once a person has said that it is so.

Somebody sold it by hand, or moved it away. Afterwards the books hold what is really there: a position ends by what was
sold of it, at what that brought where this is known, and cash is less by what is missing. Each is a record of its own.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import NamedTuple

from engine.core.accounting.fold import DeskState, apply, settle
from engine.core.domain.ids import digest, record_id
from engine.core.domain.instrument import base_of
from engine.core.domain.order import Fill
from engine.core.domain.portfolio import Position
from engine.core.domain.records import AccountRecord, Record

ZERO = Decimal(0)
EXTERNAL = "external"
"""The reason of an exit that somebody else made."""
_CENT = Decimal("0.00000001")


class Sold(NamedTuple):
    """What others sold of an asset, and what it brought after fees."""

    quantity: Decimal = ZERO
    proceeds: Decimal = ZERO

    def of(self, quantity: Decimal, mark: Decimal) -> tuple[Decimal, "Sold"]:
        """What `quantity` of it brought, at `mark` where nobody knows, and what is then left of these sales."""
        known = min(quantity, self.quantity)
        brought = known * self.proceeds / self.quantity if known else ZERO
        return brought + (quantity - known) * mark, Sold(self.quantity - known, self.proceeds - brought)


def missing(
    state: DeskState,
    gone: Mapping[str, Decimal],
    money: Decimal,
    currency: str,
    sold: Mapping[str, Sold],
    by: str,
    at: datetime,
) -> list[Record]:
    """The records after which nothing of the desk's is missing. `gone` and `sold` are by asset.

    `money` is what the account has of the currency.
    """
    records: list[Record] = []

    def add(*new: Record | None) -> None:
        nonlocal state
        for record in new:
            if record is not None:
                state = apply(state, record)
                records.append(record)

    def less(text: str, cash: Decimal, dust: dict[str, Decimal]) -> AccountRecord:
        key = record_id("a", at, EXTERNAL, text, by)
        return AccountRecord(key, at, {}, state.portfolio.external, f"{text}, accepted by {by}", cash, dust)

    for asset, much in gone.items():
        rest = much
        sales = sold.get(asset, Sold())
        for position in state.portfolio.positions:
            if rest > 0 and base_of(position.instrument) == asset and position.quantity > 0:
                quantity = min(rest, position.quantity)
                worth, sales = sales.of(quantity, state.portfolio.marks[position.instrument])
                add(*settle(state, _sale(position, quantity, worth, at)))
                rest -= quantity
        for instrument, dust in state.portfolio.dust.items():
            if rest > 0 and base_of(instrument) == asset and dust > 0:
                quantity = min(rest, dust)
                worth, sales = sales.of(quantity, ZERO)
                text = f"{quantity.normalize():f} {asset} that was written off is gone for {worth:.2f} {currency}"
                add(less(text, worth.quantize(_CENT, ROUND_DOWN), {instrument: -quantity}))
                rest -= quantity
    short = money - state.portfolio.cash
    if short < -_CENT:
        add(less(f"{-short.normalize():f} {currency} of the desk's cash is gone", short, {}))
    return records


def _sale(position: Position, quantity: Decimal, worth: Decimal, at: datetime) -> Fill:
    """What somebody else sold of a position, as if the desk had: the fees are in what it was worth."""
    key = f"{EXTERNAL}-{digest(position.trade, at.isoformat())}"
    price = (worth / quantity).quantize(_CENT, ROUND_DOWN)
    return Fill(
        trade_id=key,
        client_id=key,
        decision=position.entry_decision,
        instrument=position.instrument,
        side=position.side.opposite,
        quantity=quantity,
        price=price,
        reference=price,
        fee=ZERO,
        leg="x",
        reason=EXTERNAL,
        at=at,
    )
