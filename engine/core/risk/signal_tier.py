"""Before any money is looked at: is the data fit, and does the desk want this at all?"""

from engine.core.domain.records import Observation
from engine.core.domain.risk import Check, at_least, at_most
from engine.core.risk.case import COUNT, Case

TIER = "signal"


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
    orders = case.portfolio.orders
    waiting = sum([o.status.open for o in orders if o.request.instrument == observation.instrument])
    return (
        at_least("direction", TIER, float(allowed), 1, "yes", "decision.long_only"),
        at_least("confidence", TIER, confidence, decision.confidence, "share", "decision.confidence"),
        at_most("regime", TIER, blocked, 0, "yes", "decision.blocked_regimes"),
        at_least(
            "cool-down", TIER, case.bars_since_exit, decision.cooldown_bars, "bars", "decision.cooldown_bars"
        ),
        at_most("already held", TIER, float(case.held > 0), 0, COUNT, "decision"),
        at_most("order pending", TIER, waiting, 0, COUNT, "decision"),
    )
