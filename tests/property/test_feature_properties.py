"""Features on bars that nobody would think of: coarse, repeated, jumping, standing still."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.domain.market import BarArrays
from engine.core.features.build import build_matrix, build_row
from engine.core.features.registry import FEATURES, NAMES, WARM_UP

STEPS = np.array([-0.5, -0.01, -0.01, 0.0, 0.0, 0.0, 0.01, 0.01, 0.5])
BOUNDS = {
    "rsi_14": (0.0, 100.0),
    "adx_14": (0.0, 100.0),
    "stoch_k_14": (0.0, 100.0),
    "mfi_14": (0.0, 100.0),
    "ultimate_7_14_28": (0.0, 100.0),
    "donchian_pos_20": (0.0, 1.0),
    "vol_rank_250": (0.0, 1.0),
    "close_rank_250": (0.0, 1.0),
    "down_share_60": (0.0, 1.0),
    "zero_volume_share_20": (0.0, 1.0),
    "trend_t_60": (-100.0, 100.0),
    "efficiency_20": (-1.0, 1.0),
    "obv_change_20": (-1.0, 1.0),
    "ad_change_20": (-1.0, 1.0),
    "price_volume_20": (-1.0, 1.0),
    "autocorr_60": (-1.0, 1.0),
    "streak": (-10.0, 10.0),
    "drawdown_60": (-100.0, 0.0),
    "hour_sin": (-1.0, 1.0),
}


def odd_bars(seed: int, calm: float, start: float) -> BarArrays:
    """Jumps of half the price, long pauses, equal candles, mostly no volume."""
    draw = np.random.default_rng(seed)
    n = WARM_UP + 120
    step = np.where(draw.random(n) < calm, 0.0, draw.choice(STEPS, n))
    level = np.cumsum(step)
    close = start * np.exp(np.clip(level - level[0], -20.0, 20.0))
    open_ = np.where(draw.random(n) < 0.5, close, np.concatenate((close[:1], close[:-1])))
    wick = np.where(draw.random(n) < 0.7, 1.0, 1.02)
    high, low = np.maximum(open_, close) * wick, np.minimum(open_, close) / wick
    volume = np.where(draw.random(n) < 0.6, 0.0, np.round(draw.exponential(10.0, n)))
    return BarArrays(np.arange(n, dtype=np.int64) * 900_000, open_, high, low, close, volume)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 0.9, 0.995]), st.sampled_from([1e-6, 1.0, 7e4]))
def test_odd_bars_give_finite_values_within_their_bounds_and_live_gives_the_same(
    seed: int, calm: float, start: float
) -> None:
    bars = odd_bars(seed, calm, start)
    matrix = build_matrix(bars)
    for column, feature in enumerate(FEATURES):
        assert np.isfinite(matrix[feature.warm_up - 1 :, column]).all(), feature.name
    for name, (low, high) in BOUNDS.items():
        values = matrix[WARM_UP - 1 :, NAMES.index(name)]
        assert low - 1e-9 <= values.min() <= values.max() <= high + 1e-9, name
    row = np.array(list(build_row(bars).values()))
    usual = np.sqrt(np.nanmean(matrix**2, axis=0))
    assert (np.abs(row - matrix[-1]) <= 1e-9 * (np.abs(matrix[-1]) + usual) + 1e-12).all()
