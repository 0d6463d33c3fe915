"""Charts as inline SVG that follows the page: light or dark, at any width.

matplotlib draws with stand-in colours, which are then replaced by the page's own variables. It is imported when
the first chart is drawn, and without pyplot: no window, no global state.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

POINTS = 1600
"""Points of one line; a longer one keeps the lowest and the highest of each piece."""
WIDTH, HEIGHT = 9.6, 3.2  # inches at 72 dots: the viewBox, not the size on the screen

# What is drawn with, and the variable of the page that takes its place.
INK, FAINT, OURS, THEIRS, GOOD, BAD = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
VARIABLES = {
    INK: "--ink", FAINT: "--faint", OURS: "--ours", THEIRS: "--theirs", GOOD: "--good", BAD: "--bad",
}  # fmt: skip


class Line(NamedTuple):
    """A named line; its colour and dash tell it from others also without colours."""

    name: str
    values: Floats
    colour: str = OURS
    style: str = "-"


class Mark(NamedTuple):
    """Points of one kind on a price line, told apart by shape as well as by colour."""

    name: str
    end_ms: Ints
    prices: Floats
    shape: str
    colour: str


def lines(end_ms: Ints, drawn: Sequence[Line], describe: str, unit: str = "") -> str:
    """One or more lines over time."""

    def draw(axes: "Axes") -> None:
        for line in drawn:
            kept = thinned(line.values)
            axes.plot(
                _times(end_ms[kept]),
                line.values[kept],
                line.style,
                color=line.colour,
                lw=1.4,
                label=line.name,
            )
        axes.set_ylabel(unit)
        if len(drawn) > 1:
            axes.legend(loc="upper left", frameon=False, labelcolor=INK, ncols=len(drawn))

    return _svg(draw, describe)


def area(end_ms: Ints, values: Floats, describe: str, unit: str = "") -> str:
    """One line with what lies between it and zero."""

    def draw(axes: "Axes") -> None:
        kept = thinned(values)
        axes.fill_between(_times(end_ms[kept]), values[kept], 0.0, color=BAD, alpha=0.35, lw=0)
        axes.plot(_times(end_ms[kept]), values[kept], color=BAD, lw=1.0)
        axes.set_ylabel(unit)
        axes.margins(y=0.02)

    return _svg(draw, describe, height=2.0)


def price(end_ms: Ints, closes: Floats, marks: Sequence[Mark], describe: str) -> str:
    """A price with what was done at it."""

    def draw(axes: "Axes") -> None:
        kept = thinned(closes)
        axes.plot(_times(end_ms[kept]), closes[kept], color=THEIRS, lw=0.9, label="close")
        for mark in marks:
            if mark.end_ms.size:
                axes.plot(
                    _times(mark.end_ms), mark.prices, mark.shape, color=mark.colour, ms=5.5, mew=0.4,
                    mec=INK, ls="none", label=mark.name, zorder=3,
                )  # fmt: skip
        axes.legend(loc="upper left", frameon=False, labelcolor=INK, ncols=1 + len(marks))
        top, bottom = float(closes.max()), float(closes.min())
        if bottom > 0 and top / bottom > 5:
            axes.set_yscale("log")

    return _svg(draw, describe, height=3.6)


def bars(
    names: Sequence[str], groups: Sequence[Line], describe: str, limits: Mapping[str, float], unit: str
) -> str:
    """A row of bars for each name, one of each group; `limits` are lines across, by what they are called."""

    def draw(axes: "Axes") -> None:
        thick = 0.8 / len(groups)
        rows = np.arange(len(names))
        for place, group in enumerate(groups):
            axes.barh(
                rows + (place - (len(groups) - 1) / 2) * thick, group.values, thick * 0.9, color=group.colour,
                label=group.name, hatch=group.style, edgecolor=FAINT, lw=0.4,
            )  # fmt: skip
        for name, value in limits.items():
            axes.axvline(value, color=INK, lw=0.7, ls=":")
            axes.text(value, -0.75, name, color=INK, fontsize=8, ha="center")
        axes.set_yticks(rows, names)
        axes.set_ylim(len(names) - 0.5, -1.0)
        axes.set_xlabel(unit)
        axes.xaxis.label.set_color(INK)
        axes.legend(loc="lower right", frameon=False, labelcolor=INK)

    return _svg(draw, describe, height=0.8 + 0.42 * len(names))


def thinned(values: Floats, points: int = POINTS) -> Ints:
    """The rows to draw: all of them, or the lowest and highest of each piece, and both ends.

    >>> thinned(np.array([0.0, 9.0, 1.0, 2.0, -5.0, 3.0]), points=4).tolist()
    [0, 1, 4, 5]
    """
    if values.size <= points:
        return np.arange(values.size)
    edges = np.linspace(0, values.size, points // 2 + 1).astype(np.int64)
    kept = {0, values.size - 1}
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        piece = values[first:last]
        kept |= {first + int(piece.argmin()), first + int(piece.argmax())}
    return np.array(sorted(kept), dtype=np.int64)


def _times(end_ms: Ints) -> Any:
    return end_ms.astype("datetime64[ms]")


def _svg(draw: "Callable[[Axes], None]", describe: str, height: float = HEIGHT) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "whydesk",
        "font.family": "sans-serif",
        "font.size": 9,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        if axes.get_yscale() == "log":
            for formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
                formatter(ScalarFormatter())
        _plain(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(text.getvalue(), describe)


def _plain(axes: "Axes") -> None:
    axes.grid(visible=True, axis="y", color=FAINT, lw=0.5)
    axes.tick_params(colors=INK, length=0)
    axes.yaxis.label.set_color(INK)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(FAINT)


def _inline(text: str, describe: str) -> str:
    """The drawing alone, as wide as its place, with a text for those who cannot see it."""
    drawing = text[text.index("<svg") :]
    for colour, variable in VARIABLES.items():
        drawing = drawing.replace(colour, f"var({variable})")
    drawing = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", drawing, count=1)
    drawing = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawing, count=1)
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", drawing)
    drawing = re.sub(
        r' id="\w+?_\d+"', "", drawing
    )  # the page holds several drawings, and ids must be unique
    return drawing.replace("<svg", f'<svg role="img" aria-label="{escape(describe)}"', 1)
