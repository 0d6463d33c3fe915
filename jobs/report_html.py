"""A back-test as one HTML file that needs nothing else: no script, no network, readable in ten years."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.backtest.report import Report, summary
from engine.backtest.stress import Stress
from engine.core.analytics.performance import Performance
from engine.core.domain.ids import epoch_ms
from engine.core.domain.market import BarArrays, Floats, Ints
from engine.core.domain.order import Side
from engine.core.domain.records import TradeRecord
from jobs import charts
from jobs.stress_tables import section

TEMPLATES = Path(__file__).parent / "templates"
MARKED = 250
"""Trades that are marked on a price; of more, those that won or lost most."""
PRICES = 6
"""Instruments whose price is drawn."""
LISTED = 200
"""Trades that are listed, the newest first."""


class Figure(NamedTuple):
    """One line of the table of figures: its name, ours and theirs, and what it means."""

    name: str
    key: str
    kind: str
    convention: str


FIGURES = (
    Figure("Return", "total_return", "percent", "after the last bar, of the starting capital"),
    Figure("Return a year", "cagr", "percent", "compounded; none below one year"),
    Figure("Volatility a year", "annual_volatility", "percent", "sample deviation of a bar's return, annualised"),
    Figure("Sharpe", "sharpe", "number", "mean return over that deviation; no risk-free rate"),
    Figure("Sharpe, 95 % from", "sharpe_ci_low", "number", "standard error of Mertens (2002), independent bars"),
    Figure("Sharpe, 95 % to", "sharpe_ci_high", "number", "the same"),
    Figure("Sortino", "sortino", "number", "shortfalls over all bars, not the losing ones only"),
    Figure("Deepest fall", "max_drawdown", "percent", "from an earlier high, the capital included"),
    Figure("Longest fall", "max_drawdown_bars", "count", "bars below an earlier high"),
    Figure("Calmar", "calmar", "number", "return a year by the deepest fall"),
    Figure("Loss of a bar, 95 %", "var_95", "percent", "historical value at risk"),
    Figure("Mean loss beyond it", "es_95", "percent", "historical expected shortfall"),
    Figure("In the market", "exposure", "percent", "share of bars with a position"),
    Figure("Turnover a year", "turnover", "number", "value of closed trades, both sides, by mean equity"),
    Figure("Trades", "trades", "count", "closed, from flat to flat"),
    Figure("Won", "win_rate", "percent", "net above zero"),
    Figure("Won, 95 % from", "win_rate_low", "percent", "Wilson's interval"),
    Figure("Won, 95 % to", "win_rate_high", "percent", "the same"),
    Figure("Profit factor", "profit_factor", "number", "sum of wins by sum of losses"),
    Figure("Mean net of a trade", "expectancy", "money", "account currency"),
    Figure("Mean holding time", "average_holding_bars", "number", "bars"),
)  # fmt: skip
_TRADING = {figure.key for figure in FIGURES[12:]}


def write_report(report: Report, path: Path, stress: Stress | None = None) -> None:
    """Write the page, whole or not at all."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(page(report, stress), encoding="utf-8")
    unfinished.replace(path)


def page(report: Report, stress: Stress | None = None) -> str:
    """The page as text, with a section about a stress run if there was one."""
    import jinja2

    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "number": number, "money": money, "count": count, "cut": cut}
    template = environment.get_template("backtest.html.j2")
    ends, equity = _measured(report)
    return template.render(
        r=summary(report),
        title=", ".join(report.result.series),
        currency=report.result.settings.desk.currency,
        execution=report.result.settings.execution,
        figures=_figures(report),
        compared=_compared(report),
        equity=_equity(report, ends, equity),
        drawdown=_drawdown(ends, equity),
        prices=[_price(report, name, bars) for name, bars in list(report.result.series.items())[:PRICES]],
        drawn=min(PRICES, len(report.result.series)),
        trades=[_trade(trade) for trade in reversed(report.result.trades[-LISTED:])],
        stress=section(stress) if stress else None,
    )


# --- figures --------------------------------------------------------------------------------------


def _figures(report: Report) -> list[dict[str, str]]:
    hold = report.baselines.get("buy_and_hold")
    return [
        {
            "name": figure.name,
            "net": _shown(report.net, figure),
            "gross": _shown(report.gross, figure),
            "hold": "–" if figure.key in _TRADING else _shown(hold, figure),
            "convention": figure.convention,
        }
        for figure in FIGURES
    ]


def _shown(performance: Performance | None, figure: Figure) -> str:
    show = {"percent": percent, "number": number, "money": money, "count": count}[figure.kind]
    return show(getattr(performance, figure.key) if performance else None)


def _compared(report: Report) -> list[dict[str, Any]]:
    rows = {"This desk, after costs": report.net, "This desk, before costs": report.gross} | {
        NAMES.get(name, name.replace("_", " ")): figures for name, figures in report.baselines.items()
    }
    return [{"name": name, "p": figures} for name, figures in rows.items()]


NAMES = {
    "buy_and_hold": "Buy and hold",
    "buy_and_hold_at_our_volatility": "Buy and hold, scaled to our volatility",
    "sma_cross_50_200": "Moving averages 50/200",
    "our_trades_one_bar_late": "Our trades, one bar late",
    "our_trades_reversed": "Our trades, reversed",
}


def _trade(trade: TradeRecord) -> dict[str, Any]:
    return {
        "id": trade.trade,
        "opened": trade.opened_at.strftime("%Y-%m-%d %H:%M"),
        "closed": trade.closed_at.strftime("%Y-%m-%d %H:%M"),
        "instrument": trade.instrument,
        "side": "long" if trade.side is Side.BUY else "short",
        "entry": f"{trade.entry_price:,.8g}",
        "exit": f"{trade.exit_price:,.8g}",
        "bars": trade.bars_held,
        "reason": trade.exit_reason,
        "net": float(trade.net),
        "share": trade.return_share,
    }


def percent(value: float | None) -> str:
    """A share as percent; a dash for what is not known.

    >>> percent(0.1234), percent(None)
    ('12.3 %', '–')
    """
    return "–" if value is None else f"{round(value * 100, 1) + 0.0:,.1f} %".replace("-", "−")


def number(value: float | None) -> str:
    """Two decimals, and a minus sign that is one."""
    return "–" if value is None else f"{round(value, 2) + 0.0:,.2f}".replace("-", "−")


def cut(value: float | None) -> str:
    """Two decimals of a probability, cut as the sentences cut it: 0.9496 has not reached 0.95."""
    return number(None if value is None else math.floor(value * 100 + 1e-9) / 100)


def money(value: float | None) -> str:
    """Whole units above a thousand, cents below."""
    if value is None:
        return "–"
    return f"{value:,.0f}".replace("-", "−") if abs(value) >= 1000 else number(value)


def count(value: int | None) -> str:
    """Thousands apart."""
    return "–" if value is None else f"{value:,}"


# --- charts ---------------------------------------------------------------------------------------


def _measured(report: Report) -> tuple[Ints, Floats]:
    """Moments and equity of the measured bars; the capital stands at the first of them."""
    moments, first = report.result.moments, report.first
    ends = moments.end_ms[max(0, first - 1) :]
    return (ends if first else np.concatenate((ends[:1], ends))), moments.equity[first:]


def _equity(report: Report, ends: Ints, equity: Floats) -> str:
    words = f"Equity of the desk, {_change(equity)}, beside buying and holding, {_change(report.hold)}."
    drawn = (charts.Line("this desk", equity), charts.Line("buy and hold", report.hold, charts.THEIRS, "--"))
    return charts.lines(ends, drawn, words, report.result.settings.desk.currency)


def _drawdown(ends: Ints, equity: Floats) -> str:
    below = 100 * (equity / np.maximum.accumulate(equity) - 1)
    return charts.area(
        ends, below, f"Distance below the highest equity so far; the deepest was {-below.min():.1f} %.", "%"
    )


def _price(report: Report, name: str, bars: BarArrays) -> dict[str, Any]:
    mine = [trade for trade in report.result.trades if trade.instrument == name]
    shown = sorted(mine, key=lambda trade: abs(trade.net), reverse=True)[:MARKED]
    marks = (
        _mark("entry, long", [t for t in shown if t.side is Side.BUY], "^", charts.OURS, entry=True),
        _mark("entry, short", [t for t in shown if t.side is Side.SELL], "v", charts.OURS, entry=True),
        _mark("exit with a gain", [t for t in shown if t.net > 0], "o", charts.GOOD, entry=False),
        _mark("exit with a loss", [t for t in shown if t.net <= 0], "X", charts.BAD, entry=False),
    )
    words = f"Close of {name} with the entries and exits of {len(shown)} trades."
    return {
        "name": name,
        "chart": charts.price(bars.end_ms, bars.close, [mark for mark in marks if mark.end_ms.size], words),
        "marked": len(shown),
        "trades": len(mine),
    }


def _mark(name: str, trades: list[TradeRecord], shape: str, colour: str, *, entry: bool) -> charts.Mark:
    moments = [epoch_ms(trade.opened_at if entry else trade.closed_at) for trade in trades]
    prices = [float(trade.entry_price if entry else trade.exit_price) for trade in trades]
    return charts.Mark(name, np.array(moments, dtype=np.int64), np.array(prices), shape, colour)


def _change(curve: Floats) -> str:
    return percent(float(curve[-1] / curve[0] - 1))
