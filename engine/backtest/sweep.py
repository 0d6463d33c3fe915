"""The same trades without the records: for trying many settings on long histories of one instrument.

What depends on the market alone is worked out in columns; then time is walked from one bar at which something can
happen to the next. A bar is passed over when, by figures that err on the side of looking, no order can fill, no
exit can be due, no breaker can trip and no entry can be approved. At every other bar the very functions of the
replay decide, on a state that has caught up with what was passed over. That both give identical trades is a test.
"""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from configs.schema.settings import Settings, settings_hash
from engine.backtest.market import BatchPredictor, Look, Stretch, cut, looks, stretches
from engine.backtest.outlook import Outlook
from engine.backtest.replay import Progress, announce_breaker, submit
from engine.backtest.result import Result, Tally
from engine.core.accounting.fold import DeskState, apply
from engine.core.accounting.ledger import mark
from engine.core.accounting.settle import settled
from engine.core.domain.errors import BadInput
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.instrument import exact
from engine.core.domain.market import BarArrays
from engine.core.domain.order import Order, OrderType, Side
from engine.core.domain.portfolio import Portfolio, Position
from engine.core.domain.records import EnsembleState, Identity, OutcomeKind, Record
from engine.core.domain.regime import REGIMES
from engine.core.domain.risk import TradingState
from engine.core.execution.book import Book, acts_as
from engine.core.features.registry import NAMES
from engine.core.pipeline import FEATURE_SET, decide_on
from engine.core.risk.daily import day_of, open_day

_NEAR = 1e-9
"""How close to a limit, as a share of it, a bar is looked at in full: floats stand in for exact decimals here."""
_ATR = NAMES.index("atr_pct_14")
_CRASH = REGIMES.index("crash")
_DAY_MS = 86_400_000


class Prepared(NamedTuple):
    """A series described once, for many sweeps: good for all settings that share desk, data check and regime rule."""

    series: dict[str, BarArrays]
    stretches: Iterable[Stretch]
    models: dict[str, str]


def prepare(
    series: Mapping[str, BarArrays],
    settings: Settings,
    predictor: BatchPredictor | None = None,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    keep: bool = True,
) -> Prepared:
    """Features, regimes and model answers of all bars, at about 1 KB a bar; without `keep` a stretch at a time.

    What was not kept can be swept once. BadInput for more than one instrument: their positions share limits, so
    no bar of one can be passed over without the others.
    """
    (one,) = cuts if len(cuts := cut(series, settings, start, end)) == 1 else _only_one(cuts)
    found = stretches(one, settings, predictor)
    told = {one.instrument: one.bars.slice(one.first, one.bars.size)}
    return Prepared(told, list(found) if keep else found, predictor.versions() if predictor else {})


def sweep(
    prepared: Prepared, settings: Settings, progress: Callable[[Progress], None] | None = None
) -> Result:
    """The result of `replay.run` with these settings: trades, counts and account, but no records."""
    wall, cpu = time.perf_counter(), time.process_time()
    walk = _Walk(settings, prepared.models)
    ensemble = EnsembleState()
    for stretch in prepared.stretches:
        outlook = Outlook(stretch, settings, ensemble)
        walk.through(stretch, outlook)
        ensemble = outlook.last
        if progress is not None:
            progress(walk.progress(prepared))
    seconds = time.perf_counter() - wall, time.process_time() - cpu
    return walk.tally.result(prepared.series, walk.state, FEATURE_SET, prepared.models, seconds)


def _only_one(cuts: object) -> tuple[()]:
    raise BadInput("a sweep takes one instrument; replay several with a back-test")


class _Columns(NamedTuple):
    """What is asked of single bars, as Python numbers."""

    end_ms: list[int]
    high: list[float]
    low: list[float]
    close: list[float]
    atr: list[float]
    label: list[int]
    direction: list[int]
    gated: list[int]
    confidence: list[float]
    may_enter: list[int]
    day_starts: list[int]


class _Held:
    """The open position in floats, kept up with every bar that is looked at."""

    def __init__(self, position: Position) -> None:
        self.sign = position.side.sign
        self.quantity = float(position.quantity)
        self.best = float(position.best)
        self.expires = position.expires_bars


class _Walk:
    """Steps through time. `state` is that of the end of row `_known` of the stretch under way."""

    def __init__(self, settings: Settings, models: dict[str, str]) -> None:
        self.state = DeskState(Portfolio(cash=settings.desk.cash))
        self.tally = Tally(settings)
        self._identity = Identity(settings, settings_hash(settings), "")
        self._book = Book(settings)
        self._known = -1
        self._day = self._last = self._high = 0.0
        self._keep_day = (1 - settings.risk.halt_daily_loss) * (1 + _NEAR)
        self._keep_high = (1 - settings.risk.max_drawdown) * (1 + _NEAR)
        self._keep_bar = (1 - settings.risk.max_bar_loss) * (1 + _NEAR)
        self._refresh()

    def progress(self, prepared: Prepared) -> Progress:
        """How far it is."""
        bars = sum(bars.size for bars in prepared.series.values())
        at = from_epoch_ms(self._columns.end_ms[-1])
        return Progress(self.tally.bars, bars, at, self._last, self.tally.trades)

    def through(self, stretch: Stretch, outlook: Outlook) -> None:
        """All bars of a stretch, which follows the one before."""
        self._stretch, self._outlook, self._known = stretch, outlook, -1
        self._columns = c = self._read(stretch, outlook)
        size, row = len(c.end_ms), 0
        while row < size:
            if self._held is None and not self.state.portfolio.orders:
                row = self._rest(row)
            if row < size:
                self._bar(row)
                row += 1
        self._catch_up(size - 1)
        self.tally.bars += size
        self.tally.ready += stretch.ready

    def _read(self, stretch: Stretch, outlook: Outlook) -> _Columns:
        bars, decision = stretch.bars, self._identity.settings.decision
        days = (bars.end_ms - 1) // _DAY_MS
        starts = np.flatnonzero(np.diff(days)) + 1
        first = int(day_of(from_epoch_ms(int(bars.end_ms[0]))) != self.state.risk.day)
        possible = (outlook.gated != 0) & (outlook.edge > 0) & (outlook.edge_variance > 0)
        for name in decision.blocked_regimes:
            possible &= stretch.labels != REGIMES.index(name)
        possible[list(stretch.issues)] = False
        return _Columns(
            bars.end_ms.tolist(),
            bars.high.tolist(),
            bars.low.tolist(),
            bars.close.tolist(),
            (stretch.features[:, _ATR] * bars.close / 100).tolist(),
            stretch.labels.tolist(),
            outlook.direction.tolist(),
            outlook.gated.tolist(),
            outlook.confidence.tolist(),
            np.flatnonzero(possible).tolist(),
            [0] * first + starts.tolist(),
        )

    # --- bars at which nothing can happen ---

    def _rest(self, row: int) -> int:
        """Pass over bars with nothing held and nothing ordered, to the next at which an entry might be approved."""
        c, stop = self._columns, len(self._columns.end_ms)
        if self.state.risk.trading is TradingState.ACTIVE:
            place = bisect_left(c.may_enter, row)
            stop = c.may_enter[place] if place < len(c.may_enter) else stop
        if stop == row:
            return row
        rows, size = slice(row, stop), stop - row
        refused = int(np.count_nonzero(self._outlook.gated[rows]))
        self.tally.passed(OutcomeKind.REFUSED, refused)
        self.tally.passed(OutcomeKind.NO_SIGNAL, size - refused)
        bars = self._stretch.bars
        equity, held = np.full(size, self._cash), np.zeros(size, dtype=np.bool_)
        self.tally.moments(bars.end_ms[rows], equity, held, self._stretch.labels[rows])
        if bisect_left(c.day_starts, row) < bisect_left(c.day_starts, stop):
            self._day = self._cash
        self._last = self._cash
        return stop

    def _catch_up(self, row: int) -> None:
        """Bring the state to the end of a row: what marking and opening days would have done at each bar."""
        first, c = self._known + 1, self._columns
        if first > row:
            return
        self._known = row
        portfolio, name = self.state.portfolio, self._stretch.instrument
        position, closes = portfolio.position(name), c.close[first : row + 1]
        quantity = position.quantity if position else 0
        extreme = exact(max(closes) if quantity >= 0 else min(closes))
        if position is not None:
            best = max(position.best, extreme) if quantity > 0 else min(position.best, extreme)
            held = replace(position, best=best, bars_held=position.bars_held + len(closes))
            portfolio = replace(portfolio, positions=(held,))
            self._held_bars = held.bars_held
        end, close = from_epoch_ms(c.end_ms[row]), exact(c.close[row])
        portfolio = replace(portfolio, marks={name: close}, marked_at={name: end})
        cash, risk = portfolio.cash, self.state.risk
        risk = replace(risk, high_water=max(risk.high_water, cash + quantity * extreme))
        place = bisect_right(c.day_starts, row)
        began = c.day_starts[place - 1] if place else -1
        if began > first:  # the day's loss is measured from the close before it
            risk = replace(risk, last_equity=cash + quantity * exact(c.close[began - 1]))
        self.state = replace(self.state, portfolio=portfolio, risk=open_day(risk, end, portfolio.equity))

    # --- bars that are looked at ---

    def _bar(self, row: int) -> None:
        if self._may_fill(row):
            self._settle(row)
        if self._is_due(row):
            self._decide(row)
        else:
            held = self._held is not None
            gated = OutcomeKind.REFUSED if self._columns.gated[row] else OutcomeKind.NO_SIGNAL
            self.tally.passed(OutcomeKind.HELD if held else gated, 1)
        self.tally.moment(
            self._columns.end_ms[row], self._last, self._held is not None, self._columns.label[row]
        )

    def _may_fill(self, row: int) -> bool:
        c = self._columns
        return self._pending or c.low[row] <= self._falls_to or c.high[row] >= self._rises_to

    def _settle(self, row: int) -> None:
        self._catch_up(row - 1)
        look = self._look(row, tail=False)
        self.state, records = settled(self.state, self._book.on_bar(look.bar), look.bar.end)
        self.tally.count(records)
        if records:
            self._refresh()

    def _is_due(self, row: int) -> bool:
        """Whether this bar's decision could be anything but to leave things as they are. Keeps the floats up."""
        c, held, risk = self._columns, self._held, self.state.risk
        close = c.close[row]
        equity = self._cash + (held.quantity * close if held else 0.0)
        place = bisect_left(c.day_starts, row)
        if place < len(c.day_starts) and c.day_starts[place] == row:
            self._day = self._last or equity
        lost = equity <= self._last * self._keep_bar
        self._last = equity
        self._high = max(self._high, equity)
        halted = risk.trading is TradingState.HALTED
        if not halted and equity <= max(self._day * self._keep_day, self._high * self._keep_high):
            return True
        if lost:
            return True
        if held is None:
            place = bisect_left(c.may_enter, row)
            return not halted and place < len(c.may_enter) and c.may_enter[place] == row
        held.best = max(held.best, close) if held.sign > 0 else min(held.best, close)
        return (halted and risk.flatten) or self._is_leaving(row, held)

    def _is_leaving(self, row: int, held: _Held) -> bool:
        """The reasons of the position manager, in floats."""
        c, rule = self._columns, self._identity.settings.decision
        if c.label[row] == _CRASH and held.sign > 0:
            return True
        if self._held_bars + row - self._known >= held.expires:
            return True
        if rule.trail_atr:
            level = held.best - held.sign * rule.trail_atr * c.atr[row]
            if held.sign * (c.close[row] - level) <= _NEAR * c.close[row]:
                return True
        return c.direction[row] == -held.sign and c.confidence[row] >= rule.exit_confidence

    def _decide(self, row: int) -> None:
        """As the replay does it, from here to the orders."""
        self._catch_up(row - 1)
        look, name = self._look(row, tail=self._held is None), self._stretch.instrument
        before = self.state.risk.trading
        portfolio, ensemble = mark(self.state.portfolio, look.bar), self._outlook.before(row)
        self.state = replace(self.state, portfolio=portfolio, ensembles={name: ensemble})
        decided = decide_on(look.observation, look.predictions, self.state, self._identity)
        records: list[Record] = [decided]
        state = apply(self.state, decided)
        state = announce_breaker(before, look.bar.end, state, self._book, records)
        self.state = submit(decided.result.orders, look.bar.end, state, self._book, records)
        self.tally.count(records)
        self._known = row
        self._refresh()

    def _look(self, row: int, tail: bool) -> Look:
        return next(looks(self._stretch, row, row + 1, None, tail=tail))

    def _refresh(self) -> None:
        """Read the floats from the state again, after it has changed."""
        portfolio, risk = self.state.portfolio, self.state.risk
        self._cash = float(portfolio.cash)
        self._held = _Held(portfolio.positions[0]) if portfolio.positions else None
        self._held_bars = portfolio.positions[0].bars_held if portfolio.positions else 0
        self._day, self._last, self._high = map(float, (risk.day_equity, risk.last_equity, risk.high_water))
        self._pending = any(acts_as(order) is OrderType.MARKET for order in portfolio.orders)
        self._falls_to = max((_price(o) for o in portfolio.orders if not _waits_above(o)), default=0.0)
        self._rises_to = min((_price(o) for o in portfolio.orders if _waits_above(o)), default=float("inf"))


def _waits_above(order: Order) -> bool:
    """True for an order that fills when the price rises: a limit to sell, a stop to buy."""
    return (order.request.type is OrderType.LIMIT) is (order.request.side is Side.SELL)


def _price(order: Order) -> float:
    return float(order.request.price or 0)
