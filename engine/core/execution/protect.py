"""What is to be done at a venue that holds no protection by itself: worked out from the state alone, again and again.

The venue takes one plain order at a time and locks what it would sell. So the desk places a stop once something is
held, cancels it before it sells for another reason, and watches targets itself. Nothing here remembers a plan: each
look at the state says what is missing now. A crash between two steps therefore needs no repair of its own, and a
stop that vanishes at the venue is placed again like one that was never there.

    nothing held, none coming   what rests is cancelled, what waits is dropped
    an exit is wanted           what rests is cancelled, then it is sent
    an exit is on its way       nothing
    halted and flattening, target or stop reached, or protection refused too often       an exit is made
    less covered than held      a stop is sent for the difference
    more covered than held      a stop is cancelled; the next look covers what it left open
    too little left to sell     it is written off
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from msgspec.structs import replace

from configs.schema.desk import Instrument
from engine.core.domain.ids import order_id
from engine.core.domain.instrument import base_of, whole_lots
from engine.core.domain.order import Order, OrderRequest, OrderStatus, OrderType
from engine.core.domain.portfolio import Portfolio, Position
from engine.core.domain.risk import RiskState, TradingState

MOST_REFUSALS = 2
"""So often the venue may refuse protection before the position is closed instead."""
JUMPED = Decimal("0.01")
"""A stop that still rests when the price is this share beyond it was jumped over: some venues know only stops with a
limit, and a limit may never fill."""
MOST_TRIES = 3
"""So many orders are made to protect or close what is worth less than the venue takes."""
RESTING = (OrderStatus.ACCEPTED, OrderStatus.PARTIAL)


class Act(StrEnum):
    """The five things that can be done about an order."""

    SEND = "send"
    CANCEL = "cancel"
    DROP = "drop"
    OPEN = "open"
    WRITE_OFF = "write off"


class Step(NamedTuple):
    """One thing to do now, and why. OPEN writes an order down that a later step sends."""

    act: Act
    request: OrderRequest
    why: str


class Scene(NamedTuple):
    """What the rules look at in one instrument.

    `price` is what selling would bring (or buying back would cost), None when the venue would not say. `doubtful` are
    orders that only reduce and of which the venue shows no trace: they count neither as cover nor as on their way.
    `there` is what the account shows of the asset, where the venue has refused to sell what the books say; else None.
    """

    instrument: Instrument
    portfolio: Portfolio
    risk: RiskState
    price: Decimal | None
    doubtful: frozenset[str]
    at: datetime
    there: Decimal | None = None

    def mine(self) -> list[Order]:
        """The open orders of this instrument."""
        return [o for o in self.portfolio.orders if o.request.instrument == self.instrument.name]


def due(
    portfolio: Portfolio,
    risk: RiskState,
    instruments: tuple[Instrument, ...],
    prices: Mapping[str, Decimal],
    doubtful: frozenset[str],
    at: datetime,
    there: Mapping[str, Decimal] | None = None,
) -> list[Step]:
    """Every step that can be taken now; ask again once they are done."""
    steps: list[Step] = []
    for instrument in instruments:
        price, shown = prices.get(instrument.name), (there or {}).get(instrument.name)
        scene = Scene(instrument, portfolio, risk, price, doubtful, at, shown)
        position = portfolio.position(instrument.name)
        steps += _flat(scene) if position is None else _held(scene, position)
    return steps


def _flat(scene: Scene) -> list[Step]:
    reducing = [order for order in scene.mine() if order.request.reduce_only]
    if len(reducing) < len(scene.mine()):
        return []  # an entry may still make a position
    return [
        *_each(Act.DROP, reducing, (OrderStatus.INTENT,), "nothing is held"),
        *_each(Act.CANCEL, reducing, RESTING, "nothing is held any more"),
    ]


def _held(scene: Scene, position: Position) -> list[Step]:
    mine = scene.mine()
    exits = [o for o in mine if o.request.reduce_only and o.request.type is OrderType.MARKET]
    wanted = [o for o in exits if o.status is OrderStatus.INTENT]
    coming = [o for o in exits if _counts(o, scene) and o.status is not OrderStatus.INTENT]
    if coming:
        return _each(Act.DROP, wanted, (OrderStatus.INTENT,), "another exit is on its way")
    sellable = _sellable(scene, position)
    if not _worth_an_order(scene, position, sellable):
        return _write_off(scene, mine, position)
    sellable = _shown(scene, mine, position, sellable)
    if wanted:
        return _close(scene, mine, wanted[0], sellable)
    reason = _reason_to_leave(scene, position)
    if reason:
        leaving = (
            whole_lots(scene.instrument, sellable - position.keep) if reason == position.leaving else sellable
        )
        return [Step(Act.OPEN, _exit(scene, position, leaving, reason), reason)]
    return _cover(scene, mine, position, sellable)


def _sellable(scene: Scene, position: Position) -> Decimal:
    """What the account can still give: what somebody else sold of it is not there, and was not written off before."""
    name, portfolio = scene.instrument.name, scene.portfolio
    beside = portfolio.external.get(base_of(name), Decimal(0)) + portfolio.dust.get(name, Decimal(0))
    taken = -beside if beside < 0 < position.quantity else Decimal(0)
    return max(whole_lots(scene.instrument, abs(position.quantity) - taken), Decimal(0))


def _shown(scene: Scene, mine: list[Order], position: Position, sellable: Decimal) -> Decimal:
    """No more than the account shows: coins that were moved out by nobody's order are in no book yet, and an order that
    counts on them is refused as a whole.

    Only where no order of ours could have sold: its fill may be on its way to the books, and what the account shows be
    somebody else's. One that shows nothing at all proves as little.
    """
    sold = any(order.request.reduce_only and order.status is not OrderStatus.INTENT for order in mine)
    if scene.there is None or position.quantity < 0 or sold:
        return sellable
    shown = whole_lots(scene.instrument, scene.there)
    return min(sellable, shown) if shown > 0 else sellable


def _worth_an_order(scene: Scene, position: Position, sellable: Decimal) -> bool:
    """The first sale of a position is tried, though not for ever: a fee in kind may leave less than can be sold."""
    price = scene.price or position.average_price
    tried = bool(position.realised) or position.attempts >= MOST_TRIES
    return sellable > 0 and (not tried or sellable * price >= scene.instrument.min_notional)


def _write_off(scene: Scene, mine: list[Order], position: Position) -> list[Step]:
    """Once nothing that could still change it is open."""
    resting = _each(Act.CANCEL, mine, RESTING, "what is left is too little to be sold")
    waiting = _each(Act.DROP, mine, (OrderStatus.INTENT,), "what is left is too little to be sold")
    if resting or waiting or mine:
        return resting + waiting
    return [Step(Act.WRITE_OFF, _exit(scene, position, abs(position.quantity), "dust"), "dust")]


def _close(scene: Scene, mine: list[Order], exit_order: Order, sellable: Decimal) -> list[Step]:
    """What rests holds the funds, and an entry that rests would build up again what is sold: both must go first.

    An entry of which nothing is known is not waited for: what it may still buy is closed in its turn.
    """
    others = [o for o in mine if o.request.client_id != exit_order.request.client_id]
    if any(
        o.status in RESTING
        or (o.status is OrderStatus.UNKNOWN and o.request.reduce_only and _counts(o, scene))
        for o in others
    ):
        return _each(Act.CANCEL, others, RESTING, f"closing: {exit_order.request.reason}")
    wanted = whole_lots(scene.instrument, min(sellable, exit_order.request.quantity))
    return [Step(Act.SEND, replace(exit_order.request, quantity=wanted), "")]


def _reason_to_leave(scene: Scene, position: Position) -> str:
    if scene.risk.trading is TradingState.HALTED and scene.risk.flatten:
        return "halt"
    if position.refusals >= MOST_REFUSALS:
        return "unprotected"
    if position.leaving and whole_lots(scene.instrument, _sellable(scene, position) - position.keep) > 0:
        return position.leaving
    if scene.price is None:
        return ""
    side = position.side.sign
    if (scene.price - position.target) * side >= 0:
        return "target"
    covered = any(o.request.type is OrderType.STOP and o.status in RESTING for o in scene.mine())
    beyond = (position.stop - scene.price) * side
    return "stop" if beyond >= (position.stop * JUMPED if covered else 0) else ""


def _cover(scene: Scene, mine: list[Order], position: Position, sellable: Decimal) -> list[Step]:
    """A stop for what none covers. The one of the decision goes first; it was planned for all that was ordered."""
    stops = [o for o in mine if o.request.type is OrderType.STOP and o.request.reduce_only]
    covered = sum(
        (o.remaining for o in stops if _counts(o, scene) and o.status is not OrderStatus.INTENT), Decimal(0)
    )
    missing = whole_lots(scene.instrument, sellable - covered)
    if missing < 0:  # somebody else sold of it: both stops would fill, and the second with what is not ours
        return _each(Act.CANCEL, stops, RESTING, "more was protected than is held")[-1:]
    if not missing:
        return []
    planned = next((o.request for o in stops if o.status is OrderStatus.INTENT), None)
    if planned is not None:
        return [Step(Act.SEND, replace(planned, quantity=missing), "")]
    if missing * position.stop < scene.instrument.min_notional and covered:
        return []
    stop = replace(_exit(scene, position, missing, "stop", "s"), type=OrderType.STOP, price=position.stop)
    return [Step(Act.SEND, stop, f"{missing} of {sellable} were not protected")]


def _counts(order: Order, scene: Scene) -> bool:
    return order.request.client_id not in scene.doubtful


def _each(act: Act, orders: list[Order], statuses: tuple[OrderStatus, ...], why: str) -> list[Step]:
    return [Step(act, order.request, why) for order in orders if order.status in statuses]


def _exit(scene: Scene, position: Position, quantity: Decimal, reason: str, leg: str = "x") -> OrderRequest:
    """An order of the desk's own making. Its number, and the trade it is for, make its id one that was never used: one
    decision may open a position twice, when a trade is told late."""
    leg = f"{leg}{position.attempts + 1}"
    return OrderRequest(
        client_id=order_id(position.trade, leg),
        decision=position.entry_decision,
        instrument=position.instrument,
        side=position.side.opposite,
        quantity=quantity,
        type=OrderType.MARKET,
        price=None,
        reduce_only=True,
        leg=leg,
        reason=reason,
        placed_at=scene.at,
    )
