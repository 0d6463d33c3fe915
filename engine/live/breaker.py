"""A breaker that tripped in a decision becomes the halt row, an incident, and the end of what could add risk."""

from engine.core.domain.records import IncidentRecord
from engine.core.domain.risk import TradingState
from engine.core.risk.patterns import BREAKER
from engine.live.orders import OrderManager
from engine.live.writer import Writer
from engine.ports import StateStore


async def announce(incident: IncidentRecord, writer: Writer, store: StateStore, orders: OrderManager) -> None:
    """The row first: whoever finds the incident in the journal knows that the row was written."""
    store.set_halt(TradingState.HALTED, BREAKER, incident.text, incident.at)
    await writer.write([incident])
    await orders.cancel_risk(incident.text)
