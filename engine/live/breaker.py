"""A breaker that tripped in a decision becomes the halt row, an incident, and the end of what could add risk."""

from engine.core.domain.ids import record_id
from engine.core.domain.records import IncidentRecord
from engine.core.domain.risk import RiskState, TradingState
from engine.core.risk.breakers import BREAKER
from engine.live.orders import OrderManager
from engine.live.writer import Writer
from engine.ports import StateStore


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


async def announce(incident: IncidentRecord, writer: Writer, store: StateStore, orders: OrderManager) -> None:
    """The row first: whoever finds the incident in the journal knows that the row was written."""
    store.set_halt(TradingState.HALTED, BREAKER, incident.text, incident.at)
    await writer.write([incident])
    await orders.cancel_risk(incident.text)
