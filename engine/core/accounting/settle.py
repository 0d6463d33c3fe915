"""What a venue tells becomes records: fills, the trades they close, orders that moved."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from engine.core.accounting.fold import DeskState, apply, settle
from engine.core.domain.ids import record_id
from engine.core.domain.order import Fill, OrderRequest, OrderStatus, OrderType, OrderUpdate
from engine.core.domain.records import IncidentRecord, OrderRecord, Record
from engine.core.domain.risk import TradingState
from engine.core.domain.venue import Sighting

_UNANSWERED = (OrderStatus.INTENT, OrderStatus.UNKNOWN)
_ALIVE = (OrderStatus.ACCEPTED, OrderStatus.PARTIAL, OrderStatus.FILLED)


def settled(state: DeskState, updates: Sequence[OrderUpdate], at: datetime) -> tuple[DeskState, list[Record]]:
    """The records of the updates, each made against the state that the ones before it leave, and the state after.

    A venue must not tell a fill twice: whoever listens to one that does skips what the journal has.
    """
    records: list[Record] = []
    for update in updates:
        new = _of(state, update, at)
        for record in new:
            state = apply(state, record)
        records += new
    return state, records


def sighted(
    state: DeskState, request: OrderRequest, seen: Sighting, booked: frozenset[str], at: datetime
) -> tuple[DeskState, list[Record]]:
    """The records of what the venue shows of one of our orders: executions that are not `booked` yet, and its end.

    `booked` are the trade ids that the journal has; one answer may tell a trade twice. An order without an answer is
    accepted first: its plan, and with it the stop, must still be there when the fill is booked.
    """
    records: list[Record] = []
    fills = {fill.trade_id: fill for fill in seen.fills}
    filled = sum((f.quantity + f.withheld for f in fills.values() if f.trade_id in booked), Decimal(0))

    def add(new: Sequence[Record]) -> None:
        nonlocal state
        for record in new:
            state = apply(state, record)
        records.extend(new)

    known = state.portfolio.order(request.client_id)
    if known is not None and known.status in _UNANSWERED and seen.status in _ALIVE:
        add([order_record(request, OrderStatus.ACCEPTED, at, "found at the venue", seen.venue_id)])
    for fill in fills.values():
        if fill.trade_id not in booked:
            add(_booked(state, request, fill, filled, at))
            filled += fill.quantity + fill.withheld
    known = state.portfolio.order(request.client_id)
    if known is not None and not seen.status.open:
        add([order_record(known.request, seen.status, at, seen.reason, seen.venue_id)])
    return state, records


def _booked(
    state: DeskState, request: OrderRequest, fill: Fill, before: Decimal, at: datetime
) -> list[Record]:
    """The records of one execution at a venue, of an order that had filled `before`, whether it is open or over.

    A market order's is measured against the last close seen.
    """
    if request.type is OrderType.MARKET:
        mark = state.portfolio.marks.get(request.instrument, fill.price)
        fill = replace(fill, reference=mark)
    record, trade = settle(state, fill)
    records: list[Record] = [record] if trade is None else [record, trade]
    position, total = state.portfolio.position(fill.instrument), before + fill.quantity + fill.withheld
    held = abs(position.quantity) if position is not None and position.side is not fill.side else Decimal(0)
    how = ""
    if total > request.quantity:
        how = f"{total.normalize():f} of {request.quantity}"
    elif request.reduce_only and fill.quantity > held:
        how = f"{fill.quantity.normalize():f} of {held} held"
    if how:
        for each in records:  # what the fill itself changes must not be undone by what is said of it
            state = apply(state, each)
        records.append(_overfill(state, fill, how, at))
    return records


def _overfill(state: DeskState, fill: Fill, how: str, at: datetime) -> IncidentRecord:
    """The desk reduces from when it learned of it, `at` by its own clock: a resume before that was not about this."""
    text = f"{fill.instrument}: the venue filled {how}"
    reducing = replace(
        state.risk, trading=TradingState.REDUCING, since=at, by="overfill", why=text, flatten=False
    )
    return IncidentRecord(
        id=record_id("i", fill.at, "overfill", fill.trade_id),
        at=fill.at,
        name="overfill",
        text=text,
        details={"trade_id": fill.trade_id, "client_id": fill.client_id},
        risk=reducing if state.risk.trading is TradingState.ACTIVE else None,
    )


def order_record(
    request: OrderRequest, status: OrderStatus, at: datetime, reason: str = "", venue_id: str = ""
) -> OrderRecord:
    """An order moved: the same move at the same moment is the same record."""
    key = record_id("o", at, request.client_id, status)
    return OrderRecord(key, at, request, status, reason, venue_id)


def _of(state: DeskState, update: OrderUpdate, at: datetime) -> list[Record]:
    if update.fill is None:
        return [order_record(update.order.request, update.order.status, at, update.reason)]
    fill, trade = settle(state, update.fill)
    return [fill] if trade is None else [fill, trade]
