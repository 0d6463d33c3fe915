"""All benchmarks of the decision path in a row: `python -m tests.bench`. Their figures go into one line at the end."""

import json

from tests.bench import backtest, decision, events, features
from tests.bench.measure import finish

if __name__ == "__main__":
    found = {
        bench.__name__.rpartition(".")[2]: bench.main() for bench in (features, decision, backtest, events)
    }
    finish("all", json.loads(json.dumps(found)))
