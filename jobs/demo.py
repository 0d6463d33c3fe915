"""`whydesk demo`: the whole desk on twenty years of real daily bars, without key, network or download.

Trains the signal model on the early years, runs the rest through the live engine on the paper venue, reports
honestly, verifies and replays its own journal, and answers three whys from it. With a terminal it then stays
open as a console chat. It keeps everything in `HOME/demo` and starts afresh each time: the same seed on the same
machine gives the same journal, to the last byte.
"""

import asyncio
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from configs.schema.settings import Settings
from configs.schema.store import StoreSettings
from engine.backtest.report import Report, judge
from engine.backtest.report import lines as report_lines
from engine.backtest.report import summary as report_summary
from engine.backtest.result import Tally
from engine.core.domain.errors import BadInput
from engine.core.domain.ids import epoch_ms, from_epoch_ms
from engine.core.domain.market import BarArrays
from engine.core.domain.records import CycleRecord, OutcomeKind, TradeRecord
from engine.core.domain.regime import REGIMES
from engine.core.pipeline import FEATURE_SET
from engine.data import bundled
from engine.data.replay import ReplayFeed
from engine.ports import Journal
from engine.store.lock import hold
from explain.why import Answer, why
from jobs.bootstrap import Engine, open_engine
from jobs.clocks import ReplayClock, WallClock
from jobs.home import Home
from jobs.output import say, show
from jobs.progress import Bar, progress_bar
from jobs.replay_day import Replay, replay
from jobs.train import train_and_publish, verdict
from jobs.universe import moment

MODEL = "signal"


class Years(NamedTuple):
    """Where training ends and trading begins, and where trading ends."""

    begin: datetime
    end: datetime


class Shown(NamedTuple):
    """A question, what was answered, and how long that took."""

    question: str
    answer: Answer
    latency_ms: float


def main(root: Path, settings: Settings, start: str, stop: str, *, as_json: bool) -> int:
    """Run the demo; 1 when its own checks do not hold."""
    began = time.perf_counter()
    home, years = Home(root / "demo"), Years(moment(start), moment(stop))
    settings = replace(settings, store=StoreSettings())  # afresh each time: never in a store that others use
    series = _bundled(settings, years)
    with hold(home.root, WallClock().now()):
        _start_afresh(home)
        value, lines, good = asyncio.run(_demo(home, settings, series, years, quiet=as_json))
        value["seconds"] = round(time.perf_counter() - began, 2)
        show(as_json, value, [*lines, f"{value['seconds']} s in all"])
    if good and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
        from jobs.console import chat_over_store

        say(f"\nThe desk stays open. Ask it why, or /help; /quit leaves. Everything is in {home.root}")
        chat_over_store(home, settings)
    return 0 if good else 1


def _bundled(settings: Settings, years: Years) -> dict[str, BarArrays]:
    """The bars before the end; BadInput where nothing would be left to train on or to trade."""
    loaded = {i.name: bundled.load(i.name) for i in settings.desk.instruments if i.name in bundled.FILES}
    if len(loaded) != len(settings.desk.instruments):
        raise BadInput(f"the demo has bars of {', '.join(bundled.FILES)} only; the profile names others")
    whole = {name: each.bars for name, each in loaded.items()}
    told = {name: before(bars, years.end) for name, bars in whole.items()}
    for bars in told.values():
        if not before(bars, years.begin).size or not after(bars, years.begin).size:
            raise BadInput(
                f"nothing to train on before {years.begin:%Y-%m-%d}, or nothing to trade from then to "
                f"{years.end:%Y-%m-%d}: there are {_span(whole)}"
            )
    return told


async def _demo(
    home: Home, settings: Settings, series: dict[str, BarArrays], years: Years, *, quiet: bool
) -> tuple[dict[str, Any], list[str], bool]:
    early = {name: before(bars, years.begin) for name, bars in series.items()}
    say(f"training on {_span(early)}")
    card, training = await asyncio.to_thread(
        train_and_publish, home, MODEL, early, settings.models, years.begin
    )
    scores, raw = training.out_of_sample, training.out_of_sample_raw
    say(
        f"model {card.version}: out of sample log loss {scores.log_loss:.3f} calibrated ({raw.log_loss:.3f} raw) "
        f"against {scores.log_loss_base:.3f} for always saying the base rate: {verdict(training)}"
    )
    settings = replace(settings, models=replace(settings.models, served=(MODEL,)))
    engine, report = await _trade(home, settings, series, years, quiet=quiet)
    try:
        verification = engine.journal.verify(deep=True)
        again = await asyncio.to_thread(replay, engine.journal.read())
        answers = [_ask(question, engine.journal) for question in questions(engine.journal)]
        sequence, head = engine.journal.head()
    finally:
        engine.close()
    value = report_summary(report) | {
        "cycles": engine.loop.moments,
        "training": msgspec.to_builtins(training.out_of_sample)
        | {"log_loss_raw": raw.log_loss, "better_than_base": training.better_than_base},
        "journal": {
            "records": sequence,
            "head": head,
            "chain_ok": verification.chain_ok,
            "replayed": again.replayed,
            "mismatches": again.mismatches,
        },
        "answers": [
            {"question": s.question} | msgspec.to_builtins(s.answer) | {"latency_ms": round(s.latency_ms, 2)}
            for s in answers
        ],
    }
    good = verification.chain_ok and not again.mismatches and not any(s.answer.refused for s in answers)
    return value, list(_lines(report, value, again, answers)), good


async def _trade(
    home: Home, settings: Settings, series: dict[str, BarArrays], years: Years, *, quiet: bool
) -> tuple[Engine, Report]:
    """The years after training, bar by bar through the live engine on the paper venue."""
    clock, tally = ReplayClock(years.begin), Tally(settings)
    total = sum(int((bars.end_ms > epoch_ms(years.begin)).sum()) for bars in series.values())

    async def pace(moment: datetime) -> None:
        clock.turn(moment)
        await asyncio.sleep(0)

    with progress_bar(total, quiet=quiet) as bar:
        engine = await open_engine(
            home,
            settings,
            ReplayFeed(series),
            clock,
            pace=pace,
            after=_counting(tally, bar, lambda: engine),
            first_bar=years.begin,
            durability="NORMAL",
        )
        engine.desk.listen(lambda event: tally.count([event.record]))
        wall, cpu = time.perf_counter(), time.process_time()
        await engine.loop.run()
    spent = time.perf_counter() - wall, time.process_time() - cpu
    traded = {name: after(bars, years.begin) for name, bars in series.items()}
    predictor = engine.models
    return engine, judge(tally.result(traded, engine.writer.state, FEATURE_SET, predictor, spent))


def _counting(tally: Tally, bar: Bar, engine: Callable[[], Engine]) -> Any:
    """After each moment: the account for the report, and the newest decision for who watches."""

    async def after(records: Sequence[CycleRecord]) -> None:
        portfolio = engine().writer.state.portfolio
        equity, seen = float(portfolio.equity), records[0].observation
        tally.bars += len(records)
        tally.ready += not any(record.observation.features for record in records)
        regime = REGIMES.index(seen.regime.label) if seen.regime else -1
        tally.moment(epoch_ms(seen.bar.end), equity, bool(portfolio.positions), regime)
        bar.moved(records, equity)

    return after


def questions(journal: Journal) -> list[str]:
    """Three that this journal has answers to: an entry, a refused day, a closed trade."""
    asked = []
    entered = journal.find(kind="cycle", outcome=OutcomeKind.ENTERED, limit=1)
    if entered:
        asked.append(_about("why did you buy", entered[0].record))
    refused = journal.find(kind="cycle", outcome=OutcomeKind.REFUSED, limit=1)
    quiet = refused or journal.find(kind="cycle", outcome=OutcomeKind.NO_SIGNAL, limit=1)
    if quiet:
        asked.append(_about("why no trade in", quiet[0].record))
    closed = journal.find(kind="trade", limit=1)
    if closed and isinstance(closed[0].record, TradeRecord):
        trade = closed[0].record
        asked.append(f"why did you close {trade.instrument} on {trade.closed_at.date().isoformat()}")
    return asked


def _about(words: str, record: Any) -> str:
    return f"{words} {record.instrument} on {record.at.date().isoformat()}"


def _ask(question: str, journal: Journal) -> Shown:
    began = time.perf_counter()
    answer = why(question, journal)
    return Shown(question, answer, (time.perf_counter() - began) * 1000)


def _lines(report: Report, value: dict[str, Any], again: Replay, answers: list[Shown]) -> Iterator[str]:
    yield from report_lines(report)
    chain = value["journal"]
    yield ""
    yield (
        f"journal: {chain['records']:,} records, the chain {'holds' if chain['chain_ok'] else 'IS BROKEN'}, "
        f"head {chain['head'][:16]}; {again.replayed:,} decisions taken again, {again.mismatches} otherwise"
    )
    for shown in answers:
        yield ""
        yield f"> {shown.question}"
        yield shown.answer.text


def before(bars: BarArrays, moment: datetime) -> BarArrays:
    """The bars known before `moment`."""
    return bars.slice(0, int(bars.end_ms.searchsorted(epoch_ms(moment))))


def after(bars: BarArrays, moment: datetime) -> BarArrays:
    """The bars that became known at `moment` or later."""
    return bars.slice(int(bars.end_ms.searchsorted(epoch_ms(moment))), bars.size)


def _span(series: dict[str, BarArrays]) -> str:
    first = min(int(bars.end_ms[0]) for bars in series.values())
    last = max(int(bars.end_ms[-1]) for bars in series.values())
    bars = sum(bars.size for bars in series.values())
    return f"{bars:,} daily bars of {', '.join(series)}, {from_epoch_ms(first).date()} to {from_epoch_ms(last).date()}"


def _start_afresh(home: Home) -> None:
    """Remove what an earlier demo left; the lock file stays, for it is held."""
    for path in home.root.glob("desk.sqlite3*"):
        path.unlink()
    for name in ("KILLED", "kill.reserve", "anchors.jsonl"):
        (home.root / name).unlink(missing_ok=True)
    shutil.rmtree(home.root / "models", ignore_errors=True)
