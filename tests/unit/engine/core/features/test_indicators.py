"""TA-Lib is the oracle where a feature is one of its indicators; elsewhere a definition is worked out by hand."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import talib

from engine.core.domain.market import BarArrays
from engine.core.features.build import build_matrix
from engine.core.features.registry import FEATURES, NAMES

N = 900


@pytest.fixture(scope="module")
def bars() -> BarArrays:
    draw = np.random.default_rng(11)
    close = 50.0 * np.exp(np.cumsum(draw.normal(0.0, 0.015, N)))
    open_ = close * np.exp(draw.normal(0.0, 0.008, N))
    high = np.maximum(open_, close) * np.exp(np.abs(draw.normal(0.0, 0.006, N)))
    low = np.minimum(open_, close) * np.exp(-np.abs(draw.normal(0.0, 0.006, N)))
    end = np.arange(N, dtype=np.int64) * 3_600_000
    return BarArrays(end, open_, high, low, close, draw.lognormal(6.0, 0.7, N))


@pytest.fixture(scope="module")
def matrix(bars: BarArrays) -> np.ndarray:
    return build_matrix(bars)


def bollinger_b(b: BarArrays) -> np.ndarray:
    upper, _, lower = talib.BBANDS(b.close, 20, 2, 2)
    return (b.close - lower) / (upper - lower)


def bandwidth(b: BarArrays) -> np.ndarray:
    upper, middle, lower = talib.BBANDS(b.close, 20, 2, 2)
    return 100 * (upper - lower) / middle


def before(line: np.ndarray, bars: int) -> np.ndarray:
    return np.concatenate((np.full(bars, np.nan), line[:-bars]))


def ad_change(b: BarArrays) -> np.ndarray:
    line = talib.AD(b.high, b.low, b.close, b.volume)
    return (line - before(line, 20)) / talib.SUM(b.volume, 20)


def obv_change(b: BarArrays) -> np.ndarray:
    line = talib.OBV(b.close, b.volume)
    return (line - before(line, 20)) / talib.SUM(b.volume, 20)


ORACLES: dict[str, Callable[[BarArrays], np.ndarray]] = {
    "roc_20": lambda b: talib.ROC(b.close, 20),
    "rsi_7": lambda b: talib.RSI(b.close, 7),
    "rsi_14": lambda b: talib.RSI(b.close, 14),
    "adx_14": lambda b: talib.ADX(b.high, b.low, b.close, 14),
    "plus_di_14": lambda b: talib.PLUS_DI(b.high, b.low, b.close, 14),
    "minus_di_14": lambda b: talib.MINUS_DI(b.high, b.low, b.close, 14),
    "atr_pct_14": lambda b: talib.NATR(b.high, b.low, b.close, 14),
    "tr_pct": lambda b: 100 * talib.TRANGE(b.high, b.low, b.close) / b.close,
    "sma_dist_50": lambda b: 100 * (b.close / talib.SMA(b.close, 50) - 1),
    "sma_ratio_10_40": lambda b: 100 * (talib.SMA(b.close, 10) / talib.SMA(b.close, 40) - 1),
    "ema_dist_26": lambda b: 100 * (b.close / talib.EMA(b.close, 26) - 1),
    "macd_12_26": lambda b: 100 * talib.MACD(b.close)[0] / b.close,
    "macd_signal_12_26_9": lambda b: 100 * talib.MACD(b.close)[1] / b.close,
    "macd_hist_12_26_9": lambda b: 100 * talib.MACD(b.close)[2] / b.close,
    "trix_15": lambda b: talib.TRIX(b.close, 15),
    "slope_20": lambda b: 100 * talib.LINEARREG_SLOPE(np.log(b.close), 20),
    "aroon_up_25": lambda b: talib.AROON(b.high, b.low, 25)[1],
    "aroon_down_25": lambda b: talib.AROON(b.high, b.low, 25)[0],
    "stoch_k_14": lambda b: talib.STOCH(b.high, b.low, b.close, 14, 3, 0, 3, 0)[0],
    "stoch_d_14": lambda b: talib.STOCH(b.high, b.low, b.close, 14, 3, 0, 3, 0)[1],
    "cci_20": lambda b: talib.CCI(b.high, b.low, b.close, 20),
    "ultimate_7_14_28": lambda b: talib.ULTOSC(b.high, b.low, b.close),
    "bop_14": lambda b: talib.SMA(talib.BOP(b.open, b.high, b.low, b.close), 14),
    "bollinger_b_20": bollinger_b,
    "bandwidth_20": bandwidth,
    "zscore_20": lambda b: (b.close - talib.SMA(b.close, 20)) / talib.STDDEV(b.close, 20),
    "volume_z_20": lambda b: (b.volume - talib.SMA(b.volume, 20)) / talib.STDDEV(b.volume, 20),
    "mfi_14": lambda b: talib.MFI(b.high, b.low, b.close, b.volume, 14),
    "ad_change_20": ad_change,
    "obv_change_20": obv_change,
    "price_volume_20": lambda b: talib.CORREL(np.diff(np.log(b.close), prepend=np.nan), b.volume, 20),
}


@pytest.mark.parametrize("name", ORACLES)
def test_an_indicator_of_ta_lib_has_its_value(name: str, bars: BarArrays, matrix: np.ndarray) -> None:
    start = FEATURES[NAMES.index(name)].warm_up + 1  # TA-Lib begins some outputs two bars later than it could
    found, wanted = matrix[start:, NAMES.index(name)], ORACLES[name](bars)[start:]
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)


def definitions(b: BarArrays) -> dict[str, float]:
    """The last value of features that TA-Lib does not have, in the plainest words."""
    c, r = b.close, np.diff(np.log(b.close))
    o, h, low = np.log(b.open[-20:]), np.log(b.high[-20:]), np.log(b.low[-20:])
    close, before = np.log(c[-20:]), np.log(c[-21:-1])
    rs = np.mean((h - close) * (h - o) + (low - close) * (low - o))
    k = 0.34 / (1.34 + 21 / 19)
    vol = np.array([np.std(r[i - 20 : i], ddof=1) for i in range(len(r) - 249, len(r) + 1)])
    x = np.arange(60.0)
    y = np.log(c[-60:])
    slope, level = np.polyfit(x, y, 1)
    error = math.sqrt(np.sum((y - slope * x - level) ** 2) / 58 / np.sum((x - x.mean()) ** 2))
    moved = r[-60:] - r[-60:].mean()
    typical = (b.high + b.low + b.close) / 3
    five = np.log(c[5:] / c[:-5])[-60:]
    peak = np.array([c[i - 13 : i + 1].max() for i in range(N - 14, N)])
    tr = np.maximum(b.high[1:], c[:-1]) - np.minimum(b.low[1:], c[:-1])
    vortex = np.abs(b.high[1:] - b.low[:-1])[-14:].sum() - np.abs(b.low[1:] - b.high[:-1])[-14:].sum()
    return {
        "ret_1": 100 * r[-1],
        "ret_250": 100 * math.log(c[-1] / c[-251]),
        "ret_skip_250_20": 100 * math.log(c[-21] / c[-251]),
        "ret_vol_20": math.log(c[-1] / c[-21]) / (np.std(r[-20:], ddof=1) * math.sqrt(20)),
        "acceleration_10": 100 * (math.log(c[-1] / c[-11]) - math.log(c[-11] / c[-21])),
        "trend_t_60": slope / error,
        "efficiency_20": (c[-1] - c[-21]) / np.abs(np.diff(c[-21:])).sum(),
        "up_share_20": np.mean(r[-20:] > 0),
        "donchian_pos_20": (c[-1] - b.low[-20:].min()) / (b.high[-20:].max() - b.low[-20:].min()),
        "vortex_14": vortex / tr[-14:].sum(),
        "vol_cc_20": np.std(r[-20:], ddof=1),
        "vol_cc_60": np.std(r[-60:], ddof=1),
        "vol_ratio_20_60": np.std(r[-20:], ddof=1) / np.std(r[-60:], ddof=1),
        "vol_park_20": math.sqrt(np.mean((h - low) ** 2) / (4 * math.log(2))),
        "vol_gk_20": math.sqrt(np.mean(0.5 * (h - low) ** 2 - (2 * math.log(2) - 1) * (close - o) ** 2)),
        "vol_rs_20": math.sqrt(rs),
        "vol_yz_20": math.sqrt(np.var(o - before, ddof=1) + k * np.var(close - o, ddof=1) + (1 - k) * rs),
        "vol_rank_250": (np.sum(vol < vol[-1]) + 0.5) / 250,
        "drawdown_60": 100 * (c[-1] / c[-60:].max() - 1),
        "runup_60": 100 * (c[-1] / c[-60:].min() - 1),
        "down_share_60": np.sum(np.minimum(r[-60:], 0) ** 2) / np.sum(r[-60:] ** 2),
        "skew_60": np.mean(moved**3) / np.mean(moved**2) ** 1.5,
        "kurt_60": np.mean(moved**4) / np.mean(moved**2) ** 2 - 3,
        "autocorr_60": np.corrcoef(r[-60:], r[-61:-1])[0, 1],
        "ulcer_14": 100 * math.sqrt(np.mean((c[-14:] / peak - 1) ** 2)),
        "largest_move_20": np.abs(r[-20:]).max() / np.std(r[-20:], ddof=1),
        "variance_ratio_5_60": np.var(five, ddof=1) / (5 * np.var(r[-60:], ddof=1)),
        "volume_ratio_5_20": b.volume[-5:].mean() / b.volume[-20:].mean(),
        "volume_cv_20": np.std(b.volume[-20:]) / b.volume[-20:].mean(),
        "volume_growth_20": 100 * np.polyfit(x[:20], b.volume[-20:], 1)[0] / b.volume[-20:].mean(),
        "vwap_dist_20": 100 * (c[-1] / np.average(typical[-20:], weights=b.volume[-20:]) - 1),
        "volume_return_20": 100 * np.average(r[-20:], weights=b.volume[-20:]),
        "volume_rank_60": (np.sum(b.volume[-60:] < b.volume[-1]) + 0.5) / 60,
        "close_rank_250": (np.sum(c[-250:] < c[-1]) + 0.5) / 250,
        "ret_z_20": (r[-1] - r[-20:].mean()) / np.std(r[-20:], ddof=1),
        "high_dist_250": 100 * (c[-1] / b.high[-250:].max() - 1),
    }


def test_a_feature_of_our_own_is_what_its_note_says(bars: BarArrays, matrix: np.ndarray) -> None:
    for name, wanted in definitions(bars).items():
        assert matrix[-1, NAMES.index(name)] == pytest.approx(wanted, rel=1e-9), name


def candles(*rows: tuple[float, float, float, float]) -> BarArrays:
    o, h, low, c = (np.array(column) for column in zip(*rows, strict=True))
    return BarArrays(np.arange(len(rows), dtype=np.int64), o, h, low, c, np.ones(len(rows)))


def value(name: str, bars: BarArrays) -> float:
    return float(build_matrix(bars)[-1, NAMES.index(name)])


def test_range_volatilities_of_the_same_candle_have_the_values_worked_out_by_hand() -> None:
    e = math.e  # open at 1, high at e, low at 1/e, close at 1: ln(h/l) = 2, ln(c/o) = 0
    bars = candles(*[(1.0, e, 1.0 / e, 1.0)] * 21)
    assert value("vol_park_20", bars) == pytest.approx(math.sqrt(4 / (4 * math.log(2))), rel=1e-12)
    assert value("vol_gk_20", bars) == pytest.approx(math.sqrt(2.0), rel=1e-12)
    assert value("vol_rs_20", bars) == pytest.approx(math.sqrt(2.0), rel=1e-12)
    k = 0.34 / (1.34 + 21 / 19)
    assert value("vol_yz_20", bars) == pytest.approx(math.sqrt((1 - k) * 2.0), rel=1e-12)


def test_rogers_satchell_is_zero_on_a_bar_that_goes_straight_up_where_garman_klass_is_not() -> None:
    bars = candles(*[(1.0, 2.0, 1.0, 2.0)] * 21)
    assert value("vol_rs_20", bars) == 0.0
    straight = 0.5 * math.log(2) ** 2 - (2 * math.log(2) - 1) * math.log(2) ** 2
    assert value("vol_gk_20", bars) == pytest.approx(math.sqrt(straight), rel=1e-12)


def test_a_break_is_measured_from_the_bars_before_not_from_its_own_high(bars: BarArrays) -> None:
    top = bars.high[-21:-1].max()
    columns = [column.copy() for column in bars]
    columns[4][-1], columns[2][-1] = top * 1.05, top * 1.06
    broken = BarArrays(*columns)
    atr = talib.ATR(broken.high, broken.low, broken.close, 14)[-1]
    assert value("donchian_break_20", broken) == pytest.approx(top * 0.05 / atr, rel=1e-9)
    assert value("donchian_break_20", broken._replace(close=bars.close)) == pytest.approx(
        build_matrix(bars)[-1, NAMES.index("donchian_break_20")], abs=1.0
    )


def test_a_standing_market_gives_the_neutral_values_that_the_notes_state() -> None:
    bars = candles(*[(3.3, 3.3, 3.3, 3.3)] * 700)._replace(volume=np.zeros(700))
    last = dict(zip(NAMES, build_matrix(bars)[-1], strict=True))
    neutral = {"rsi_14": 50, "adx_14": 0, "bollinger_b_20": 0.5, "donchian_pos_20": 0.5, "vol_ratio_20_60": 1}
    neutral |= {
        "vol_cc_20": 0,
        "vol_rank_250": 0.5,
        "zscore_20": 0,
        "mfi_14": 50,
        "volume_z_20": 0,
        "cci_20": 0,
    }
    neutral |= {
        "vwap_dist_20": 0,
        "obv_change_20": 0,
        "volume_ratio_5_20": 1,
        "trend_t_60": 0,
        "stoch_k_14": 50,
    }
    assert {name: last[name] for name in neutral} == neutral


def test_streaks_count_closes_one_way_and_end_with_an_unchanged_one() -> None:
    closes = [5.0] * 12 + [6.0, 7.0, 8.0]
    bars = candles(*[(c, c, c, c) for c in closes])
    assert value("streak", bars) == 3.0
    assert value("streak", candles(*[(c, c, c, c) for c in [*closes, 8.0]])) == 0.0
    assert value("streak", candles(*[(c, c, c, c) for c in np.arange(40.0, 10.0, -1.0)])) == -10.0


def test_a_straight_climb_has_the_largest_t_that_is_told_apart() -> None:
    closes = np.exp(0.01 * np.arange(130.0))
    assert value("trend_t_60", candles(*[(c, c, c, c) for c in closes])) == 100.0
    assert value("trend_t_60", candles(*[(c, c, c, c) for c in closes[::-1]])) == -100.0


@pytest.mark.parametrize(
    ("moment", "pair", "turn"),
    [
        ("2024-01-01T00:00", "hour", 0.0),
        ("2024-01-01T06:00", "hour", 0.25),
        ("2024-01-01T06:00", "weekday", 0.0),  # a Monday
        ("2024-01-07T23:59", "weekday", 6 / 7),
        ("2024-02-15T12:00", "monthday", 14 / 29),
        ("2023-02-15T12:00", "monthday", 14 / 28),
        ("2024-12-31T12:00", "month", 11 / 12),
        ("1969-12-31T12:00", "month", 11 / 12),
    ],
)
def test_the_calendar_is_a_set_of_circles(moment: str, pair: str, turn: float) -> None:
    bars = candles((1.0, 1.0, 1.0, 1.0))
    bars = bars._replace(end_ms=np.array([moment], dtype="datetime64[ms]").astype(np.int64))
    assert value(f"{pair}_sin", bars) == pytest.approx(math.sin(2 * math.pi * turn), abs=1e-12)
    assert value(f"{pair}_cos", bars) == pytest.approx(math.cos(2 * math.pi * turn), abs=1e-12)
