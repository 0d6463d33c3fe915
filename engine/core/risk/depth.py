"""An entry against the order book that it takes from. It is asked for at the last look: a book is no part of a record.

Only what lies within a band around the price counts. A hundred levels may all lie closer than that, and then more of
the book may have to be asked for.
"""

from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from configs.schema.risk import RiskSettings
from engine.core.domain.instrument import exact
from engine.core.domain.order import OrderRequest
from engine.core.domain.venue import Depth

ZERO, FINEST, MANY = Decimal(0), Decimal("0.0001"), Decimal(10)
LARGEST_GAP = Decimal("0.005")
"""Two answers of one moment do not lie further apart: the book is stale, or another's."""


class Verdict(NamedTuple):
    """Why the entry must not leave, empty when it may. `final`: more of the book would not change it."""

    refusal: str
    final: bool = True


def against_depth(
    entry: OrderRequest, price: Decimal, depth: Depth, limits: RiskSettings, currency: str
) -> Verdict:
    """Hold an entry against what is offered to it within `risk.depth_band` of `price`, which the venue told as well.

    A book tells no time of its own: one that is stale shows only where it does not fit the price.
    """
    if why := _unusable(depth, price):
        return Verdict(why)
    band, most = exact(limits.depth_band), exact(limits.max_depth_share)
    worst = price * (1 + entry.side.sign * band)
    near = [(at, units) for at, units in depth.levels if entry.side.sign * (worst - at) >= 0]
    units = sum((units for _, units in near), ZERO)
    if entry.quantity <= most * units:
        return Verdict("")
    final = depth.whole or len(near) < len(depth.levels)
    limit = f"within {_percent(band)}; at most {_percent(most)} (risk.max_depth_share)"
    if not units:
        return Verdict(f"the venue offers nothing {limit}", final)
    share = entry.quantity / units
    # Rounded up: what is one step over the limit must not read as if it were at it.
    part = f"{share.quantize(FINEST, ROUND_CEILING):.2%} of" if share <= MANY else "more than ten times"
    money = sum((at * units for at, units in near), ZERO)
    told = "offered" if final else "that the venue shows"
    return Verdict(f"it would take {part} the {money:,.2f} {currency} {told} {limit}", final)


def _unusable(depth: Depth, price: Decimal) -> str:
    """Why nothing can be said from such a book; empty when something can."""
    if not depth.levels:
        return "the venue's order book is empty"
    for at, units in depth.levels:
        if not at.is_finite() or not units.is_finite() or at <= 0 or units < 0:
            return f"the venue's order book offers {units} at {at}"
    best = depth.levels[0][0]
    away = abs(best / price - 1)
    if away > LARGEST_GAP:
        return (
            f"the venue's order book begins at {best:f}, {away:.2%} from the price of {price:f} that it tells;"
            f" at most {_percent(LARGEST_GAP)}"
        )
    return ""


def _percent(share: Decimal) -> str:
    """As short as it can be said exactly.

    >>> _percent(Decimal("0.005")), _percent(Decimal("0.25")), _percent(Decimal("1.0"))
    ('0.5%', '25%', '100%')
    """
    return f"{(100 * share).normalize():f}%"
