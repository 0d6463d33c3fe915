"""Circuit breakers: losses that halt the desk and close what it holds, without asking anyone."""

from datetime import datetime

from msgspec.structs import replace

from configs.schema.risk import RiskSettings
from engine.core.domain.ids import record_id
from engine.core.domain.records import IncidentRecord
from engine.core.domain.risk import RiskState, TradingState
from engine.core.risk.daily import day_loss
from engine.core.risk.patterns import BREAKER
from engine.core.risk.system import drawdown


def trip(risk: RiskState, equity: float, at: datetime, limits: RiskSettings) -> RiskState:
    """HALTED and flattening when the day's loss, the drawdown or the number of bars that lost too much exceeds its
    halt limit; else unchanged.

    A figure that is not a number is not within any limit.
    """
    if risk.trading is TradingState.HALTED:
        return risk
    loss, fall = day_loss(risk, equity), drawdown(risk, equity)
    if not loss <= limits.halt_daily_loss:
        why = f"daily loss {loss:.2%} is above {limits.halt_daily_loss:.2%} (risk.halt_daily_loss)"
    elif not fall <= limits.max_drawdown:
        why = f"drawdown {fall:.2%} is above {limits.max_drawdown:.2%} (risk.max_drawdown)"
    elif risk.bar_losses >= limits.halt_bar_losses:
        why = (
            f"{risk.bar_losses} bars of the day lost more than {limits.max_bar_loss:.2%} each, "
            f"fewer than {limits.halt_bar_losses} are allowed (risk.halt_bar_losses)"
        )
    else:
        return risk
    return replace(risk, trading=TradingState.HALTED, since=at, by=BREAKER, why=why, flatten=True)


def incident_of(risk: RiskState) -> IncidentRecord | None:
    """What is written down of a breaker that holds the desk; None when none does. The same each time it is asked."""
    if risk.trading is not TradingState.HALTED or risk.by != BREAKER or risk.since is None:
        return None
    return IncidentRecord(
        id=record_id("i", risk.since, BREAKER, risk.why),
        at=risk.since,
        name=BREAKER,
        text=risk.why,
        details={},
        risk=None,
    )
