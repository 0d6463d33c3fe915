"""Orders leave here, and only here: after their intent is durable, and after the halt row has been read."""

from collections.abc import Sequence

from engine.core.accounting.settle import order_record
from engine.core.domain.errors import StoreFailed
from engine.core.domain.order import OrderRequest, OrderStatus, Submission
from engine.core.domain.records import OrderRecord
from engine.core.domain.risk import TradingState
from engine.live.writer import Writer
from engine.ports import Clock, StateStore, Venue


class OrderManager:
    """Sends once, writes down every answer. Orders that add risk do not pass a halt, however late it came."""

    def __init__(self, writer: Writer, venue: Venue, store: StateStore, clock: Clock) -> None:
        self._writer = writer
        self._venue = venue
        self._store = store
        self._clock = clock
        self._unwritten = False

    def check(self) -> None:
        """StoreFailed once the venue has been told something that the journal has not: only a start can look it up."""
        if self._unwritten:
            raise StoreFailed(
                "an answer of the venue could not be written down: start again, and it is looked up"
            )

    async def submit(self, requests: Sequence[OrderRequest]) -> None:
        """Send the orders of one decision. When its entry does not get in, its protection is not sent either."""
        records: list[OrderRecord] = []
        lost = ""
        for request in requests:
            answer = await self._send(request) if not lost else Submission(OrderStatus.EXPIRED, lost)
            records.append(self._record(request, answer))
            if not request.reduce_only and answer.status not in (OrderStatus.ACCEPTED, OrderStatus.UNKNOWN):
                lost = f"its entry was {answer.status}: {answer.reason}"
        await self._write(records)

    async def cancel_risk(self, why: str) -> int:
        """Cancel every open order that could add risk; protection stays. Returns how many were cancelled."""
        adding = [order for order in self._writer.state.portfolio.orders if not order.request.reduce_only]
        return await self._cancel([order.request for order in adding], why)

    async def _cancel(self, requests: Sequence[OrderRequest], why: str) -> int:
        records = []
        for request in requests:
            answer = await self._venue.cancel(request.client_id)
            if answer.status is OrderStatus.CANCELLED:
                records.append(self._record(request, Submission(OrderStatus.CANCELLED, why)))
        await self._write(records)
        return len(records)

    async def _write(self, answers: Sequence[OrderRecord]) -> None:
        try:
            await self._writer.write(answers)
        except StoreFailed:
            self._unwritten = True
            raise

    async def _send(self, request: OrderRequest) -> Submission:
        halt = self._store.halt()
        if halt.state is not TradingState.ACTIVE and not request.reduce_only:
            return Submission(OrderStatus.EXPIRED, f"the desk is {halt.state}: {halt.reason}, by {halt.by}")
        return await self._venue.submit(request)

    def _record(self, request: OrderRequest, answer: Submission) -> OrderRecord:
        return order_record(request, answer.status, self._clock.now(), answer.reason, answer.venue_id)
