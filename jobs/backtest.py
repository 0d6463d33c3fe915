"""`whydesk backtest`: the desk's own pipeline over files of bars, judged honestly, kept so that it can be asked."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from configs.schema.settings import Settings
from engine.backtest import stress_report
from engine.backtest.replay import run
from engine.backtest.report import Report, judge, lines, summary
from engine.backtest.stress import Stress, chosen, enough, stress
from engine.core.analytics.scenarios import Scenario
from engine.core.domain.errors import BadInput
from engine.core.domain.records import Record
from engine.store.journal import SqlJournal
from engine.store.lock import hold
from jobs import stress_tables
from jobs.bootstrap import open_predictor
from jobs.clocks import WallClock
from jobs.home import Home
from jobs.output import show
from jobs.progress import bars_progress
from jobs.report_html import write_report
from jobs.universe import Universe, moment, open_files
from jobs.version import code_version

BATCH = 2000  # records in one commit: a back-test can be run again, so it need not be durable bar by bar


def main(
    root: Path,
    settings: Settings,
    paths: Sequence[Path],
    symbol: str,
    start: str,
    stop: str,
    *,
    keep: bool,
    as_json: bool,
    stressed: bool = False,
    scenarios: Sequence[str] = (),
) -> None:
    """Load all bars up to `stop`; those before `start` only warm the windows up.

    `stressed` puts the desk through `scenarios` too, all of them where none is named.
    """
    if scenarios and not stressed:
        raise BadInput("--scenario names what --stress should run: say --stress as well")
    wanted = chosen(scenarios)
    universe = open_files(
        paths, settings, WallClock().now(), symbol=symbol, stop=moment(stop) if stop else None
    )
    home = Home(root)
    if stressed:
        enough(universe.series)
    with hold(home.backtests, WallClock().now()):
        report, folder = _run(home, universe, start, keep=keep, quiet=as_json)
    endured = _stress(home, universe, wanted, start) if stressed else None
    page = folder / "report.html"
    write_report(report, page, endured)
    value = summary(report) | {"report": str(page), "journal": str(folder) if keep else None}
    rejected = sum(each.rejected for each in universe.loaded)
    value["data"] = [
        {"file": str(each.path), "rows": each.rows, "rejected": each.rejected, "counts": each.quality.counts}
        for each in universe.loaded
    ]
    told = list(lines(report))
    if endured is not None:
        value["stress"] = stress_report.summary(endured)
        told += stress_tables.lines(endured)
    if rejected:
        told.append(f"  {rejected} rows were left out of the files; `whydesk data check` says why")
    told.append(f"  report {page}" + (f'; ask it: whydesk ask --home {folder} "why ..."' if keep else ""))
    show(as_json, value, told)


def _run(home: Home, universe: Universe, start: str, *, keep: bool, quiet: bool) -> tuple[Report, Path]:
    """Into a folder of its own under a passing name; the run's id is known when it is over."""
    settings = universe.settings
    predictor = open_predictor(home, settings, deadline_ms=None)
    total = sum(bars.size for bars in universe.series.values())
    working = home.backtests / "unfinished"
    shutil.rmtree(working, ignore_errors=True)
    working.mkdir()
    try:
        with bars_progress(total, quiet=quiet) as moved:
            keeper = _Keeper(working) if keep else None
            result = run(
                universe.series,
                settings,
                predictor,
                record=keeper.take if keeper else None,
                start=moment(start) if start else None,
                progress=moved,
                code_version=code_version(),
            )
            if keeper:
                keeper.close()
        report = judge(result)
        folder = home.backtests / report.run_id
        shutil.rmtree(folder, ignore_errors=True)
        working.rename(folder)
    finally:
        shutil.rmtree(working, ignore_errors=True)  # there only when the run failed
    return report, folder


def _stress(home: Home, universe: Universe, wanted: Sequence[Scenario], start: str) -> Stress:
    settings = universe.settings
    predictor = open_predictor(home, settings, deadline_ms=None)
    return stress(
        universe.series,
        settings,
        predictor,
        scenarios=wanted,
        start=moment(start) if start else None,
        code_version=code_version(),
    )


class _Keeper:
    """Collects records and commits them by the thousand."""

    def __init__(self, folder: Path) -> None:
        self._journal = SqlJournal(folder / "desk.sqlite3", synchronous="NORMAL")
        self._waiting: list[Record] = []

    def take(self, records: Sequence[Record]) -> None:
        """Keep them until there are enough."""
        self._waiting += records
        if len(self._waiting) >= BATCH:
            self._flush()

    def close(self) -> None:
        """The rest."""
        self._flush()
        self._journal.close()

    def _flush(self) -> None:
        self._journal.append_many(self._waiting)
        self._waiting = []
