"""What features cost: `python -m tests.bench.features`."""

import os
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from engine.core.features.build import build_matrix, build_rows
from engine.core.features.registry import NAMES, WARM_UP
from engine.core.pipeline import NEED
from tests.bench.measure import cpu, each, finish, table
from tests.unit.engine.backtest.markets import random_walk


def main() -> dict[str, object]:
    """Print the table and the line."""
    bars = random_walk(100_000, 1)
    live = each(
        lambda number: build_rows(bars.slice(number, number + NEED), NEED - WARM_UP + 1), 300, warm_up=20
    )
    by_size = {}
    for size in (5_000, 20_000, 100_000):
        part = bars.slice(0, size)
        by_size[size] = min(cpu(partial(build_matrix, part))[0] for _ in range(3)) / size * 1e6
    matrix, row = build_matrix(bars.slice(0, 3000)), build_rows(bars.slice(0, 3000), 1)[0]
    told = np.array([row[name] for name in NAMES])
    worst = float(np.max(np.abs(told - matrix[-1]) / np.maximum(np.abs(matrix[-1]), 1.0)))
    table(
        f"{len(NAMES)} features",
        [
            (
                f"live window of {NEED} bars, {NEED - WARM_UP + 1} rows, p50",
                f"{live.p50 / 1e3:.2f} ms",
                "<= 1.5",
            ),
            ("the same, p99", f"{live.p99 / 1e3:.2f} ms", ""),
            *[(f"series of {size:,} bars", f"{us:.2f} us a bar", "<= 5") for size, us in by_size.items()],
            ("live against series, largest difference", f"{worst:.1e}", "<= 1e-9"),
        ],
    )
    return finish(
        "features",
        {
            "features": len(NAMES), "live_ms": live.p50 / 1e3, "live_p99_ms": live.p99 / 1e3,
            "series_us_per_bar": by_size, "largest_difference": worst,
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
