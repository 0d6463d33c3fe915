"""The simulated order book: open orders against each bar that closes. The paper venue and the back-test are both this.

What it promises, as a real venue would: an order meets only bars that begin after it was placed, never the rest of
one under way; reduce-only orders never take more than the position and are dropped when there is none and none is
on its way; a stop and a target of one trade end each other, and either ends what is left of its entry; a stop that
was touched stays a market order until it is done; a repeated client id is the same order while that is open.

A stress run lays other conditions on it: a wider spread, or a venue that takes and fills nothing for a while.
"""

from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from configs.schema.desk import TIMEFRAME_MS
from configs.schema.settings import Settings
from engine.core.domain.market import Bar
from engine.core.domain.order import Fill, Order, OrderRequest, OrderStatus, OrderType, OrderUpdate
from engine.core.execution.fills import match

# Within one bar the order of events is unknown: market orders meet the open, then the adverse exit, then the kind one.
TURN = {OrderType.MARKET: 0, OrderType.STOP: 1, OrderType.LIMIT: 2}
NO_PURPOSE = "nothing left to reduce"


class Conditions(NamedTuple):
    """What a venue is like for a while: how many times as wide its spread is, and whether it is closed.

    Closed, it refuses what is placed and fills nothing; what is cancelled ends before it opens again.
    """

    spread: float = 1.0
    closed: bool = False


USUAL = Conditions()


class Book:
    """Open orders and signed positions by instrument, as the venue sees them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._span = timedelta(milliseconds=TIMEFRAME_MS[settings.desk.timeframe])
        self._orders: dict[str, Order] = {}
        self._positions: dict[str, Decimal] = {}
        self.conditions = USUAL

    def restore(self, orders: tuple[Order, ...], positions: dict[str, Decimal]) -> None:
        """Take up where a venue that never went away would stand."""
        self._orders = {order.request.client_id: order for order in orders}
        self._positions = dict(positions)

    def place(self, request: OrderRequest) -> Order:
        """Accept an order; the same id again is the order already there. A closed venue refuses a new one."""
        if request.client_id not in self._orders:
            if self.conditions.closed:
                return Order(request, OrderStatus.REFUSED)
            self._orders[request.client_id] = Order(request, OrderStatus.ACCEPTED)
        return self._orders[request.client_id]

    def get(self, client_id: str) -> Order | None:
        """An open order."""
        return self._orders.get(client_id)

    def cancel(self, client_id: str, reason: str) -> list[OrderUpdate]:
        """End an order and whatever that leaves without a purpose."""
        order = self._orders.pop(client_id, None)
        if order is None:
            return []
        ended = OrderUpdate(replace(order, status=OrderStatus.CANCELLED), reason, None)
        return [ended, *self._drop_orphans(order.request.instrument)]

    def on_bar(self, bar: Bar) -> list[OrderUpdate]:
        """Everything that this bar does to the orders in its instrument, in order."""
        mine = [order for order in self._orders.values() if order.request.instrument == bar.instrument]
        if not mine or self.conditions.closed:
            return []
        updates: list[OrderUpdate] = []
        stopped = False
        for order in sorted(mine, key=lambda order: (TURN[acts_as(order)], order.request.placed_at)):
            if stopped and order.request.type is OrderType.LIMIT:
                continue  # the adverse price came first: the kind one would come too late
            update = self._meet(order, bar)
            if update is not None:
                updates.append(update)
                stopped = stopped or order.request.type is OrderType.STOP
        leaving = any(update.order.request.reduce_only for update in updates)
        return updates + self._drop_orphans(bar.instrument, leaving=leaving)

    def _meet(self, order: Order, bar: Bar) -> OrderUpdate | None:
        request = order.request
        if bar.end - self._span < request.placed_at:
            return None
        wanted = order.remaining
        if request.reduce_only:
            wanted = min(wanted, self._reducible(request))
        if wanted <= 0:
            return None
        fill = match(
            request,
            acts_as(order),
            wanted,
            bar,
            self._settings.instrument(bar.instrument),
            self._settings.execution,
            self.conditions.spread,
        )
        return self._book(order, fill) if fill is not None else None

    def _book(self, order: Order, fill: Fill) -> OrderUpdate:
        held = self._positions.get(fill.instrument, Decimal(0))
        self._positions[fill.instrument] = held + fill.side.sign * fill.quantity
        filled = order.filled + fill.quantity
        done = filled >= order.request.quantity
        moved = replace(order, filled=filled, status=OrderStatus.FILLED if done else OrderStatus.PARTIAL)
        if done:
            del self._orders[fill.client_id]
        else:
            self._orders[fill.client_id] = moved
        return OrderUpdate(moved, "", fill)

    def _reducible(self, request: OrderRequest) -> Decimal:
        held = self._positions.get(request.instrument, Decimal(0))
        return max(Decimal(0), -request.side.sign * held)

    def _drop_orphans(self, instrument: str, *, leaving: bool = False) -> list[OrderUpdate]:
        """Reduce-only orders without a position to reduce, and without an entry that would make one.

        Once an exit fills, the desk is `leaving`: the rest of an entry that was still filling has no purpose either.
        """
        mine = [order for order in self._orders.values() if order.request.instrument == instrument]
        entries = [order for order in mine if not order.request.reduce_only]
        dropped: list[Order] = []
        if leaving:
            dropped, entries = entries, []
        if not self._positions.get(instrument) and not entries:
            dropped = mine
        for order in dropped:
            del self._orders[order.request.client_id]
        return [OrderUpdate(replace(o, status=OrderStatus.CANCELLED), NO_PURPOSE, None) for o in dropped]


def acts_as(order: Order) -> OrderType:
    """What the order is by now: a stop that has begun to fill has become a market order."""
    triggered = order.request.type is OrderType.STOP and order.filled > 0
    return OrderType.MARKET if triggered else order.request.type
