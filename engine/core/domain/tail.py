"""What one bar may cost, as several estimators say it, and how far each of them is to be believed."""

from typing import NamedTuple

import msgspec

YELLOW = 3.85 / 3
"""The most that Basel's yellow zone adds to the capital of a model that is wrong too often (3 becomes 3.85)."""


class TailEstimate(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One estimator's loss of one bar, as positive shares: `var` is passed on one bar in twenty, `es` is the mean
    of the worst one in forty.

    `exceptions` of the newest `tested` bars lost more than was said before them; `accepted` says whether that is
    inside the region of Kupiec's test at 5 %: neither too many nor too few.
    """

    name: str
    var: float
    es: float
    exceptions: int
    tested: int
    accepted: bool


class OneBarLoss(NamedTuple):
    """What limits count with: `by` names the estimator; `rejected` says that none was accepted."""

    var: float
    es: float
    by: str
    rejected: bool


class Tail(msgspec.Struct, frozen=True, gc=False):
    """All estimators that have something to say; one that has not is absent.

    `bars` is how many returns an estimate looks at, `exceedances` how many of them the extreme-value tail is fitted to.
    """

    bars: int
    exceedances: int
    estimates: tuple[TailEstimate, ...] = ()

    def loss(self) -> OneBarLoss | None:
        """The largest of the accepted. Where all are rejected the model is wrong: the most careful one, times `YELLOW`.

        >>> calm = TailEstimate("normal", 0.02, 0.03, 12, 250, True)
        >>> wild = TailEstimate("evt", 0.04, 0.05, 3, 250, False)
        >>> Tail(275, 50, (calm, wild)).loss()
        OneBarLoss(var=0.02, es=0.03, by='normal', rejected=False)
        >>> round(Tail(275, 50, (wild,)).loss().var, 4)
        0.0513
        """
        accepted = [estimate for estimate in self.estimates if estimate.accepted]
        if accepted:
            largest = max(accepted, key=_var)
            return OneBarLoss(largest.var, max([one.es for one in accepted]), largest.name, rejected=False)
        if not self.estimates:
            return None
        largest = max(self.estimates, key=_var)
        worst = max([one.es for one in self.estimates])
        return OneBarLoss(largest.var * YELLOW, worst * YELLOW, largest.name, rejected=True)


def _var(estimate: TailEstimate) -> float:
    return estimate.var
