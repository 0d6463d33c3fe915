"""Small arithmetic on scores between -1 and 1."""

import math


def clip(value: float, bound: float = 1.0) -> float:
    """`value` held within plus and minus `bound`; what is not a number is no opinion.

    >>> clip(3.0), clip(-0.2), clip(math.nan)
    (1.0, -0.2, 0.0)
    """
    if -bound <= value <= bound:
        return value
    if value != value:
        return 0.0
    return bound if value > 0 else -bound


def normal_cdf(z: float) -> float:
    """Probability that a standard normal lies below `z`.

    >>> round(normal_cdf(1.96), 4)
    0.975
    """
    return 0.5 * math.erfc(-z / math.sqrt(2))
