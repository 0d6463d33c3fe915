"""How much: the smallest of what each rule allows, with every step kept, and the one crossing to quantities.

All steps but the last are shares of the desk's equity. The last rounds down to whole lots and is the only place
in the house where a float becomes a quantity.
"""

import math
from decimal import Decimal

import msgspec

from configs.schema.desk import Instrument
from configs.schema.settings import Settings
from engine.core.domain.instrument import exact, whole_lots
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import Proposal
from engine.core.domain.risk import Size, SizingStep
from engine.core.domain.signal import Forecast
from engine.core.sizing.kelly import continuous_kelly, estimation_shrink

UNLIMITED = 1e9  # a share of equity no rule would ever allow; unlike infinity it is valid JSON
ONE_SIDED_95 = 1.6448536269514722  # the normal quantile of 95 %


class Ask(msgspec.Struct, frozen=True, gc=False):
    """What a size is asked for. `volatility` is one bar's, as a share; `volume` None when it is not known.

    `committed` is the value of open entry orders, which count as filled.
    """

    proposal: Proposal
    forecast: Forecast
    close: float
    volatility: float
    volume: float | None
    portfolio: Portfolio
    committed: float
    instrument: Instrument
    settings: Settings


def size(ask: Ask) -> Size:
    """Start from fractional Kelly, apply each cap in order, round down to lots."""
    equity = float(ask.portfolio.equity)
    if equity <= 0:
        return Size(
            Decimal(0), 0.0, "equity", (SizingStep("equity", 0.0, 0.0, True, "nothing left to risk"),)
        )
    weight, bound_by = _kelly(ask), "kelly"
    steps = [SizingStep("kelly", 0.0, weight, True, _kelly_words(ask))]
    for name, allowed, reason in _caps(ask, equity):
        after = weight if allowed >= weight else min(weight, max(0.0, allowed))
        bound = after < weight
        steps.append(SizingStep(name, weight, after, bound, reason))
        if bound:
            weight, bound_by = after, name
    quantity = whole_lots(ask.instrument, exact(weight * equity / ask.close))
    rounded = float(quantity) * ask.close / equity
    steps.append(
        SizingStep("lot", weight, rounded, quantity == 0 < weight, f"whole lots of {ask.instrument.lot}")
    )
    return Size(quantity, rounded, "lot" if quantity == 0 < weight else bound_by, tuple(steps))


NO_SIZE = Size(
    Decimal(0), 0.0, "warm-up", (SizingStep("warm-up", 0.0, 0.0, True, "nothing can be said of it yet"),)
)


def size_as_wished(quantity: Decimal, close: float, portfolio: Portfolio, instrument: Instrument) -> Size:
    """What a person asked for, in whole lots. The review has its limits all the same."""
    whole, equity = whole_lots(instrument, quantity), float(portfolio.equity)
    before, after = ((float(q) * close / equity if equity > 0 else 0.0) for q in (quantity, whole))
    step = SizingStep("wish", before, after, whole < quantity, f"asked for {float(quantity):.8g}")
    return Size(whole, after, "wish", (step,))


def _kelly(ask: Ask) -> float:
    forecast = ask.forecast
    full = continuous_kelly(forecast.edge, forecast.edge_variance)
    shrink = estimation_shrink(forecast.edge, forecast.edge_variance, forecast.edge_bars)
    return ask.settings.sizing.kelly_fraction * shrink * full


def _kelly_words(ask: Ask) -> str:
    return f"edge {ask.forecast.edge * 1e4:.2f} bp a bar over {ask.forecast.edge_bars:.0f} bars"


def _caps(ask: Ask, equity: float) -> tuple[tuple[str, float, str], ...]:
    """Each cap: its name, the share of equity it allows, and the number behind it."""
    sizing, risk = ask.settings.sizing, ask.settings.risk
    yearly = ask.volatility * math.sqrt(ask.instrument.bars_per_year)
    var_95 = ONE_SIDED_95 * ask.volatility
    distance = _stop_distance(ask)
    held = ask.portfolio.position(ask.instrument.name)
    own = abs(float(held.quantity)) * ask.close / equity if held else 0.0
    gross = (float(ask.portfolio.gross) + ask.committed) / equity
    cash = (float(ask.portfolio.cash) - ask.committed) / equity / (1 + _entry_cost(ask))
    caps = (
        ("target_volatility", _ratio(sizing.target_volatility, yearly), f"volatility {yearly:.1%} a year"),
        ("risk_per_trade", _ratio(sizing.risk_per_trade, distance), f"stop {distance:.2%} away"),
        ("value_at_risk", _ratio(sizing.var_limit, var_95), f"one bar's 95 % loss {var_95:.2%}"),
        ("max_weight", sizing.max_weight - own, f"at most {sizing.max_weight:.0%} in one instrument"),
        ("gross_room", risk.max_gross - gross, f"{gross:.0%} of {risk.max_gross:.0%} is used"),
        ("cash", cash, f"cash is {cash:.0%} of equity"),
    )
    if ask.volume is None:
        return caps
    share = risk.max_participation
    return (*caps, ("volume", share * ask.volume * ask.close / equity, f"{share:.1%} of the bar's volume"))


def _entry_cost(ask: Ask) -> float:
    """What an entry may cost beyond the close: fee, half the spread, slippage and the largest impact, as a share."""
    cost = ask.settings.execution
    return (cost.fee_bps + cost.spread_bps / 2 + cost.slippage_bps + cost.impact_bps) / 1e4


def _stop_distance(ask: Ask) -> float:
    assert ask.proposal.stop is not None, "an entry always has a stop"
    return abs(ask.close - float(ask.proposal.stop)) / ask.close


def _ratio(limit: float, amount: float) -> float:
    return limit / amount if amount > 0 else UNLIMITED
