"""A strategy of one's own, beside the same loop without an engine and beside other tools.

    python -m tests.bench.events [--bars N ...] [--peer backtestingpy=PYTHON] [--peer nautilus=PYTHON]

SMA 20/50 cross, long only, 0.1 % fee on both sides, 10 % of equity. A peer is run with the Python of an environment
in which it is installed. Every run is a process of its own; they take turns, and the first round is not counted.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from engine.backtest.events import Account, Candle, run_strategy
from engine.core.domain.market import BarArrays
from tests.bench.measure import finish, table
from tests.unit.engine.backtest.markets import random_walk

ROUNDS = 3
SIZES = (100_000, 1_000_000)
HERE = Path(__file__).parent
FLOOR, OURS = "plain loop", "whydesk"


class Cross:
    """The strategy as a user would write it when in a hurry: running sums in a ring."""

    def __init__(self, fast: int = 20, slow: int = 50) -> None:
        self.fast, self.slow = fast, slow
        self.ring, self.fast_sum, self.slow_sum = [0.0] * slow, 0.0, 0.0
        self.seen, self.up = 0, False

    def on_bar(self, bar: Candle, account: Account) -> float | None:
        """A tenth of equity while the fast mean is above the slow one, after it has crossed."""
        close, seen, ring, slow = bar.close, self.seen, self.ring, self.slow
        at = seen % slow
        self.slow_sum += close - ring[at]
        self.fast_sum += close - (ring[(seen - self.fast) % slow] if seen >= self.fast else 0.0)
        ring[at] = close
        self.seen = seen + 1
        if seen + 1 < slow:
            return None
        was, self.up = self.up, self.fast_sum / self.fast > self.slow_sum / slow
        if seen + 1 == slow or was == self.up:
            return None
        return 0.1 if self.up else 0.0


class Floor(Cross):
    """The same with the book-keeping inside, and nothing around it: what the language itself allows."""

    def __init__(self) -> None:
        super().__init__()
        self.cash, self.quantity, self.trades = 1_000_000.0, 0.0, 0

    def on_close(self, close: float) -> None:
        """One bar."""
        seen, ring, slow = self.seen, self.ring, self.slow
        at = seen % slow
        self.slow_sum += close - ring[at]
        self.fast_sum += close - (ring[(seen - self.fast) % slow] if seen >= self.fast else 0.0)
        ring[at] = close
        self.seen = seen + 1
        if seen + 1 < slow:
            return
        was, self.up = self.up, self.fast_sum / self.fast > self.slow_sum / slow
        if seen + 1 == slow or was == self.up:
            return
        if self.up and not self.quantity:
            spent = self.cash * 0.1
            self.quantity, self.trades = spent / close, self.trades + 1
            self.cash -= spent * 1.001
        elif self.quantity:
            self.cash, self.quantity = self.cash + self.quantity * close * 0.999, 0.0


def main(sizes: tuple[int, ...] = SIZES, peers: dict[str, str] | None = None) -> dict[str, object]:
    """Print the table and the line."""
    commands = {name: [sys.executable, "-m", "tests.bench.events", "--child", name] for name in (FLOOR, OURS)}
    commands |= {
        name: [python, "-W", "ignore", str(HERE / "peers" / f"{name}.py")]
        for name, python in (peers or {}).items()
    }
    found: dict[str, dict[int, dict[str, float]]] = {name: {} for name in commands}
    with tempfile.TemporaryDirectory(prefix="whydesk-bench-") as folder:
        for size in sizes:
            market = Path(folder) / f"{size}.npz"
            np.savez(market, **random_walk(size, 3, 0.001)._asdict())
            told: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
            for _ in range(ROUNDS + 1):
                for name, command in commands.items():
                    told[name].append(_run([*command, str(market)]))
            for name, runs in told.items():
                found[name][size] = {key: statistics.median(run[key] for run in runs[1:]) for key in runs[0]}
    rows = [_row(name, size, figures) for name, by_size in found.items() for size, figures in by_size.items()]
    table("SMA 20/50 cross, bars a CPU second (trades, final equity, memory added, peak)", rows)
    _same_trades(found)
    return finish("events", {"sizes": sizes, "found": found, "ratios": _ratios(found, sizes)})


def _row(name: str, size: int, figures: dict[str, float]) -> tuple[str, str, str]:
    rest = f"{figures['trades']:,.0f} trades, {figures['equity']:,.2f}"
    memory = f"+{figures['peak_mb'] - figures['before_mb']:.0f} MB, {figures['peak_mb']:.0f} MB"
    return f"{name}, {size:,} bars", f"{size / figures['cpu_seconds']:,.0f}", f"{rest}, {memory}"


def _same_trades(found: dict[str, dict[int, dict[str, float]]]) -> None:
    for size, figures in found[OURS].items():
        floor = found[FLOOR][size]
        assert figures["trades"] == floor["trades"], (size, figures["trades"], floor["trades"])
        assert abs(figures["equity"] / floor["equity"] - 1) < 0.0005


def _ratios(found: dict[str, dict[int, dict[str, float]]], sizes: tuple[int, ...]) -> dict[str, float]:
    rates = {
        name: {size: size / by_size[size]["cpu_seconds"] for size in sizes} for name, by_size in found.items()
    }
    ratios = {
        f"to {name} at {sizes[0]}": rates[OURS][sizes[0]] / rates[name][sizes[0]]
        for name in found
        if name != OURS
    }
    ratios["largest to smallest size"] = rates[OURS][sizes[-1]] / rates[OURS][sizes[0]]
    for name in found:
        if name != OURS:
            ratios[f"peak memory to {name}"] = (
                found[OURS][sizes[-1]]["peak_mb"] / found[name][sizes[-1]]["peak_mb"]
            )
    return ratios


def _run(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def child(name: str, path: str) -> None:
    """One counted run, in a process of its own."""
    with np.load(path) as market:
        bars = BarArrays(*(market[column] for column in BarArrays._fields))
    before = _peak()
    start = time.process_time()
    trades, equity = (_floor if name == FLOOR else _ours)(bars)
    seconds = time.process_time() - start
    told: dict[str, Any] = {"cpu_seconds": seconds, "trades": trades, "equity": equity}
    print(json.dumps(told | {"peak_mb": _peak(), "before_mb": before}))


def _ours(bars: BarArrays) -> tuple[int, float]:
    result = run_strategy(bars, Cross(), capital=1_000_000.0, fee_bps=10.0, fill="close")
    return len(result.trades) + result.open_trade, float(result.equity[-1])


def _floor(bars: BarArrays) -> tuple[int, float]:
    floor = Floor()
    for close in bars.close.tolist():
        floor.on_close(close)
    return floor.trades, floor.cash + floor.quantity * float(bars.close[-1])


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("--bars", type=int, nargs="*", default=SIZES)
    asked.add_argument("--peer", action="append", default=[])
    asked.add_argument("--child")
    asked.add_argument("market", nargs="?")
    given = asked.parse_args()
    if given.child:
        child(given.child, given.market)
    else:
        main(tuple(given.bars), dict(peer.split("=", 1) for peer in given.peer))
