"""A stress run before people: tables for the console, and the same rows for the page."""

import io
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np

from engine.backtest.stress import AS_WAS, CUT_OFF, FORMS, FULL, Outcome, Reverse, Stress
from engine.backtest.stress_report import LIMITS, sentences
from jobs import charts

WIDTH = 118
HEAD = (
    "scenario", "form", "held %", "low %", "bar", "end %", "worst %", "stop", "past %", "halt", "flat",
    "unsent", "dark", "refused",
)  # fmt: skip
LEGEND = (
    "Shares are of the equity when the shock begins, bars are counted from there. Loss to the low and its bar, to the "
    "end, and in the worst bar; the first stop that filled and how far past its price at most; the halt; when nothing "
    "was held any more; orders that a closed venue refused; bars that never came, and bars that were refused."
)
CUT = 60.0
"""Percent at which a bar of the chart is cut: what is beyond would hide the rest."""
BACK = ("scenario", "form", *LIMITS, "rising")


def lines(stress: Stress) -> Iterator[str]:
    """The run for people."""
    yield ""
    yield f"  stress: {len(stress.scenarios)} scenarios at {len(stress.places)} places, the worst of them shown"
    yield from _table(HEAD, rows(stress))
    if stress.recorded:
        yield "  recorded days, as they were"
        yield from _table(HEAD, recorded(stress))
    yield from (f"  {line}" for line in textwrap.wrap(LEGEND, WIDTH))
    yield ""
    yield "  smallest scale that loses so much (1 is the scenario as told; for the gap, a share of the price)"
    yield from _table(BACK, back(stress))
    yield from (f"  {sentence}" for sentence in sentences(stress))


def rows(stress: Stress) -> list[tuple[str, ...]]:
    """One row for each scenario and form, of the place where most was lost."""
    return [
        _row(stress.worst(scenario.name, form, size)) for scenario in stress.scenarios for form, size in FORMS
    ]


def recorded(stress: Stress) -> list[tuple[str, ...]]:
    """The same of recorded days."""
    return [_row(outcome) for outcome in stress.recorded]


def back(stress: Stress) -> list[tuple[str, ...]]:
    """How large each shock must be."""
    return [
        (
            reverse.scenario,
            _form(reverse),
            *("not reachable" if reach.scale is None else f"{reach.scale:.2f}" for reach in reverse.reaches),
            "yes" if all(reach.rising for reach in reverse.reaches) else "no",
        )
        for reverse in stress.reverse
    ]


def section(stress: Stress) -> dict[str, Any]:
    """What the page shows."""
    return {
        "sentences": list(sentences(stress)),
        "chart": _chart(stress),
        "cut": CUT,
        "head": HEAD,
        "legend": LEGEND,
        "rows": rows(stress),
        "recorded": recorded(stress),
        "back_head": BACK,
        "back": back(stress),
        "facts": [
            {"name": scenario.name, "title": scenario.title, "facts": scenario.facts}
            for scenario in stress.scenarios
        ],
        "places": [place.strftime("%Y-%m-%d %H:%M") for place in stress.places],
    }


def _row(outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.scenario,
        _form(outcome),
        f"{100 * outcome.gross:.0f}",
        _percent(outcome.loss_low),
        str(outcome.low_at or "-"),
        _percent(outcome.loss_end),
        _percent(outcome.worst_bar),
        _bar(outcome.stopped_at),
        "-" if outcome.beyond_stop is None else _percent(outcome.beyond_stop),
        _bar(outcome.halted_at),
        _bar(outcome.flat_at),
        str(outcome.unsent or "-"),
        str(outcome.dark or "-"),
        str(outcome.refused or "-"),
    )


def _form(told: Outcome | Reverse) -> str:
    return told.form if told.size == 1 else f"{told.form}, x{told.size}"


def _percent(value: float) -> str:
    return f"{round(value * 100, 1) + 0.0:.1f}"


def _bar(number: int | None) -> str:
    return "-" if number is None else str(number)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in head:
        table.add_column(name, justify="left" if name in ("scenario", "form") else "right", no_wrap=True)
    last = ""
    for row in rows:
        table.add_row(row[0] if row[0] != last else "", *row[1:])
        last = row[0]
    text = io.StringIO()
    Console(file=text, width=WIDTH, color_system=None).print(table)
    return [f"  {line}".rstrip() for line in text.getvalue().splitlines() if line.strip()]


def _chart(stress: Stress) -> str:
    risk = stress.settings.risk
    names = [scenario.name for scenario in stress.scenarios]

    lost = {
        form: [100 * stress.worst(name, form).loss_low for name in names] for form in (AS_WAS, FULL, CUT_OFF)
    }
    looks = {AS_WAS: (charts.THEIRS, ""), FULL: (charts.OURS, ""), CUT_OFF: (charts.BAD, "//")}
    groups = [charts.Line(form, np.minimum(CUT, values), *looks[form]) for form, values in lost.items()]
    words = "Loss to the lowest equity in each scenario: " + "; ".join(
        f"{name} {as_was:.1f}, {full:.1f} and {cut_off:.1f} %"
        for name, as_was, full, cut_off in zip(names, *lost.values(), strict=True)
    )
    limits = {"day's halt": 100 * risk.halt_daily_loss, "drawdown": 100 * risk.max_drawdown, "half": 50.0}
    return charts.bars(names, groups, f"{words}.", limits, "% of equity lost at the lowest close")
