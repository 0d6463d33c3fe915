"""Dividing an amount so that the parts add up to it, to the last digit."""

from collections.abc import Mapping
from decimal import Decimal, localcontext

NOBODY = "unattributed"
QUANTUM = Decimal("0.00000001")
_EXACT = 80  # digits: more than any account's money can have


def split(amount: Decimal, parts: Mapping[str, float], quantum: Decimal = QUANTUM) -> dict[str, Decimal]:
    """Return `amount` times each signed part over the sum of all.

    Who pulled with the sum is credited, who pulled against it is charged. Shares are rounded to `quantum` and the
    rest of the rounding goes to the largest part. With no parts, or parts that cancel out, all of it is nobody's.

    >>> shares = split(Decimal("10.00"), {"momentum": 0.5, "carry": -0.1, "trend": 0.2}, Decimal("0.01"))
    >>> {name: str(share) for name, share in shares.items()}, str(sum(shares.values()))
    ({'momentum': '8.34', 'carry': '-1.67', 'trend': '3.33'}, '10.00')
    """
    weights = {name: Decimal(repr(part)) for name, part in parts.items()}
    total = sum(weights.values(), Decimal(0))
    if abs(total) <= QUANTUM:
        return {NOBODY: amount}
    with localcontext() as context:
        context.prec = _EXACT
        shares = {name: (amount * weight / total).quantize(quantum) for name, weight in weights.items()}
        largest = max(weights, key=lambda name: abs(weights[name]))
        shares[largest] += amount - sum(shares.values(), Decimal(0))
    return shares
