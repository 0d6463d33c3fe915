"""Record the decisions of `cycles/` again: `python -m tests.replay.make`, then read the difference.

They come from a back-test over seeded bars of a desk that may sell short, with a breaker that trips early. One of
each kind of decision is kept, the first that came.
"""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from configs.schema.decision import DecisionSettings, SizingSettings
from configs.schema.desk import DeskSettings, Instrument
from configs.schema.risk import RiskSettings
from configs.schema.settings import Settings
from engine.backtest.replay import run
from engine.core.domain.order import Side
from engine.core.domain.records import CycleRecord, OutcomeKind, Record, StartRecord, readable
from engine.core.domain.risk import TradingState
from tests.desks import trending_bars

CYCLES = Path(__file__).parent / "cycles"
SETTINGS = Settings(
    desk=DeskSettings(
        name="golden",
        instruments=(Instrument("ALPHA"), Instrument("BETA", tick=Decimal("0.05"), lot=Decimal(1))),
    ),
    decision=DecisionSettings(
        confidence=0.55,
        long_only=False,
        stop_atr=4.0,
        target_atr=8.0,
        trail_atr=2.5,
        max_bars=15,
        exit_confidence=0.52,
    ),
    sizing=SizingSettings(kelly_fraction=1.0, risk_per_trade=0.05),
    risk=RiskSettings(max_drawdown=0.015, max_gross=0.25, max_entries_per_instrument=5, max_trade_risk=0.05),
)


def name_of(record: CycleRecord) -> str:
    """What kind of decision it is: its file's name."""
    result = record.result
    words = [result.outcome.value]
    if result.outcome is OutcomeKind.ENTERED:
        words.append("long" if result.proposal.side is Side.BUY else "short")
    elif result.outcome is OutcomeKind.EXITED:
        words.append(result.proposal.reason)
    elif result.refused_by:
        words.append(result.refused_by)
    if result.risk.trading is TradingState.HALTED and record.risk.trading is TradingState.ACTIVE:
        words.append("breaker")
    return "-".join(words).replace(" ", "-")


def main() -> None:
    """Write the settings once and each decision to a file of its own."""
    kept: dict[str, Record] = {}

    def keep(records: Sequence[Record]) -> None:
        for record in records:
            if isinstance(record, StartRecord):
                kept.setdefault("start", record)
            elif isinstance(record, CycleRecord):
                kept.setdefault(name_of(record), record)

    run({"ALPHA": trending_bars(5, 1400), "BETA": trending_bars(8, 1400)}, SETTINGS, record=keep)
    CYCLES.mkdir(exist_ok=True)
    for old in CYCLES.glob("*.json"):
        old.unlink()
    for name, record in kept.items():
        text = msgspec.json.format(msgspec.json.encode(readable(record)).decode(), indent=1)
        (CYCLES / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(*sorted(kept), sep="\n")


if __name__ == "__main__":
    main()
