"""Tier 3: the desk as a whole. Open, sent and unknown orders all count as filled."""

from configs.schema.desk import AssetClass
from engine.core.domain.order import OrderType
from engine.core.domain.risk import Check, RiskState, TradingState, at_least, at_most
from engine.core.risk.case import COUNT, WHOLE, Case, Reduction, exposure, share, taken
from engine.core.risk.patterns import locks_against

TIER = "system"
BRACKET = 3
"""Orders that an entry adds: itself, its stop and its target."""
RANK = {TradingState.HALTED: 0.0, TradingState.REDUCING: 1.0, TradingState.ACTIVE: 2.0}
_ACTIVE = RANK[TradingState.ACTIVE]


def drawdown(risk: RiskState, equity: float) -> float:
    """How far equity lies below its high-water mark, as a share of it; never negative."""
    high = float(risk.high_water)
    return max((high - equity) / high, 0.0) if high > 0 else 0.0


def system_checks(case: Case) -> tuple[Check, ...]:
    """State, exposure, drawdown and what is on its way."""
    limits, portfolio, value, equity = case.settings.risk, case.portfolio, case.value, case.equity
    waiting, kind = case.waiting, case.instrument.kind
    gross = float(portfolio.gross) + waiting.value + value
    cash = float(portfolio.cash) - waiting.value - value * case.side.sign
    most, most_key = limits.leverage_limit(kind)
    return (
        at_least(
            "trading state",
            TIER,
            RANK[case.risk.trading],
            _ACTIVE,
            "state",
            "command.resume",
        ),
        at_most(
            "drawdown",
            TIER,
            drawdown(case.risk, equity),
            limits.max_drawdown,
            WHOLE,
            "risk.max_drawdown",
        ),
        at_most("gross exposure", TIER, share(gross, equity), limits.max_gross, WHOLE, "risk.max_gross"),
        at_most("leverage", TIER, share(_in_class(case, kind) + value, equity), most, WHOLE, most_key),
        at_least("cash", TIER, share(cash, equity), min(0.0, 1 - limits.max_gross), WHOLE, "risk.max_gross"),
        at_most(
            "open orders",
            TIER,
            waiting.open + BRACKET,
            limits.max_open_orders,
            COUNT,
            "risk.max_open_orders",
        ),
        at_most(
            "unknown orders",
            TIER,
            waiting.unknown,
            limits.max_unknown_orders,
            COUNT,
            "risk.max_unknown_orders",
        ),
        at_most("holds", TIER, len(case.risk.against(case.observation.instrument)), 0, COUNT, "venue"),
        at_most(
            "locks",
            TIER,
            len(locks_against(case.risk.locks, case.observation.instrument, by_person=case.by_person)),
            0,
            COUNT,
            "command.unlock",
        ),
        at_most(
            "positions",
            TIER,
            len(taken(case)) + (not case.adds),
            limits.max_positions,
            COUNT,
            "risk.max_positions",
        ),
    )


def _in_class(case: Case, kind: AssetClass) -> float:
    if not case.portfolio.positions and not case.portfolio.orders:
        return 0.0
    return exposure(
        case.portfolio, {each.name for each in case.settings.desk.instruments if each.kind == kind}
    )


def reducing_checks(wish: Reduction) -> tuple[Check, ...]:
    """What an order that only reduces must still satisfy: less than is held, and a desk that may close."""
    position = wish.portfolio.position(wish.instrument)
    held = abs(float(position.quantity)) if position else 0.0
    may_close = wish.risk.flatten or wish.by_person
    lowest = TradingState.HALTED if may_close else TradingState.REDUCING
    state = RANK[wish.risk.trading]
    return (
        at_least("trading state", TIER, state, RANK[lowest], "state", "command.resume"),
        at_most("reduces only", TIER, float(wish.quantity), held, "units", "order"),
        at_most("exit pending", TIER, _exits_waiting(wish), 0, COUNT, "order"),
    )


def _exits_waiting(wish: Reduction) -> int:
    """Market exits that have not filled yet; a resting stop or target is protection, not an exit on its way."""
    return sum(
        order.request.type is OrderType.MARKET and order.request.reduce_only
        for order in wish.portfolio.orders
        if order.request.instrument == wish.instrument
    )
