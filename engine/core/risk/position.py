"""Tier 1: this order and this position."""

import math

from configs.schema.desk import TIMEFRAME_MS
from engine.core.domain.risk import Check, at_least, at_most
from engine.core.risk.case import COUNT, WHOLE, Case, exposure, share

TIER = "position"
SHOCK_MS = 15 * 60_000
SPANS = (1, 2, 3, 5, 10)
"""Bars over which the features know the move."""


def position_checks(case: Case) -> tuple[Check, ...]:
    """Sizes, prices and how often, for orders that add risk."""
    limits, instrument, value, equity = case.settings.risk, case.instrument, case.value, case.equity
    most, most_key = limits.position_limit(instrument.kind)
    entries = case.risk.instrument_entries.get(instrument.name, 0)
    return (
        at_least(
            "order size", TIER, float(case.quantity), float(instrument.lot), "units", "desk.instruments.lot"
        ),
        at_least(
            "order minimum",
            TIER,
            value,
            float(instrument.min_notional),
            "money",
            "desk.instruments.min_notional",
        ),
        at_most(
            "order value",
            TIER,
            share(value, equity),
            limits.max_order_value,
            WHOLE,
            "risk.max_order_value",
        ),
        at_most("order money", TIER, value, limits.max_order_money, "money", "risk.max_order_money"),
        at_most("position value", TIER, share(value + case.held, equity), most, WHOLE, most_key),
        at_most(
            "group value",
            TIER,
            share(_in_group(case), equity),
            limits.max_group_value,
            WHOLE,
            "risk.max_group_value",
        ),
        at_most(
            "trade risk",
            TIER,
            share(_at_stop(case), equity),
            limits.max_trade_risk,
            WHOLE,
            "risk.max_trade_risk",
        ),
        at_least(
            "stop distance",
            TIER,
            float(case.side.sign * (case.observation.bar.close - case.stop)),
            float(instrument.tick),
            "price",
            "desk.instruments.tick",
        ),
        at_most(
            "participation",
            TIER,
            _participation(case),
            limits.max_participation,
            WHOLE,
            "risk.max_participation",
        ),
        at_most("price jump", TIER, _jump(case), limits.max_price_jump, WHOLE, "risk.max_price_jump"),
        at_most("price shock", TIER, _shock(case), limits.max_price_shock, WHOLE, "risk.max_price_shock"),
        at_most("restricted", TIER, float(instrument.name in limits.restricted), 0, "yes", "risk.restricted"),
        at_most(
            "entries in instrument",
            TIER,
            entries + 1,
            limits.max_entries_per_instrument,
            COUNT,
            "risk.max_entries_per_instrument",
        ),
        at_most(
            "volatility",
            TIER,
            abs(case.volatility) * instrument.bars_per_year**0.5,
            limits.max_instrument_volatility,
            WHOLE,
            "risk.max_instrument_volatility",
        ),
    )


def _in_group(case: Case) -> float:
    """Worth of the instrument's group with this order; 0 where it is in none."""
    group = case.instrument.group
    if not group:
        return 0.0
    names = {each.name for each in case.settings.desk.instruments if each.group == group}
    return exposure(case.portfolio, names) + case.value


def _at_stop(case: Case) -> float:
    """What is lost when the stop fills at its price."""
    return float(case.quantity) * abs(case.close - float(case.stop))


def _participation(case: Case) -> float:
    """Divided as decimals: in floats, a size that takes exactly what is permitted may come out above it."""
    if not case.settings.execution.volume_is_known:
        return 0.0
    volume = case.observation.bar.volume
    return float(case.quantity / volume) if volume > 0 else 1e9


def _jump(case: Case) -> float:
    previous = case.observation.previous_close
    return float(abs(case.observation.bar.close / previous - 1)) if previous else 0.0


def _shock(case: Case) -> float:
    """The largest move that ends with this bar and began no longer than `SHOCK_MS` ago; 0 on longer bars."""
    bars = SHOCK_MS // TIMEFRAME_MS[case.settings.desk.timeframe]
    if not bars:
        return 0.0
    bar, features = case.observation.bar, case.observation.features
    moves = [abs(math.expm1(features.get(f"ret_{span}", 0.0) / 100)) for span in SPANS if span <= bars]
    return max(float(bar.high / bar.low - 1), *moves)
