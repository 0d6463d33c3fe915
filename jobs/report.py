"""`whydesk report`: a day from the journal, as text and as one HTML page with a chart."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from configs.schema.settings import Settings
from engine.core.domain.errors import BadQuestion
from engine.core.domain.ids import epoch_ms
from engine.core.domain.records import CycleRecord, TradeRecord
from engine.store.journal import SqlJournal
from jobs import charts
from jobs.daily_report import DayReport, bounds, build, last_day
from jobs.home import Home
from jobs.opened import opened
from jobs.output import show

TEMPLATES = Path(__file__).parent / "templates"
LOOKED_AT = 1000  # cycles that the equity chart goes back


def main(root: Path, settings: Settings, day: str, *, as_json: bool) -> None:
    """Print the report of a day, or of the last one, and write the page beside it."""
    home = Home(root)
    with opened(home, settings) as desk:
        if day == "last":
            day = last_day(desk.journal) or _nothing()
        report = build(desk.journal, day, desk.settings.desk.cash)
        home.reports.mkdir(parents=True, exist_ok=True)
        path = home.reports / f"{day}.html"
        path.write_text(page(report, desk.journal, desk.settings), encoding="utf-8")
    value = msgspec.to_builtins(report) | {"agrees": report.agrees, "page": str(path)}
    show(as_json, value, [*report.lines, f"page {path}"])


def page(report: DayReport, journal: SqlJournal, settings: Settings) -> str:
    """The page as text."""
    import jinja2

    since, until = bounds(report.day)
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"cents": cents, "signed": signed}
    cycles = _cycles(journal, since=since, until=until)
    ends, equity = _equity(_cycles(journal, until=until, limit=LOOKED_AT))
    describe = f"Line of equity over the last {ends.size} bars, ending at {report.equity:.2f}"
    sequence, head = journal.head()
    return environment.get_template("day.html.j2").render(
        report=report,
        desk=settings.desk.name,
        currency=settings.desk.currency,
        records=sequence,
        head=head,
        moments=ends.size,
        equity_chart=charts.lines(ends, [charts.Line("equity", equity)], describe),
        decisions=[_decision(cycle) for cycle in cycles],
        trades=[
            stored.record
            for stored in journal.find(
                kind="trade", since=since, until=until, newest_first=False, limit=10_000
            )
            if isinstance(stored.record, TradeRecord)
        ],
    )


def cents(value: Decimal) -> str:
    """Money for people.

    >>> cents(Decimal("1234.5"))
    '1,234.50'
    """
    return f"{value:,.2f}"


def signed(value: Decimal) -> str:
    """The same with its sign."""
    return f"{value:+,.2f}"


def _cycles(journal: SqlJournal, limit: int = 10_000, **when: Any) -> list[CycleRecord]:
    found = journal.find(kind="cycle", limit=limit, **when)
    return [stored.record for stored in reversed(found) if isinstance(stored.record, CycleRecord)]


def _equity(cycles: list[CycleRecord]) -> tuple[charts.Ints, charts.Floats]:
    """One point a moment: the last cycle of each has all instruments at their newest price."""
    points = {epoch_ms(cycle.at): float(cycle.portfolio.equity) for cycle in cycles}
    return np.array(list(points), dtype=np.int64), np.array(list(points.values()))


def _decision(cycle: CycleRecord) -> dict[str, str]:
    result = cycle.result
    forecast = result.forecast
    return {
        "instrument": cycle.instrument,
        "outcome": result.outcome.value.replace("_", " "),
        "why": result.refused_by or result.proposal.reason,
        "confidence": f"{forecast.confidence:.0%}" if forecast else "none",
        "id": cycle.id,
    }


def _nothing() -> str:
    raise BadQuestion("the journal has no cycles yet")
