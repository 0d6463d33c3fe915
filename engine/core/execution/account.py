"""The venue's account against our books: what each asset should come to, and where it does not.

An account may hold more than is the desk's: what was there at the first start, and what is moved from outside later.
That part is `external`, and it is a record whenever it is taken as such. What is neither in the books nor external is a
difference, and so is what others took of the desk's. One that stays stops new entries until somebody has looked.
"""

from collections.abc import Mapping
from decimal import Decimal

from engine.core.domain.instrument import base_of
from engine.core.domain.order import Fill
from engine.core.domain.portfolio import Portfolio

ZERO = Decimal(0)
TOLERANCE = Decimal("0.00000001")
"""Venues count in hundred-millionths; of money, which prices multiply, a hundredth is let pass."""
MONEY_TOLERANCE = Decimal("0.01")


def ours(portfolio: Portfolio, currency: str) -> dict[str, Decimal]:
    """What the books say is the desk's, by asset."""
    held = {currency: portfolio.cash}
    for position in portfolio.positions:
        base = base_of(position.instrument)
        held[base] = held.get(base, ZERO) + position.quantity
    for instrument, dust in portfolio.dust.items():
        base = base_of(instrument)
        held[base] = held.get(base, ZERO) + dust
    return held


def outside(
    portfolio: Portfolio, balances: Mapping[str, Decimal], assets: set[str], currency: str
) -> dict[str, Decimal]:
    """What of the balances is not the desk's, by asset; only assets that the desk could touch."""
    held = ours(portfolio, currency)
    rest = {asset: balances.get(asset, ZERO) - held.get(asset, ZERO) for asset in sorted(assets)}
    return {asset: amount for asset, amount in rest.items() if abs(amount) > TOLERANCE}


def differences(
    portfolio: Portfolio, balances: Mapping[str, Decimal], assets: set[str], currency: str
) -> dict[str, Decimal]:
    """By asset, how much more (or less) there is than the books and what is known to be external explain.

    Less than nothing cannot be somebody else's: what others took of the desk's is a difference, told or not.
    """
    found = {}
    rest = outside(portfolio, balances, assets, currency)
    for asset in sorted(assets):
        gap = rest.get(asset, ZERO) - max(portfolio.external.get(asset, ZERO), ZERO)
        if abs(gap) > (MONEY_TOLERANCE if asset == currency else TOLERANCE):
            found[asset] = gap
    return found


def moved_by(fill: Fill, currency: str) -> dict[str, Decimal]:
    """What an execution that was not ours changed in the account."""
    sign = fill.side.sign
    moved = {
        base_of(fill.instrument): sign * fill.quantity,
        currency: -sign * fill.quantity * fill.price - (ZERO if fill.paid_asset else fill.fee),
    }
    if fill.paid_asset:
        moved[fill.paid_asset] = moved.get(fill.paid_asset, ZERO) - fill.paid
    return moved
