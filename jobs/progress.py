"""The progress bar: the day, the equity, and the last decision with its reason."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from engine.backtest.replay import Progress as Told
from engine.core.domain.records import CycleRecord, OutcomeKind

EVERY = 5  # moments between two redraws of the numbers


class Bar:
    """Draws on stderr; does nothing when nobody watches."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total, day="", equity="", last="") if progress else None
        self._done = self._moments = 0
        self._last = ""

    def moved(self, records: Sequence[CycleRecord], equity: float) -> None:
        """One moment is done."""
        self._done += len(records)
        self._moments += 1
        for record in records:
            if record.result.outcome in (OutcomeKind.ENTERED, OutcomeKind.EXITED):
                self._last = _words(record)
        if self._progress is not None and self._task is not None and self._moments % EVERY == 0:
            self._progress.update(
                self._task,
                completed=self._done,
                day=records[0].at.date().isoformat(),
                equity=f"{equity:,.0f}",
                last=self._last,
            )


@contextmanager
def bars_progress(total: int, *, quiet: bool) -> Iterator[Callable[[Told], None] | None]:
    """The same bar for a back-test; None when nobody watches."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    with Progress(*_columns(), console=console) as progress:
        task = progress.add_task("", total=total, day="", equity="", last="")

        def moved(told: Told) -> None:
            if told.done % EVERY == 0:
                day, equity = told.at.date().isoformat(), f"{told.equity:,.0f}"
                progress.update(
                    task, completed=told.done, day=day, equity=equity, last=f"{told.trades} trades"
                )

        yield moved


@contextmanager
def progress_bar(total: int, *, quiet: bool) -> Iterator[Bar]:
    """A bar on stderr when it is a terminal; otherwise none."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield Bar(None, total)
        return
    with Progress(*_columns(), console=console) as progress:
        yield Bar(progress, total)


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.fields[day]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("equity {task.fields[equity]}"),
        TextColumn("{task.fields[last]}", style="dim"),
        TimeRemainingColumn(),
    )


def _words(record: CycleRecord) -> str:
    result = record.result
    forecast = result.forecast
    confidence = f", confidence {forecast.confidence:.0%}" if forecast else ""
    verb = "entered" if result.outcome is OutcomeKind.ENTERED else "left"
    return f"{verb} {record.instrument}: {result.proposal.reason}{confidence}"
