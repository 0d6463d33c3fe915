"""A lean engine for a strategy of one's own: one call a bar, a wish as an answer, fills and fees like everywhere.

It is for trying an idea out quickly; nothing of the desk's own (gate, sizing, review, journal) is in between. What
makes it fast is what it does not do: bars are told from arrays a block at a time, orders exist only when the wish
changes, and the equity curve is worked out from the fills when all is over.

    class Cross:
        def __init__(self) -> None:
            self.fast, self.slow = Mean(20), Mean(50)

        def on_bar(self, bar: Candle, account: Account) -> float | None:
            fast, slow = self.fast.add(bar.close), self.slow.add(bar.close)
            return None if slow is None else 0.1 if fast > slow else 0.0

    outcome = run_strategy(bars, Cross(), fee_bps=10)
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol

import numpy as np

from engine.core.analytics.performance import Performance, Trades, performance
from engine.core.domain.errors import BadInput
from engine.core.domain.market import BarArrays, Floats, Ints

Fill = Literal["close", "next open"]
LEVERAGE = 10.0
"""The largest share of equity that may be asked for, long or short: beyond it lies a mistake."""
_BLOCK = 4096
_DUST = 1e-12  # what is left of a position after rounding, as a share of it


class Candle(NamedTuple):
    """One closed bar. `end_ms` is when it became known."""

    end_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class Account:
    """What the strategy owns. Read it, do not write it. `quantity` is signed; `entry_price` is 0 while flat."""

    __slots__ = ("cash", "entry_price", "quantity")

    def __init__(self, cash: float) -> None:
        self.cash = cash
        self.quantity = 0.0
        self.entry_price = 0.0

    def equity(self, price: float) -> float:
        """What all of it is worth at a price."""
        return self.cash + self.quantity * price


class Strategy(Protocol):
    """Whatever decides."""

    def on_bar(self, bar: Candle, account: Account) -> float | None:
        """The share of equity to hold from now on (negative: short), or None to leave things as they are.

        Asking for what was asked for last changes nothing: a position is not rebalanced as prices move.
        """


class EventTrade(NamedTuple):
    """From flat to flat. `entry` and `exit` are bar numbers; `quantity` is the largest held, signed."""

    entry: int
    exit: int
    quantity: float
    entry_price: float
    exit_price: float
    gross: float
    fees: float

    @property
    def net(self) -> float:
        """What cash gained by it."""
        return self.gross - self.fees


class EventResult(NamedTuple):
    """What came of it. `equity` begins with the capital and is valued at every close.

    `position` is the quantity held after each bar. `open_trade` says whether something was still held at the end
    (it is in the equity, not in the trades), `unfilled` whether the last wish came too late to be filled.
    """

    equity: Floats
    position: Floats
    trades: tuple[EventTrade, ...]
    fills: int
    fees: float
    traded: float
    open_trade: bool
    unfilled: bool

    def judged(self, bars_per_year: float) -> Performance:
        """The figures of the account, with the house's conventions."""
        trades = self.trades
        columns = Trades(
            net=np.array([trade.net for trade in trades]),
            gross=np.array([trade.gross for trade in trades]),
            fees=np.array([trade.fees for trade in trades]),
            holding_bars=np.array([float(trade.exit - trade.entry) for trade in trades]),
            traded=np.array([abs(t.quantity) * (t.entry_price + t.exit_price) for t in trades]),
        )
        return performance(self.equity, bars_per_year, columns, in_market=self.position != 0)


def run_strategy(
    bars: BarArrays,
    strategy: Strategy,
    *,
    capital: float = 100_000.0,
    fee_bps: float = 10.0,
    slippage_bps: float = 0.0,
    fill: Fill = "next open",
) -> EventResult:
    """Tell `strategy` every bar and fill its wishes at this bar's close or at the next bar's open.

    A fill at the close that decided is the convention of many engines, and kinder than life: nobody trades at a
    price that is known only when it has passed. Fees are of the traded value, on both sides. BadInput when a
    wish or a price cannot be meant. An account that is worth nothing can only close.
    """
    if not capital > 0:
        raise BadInput(f"capital must be positive, was {capital}")
    if fill not in ("close", "next open"):
        raise BadInput(f'fill is "close" or "next open", was {fill!r}')
    if not (bars.low > 0).all():
        raise BadInput("bars must be clean: a price is not above zero")
    desk = _Desk(capital, fee_bps / 1e4, slippage_bps / 1e4)
    on_bar, account, at_close = strategy.on_bar, desk.account, fill == "close"
    wanted, waiting = 0.0, None
    for number, candle in enumerate(_candles(bars)):
        if waiting is not None:
            desk.trade(waiting, candle[1], number)
            waiting = None
        wish = on_bar(candle, account)
        if wish is not None and wish != wanted:
            wanted = _checked(wish, number)
            if at_close:
                desk.trade(wanted, candle[4], number)
            else:
                waiting = wanted
    return desk.result(bars.close, unfilled=waiting is not None)


class Mean:
    """The mean of the newest values, kept by adding and taking away: the same work for any span.

    >>> mean = Mean(2)
    >>> mean.add(1.0), mean.add(3.0), mean.add(5.0)
    (None, 2.0, 4.0)
    """

    __slots__ = ("_at", "_full", "_ring", "_span", "_sum")

    def __init__(self, span: int) -> None:
        self._ring = [0.0] * span
        self._span = span
        self._at = 0
        self._sum = 0.0
        self._full = False

    def add(self, value: float) -> float | None:
        """Take a value in; the mean, or None while fewer than the span have come."""
        at, ring = self._at, self._ring
        self._sum += value - ring[at]
        ring[at] = value
        at += 1
        if at == self._span:
            at, self._full = 0, True
        self._at = at
        return self._sum / self._span if self._full else None


class _Desk:
    """Turns wishes into fills and remembers what the curve is made of: cash and quantity from each fill on."""

    def __init__(self, capital: float, fee: float, slippage: float) -> None:
        self.account = Account(capital)
        self._fee, self._slippage = fee, slippage
        self._since, self._cash, self._quantity = [0], [capital], [0.0]
        self._trades: list[EventTrade] = []
        self._fills, self._fees, self._traded = 0, 0.0, 0.0
        self._entry, self._most = 0, 0.0
        self._bought, self._entered = 0.0, 0.0  # quantity and value of all entry fills of the open trade
        self._sold, self._left = 0.0, 0.0  # the same of its exits
        self._paid = 0.0
        self._capital = capital

    def trade(self, share: float, price: float, number: int) -> None:
        """Bring the position to `share` of equity at a price; a change of side closes one trade and opens another."""
        account = self.account
        equity = account.equity(price)
        if equity <= 0 and share:
            return
        change = share * equity / price - account.quantity if share else -account.quantity
        if account.quantity and (account.quantity + change) * account.quantity < 0:
            self._fill(-account.quantity, price, number)
            change = share * account.equity(price) / price
        self._fill(change, price, number)

    def _fill(self, change: float, price: float, number: int) -> None:
        account = self.account
        if abs(change) <= _DUST * abs(account.quantity):
            return
        paid = price * (1 + math.copysign(self._slippage, change))
        value = abs(change) * paid
        fee = value * self._fee
        account.cash -= change * paid + fee
        self._count(change, paid, value, fee, number)
        self._since.append(number)
        self._cash.append(account.cash)
        self._quantity.append(account.quantity)

    def _count(self, change: float, price: float, value: float, fee: float, number: int) -> None:
        account = self.account
        self._fills += 1
        self._fees += fee
        self._traded += value
        before = account.quantity
        if not before:
            self._entry, self._most, self._paid = number, 0.0, 0.0
            self._bought = self._entered = self._sold = self._left = 0.0
        after = before + change
        self._paid += fee
        if before * change >= 0:
            self._bought += abs(change)
            self._entered += value
            account.entry_price = self._entered / self._bought
        else:
            self._sold += abs(change)
            self._left += value
        if abs(after) <= _DUST * abs(before):
            after = 0.0
            self._close(math.copysign(1.0, before), number)
        elif abs(after) > abs(self._most):
            self._most = after
        account.quantity = after

    def _close(self, side: float, number: int) -> None:
        entered, left = self._entered / self._bought, self._left / self._sold
        gross = side * (self._left - self._entered)
        self._trades.append(EventTrade(self._entry, number, self._most, entered, left, gross, self._paid))
        self.account.entry_price = 0.0

    def result(self, closes: Floats, *, unfilled: bool) -> EventResult:
        """The curve: between two fills, cash and quantity do not change."""
        size = closes.size
        lengths: Ints = np.diff(np.array([*self._since, size]))
        position = np.repeat(np.array(self._quantity), lengths)
        equity = np.empty(size + 1)
        equity[0] = self._capital
        np.multiply(position, closes, out=equity[1:])
        equity[1:] += np.repeat(np.array(self._cash), lengths)
        return EventResult(
            equity=equity,
            position=position,
            trades=tuple(self._trades),
            fills=self._fills,
            fees=self._fees,
            traded=self._traded,
            open_trade=self.account.quantity != 0,
            unfilled=unfilled,
        )


def _candles(bars: BarArrays) -> Iterator[Candle]:
    for start in range(0, bars.size, _BLOCK):
        columns = [column[start : start + _BLOCK].tolist() for column in bars]
        yield from map(Candle._make, zip(*columns, strict=True))


def _checked(wish: float, number: int) -> float:
    if not abs(wish) <= LEVERAGE:
        raise BadInput(
            f"bar {number}: the strategy asked for {wish} times the equity; at most {LEVERAGE:g} is taken"
        )
    return wish
