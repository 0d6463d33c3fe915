"""What volume adds, in ratios: the units of volume differ between venues and do not matter here.

A series without volume (most currency feeds) gives the neutral value of every feature.
"""

import numpy as np

from engine.core.features.feature import Feature
from engine.core.features.workings import FLAT, Floats, Workings
from engine.core.maths.rolling import lag, ratio, rolling_correlation, rolling_rank, rolling_trend

_SAME = 1e-12  # share of price by which two typical prices must differ not to be equal


def _z(w: Workings) -> Floats:
    mean, deviation = w.volume_moments(20)
    return ratio(w.volume - mean, deviation, 0.0, FLAT * mean)


def _volume_ratio(short: int, long: int) -> Feature:
    def function(w: Workings) -> Floats:
        return ratio(w.volume_moments(short)[0], w.volume_moments(long)[0], 1.0)

    note = f"mean volume of {short} bars by that of {long}; no volume: 1"
    return Feature(f"volume_ratio_{short}_{long}", "volume", ("volume",), long, function, note)


def _rank(w: Workings) -> Floats:
    return rolling_rank(w.volume, 60, w.last)


def _variation(w: Workings) -> Floats:
    mean, deviation = w.volume_moments(20)
    return ratio(deviation, mean)


def _without(w: Workings) -> Floats:
    return w.mean((w.volume == 0.0).astype(np.float64), 20)


def _growth(w: Workings) -> Floats:
    mean, _, products = rolling_trend(w.volume, 20, w.last)
    return (1200.0 / (20**3 - 20)) * ratio(products, mean)


def _traded(w: Workings, n: int) -> Floats:
    return w.once(("traded", n), lambda: w.sum(w.volume, n))


def _weighted(w: Workings, terms: Floats, n: int) -> Floats:
    """The mean of `terms`, each bar weighted with its volume; 0 without volume."""
    return ratio(w.sum(terms * w.volume, n), _traded(w, n))


def _vwap_dist(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        vwap = _weighted(w, w.typical(), n)
        return 100.0 * ratio(w.close - vwap, vwap)

    note = f"close above the volume-weighted typical price of {n} bars, percent; no volume: 0"
    return Feature(f"vwap_dist_{n}", "volume", _RANGE, n, function, note)


def _obv_change(w: Workings) -> Floats:
    return _weighted(w, np.sign(w.change()), 20)


def _ad_change(w: Workings) -> Floats:
    return _weighted(w, ratio((w.close - w.low) - (w.high - w.close), w.spread()), 20)


def _volume_return(w: Workings) -> Floats:
    return 100.0 * _weighted(w, w.log_return(), 20)


def _money_flow(w: Workings) -> Floats:
    typical = w.typical()
    step = typical - lag(typical, 1)
    step[np.abs(step) <= _SAME * typical] = 0.0
    flow = typical * w.volume
    up, down = (
        w.sum(np.where(step > 0.0, flow, 0.0), 14),
        w.sum(np.where(step < 0.0, flow, 0.0), 14),
    )
    return 100.0 * ratio(up, up + down, 0.5)


def _price_volume(w: Workings) -> Floats:
    mean, _ = w.volume_moments(20)
    return rolling_correlation(w.log_return(), w.volume, 20, (FLAT, FLAT * mean), w.last)


def _illiquidity(w: Workings) -> Floats:
    return rolling_rank(ratio(np.abs(w.log_return()), w.close * w.volume), 60, w.last)


_VOLUME = ("volume",)
_BOTH = ("close", "volume")
_RANGE = ("high", "low", "close", "volume")

FEATURES: tuple[Feature, ...] = (
    Feature(
        "volume_z_20",
        "volume",
        _VOLUME,
        20,
        _z,
        "volume in standard deviations from its 20-bar mean; flat: 0",
    ),
    *(_volume_ratio(short, long) for short, long in ((5, 20), (20, 60))),
    Feature("volume_rank_60", "volume", _VOLUME, 60, _rank, "share of 60 bars with less volume, ties half"),
    Feature(
        "volume_cv_20", "volume", _VOLUME, 20, _variation, "deviation by mean of 20 volumes; no volume: 0"
    ),
    Feature(
        "zero_volume_share_20", "volume", _VOLUME, 20, _without, "share of 20 bars in which nothing traded"
    ),
    Feature(
        "volume_growth_20", "volume", _VOLUME, 20, _growth, "slope of 20 volumes, percent of their mean a bar"
    ),
    *(_vwap_dist(n) for n in (20, 60)),
    Feature(
        "obv_change_20",
        "volume",
        _BOTH,
        21,
        _obv_change,
        "20-bar change of OBV by volume traded; no volume: 0",
    ),
    Feature(
        "ad_change_20",
        "volume",
        _RANGE,
        20,
        _ad_change,
        "20-bar change of A/D by volume traded; no volume: 0",
    ),
    Feature(
        "mfi_14", "volume", _RANGE, 15, _money_flow, "money flow index over 14 bars, 0 to 100; no flow: 50"
    ),
    Feature(
        "volume_return_20",
        "volume",
        _BOTH,
        21,
        _volume_return,
        "volume-weighted mean of 20 log returns, percent",
    ),
    Feature(
        "price_volume_20", "volume", _BOTH, 21, _price_volume, "correlation of return and volume; flat: 0"
    ),
    Feature(
        "illiquidity_rank_60",
        "volume",
        _BOTH,
        61,
        _illiquidity,
        "rank in 60 of |return| by turnover (Amihud)",
    ),
)
