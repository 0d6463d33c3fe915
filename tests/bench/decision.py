"""What one decision costs: `python -m tests.bench.decision`.

From features that exist to a record that is in the database but not flushed: three served models of 300 trees,
five alphas, the blend, size, more than twenty checks, the order plan, the record encoded, hashed and inserted.
"""

import gc
import itertools
import os
import tempfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from msgspec.structs import replace

from configs.schema.decision import DecisionSettings
from engine.backtest.replay import run
from engine.core.domain.records import CycleInputs, CycleRecord, OutcomeKind, Record, encode
from engine.core.ensemble.combine import combine
from engine.core.pipeline import decide
from engine.core.risk.review import review
from engine.core.sizing.size import Ask, size
from engine.store.journal import SqlJournal
from tests.bench.measure import cpu, each, finish, table, together
from tests.bench.models import DEPTH, TREES, predictor
from tests.core_builders import case as entry
from tests.unit.engine.backtest.markets import WIDE, random_walk, trading

MODELS = 3
DECISIONS = 3000
CASES = 64  # few enough to stay in the processor's cache, as what was just computed would


def cases() -> list[CycleInputs]:
    """Inputs of bars with everything there, nothing held and nothing ordered: the longest way through `decide`."""
    settings = trading("BTC", decision=DecisionSettings(confidence=0.55, cooldown_bars=0), risk=WIDE)
    kept: list[Record] = []
    run({"BTC": random_walk(4000, 1)}, settings, predictor(MODELS), record=kept.extend)
    cycles = [r for r in kept if isinstance(r, CycleRecord) and r.observation.features]
    flat = [r for r in cycles if not r.portfolio.positions and not r.portfolio.orders]
    step = max(1, len(flat) // CASES)
    return [record.inputs(settings) for record in flat[::step]]


def main() -> dict[str, object]:
    """Print the table and the line."""
    found, served = cases(), predictor(MODELS)
    gc.collect()
    gc.freeze()  # what the bench keeps would be walked through by every collection, and no desk keeps it
    fresh = itertools.count(1)

    def decision(number: int) -> CycleRecord:
        """With an id and a moment of its own, so that the journal takes it as new."""
        case, at = found[number % len(found)], next(fresh)
        inputs = replace(
            case,
            decision=f"d-{at:09d}-{number:08x}",
            as_of=case.as_of + timedelta(milliseconds=at),
            predictions=served.predict(case.observation),
        )
        return CycleRecord.of(inputs, decide(inputs), "0123456789abcdef", "bench")

    with tempfile.TemporaryDirectory(prefix="whydesk-bench-") as folder:
        journal = SqlJournal(Path(folder) / "desk.sqlite3", synchronous="NORMAL")
        whole = each(lambda number: journal.append_sync([decision(number)]), DECISIONS)
        seconds, _ = cpu(lambda: [journal.append_sync([decision(number)]) for number in range(DECISIONS)])
        records = [decision(number) for number in range(DECISIONS)]
        inserted = each(lambda number: journal.append_sync([records[number]]), DECISIONS - 1, warm_up=1)
        grouped, _ = cpu(lambda: journal.append_many(decision(number) for number in range(DECISIONS)))
        journal.close()
    asked = each(lambda number: served.predict(found[number % len(found)].observation), DECISIONS)
    decided = each(lambda number: decide(found[number % len(found)]), DECISIONS)
    encoded = each(lambda number: encode(records[number % DECISIONS]), DECISIONS)
    wish = entry()
    reviewed = each(lambda number: review(wish), DECISIONS)
    checks = len(records[0].result.review.checks)
    length = sum(len(encode(record)) for record in records) // len(records)
    entered = sum(record.result.outcome is OutcomeKind.ENTERED for record in records) / len(records)
    blend, sizing = _parts(found[0])
    table(
        f"One decision: {MODELS} models of {TREES} trees (depth {DEPTH}), {checks} checks, "
        f"a record of {length:,} bytes, {entered:.0%} enter",
        [
            ("models to durable intent, p50", f"{whole.p50:.0f} us", "<= 150"),
            ("the same, p99", f"{whole.p99:.0f} us", ""),
            ("decisions a CPU second", f"{DECISIONS / seconds:,.0f}", ">= 5,000"),
            ("the same, committed by the thousand", f"{DECISIONS / grouped:,.0f}", ""),
            ("  models", f"{asked.p50:.0f} us", ""),
            ("  decide", f"{decided.p50:.0f} us", ""),
            ("  encode", f"{encoded.p50:.0f} us", ""),
            ("  encode, hash, insert, commit", f"{inserted.p50:.0f} us", ""),
            ("review of an entry, p50", f"{reviewed.p50:.1f} us", f"<= {checks / 4:.2f}"),
            ("the same, p99", f"{reviewed.p99:.1f} us", "<= 1,000"),
            ("blend", f"{blend:.2f} us", "<= 2"),
            ("sizing with caps", f"{sizing:.2f} us", "<= 12"),
        ],
    )
    return finish(
        "decision",
        {
            "p50_us": whole.p50, "p99_us": whole.p99, "per_cpu_second": DECISIONS / seconds,
            "per_cpu_second_grouped": DECISIONS / grouped, "models_us": asked.p50, "decide_us": decided.p50,
            "encode_us": encoded.p50, "insert_us": inserted.p50, "blend_us": blend, "sizing_us": sizing,
            "review_us": reviewed.p50, "review_p99_us": reviewed.p99,
            "checks": checks, "record_bytes": length,
        },
    )  # fmt: skip


def _parts(inputs: CycleInputs) -> tuple[float, float]:
    """The blend and the size alone."""
    settings, observation = inputs.settings, inputs.observation
    result = decide(inputs)
    assert result.forecast is not None
    close = float(observation.bar.close)
    from engine.core.decision.propose import propose_entry

    instrument = settings.instrument(observation.instrument)
    wish = propose_entry(1, observation.bar.close, close / 100, instrument, settings.decision)
    forecast = replace(result.forecast, edge=0.0005, edge_variance=0.0001, edge_bars=2000.0)
    ask = Ask(
        proposal=wish,
        forecast=forecast,
        close=close,
        volatility=0.01,
        volume=float(observation.bar.volume),
        portfolio=inputs.portfolio,
        committed=0.0,
        instrument=instrument,
        settings=settings,
        tail=observation.tail,
        drawdown=0.02,
    )
    assert size(ask).quantity > Decimal(0)
    blend = together(lambda number: combine(result.signals, inputs.ensemble, settings.ensemble), 5000)
    return blend, together(lambda number: size(ask), 5000)


if __name__ == "__main__":
    main()
