"""A run, judged: the figures with their conventions, what doing without us would have earned, and what luck could.

Everything is measured from the first moment at which the desk could have traded, for us and for all baselines
alike: the bars that only filled the windows belong to nobody.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from configs.schema.desk import Instrument
from engine.backtest.result import Result
from engine.core.analytics.attribution import Stretch, by_regime, by_source, returns_by, table
from engine.core.analytics.baselines import (
    Placed,
    buy_and_hold,
    delayed,
    marks,
    random_entries,
    sign_flipped,
    sma_cross_trades,
    trade_curve,
)
from engine.core.analytics.honesty import Honesty, assess, honest_summary
from engine.core.analytics.performance import Performance, Trades, performance
from engine.core.analytics.value_at_risk import TailTest, value_at_risk
from engine.core.domain.ids import digest, epoch_ms, from_epoch_ms
from engine.core.domain.market import BarArrays, Floats, Ints
from engine.core.domain.records import TradeRecord
from engine.core.domain.regime import REGIMES
from engine.core.domain.risk import TradingState

DRAWS = 1000
_FEW_DRAWS = 200
_MANY_TRADES = 2000  # from which random entries are drawn less often
_AT_THE_OPEN = ("stop", "target")
_MINUTE_MS = 60_000
PBO_NEEDS_MORE = "one configuration was run; overfitting is a property of choosing between several"


class Report(NamedTuple):
    """A result and its judgement. Curves begin with the capital; baselines are those that have a curve."""

    result: Result
    run_id: str
    data_hash: str
    first: int
    net: Performance
    gross: Performance
    baselines: dict[str, Performance]
    hold: Floats
    honesty: Honesty
    draws: int
    regimes: tuple[dict[str, Any], ...]
    years: tuple[dict[str, Any], ...]
    costs: dict[str, float | None]
    sentences: tuple[str, ...]
    tails: tuple[TailTest, ...] = ()


def judge(result: Result, n_trials: int = 1) -> Report:
    """Work out everything that a report shows. `n_trials` counts all variants that were ever tried."""
    first = min(result.ready, result.moments.end_ms.size)
    capital = float(result.moments.equity[0])
    equity, costs = result.moments.equity[first:], result.moments.costs[first:]
    trades = _columns(result)
    per_year = _traded(result)[0].bars_per_year
    held = result.moments.held[first:]
    net = performance(equity, per_year, trades, in_market=held)
    gross = performance(equity + costs, per_year, _before_costs(trades, result), in_market=held)
    parts = [_Alone.of(result, name, first) for name in result.series]
    parts = [part for part in parts if part.bars.size]
    curves = _curves(parts, result.moments.end_ms[first:], capital) if parts else {}
    curves |= _scaled(curves.get("buy_and_hold"), net, capital, per_year)
    percentile, draws = _percentile(parts, result.settings.desk.seed)
    baselines = {name: performance(curve, per_year) for name, curve in curves.items()}
    honesty = assess(net, trials=n_trials, percentile=percentile)
    data_hash = _data_hash(result.series)
    hold = curves.get("buy_and_hold", np.full(equity.size, capital))
    return Report(
        result=result,
        run_id=digest(
            result.settings_hash, data_hash, result.feature_set, *sorted(result.models.values()), length=12
        ),
        data_hash=data_hash,
        first=first,
        net=net,
        gross=gross,
        baselines=baselines,
        hold=hold,
        honesty=honesty,
        draws=draws,
        regimes=_per_regime(result, equity, first),
        years=_per_year(result, equity, first),
        costs=_costs(result, capital),
        sentences=(
            *honest_summary(net, honesty, baselines.get("buy_and_hold")),
            f"Overfitting of a choice: not measured, for {PBO_NEEDS_MORE}.",
            *_halted(result),
        ),
        tails=tuple(
            [test for name, bars in result.series.items() for test in value_at_risk(name, bars.close)]
        ),
    )


def summary(report: Report) -> dict[str, Any]:
    """The report as plain values for `--json`."""
    result, span = report.result, report.result.moments.end_ms
    return {
        "run_id": report.run_id,
        "instruments": list(result.series),
        "from": _when(span[0]),
        "to": _when(span[-1]),
        "measured_from": _when(span[min(report.first, span.size - 1)]),
        "bars": result.bars,
        "seconds": round(result.seconds, 3),
        "cpu_seconds": round(result.cpu_seconds, 3),
        "bars_per_second": round(result.bars / result.seconds) if result.seconds else None,
        "bars_per_cpu_second": round(result.bars / result.cpu_seconds) if result.cpu_seconds else None,
        "decisions": result.outcomes,
        "refusals": result.refusals,
        "trades": len(result.trades),
        "fills": result.fills,
        "open_positions": result.open_positions,
        "records": result.records,
        "metrics": {"net": _plain(report.net), "gross": _plain(report.gross)},
        "baselines": {name: _plain(figures) for name, figures in report.baselines.items()},
        "honesty": _plain(report.honesty) | {"pbo_reason": PBO_NEEDS_MORE, "random_draws": report.draws},
        "costs": report.costs,
        "attribution": {name: float(part) for name, part in by_source(result.trades).items()},
        "per_regime": list(report.regimes),
        "per_year": list(report.years),
        "sentences": list(report.sentences),
        "value_at_risk": [_plain(test) for test in report.tails],
        "state": {"trading": result.risk.trading.value, "why": result.risk.why},
        "settings_hash": result.settings_hash,
        "data_hash": report.data_hash,
        "feature_set": result.feature_set,
        "models": result.models,
    }


def lines(report: Report) -> Iterator[str]:
    """The report for people, one screen."""
    result, net, gross = report.result, report.net, report.gross
    span = result.moments.end_ms
    yield f"{', '.join(result.series)}: {result.bars:,} bars, {_when(span[0])[:10]} to {_when(span[-1])[:10]}"
    yield f"  measured from {_when(span[min(report.first, span.size - 1)])[:10]} on, {net.bars:,} bars"
    rows = {"desk, after costs": net, "desk, before costs": gross} | {
        name.replace("_", " "): figures for name, figures in report.baselines.items()
    }
    width = max(len(name) for name in rows)
    yield f"  {'':{width}}  {'return':>9} {'a year':>8} {'Sharpe':>7} {'fall':>7} {'in market':>9}"
    for name, p in rows.items():
        yield (
            f"  {name:{width}}  {_percent(p.total_return):>9} {_percent(p.cagr):>8} {_figure(p.sharpe):>7} "
            f"{_percent(p.max_drawdown):>7} {_percent(p.exposure if p in (net, gross) else None):>9}"
        )
    rate = f"won {_percent(net.win_rate)} of them ({_percent(net.win_rate_low)} to {_percent(net.win_rate_high)})"
    yield f"  {len(result.trades)} closed trades" + (f", {rate}" if net.trades else "")
    told = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in result.outcomes.items())
    yield f"  decisions: {told}"
    yield from (f"  {sentence}" for sentence in report.sentences)
    yield from _tested(report.tails)
    speed = f"{result.bars / result.seconds:,.0f} bars a second" if result.seconds else ""
    yield f"  run {report.run_id}, settings {result.settings_hash}, {result.seconds:.1f} s, {speed}"


def _tested(tests: tuple[TailTest, ...]) -> Iterator[str]:
    """Bars that lost more than was said, by instrument; those of the figure in use are last."""
    for name in dict.fromkeys(test.instrument for test in tests):
        mine = [test for test in tests if test.instrument == name]
        first = mine[0]
        yield (
            f"  one bar's 95 % loss of {name}, of {first.bars:,} bars {first.low:,} to {first.high:,} may lose more: "
            + ", ".join(f"{test.estimator} {test.exceptions:,} {test.verdict}" for test in mine)
        )


# --- the account ----------------------------------------------------------------------------------


def _columns(result: Result) -> Trades:
    trades = result.trades
    return Trades(
        net=np.array([float(trade.net) for trade in trades]),
        gross=np.array([float(trade.gross) for trade in trades]),
        fees=np.array([float(trade.fees) for trade in trades]),
        holding_bars=np.array([float(trade.bars_held) for trade in trades]),
        traded=np.array([float(t.quantity * (t.entry_price + t.exit_price)) for t in trades]),
    )


def _before_costs(trades: Trades, result: Result) -> Trades:
    """The same trades as if fees and slippage had cost nothing."""
    slipped = np.array([float(trade.slippage) for trade in result.trades])
    free = trades.gross + slipped
    return trades._replace(net=free, gross=free, fees=np.zeros(free.size))


def _costs(result: Result, capital: float) -> dict[str, float | None]:
    """What trading cost, and what is left when it costs more. `break_even_bps` is a side, of the value traded."""
    profit = float(result.moments.equity[-1]) - capital
    paid = result.fees + result.slippage
    return {
        "fees": result.fees,
        "slippage": result.slippage,
        "traded": result.traded,
        "paid_bps": paid / result.traded * 1e4 if result.traded else None,
        "break_even_bps": max(0.0, (profit + paid) / result.traded * 1e4) if result.traded else None,
        "return_at_double_costs": (profit - paid) / capital,
        "return_at_triple_costs": (profit - 2 * paid) / capital,
    }


def _halted(result: Result) -> tuple[str, ...]:
    risk = result.risk
    if risk.trading is TradingState.ACTIVE:
        return ()
    since = risk.since.date().isoformat() if risk.since else "the start"
    return (
        f"The desk was {risk.trading.value} from {since} to the end ({risk.why}); nobody resumes a back-test.",
    )


# --- doing without us -----------------------------------------------------------------------------


class _Alone(NamedTuple):
    """One instrument's measured bars, its marks, our trades in it by mark, and what a side costs."""

    bars: BarArrays
    prices: Floats
    placed: Placed
    crossing: Placed
    cost_bps: float

    @classmethod
    def of(cls, result: Result, name: str, first: int) -> "_Alone":
        bars = result.series[name]
        ends = result.moments.end_ms
        if first >= ends.size:
            return cls(bars.slice(0, 0), np.zeros(0), _nothing(), _nothing(), 0.0)
        start = int(bars.end_ms.searchsorted(ends[first]))
        crossing = _since(sma_cross_trades(bars.close), start)
        bars = bars.slice(start, bars.size)
        costs = result.settings.execution
        prices = marks(bars.open, bars.close) if bars.size else np.zeros(0)
        mine = [trade for trade in result.trades if trade.instrument == name]
        cost = costs.fee_bps + costs.spread_bps / 2 + costs.slippage_bps
        return cls(bars, prices, _place(mine, bars, result), crossing, cost)


def _since(trades: Placed, start: int) -> Placed:
    """What is left of trades from a mark on: the averages know the bars before it, the account does not."""
    left = trades.exit > start
    entry, leave = np.maximum(trades.entry[left] - start, 0), trades.exit[left] - start
    return Placed(entry, leave, trades.side[left], trades.size[left])


def _place(trades: list[TradeRecord], bars: BarArrays, result: Result) -> Placed:
    """Our trades by mark: a market order trades at a bar's open, a stop or a target some time before the next."""
    if not trades or not bars.size:
        return _nothing()
    entry = bars.end_ms.searchsorted([epoch_ms(trade.opened_at) for trade in trades])
    inside = np.array([trade.exit_reason in _AT_THE_OPEN for trade in trades])
    leave = bars.end_ms.searchsorted([epoch_ms(trade.closed_at) for trade in trades]) + inside
    before = result.moments.end_ms.searchsorted([epoch_ms(trade.opened_at) for trade in trades])
    worth = np.array([float(trade.quantity * trade.entry_price) for trade in trades])
    return Placed(
        entry.astype(np.int64),
        leave.astype(np.int64),
        np.array([float(trade.side.sign) for trade in trades]),
        worth / result.moments.equity[before],
    )


def _nothing() -> Placed:
    return Placed(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def _curves(parts: list[_Alone], ends: Ints, capital: float) -> dict[str, Floats]:
    """The baselines over the desk's moments; with several instruments, an equal part of the capital in each."""
    share = capital / len(parts)
    found: dict[str, Floats] = {}
    for part in parts:
        bars, cost = part.bars, part.cost_bps
        opens, closes = bars.open, bars.close
        made = {
            "buy_and_hold": buy_and_hold(opens, closes, cost, share),
            "sma_cross_50_200": trade_curve(part.prices, part.crossing, cost, share),
        }
        if len(parts) == 1 and part.placed.entry.size:
            held = _held_a_bar(part.placed)
            made["our_trades_one_bar_late"] = trade_curve(
                part.prices, delayed(held, part.prices.size - 1), cost, share
            )
            made["our_trades_reversed"] = trade_curve(part.prices, sign_flipped(held), cost, share)
        seen = np.concatenate(([0], bars.end_ms.searchsorted(ends, side="right")))
        for name, curve in made.items():
            found[name] = found.get(name, np.zeros(seen.size)) + curve[seen]
    return found


def _held_a_bar(placed: Placed) -> Placed:
    return placed._replace(exit=np.maximum(placed.exit, placed.entry + 1))


def _scaled(hold: Floats | None, net: Performance, capital: float, per_year: float) -> dict[str, Floats]:
    """Holding just as much as moves like we do: the fair comparison for a desk that holds little."""
    if hold is None or not net.annual_volatility or hold.size < 3:
        return {}
    returns = hold[1:] / hold[:-1] - 1
    spread = float(returns.std(ddof=1)) * per_year**0.5
    if spread <= 0:
        return {}
    grown = np.maximum(1 + returns * (net.annual_volatility / spread), 0.0)
    curve: Floats = np.concatenate(([1.0], np.cumprod(grown))) * capital
    return {"buy_and_hold_at_our_volatility": curve} if (grown > 0).all() else {}


def _percentile(parts: list[_Alone], seed: int) -> tuple[float | None, int]:
    """The share of random entries that did worse, over all instruments, and how many were drawn."""
    traded = [part for part in parts if part.placed.entry.size]
    if not traded:
        return None, 0
    many = sum(part.placed.entry.size for part in traded) > _MANY_TRADES
    draws = _FEW_DRAWS if many else DRAWS
    ours, drawn = 0.0, np.zeros(draws)
    for number, part in enumerate(traded):
        compared = random_entries(part.prices, part.placed, part.cost_bps, seed + number, draws)
        ours += compared.our_total_return
        drawn += compared.total_returns
    return float(100 * ((drawn < ours).sum() + (drawn == ours).sum() / 2) / draws), draws


# --- tables ---------------------------------------------------------------------------------------


def _per_regime(result: Result, equity: Floats, first: int) -> tuple[dict[str, Any], ...]:
    """What the account did in each regime, and what became of the trades that were opened in it."""
    stretches: dict[str, Stretch] = {}
    if len(result.series) == 1:  # two instruments have two regimes at a time
        names = np.array([*REGIMES, "unknown"])
        labels = names[result.moments.regimes[first:]].tolist()
        stretches = {row.label: row for row in returns_by(equity, labels)} if labels else {}
    trades = {row.key: row for row in by_regime(result.trades, result.regimes)}
    return tuple(
        {"regime": name} | _bars(stretches.get(name)) | _closed(trades.get(name))
        for name in (*REGIMES, "unknown")
        if name in stretches or name in trades
    )


def _per_year(result: Result, equity: Floats, first: int) -> tuple[dict[str, Any], ...]:
    """Years by UTC; a bar that closes at midnight belongs to the day it covers."""
    ends = result.moments.end_ms[first:]
    years = ((ends - 1).astype("datetime64[ms]").astype("datetime64[Y]").astype(int) + 1970).tolist()
    stretches = {row.label: row for row in returns_by(equity, [str(year) for year in years])} if years else {}
    closed = table(result.trades, lambda t: str(from_epoch_ms(epoch_ms(t.closed_at) - 1).year))
    trades = {row.key: row for row in closed}
    return tuple(
        {"year": name} | _bars(stretches.get(name)) | _closed(trades.get(name))
        for name in sorted({*stretches, *trades})
    )


def _bars(row: Stretch | None) -> dict[str, Any]:
    return {"bars": row.bars if row else None, "return": row.total_return if row else None}


def _closed(row: Any) -> dict[str, Any]:
    if row is None:
        return {"trades": 0, "net": 0.0, "win_rate": None}
    return {"trades": row.trades, "net": float(row.net), "win_rate": row.win_rate}


def _traded(result: Result) -> tuple[Instrument, ...]:
    return tuple(result.settings.instrument(name) for name in result.series)


def _data_hash(series: Mapping[str, BarArrays]) -> str:
    """Sixteen hex digits of exactly the bars that were told."""
    found = hashlib.sha256()
    for name, bars in series.items():
        found.update(name.encode())
        for column in bars:
            found.update(np.ascontiguousarray(column).data)
    return found.hexdigest()[:16]


def _plain(value: Any) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain


def _when(end_ms: np.int64 | int) -> str:
    return from_epoch_ms(int(end_ms)).isoformat()


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{round(value * 100, 1) + 0.0:.1f} %"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
