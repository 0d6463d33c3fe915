"""Writes golden.json anew, after a formula has changed on purpose.

    python -m tests.unit.engine.core.features.regenerate

The series is made by arithmetic alone: generators of random numbers and logarithms may differ from one version or
processor to the next, and then the values would change although no formula did.
"""

import json
from pathlib import Path

import numpy as np

from engine.core.domain.market import BarArrays
from engine.core.features.build import build_matrix
from engine.core.features.registry import NAMES, VERSION, WARM_UP

PLACE = Path(__file__).with_name("golden.json")
BARS = WARM_UP + 200
SEED = 20_240_145
HOUR_MS = 3_600_000
START_MS = 441_060 * HOUR_MS  # ends on a Tuesday in May: no sine or cosine of the calendar is zero
ROWS = (-1, -38)  # a feature may be zero at one bar, as a break-out is; at both it would guard nothing


def golden_bars() -> BarArrays:
    """Hourly bars of a market that wanders, whose ranges and volume rise and fall."""
    chance = _uniform(SEED, 5 * BARS).reshape(5, BARS)
    size = 0.004 + 0.008 * (np.arange(BARS) % 97) / 97
    close = 100.0 * np.cumprod(1.0 + size * (chance[0] - 0.495))
    before = np.concatenate(([100.0], close[:-1]))
    open_ = before * (1.0 + 0.2 * size * (chance[1] - 0.5))
    high = np.maximum(open_, close) * (1.0 + 0.5 * size * chance[2])
    low = np.minimum(open_, close) * (1.0 - 0.5 * size * chance[3])
    end_ms = START_MS + HOUR_MS * np.arange(BARS, dtype=np.int64)
    volume = 1000.0 * (0.2 + chance[4] * (1.0 + 40.0 * size))
    volume[::17] = 0.0
    return BarArrays(end_ms, open_, high, low, close, volume)


def golden_values() -> dict[str, list[float]]:
    """Every feature at the bars of `ROWS`."""
    return dict(zip(NAMES, build_matrix(golden_bars())[list(ROWS)].T.tolist(), strict=True))


def _uniform(seed: int, count: int) -> np.ndarray:
    """Numbers in [0, 1) by Lehmer's generator: whole numbers only, so alike everywhere."""
    found, state = np.empty(count), seed
    for place in range(count):
        state = state * 48_271 % 2_147_483_647
        found[place] = state / 2_147_483_647
    return found


def main() -> None:
    """Write the values of today under the version of today."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in golden_values().items())
    text = f'{{\n "version": {VERSION},\n "features": {{\n{lines}\n }}\n}}'
    PLACE.write_text(text + "\n", encoding="utf-8")
    print(f"{len(NAMES)} features of version {VERSION} written to {PLACE}")


if __name__ == "__main__":
    main()
