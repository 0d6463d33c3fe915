"""Before any money is looked at: is the data fit, and does the desk want this at all?"""

from engine.core.domain.order import Side
from engine.core.domain.records import Observation
from engine.core.domain.risk import Check, at_least, at_most
from engine.core.risk.case import COUNT, Case

TIER = "signal"
MOST_BARS_OLD = 2
"""A wish is for the market as it is: the newest bar may be so many timeframes old."""


def data_checks(observation: Observation) -> tuple[Check, ...]:
    """Can be asked of every bar, also before there are features."""
    return (
        at_least("warm-up", TIER, observation.have, observation.need, "bars", "features"),
        at_most("data quality", TIER, len(observation.issues), 0, "issues", "data"),
    )


def signal_checks(case: Case) -> tuple[Check, ...]:
    """The gate and the rules of when not to act."""
    decision, observation = case.settings.decision, case.observation
    regime = observation.regime
    blocked = float(regime is not None and regime.label in decision.blocked_regimes)
    forecast = case.forecast
    leaning = forecast.direction if forecast else 0
    allowed = leaning > 0 or (leaning < 0 and not decision.long_only)
    confidence = forecast.confidence if forecast else 0.5
    return (
        at_least("direction", TIER, float(allowed), 1, "yes", "decision.long_only"),
        at_least("confidence", TIER, confidence, decision.confidence, "share", "decision.confidence"),
        at_most("regime", TIER, blocked, 0, "yes", "decision.blocked_regimes"),
        at_least(
            "cool-down", TIER, case.bars_since_exit, decision.cooldown_bars, "bars", "decision.cooldown_bars"
        ),
        *_room(case),
    )


def wish_checks(case: Case) -> tuple[Check, ...]:
    """What holds for a person's wish too: a side that may be traded, a market that was just seen, nothing there yet
    but what a grid may add to."""
    allowed = case.side is Side.BUY or not case.settings.decision.long_only
    return (
        at_least("direction", TIER, float(allowed), 1, "yes", "decision.long_only"),
        at_most("bar age", TIER, case.bar_age, MOST_BARS_OLD, "bars", "data"),
        *_room(case),
    )


def _room(case: Case) -> tuple[Check, ...]:
    held = case.held > 0 and not case.adds
    return (
        at_most("already held", TIER, float(held), 0, COUNT, "decision"),
        at_most("order pending", TIER, case.pending, 0, COUNT, "decision"),
    )
