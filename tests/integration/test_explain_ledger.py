"""Questions to the journal of a real run: two markets, long and short, every answer checked against the records."""

import itertools
import re
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from configs.schema.decision import DecisionSettings
from configs.schema.execution import ExecutionSettings
from engine.backtest.replay import run
from engine.core.domain.records import CycleRecord, OutcomeKind, Record, TradeRecord
from engine.store.journal import SqlJournal
from explain.claims import Reader, resolve
from explain.units import write
from explain.why import WITHHELD, Answer, why
from tests.unit.engine.backtest.markets import WIDE, random_walk, trading

NAMES = ("ALPHA", "BETA")


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> SqlJournal:
    path: Path = tmp_path_factory.mktemp("ledger") / "desk.sqlite3"
    settings = trading(
        *NAMES,
        decision=DecisionSettings(long_only=False, confidence=0.6, blocked_regimes=("crash", "quiet_range")),
        risk=WIDE,
        execution=ExecutionSettings(fee_bps=1.0),
    )
    records: list[Record] = []
    run({name: random_walk(1100, seed) for seed, name in enumerate(NAMES)}, settings, record=records.extend)
    journal = SqlJournal(path, synchronous="NORMAL")
    journal.append_many(records)
    return journal


def cycles(journal: SqlJournal) -> list[CycleRecord]:
    return [s.record for s in journal.read() if isinstance(s.record, CycleRecord)]


def _assert_faithful(answer: Answer, journal: SqlJournal) -> None:
    assert answer.text != WITHHELD
    reader = Reader(journal)
    assert all(reader.record(cited) is not None for cited in answer.citations)
    for figure in answer.figures:
        if "(" in figure.field or "?" in figure.record:
            continue
        record = reader.record(figure.record)
        assert record is not None
        assert write(resolve(record, figure.field), figure.unit) == figure.text.removesuffix(" USD")


def test_the_run_has_every_outcome_that_is_asked_about(journal: SqlJournal) -> None:
    outcomes = Counter(cycle.result.outcome for cycle in cycles(journal))

    assert {OutcomeKind.ENTERED, OutcomeKind.EXITED, OutcomeKind.HELD, OutcomeKind.NO_SIGNAL} <= set(outcomes)


def test_every_decision_can_be_explained_by_its_id(journal: SqlJournal) -> None:
    sample = cycles(journal)[::7]

    for cycle in sample:
        answer = why(f"why {cycle.id}", journal)
        assert not answer.refused, answer.text
        assert cycle.id in answer.citations or cycle.result.outcome is OutcomeKind.EXITED
        _assert_faithful(answer, journal)


def test_every_entry_is_found_by_its_moment_and_its_confidence_told(journal: SqlJournal) -> None:
    entered = [c for c in cycles(journal) if c.result.outcome is OutcomeKind.ENTERED]

    for cycle in entered[:40]:
        verb = "buy" if str(cycle.result.proposal.side) == "buy" else "short"
        answer = why(f"why did you {verb} {cycle.instrument} in {cycle.at:%Y-%m-%d}?", journal)
        assert answer.kind == "why_entry"
        _assert_faithful(answer, journal)
        mine = why(f"why {cycle.id}", journal)
        assert cycle.result.forecast is not None
        assert write(cycle.result.forecast.confidence, "share") in mine.text


def test_every_closed_trade_tells_its_reason_and_its_net(journal: SqlJournal) -> None:
    trades = [s.record for s in journal.find(kind="trade", limit=1000) if isinstance(s.record, TradeRecord)]

    assert len({trade.exit_reason for trade in trades}) >= 3
    for trade in trades:
        answer = why(f"why {trade.id}", journal)
        assert f"by {trade.exit_reason} [{trade.id}]" in answer.text
        assert f"net {write(trade.net, 'gain')} USD" in answer.text
        assert answer.text.count("\n") >= 3
        _assert_faithful(answer, journal)


def test_every_day_without_a_trade_names_the_check_that_was_first(journal: SqlJournal) -> None:
    quiet = [c for c in cycles(journal) if c.result.outcome in (OutcomeKind.NO_SIGNAL, OutcomeKind.REFUSED)]

    for cycle in quiet[::23]:
        answer = why(
            f"why no trade in {cycle.instrument} at {cycle.at:%H:%M} on {cycle.at:%Y-%m-%d}", journal
        )
        if cycle.at.hour == 0:  # midnight belongs to the day before
            continue
        assert f"First against it: {cycle.result.refused_by}" in answer.text
        assert cycle.id in answer.citations
        _assert_faithful(answer, journal)


def test_counts_and_profit_are_those_of_the_ledger(journal: SqlJournal) -> None:
    trades = [s.record for s in journal.find(kind="trade", limit=1000) if isinstance(s.record, TradeRecord)]
    net = sum((trade.net for trade in trades), Decimal(0))

    answer = why("how much did we make?", journal)

    assert answer.text.startswith(f"{len(trades)} closed trades")
    assert f"net {write(net, 'gain')} USD" in answer.text
    one = [trade for trade in trades if trade.instrument == "BETA"]
    assert why("how many trades in BETA", journal).text.startswith(f"{len(one)} closed trades, BETA")


def test_a_period_counts_every_decision_once(journal: SqlJournal) -> None:
    mine = [c for c in cycles(journal) if c.instrument == "ALPHA"]
    day = mine[len(mine) // 2].at.date()
    of_day = [c for c in mine if c.at.date() == day and c.at.hour > 0]
    of_day += [c for c in mine if c.at.hour == 0 and (c.at.date() - day).days == 1]

    answer = why(f"why no trade in ALPHA on {day}", journal)

    assert f": {len(of_day)} decisions: " in answer.text
    counts = re.search(r"decisions: (.*)\.", answer.text)
    assert counts is not None
    assert sum(int(part.split()[0]) for part in counts[1].split(", ")) == len(of_day)


def test_answers_take_less_than_a_tenth_of_a_second(journal: SqlJournal) -> None:
    questions = [
        "why did you buy ALPHA?",
        "why did you close BETA?",
        "why no trade in ALPHA",
        "worst trade",
        "pnl",
    ]
    why(questions[0], journal)
    taken = []
    for question in itertools.islice(itertools.cycle(questions), 25):
        begun = time.perf_counter()
        why(question, journal)
        taken.append(time.perf_counter() - begun)

    assert sorted(taken)[len(taken) // 2] < 0.1
