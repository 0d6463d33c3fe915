"""One order against one bar: whether it fills, how much of it, and at what price. Pessimistic where a bar is silent.

* A market order fills at the bar's open, half the spread and the slippage worse.
* A stop becomes a market order when the bar trades at its price; a gap beyond it fills at the open.
* A limit fills only when the bar trades *through* its price: a touch leaves it in the queue.
* Slippage grows with the square root of the share that the order takes of the permitted volume.
* No fill is at a price that the bar did not trade, and none takes more than the permitted share of its volume.
* Under stress the spread is a multiple of the usual one. What is added comes on top of all that and may lie outside
  of the bar, for a bar tells of trades and not of quotes; never below one tick.

A bar does not say in which order its extremes came, so a stop is looked at before a target (see `book`).
"""

import math
from decimal import Decimal
from typing import NamedTuple

from configs.schema.desk import Instrument
from configs.schema.execution import ExecutionSettings
from engine.core.domain.ids import time36
from engine.core.domain.instrument import exact, price_down, price_up, whole_lots
from engine.core.domain.market import Bar
from engine.core.domain.order import Fill, OrderRequest, OrderType, Side

CENT_OF_A_MICRO = Decimal("0.00000001")


class Touch(NamedTuple):
    """Where an order meets a bar: the price before costs, and whether taking it costs spread and slippage."""

    price: Decimal
    takes: bool


def match(
    request: OrderRequest,
    acts_as: OrderType,
    wanted: Decimal,
    bar: Bar,
    instrument: Instrument,
    costs: ExecutionSettings,
    spread: float = 1.0,
) -> Fill | None:
    """The fill of up to `wanted` units in this bar, or None; the order trades as `acts_as` says.

    `spread` is how many times as wide as usual it is.
    """
    touch = TOUCH[acts_as](request, bar)
    if touch is None:
        return None
    most = permitted(bar, instrument, costs)
    quantity = wanted if most is None else min(wanted, most)
    if quantity <= 0:
        return None
    price = (
        _worse(touch.price, request.side, quantity, most, bar, instrument, costs)
        if touch.takes
        else touch.price
    )
    if touch.takes and spread > 1:
        price = _wider(price, request.side, spread, instrument, costs)
    return Fill(
        trade_id=f"{request.client_id}-{time36(bar.end)}",
        client_id=request.client_id,
        decision=request.decision,
        instrument=request.instrument,
        side=request.side,
        quantity=quantity,
        price=price,
        reference=touch.price,
        fee=fee(quantity * price, costs),
        leg=request.leg,
        reason=request.reason,
        at=bar.end,
    )


def fee(value: Decimal, costs: ExecutionSettings) -> Decimal:
    """The venue's fee on a traded value, to the hundred-millionth.

    >>> fee(Decimal("1000"), ExecutionSettings(fee_bps=10))
    Decimal('1.00000000')
    """
    return (value * exact(costs.fee_bps) / 10_000).quantize(CENT_OF_A_MICRO)


def permitted(bar: Bar, instrument: Instrument, costs: ExecutionSettings) -> Decimal | None:
    """How much one order may take of this bar; None where volume is not known."""
    if not costs.volume_is_known:
        return None
    return whole_lots(instrument, bar.volume * exact(costs.participation))


def _market(request: OrderRequest, bar: Bar) -> Touch | None:
    return Touch(bar.open, True)


def _stop(request: OrderRequest, bar: Bar) -> Touch | None:
    assert request.price is not None, "a stop has a price"
    if request.side is Side.SELL:
        return Touch(min(bar.open, request.price), True) if bar.low <= request.price else None
    return Touch(max(bar.open, request.price), True) if bar.high >= request.price else None


def _limit(request: OrderRequest, bar: Bar) -> Touch | None:
    assert request.price is not None, "a limit has a price"
    if request.side is Side.SELL:
        return Touch(max(bar.open, request.price), False) if bar.high > request.price else None
    return Touch(min(bar.open, request.price), False) if bar.low < request.price else None


TOUCH = {OrderType.MARKET: _market, OrderType.STOP: _stop, OrderType.LIMIT: _limit}


def _worse(
    price: Decimal,
    side: Side,
    quantity: Decimal,
    most: Decimal | None,
    bar: Bar,
    instrument: Instrument,
    costs: ExecutionSettings,
) -> Decimal:
    """The price after costs, never outside what the bar traded."""
    taken = math.sqrt(float(quantity / most)) if most else 0.0
    cost = exact(costs.spread_bps / 2 + costs.slippage_bps + costs.impact_bps * taken) / 10_000
    if side is Side.BUY:
        return min(price_up(instrument, price * (1 + cost)), bar.high)
    return max(price_down(instrument, price * (1 - cost)), bar.low)


def _wider(
    price: Decimal, side: Side, spread: float, instrument: Instrument, costs: ExecutionSettings
) -> Decimal:
    """The price after the half spread that is there beside the usual one."""
    added = exact((spread - 1) * costs.spread_bps / 2) / 10_000
    if side is Side.BUY:
        return price_up(instrument, price * (1 + added))
    return max(price_down(instrument, price * (1 - added)), min(instrument.tick, price))
