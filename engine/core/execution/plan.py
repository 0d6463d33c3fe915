"""Approved targets become orders. Ids are functions of the decision and the leg, so a second try is the same order.

An entry carries its protection: a stop and a target that can only reduce, that wait at the venue until the entry
fills, and of which one ends the other.
"""

from datetime import datetime
from decimal import Decimal

from engine.core.domain.ids import order_id
from engine.core.domain.order import OrderRequest, OrderType
from engine.core.domain.records import Proposal
from engine.core.domain.risk import Approved

ENTRY, STOP, TARGET, EXIT = "e", "s", "t", "x"


def plan_orders(approved: Approved, proposal: Proposal, at: datetime) -> tuple[OrderRequest, ...]:
    """Orders for what was approved, the one that acts first."""
    if approved.reduce_only:
        return (_order(approved, EXIT, OrderType.MARKET, None, proposal.reason, at, opposite=False),)
    assert proposal.stop is not None and proposal.target is not None, "an entry carries its protection"
    return (
        _order(approved, ENTRY, OrderType.MARKET, None, proposal.reason, at, opposite=False),
        _order(approved, STOP, OrderType.STOP, proposal.stop, "stop", at, opposite=True),
        _order(approved, TARGET, OrderType.LIMIT, proposal.target, "target", at, opposite=True),
    )


def _order(
    approved: Approved,
    leg: str,
    type_: OrderType,
    price: Decimal | None,
    reason: str,
    at: datetime,
    *,
    opposite: bool,
) -> OrderRequest:
    return OrderRequest(
        client_id=order_id(approved.decision, leg),
        decision=approved.decision,
        instrument=approved.instrument,
        side=approved.side.opposite if opposite else approved.side,
        quantity=approved.quantity,
        type=type_,
        price=price,
        reduce_only=approved.reduce_only or opposite,
        leg=leg,
        reason=reason,
        placed_at=at,
    )
