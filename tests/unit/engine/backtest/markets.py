"""Markets that tests make: random walks with clean bars, and settings to trade them with."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from configs.schema.desk import DeskSettings, Instrument
from configs.schema.risk import RiskSettings
from configs.schema.settings import Settings
from engine.core.domain.market import BarArrays
from tests.builders import AGAIN_AND_AGAIN

HOUR_MS = 3_600_000
START_MS = 1_500_000_000_000 // HOUR_MS * HOUR_MS
WIDE = RiskSettings(max_drawdown=0.9, max_daily_loss=0.5, halt_daily_loss=0.5, **AGAIN_AND_AGAIN)
"""Limits that stop nothing, so that there is something to compare."""


def random_walk(bars: int, seed: int, sigma: float = 0.006, persistence: float = 0.05) -> BarArrays:
    """Hourly bars in cents that open where the last one closed, with wicks and a volume."""
    chance = np.random.default_rng(seed)
    steps = chance.normal(0.0, sigma, bars)
    steps[1:] += persistence * steps[:-1]
    close = np.maximum(np.round(20_000 * np.exp(np.cumsum(steps) - 0.00001 * np.arange(bars)), 2), 1.0)
    opened = np.concatenate(([20_000.0], close[:-1]))
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    high = np.maximum(np.round(top * (1 + np.abs(chance.normal(0, sigma / 2, bars))), 2), top)
    low = np.minimum(np.round(bottom * (1 - np.abs(chance.normal(0, sigma / 2, bars))), 2), bottom)
    volume = np.round(chance.lognormal(6, 1, bars), 3)
    return BarArrays(START_MS + HOUR_MS * np.arange(1, bars + 1), opened, high, low, close, volume)


def rows(bars: BarArrays, kept: NDArray[np.int64]) -> BarArrays:
    """Some of the bars, in the order given."""
    return BarArrays(bars.end_ms[kept], *(column[kept] for column in bars[1:]))


def trading(*names: str, **sections: msgspec.Struct) -> Settings:
    """Settings for hourly bars of these instruments; sections by name replace the defaults."""
    instruments = tuple(Instrument(name, bars_per_year=8760.0) for name in names)
    chosen: dict[str, Any] = {"desk": DeskSettings(timeframe="1h", instruments=instruments)} | sections
    return Settings(**chosen)


class OracleModel:
    """A served model of one line, so that tests need no runtime: up when the price is above its mean."""

    def __init__(self, silent_below: float = -np.inf) -> None:
        self._silent_below = silent_below

    def versions(self) -> dict[str, str]:
        return {"line": "0" * 64}

    def predict(self, observation: Any) -> Any:
        from engine.core.domain.signal import Prediction

        if not observation.features:
            return (Prediction("line", "0" * 64, None, "warming up"),)
        stretch = observation.features["zscore_20"]
        if stretch < self._silent_below:
            return (Prediction("line", "0" * 64, None, "silent"),)
        return (Prediction("line", "0" * 64, _line(stretch), raw=_raw(stretch)),)

    def predict_many(self, matrix: Any) -> dict[str, Any]:
        from engine.core.domain.signal import Answers
        from engine.core.features.registry import NAMES

        column = matrix[:, NAMES.index("zscore_20")].tolist()
        answers = [_line(value) if value >= self._silent_below else np.nan for value in column]
        raw = [_raw(value) if value >= self._silent_below else np.nan for value in column]
        return {"line": Answers(np.array(answers, dtype=np.float64), np.array(raw, dtype=np.float64))}


def _raw(stretch: float) -> float:
    return round(min(1.0, max(0.0, 0.5 + stretch / 10)), 6)


def _line(stretch: float) -> float:
    return round(min(1.0, max(0.0, 0.5 + stretch / 20)), 6)
