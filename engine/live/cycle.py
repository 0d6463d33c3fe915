"""One moment of the desk: settle what the venue did, look at every instrument, write it all down, then act."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from engine.core.accounting.fold import DeskState, apply
from engine.core.accounting.ledger import mark
from engine.core.accounting.settle import settled
from engine.core.domain.market import Bar
from engine.core.domain.records import CycleRecord, Identity
from engine.core.domain.risk import TradingState
from engine.core.pipeline import decide_on, observe
from engine.core.risk.breakers import incident_of
from engine.live.breaker import announce
from engine.live.orders import OrderManager
from engine.live.tend import Tender
from engine.live.windows import Windows
from engine.live.writer import Writer
from engine.ports import Clock, Predictor, StateStore, Venue


class Parts(NamedTuple):
    """What a cycle needs of the outside, and the identity that its records carry."""

    identity: Identity
    writer: Writer
    windows: Windows
    predictor: Predictor
    venue: Venue
    orders: OrderManager
    tender: Tender
    store: StateStore
    clock: Clock


async def run_moment(bars: Sequence[Bar], parts: Parts) -> tuple[CycleRecord, ...]:
    """All instruments whose bar closed at one moment. Write, then act."""
    writer = parts.writer
    await parts.tender.tend()
    updates = await parts.venue.updates(bars)
    await writer.write(settled(writer.state, updates, parts.clock.now())[1])
    before = writer.state.risk.trading
    records = look(bars, writer.state, parts)
    await writer.write(records)
    tripped = incident_of(writer.state.risk)
    if tripped is not None and before is not TradingState.HALTED:
        await announce(tripped, writer, parts.store, parts.orders)
    acting = [record.result.orders for record in records if record.result.orders]
    for orders in sorted(acting, key=lambda orders: not orders[0].reduce_only):  # exits before entries
        await parts.orders.submit(orders)
        await parts.tender.tend()  # its stop does not wait for the entries after it
    await parts.tender.tend()
    return records


def look(bars: Sequence[Bar], state: DeskState, parts: Parts) -> tuple[CycleRecord, ...]:
    """Decide on each instrument in turn, each on the state that the decisions before it leave.

    A bar that was decided on before a restart is not decided on again.
    """
    windows = {bar.instrument: parts.windows.slide(bar, parts.clock.now()) for bar in bars}
    portfolio = state.portfolio
    for bar in bars:
        portfolio = mark(portfolio, bar)
    state = replace(state, portfolio=portfolio)
    records = []
    for bar in bars:
        last = state.last_bars.get(bar.instrument)
        if last is None or bar.end > last:
            others = parts.windows.others(bar.instrument)
            observation = observe(windows[bar.instrument], parts.identity.settings, others)
            predictions = parts.predictor.predict(observation)
            record = decide_on(observation, predictions, state, parts.identity)
            state = apply(state, record)
            records.append(record)
    return tuple(records)
