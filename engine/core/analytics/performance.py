"""What an account did: one figure, one convention.

Most disagreements between libraries are conventions and not mistakes, so each is stated here once, and the
handbook's page on metrics says the same for people. The figures are checked against Bacon's 24 months, as R's
PerformanceAnalytics prints them, and against Lo (2002).

The equity curve begins with the starting capital: `equity[0]` is what was paid in and `equity[i]` the account
after bar `i`. A figure that the data cannot give is None, with a note in words; it is never a large number.
"""

import math
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.core.domain.errors import BadData
from engine.core.maths.rolling import Floats
from engine.core.maths.statistics import Moments, autocorrelation, moments, normal_quantile, wilson_interval
from engine.core.maths.tails import historical_tail

FEW_TRADES = 30
_NOTHING: Floats = np.zeros(0)


class Trades(NamedTuple):
    """Closed trades as columns of one length, in the currency of the account.

    `net` is `gross` less `fees`. `holding_bars` are bars from entry to exit. `traded` is the value bought and
    sold, both sides; without it there is no turnover.
    """

    net: Floats = _NOTHING
    gross: Floats = _NOTHING
    fees: Floats = _NOTHING
    holding_bars: Floats = _NOTHING
    traded: Floats | None = None


NO_TRADES = Trades()


class Performance(msgspec.Struct, frozen=True):
    """The figures of one account over one stretch of bars. Shares are 0.01 for one percent.

    * `total_return` is also `net_return`: after every cost. `gross_return` adds the closed trades' fees
      back, as a share of the starting capital; slippage is inside both.
    * `cagr` compounds over `years` = bars / bars_per_year; None below one year.
    * `annual_volatility`: sample standard deviation (n - 1) of simple returns per bar, times
      sqrt(bars_per_year).
    * `sharpe`: arithmetic mean return over the risk-free rate, by that deviation, annualised alike.
      `sharpe_ci` is its 95 % interval with the standard error of Mertens (2002), which is Lo's (2002) with
      the sample's own skewness and kurtosis; bars are taken as independent. `sharpe_autocorrelated`
      annualises by Lo's eta(q) for the lag-1 `autocorrelation` instead of sqrt(q).
    * `sortino`: the same mean by the root mean square of the shortfalls below the risk-free rate, over
      **all** bars and not the losing ones only.
    * `max_drawdown`: deepest fall from an earlier high, the starting capital included, as a positive share.
      `max_drawdown_bars`: longest stretch below an earlier high, also when it has not ended.
      `ulcer_index`: root mean square of the drawdown at each bar (Martin 1987). `calmar`: cagr / max_drawdown
      over the whole stretch.
    * `var_95`, `es_95`: historical, per bar, positive for a loss (see `maths/tails.py`).
    * `exposure`: share of bars with a position. `turnover`: value traded, both sides, by mean equity and
      years.
    * `win_rate` counts net > 0 among all trades, with Wilson's 95 % interval. `average_loss` is negative.
      `payoff` = average_win / -average_loss; `profit_factor` = sum of wins / -sum of losses, None when
      nothing was lost. `expectancy` is the mean net a trade. `fees` are those of the closed trades.
    """

    bars: int
    years: float
    start: float
    end: float
    total_return: float
    net_return: float
    gross_return: float
    cagr: float | None
    annual_volatility: float | None
    risk_free: float
    sharpe: float | None
    sharpe_ci_low: float | None
    sharpe_ci_high: float | None
    sharpe_autocorrelated: float | None
    sortino: float | None
    max_drawdown: float
    max_drawdown_bars: int
    calmar: float | None
    ulcer_index: float
    var_95: float | None
    es_95: float | None
    skew: float
    kurtosis: float
    autocorrelation: float
    exposure: float
    turnover: float | None
    trades: int
    win_rate: float | None
    win_rate_low: float | None
    win_rate_high: float | None
    profit_factor: float | None
    expectancy: float | None
    average_win: float | None
    average_loss: float | None
    payoff: float | None
    average_holding_bars: float | None
    fees: float
    bars_per_year: float
    notes: tuple[str, ...]


class Drawdown(NamedTuple):
    """How far and how long an account was below an earlier high."""

    depth: float
    bars: int
    ulcer: float


def performance(
    equity: Floats,
    bars_per_year: float,
    trades: Trades = NO_TRADES,
    risk_free: float = 0.0,
    in_market: NDArray[np.bool_] | None = None,
) -> Performance:
    """Return the figures of an account. `risk_free` is a simple rate a year.

    `bars_per_year` is 365 for daily bars of a market that never closes and 252 for one that does. `in_market`
    says for each bar whether a position was held; without it the trades' holding bars are added up, which is
    the same when no two trades overlap and none is open.

    >>> p = performance(np.array([100.0, 150.0, 75.0, 150.0]), bars_per_year=3)
    >>> p.total_return, p.cagr, p.max_drawdown, p.max_drawdown_bars
    (0.5, 0.5, 0.5, 1)
    """
    curve, ruin = _until_ruin(_checked(equity))
    _check_columns(trades)
    start, end = float(curve[0]), float(curve[-1])
    returns = curve[1:] / curve[:-1] - 1
    shape = moments(returns) if returns.size else Moments(0, 0.0, 0.0, 0.0, 3.0)
    bars, years = returns.size, returns.size / bars_per_year
    total, fees = end / start - 1, float(trades.fees.sum())
    cagr = (end / start) ** (1 / years) - 1 if years >= 1 else None
    sharpe = sharpe_ratio(shape, bars_per_year, risk_free)
    error = sharpe_error(shape, bars_per_year, risk_free)
    rho = autocorrelation(returns) if bars > 1 else 0.0
    fall = drawdown(curve)
    tail = historical_tail(returns) if bars else None
    wins, losses = trades.net[trades.net > 0], trades.net[trades.net < 0]
    count = trades.net.size
    low, high = wilson_interval(wins.size, count)
    average_win, average_loss = _mean(wins), _mean(losses)
    return Performance(
        bars=bars,
        years=years,
        start=start,
        end=end,
        total_return=total,
        net_return=total,
        gross_return=total + fees / start,
        cagr=cagr,
        annual_volatility=shape.std * math.sqrt(bars_per_year) if bars > 1 else None,
        risk_free=risk_free,
        sharpe=sharpe,
        sharpe_ci_low=None if sharpe is None or error is None else sharpe - _Z95 * error,
        sharpe_ci_high=None if sharpe is None or error is None else sharpe + _Z95 * error,
        sharpe_autocorrelated=_lo_sharpe(sharpe, bars_per_year, rho),
        sortino=sortino_ratio(returns, bars_per_year, risk_free),
        max_drawdown=fall.depth,
        max_drawdown_bars=fall.bars,
        calmar=cagr / fall.depth if cagr is not None and fall.depth > 0 else None,
        ulcer_index=fall.ulcer,
        var_95=tail.var if tail else None,
        es_95=tail.es if tail else None,
        skew=shape.skew,
        kurtosis=shape.kurtosis,
        autocorrelation=rho,
        exposure=_exposure(in_market, trades, bars),
        turnover=_turnover(trades, curve, years),
        trades=count,
        win_rate=wins.size / count if count else None,
        win_rate_low=low if count else None,
        win_rate_high=high if count else None,
        profit_factor=float(wins.sum() / -losses.sum()) if losses.size else None,
        expectancy=_mean(trades.net),
        average_win=average_win,
        average_loss=average_loss,
        payoff=average_win / -average_loss if average_win is not None and average_loss is not None else None,
        average_holding_bars=_mean(trades.holding_bars),
        fees=fees,
        bars_per_year=bars_per_year,
        notes=_notes(ruin, years, sharpe, count, losses.size),
    )


def sharpe_ratio(shape: Moments, bars_per_year: float, risk_free: float = 0.0) -> float | None:
    """Return the annual Sharpe ratio of returns with these moments per bar; None when they do not move."""
    if shape.size < 2 or shape.std == 0:
        return None
    return (shape.mean - risk_free / bars_per_year) / shape.std * math.sqrt(bars_per_year)


def sharpe_error(shape: Moments, bars_per_year: float, risk_free: float = 0.0) -> float | None:
    """Return the standard error of the annual Sharpe ratio (Mertens 2002; normal returns give Lo 2002).

    >>> monthly = Moments(size=61, mean=0.5, std=1.0, skew=0.0, kurtosis=3.0)
    >>> round(sharpe_error(monthly, bars_per_year=1), 3)  # Lo 2002, table 1: Sharpe 0.50, 60 observations
    0.137
    """
    sharpe = sharpe_ratio(shape, 1.0, risk_free / bars_per_year)
    if sharpe is None:
        return None
    spread = 1 - shape.skew * sharpe + (shape.kurtosis - 1) / 4 * sharpe * sharpe
    return math.sqrt(max(0.0, spread) / (shape.size - 1) * bars_per_year)


def annualising_factor(bars_per_year: float, rho: float) -> float:
    """Return Lo's (2002) eta(q) for returns with lag-1 autocorrelation `rho`: sqrt(q) when there is none.

    Smoothed returns look steadier than they are: the more they follow each other, the less a year adds.

    >>> round(annualising_factor(12, 0.0), 3), round(annualising_factor(12, 0.2), 3)
    (3.464, 2.879)
    """
    q = bars_per_year
    rest = 1 - (1 - math.copysign(abs(rho) ** q, rho if round(q) % 2 else 1.0)) / (q * (1 - rho))
    return math.sqrt(q / (1 + 2 * rho / (1 - rho) * rest))


def sortino_ratio(returns: Floats, bars_per_year: float, risk_free: float = 0.0) -> float | None:
    """Return the annual Sortino ratio; None when no return was below the risk-free rate.

    The downside deviation is taken over all bars (Sortino and Price 1994), a gain counting as zero.

    >>> round(sortino_ratio(np.array([0.02, -0.01, 0.03, -0.02]), bars_per_year=1), 4)
    0.4472
    """
    excess = returns - risk_free / bars_per_year
    short = np.minimum(excess, 0.0)
    if not short.any():
        return None
    return float(excess.mean() / math.sqrt(float((short * short).mean())) * math.sqrt(bars_per_year))


def drawdown(equity: Floats) -> Drawdown:
    """Return the depth, the longest stretch under water and the Ulcer index of a curve from its first value.

    >>> drawdown(np.array([100.0, 90.0, 95.0, 100.0, 120.0, 60.0]))
    Drawdown(depth=0.5, bars=2, ulcer=0.22912878474779202)
    """
    below = 1 - equity / np.maximum.accumulate(equity)
    if below.size < 2:
        return Drawdown(0.0, 0, 0.0)
    at_high = np.flatnonzero(np.append(below == 0, True))
    longest = int(np.diff(at_high).max()) - 1
    return Drawdown(float(below.max()), longest, math.sqrt(float((below[1:] ** 2).mean())))


_Z95 = normal_quantile(0.975)


def _checked(equity: Floats) -> Floats:
    if equity.ndim != 1 or equity.size == 0 or not np.isfinite(equity).all() or equity[0] <= 0:
        raise BadData(
            "an equity curve is a row of finite numbers and begins with a positive starting capital"
        )
    return equity


def _check_columns(trades: Trades) -> None:
    lengths = [column.size for column in trades if column is not None]
    if len(set(lengths)) > 1:
        raise BadData(f"the columns of trades must have one length, were {lengths}")


def _until_ruin(equity: Floats) -> tuple[Floats, int | None]:
    """The curve up to the first bar with nothing left, for a return on nothing has no meaning."""
    lost = np.flatnonzero(equity <= 0)
    if lost.size == 0:
        return equity, None
    bar = int(lost[0])
    return np.append(equity[:bar], 0.0), bar


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if values.size else None


def _lo_sharpe(sharpe: float | None, bars_per_year: float, rho: float) -> float | None:
    if sharpe is None:
        return None
    return sharpe * annualising_factor(bars_per_year, rho) / math.sqrt(bars_per_year)


def _exposure(in_market: NDArray[np.bool_] | None, trades: Trades, bars: int) -> float:
    if in_market is not None:
        return float(in_market.mean()) if in_market.size else 0.0
    return min(1.0, float(trades.holding_bars.sum()) / bars) if bars else 0.0


def _turnover(trades: Trades, equity: Floats, years: float) -> float | None:
    if trades.traded is None or years == 0:
        return None
    return float(trades.traded.sum() / equity.mean()) / years


def _notes(ruin: int | None, years: float, sharpe: float | None, trades: int, losses: int) -> tuple[str, ...]:
    notes = {
        f"The account was lost at bar {ruin}; nothing after it is counted.": ruin is not None,
        f"{years:.2f} years are less than one: no return a year is given.": years < 1,
        "The account did not move: there is no Sharpe ratio.": sharpe is None,
        "No trade was closed.": trades == 0,
        f"{trades} closed trades are few: read the intervals, not the averages.": 0 < trades < FEW_TRADES,
        "No trade lost: there is no profit factor.": trades > 0 and losses == 0,
    }
    return tuple(text for text, applies in notes.items() if applies)
