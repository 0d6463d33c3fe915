"""The position manager: what closes a position at a bar's close.

The stop and the target of an entry rest at the venue and need no decision. Everything else is asked here, in this
order, every time: a halt that flattens, a grid that was left, a crash, the time barrier, the trailing exit, a forecast
that has turned. Each is a check that passes while the position may stay; the first that fails is the reason to leave.
"""

from decimal import Decimal
from typing import NamedTuple

from configs.schema.decision import DecisionSettings
from engine.core.domain.instrument import exact
from engine.core.domain.portfolio import Position
from engine.core.domain.records import Proposal
from engine.core.domain.risk import Check, RiskState, TradingState, at_least, at_most
from engine.core.domain.signal import Forecast

TIER = "exit"


class Watch(NamedTuple):
    """What the manager looks at: the position, this bar, and what is said of it. `atr` is in price units."""

    position: Position
    close: Decimal
    atr: float
    regime: str
    forecast: Forecast | None
    risk: RiskState
    settings: DecisionSettings


def exits(watch: Watch) -> tuple[Check, ...]:
    """Every reason to leave, asked."""
    checks = (_halt(watch), _grid(watch), _regime(watch), _time(watch), _trailing(watch), _reversal(watch))
    return tuple(check for check in checks if check is not None)


def propose_exit(watch: Watch, checks: tuple[Check, ...]) -> Proposal:
    """Close all of it for the first reason that holds, or stay."""
    side = watch.position.side.opposite
    for check in checks:
        if not check.passed:
            return Proposal("exit", side, check.name)
    return Proposal("none", None, "hold", stop=watch.position.stop, target=watch.position.target)


def _halt(watch: Watch) -> Check:
    flattening = watch.risk.trading is TradingState.HALTED and watch.risk.flatten
    return at_most("halt", TIER, float(flattening), 0, "yes", "command.kill")


def _grid(watch: Watch) -> Check | None:
    """None without a grid. Its stop rests at the venue; what that has not sold is sold here."""
    run = watch.risk.grids.get(watch.position.instrument)
    if run is None or watch.position.quantity < 0:
        return None
    if run.over:
        return at_most("grid", TIER, 1, 0, "yes", "risk.grids.stop")
    return at_least("grid", TIER, float(watch.close), float(run.stop), "price", "risk.grids.stop")


def _regime(watch: Watch) -> Check:
    crashed = watch.regime == "crash" and watch.position.quantity > 0
    return at_most("regime", TIER, float(crashed), 0, "yes", "decision.blocked_regimes")


def _time(watch: Watch) -> Check:
    last = watch.position.expires_bars - 1
    return at_most("time", TIER, watch.position.bars_held, last, "bars", "decision.max_bars")


def _trailing(watch: Watch) -> Check | None:
    """None while the trailing exit is switched off, or the range it is measured in is not known."""
    distance = watch.settings.trail_atr * watch.atr
    if not distance:
        return None
    level = watch.position.best - watch.position.side.sign * exact(distance)
    ask = at_least if watch.position.quantity > 0 else at_most
    return ask("trailing", TIER, float(watch.close), float(level), "price", "decision.trail_atr")


def _reversal(watch: Watch) -> Check:
    """Confidence against the position; a forecast on its side, or none, is no conviction against it."""
    forecast = watch.forecast
    against = 0.0
    if forecast is not None and forecast.direction == -watch.position.side.sign:
        against = forecast.confidence
    return at_most(
        "reversal", TIER, against, watch.settings.exit_confidence, "share", "decision.exit_confidence"
    )
