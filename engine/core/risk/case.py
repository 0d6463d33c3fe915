"""What a review looks at, with every figure worked out once."""

import math
from collections.abc import Container
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from configs.schema.desk import TIMEFRAME_MS, Instrument
from configs.schema.risk import GridSettings
from configs.schema.settings import Settings
from engine.core.domain.ids import epoch_ms
from engine.core.domain.order import OrderStatus, OrderType, Side
from engine.core.domain.portfolio import Portfolio, Position
from engine.core.domain.records import Observation
from engine.core.domain.risk import GridRun, RiskState
from engine.core.domain.signal import Forecast

WHOLE = "share"
COUNT = "count"
NEVER = 1_000_000


class Waiting(NamedTuple):
    """What open orders may still do, unknown ones too: `value` and `coming` are of those that add risk.

    `here` counts all in the instrument that is looked at, `open` and `unknown` those of the whole desk.
    """

    value: float = 0.0
    coming: frozenset[str] = frozenset()
    here: int = 0
    open: int = 0
    unknown: int = 0


NOTHING_WAITS = Waiting()


class Case(msgspec.Struct, frozen=True, gc=False):
    """A wish to enter before the review. `volatility` is one bar's, as a share of the price.

    `value` is the worth of the wish and `held` that of what the instrument's position holds, both at the close.
    """

    decision: str
    observation: Observation
    instrument: Instrument
    forecast: Forecast | None
    side: Side
    quantity: Decimal
    value: float
    stop: Decimal
    held: float
    waiting: Waiting
    portfolio: Portfolio
    risk: RiskState
    settings: Settings
    equity: float
    close: float
    volatility: float
    bars_since_exit: int
    bars_since_loss: int
    as_of: datetime
    bar_age: int = 0
    by_person: bool = False

    @property
    def grid(self) -> GridSettings | None:
        """The grid that is declared for the instrument."""
        return self.settings.risk.grid(self.observation.instrument)

    @property
    def run(self) -> GridRun | None:
        """That of the instrument's grid, where it has begun."""
        return self.risk.grids.get(self.observation.instrument)

    @property
    def adds(self) -> bool:
        """Whether what is held may be added to: it is its grid's, and no exit of it was decided on."""
        run = self.run
        position = self.portfolio.position(self.observation.instrument) if run else None
        if run is None or position is None or self.grid is None:
            return False
        own = any(entry.decision == position.entry_decision for entry in run.entries)
        return own and position.quantity > 0 and not position.leaving

    @property
    def pending(self) -> int:
        """How many open orders stand in the way in the instrument: not the stops of what may be added to."""
        here = self.waiting.here
        if not here or not self.adds:
            return here
        own = self.observation.instrument
        orders = [o.request for o in self.portfolio.orders if o.status.open and o.request.instrument == own]
        return sum(not request.reduce_only or request.type is OrderType.MARKET for request in orders)


class Reduction(NamedTuple):
    """A wish to make a position smaller. A person may do so even while the desk is halted."""

    decision: str
    instrument: str
    side: Side
    quantity: Decimal
    portfolio: Portfolio
    risk: RiskState
    by_person: bool = False


def committed(portfolio: Portfolio, names: Container[str] | None = None) -> float:
    """Worth of everything that open orders may still add, unknown ones too, counted as filled; by `names`, of these."""
    total = 0.0
    for order in portfolio.orders:
        request = order.request
        if order.status.open and not request.reduce_only and (names is None or request.instrument in names):
            price = request.price or portfolio.marks.get(request.instrument, Decimal(0))
            total += float(order.remaining * price)
    return total


def coming(portfolio: Portfolio) -> frozenset[str]:
    """Instruments in which open orders may still make a position."""
    return frozenset(
        [
            order.request.instrument
            for order in portfolio.orders
            if order.status.open and not order.request.reduce_only
        ]
    )


def waiting(portfolio: Portfolio, instrument: str) -> Waiting:
    """Everything that a review asks of the open orders. Mostly there are none, and a moment is dear."""
    if not portfolio.orders:
        return NOTHING_WAITS
    here = sum([o.status.open for o in portfolio.orders if o.request.instrument == instrument])
    return Waiting(
        value=committed(portfolio),
        coming=coming(portfolio),
        here=here,
        open=count_orders(portfolio),
        unknown=count_orders(portfolio, OrderStatus.UNKNOWN),
    )


def taken(case: Case) -> frozenset[str]:
    """Instruments in which something is held or may still come."""
    return case.waiting.coming.union([position.instrument for position in case.portfolio.positions])


def worth(position: Position | None, close: float) -> float:
    """Of a position at the close, long or short; 0 where there is none."""
    return abs(float(position.quantity)) * close if position else 0.0


def exposure(portfolio: Portfolio, names: Container[str]) -> float:
    """Worth of what is held, and of what open entries may still add, in the instruments named."""
    held = sum(
        abs(float(each.quantity * portfolio.marks[each.instrument]))
        for each in portfolio.positions
        if each.instrument in names
    )
    return held + committed(portfolio, names)


def count_orders(portfolio: Portfolio, status: OrderStatus | None = None) -> int:
    """Open orders in all, or those of one status."""
    if status is None:
        return sum([order.status.open for order in portfolio.orders])
    return sum([order.status is status for order in portfolio.orders])


def share(amount: float, equity: float) -> float:
    """`amount` as a share of equity; of nothing, and of what cannot be, anything is too much."""
    return amount / equity if 0 < equity < math.inf else 1e9


def bars_between(then: datetime | None, now: datetime, timeframe: str) -> int:
    """Whole timeframes from `then` to `now`, nights and weekends included; `NEVER` for what has not happened."""
    return NEVER if then is None else (epoch_ms(now) - epoch_ms(then)) // TIMEFRAME_MS[timeframe]
