"""How far price went, how evenly, and who won the bar."""

import numpy as np

from engine.core.features.feature import Feature, wilder_warm_up
from engine.core.features.workings import FLAT, Floats, Workings, ema
from engine.core.maths.rolling import lag, ratio, rolling_mean, rolling_windows

_LONGEST_STREAK = 10


def _ret(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        return 100.0 * w.log_return(n)

    return Feature(f"ret_{n}", "momentum", ("close",), n + 1, function, f"log return over {n} bars, percent")


def _roc(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        return 100.0 * (w.close / lag(w.close, n) - 1.0)

    return Feature(
        f"roc_{n}", "momentum", ("close",), n + 1, function, f"simple return over {n} bars, percent"
    )


def _ret_skip(w: Workings) -> Floats:
    return 100.0 * lag(w.log_return(230), 20)


def _ret_vol(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        return ratio(w.log_return(n), w.volatility(n) * np.sqrt(n), 0.0, FLAT)

    note = f"log return over {n} bars, in standard deviations of a {n}-bar move; flat: 0"
    return Feature(f"ret_vol_{n}", "momentum", ("close",), n + 1, function, note)


def _acceleration(w: Workings) -> Floats:
    return 100.0 * (w.log_return(10) - lag(w.log_return(10), 10))


def _rsi(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        path = ema(w.path(), 2 * n - 1)
        return 50.0 + 50.0 * ratio(ema(w.change(), 2 * n - 1), path, 0.0, w.quiet())

    note = f"Wilder's relative strength index over {n} bars, 0 to 100; flat: 50"
    return Feature(f"rsi_{n}", "momentum", ("close",), wilder_warm_up(n) + 1, function, note)


def _fast_k(w: Workings) -> Floats:
    low = w.lowest(14)
    return w.once("fast_k", lambda: 100.0 * ratio(w.close - low, w.highest(14) - low, 0.5))


def _slow_k(w: Workings) -> Floats:
    return w.once("slow_k", lambda: rolling_mean(_fast_k(w), 3))


def _stoch_d(w: Workings) -> Floats:
    return w.mean(_slow_k(w), 3)


def _cci(w: Workings) -> Floats:
    typical = w.typical()
    deviation = rolling_windows((typical,), 20, _mean_deviation, w.last)
    return ratio(typical - w.mean(typical, 20), 0.015 * deviation, 0.0, FLAT * typical)


def _mean_deviation(rows: Floats) -> Floats:
    deviation: Floats = np.abs(rows - rows.mean(axis=1, keepdims=True)).mean(axis=1)
    return deviation


def _ultimate(w: Workings) -> Floats:
    pressure = w.close - np.minimum(w.low, w.previous_close())

    def share(n: int) -> Floats:
        return ratio(w.sum(pressure, n), w.sum(w.true_range(), n), 0.5)

    return 100.0 / 7.0 * (4.0 * share(7) + 2.0 * share(14) + share(28))


def _efficiency(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        return ratio(w.close - lag(w.close, n), w.sum(w.path(), n), 0.0, FLAT * w.close)

    note = f"net change over {n} bars by the path walked (Kaufman, with its sign), -1 to 1; flat: 0"
    return Feature(f"efficiency_{n}", "momentum", ("close",), n + 1, function, note)


def _up_share(w: Workings) -> Floats:
    return 0.5 + 0.5 * w.mean(np.sign(w.change()), 20)


def _streak(w: Workings) -> Floats:
    change = w.change()
    return _run(change > 0.0) - _run(change < 0.0)


def _run(holds: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Floats:
    """How many bars in a row the condition holds, at most ten."""
    bar = np.arange(holds.shape[0])
    broken = np.maximum.accumulate(np.where(holds, -1, bar))
    return np.minimum(bar - broken, _LONGEST_STREAK).astype(np.float64)


def _power(w: Workings) -> Floats:
    return w.mean(ratio(w.close - w.open, w.spread()), 14)


def _close_location(w: Workings) -> Floats:
    return ratio((w.close - w.low) - (w.high - w.close), w.spread())


def _body(w: Workings) -> Floats:
    return ratio(w.close - w.open, w.spread())


def _upper_shadow(w: Workings) -> Floats:
    return ratio(w.high - np.maximum(w.open, w.close), w.spread())


def _gap(w: Workings) -> Floats:
    return w.per_atr(w.open - w.previous_close())


_CLOSE = ("close",)
_RANGE = ("high", "low", "close")
_CANDLE = ("open", "high", "low", "close")
_ATR = wilder_warm_up(14) + 1

FEATURES: tuple[Feature, ...] = (
    *(_ret(n) for n in (1, 2, 3, 5, 10, 20, 60, 120, 250)),
    *(_roc(n) for n in (10, 20)),
    Feature(
        "ret_skip_250_20", "momentum", _CLOSE, 251, _ret_skip, "log return of 250 bars without 20, percent"
    ),
    *(_ret_vol(n) for n in (20, 60)),
    Feature(
        "acceleration_10", "momentum", _CLOSE, 21, _acceleration, "ret_10 less ret_10 ten bars ago, percent"
    ),
    *(_rsi(n) for n in (7, 14)),
    Feature("stoch_k_14", "momentum", _RANGE, 16, _slow_k, "slow stochastic %K (14, 3), 0 to 100; flat: 50"),
    Feature(
        "stoch_d_14", "momentum", _RANGE, 18, _stoch_d, "slow stochastic %D (14, 3, 3), 0 to 100; flat: 50"
    ),
    Feature("cci_20", "momentum", _RANGE, 20, _cci, "commodity channel index over 20 bars; flat: 0"),
    Feature("ultimate_7_14_28", "momentum", _RANGE, 29, _ultimate, "ultimate oscillator, 0 to 100; flat: 50"),
    *(_efficiency(n) for n in (10, 20, 60)),
    Feature(
        "up_share_20", "momentum", _CLOSE, 21, _up_share, "share of rises in 20 closes, unchanged as half"
    ),
    Feature(
        "streak", "momentum", _CLOSE, 11, _streak, "closes in a row up (plus) or down (minus), at most 10"
    ),
    Feature(
        "bop_14", "momentum", _CANDLE, 14, _power, "mean of body by range over 14 bars, -1 to 1; flat: 0"
    ),
    Feature("close_location", "momentum", _RANGE, 1, _close_location, "close at low -1, at high 1; flat: 0"),
    Feature("body_share", "momentum", _CANDLE, 1, _body, "close less open by range, -1 to 1; flat: 0"),
    Feature(
        "upper_shadow_share", "momentum", _CANDLE, 1, _upper_shadow, "upper shadow by range, 0 to 1; flat: 0"
    ),
    Feature(
        "gap_atr_14", "momentum", _CANDLE, _ATR, _gap, "open above the close before, in ATR(14); flat: 0"
    ),
)
