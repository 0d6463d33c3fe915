"""What doing without us would have earned: the baselines beside every result.

All of them, and our own trades when they are compared with random ones, are computed in one way, so that a
difference is one of timing and not of bookkeeping:

* An account is valued at every open, and at the last close: `n` bars give `n + 1` marks and `n` returns, and the
  first value is the starting capital. What a close has decided is executed at the next open.
* A trade buys or sells `size` times the equity at its entry and keeps that quantity until its exit.
* Each side costs `cost_bps` (fee and slippage) of the value traded, at the entry and at the exit.
* One instrument, one trade at a time.

Random entries need no curves: the return of a trade follows from two marks and the mean and spread of its bars
from running sums, so a thousand draws cost a thousand times the trades, however many bars there are.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.core.domain.errors import BadData
from engine.core.maths.rolling import Floats, rolling_mean

Ints = NDArray[np.int64]
_CHUNK = 250_000  # random trades that are evaluated at once: bounds the memory


class Placed(NamedTuple):
    """Trades as columns of one length, in the order of their entries and never two at a time.

    `entry` and `exit` are marks (the open of that bar; the mark after the last bar is its close), `side` is 1 or
    -1, `size` the value at entry as a share of equity.
    """

    entry: Ints
    exit: Ints
    side: Floats
    size: Floats


class RandomEntries(NamedTuple):
    """How our trades compare with as many, as long and as large ones that were entered at random.

    Sharpe ratios are per bar, on each bar's profit as a share of the equity at its trade's entry. `percentile`
    and `sharpe_percentile` are the share of draws, 0 to 100, that did worse than we did (half of the ties).
    `p_value` is the chance that a random draw earns as much or more.
    """

    total_returns: Floats
    sharpes: Floats
    our_total_return: float
    our_sharpe: float
    percentile: float
    sharpe_percentile: float
    p_value: float


def marks(opens: Floats, closes: Floats) -> Floats:
    """Return the prices at which accounts are valued: every open, then the last close.

    >>> marks(np.array([10.0, 11.0]), np.array([10.5, 12.0])).tolist()
    [10.0, 11.0, 12.0]
    """
    if opens.shape != closes.shape or opens.size == 0 or not (opens > 0).all() or not closes[-1] > 0:
        raise BadData("baselines need positive opens and closes of one length")
    return np.append(opens, closes[-1])


def trade_curve(prices: Floats, trades: Placed, cost_bps: float, capital: float = 1.0) -> Floats:
    """Return the equity at every mark of an account that makes these trades and no others.

    >>> one = Placed(np.array([1]), np.array([3]), np.array([1.0]), np.array([0.5]))
    >>> trade_curve(np.array([8.0, 8.0, 10.0, 12.0, 9.0]), one, cost_bps=0.0, capital=100.0).tolist()
    [100.0, 100.0, 112.5, 125.0, 125.0]
    """
    _check(trades, prices.size)
    cost = cost_bps / 10_000
    curve = np.empty(prices.size)
    equity, settled = capital, 0
    for entry, leave, side, size in zip(*trades, strict=True):
        curve[settled : entry + 1] = equity
        path = prices[entry : leave + 1] / prices[entry]
        held = equity * (1 + size * (side * (path - 1) - cost))
        held[-1] -= equity * size * cost * path[-1]
        curve[entry + 1 : leave + 1] = held[1:]
        equity, settled = float(held[-1]), int(leave) + 1
    curve[settled:] = equity
    return curve


def buy_and_hold(opens: Floats, closes: Floats, cost_bps: float, capital: float = 1.0) -> Floats:
    """Return the equity of buying all that the capital buys at the first open and selling at the last close.

    >>> buy_and_hold(np.array([10.0, 11.0]), np.array([10.5, 12.0]), cost_bps=0.0).tolist()
    [1.0, 1.1, 1.2]
    """
    prices = marks(opens, closes)
    return trade_curve(prices, _placed([0], [opens.size]), cost_bps, capital)


def sma_cross(
    opens: Floats, closes: Floats, cost_bps: float, fast: int = 50, slow: int = 200, capital: float = 1.0
) -> Floats:
    """Return the equity of holding while the fast average of closes is above the slow one, and cash otherwise."""
    prices = marks(opens, closes)
    return trade_curve(prices, sma_cross_trades(closes, fast, slow), cost_bps, capital)


def sma_cross_trades(closes: Floats, fast: int = 50, slow: int = 200) -> Placed:
    """Return the trades of the crossing averages: seen at a close, made at the next open.

    >>> trades = sma_cross_trades(np.array([5.0, 4.0, 3.0, 6.0, 7.0, 2.0, 1.0, 1.0]), fast=1, slow=3)
    >>> trades.entry.tolist(), trades.exit.tolist()
    ([4], [6])
    """
    above = rolling_mean(closes, fast) > rolling_mean(closes, slow)  # False while either is NaN
    wanted = np.concatenate(([False], above[:-1], [False]))  # by mark; the last close ends everything
    change = np.diff(np.concatenate(([False], wanted)).astype(np.int8))
    return _placed(np.flatnonzero(change == 1), np.flatnonzero(change == -1))


def sign_flipped(trades: Placed) -> Placed:
    """Return the same trades on the other side: when they earn as well, it was not the signal."""
    return trades._replace(side=-trades.side)


def delayed(trades: Placed, last_mark: int, bars: int = 1) -> Placed:
    """Return the same trades `bars` later; skill that does not survive one bar of delay is suspect.

    What would end after the last mark ends there, and what would begin there is left out.

    >>> late = delayed(Placed(np.array([1, 4]), np.array([3, 5]), np.ones(2), np.ones(2)), last_mark=5)
    >>> late.entry.tolist(), late.exit.tolist()
    ([2], [4])
    """
    stays = trades.entry + bars < last_mark
    leave = np.minimum(trades.exit + bars, last_mark)
    return Placed(trades.entry[stays] + bars, leave[stays], trades.side[stays], trades.size[stays])


def random_entries(
    prices: Floats, trades: Placed, cost_bps: float, seed: int, draws: int = 1000
) -> RandomEntries:
    """Compare trades with random ones: the same sides, sizes, holding times and costs, entered at any time.

    `prices` are marks, from the first bar at which we could have traded: cut the warm-up off. A trade that was
    opened and closed inside one bar is held for that bar.

    >>> rising = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    >>> lucky = Placed(np.array([2]), np.array([3]), np.array([1.0]), np.array([1.0]))
    >>> result = random_entries(rising, lucky, cost_bps=0.0, seed=3, draws=700)
    >>> result.our_total_return, 90 < result.percentile < 96  # one place in seven is as good, half of the ties
    (1.0, True)
    """
    held = trades._replace(exit=np.maximum(trades.exit, trades.entry + 1))
    _check(held, prices.size)
    row = Placed(held.entry[None, :], held.exit[None, :], held.side[None, :], held.size[None, :])
    ours = _evaluate(prices, row, cost_bps)
    placements = random_placements(held, prices.size - 1, seed, draws)
    results = [_evaluate(prices, drawn, cost_bps) for drawn in placements]
    totals = np.concatenate([total for total, _ in results])
    sharpes = np.concatenate([sharpe for _, sharpe in results])
    our_total, our_sharpe = float(ours[0][0]), float(ours[1][0])
    at_least = int((totals >= our_total).sum())
    return RandomEntries(
        total_returns=totals,
        sharpes=sharpes,
        our_total_return=our_total,
        our_sharpe=our_sharpe,
        percentile=_percentile(totals, our_total),
        sharpe_percentile=_percentile(sharpes, our_sharpe),
        p_value=(1 + at_least) / (draws + 1),
    )


def random_placements(trades: Placed, last_mark: int, seed: int, draws: int) -> Iterator[Placed]:
    """Yield chunks of random placements, columns of shape (draws in the chunk, trades).

    The trades are shuffled, then the free bars are dealt out as gaps between them: none overlap, all fit.
    """
    holding = trades.exit - trades.entry
    count, free = holding.size, last_mark - int(holding.sum())
    if free < 0:
        raise BadData(f"{int(holding.sum())} bars of trades do not fit into {last_mark} bars: one at a time")
    chance = np.random.Generator(np.random.PCG64(seed))
    step = max(1, _CHUNK // max(1, count))
    for first in range(0, draws, step):
        rows = min(step, draws - first)
        order = chance.random((rows, count)).argsort(axis=1)
        gaps = np.sort(chance.integers(0, free + 1, size=(rows, count)), axis=1)
        lengths = holding[order]
        leave = np.cumsum(lengths, axis=1) + gaps
        yield Placed(leave - lengths, leave, trades.side[order], trades.size[order])


def _evaluate(prices: Floats, trades: Placed, cost_bps: float) -> tuple[Floats, Floats]:
    """Total returns and Sharpe ratios per bar, by row. Costs are part of the first and the last bar of a trade."""
    cost, size, bars = cost_bps / 10_000, trades.size, prices.size - 1
    steps = np.diff(prices)
    squared = np.concatenate(([0.0], np.cumsum(steps * steps)))
    entry = prices[trades.entry]
    ratio = prices[trades.exit] / entry
    profit = size * (trades.side * (ratio - 1) - cost * (1 + ratio))
    total = np.maximum(1 + profit, 0.0).prod(axis=1) - 1  # an account that is lost stays lost
    exposed = trades.side * size / entry
    first, last = exposed * steps[trades.entry], exposed * steps[trades.exit - 1]
    paid_first, paid_last = size * cost, size * cost * ratio
    square = exposed**2 * (squared[trades.exit] - squared[trades.entry])
    square += paid_first**2 + paid_last**2 - 2 * (first * paid_first + last * paid_last)
    square += np.where(trades.exit - trades.entry == 1, 2 * paid_first * paid_last, 0.0)
    mean = profit.sum(axis=1) / bars
    variance = np.maximum(square.sum(axis=1) - bars * mean * mean, 0.0) / max(1, bars - 1)
    moved = variance > 0
    sharpe = np.where(moved, mean / np.sqrt(np.where(moved, variance, 1.0)), 0.0)
    return total, sharpe


def _percentile(draws: Floats, ours: float) -> float:
    return float(100 * ((draws < ours).sum() + (draws == ours).sum() / 2) / draws.size)


def _placed(entry: Ints | list[int], leave: Ints | list[int]) -> Placed:
    """Long trades of full size."""
    ones = np.ones(len(entry))
    return Placed(np.asarray(entry, dtype=np.int64), np.asarray(leave, dtype=np.int64), ones, ones)


def _check(trades: Placed, count: int) -> None:
    lengths = {column.size for column in trades}
    if len(lengths) != 1:
        raise BadData(f"the columns of trades must have one length, were {sorted(lengths)}")
    if trades.entry.size == 0:
        return
    inside = trades.entry[0] >= 0 and trades.exit[-1] < count
    if not inside or (trades.exit <= trades.entry).any() or (trades.entry[1:] < trades.exit[:-1]).any():
        raise BadData("trades must lie within the bars, last a bar at least, and follow one another")
