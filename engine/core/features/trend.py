"""Where price stands to its own past, and how steadily it goes one way."""

import numpy as np

from engine.core.features.feature import Feature, ema_warm_up, wilder_warm_up
from engine.core.features.workings import Floats, Workings, ema
from engine.core.maths.rolling import lag, ratio, rolling_windows

_TIE = 1e-12  # share of price by which Wilder's two directional moves must differ not to be equal
_STRAIGHT = 100.0  # a straight line has an infinite t-statistic


def _percent(over: Floats, under: Floats) -> Floats:
    """How far `over` lies above `under`, in percent of `under`. Prices are positive."""
    return 100.0 * (over - under) / under


def _sma_dist(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        return _percent(w.close, w.sma(n))

    return Feature(
        f"sma_dist_{n}", "trend", ("close",), n, function, f"close above its mean of {n} bars, percent"
    )


def _sma_ratio(short: int, long: int) -> Feature:
    def function(w: Workings) -> Floats:
        return _percent(w.sma(short), w.sma(long))

    note = f"mean close of {short} bars above that of {long}, percent of the longer"
    return Feature(f"sma_ratio_{short}_{long}", "trend", ("close",), long, function, note)


def _ema_dist(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        return _percent(w.close, w.ema(n))

    note = f"close above its exponential average of span {n}, percent"
    return Feature(f"ema_dist_{n}", "trend", ("close",), ema_warm_up(n), function, note)


def _macd_line(w: Workings) -> Floats:
    return w.once("macd", lambda: w.ema(12) - w.ema(26))


def _macd_signal_line(w: Workings) -> Floats:
    return w.once("macd_signal", lambda: ema(_macd_line(w), 9))


def _macd(w: Workings) -> Floats:
    return 100.0 * _macd_line(w) / w.close


def _macd_signal(w: Workings) -> Floats:
    return 100.0 * _macd_signal_line(w) / w.close


def _macd_hist(w: Workings) -> Floats:
    return 100.0 * (_macd_line(w) - _macd_signal_line(w)) / w.close


def _trix(w: Workings) -> Floats:
    thrice = ema(ema(w.ema(15), 15), 15)
    return _percent(thrice, lag(thrice, 1))


def _slope(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        return w.log_trend(n)[2] * (1200.0 / (n**3 - n))

    note = f"slope of the least-squares line through the log close of {n} bars, percent a bar"
    return Feature(f"slope_{n}", "trend", ("close",), n, function, note)


def _trend_t(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        return slope_t(*w.log_trend(n)[1:], n)

    note = f"t-statistic of that slope over {n} bars, kept within +-100; flat: 0"
    return Feature(f"trend_t_{n}", "trend", ("close",), n, function, note)


def slope_t(squares: Floats, products: Floats, n: int) -> Floats:
    """Return the t-statistic of the slope, from the sums about the means of a window of `n` bars.

    Closes drift, so their residuals are not independent and the value is far larger than Student's table
    expects: on a random walk |t| over 60 bars exceeds 6 half of the time. It ranks trends; it proves none.
    """
    correlation = ratio(products, np.sqrt(squares) * np.sqrt((n**3 - n) / 12.0), 0.0, 1e-9)
    unexplained = np.maximum(1.0 - correlation * correlation, (n - 2) / _STRAIGHT**2 / 2)
    t = correlation * np.sqrt((n - 2) / unexplained)
    return np.minimum(np.maximum(t, -_STRAIGHT), _STRAIGHT)


def _directional(w: Workings) -> tuple[Floats, Floats]:
    """Wilder's averages of upward and downward moves over 14 bars, in price."""
    return w.once("directional", lambda: _directional_moves(w))


def _directional_moves(w: Workings) -> tuple[Floats, Floats]:
    up, down = w.high - lag(w.high, 1), lag(w.low, 1) - w.low
    lead, tie = up - down, w.close * _TIE
    plus = np.where((lead > tie) & (up > 0.0), up, 0.0)
    minus = np.where((lead < -tie) & (down > 0.0), down, 0.0)
    plus[:1] = minus[:1] = np.nan
    return ema(plus, 27), ema(minus, 27)


def _plus_di(w: Workings) -> Floats:
    return 100.0 * w.per_atr(_directional(w)[0])


def _minus_di(w: Workings) -> Floats:
    return 100.0 * w.per_atr(_directional(w)[1])


def _adx(w: Workings) -> Floats:
    plus, minus = _directional(w)
    return ema(100.0 * ratio(np.abs(plus - minus), plus + minus, 0.0, w.quiet()), 27)


def _age_of_high(rows: Floats) -> Floats:
    return np.asarray(np.argmax(rows[:, ::-1], axis=1), dtype=np.float64)


def _age_of_low(rows: Floats) -> Floats:
    return np.asarray(np.argmin(rows[:, ::-1], axis=1), dtype=np.float64)


def _aroon_up(w: Workings) -> Floats:
    return 100.0 - 4.0 * rolling_windows((w.high,), 26, _age_of_high, w.last)


def _aroon_down(w: Workings) -> Floats:
    return 100.0 - 4.0 * rolling_windows((w.low,), 26, _age_of_low, w.last)


def _vortex(w: Workings) -> Floats:
    up, down = np.abs(w.high - lag(w.low, 1)), np.abs(w.low - lag(w.high, 1))
    return ratio(w.sum(up, 14) - w.sum(down, 14), w.sum(w.true_range(), 14))


def _donchian_pos(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        low = w.lowest(n)
        return ratio(w.close - low, w.highest(n) - low, 0.5)

    note = f"place of the close between the lowest low (0) and the highest high (1) of {n} bars; flat: 0.5"
    return Feature(f"donchian_pos_{n}", "trend", ("high", "low", "close"), n, function, note)


def _donchian_break(n: int) -> Feature:
    def function(w: Workings) -> Floats:
        above, below = w.close - lag(w.highest(n), 1), w.close - lag(w.lowest(n), 1)
        return w.per_atr(np.maximum(above, 0.0) + np.minimum(below, 0.0))

    note = f"close above the high or below the low of the {n} bars before, in ATR(14); 0 inside and when flat"
    warm_up = max(n + 1, wilder_warm_up(14) + 1)
    return Feature(f"donchian_break_{n}", "trend", ("high", "low", "close"), warm_up, function, note)


def _tenkan_kijun(w: Workings) -> Floats:
    middles = (w.highest(9) + w.lowest(9)) - (w.highest(26) + w.lowest(26))
    return 50.0 * middles / w.close


_CLOSE = ("close",)
_RANGE = ("high", "low", "close")
_DI = wilder_warm_up(14) + 1
_MACD = ema_warm_up(26) + 60  # the signal's own average of span 9 on top
_TRIX = ema_warm_up(15) + 90  # three averages forget more slowly than one

FEATURES: tuple[Feature, ...] = (
    *(_sma_dist(n) for n in (5, 10, 20, 50, 100, 200)),
    *(_sma_ratio(short, long) for short, long in ((5, 20), (10, 40), (20, 50), (50, 200))),
    *(_ema_dist(n) for n in (12, 26)),
    Feature("macd_12_26", "trend", _CLOSE, ema_warm_up(26), _macd, "EMA 12 less EMA 26, percent of close"),
    Feature(
        "macd_signal_12_26_9", "trend", _CLOSE, _MACD, _macd_signal, "EMA 9 of that line, percent of close"
    ),
    Feature(
        "macd_hist_12_26_9", "trend", _CLOSE, _MACD, _macd_hist, "MACD line less signal, percent of close"
    ),
    Feature("trix_15", "trend", _CLOSE, _TRIX, _trix, "one-bar change of the triple EMA 15, percent"),
    *(_slope(n) for n in (20, 60)),
    *(_trend_t(n) for n in (20, 60, 120)),
    Feature("plus_di_14", "trend", _RANGE, _DI, _plus_di, "Wilder's +DI, 0 to 100; flat: 0"),
    Feature("minus_di_14", "trend", _RANGE, _DI, _minus_di, "Wilder's -DI, 0 to 100; flat: 0"),
    Feature("adx_14", "trend", _RANGE, _DI + 80, _adx, "Wilder's ADX, 0 to 100; no directional moves: 0"),
    Feature(
        "aroon_up_25", "trend", ("high",), 26, _aroon_up, "100 less 4 for each bar since the 25-bar high"
    ),
    Feature(
        "aroon_down_25", "trend", ("low",), 26, _aroon_down, "100 less 4 for each bar since the 25-bar low"
    ),
    Feature("vortex_14", "trend", _RANGE, 15, _vortex, "VI+ less VI- over 14 bars, ratio; flat: 0"),
    *(_donchian_pos(n) for n in (20, 55)),
    *(_donchian_break(n) for n in (20, 55)),
    Feature(
        "tenkan_kijun_9_26", "trend", _RANGE, 26, _tenkan_kijun, "middle of 9 bars above that of 26, percent"
    ),
)
