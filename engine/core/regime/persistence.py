"""A regime must be seen twice before it counts, without anyone remembering anything.

The confirmed regime is a function of the last three raw ones: what at least two of them say; when all three
differ, the one with the largest sum of scores over the three bars. A crash counts at once. The rule needs no
state, so it cannot be lost in a restart, and replay needs no history beyond three bars.
"""

import numpy as np
from numpy.typing import NDArray

from engine.core.domain.regime import REGIMES

UNKNOWN = -1
VOTERS = 3
_CRASH = REGIMES.index("crash")


def confirm(raw: NDArray[np.int8], scores: NDArray[np.float64]) -> NDArray[np.int8]:
    """Return the confirmed regime of every bar, -1 where the bar's own is unknown. Unknown bars do not vote."""
    n, kinds = scores.shape
    votes, sums = np.zeros((n, kinds)), np.zeros((n, kinds))
    known = raw != UNKNOWN
    own = np.zeros((n, kinds))
    own[known, raw[known]] = 1.0
    shares = np.where(known[:, None], scores, 0.0)
    for back in range(min(VOTERS, n)):
        votes[back:] += own[: n - back]
        sums[back:] += shares[: n - back]
    # a majority outweighs any sum of scores; without one, only regimes that were seen at all may win
    weight = np.where(votes >= 2.0, 2.0 * VOTERS, 0.0) + np.where(votes > 0.0, sums, -1.0)
    settled = np.where(raw == _CRASH, _CRASH, np.argmax(weight, axis=1))
    return np.where(known, settled, UNKNOWN).astype(np.int8)
