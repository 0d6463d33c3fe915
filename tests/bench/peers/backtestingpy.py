# mypy: ignore-errors
"""SMA 20/50 cross in backtesting.py, next open: `PYTHON backtestingpy.py MARKET.npz`. Statistics are not timed."""

import json
import resource
import sys
import time

import backtesting.backtesting as core
import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover

SPENT = {"statistics": 0.0}


def mean(values, span):
    return pd.Series(values).rolling(span).mean()


class Cross(Strategy):
    def init(self):
        self.fast = self.I(mean, self.data.Close, 20)
        self.slow = self.I(mean, self.data.Close, 50)

    def next(self):
        if crossover(self.fast, self.slow):
            if not self.position:
                self.buy(size=0.1)
        elif crossover(self.slow, self.fast) and self.position:
            self.position.close()


def timed(*given, **named):
    start = time.process_time()
    try:
        return statistics(*given, **named)
    finally:
        SPENT["statistics"] += time.process_time() - start


statistics, core.compute_stats = core.compute_stats, timed
market = np.load(sys.argv[1])
columns = {name.title(): market[name] for name in ("open", "high", "low", "close", "volume")}
frame = pd.DataFrame(columns, index=pd.to_datetime(market["end_ms"], unit="ms"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
bench = Backtest(frame, Cross, cash=1_000_000, commission=0.001, finalize_trades=True)
start = time.process_time()
found = bench.run()
seconds = time.process_time() - start - SPENT["statistics"]
print(
    json.dumps(
        {
            "cpu_seconds": seconds,
            "trades": int(found["# Trades"]),
            "equity": float(found["Equity Final [$]"]),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "before_mb": before,
        }
    )
)
