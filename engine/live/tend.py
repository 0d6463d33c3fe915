"""What is done about orders between bars: ask after those that are open, and take the steps that are due.

Every round starts from the state alone. What is remembered here is only how long something has been so, on the
monotonic clock. A restart begins to count anew, which is the careful side, but for one thing: an order without an
answer waits from the first start after it was to leave (`Order.second`), or a desk that dies often would wait for ever.
"""

import asyncio
from collections.abc import Iterable, Mapping
from decimal import Decimal

from configs.schema.settings import Settings
from engine.core.accounting.ledger import dust_trade
from engine.core.accounting.settle import order_record
from engine.core.domain.errors import VenueDown
from engine.core.domain.ids import record_id
from engine.core.domain.instrument import base_of, whole_lots
from engine.core.domain.order import Order, OrderStatus, OrderType
from engine.core.domain.records import IncidentRecord
from engine.core.execution.account import ours
from engine.core.execution.protect import Act, Step, due
from engine.live.holds import UNTOLD, VENUE, Holds, Refusals
from engine.live.orders import OrderManager
from engine.live.writer import Writer
from engine.ports import Clock, Venue

ROUNDS = 8
"""Steps follow from steps: a cancel makes room for an exit. More than this in one go means that they go in circles."""
YOUNG_S, SELDOM_S = 10.0, 5.0
"""An order that was sent within `YOUNG_S` is asked after each time, one that rests every `SELDOM_S`."""
PATIENCE = 3
"""So many failures to ask in a row hold new entries."""
UNTOLD_S = 5.0
"""Trades may be listed later than their order shows them, by so long at most before it is said."""
LONGEST_PAUSE_S, UNREACHED_PAUSE_S = 60.0, 5.0


class Tender:
    """Looks after the orders of one desk at one venue."""

    def __init__(
        self,
        writer: Writer,
        venue: Venue,
        orders: OrderManager,
        holds: Holds,
        refusals: Refusals,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._venue = venue
        self._orders = orders
        self._holds = holds
        self._refusals = refusals
        self._settings = settings
        self._clock = clock
        # When an order was first seen here, and when first without a trace.
        self._first: dict[str, float] = {}
        self._missing: dict[str, float] = {}
        self._untold: dict[str, float] = {}  # since when it was executed and its trades were not listed
        self._next: dict[str, float] = {}
        self._tried: dict[str, tuple[int, float]] = {}  # how often in vain, and until when it is let be
        self._failures = 0
        self._ill = False

    async def tend(self) -> None:
        """One round. Cheap when nothing is open and nothing held."""
        self._orders.check()
        if self._venue.traits.holds_protection:
            return  # such a venue tells by itself what happens, with each bar
        # Also of a venue that is unwell: it says itself what it does not send.
        failed = await self._look_at_all()
        why = self._venue.unwell() or failed
        ill = bool(why or self._failures)
        if why:
            await self._holds.set(VENUE, why)
        elif not ill:
            await self._holds.lift(VENUE)
        if self._ill and not ill:
            self._tried.clear()  # what could not be done meanwhile can be now
        self._ill = ill
        await self._take_steps()
        await self._refusals.look()

    async def _look_at_all(self) -> str:
        """Why the venue cannot be worked with, once that has been so for some time."""
        try:
            await self._look()
        except VenueDown as error:
            self._failures += 1
            return f"the venue cannot be asked: {error}" if self._failures >= PATIENCE else ""
        self._failures = 0
        return ""

    # --- asking ---

    async def _look(self) -> None:
        now = self._clock.monotonic()
        orders = [o for o in self._writer.state.portfolio.orders if o.status is not OrderStatus.INTENT]
        self._forget(order.request.client_id for order in orders)
        failed: VenueDown | None = None
        for order in orders:
            client_id = order.request.client_id
            self._first.setdefault(client_id, self._nobody_sends_it_since(order, now))
            if now < self._next.get(client_id, now):
                continue
            young = order.status is OrderStatus.UNKNOWN or now - self._first[client_id] < YOUNG_S
            self._next[client_id] = now + (0 if young else SELDOM_S)
            try:
                await self._ask(order)
            except VenueDown as error:
                failed = error  # the others may still be answered
                del self._next[client_id]  # a round that does not ask it would pass for one with an answer
        if failed is not None:
            raise failed
        if not self._untold:
            await self._holds.lift(UNTOLD)

    async def _ask(self, order: Order) -> None:
        request, now = order.request, self._clock.monotonic()
        seen = await self._orders.look(request)
        if seen is not None:
            self._missing.pop(request.client_id, None)
            await self._notice_untold(order, seen.untold)
            return
        traits = self._venue.traits
        since = self._missing.setdefault(
            request.client_id, self._first[request.client_id] if order.status is OrderStatus.UNKNOWN else now
        )
        if now - since < traits.absent_after_s:
            return
        why = f"the venue shows no trace of it {now - since:.0f} s after it was sent"
        if order.status is not OrderStatus.UNKNOWN:
            why = f"the venue has not known it for {now - since:.0f} s"
        await self._writer.write([order_record(request, OrderStatus.EXPIRED, self._clock.now(), why)])

    def _nobody_sends_it_since(self, order: Order, now: float) -> float:
        """The monotonic second: an earlier one than now where a start after it is on record, on this machine."""
        known = order.machine and order.machine == self._clock.machine()
        return min(order.second, now) if known else now

    async def _notice_untold(self, order: Order, untold: Decimal) -> None:
        """Executions that the venue counts and does not list: they cannot be booked, and so not be protected."""
        request, now = order.request, self._clock.monotonic()
        if not untold:
            self._untold.pop(request.client_id, None)
            return
        if now - self._untold.setdefault(request.client_id, now) < UNTOLD_S:
            return
        text = (
            f"{request.side} {request.client_id}: the venue has executed {untold.normalize():f} {request.instrument}"
            " and lists no trade of it: it is not in the books, and nothing protects it"
        )
        if UNTOLD not in self._writer.state.risk.holds:
            at = self._clock.now()
            details = {"client_id": request.client_id, "untold": str(untold)}
            key = record_id("i", at, "executed but not told", request.client_id)
            await self._writer.write([IncidentRecord(key, at, "executed but not told", text, details, None)])
        await self._holds.set(UNTOLD, text)

    async def _there(self) -> dict[str, Decimal]:
        """What the account shows, by instrument, where the venue has just refused to sell as much as the books hold."""
        refused = [
            position.instrument
            for position in self._writer.state.portfolio.positions
            if any(self._tried.get(_kind(position.instrument, type_), (0, 0.0))[0] for type_ in OrderType)
        ]
        balances = await self._balances() if refused else None
        if balances is None:
            return {}
        return {name: balances.get(base_of(name), Decimal(0)) for name in refused}

    async def _balances(self) -> Mapping[str, Decimal] | None:
        """As the venue shows them now; None when it does not."""
        try:
            async with asyncio.timeout(self._settings.venue.answer_s):
                return await self._venue.balances()
        except (VenueDown, TimeoutError):
            return None

    async def _doubtful(self) -> frozenset[str]:
        """Orders that only reduce, of which there is no trace, where the account holds nothing but ours to sell.

        The balances are asked for it, now: what was moved in a moment ago is in no book yet.
        """
        now, after = self._clock.monotonic(), self._venue.traits.retry_exit_after_s
        lost = [
            order.request
            for order in self._writer.state.portfolio.orders
            if order.status is OrderStatus.UNKNOWN
            and order.request.reduce_only
            and now - self._missing.get(order.request.client_id, now) >= after
        ]
        balances = await self._balances() if lost else None
        if balances is None:
            return frozenset()
        return frozenset(each.client_id for each in lost if self._all_is_ours(each.instrument, balances))

    def _all_is_ours(self, instrument: str, balances: Mapping[str, Decimal]) -> bool:
        portfolio, base = self._writer.state.portfolio, base_of(instrument)
        there = balances.get(base, Decimal(0))
        beside = there - ours(portfolio, self._settings.desk.currency).get(base, Decimal(0))
        return whole_lots(self._settings.instrument(instrument), max(beside, Decimal(0))) <= 0

    def _forget(self, open_ids: Iterable[str]) -> None:
        """Only what is open is remembered, and which orders of an instrument the venue does not take."""
        kinds = {_kind(each.name, type_) for each in self._settings.desk.instruments for type_ in OrderType}
        kept = {*open_ids, *kinds}
        for memory in (self._first, self._missing, self._untold, self._next, self._tried):
            for client_id in [known for known in memory if known not in kept]:
                del memory[client_id]

    # --- doing ---

    async def _take_steps(self) -> None:
        prices = {}
        for position in self._writer.state.portfolio.positions:
            try:
                async with asyncio.timeout(self._settings.venue.answer_s):
                    prices[position.instrument] = await self._venue.price(
                        position.instrument, position.side.opposite
                    )
            except (VenueDown, TimeoutError):
                continue  # without a price nothing is closed for its price; all else goes on
        doubtful, there = await self._doubtful(), await self._there()
        for _ in range(ROUNDS):
            state = self._writer.state
            steps = due(
                state.portfolio,
                state.risk,
                self._settings.desk.instruments,
                prices,
                doubtful,
                self._clock.now(),
                there,
            )
            taken = [await self._take(step) for step in steps if not self._paused(step)]
            if not any(taken):
                return

    async def _take(self, step: Step) -> bool:
        """Whether it changed something that other steps may follow from."""
        if step.act is Act.SEND:
            status = await self._orders.send_due(step.request, step.why)
            self._count(step, IN_VAIN_S.get(status))
            return status is not OrderStatus.UNKNOWN
        if step.act is Act.CANCEL:
            over = await self._orders.cancel(step.request, step.why)
            self._count(step, None if over else 0.0)
            if not over:  # it may have filled, or be gone: the next round asks
                self._next.pop(step.request.client_id, None)
            return over
        if step.act is Act.DROP:
            await self._orders.drop(step.request, step.why)
        elif step.act is Act.OPEN:
            await self._orders.open(step.request, step.why)
        else:
            await self._write_off(step)
        return True

    async def _write_off(self, step: Step) -> None:
        position = self._writer.state.portfolio.position(step.request.instrument)
        assert position is not None, "what is written off is held"
        await self._writer.write([dust_trade(position, self._clock.now())])

    def _count(self, step: Step, wait_s: float | None) -> None:
        """It was done, or it was in vain and is let be: for `wait_s`, or ever longer each time (0)."""
        what = _what(step)
        if wait_s is None:
            self._tried.pop(what, None)
            return
        times = self._tried.get(what, (0, 0.0))[0] + (not wait_s)
        longest = UNREACHED_PAUSE_S if self._writer.state.risk.flatten else LONGEST_PAUSE_S
        wait = wait_s or min(2.0 ** (times - 1), longest)
        self._tried[what] = (times, self._clock.monotonic() + wait)

    def _paused(self, step: Step) -> bool:
        """A venue that has just said no is not asked the same again at once."""
        return self._clock.monotonic() < self._tried.get(_what(step), (0, 0.0))[1]


def _what(step: Step) -> str:
    """What is tried: to send an order of a kind, to cancel one. Anything else needs no venue and has no pause.

    An exit does not wait because a stop was refused.
    """
    if step.act is Act.SEND:
        return _kind(step.request.instrument, step.request.type)
    return step.request.client_id if step.act is Act.CANCEL else ""


def _kind(instrument: str, type_: OrderType) -> str:
    return f"{instrument} {type_}"


IN_VAIN_S = {OrderStatus.REFUSED: 0.0, OrderStatus.EXPIRED: UNREACHED_PAUSE_S}
"""A no is asked again ever later; what did not even leave goes soon, for nobody has said no to it."""
