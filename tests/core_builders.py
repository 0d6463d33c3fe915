"""Inputs of the stages of a decision: whole and quiet, so that a test names only what matters to it.

By default the desk would buy: everybody votes up, nothing is held, no limit is near.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from configs.schema.settings import Settings
from engine.core.alpha.momentum import SPANS
from engine.core.domain.ids import cycle_id, decision_id
from engine.core.domain.order import Fill, Order, OrderRequest, OrderStatus, OrderType, Side
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import CycleInputs, EnsembleState, ModelEvidence, Observation
from engine.core.domain.regime import REGIMES, RegimeEstimate
from engine.core.domain.risk import RiskState
from engine.core.domain.signal import Forecast, Prediction
from engine.core.risk.case import NEVER, Case, waiting, worth
from tests.builders import CLOSE, INSTRUMENT, bar, decimal, forecast, order_request, portfolio, settings

QUIET = RiskState(
    day="2008-10-15",
    day_equity=Decimal(100_000),
    last_equity=Decimal(100_000),
    high_water=Decimal(100_000),
)


def features(trend: float = 1.0, volatility: float = 0.01, atr_pct: float = 1.5) -> dict[str, float]:
    """The features that decisions read, as a market that leans `trend` (from -1 to 1) would show them."""
    past = {f"ret_{span}": 200 * trend * volatility * span**0.5 for span in SPANS}
    return past | {
        "vol_cc_60": volatility,
        "zscore_20": -2.5 * trend,
        "sma_ratio_20_50": 2.5 * trend,
        "donchian_break_20": trend,
        "atr_pct_14": atr_pct,
    }


def observation(instrument: str = INSTRUMENT, regime: str | None = "weak_up", **changed: Any) -> Observation:
    """A bar of which everything was said."""
    label = (
        RegimeEstimate(regime, regime, {name: float(name == regime) for name in REGIMES}) if regime else None
    )
    told = changed.pop("bar", None) or bar(instrument)
    values: dict[str, Any] = {
        "instrument": told.instrument,
        "bar": told,
        "previous_close": told.close,
        "issues": (),
        "have": 546,
        "need": 546,
        "feature_set": "abcdef012345",
        "features": features(),
        "regime": label,
    }
    return Observation(**(values | changed))


def learned(edge: float = 0.001, variance: float = 0.0001, bars: float = 500.0) -> EnsembleState:
    """An ensemble that has seen its forecasts earn."""
    voters = {
        name: ModelEvidence(0.2, 5.0, 5.0, 0.0)
        for name in ("momentum", "mean_reversion", "trend", "breakout", "predicted")
    }
    return EnsembleState(voters, 1240.0, 0, edge, variance + edge * edge, bars)


def inputs(chosen: Settings | None = None, **changed: Any) -> CycleInputs:
    """One look at one instrument; any field of the inputs, or `bar` and `features` of the observation."""
    chosen = chosen or settings()
    seen = {name: changed.pop(name) for name in ("bar", "features", "regime", "issues") if name in changed}
    looked = changed.pop("observation", None) or observation(**seen)
    cycle = cycle_id(chosen.desk.name, chosen.desk.timeframe, looked.bar.end)
    values: dict[str, Any] = {
        "decision": decision_id(cycle, looked.instrument),
        "cycle": cycle,
        "as_of": looked.bar.end,
        "observation": looked,
        "predictions": (Prediction("signal", "8b2771fc0a5872d0", 0.8),),
        "portfolio": portfolio(marks={looked.instrument: looked.bar.close}),
        "ensemble": learned(),
        "risk": QUIET,
        "settings": chosen,
        "seed": 7,
    }
    return CycleInputs(**(values | changed))


def case(chosen: Settings | None = None, **changed: Any) -> Case:
    """A wish to buy 10 units at 100 with 100,000 in cash: 1 % of equity, a stop 5 % away, nothing near a limit."""
    said: Forecast = changed.pop("forecast", None) or forecast(0.5)
    looked = changed.pop("observation", None) or observation(bar=bar(close="100.00"))
    values: dict[str, Any] = {
        "decision": "d-0fmb756o0-aa839972",
        "observation": looked,
        "forecast": said,
        "side": Side.BUY,
        "quantity": Decimal(10),
        "stop": Decimal(95),
        "portfolio": portfolio(marks={looked.instrument: looked.bar.close}),
        "risk": QUIET,
        "settings": chosen or settings(),
        "equity": 100_000.0,
        "close": float(looked.bar.close),
        "volatility": 0.01,
        "bars_since_exit": NEVER,
        "bars_since_loss": NEVER,
        "as_of": CLOSE,
    }
    values |= changed
    name, close = looked.instrument, values["close"]
    worked_out: dict[str, Any] = {
        "instrument": values["settings"].instrument(name),
        "value": float(values["quantity"]) * close,
        "held": worth(values["portfolio"].position(name), close),
        "waiting": waiting(values["portfolio"], name),
    }
    return Case(**(worked_out | values))


def resting(
    leg: str = "e",
    side: Side = Side.BUY,
    quantity: Decimal | str = "10",
    type_: OrderType = OrderType.MARKET,
    price: Decimal | str | None = None,
    *,
    instrument: str = INSTRUMENT,
    status: OrderStatus = OrderStatus.ACCEPTED,
    filled: Decimal | str = "0",
    at: datetime = CLOSE,
) -> Order:
    """An order as the desk last heard of it."""
    request = order_request("", leg, side, quantity, type_, price, at, instrument=instrument)
    return Order(request, status, decimal(filled))


def bracket(
    quantity: Decimal | str = "10",
    stop: Decimal | str = "95",
    target: Decimal | str = "110",
    *,
    side: Side = Side.BUY,
    at: datetime = CLOSE,
) -> tuple[OrderRequest, OrderRequest, OrderRequest]:
    """An entry and its protection."""
    away = side.opposite
    return (
        order_request("", "e", side, quantity, at=at),
        order_request("", "s", away, quantity, OrderType.STOP, stop, at, reason="stop"),
        order_request("", "t", away, quantity, OrderType.LIMIT, target, at, reason="target"),
    )


def traded(
    side: Side = Side.BUY,
    quantity: Decimal | str = "10",
    price: Decimal | str = "100",
    *,
    leg: str = "e",
    at: datetime = CLOSE,
    fee: Decimal | str = "0",
    reference: Decimal | str | None = None,
    trade_id: str = "",
    reason: str = "signal",
) -> Fill:
    """One fill of the default decision's order."""
    request = order_request("", leg, side, quantity)
    return Fill(
        trade_id=trade_id or f"{request.client_id}-1",
        client_id=request.client_id,
        decision=request.decision,
        instrument=request.instrument,
        side=side,
        quantity=decimal(quantity),
        price=decimal(price),
        reference=decimal(price if reference is None else reference),
        fee=decimal(fee),
        leg=leg,
        reason=reason,
        at=at,
    )


def with_orders(held: Portfolio, *orders: Order) -> Portfolio:
    """The portfolio with these orders open."""
    return replace(held, orders=orders)
