"""What becomes of the entries of a grid: on their way, filled, over, and the end of the grid at its stop.

The grid begins with a decision (`core/risk/grid`); from there on it follows the fills, orders and trades, so that a
restart finds it as it was.
"""

from collections.abc import Container
from decimal import Decimal

from msgspec.structs import replace

from engine.core.domain.order import Fill, OrderStatus, Side
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import OrderRecord, TradeRecord
from engine.core.domain.risk import GridEntry, GridRun, Lock, RiskState

GRID = "grid"
"""Who locks an instrument whose grid has ended, and the reason of an exit from one that was left."""
ENTRY = "e"
ENDS = ("stop", GRID)
"""Reasons of a sale that ends a grid at whatever price."""

NOTHING_MORE = (OrderStatus.REFUSED, OrderStatus.CANCELLED, OrderStatus.EXPIRED)
"""How an order ends that may have bought nothing. One that is filled has, though its trades may be told later."""


def grid_filled(risk: RiskState, fill: Fill) -> RiskState:
    """An entry of the grid has filled; or something was sold at its stop or below, which ends it and locks."""
    run = risk.grids.get(fill.instrument)
    if run is None:
        return risk
    if fill.side is Side.BUY:
        if fill.leg != ENTRY:
            return risk  # bought back: no grid sells short
        return _with(risk, fill.instrument, replace(run, entries=_filled(run, fill)))
    if run.over or not (fill.reason in ENDS or fill.price <= run.stop):
        return risk
    why = (
        f"the grid of {fill.instrument} ended: sold at {fill.price.normalize():f} by {fill.reason},"
        f" its stop is {run.stop.normalize():f}"
    )
    ended = _with(risk, fill.instrument, replace(run, over=True))
    return replace(ended, locks=risk.locks | {fill.instrument: Lock(fill.at, GRID, why)})


def grid_order(risk: RiskState, record: OrderRecord) -> RiskState:
    """An entry that ended and bought nothing leaves its level free again."""
    request = record.request
    run = risk.grids.get(request.instrument)
    if run is None or record.status not in NOTHING_MORE or request.reduce_only:
        return risk
    kept = tuple(each for each in run.entries if each.filled or each.decision != request.decision)
    return _kept(risk, request.instrument, replace(run, entries=kept))


def grid_closed(risk: RiskState, trade: TradeRecord, portfolio: Portfolio) -> RiskState:
    """The position of the grid is closed: its levels are free again, and what it lost is not forgotten.

    Entries that may still fill keep their level: `portfolio` is as the trade left it.
    """
    run = risk.grids.get(trade.instrument)
    if run is None:
        return risk
    waiting = {order.request.decision for order in portfolio.orders if not order.request.reduce_only}
    lost = run.lost + max(-trade.net, Decimal(0))
    return _kept(risk, trade.instrument, replace(run, entries=_unfilled(run, waiting), lost=lost))


def grid_money(risk: RiskState, cash: Decimal) -> RiskState:
    """Money was taken out: what the risk is a share of moves with it."""
    moved = {
        name: replace(run, equity=max(run.equity + cash, Decimal(0))) for name, run in risk.grids.items()
    }
    return replace(risk, grids=moved)


def _filled(run: GridRun, fill: Fill) -> tuple[GridEntry, ...]:
    """One whose order was taken for over, and filled after all, takes its level again."""
    if all(each.decision != fill.decision for each in run.entries):
        return (*run.entries, GridEntry(fill.decision, fill.price, fill.quantity, filled=True))
    return tuple(
        replace(each, filled=True) if each.decision == fill.decision else each for each in run.entries
    )


def _unfilled(run: GridRun, waiting: Container[str]) -> tuple[GridEntry, ...]:
    return tuple(replace(each, filled=False) for each in run.entries if each.decision in waiting)


def _kept(risk: RiskState, name: str, run: GridRun) -> RiskState:
    """With nothing of it left, and nothing lost by it, a grid has not begun; one that is over is told by its lock."""
    if run.entries or (run.lost and not run.over):
        return _with(risk, name, run)
    return replace(risk, grids={other: each for other, each in risk.grids.items() if other != name})


def _with(risk: RiskState, name: str, run: GridRun) -> RiskState:
    return replace(risk, grids=risk.grids | {name: run})
