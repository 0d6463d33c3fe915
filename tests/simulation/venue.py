"""What the desk sees of the exchange: requests that travel, get lost and are answered late; never the truth itself."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.core.domain.errors import VenueDown
from engine.core.domain.market import Bar
from engine.core.domain.order import Fill, OrderRequest, OrderStatus, OrderUpdate, Side, Submission
from engine.core.domain.venue import Account, Depth, OpenOrder, Sighting, Traits
from tests.simulation.exchange import Placed, Trade
from tests.simulation.loop import pause

if TYPE_CHECKING:
    from tests.simulation.life import Life

TRAITS = Traits("spot", holds_protection=False, absent_after_s=18.0, retry_exit_after_s=3.0)
DARK_S = 17.0
"""Travelling and hidden, an order may be in the dark for less than the traits promise."""
UNKNOWN = OrderStatus.UNKNOWN


class SimVenue:
    """The Venue port over the exchange. Each process has its own; the exchange outlives them all."""

    def __init__(self, life: "Life") -> None:
        self._life = life
        self._world = life.world
        self._exchange = life.world.exchange

    @property
    def traits(self) -> Traits:
        """Of a plain spot account."""
        return TRAITS

    async def prepare(self, order: OrderRequest) -> None:
        """The rules never change here."""

    async def submit(self, order: OrderRequest) -> Submission:
        """One request; what becomes of it is the exchange's business, whoever still waits for the answer."""
        await self._life.passage("before a submit")
        world, faults = self._world, self._world.faults
        world.watch.sent(order)
        world.note("submit", order.client_id)
        if self._down() or faults.hit("never left"):
            await pause(0.05)
            return Submission(OrderStatus.EXPIRED, "the venue could not be reached")
        travel = world.chance.uniform(0.01, 0.3)
        if faults.hit("request lost"):
            return await self._unanswered()
        late = faults.hit("accepted late")
        if late:
            travel = world.chance.uniform(3, 12)
        hidden = min(world.chance.uniform(1, 15), DARK_S - travel) if faults.hit("invisible") else 0.0
        key = f"{order.client_id}@{world.count('request')}"
        self._exchange.on_the_way[key] = order

        def arrive() -> Submission:
            del self._exchange.on_the_way[key]
            return self._exchange.accept(order, hidden)

        answer = await self._asked(arrive, travel, lost=late or faults.hit("answer lost"))
        await self._life.passage("after a submit")
        return answer

    async def cancel(self, order: OrderRequest) -> Submission:
        """The same for the end of an order."""
        await self._life.passage("before a cancel")
        world, faults = self._world, self._world.faults
        world.note("cancel", order.client_id)
        if self._down() or faults.hit("cancel lost"):
            return await self._unanswered()
        travel = world.chance.uniform(0.01, 0.3)
        answer = await self._asked(
            lambda: self._exchange.cancel(order.client_id), travel, lost=faults.hit("cancel answer lost")
        )
        await self._life.passage("after a cancel")
        return answer

    async def lookup(self, order: OrderRequest) -> Sighting | None:
        """What can be seen of it by now."""
        await self._reached("lookup")
        placed = self._exchange.order(order.client_id)
        self._world.note("lookup", order.client_id, placed.status if placed else "nothing")
        if placed is None or placed.visible_from > self._world.now:
            return None
        return sighting(placed, self._told(placed.trades), order, self._world.origin_at)

    async def updates(self, bars: Sequence[Bar]) -> Sequence[OrderUpdate]:
        """Nothing is told unasked."""
        return ()

    async def balances(self) -> Mapping[str, Decimal]:
        """What there is of everything."""
        await self._reached("balances")
        return {asset: amount for asset, amount in self._exchange.balances.items() if amount}

    async def account(self, since: datetime) -> Account:
        """Several requests, and time passes between them."""
        exchange, balances = self._exchange, await self.balances()
        await pause(self._world.chance.uniform(0.01, 0.2))
        now = self._world.now
        orders = tuple(
            OpenOrder(
                placed.request.client_id,
                str(placed.number),
                placed.request.instrument,
                placed.request.side,
                placed.request.quantity,
                placed.filled,
            )
            for placed in exchange.orders
            if placed.open and placed.visible_from <= now
        )
        await pause(self._world.chance.uniform(0.01, 0.2))
        first = self._world.seconds(since)
        fills = tuple(
            fill(each, None, self._world.origin_at)
            for each in self._told([trade for trade in exchange.trades if trade.at >= first])
        )
        await self._life.passage("after the account")
        return Account(balances, orders, fills)

    def unwell(self) -> str:
        """While it is to be left alone, it says so and answers nothing."""
        silent = self._world.faults.during("told to wait", self._world.now)
        return "429: nothing is sent for a while" if silent else ""

    async def clock_offset(self) -> float:
        """Its clock is right but for a while."""
        await self._reached("clock")
        own = 3.0 if self._world.faults.during("clock wrong", self._world.now) else 0.01
        return own - self._world.wrong_by()

    async def price(self, instrument: str, side: Side) -> Decimal:
        """A cent from the middle."""
        await self._reached("price")
        return self._world.price(instrument) + Decimal("0.01") * side.sign

    async def depth(self, instrument: str, side: Side, *, deep: bool = False) -> Depth | None:
        """It has no book: everything trades at the price."""
        return None

    async def _reached(self, what: str) -> None:
        """A request that only asks: it may fail, or be slow."""
        await self._life.passage(f"before asking: {what}")
        world, faults = self._world, self._world.faults
        slow = faults.hit("slow answer")
        await pause(world.chance.uniform(2, 25) if slow else world.chance.uniform(0.005, 0.05))
        if self._down() or faults.hit("lookup fails"):
            raise VenueDown("503 Service Unavailable")

    def _down(self) -> bool:
        return bool(self.unwell()) or self._world.faults.during("venue down", self._world.now)

    async def _unanswered(self) -> Submission:
        await pause(self._world.chance.uniform(0.5, 15))
        return Submission(UNKNOWN, "no answer")

    async def _asked(self, act: Callable[[], Submission], travel: float, *, lost: bool) -> Submission:
        """The request arrives whether or not anybody still waits for what comes back."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Submission] = loop.create_future()

        def arrive() -> None:
            result = act()
            if not answer.done():
                answer.set_result(result)

        loop.call_later(travel, arrive)
        if lost:
            return await self._unanswered()
        told = await _of(answer)
        await self._life.passage("while an answer travels")
        await pause(self._world.chance.uniform(2, 25) if self._world.faults.hit("slow answer") else 0.02)
        return told

    def _told(self, trades: Sequence[Trade]) -> list[Trade]:
        now, faults = self._world.now, self._world.faults
        told = [trade for trade in trades if trade.told_from <= now]
        return [*told, *told] if told and faults.hit("told twice") else told


async def _of(answer: Awaitable[Submission]) -> Submission:
    return await answer


def sighting(
    placed: Placed, trades: Sequence[Trade], request: OrderRequest, moment: Callable[[float], datetime]
) -> Sighting:
    """An end is told only together with every execution: trades may be listed later than their order ends."""
    told = {trade.number: trade.quantity for trade in trades}
    filled = sum(told.values(), Decimal(0))
    status = OrderStatus.PARTIAL if filled < placed.filled else placed.status
    fills = tuple(fill(trade, request, moment) for trade in trades)
    return Sighting(status, filled, fills, str(placed.number))


def fill(trade: Trade, request: OrderRequest | None, moment: Callable[[float], datetime]) -> Fill:
    """One execution as a venue tells it; of whose decision it was it knows only when asked by that order."""
    return Fill(
        trade_id=trade.id,
        client_id=trade.client_id,
        decision=request.decision if request else "",
        instrument=trade.instrument,
        side=trade.side,
        quantity=trade.net,
        price=trade.price,
        reference=(request.price if request else None) or trade.price,
        fee=trade.fee,
        leg=request.leg if request else "",
        reason=request.reason if request else "",
        at=moment(trade.at),
        withheld=trade.kept if trade.side is Side.BUY else Decimal(0),
    )
