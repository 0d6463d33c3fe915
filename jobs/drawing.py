"""The process that draws: one request on stdin, one PNG on stdout, or one line on stderr that says why not.

It reads the journal itself, so that whoever asks does nothing but wait. It draws one picture and ends: what hangs or
grows ends with it. Pictures are made for a phone: 1080 by 720, no letter smaller than 22 pixels, few of them. Blue and
orange are told apart by every eye, and shape says the same as colour.
"""

import io
import os
import resource
import signal
import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from bot.render import NEAR, Stage, stage_of
from configs.schema.settings import Settings
from engine.core.domain.errors import BadQuestion, WhydeskError
from engine.core.domain.market import Bar
from engine.core.domain.order import Fill
from engine.core.domain.portfolio import Position
from engine.core.domain.records import CycleRecord, FillRecord, StartRecord, TradeRecord
from engine.live.recover import rebuild
from engine.ports import Journal
from engine.store.journal import SqlJournal
from explain.units import MONTHS, day, money, name, percent, price, score, signed_percent, when, write

Floats = NDArray[np.float64]

WIDTH, HEIGHT = 1080, 720
"""Pixels."""
DOTS = 100
SMALL, LARGE = 16.0, 20.0
"""Points at 100 dots an inch: 22 and 28 pixels."""
USUAL_BARS, MOST_CANDLES, MOST_BARS = 90, 150, 3000
"""Bars of a chart without days; candles on a phone, more are put together; bars that are read."""
MOMENTS = 1200
"""Points of an equity curve; a longer one is looked at so often, evenly."""
MOST_FILLS, MOST_ROWS = 400, 10
ENDS_AFTER_S, MEMORY = 15, 4 * 2**30
"""The process ends itself after that, should nobody be left to end it; and it gets no more bytes than that."""
REFUSED = 2
"""The exit code of what cannot be drawn, and the line on stderr says why."""


class Request(msgspec.Struct, frozen=True):
    """A picture that is wanted: its kind, what it is of, for how many days (0 for the usual), and from which store.

    `risk` is the desk's own panel, which knows what no record says yet.
    """

    kind: str
    store: str
    about: str = ""
    days: int = 0
    light: bool = False
    risk: dict[str, Any] | None = None


class Look(NamedTuple):
    """Colours: of the ground, of text, of what is in the background, of up and down, of what is bad, and of marks."""

    ground: str
    ink: str
    muted: str
    faint: str
    up: str
    down: str
    bad: str
    bought: str
    sold: str


DARK = Look("#11151a", "#eceff3", "#a3adb8", "#39424e", "#56b4e9", "#e69f00", "#ff6f3c", "#35d0a0", "#ee9ccb")
LIGHT = Look(
    "#ffffff", "#15181c", "#59626d", "#d3d8de", "#0072b2", "#d98200", "#c23b00", "#00875f", "#a8437f"
)


def drawn(request: Request) -> bytes:
    """The PNG. BadQuestion for what the records do not hold, StoreFailed for a record that cannot be read."""
    draw = KINDS.get(request.kind)
    if draw is None:
        raise BadQuestion(f"{request.kind!r} is no picture: expected one of {', '.join(KINDS)}")
    journal = SqlJournal(request.store, read_only=True)
    try:
        figure = draw(request, journal, LIGHT if request.light else DARK)
    finally:
        journal.close()
    return png(figure)


def png(figure: Figure) -> bytes:
    """The figure as it is sent."""
    told = io.BytesIO()
    figure.savefig(
        told, format="png", dpi=DOTS, facecolor=figure.get_facecolor(), metadata={"Software": None}
    )
    return told.getvalue()


# --- candles ---


class Candles(NamedTuple):
    """What is drawn of an instrument. `ends` are the closes of the candles, each of `together` bars; `places` says at
    which candle each fill is."""

    instrument: str
    stage: Stage
    ends: tuple[datetime, ...]
    prices: Floats
    """A row a candle: open, high, low, close."""
    together: int
    fills: tuple[Fill, ...]
    places: tuple[int, ...]
    position: Position | None
    last: Decimal


def read_candles(journal: Journal, instrument: str, days: int) -> Candles:
    """The newest bars that decisions were made on, with what was done at them and what is held now."""
    bars = _bars(journal, instrument, days)
    together = -(-len(bars) // MOST_CANDLES)
    first = len(bars) % together  # the newest candle is whole
    groups = [
        bars[max(0, start) : start + together] for start in range(first - together, len(bars), together)
    ]
    groups = [group for group in groups if group]
    ends = tuple(group[-1].end for group in groups)
    since = bars[0].end - (bars[1].end - bars[0].end if len(bars) > 1 else timedelta(0))
    found = journal.find(
        kind="fill", instrument=instrument, since=since, limit=MOST_FILLS, newest_first=False
    )
    fills = tuple(stored.record.fill for stored in found if isinstance(stored.record, FillRecord))
    portfolio = rebuild(journal, _settings(journal)).state.portfolio
    return Candles(
        instrument=instrument,
        stage=stage_of(journal),
        ends=ends,
        prices=np.array([_candle(group) for group in groups]),
        together=together,
        fills=fills,
        places=tuple(min(bisect_left(ends, fill.at), len(ends) - 1) for fill in fills),
        position=portfolio.position(instrument),
        last=bars[-1].close,
    )


def _bars(journal: Journal, instrument: str, days: int) -> list[Bar]:
    newest = journal.find(kind="cycle", instrument=instrument, limit=1)
    if not newest:
        raise BadQuestion(f"no bar of {instrument} is on record yet")
    since = newest[0].record.at - timedelta(days=days) if days else None
    limit = MOST_BARS if days else USUAL_BARS
    found = journal.find(kind="cycle", instrument=instrument, since=since, limit=limit)
    seen = {
        stored.record.observation.bar.end: stored.record.observation.bar
        for stored in found
        if isinstance(stored.record, CycleRecord)
    }
    return [seen[end] for end in sorted(seen)]


def _candle(bars: Sequence[Bar]) -> tuple[float, float, float, float]:
    highest, lowest = max(bar.high for bar in bars), min(bar.low for bar in bars)
    return float(bars[0].open), float(highest), float(lowest), float(bars[-1].close)


def draw_candles(of: Candles, look: Look) -> Figure:
    """Bodies and wicks, a triangle at each fill, lines at what the open position lives by, and the last price."""
    figure, axes = _sheet(look)
    opens, highs, lows, closes = of.prices.T
    places = np.arange(len(of.ends))
    rising = closes >= opens
    colours = [look.up if up else look.down for up in rising]
    wicks = [[(place, low), (place, high)] for place, low, high in zip(places, lows, highs, strict=True)]
    axes.add_collection(LineCollection(wicks, colors=colours, linewidths=1.6, zorder=2))
    axes.add_collection(
        PolyCollection(
            [_body(*each) for each in zip(places.tolist(), opens.tolist(), closes.tolist(), strict=True)],
            facecolors=colours, edgecolors=colours, linewidths=1.6, zorder=2,
        )
    )  # fmt: skip
    _marks(figure, axes, of, look)
    levels = _levels(of, look)
    room = [*lows, *highs, *[float(fill.price) for fill in of.fills], *[value for _, value, _, _ in levels]]
    low, high = min(room), max(room)
    pad = 0.06 * (high - low or abs(high) or 1.0)
    axes.set_ylim(low - pad, high + pad)
    axes.set_xlim(-1, len(of.ends))
    _labels(axes, levels, look)
    _bar_ticks(axes, of.ends)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.set_ylabel(of.instrument.partition("/")[2] or of.stage.currency)
    each = f", each candle {of.together} bars" if of.together > 1 else ""
    _title(
        figure, axes, look,
        f"{of.instrument} {of.stage.price(of.last, of.instrument)}",
        f"{of.stage.mode}, as of {when(of.ends[-1])}; {len(of.ends)} candles{each}",
    )  # fmt: skip
    return figure


def _body(place: float, opened: float, closed: float) -> list[tuple[float, float]]:
    return [(place - 0.3, opened), (place - 0.3, closed), (place + 0.3, closed), (place + 0.3, opened)]


MARKS = {
    ("e", 1): ("^", "entry, bought"),
    ("e", -1): ("v", "entry, sold short"),
    ("x", 1): ("^", "exit, bought back"),
    ("x", -1): ("v", "exit, sold"),
}
"""By whether it opened or closed, and by its direction: the shape, and what it is called."""


def _marks(figure: Figure, axes: Axes, of: Candles, look: Look) -> None:
    for (leg, sign), (shape, called) in MARKS.items():
        chosen = [
            (place, float(fill.price))
            for place, fill in zip(of.places, of.fills, strict=True)
            if (fill.leg == "e") == (leg == "e") and fill.side.sign == sign
        ]
        if chosen:
            across, up = zip(*chosen, strict=True)
            colour = look.bought if sign > 0 else look.sold
            axes.plot(
                across, up, shape, ls="none", ms=17, mec=look.ground, mew=2, color=colour, label=called, zorder=4
            )  # fmt: skip
    if of.fills:
        figure.legend(
            loc="outside lower center", frameon=False, labelcolor=look.ink, fontsize=SMALL, ncols=4,
            handletextpad=0.1, columnspacing=1.0, borderaxespad=0.0,
        )  # fmt: skip


Level = tuple[str, float, str, str]


def _levels(of: Candles, look: Look) -> list[Level]:
    """What it is called with its price, where, in which colour and dashes."""
    found: list[Level] = []
    if of.position is not None:
        held = of.position
        for word, value, colour, style in (
            ("target", held.target, look.bought, "--"),
            ("entry", held.average_price, look.muted, "-."),
            ("stop", held.stop, look.bad, "--"),
        ):
            found.append((f"{word}\n{price(value)}", float(value), colour, style))
    return [*found, (f"last\n{price(of.last)}", float(of.last), look.ink, ":")]


def _labels(axes: Axes, levels: Sequence[Level], look: Look) -> None:
    """Lines across, each named at the right; names keep clear of each other, so one may stand beside its line."""
    low, high = axes.get_ylim()
    step = (high - low) * 0.105
    ranked = sorted(levels, key=lambda level: level[1])
    heights = [value for _, value, _, _ in ranked]
    for place in range(1, len(heights)):
        heights[place] = max(heights[place], heights[place - 1] + step)
    over = heights[-1] - (high - step / 2)
    if over > 0:
        heights[-1] -= over
        for place in range(len(heights) - 2, -1, -1):
            heights[place] = min(heights[place], heights[place + 1] - step)
    for (called, value, colour, style), height in zip(ranked, heights, strict=True):
        axes.axhline(value, color=colour, lw=2.0, ls=style, zorder=1, label=f"_{called}")
        axes.annotate(
            called, xy=(1.0, value), xycoords=("axes fraction", "data"), xytext=(1.015, height),
            textcoords=("axes fraction", "data"), color=colour, fontsize=SMALL, va="center", linespacing=0.95,
            annotation_clip=False,
        )  # fmt: skip


def _bar_ticks(axes: Axes, ends: Sequence[datetime]) -> None:
    """Places are candles, so that closed markets leave no gap; the names under them are their closes."""
    span = ends[-1] - ends[0]
    short = len(ends) > 1 and span / len(ends) < timedelta(hours=20)
    count = 4 if short else 5
    places = np.unique(np.linspace(0, len(ends) - 1, count + 2).round().astype(int)[1:-1])
    axes.set_xticks(places, [_tick(ends[place], span, within_day=short) for place in places])
    axes.set_xlabel("close of the bar, UTC")


def _tick(moment: datetime, span: timedelta, *, within_day: bool) -> str:
    shown = moment if within_day or moment.time() != datetime.min.time() else moment - timedelta(days=1)
    month = MONTHS[shown.month - 1]
    if within_day:
        clock = f"{shown:%H:%M}"
        return clock if span < timedelta(hours=20) else f"{shown.day} {month}\n{clock}"
    return f"{shown.day} {month}\n{shown.year}" if span > timedelta(days=200) else f"{shown.day} {month}"


# --- equity ---


class Curve(NamedTuple):
    """The account over time: a point a moment, or `MOMENTS` of them where there are more. Drawdowns are shares."""

    stage: Stage
    at: tuple[datetime, ...]
    equity: Floats
    drawdown: Floats
    whole: bool
    halt: float


def read_curve(journal: Journal, days: int) -> Curve:
    """From the portfolios that decisions were made on, and the high-water mark that each of them knew."""
    newest = journal.find(kind="cycle", limit=1)
    oldest = journal.find(kind="cycle", limit=1, newest_first=False)
    if not newest or not oldest:
        raise BadQuestion("no decision is on record yet, and so no equity")
    last = newest[0].record.at
    since = max(last - timedelta(days=days), oldest[0].record.at) if days else oldest[0].record.at
    found = journal.find(kind="cycle", since=since, limit=MOMENTS)
    whole = len(found) < MOMENTS
    records = [stored.record for stored in found] if whole else _evenly(journal, since, last)
    points: dict[datetime, CycleRecord] = {}
    for record in sorted(records, key=lambda each: each.at):  # of one moment the last knows every new price
        if isinstance(record, CycleRecord):
            points[record.at] = record
    if len(points) < 2:
        raise BadQuestion(f"one moment is on record since {when(since)}: a curve takes two")
    equity = np.array([float(record.portfolio.equity) for record in points.values()])
    known = np.array([float(record.result.risk.high_water) for record in points.values()])
    high = np.maximum(np.maximum.accumulate(equity), known)
    fall = np.where(high > 0, (high - equity) / np.where(high > 0, high, 1.0), 0.0)
    return Curve(
        stage=stage_of(journal),
        at=tuple(points),
        equity=equity,
        drawdown=fall,
        whole=whole,
        halt=_settings(journal).risk.max_drawdown,
    )


def _evenly(journal: Journal, since: datetime, last: datetime) -> list[Any]:
    step = (last - since) / (MOMENTS - 1)
    found = []
    for number in range(MOMENTS):
        until = since + step * number + timedelta(milliseconds=1)
        found += [stored.record for stored in journal.find(kind="cycle", until=until, limit=1)]
    return found


def draw_curve(of: Curve, look: Look) -> Figure:
    """Equity above, and below it how far it lay under its highest, with the limit that halts the desk."""
    figure = Figure(
        figsize=(WIDTH / DOTS, HEIGHT / DOTS), dpi=DOTS, layout="constrained", facecolor=look.ground
    )
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.1, 1))
    times = date2num(of.at)
    above.plot(times, of.equity, color=look.up, lw=2.5, label="equity")
    above.axhline(float(of.equity[0]), color=look.muted, lw=1.6, ls=":", label="_start")
    above.set_ylabel(of.stage.currency or "money")
    above.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    below.fill_between(times, -100 * of.drawdown, 0.0, color=look.down, alpha=0.45, lw=0)
    below.plot(times, -100 * of.drawdown, color=look.down, lw=2.0, label="drawdown")
    worst = float(of.drawdown.max())
    if of.halt < 2.5 * max(worst, 0.004):
        below.axhline(-100 * of.halt, color=look.bad, lw=2.0, ls="--", label="_halt")
        below.annotate(
            f"halts at {percent(of.halt)}", xy=(0.01, -100 * of.halt), xycoords=("axes fraction", "data"),
            xytext=(0, 4), textcoords="offset points", color=look.bad, fontsize=SMALL, va="bottom",
        )  # fmt: skip
    below.set_ylabel("drawdown, %")
    for axes in (above, below):
        _plain(axes, look)
        axes.margins(x=0.01)
    below.yaxis.set_major_locator(MaxNLocator(3))
    above.yaxis.set_major_locator(MaxNLocator(5))
    below.set_ylim(top=0.0)
    locator = AutoDateLocator(minticks=3, maxticks=6, tz=UTC)
    below.xaxis.set_major_locator(locator)
    below.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC, show_offset=False))
    below.set_xlabel("UTC")
    began, now = float(of.equity[0]), float(of.equity[-1])
    grown = f" ({signed_percent(now / began - 1)})" if began > 0 else ""
    seen = "" if of.whole else f" (of {len(of.at):,} moments)"
    _title(
        figure, above, look,
        f"Equity {money(float(now))} {of.stage.currency}{grown}",
        f"{of.stage.mode}, {day(of.at[0])} to {when(of.at[-1])}\n"
        f"drawdown {percent(float(of.drawdown[-1]))} now, worst {percent(worst)}{seen}",
    )  # fmt: skip
    return figure


# --- one decision ---


class Votes(NamedTuple):
    """A decision: what each vote added, what they came to, and the gate it had to pass, None where none is known."""

    cycle: CycleRecord
    stage: Stage
    names: tuple[str, ...]
    said: tuple[str, ...]
    added: tuple[float, ...]
    gate: float | None


def read_votes(journal: Journal, record: str) -> Votes:
    """Of a decision, or of the decision that opened a trade."""
    stored = journal.get(record)
    if stored is not None and isinstance(stored.record, TradeRecord):
        stored = journal.get(stored.record.entry_decision)
    if stored is None or not isinstance(stored.record, CycleRecord):
        raise BadQuestion(f"{record[:60]} is no decision on record")
    cycle = stored.record
    forecast = cycle.result.forecast
    if forecast is None or not forecast.votes:
        raise BadQuestion(f"{cycle.id} has no votes: {cycle.result.refused_by or cycle.result.outcome.value}")
    check = next((each for each in cycle.result.review.checks if each.name == "confidence"), None)
    ranked = sorted(forecast.votes, key=lambda vote: -abs(vote.contribution))
    shown, rest = ranked[: MOST_ROWS - 2], ranked[MOST_ROWS - 2 :]
    names = [name(vote.source) for vote in shown]
    said = [f"{score(vote.score)} x {percent(vote.weight)}" for vote in shown]
    added = [vote.contribution for vote in shown]
    if rest:
        names.append(f"{len(rest)} others")
        said.append("together")
        added.append(sum(vote.contribution for vote in rest))
    gate = check.limit if check else None
    return Votes(cycle, stage_of(journal), tuple(names), tuple(said), tuple(added), gate)


def draw_votes(of: Votes, look: Look) -> Figure:
    """Each vote goes on where the one before it ended; the last row is what they come to, against the gate."""
    forecast = of.cycle.result.forecast
    assert forecast is not None, "it was looked at"
    figure, axes = _sheet(look)
    total = forecast.score
    ends = np.cumsum(of.added)
    starts = np.concatenate(([0.0], ends[:-1]))
    rows = np.arange(len(of.added) + 1)
    lefts, widths = np.append(starts, 0.0), np.append(of.added, total)
    colours = [look.up if width >= 0 else look.down for width in widths]
    axes.barh(rows, widths, 0.62, left=lefts, color=colours, zorder=3)
    for row in rows[:-1]:
        axes.plot([ends[row]] * 2, [row - 0.31, row + 1.31], color=look.muted, lw=1.2, zorder=2)
    sides = (-1, 1) if not forecast.direction else (forecast.direction,)
    needed = 2 * of.gate - 1 if of.gate is not None else 0.0
    marks = [side * needed for side in sides] if of.gate is not None else []
    reach = [0.0, total, *ends, *starts, *marks]
    low, high = min(reach), max(reach)
    pad = 0.24 * (high - low or 1.0)
    axes.set_xlim(low - (pad if low < 0 else 0.04 * (high - low)), high + pad)
    for row, (left, width) in enumerate(zip(lefts, widths, strict=True)):
        tip = max(left, left + width)
        axes.annotate(
            score(float(width)), xy=(tip, row), xytext=(7, 0), textcoords="offset points", va="center",
            color=look.ink, fontsize=SMALL, fontweight="bold" if row == rows[-1] else "normal", zorder=5,
            bbox=_behind(look),
        )  # fmt: skip
    for mark in marks:
        axes.axvline(mark, color=look.bad, lw=2.2, ls="--", zorder=4, label="gate")
    axes.axvline(0.0, color=look.muted, lw=1.4, zorder=1)
    called = [f"{each}\n{said}" for each, said in zip(of.names, of.said, strict=True)]
    axes.set_yticks(rows, [*called, "sum"])
    axes.set_ylim(rows[-1] + 0.6, -0.6)
    axes.grid(visible=True, axis="x", color=look.faint, lw=0.8)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("score x weight; confidence = (1 + |sum|) / 2")
    cycle = of.cycle
    why = f", {cycle.result.refused_by}" if cycle.result.refused_by else ""
    gate = f", gate {percent(of.gate)} (dashed)" if of.gate is not None else ""
    _title(
        figure, axes, look,
        f"{cycle.instrument}: {name(cycle.result.outcome.value)}{why}",
        f"{of.stage.mode}, as of {when(cycle.at)}\nconfidence {percent(forecast.confidence)}{gate}",
    )  # fmt: skip
    return figure


# --- limits ---


class Row(NamedTuple):
    """A limit: how much of it is used, as a share of it, and that in words."""

    called: str
    used: float
    said: str
    passed: bool


class Limits(NamedTuple):
    """The desk's limits, the most used first; `others` are left out, none of them used more than the last shown."""

    stage: Stage
    state: str
    at: datetime
    rows: tuple[Row, ...]
    others: int


def read_limits(journal: Journal, risk: dict[str, Any] | None) -> Limits:
    """From the desk's panel, which the records alone do not hold."""
    if not risk or not risk.get("checks"):
        raise BadQuestion("the desk tells no limits")
    rows = [row for check in risk["checks"] if (row := _row(check)) is not None]
    ranked = sorted(rows, key=lambda row: (row.passed, -row.used))
    return Limits(
        stage=stage_of(journal),
        state=str(risk["state"]),
        at=datetime.fromisoformat(risk["as_of"]),
        rows=tuple(ranked[:MOST_ROWS]),
        others=len(ranked[MOST_ROWS:]),
    )


def _row(check: dict[str, Any]) -> Row | None:
    """None for what is met or not, and is met."""
    called = f"{check['name']}{' (halts)' if check['key'] == 'risk.halt_daily_loss' else ''}"
    unit, value, limit = check["unit"], float(check["value"]), float(check["limit"])
    if check["operator"] != "<=" or limit <= 0:
        if check["passed"]:
            return None
        return Row(called, 1.0, "not met", passed=False)
    left = write(min(max(0.0, float(check["headroom"])), limit), unit)
    said = f"{write(max(0.0, value), unit)} of {write(limit, unit)}, {left} left"
    return Row(called, max(0.0, value / limit), said, passed=bool(check["passed"]))


def draw_limits(of: Limits, look: Look) -> Figure:
    """A bar a limit: the filled part is used, the outlined part is left."""
    figure, axes = _sheet(look)
    rows = np.arange(len(of.rows))
    shares = np.array([min(row.used, 1.0) for row in of.rows])
    colours = [look.bad if not row.passed else look.down if row.used >= NEAR else look.up for row in of.rows]
    axes.barh(rows, np.ones(len(rows)) * 100, 0.34, color=look.ground, edgecolor=look.muted, lw=1.2, zorder=2)
    axes.barh(
        rows,
        shares * 100,
        0.34,
        color=colours,
        zorder=3,
        hatch=["" if row.passed else "//" for row in of.rows],
    )
    for place, row in enumerate(of.rows):
        axes.text(0, place - 0.24, row.called, color=look.ink, fontsize=SMALL, va="bottom", zorder=4)
        axes.text(
            100, place - 0.24, row.said, color=look.muted, fontsize=SMALL, va="bottom", ha="right", zorder=6,
            bbox=_behind(look),
        )  # fmt: skip
    axes.axvline(NEAR * 100, color=look.muted, lw=1.4, ls=":", zorder=5)
    axes.set_yticks([])
    axes.set_ylim(max(len(rows), 5) - 0.6, -0.85)
    axes.set_xlim(0, 100.5)
    axes.set_xticks([0, 20, 40, 60, 80, 100])
    axes.grid(visible=False)
    axes.set_xlabel("% of the limit that is used")
    more = f"; those not shown ({of.others}) are used less" if of.others else ""
    _title(
        figure, axes, look, f"Limits: the desk is {of.state}", f"{of.stage.mode}, as of {when(of.at)}{more}"
    )  # fmt: skip
    return figure


# --- what all have ---


def _settings(journal: Journal) -> Settings:
    found = journal.find(kind="start", limit=1)
    return found[0].record.settings() if found and isinstance(found[0].record, StartRecord) else Settings()


def _sheet(look: Look) -> tuple[Figure, Axes]:
    figure = Figure(
        figsize=(WIDTH / DOTS, HEIGHT / DOTS), dpi=DOTS, layout="constrained", facecolor=look.ground
    )
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _plain(axes, look)
    return figure, axes


def _plain(axes: Axes, look: Look) -> None:
    axes.set_facecolor(look.ground)
    axes.grid(visible=True, axis="y", color=look.faint, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=look.ink, labelsize=SMALL, length=0)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(look.muted)
        label.set_fontsize(SMALL)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(look.faint)


def _title(figure: Figure, axes: Axes, look: Look, large: str, small: str) -> None:
    """What it is in large letters; below, where orders go and as of when."""
    figure.suptitle(large, x=0.012, ha="left", color=look.ink, fontsize=LARGE, fontweight="bold")
    axes.set_title(small, loc="left", color=look.muted, fontsize=SMALL, linespacing=1.1)


def _behind(look: Look) -> dict[str, Any]:
    """What keeps a text clear of the lines that it lies on."""
    return {"facecolor": look.ground, "edgecolor": "none", "pad": 1.5}


def _short(value: float) -> str:
    """A price or an amount on an axis."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.6g}"


def _candles(request: Request, journal: Journal, look: Look) -> Figure:
    return draw_candles(read_candles(journal, request.about, request.days), look)


def _equity(request: Request, journal: Journal, look: Look) -> Figure:
    return draw_curve(read_curve(journal, request.days), look)


def _decision(request: Request, journal: Journal, look: Look) -> Figure:
    return draw_votes(read_votes(journal, request.about), look)


def _risk(request: Request, journal: Journal, look: Look) -> Figure:
    return draw_limits(read_limits(journal, request.risk), look)


KINDS: dict[str, Callable[[Request, Journal, Look], Figure]] = {
    "candles": _candles,
    "equity": _equity,
    "decision": _decision,
    "risk": _risk,
}


def main() -> int:
    """Get ready, wait for the one request, draw. Nothing on stdin means that nobody wants anything any more."""
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warm, axes = _sheet(DARK)
    _title(warm, axes, DARK, "0", "0")
    png(warm)
    told = sys.stdin.buffer.read()
    if not told:
        return 0
    signal.alarm(ENDS_AFTER_S)
    try:
        picture = drawn(msgspec.json.decode(told, type=Request))
    except WhydeskError as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    sys.stdout.buffer.write(picture)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
