"""Fills, bars and order messages applied to the portfolio. Decimal from end to end.

A position is averaged over its entry fills. A trade runs from flat to flat; when its last unit is sold it becomes
a `TradeRecord` whose `net` is what cash gained by it, to the last digit.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from engine.core.domain.ids import record_id
from engine.core.domain.market import Bar
from engine.core.domain.order import SENDING, Fill, Order, OrderRequest, OrderStatus, OrderType, Side, moved
from engine.core.domain.portfolio import EntryPlan, Portfolio, Position
from engine.core.domain.records import CycleRecord, OrderRecord, StartRecord, TradeRecord
from engine.core.maths.split import split

ZERO = Decimal(0)
_BEGINNINGS = (OrderStatus.INTENT, OrderStatus.UNKNOWN)


def mark(portfolio: Portfolio, bar: Bar) -> Portfolio:
    """Value `bar.instrument` at the close and age its position by one bar; a bar told twice changes nothing."""
    known = portfolio.marked_at.get(bar.instrument)
    if known is not None and bar.end <= known:
        return portfolio
    position = portfolio.position(bar.instrument)
    positions = portfolio.positions
    if position is not None:
        best = max(position.best, bar.close) if position.quantity > 0 else min(position.best, bar.close)
        positions = _with(positions, replace(position, best=best, bars_held=position.bars_held + 1))
    return replace(
        portfolio,
        positions=positions,
        marks=portfolio.marks | {bar.instrument: bar.close},
        marked_at=portfolio.marked_at | {bar.instrument: bar.end},
    )


def place(portfolio: Portfolio, record: CycleRecord) -> Portfolio:
    """The decision's orders are intents from the moment its record is durable."""
    result = record.result
    portfolio = place_orders(portfolio, result.orders)
    proposal, forecast = result.proposal, result.forecast
    if not result.orders or proposal.action != "enter":
        return portfolio
    assert proposal.stop is not None and proposal.target is not None and forecast is not None
    votes = {vote.source: vote.contribution for vote in forecast.votes} if record.wish is None else {}
    plan = EntryPlan(proposal.stop, proposal.target, proposal.max_bars, votes)
    return replace(portfolio, plans=portfolio.plans | {record.id: plan})


def place_orders(portfolio: Portfolio, requests: Sequence[OrderRequest]) -> Portfolio:
    """Add intents: written down, not yet sent."""
    if not requests:
        return portfolio
    intents = tuple([Order(request, OrderStatus.INTENT) for request in requests])
    portfolio = replace(portfolio, orders=portfolio.orders + intents)
    for request in requests:
        if request.reduce_only and request.type is OrderType.MARKET:
            portfolio = _leaving(portfolio, request)
    return portfolio


def _leaving(portfolio: Portfolio, request: OrderRequest) -> Portfolio:
    """The wish to be out outlives the order that tries it first."""
    position = portfolio.position(request.instrument)
    if position is None:
        return portfolio
    keep = max(abs(position.quantity) - request.quantity, ZERO)
    position = replace(position, leaving=request.reason, keep=keep)
    return replace(portfolio, positions=_with(portfolio.positions, position))


def apply_order(portfolio: Portfolio, record: OrderRecord) -> Portfolio:
    """Move the order along its table; one that can no longer fill is forgotten, and late news do not bring it back.

    An order that begins here was made to protect or close a position: it may be smaller than planned.
    """
    order = portfolio.order(record.request.client_id)
    if order is None:
        begins = record.status in _BEGINNINGS and record.request.leg[1:].isdigit()
        return _begin(portfolio, record) if begins else portfolio
    told = Order(record.request, moved(order.status, record.status), order.filled)
    waits = record.status is OrderStatus.UNKNOWN and record.reason != SENDING
    order = replace(told, machine=order.machine, second=order.second) if waits else told
    if record.status is OrderStatus.REFUSED and record.request.type is OrderType.STOP:
        portfolio = _count(portfolio, record.request, refusals=int(not _unanswered(portfolio, order)))
    return _without_spent_plans(_put(portfolio, order))


def outlived(portfolio: Portfolio, start: StartRecord) -> Portfolio:
    """A start: whoever may have sent what has no answer is dead. From here on its absence can be shown.

    Another start of the machine counts its seconds anew, and so does this.
    """
    waiting = (OrderStatus.INTENT, OrderStatus.UNKNOWN)
    if not any(order.status in waiting and order.machine != start.machine for order in portfolio.orders):
        return portfolio
    orders = tuple(
        replace(order, machine=start.machine, second=start.second)
        if order.status in waiting and order.machine != start.machine
        else order
        for order in portfolio.orders
    )
    return replace(portfolio, orders=orders)


def _unanswered(portfolio: Portfolio, refused: Order) -> bool:
    """Whether another order of the instrument may be there already, and hold what the refused one would need."""
    return any(
        order.status is OrderStatus.UNKNOWN
        for order in portfolio.orders
        if order.request.instrument == refused.request.instrument
        and order.request.client_id != refused.request.client_id
    )


def _begin(portfolio: Portfolio, record: OrderRecord) -> Portfolio:
    portfolio = replace(portfolio, orders=(*portfolio.orders, Order(record.request, record.status)))
    return _count(portfolio, record.request, attempts=1)


def _count(portfolio: Portfolio, request: OrderRequest, *, attempts: int = 0, refusals: int = 0) -> Portfolio:
    position = portfolio.position(request.instrument)
    if position is None or request.decision not in (position.entry_decision, *position.added):
        return portfolio
    position = replace(position, attempts=position.attempts + attempts, refusals=position.refusals + refusals)
    return replace(portfolio, positions=_with(portfolio.positions, position))


def apply_fill(portfolio: Portfolio, fill: Fill) -> tuple[Portfolio, TradeRecord | None]:
    """Book the fill: cash, position, order. The trade record when it made the position flat."""
    portfolio = _count_on_order(portfolio, fill)
    position = portfolio.position(fill.instrument)
    cash = portfolio.cash - fill.side.sign * fill.quantity * fill.price - fill.fee
    portfolio = replace(portfolio, cash=cash, external=_paid_elsewhere(portfolio, fill))
    if position is None or position.side is fill.side:
        return _enter(portfolio, position, fill), None
    held = abs(position.quantity)
    if fill.quantity <= held:
        return _leave(portfolio, position, fill)
    # The venue has traded more than was held. That is so, whatever it should have done: the rest is a new position.
    closing = replace(fill, quantity=held)
    rest = replace(fill, quantity=fill.quantity - held, fee=ZERO, withheld=ZERO, paid_asset="", paid=ZERO)
    flat, trade = _leave(portfolio, position, closing)
    return _enter(flat, None, rest), trade


def _paid_elsewhere(portfolio: Portfolio, fill: Fill) -> dict[str, Decimal]:
    """A fee in another asset leaves the money there that the books have charged, and takes of what is not ours."""
    if not fill.paid_asset:
        return portfolio.external
    quote = fill.instrument.partition("/")[2]
    external = dict(portfolio.external)
    for asset, amount in ((quote, fill.fee), (fill.paid_asset, -fill.paid)):
        external[asset] = external.get(asset, ZERO) + amount
    return {asset: amount for asset, amount in external.items() if amount}


def dust_trade(position: Position, at: datetime) -> TradeRecord:
    """The end of a position whose rest is too little to be sold: it is written off at nothing, and kept in mind."""
    dust = abs(position.quantity)
    sold = position.entered - dust
    return replace(
        _ended(
            position,
            position.side,
            position.left_at or at,
            position.left_by or "dust",
            position.left_order,
        ),
        exit_price=abs(position.realised) / sold if sold > 0 else ZERO,
        dust=dust,
    )


def write_off(portfolio: Portfolio, trade: TradeRecord) -> Portfolio:
    """Without the position that the trade ended; its rest is dust."""
    kept = portfolio.dust.get(trade.instrument, ZERO) + trade.dust
    others = tuple(p for p in portfolio.positions if p.instrument != trade.instrument)
    portfolio = replace(portfolio, positions=others, dust=portfolio.dust | {trade.instrument: kept})
    return _without_spent_plans(portfolio)


def _enter(portfolio: Portfolio, position: Position | None, fill: Fill) -> Portfolio:
    slipped = _slippage(fill)
    if position is None:
        position = _fresh(portfolio, fill)
    elif fill.decision not in (position.entry_decision, *position.added):
        position = replace(position, added=(*position.added, fill.decision))
    entered = position.entered + fill.quantity
    value = position.entered_value + fill.quantity * fill.price
    position = replace(
        position,
        quantity=position.quantity + fill.side.sign * fill.quantity,
        average_price=value / entered,
        fees=position.fees + fill.fee,
        slippage=position.slippage + slipped,
        entered=entered,
        entered_value=value,
    )
    marks = (
        portfolio.marks
        if fill.instrument in portfolio.marks
        else portfolio.marks | {fill.instrument: fill.price}
    )
    return _without_spent_plans(
        replace(portfolio, positions=_with(portfolio.positions, position), marks=marks)
    )


def _fresh(portfolio: Portfolio, fill: Fill) -> Position:
    """An empty position with the geometry of its entry; a fill nobody planned gets none it could act on."""
    plan = portfolio.plans.get(fill.decision)
    return Position(
        trade=record_id("t", fill.at, fill.client_id, fill.trade_id),
        instrument=fill.instrument,
        quantity=ZERO,
        average_price=fill.price,
        opened_at=fill.at,
        entry_decision=fill.decision,
        stop=plan.stop if plan else fill.price,
        target=plan.target if plan else fill.price,
        expires_bars=plan.max_bars if plan else 1_000_000,
        best=fill.price,
        votes=plan.votes if plan else {},
    )


def _leave(portfolio: Portfolio, position: Position, fill: Fill) -> tuple[Portfolio, TradeRecord | None]:
    earned = position.side.sign * fill.quantity * fill.price
    rest = position.quantity + fill.side.sign * fill.quantity
    position = replace(
        position,
        quantity=rest,
        fees=position.fees + fill.fee,
        slippage=position.slippage + _slippage(fill),
        realised=position.realised + earned,
        left_by=fill.reason,
        left_order=fill.client_id,
        left_at=fill.at,
    )
    if rest:
        return replace(portfolio, positions=_with(portfolio.positions, position)), None
    others = tuple(p for p in portfolio.positions if p.instrument != fill.instrument)
    return _without_spent_plans(replace(portfolio, positions=others)), _trade(position, fill)


def _trade(position: Position, last: Fill) -> TradeRecord:
    return _ended(position, last.side.opposite, last.at, last.reason, last.client_id)


def _ended(position: Position, side: Side, at: datetime, reason: str, exit_order: str) -> TradeRecord:
    """`realised` holds the signed worth of all exits; the entries' worth is taken from it."""
    gross = position.realised - side.sign * position.entered_value
    net = gross - position.fees
    return TradeRecord(
        id=record_id("tr", at, position.trade),
        at=at,
        trade=position.trade,
        instrument=position.instrument,
        side=side,
        quantity=position.entered,
        entry_price=position.average_price,
        exit_price=abs(position.realised) / position.entered,
        opened_at=position.opened_at,
        closed_at=at,
        bars_held=position.bars_held,
        gross=gross,
        fees=position.fees,
        slippage=position.slippage,
        net=net,
        return_share=float(net / position.entered_value),
        exit_reason=reason,
        entry_decision=position.entry_decision,
        exit_order=exit_order,
        attribution=split(net, position.votes),
    )


def _slippage(fill: Fill) -> Decimal:
    return fill.side.sign * (fill.price - fill.reference) * fill.quantity


def _count_on_order(portfolio: Portfolio, fill: Fill) -> Portfolio:
    order = portfolio.order(fill.client_id)
    if order is None:
        return portfolio
    filled = order.filled + fill.quantity + fill.withheld
    status = OrderStatus.FILLED if filled >= order.request.quantity else OrderStatus.PARTIAL
    return _put(portfolio, replace(order, filled=filled, status=moved(order.status, status)))


def _put(portfolio: Portfolio, order: Order) -> Portfolio:
    """Only open orders are kept; a finished one lives on in the journal."""
    others = tuple(o for o in portfolio.orders if o.request.client_id != order.request.client_id)
    return replace(portfolio, orders=(*others, order) if order.status.open else others)


def _with(positions: tuple[Position, ...], position: Position) -> tuple[Position, ...]:
    kept = tuple(p for p in positions if p.instrument != position.instrument)
    return (*kept, position)


def _without_spent_plans(portfolio: Portfolio) -> Portfolio:
    """A plan is needed until its entry can fill no more."""
    if not portfolio.plans:
        return portfolio
    waiting = {order.request.decision for order in portfolio.orders if not order.request.reduce_only}
    kept = {decision: plan for decision, plan in portfolio.plans.items() if decision in waiting}
    return replace(portfolio, plans=kept) if len(kept) != len(portfolio.plans) else portfolio
