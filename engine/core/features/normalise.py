"""Today beside its own recent past: standard scores, ranks and distances."""

import numpy as np

from engine.core.features.feature import Feature
from engine.core.features.workings import FLAT, Floats, Workings
from engine.core.maths.rolling import ratio, rolling_rank


def _zscore(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        mean, deviation = w.close_moments(n)
        return ratio(w.close - mean, deviation, 0.0, FLAT * mean)

    note = f"close in standard deviations from its mean of {n} bars; flat: 0"
    return Feature(f"zscore_{n}", "normalise", ("close",), n, function, note)


def _close_rank(w: Workings) -> Floats:
    return rolling_rank(w.close, 250, w.last)


def _return_z(w: Workings) -> Floats:
    mean, deviation = w.return_moments(20)
    return ratio(w.log_return() - mean, deviation)


def _return_rank(w: Workings) -> Floats:
    returns = w.log_return()
    return rolling_rank(np.where(np.abs(returns) <= FLAT, 0.0, returns), 60, w.last)


def _high_dist(w: Workings) -> Floats:
    return 100.0 * (w.close / w.highest(250) - 1.0)


def _low_dist(w: Workings) -> Floats:
    return 100.0 * (w.close / w.lowest(250) - 1.0)


_CLOSE = ("close",)

FEATURES: tuple[Feature, ...] = (
    *(_zscore(n) for n in (10, 20, 60)),
    Feature(
        "close_rank_250",
        "normalise",
        _CLOSE,
        250,
        _close_rank,
        "share of 250 closes below this one, ties half",
    ),
    Feature(
        "ret_z_20",
        "normalise",
        _CLOSE,
        21,
        _return_z,
        "ret_1 in sample deviations from the 20-bar mean; flat: 0",
    ),
    Feature(
        "ret_rank_60", "normalise", _CLOSE, 61, _return_rank, "share of 60 returns below this one, ties half"
    ),
    Feature(
        "high_dist_250",
        "normalise",
        ("high", "close"),
        250,
        _high_dist,
        "close below the 250-bar high, percent",
    ),
    Feature(
        "low_dist_250", "normalise", ("low", "close"), 250, _low_dist, "close above the 250-bar low, percent"
    ),
)
