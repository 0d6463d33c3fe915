"""The full pipeline over a long series: `python -m tests.bench.backtest [bars]`.

All features and a model of 300 trees at every bar. With records: every bar's decision made in full, recorded,
encoded and chained. As a sweep: the same trades, stepping only where something can happen.
"""

import hashlib
import os
import resource
import sys
from collections.abc import Sequence

os.environ.setdefault("OMP_NUM_THREADS", "1")

from engine.backtest.replay import run
from engine.backtest.sweep import prepare, sweep
from engine.core.domain.records import Record, encode
from engine.core.features.registry import NAMES
from tests.bench.measure import cpu, finish, table
from tests.bench.models import DEPTH, TREES, predictor
from tests.unit.engine.backtest.markets import random_walk, trading

BARS = 60_000


class Chain:
    """Encodes and chains as the journal does, without a disk."""

    def __init__(self) -> None:
        self.head, self.size = b"", 0

    def take(self, records: Sequence[Record]) -> None:
        """The next links."""
        for record in records:
            payload = encode(record)
            self.size += len(payload)
            leaf = hashlib.sha256(b"\x00" + payload).digest()
            self.head = hashlib.sha256(b"\x01" + self.head + leaf).digest()


def main(bars: int = BARS) -> dict[str, object]:
    """Print the table and the line."""
    series, settings, model = {"BTC": random_walk(bars, 7, 0.004)}, trading("BTC"), predictor(1)
    run({"BTC": series["BTC"].slice(0, 1000)}, settings, model)
    before = _peak()
    chain = Chain()
    recorded = run(series, settings, model, record=chain.take)
    plain = run(series, settings, model)
    steps = _peak() - before
    streamed, swept = cpu(lambda: sweep(prepare(series, settings, model, keep=False), settings))
    described, prepared = cpu(lambda: prepare(series, settings, model))
    again = min(cpu(lambda: sweep(prepared, settings))[0] for _ in range(3))
    assert swept.trades == plain.trades == recorded.trades, "a sweep must trade as the replay does"
    rates = {
        "recorded": bars / recorded.cpu_seconds,
        "unrecorded": bars / plain.cpu_seconds,
        "sweep": bars / streamed,
        "prepare": bars / described,
        "sweep_prepared": bars / again,
    }
    table(
        f"{bars:,} bars, {len(NAMES)} features, {TREES} trees (depth {DEPTH}), {len(plain.trades)} trades closed: "
        "bars a CPU second",
        [
            ("a record at every bar, encoded and chained", f"{rates['recorded']:,.0f}", ">= 10,000"),
            ("every decision in full, no record", f"{rates['unrecorded']:,.0f}", ""),
            ("sweep, all of it", f"{rates['sweep']:,.0f}", "aim 100,000"),
            ("  features, regimes, model answers", f"{rates['prepare']:,.0f}", ""),
            ("  sweep of what is prepared", f"{rates['sweep_prepared']:,.0f}", ""),
            ("memory that the runs added", f"{steps:.0f} MB", ""),
        ],
    )
    return finish(
        "backtest",
        {
            "bars": bars, "trades": len(plain.trades), "bars_per_cpu_second": rates, "added_mb": steps,
            "record_bytes": chain.size // recorded.records,
        },
    )  # fmt: skip


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
