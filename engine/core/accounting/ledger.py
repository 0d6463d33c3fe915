"""Fills, bars and order messages applied to the portfolio. Decimal from end to end.

A position is averaged over its entry fills. A trade runs from flat to flat; when its last unit is sold it becomes
a `TradeRecord` whose `net` is what cash gained by it, to the last digit.
"""

from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from engine.core.domain.errors import Impossible
from engine.core.domain.ids import record_id
from engine.core.domain.market import Bar
from engine.core.domain.order import Fill, Order, OrderRequest, OrderStatus, moved
from engine.core.domain.portfolio import EntryPlan, Portfolio, Position
from engine.core.domain.records import CycleRecord, OrderRecord, TradeRecord
from engine.core.maths.split import split

ZERO = Decimal(0)


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
    votes = {vote.source: vote.contribution for vote in forecast.votes}
    plan = EntryPlan(proposal.stop, proposal.target, proposal.max_bars, votes)
    return replace(portfolio, plans=portfolio.plans | {record.id: plan})


def place_orders(portfolio: Portfolio, requests: Sequence[OrderRequest]) -> Portfolio:
    """Add intents: written down, not yet sent."""
    if not requests:
        return portfolio
    intents = tuple([Order(request, OrderStatus.INTENT) for request in requests])
    return replace(portfolio, orders=portfolio.orders + intents)


def apply_order(portfolio: Portfolio, record: OrderRecord) -> Portfolio:
    """Move the order along its table; one that can no longer fill is forgotten, and late news do not bring it back."""
    order = _find(portfolio, record.request.client_id)
    if order is None:
        return portfolio
    order = replace(order, status=moved(order.status, record.status))
    return _without_spent_plans(_put(portfolio, order))


def apply_fill(portfolio: Portfolio, fill: Fill) -> tuple[Portfolio, TradeRecord | None]:
    """Book the fill: cash, position, order. The trade record when it made the position flat."""
    portfolio = _count_on_order(portfolio, fill)
    position = portfolio.position(fill.instrument)
    cash = portfolio.cash - fill.side.sign * fill.quantity * fill.price - fill.fee
    portfolio = replace(portfolio, cash=cash)
    if position is None or position.side is fill.side:
        return _enter(portfolio, position, fill), None
    if fill.quantity > abs(position.quantity):
        raise Impossible(
            f"{fill.trade_id}: sold {fill.quantity} of {abs(position.quantity)} {fill.instrument}"
        )
    return _leave(portfolio, position, fill)


def _enter(portfolio: Portfolio, position: Position | None, fill: Fill) -> Portfolio:
    slipped = _slippage(fill)
    if position is None:
        position = _fresh(portfolio, fill)
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
        trade=record_id("t", fill.at, fill.client_id),
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
    )
    if rest:
        return replace(portfolio, positions=_with(portfolio.positions, position)), None
    others = tuple(p for p in portfolio.positions if p.instrument != fill.instrument)
    return _without_spent_plans(replace(portfolio, positions=others)), _trade(position, fill)


def _trade(position: Position, last: Fill) -> TradeRecord:
    """`realised` holds the signed worth of all exits; the entries' worth is taken from it."""
    side = last.side.opposite
    gross = position.realised - side.sign * position.entered_value
    net = gross - position.fees
    return TradeRecord(
        id=record_id("tr", last.at, position.trade),
        at=last.at,
        trade=position.trade,
        instrument=position.instrument,
        side=side,
        quantity=position.entered,
        entry_price=position.average_price,
        exit_price=abs(position.realised) / position.entered,
        opened_at=position.opened_at,
        closed_at=last.at,
        bars_held=position.bars_held,
        gross=gross,
        fees=position.fees,
        slippage=position.slippage,
        net=net,
        return_share=float(net / position.entered_value),
        exit_reason=last.reason,
        entry_decision=position.entry_decision,
        exit_order=last.client_id,
        attribution=split(net, position.votes),
    )


def _slippage(fill: Fill) -> Decimal:
    return fill.side.sign * (fill.price - fill.reference) * fill.quantity


def _count_on_order(portfolio: Portfolio, fill: Fill) -> Portfolio:
    order = _find(portfolio, fill.client_id)
    if order is None:
        return portfolio
    filled = order.filled + fill.quantity
    if filled > order.request.quantity:
        raise Impossible(f"{fill.client_id}: filled {filled} of {order.request.quantity}")
    status = OrderStatus.FILLED if filled == order.request.quantity else OrderStatus.PARTIAL
    return _put(portfolio, replace(order, filled=filled, status=moved(order.status, status)))


def _find(portfolio: Portfolio, client_id: str) -> Order | None:
    return next((order for order in portfolio.orders if order.request.client_id == client_id), None)


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
