"""How much price moves.

Close-to-close deviation wastes what happened inside the bar; the range estimators use it: Parkinson (1980),
Garman and Klass (1980), Rogers and Satchell (1991, indifferent to drift), Yang and Zhang (2000, adds the gap).
All are given for one bar, as a fraction, never by the year.
"""

import numpy as np

from engine.core.features.feature import Feature, ema_warm_up, wilder_warm_up
from engine.core.features.workings import FLAT, Floats, Workings, highest, lowest
from engine.core.maths.rolling import (
    lag,
    ratio,
    rolling_correlation,
    rolling_moments,
    rolling_rank,
    rolling_windows,
)


def _atr_pct(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        return 100.0 * w.atr(n) / w.close

    note = f"Wilder's average true range over {n} bars, percent of close"
    return Feature(f"atr_pct_{n}", "volatility", _RANGE, wilder_warm_up(n) + 1, function, note)


def _true_range(w: Workings) -> Floats:
    return 100.0 * w.true_range() / w.close


def _vol_cc(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        return w.volatility(n)

    note = f"sample standard deviation of {n} log returns, fraction a bar; below 1e-9: 0"
    return Feature(f"vol_cc_{n}", "volatility", _CLOSE, n + 1, function, note)


def _parkinson(w: Workings) -> Floats:
    return w.once(
        "parkinson", lambda: _root_mean(w, np.log(w.high / w.low) ** 2, 20) / np.sqrt(4.0 * np.log(2.0))
    )


def _garman_klass(w: Workings) -> Floats:
    body = np.log(w.close / w.open)
    return _root_mean(w, 0.5 * np.log(w.high / w.low) ** 2 - (2.0 * np.log(2.0) - 1.0) * body**2, 20)


def _rogers_satchell_terms(w: Workings) -> Floats:
    up: Floats = np.log(w.high / w.close) * np.log(w.high / w.open)
    down: Floats = np.log(w.low / w.close) * np.log(w.low / w.open)
    return up + down


def _rogers_satchell(w: Workings) -> Floats:
    return _root_mean(w, w.once("rogers_satchell", lambda: _rogers_satchell_terms(w)), 20)


def _yang_zhang(w: Workings) -> Floats:
    n = 20
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    _, gaps = rolling_moments(np.log(w.open / w.previous_close()), n, w.last)
    _, bodies = rolling_moments(np.log(w.close / w.open), n, w.last)
    inside = w.mean(w.once("rogers_satchell", lambda: _rogers_satchell_terms(w)), n)
    return np.sqrt(np.maximum((gaps + k * bodies) / (n - 1) + (1.0 - k) * inside, 0.0))


def _root_mean(w: Workings, terms: Floats, n: int) -> Floats:
    return np.sqrt(np.maximum(w.mean(terms, n), 0.0))


def _vol_ratio(w: Workings) -> Floats:
    return ratio(w.volatility(20), w.volatility(60), 1.0)


def _vol_rank(w: Workings) -> Floats:
    return rolling_rank(w.past_volatility(20), 250, w.last)


def _park_ratio(w: Workings) -> Floats:
    return ratio(_parkinson(w), w.volatility(20), 1.0)


def _bandwidth(w: Workings) -> Floats:
    mean, deviation = w.close_moments(20)
    return 400.0 * deviation / mean


def _bollinger_b(w: Workings) -> Floats:
    mean, deviation = w.close_moments(20)
    return 0.5 + 0.25 * ratio(w.close - mean, deviation, 0.0, FLAT * mean)


def _keltner(w: Workings) -> Floats:
    return w.per_atr(w.close - w.ema(20))


def _down_share(w: Workings) -> Floats:
    returns = w.log_return()
    down = w.mean(np.minimum(returns, 0.0) ** 2, 60)
    return ratio(down, w.mean(returns**2, 60), 0.5, FLAT**2)


def _shape_of(rows: Floats) -> tuple[Floats, Floats]:
    """Skewness and excess kurtosis of each row."""
    away = rows - rows.mean(axis=1, keepdims=True)
    squares = away * away
    variance = squares.mean(axis=1)
    third = np.einsum("ij,ij->i", squares, away) / rows.shape[1]
    fourth = np.einsum("ij,ij->i", squares, squares) / rows.shape[1]
    skewness = ratio(third, variance * np.sqrt(variance), 0.0, FLAT**3)
    return skewness, ratio(fourth, variance * variance, 3.0, FLAT**4) - 3.0


def _shape(w: Workings) -> tuple[Floats, Floats]:
    def make() -> tuple[Floats, Floats]:
        skewness, kurtosis = rolling_windows((w.log_return(),), 60, _shape_of, w.last, outputs=2)
        return skewness, kurtosis

    return w.once("shape", make)


def _skew(w: Workings) -> Floats:
    return _shape(w)[0]


def _kurt(w: Workings) -> Floats:
    return _shape(w)[1]


def _autocorrelation(w: Workings) -> Floats:
    return rolling_correlation(w.log_return(), lag(w.log_return(), 1), 60, (FLAT, FLAT), w.last)


def _drawdown(w: Workings) -> Floats:
    return 100.0 * (w.close / highest(w.close, 60) - 1.0)


def _runup(w: Workings) -> Floats:
    return 100.0 * (w.close / lowest(w.close, 60) - 1.0)


def _channel(w: Workings) -> Floats:
    return 100.0 * (w.highest(20) - w.lowest(20)) / w.close


def _ulcer(w: Workings) -> Floats:
    return _root_mean(w, (100.0 * (w.close / highest(w.close, 14) - 1.0)) ** 2, 14)


def _largest_move(w: Workings) -> Floats:
    return ratio(highest(np.abs(w.log_return()), 20), w.volatility(20))


def _variance_ratio(w: Workings) -> Floats:
    _, five = rolling_moments(w.log_return(5), 60, w.last)
    return ratio(five / 59.0, 5.0 * w.volatility(60) ** 2, 1.0)


_CLOSE = ("close",)
_RANGE = ("high", "low", "close")
_CANDLE = ("open", "high", "low", "close")
_KELTNER = max(ema_warm_up(20), wilder_warm_up(14) + 1)

FEATURES: tuple[Feature, ...] = (
    *(_atr_pct(n) for n in (7, 14)),
    Feature("tr_pct", "volatility", _RANGE, 2, _true_range, "true range of the bar, percent of close"),
    *(_vol_cc(n) for n in (10, 20, 60, 120)),
    Feature(
        "vol_park_20", "volatility", ("high", "low"), 20, _parkinson, "Parkinson over 20 bars, fraction a bar"
    ),
    Feature(
        "vol_gk_20", "volatility", _CANDLE, 20, _garman_klass, "Garman-Klass over 20 bars, fraction a bar"
    ),
    Feature(
        "vol_rs_20", "volatility", _CANDLE, 20, _rogers_satchell, "Rogers-Satchell, 20 bars, fraction a bar"
    ),
    Feature("vol_yz_20", "volatility", _CANDLE, 21, _yang_zhang, "Yang-Zhang over 20 bars, fraction a bar"),
    Feature("vol_ratio_20_60", "volatility", _CLOSE, 61, _vol_ratio, "vol_cc_20 by vol_cc_60; flat: 1"),
    Feature(
        "vol_rank_250", "volatility", _CLOSE, 270, _vol_rank, "share of 250 bars with a smaller vol_cc_20"
    ),
    Feature("park_ratio_20", "volatility", _RANGE, 21, _park_ratio, "vol_park_20 by vol_cc_20; flat: 1"),
    Feature(
        "bandwidth_20",
        "volatility",
        _CLOSE,
        20,
        _bandwidth,
        "width of the 2-sigma bands, percent of the mean",
    ),
    Feature(
        "bollinger_b_20", "volatility", _CLOSE, 20, _bollinger_b, "lower 2-sigma band 0, upper 1; flat: 0.5"
    ),
    Feature(
        "keltner_20", "volatility", _RANGE, _KELTNER, _keltner, "close above its EMA 20, in ATR(14); flat: 0"
    ),
    Feature(
        "down_share_60", "volatility", _CLOSE, 61, _down_share, "share of squared returns of falls; flat: 0.5"
    ),
    Feature("skew_60", "volatility", _CLOSE, 61, _skew, "skewness of 60 log returns; flat: 0"),
    Feature("kurt_60", "volatility", _CLOSE, 61, _kurt, "excess kurtosis of 60 log returns; flat: 0"),
    Feature(
        "autocorr_60",
        "volatility",
        _CLOSE,
        62,
        _autocorrelation,
        "correlation of 60 returns with the ones before",
    ),
    Feature(
        "drawdown_60",
        "volatility",
        _CLOSE,
        60,
        _drawdown,
        "close below the highest of 60, percent, 0 or less",
    ),
    Feature(
        "runup_60", "volatility", _CLOSE, 60, _runup, "close above the lowest close of 60, percent, 0 or more"
    ),
    Feature(
        "range_pct_20",
        "volatility",
        _RANGE,
        20,
        _channel,
        "highest high less lowest low of 20, percent of close",
    ),
    Feature("ulcer_14", "volatility", _CLOSE, 27, _ulcer, "root mean square of 14-bar drawdowns, percent"),
    Feature(
        "largest_move_20", "volatility", _CLOSE, 21, _largest_move, "largest |log return| of 20 by vol_cc_20"
    ),
    Feature(
        "variance_ratio_5_60",
        "volatility",
        _CLOSE,
        65,
        _variance_ratio,
        "5-bar by 5 times 1-bar variance; flat: 1",
    ),
)
