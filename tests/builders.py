"""Values that tests need, whole and believable: a test names only what matters to it.

The story behind the defaults: a desk that trades SP500 on daily bars decides at the close of a day, its orders
fill on the next.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from configs.schema.desk import DeskSettings, Instrument
from configs.schema.settings import Settings, settings_hash
from engine.core.domain.ids import cycle_id, decision_id, order_id, record_id
from engine.core.domain.market import Bar, QualityIssue
from engine.core.domain.order import Fill, Order, OrderRequest, OrderStatus, OrderType, Side
from engine.core.domain.portfolio import Portfolio, Position
from engine.core.domain.records import (
    CommandRecord,
    CycleRecord,
    CycleResult,
    EnsembleState,
    FillRecord,
    IncidentRecord,
    Observation,
    OrderRecord,
    OutcomeKind,
    Proposal,
    StartRecord,
    TradeRecord,
    plain,
)
from engine.core.domain.regime import REGIMES, RegimeEstimate
from engine.core.domain.risk import (
    Check,
    NearMiss,
    Review,
    RiskState,
    Size,
    SizingStep,
    TradingState,
    at_least,
    at_most,
)
from engine.core.domain.signal import Forecast, Prediction, Signal, Vote

AGAIN_AND_AGAIN: dict[str, Any] = {
    "max_entries_at_once": 100_000,
    "duplicate_s": 0.0,
    "max_ladder": 100_000,
    "max_flips": 100_000,
    "max_size_after_loss": 100_000.0,
    "max_bar_loss": 0.9,
    "max_requests_per_second": 100_000,
    "max_requests_per_minute": 100_000,
    "max_requests_per_day": 100_000,
}
"""Limits of a desk that may enter in whatever pattern it likes."""
INSTRUMENT = "SP500"
CLOSE = datetime(2008, 10, 15, 21, tzinfo=UTC)
DAY = timedelta(days=1)


def decimal(value: Decimal | str | int) -> Decimal:
    """A decimal, from what is easy to write."""
    return value if isinstance(value, Decimal) else Decimal(value)


def settings(*names: str, **sections: Any) -> Settings:
    """Settings that trade the named instruments on daily bars; sections replace the defaults."""
    instruments = tuple(Instrument(name) for name in names or (INSTRUMENT,))
    return Settings(**({"desk": DeskSettings(instruments=instruments)} | sections))


def bar(
    instrument: str = INSTRUMENT, end: datetime = CLOSE, close: Decimal | str = "1240.00", **prices: Any
) -> Bar:
    """A bar of one price, unless others are named."""
    price = decimal(close)
    values = {name: decimal(prices.get(name, price)) for name in ("open", "high", "low")}
    high = max(values["high"], values["open"], price)
    low = min(values["low"], values["open"], price)
    volume = decimal(prices.get("volume", "1000000"))
    return Bar(instrument, end, values["open"], high, low, price, volume)


def decision(at: datetime = CLOSE, instrument: str = INSTRUMENT) -> str:
    """The id of the decision on that bar."""
    return decision_id(cycle_id("desk", "1d", at), instrument)


def position(
    quantity: Decimal | str = "12.5",
    instrument: str = INSTRUMENT,
    opened_at: datetime = CLOSE - 3 * DAY,
    **changed: Any,
) -> Position:
    """An open position that was decided on a day before it was opened."""
    entry = decision(opened_at - DAY, instrument)
    price = decimal(changed.pop("average_price", "1240.10"))
    side = 1 if decimal(quantity) > 0 else -1
    values: dict[str, Any] = {
        "trade": record_id("t", opened_at, entry),
        "instrument": instrument,
        "quantity": decimal(quantity),
        "average_price": price,
        "opened_at": opened_at,
        "entry_decision": entry,
        "stop": price - side * 60,
        "target": price + side * 120,
        "expires_bars": 40,
        "best": price,
        "bars_held": 3,
        "fees": Decimal("15.50"),
        "slippage": Decimal("3.75"),
        "entered": abs(decimal(quantity)),
        "entered_value": abs(decimal(quantity)) * price,
        "votes": {"momentum": 0.3, "trend": 0.15},
    }
    return Position(**(values | changed))


def portfolio(*positions: Position, cash: Decimal | str = "100000", **changed: Any) -> Portfolio:
    """Cash, positions and a last price for each."""
    marks = {each.instrument: each.average_price for each in positions}
    values: dict[str, Any] = {"cash": decimal(cash), "positions": positions, "marks": marks}
    return Portfolio(**(values | changed))


def forecast(score: float = 0.44, **votes: float) -> Forecast:
    """The joined opinion; votes by name are contributions, each half of its score."""
    spread = votes or {"momentum": score * 0.6, "trend": score * 0.5, "mean_reversion": score * -0.1}
    weight = 1 / len(spread)
    told = tuple(Vote(name, part / weight, weight, part) for name, part in spread.items())
    return Forecast(
        score=score,
        direction=(score > 0) - (score < 0),
        confidence=(1 + abs(score)) / 2,
        dispersion=0.21,
        votes=told,
        method="hedge",
        edge=0.00032,
        edge_variance=0.0001,
        edge_bars=210.0,
    )


def checks(**values: float) -> tuple[Check, ...]:
    """A review's checks, all passed unless a value says otherwise: names with `_` for a space."""
    given = {name.replace("_", " "): value for name, value in values.items()}

    def of(name: str, usual: float) -> float:
        return given.get(name, usual)

    return (
        at_least("warm-up", "signal", of("warm-up", 546), 546, "bars", "features"),
        at_most("data quality", "signal", of("data quality", 0), 0, "issues", "data"),
        at_least("direction", "signal", of("direction", 1), 1, "yes", "decision.long_only"),
        at_least("confidence", "signal", of("confidence", 0.72), 0.65, "share", "decision.confidence"),
        at_most("regime", "signal", of("regime", 0), 0, "yes", "decision.blocked_regimes"),
        at_least("cool-down", "signal", of("cool-down", 7), 1, "bars", "decision.cooldown_bars"),
        at_most("order value", "position", of("order value", 0.155), 0.25, "share", "risk.max_order_value"),
        at_most("daily loss", "daily", of("daily loss", -0.001), 0.02, "share", "risk.max_daily_loss"),
        at_most("daily entries", "daily", of("daily entries", 1), 20, "count", "risk.max_daily_entries"),
        at_least("trading state", "system", of("trading state", 2), 2, "state", "command.resume"),
        at_most("gross exposure", "system", of("gross exposure", 0.46), 0.5, "share", "risk.max_gross"),
    )


def exits(**values: float) -> tuple[Check, ...]:
    """The reasons to leave that were looked at; all passed, which means stay, unless a value says otherwise."""
    return (
        at_most("halt", "exit", values.get("halt", 0), 0, "yes", "command.kill"),
        at_most("regime", "exit", values.get("regime", 0), 0, "yes", "decision.blocked_regimes"),
        at_most("time", "exit", values.get("time", 3), 39, "bars", "decision.max_bars"),
        at_least("trailing", "exit", values.get("trailing", 1250.0), 1198.25, "price", "decision.trail_atr"),
        at_most("reversal", "exit", values.get("reversal", 0), 0.6, "share", "decision.exit_confidence"),
    )


def size(quantity: Decimal | str = "12.5") -> Size:
    """A size in three steps, of which the cap on risk had the last word."""
    steps = (
        SizingStep("kelly", 0.0, 0.32, True, "edge 3.20 bp a bar over 210 bars"),
        SizingStep("risk_per_trade", 0.32, 0.155, True, "stop 4.84% away"),
        SizingStep("lot", 0.155, 0.155, False, "whole lots of 0.001"),
    )
    return Size(decimal(quantity), 0.155, "risk_per_trade", steps)


def observation(
    instrument: str = INSTRUMENT, end: datetime = CLOSE, regime: str = "weak_up", **changed: Any
) -> Observation:
    """What was said of the market at that bar."""
    values: dict[str, Any] = {
        "instrument": instrument,
        "bar": bar(instrument, end),
        "previous_close": Decimal("1231.50"),
        "issues": (),
        "have": 546,
        "need": 546,
        "feature_set": "abcdef012345",
        "features": {"ret_250": 12.4, "vol_cc_60": 1.1, "zscore_20": 0.9},
        "regime": RegimeEstimate(regime, regime, {name: float(name == regime) for name in REGIMES}),
    }
    return Observation(**(values | changed))


def entry_orders(quantity: Decimal | str = "12.5", at: datetime = CLOSE, instrument: str = INSTRUMENT) -> Any:
    """The orders of a decision to buy: the entry and its protection."""
    cause = decision(at, instrument)
    return (
        order_request(cause, "e", Side.BUY, quantity, at=at, instrument=instrument, reason="signal"),
        order_request(
            cause,
            "s",
            Side.SELL,
            quantity,
            OrderType.STOP,
            "1180.00",
            at,
            instrument=instrument,
            reason="stop",
        ),
        order_request(
            cause,
            "t",
            Side.SELL,
            quantity,
            OrderType.LIMIT,
            "1360.00",
            at,
            instrument=instrument,
            reason="target",
        ),
    )


def cycle_record(
    outcome: OutcomeKind | str = OutcomeKind.ENTERED,
    at: datetime = CLOSE,
    instrument: str = INSTRUMENT,
    *,
    reviewed: tuple[Check, ...] | None = None,
    held: Position | None = None,
    watched: tuple[Check, ...] = (),
    risk: RiskState | None = None,
    **changed: Any,
) -> CycleRecord:
    """One look at one instrument. Signals, size, review and orders fit the outcome; `changed` replaces fields of
    the record or, by their names, of its result."""
    outcome = OutcomeKind(outcome)
    cause = decision(at, instrument)
    asked = reviewed if reviewed is not None else _usual_checks(outcome)
    result = _result(outcome, cause, at, instrument, asked, held, watched, risk or RiskState())
    for name in result.__struct_fields__:
        if name in changed and name not in ("risk", "ensemble"):
            result = replace(result, **{name: changed.pop(name)})
    owned = portfolio(held) if held else portfolio(marks={instrument: Decimal("1240.00")})
    values: dict[str, Any] = {
        "id": cause,
        "at": at,
        "cycle": cycle_id("desk", "1d", at),
        "instrument": instrument,
        "observation": observation(instrument, at),
        "predictions": (Prediction("signal", "8b2771fc0a5872d0", 0.61),),
        "portfolio": owned,
        "ensemble": EnsembleState(),
        "risk": risk or RiskState(),
        "settings_hash": settings_hash(settings()),
        "code_version": "0.1.0",
        "seed": 7,
        "result": result,
    }
    return CycleRecord(**(values | changed))


def _usual_checks(outcome: OutcomeKind) -> tuple[Check, ...]:
    if outcome is OutcomeKind.NO_SIGNAL:
        return checks(confidence=0.582)
    if outcome is OutcomeKind.REFUSED:
        return checks(gross_exposure=0.61)
    return checks() if outcome is OutcomeKind.ENTERED else ()


def _result(
    outcome: OutcomeKind,
    cause: str,
    at: datetime,
    instrument: str,
    asked: tuple[Check, ...],
    held: Position | None,
    watched: tuple[Check, ...],
    risk: RiskState,
) -> CycleResult:
    failed = [check for check in asked if not check.passed]
    leaving = next((check.name for check in watched if not check.passed), "trailing")
    wish = {
        OutcomeKind.ENTERED: Proposal(
            "enter", Side.BUY, "signal", stop=Decimal("1180.00"), target=Decimal("1360.00"), max_bars=40
        ),
        OutcomeKind.REFUSED: Proposal(
            "enter", Side.BUY, "signal", stop=Decimal("1180.00"), target=Decimal("1360.00"), max_bars=40
        ),
        OutcomeKind.EXITED: Proposal("exit", Side.SELL, leaving),
    }.get(outcome, Proposal("none", None, "hold" if held else ""))
    orders: tuple[OrderRequest, ...] = ()
    if outcome is OutcomeKind.ENTERED:
        orders = entry_orders(at=at, instrument=instrument)
    elif outcome is OutcomeKind.EXITED and held:
        orders = (
            order_request(
                cause, "x", Side.SELL, abs(held.quantity), at=at, instrument=instrument, reason=leaving
            ),
        )
    near = min(failed, key=lambda check: -check.headroom / (abs(check.limit) or 1), default=None)
    return CycleResult(
        outcome=outcome,
        signals=(
            Signal("momentum", 0.8, {"vol_cc_60": 1.1, "ret_250": 12.4}),
            Signal("trend", 0.66, {"sma_ratio_20_50": 1.7}),
            Signal("mean_reversion", -0.13, {"zscore_20": 0.9}),
        ),
        forecast=forecast(0.164 if outcome is OutcomeKind.NO_SIGNAL else 0.44),
        proposal=wish,
        size=size() if outcome in (OutcomeKind.ENTERED, OutcomeKind.REFUSED, OutcomeKind.NO_SIGNAL) else None,
        exits=watched or (exits() if held else ()),
        review=Review(asked, None, failed[0].name if failed else ""),
        refused_by=failed[0].name if failed else "",
        nearest=NearMiss(near.name, -near.headroom, -near.headroom / (abs(near.limit) or 1), near.unit)
        if near
        else None,
        orders=orders,
        ensemble=EnsembleState(),
        risk=risk if risk.last_equity else replace(risk, last_equity=Decimal("100412.30")),
    )


def order_request(
    cause: str = "",
    leg: str = "e",
    side: Side = Side.BUY,
    quantity: Decimal | str = "12.5",
    type_: OrderType = OrderType.MARKET,
    price: Decimal | str | None = None,
    at: datetime = CLOSE,
    *,
    instrument: str = INSTRUMENT,
    reason: str = "signal",
) -> OrderRequest:
    """An order; anything but an entry only reduces."""
    cause = cause or decision(at, instrument)
    return OrderRequest(
        client_id=order_id(cause, leg),
        decision=cause,
        instrument=instrument,
        side=side,
        quantity=decimal(quantity),
        type=type_,
        price=None if price is None else decimal(price),
        reduce_only=leg != "e",
        leg=leg,
        reason=reason,
        placed_at=at,
    )


def order_record(
    request: OrderRequest | None = None,
    status: OrderStatus = OrderStatus.ACCEPTED,
    reason: str = "",
    at: datetime | None = None,
) -> OrderRecord:
    """An order that moved."""
    request = request or order_request()
    at = at or request.placed_at
    identity = record_id("o", at, request.client_id, status.value)
    return OrderRecord(identity, at, request, status, reason, venue_id=f"paper-{request.client_id}")


def fill(request: OrderRequest | None = None, at: datetime | None = None, **changed: Any) -> FillRecord:
    """The fill of a whole order, a day after it was placed unless it rested longer."""
    request = request or order_request()
    at = at or request.placed_at + DAY
    reference = changed.pop("reference", request.price or Decimal("1239.80"))
    values: dict[str, Any] = {
        "trade_id": f"{request.client_id}-{at:%Y%m%d}",
        "client_id": request.client_id,
        "decision": request.decision,
        "instrument": request.instrument,
        "side": request.side,
        "quantity": request.quantity,
        "price": reference + request.side.sign * Decimal("0.30"),
        "reference": reference,
        "fee": Decimal("15.50"),
        "leg": request.leg,
        "reason": request.reason,
        "at": at,
    }
    one = Fill(**(values | changed))
    return FillRecord(f"f-{one.trade_id}", at, one)


def trade_record(
    closed_at: datetime = CLOSE + 5 * DAY,
    opened_at: datetime = CLOSE + DAY,
    instrument: str = INSTRUMENT,
    exit_reason: str = "stop",
    **changed: Any,
) -> TradeRecord:
    """A closed long trade whose figures fit each other: net is gross less fees, and the attribution adds up."""
    entry = changed.pop("entry_decision", decision(opened_at - DAY, instrument))
    leg = {"stop": "s", "target": "t", "command": "m"}.get(exit_reason, "x")
    gross = decimal(changed.pop("gross", "-750.00"))
    fees = decimal(changed.pop("fees", "30.25"))
    net = gross - fees
    first = (net * 2 / 3).quantize(Decimal("0.00000001"))
    values: dict[str, Any] = {
        "id": record_id("tr", closed_at, entry, instrument),
        "at": closed_at,
        "trade": record_id("t", opened_at, entry),
        "instrument": instrument,
        "side": Side.BUY,
        "quantity": Decimal("12.5"),
        "entry_price": Decimal("1240.10"),
        "exit_price": Decimal("1180.10"),
        "opened_at": opened_at,
        "closed_at": closed_at,
        "bars_held": 4,
        "gross": gross,
        "fees": fees,
        "slippage": Decimal("7.50"),
        "net": net,
        "return_share": float(net / Decimal("15501.25")),
        "exit_reason": exit_reason,
        "entry_decision": entry,
        "exit_order": order_id(entry, leg),
        "attribution": {"momentum": first, "trend": net - first},
    }
    return TradeRecord(**(values | changed))


def command_record(kind: str = "kill", at: datetime = CLOSE, **changed: Any) -> CommandRecord:
    """Somebody's wish, carried out."""
    values: dict[str, Any] = {
        "id": record_id("cmd", at, kind),
        "at": at,
        "kind": kind,
        "by": "ana",
        "source": "console",
        "key": f"console-{kind}",
        "instrument": "",
        "reason": "news tonight",
        "accepted": True,
        "text": "halted: nothing that adds risk leaves the desk; stops stay in place",
        "risk": halted(at),
    }
    return CommandRecord(**(values | changed))


def halted(
    at: datetime = CLOSE, why: str = "news tonight", by: str = "ana", *, flatten: bool = False
) -> RiskState:
    """The risk state of a desk that somebody has stopped."""
    return RiskState(trading=TradingState.HALTED, since=at, by=by, why=why, flatten=flatten)


def incident(at: datetime = CLOSE, name: str = "breaker", text: str = "", **details: str) -> IncidentRecord:
    """Something that should not have happened."""
    text = text or "daily loss 4.40% is above 4.00% (risk.halt_daily_loss)"
    return IncidentRecord(record_id("i", at, name, text), at, name, text, details, None)


def start_record(at: datetime = CLOSE - 400 * DAY, chosen: Settings | None = None) -> StartRecord:
    """The first record of a run."""
    chosen = chosen or settings()
    return StartRecord(
        id=record_id("s", at, "0"),
        at=at,
        desk=chosen.desk.name,
        settings_hash=settings_hash(chosen),
        values=plain(chosen),
        feature_set="abcdef012345",
        models={"signal": "8b2771fc0a5872d0"},
        code_version="0.1.0",
        recovered_records=0,
    )


def issue(kind: str = "spike", text: str = "a return of 21 robust deviations") -> QualityIssue:
    """One thing wrong with a bar."""
    return QualityIssue(kind, "21", text)


def open_order(request: OrderRequest | None = None, status: OrderStatus = OrderStatus.ACCEPTED) -> Order:
    """An order that may still fill."""
    return Order(request or order_request(), status)


def status(state: str = "active", **changed: Any) -> Mapping[str, Any]:
    """What a desk says of itself."""
    shown: dict[str, Any] = {
        "state": state,
        "since": None,
        "by": "",
        "reason": "",
        "equity": "100412.30",
        "cash": "84911.05",
        "day_loss": -0.001,
        "drawdown": 0.012,
        "positions": (),
        "open_orders": 0,
        "currency": "USD",
        "instruments": ["NASDAQ", "SP500"],
        "holds": {},
        "locks": {},
        "last_bar": CLOSE.isoformat(),
        "records": 1234,
    }
    return shown | changed
