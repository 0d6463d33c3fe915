"""Orders leave here, and only here: after their intent is durable, and after the halt row has been read."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from configs.schema.risk import RiskSettings
from configs.schema.settings import Settings
from engine.core.accounting.settle import order_record, sighted
from engine.core.domain.errors import StoreFailed, VenueDown
from engine.core.domain.ids import fill_id
from engine.core.domain.instrument import exact
from engine.core.domain.order import SENDING, OrderRequest, OrderStatus, Submission
from engine.core.domain.records import OrderRecord, Record
from engine.core.domain.risk import TradingState
from engine.core.domain.venue import Sighting
from engine.core.risk.limits import within
from engine.core.risk.pace import LONGEST, too_fast
from engine.core.risk.patterns import VENUE, locks_against
from engine.live.depth import Offers
from engine.live.writer import Writer
from engine.ports import Clock, Journal, Lease, StateStore, Venue

MARGIN_S = 0.5
"""The lease must be ours for so long from now: what is signed within it and comes late is refused by the venue."""
REMEMBERED = 10_000
"""Entries of which it is known that they have left."""
AGAIN = timedelta(minutes=1)
"""Cancels of one order within that count as one request."""
PLACES = 20
"""So often within a second a waiting entry looks whether it may go."""
ORDER_CHECK = "order check"
"""Who halts the desk when an entry would leave that was not decided."""
LEFT = (OrderStatus.ACCEPTED, OrderStatus.UNKNOWN, OrderStatus.REFUSED)
"""What an order is said to be that was sent."""
MOST = 5000
TWICE = 2
"""So often the price is asked for that an entry is held against."""
NO_ANSWER = "no answer within {:g} s"


class OrderManager:
    """Sends once, writes down every answer. Orders that add risk do not pass a halt, however late it came."""

    def __init__(
        self,
        writer: Writer,
        journal: Journal,
        venue: Venue,
        store: StateStore,
        clock: Clock,
        settings: Settings,
        lease: Lease | None = None,
    ) -> None:
        self._writer = writer
        self._journal = journal
        self._venue = venue
        self._store = store
        self._clock = clock
        self._settings = settings
        self._lease = lease
        self._unwritten = False
        self._elsewhere = venue.traits.absent_after_s > 0  # what is part of this process cannot be flooded
        earlier = sent_lately(journal, clock) if self._elsewhere else []
        self._left: deque[datetime] = deque(earlier, settings.risk.max_requests_per_day)
        self._ended: dict[str, datetime] = {}
        self._entered: deque[str] = deque(maxlen=REMEMBERED)
        self._offers = Offers(venue, settings, clock)

    def check(self) -> None:
        """StoreFailed once the venue has been told something that the journal has not: only a start can look it up."""
        if self._unwritten:
            raise StoreFailed(
                "an answer of the venue could not be written down: start again, and it is looked up"
            )

    async def submit(self, requests: Sequence[OrderRequest]) -> str:
        """Send the orders of one decision. When its entry does not get in, its protection is not sent either.

        Returns why nothing got in; empty when it did, or may have.

        At a venue that holds no protection only the entry leaves here: what reduces is sent when it is due.
        """
        records: list[Record] = []
        lost: Submission | None = None
        for request in requests:
            if request.reduce_only and lost is None and not self._venue.traits.holds_protection:
                continue
            if lost is not None:
                answer = Submission(OrderStatus.EXPIRED, f"its entry was {lost.status}: {lost.reason}")
            elif why := await self._in_its_time(request):
                answer = Submission(OrderStatus.EXPIRED, why)
            else:
                answer = await self._send(request)
            records.append(self._record(request, answer))
            if not request.reduce_only and answer.status not in (OrderStatus.ACCEPTED, OrderStatus.UNKNOWN):
                lost = lost or answer
        news, self._offers.news = self._offers.news, []
        await self._write([*news, *records])
        return "" if lost is None else lost.reason or f"its order was {lost.status}"

    async def send_due(self, request: OrderRequest, why: str) -> OrderStatus:
        """Send an order that only reduces. It is unknown, durably, before it leaves: a crash now must look it up."""
        await self._writer.write([self._record(request, Submission(OrderStatus.UNKNOWN, SENDING))])
        answer = await self._send(request)
        if answer.status is OrderStatus.ACCEPTED:
            answer = replace(answer, reason=why)
        if answer.status is not OrderStatus.UNKNOWN:
            await self._write([self._record(request, answer)])
        return answer.status

    async def drop(self, request: OrderRequest, why: str) -> None:
        """Give up an order that was never sent."""
        await self._writer.write([self._record(request, Submission(OrderStatus.CANCELLED, why))])

    async def open(self, request: OrderRequest, why: str) -> None:
        """Write an order down that a later step sends."""
        await self._writer.write([self._record(request, Submission(OrderStatus.INTENT, why))])

    async def cancel_risk(self, why: str, lock: str = VENUE) -> int:
        """Cancel every open order that could add risk, of all or of what `lock` stands against; protection stays.

        Returns how many were cancelled.
        """
        adding = [
            order.request
            for order in self._writer.state.portfolio.orders
            if not order.request.reduce_only
            and locks_against((lock,), order.request.instrument, by_person=_by_person(order.request))
        ]
        return sum([await self.cancel(request, why) for request in adding])

    async def cancel_unrecorded(self) -> None:
        """The same when nothing can be written down: what became of them is looked up once it can."""
        for order in self._writer.state.portfolio.orders:
            if not order.request.reduce_only:
                await self.end(order.request)

    async def end(self, request: OrderRequest) -> Submission:
        """Ask for an order's end and write nothing down: one that the books do not know, or while they cannot."""
        now = self._clock.now()
        if (
            now - self._ended.get(request.client_id, now - LONGEST) >= AGAIN
        ):  # one that is stuck is asked each round
            self._left.append(now)
            self._ended = {name: at for name, at in self._ended.items() if now - at < AGAIN}
            self._ended[request.client_id] = now
        return await self._asked(self._venue.cancel(request))

    async def cancel(self, request: OrderRequest, why: str) -> bool:
        """End one order. What it filled before it ended is booked first; True when it is certainly over.

        Where the venue says that nothing filled which is not booked, its word is enough: an exit must not wait for a
        look that nobody answers, behind a stop that is gone.
        """
        known = self._writer.state.portfolio.order(request.client_id)
        if known is None:
            return False
        answer = await self.end(request)
        if answer.status is not OrderStatus.CANCELLED:
            return False  # not open there, or not known: the next look at it tells which
        told = self._venue.traits.holds_protection or answer.filled == known.filled
        if not told and not await self._over(request):
            return False
        if self._writer.state.portfolio.order(request.client_id) is not None:
            await self._write([self._record(request, Submission(OrderStatus.CANCELLED, why))])
        return True

    async def _over(self, request: OrderRequest) -> bool:
        """Whether the venue shows the order's end; what it filled is booked on the way."""
        try:
            seen = await self.look(request)
        except VenueDown:
            return False
        return seen is not None and not seen.status.open

    async def look(self, request: OrderRequest) -> Sighting | None:
        """Ask the venue for one order and write down what is new of it. VenueDown when it cannot be asked."""
        try:
            async with asyncio.timeout(self._settings.venue.answer_s):
                seen = await self._venue.lookup(request)
        except TimeoutError:
            raise VenueDown(NO_ANSWER.format(self._settings.venue.answer_s)) from None
        if seen is not None:
            booked = frozenset(
                fill.trade_id
                for fill in seen.fills
                if self._journal.get(fill_id(fill.client_id, fill.trade_id)) is not None
            )
            await self._write(sighted(self._writer.state, request, seen, booked, self._clock.now())[1])
        return seen

    async def _write(self, answers: Sequence[Record]) -> None:
        try:
            await self._writer.write(answers)
        except StoreFailed:
            self._unwritten = True
            raise

    async def _send(self, request: OrderRequest) -> Submission:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.venue.answer_s):
                await self._venue.prepare(request)
        refusal = self._may_not_leave(request)
        if refusal:
            return Submission(OrderStatus.EXPIRED, refusal)
        self._left.append(self._clock.now())
        if not request.reduce_only:
            self._entered.append(request.client_id)
        return await self._asked(self._venue.submit(request))

    async def _off_the_mark(self, request: OrderRequest) -> str:
        """Why an entry must not trade at what the venue shows and offers now; empty when it may.

        Every limit was measured at a close. A market order takes whatever price there is when it comes.
        """
        portfolio = self._writer.state.portfolio
        if request.reduce_only or self._venue.traits.holds_protection:
            return ""
        price, offered = await asyncio.gather(self._price(request), self._offers.asked(request))
        if price is None:
            return "the venue does not tell a price to hold it against"
        mark, plan = portfolio.marks.get(request.instrument), portfolio.plans.get(request.decision)
        if mark is None or plan is None:
            return "it was reviewed at no price, or has no stop"
        most = exact(self._settings.execution.entry_collar)
        away = abs(price / mark - 1)
        if away > most:
            return (
                f"the price is {price:f}, {away:.2%} from the {mark:f} it was reviewed at; at most {most:.2%}"
            )
        low, high = sorted((plan.stop, plan.target))
        if not low < price < high:
            return f"the price is {price:f}, not between its stop and its target ({low:f} to {high:f})"
        return await self._offers.refusal(request, price, offered, self._limits)

    async def _price(self, request: OrderRequest) -> Decimal | None:
        """None when it is not told, not even when asked again."""
        for _ in range(TWICE):
            with contextlib.suppress(VenueDown, TimeoutError):
                async with asyncio.timeout(self._settings.venue.answer_s):
                    return await self._venue.price(request.instrument, request.side)
        return None

    @property
    def _limits(self) -> RiskSettings:
        """Those of the profile, and what was tightened since."""
        return within(self._settings.risk, self._writer.state.risk.limits)

    async def _in_its_time(self, request: OrderRequest) -> str:
        """Wait for a place among the requests of this second; then why the price there is not the one it is for.

        What is too much for longer than a second is refused at the door, like what a halt keeps back.
        """
        if request.reduce_only:
            return ""
        for _ in range(PLACES):
            hurried = self._too_fast().endswith("(risk.max_requests_per_second)")
            if not hurried or self._store.halt().state is not TradingState.ACTIVE:
                break
            await asyncio.sleep(1 / PLACES)
        return await self._off_the_mark(request)

    def _too_fast(self) -> str:
        if not self._elsewhere:
            return ""
        return too_fast(self._left, self._clock.now(), self._limits)

    def _mismatch(self, request: OrderRequest) -> str:
        """Why the entry is none that was decided: each leaves once, exactly as its decision wrote it down."""
        known = self._writer.state.portfolio.order(request.client_id)
        if request.client_id in self._entered:
            return f"{request.client_id} has left already"
        if known is None or known.status is not OrderStatus.INTENT:
            return f"{request.client_id} is no open intent of a decision"
        if known.request != request:
            return f"{request.client_id} is not what {request.decision} decided"
        return ""

    def _may_not_leave(self, request: OrderRequest) -> str:
        """Why the order must stay here; empty when it may go. Read anew immediately before every order.

        Nothing may be waited for between this and the send: a kill could become durable meanwhile.
        """
        if self._lease is not None and not self._lease.certain(MARGIN_S):
            return "another copy of the desk may have taken over"
        if request.reduce_only:
            return ""
        halt = self._store.halt()
        if halt.state is not TradingState.ACTIVE:
            return f"the desk is {halt.state}: {halt.reason}, by {halt.by}"
        if mismatch := self._mismatch(request):
            self._store.set_halt(TradingState.HALTED, ORDER_CHECK, mismatch, self._clock.now())
            return mismatch
        locked = {row.name: row.reason for row in self._store.locks() if row.locked}
        locked |= {name: lock.why for name, lock in self._writer.state.risk.locks.items()}
        for name in locks_against(locked, request.instrument, by_person=_by_person(request)):
            return f"{name} is locked: {locked[name]}"
        if hurry := self._too_fast():
            return hurry
        late = (self._clock.now() - request.placed_at).total_seconds()
        allowed = self._settings.execution.entry_expires_s
        if late > allowed:
            return f"{late:.0f} s late, at most {allowed:g} s are allowed"
        return next(iter(self._writer.state.risk.against(request.instrument)), "")

    async def _asked(self, answer: Awaitable[Submission]) -> Submission:
        try:
            async with asyncio.timeout(self._settings.venue.answer_s):
                return await answer
        except TimeoutError:
            return Submission(OrderStatus.UNKNOWN, NO_ANSWER.format(self._settings.venue.answer_s))

    def _record(self, request: OrderRequest, answer: Submission) -> OrderRecord:
        return order_record(request, answer.status, self._clock.now(), answer.reason, answer.venue_id)


def sent_lately(journal: Journal, clock: Clock) -> list[datetime]:
    """When each order of the newest day was first said to have left, oldest first: a restart does not forget it."""
    first: dict[str, datetime] = {}
    for stored in journal.find(kind="order", since=clock.now() - LONGEST, limit=MOST):
        record = stored.record
        if isinstance(record, OrderRecord) and record.status in LEFT:
            first[record.request.client_id] = record.at  # newest first: the last one seen is the earliest
    return sorted(first.values())


def _by_person(request: OrderRequest) -> bool:
    """Whether a person wished for this entry."""
    return request.reason == "command"
