"""The venue's account against the books: at the start, every minute, and after anything that looks wrong.

What the venue shows is so. An execution of ours that was not heard is booked; an order of ours that should have ended
is ended; what somebody else did in the account is written down as theirs. A difference that nothing explains stops
new entries, with its size, until it is gone or a person says that it is theirs.
"""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from msgspec.structs import replace

from configs.schema.settings import Settings
from engine.core.accounting.missing import Sold, missing
from engine.core.accounting.settle import sighted
from engine.core.domain.errors import Refused, VenueDown
from engine.core.domain.ids import digest, fill_id, is_order_id, record_id
from engine.core.domain.instrument import base_of
from engine.core.domain.order import Fill, OrderRequest, OrderStatus, OrderType, Side
from engine.core.domain.records import AccountRecord, FillRecord, IncidentRecord, OrderRecord, Record
from engine.core.domain.venue import Account, OpenOrder, Sighting
from engine.core.execution.account import differences, moved_by, outside
from engine.live.holds import ACCOUNT, FOR_A_PERSON, JOURNAL, Holds
from engine.live.orders import OrderManager
from engine.live.writer import Writer
from engine.ports import Clock, Journal, Venue

OVERLAP = timedelta(minutes=5)
"""Executions are asked for from so long before the newest look: venues list them late."""
LOOK_BACK = timedelta(days=1)
MOST_FILLS = 10_000
"""So many executions of one order are counted, and records of the account looked through for the newest whole one."""
RENEW_S = 60.0
"""A hold shows the newest difference, though it is not written down more often than this."""
DIFFERS = "the account differs from the books by "
OTHERS = "external trade"
MOVING = "the hold on the account stands, for orders are on their way: resume again when it is quiet"
CONFIRM = 2
"""A difference counts when it was seen so often in a row with nothing on its way."""


class Look(NamedTuple):
    """The account, when by the venue's clock it was asked for and told, and the newest record before that."""

    account: Account
    asked: datetime
    told: datetime
    sequence: int


class Reconciler:
    """Compares and repairs. Everything it finds is a record."""

    def __init__(
        self,
        writer: Writer,
        journal: Journal,
        venue: Venue,
        orders: OrderManager,
        holds: Holds,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._journal = journal
        self._venue = venue
        self._orders = orders
        self._holds = holds
        self._settings = settings
        self._clock = clock
        self._currency = settings.desk.currency
        self._assets = {self._currency} | {base_of(each.name) for each in settings.desk.instruments}
        self._since = clock.now() - LOOK_BACK  # later looks go by the venue's clock: ours may be set
        self._seen_wrong = 0
        self._renewed = -RENEW_S
        self._baseline: datetime | None = None

    async def begin(self, look: Look | None = None) -> None:
        """Before the first decision: settle what happened while nobody looked. VenueDown when it cannot be asked.

        The first start of all takes what the account holds beside the desk's own as external; Refused when what the
        books say is not there: too little cash, or a position that was opened on paper.
        """
        look = look or await self.look()
        account = look.account
        self._baseline = self._newest_baseline()
        if self._baseline is not None:
            await self._compare(look, confirm=1)
            return
        rest = outside(self._writer.state.portfolio, account.balances, self._assets, self._currency)
        if rest.get(self._currency, 0) < 0:
            has = account.balances.get(self._currency, 0)
            raise Refused(
                f"the account holds {has} {self._currency}, the desk was given {self._settings.desk.cash}:"
                " set desk.cash to what it may use"
            )
        missing = {asset: amount for asset, amount in rest.items() if amount < 0}
        if missing:
            told = ", ".join(f"{-amount:f} {asset}" for asset, amount in missing.items())
            raise Refused(f"the books hold {told} that the account does not: was this home used on paper?")
        await self._adopt(look, rest, "the account at the first start")

    async def look(self) -> Look:
        """Ask for the account: many requests, so nobody's turn is held meanwhile. VenueDown when it is not told."""
        before = self._writer.sequence
        wait = 3 * self._settings.venue.answer_s
        try:
            async with asyncio.timeout(wait):
                asked, began = await self._venue_now(), self._clock.monotonic()
                account = await self._venue.account(self._since)
        except TimeoutError:
            raise VenueDown(f"the account was not told within {wait:g} s") from None
        told = asked + timedelta(seconds=self._clock.monotonic() - began)
        return Look(account, asked, told, before)

    async def check(self, look: Look | None = None) -> bool:
        """One comparison, in the desk's turn; True when everything adds up."""
        return await self._compare(look or await self.look(), confirm=CONFIRM)

    async def accept(self, by: str, look: Look | None = None, shown: str | None = None) -> str:
        """A person says that what does not add up is theirs. In the desk's turn.

        What there is more is external from now on; what is missing of the desk's leaves its books.

        `shown` is the hold that they have looked at. Why it was not accepted, empty when it was: MOVING, for what an
        order of ours is just trading must not pass for theirs; or what the difference is by now.
        """
        look = look or await self.look()
        account = look.account
        await self._take_in(look)
        if (
            self._writer.sequence != look.sequence
            or self._anything_on_its_way()
            or not self._in_step(account)
        ):
            return MOVING
        gaps = differences(self._writer.state.portfolio, account.balances, self._assets, self._currency)
        if gaps and shown not in (None, DIFFERS + _told(gaps)):
            await self._holds.renew(ACCOUNT, DIFFERS + _told(gaps))
            return f"the difference has changed to {_told(gaps)}: look and resume again"
        await self._writer.write(self._missing(look, by))
        rest = outside(self._writer.state.portfolio, account.balances, self._assets, self._currency)
        await self._adopt(look, rest, f"accepted by {by}")
        for name in FOR_A_PERSON:
            await self._holds.lift(name)
        return ""

    def _in_step(self, account: Account) -> bool:
        """Whether the orders that rest in our books rest at the venue too, as far filled as we know."""
        shown = {order.client_id: order.filled for order in account.orders}
        resting = [o for o in self._writer.state.portfolio.orders if o.status is not OrderStatus.INTENT]
        return all(shown.get(order.request.client_id) == order.filled for order in resting)

    async def _compare(self, look: Look, confirm: int) -> bool:
        if not await self._take_in(look):
            return False
        gaps = differences(self._writer.state.portfolio, look.account.balances, self._assets, self._currency)
        if not gaps:
            self._seen_wrong = 0
            await self._holds.lift(ACCOUNT)
            return True
        if self._anything_on_its_way():
            return False  # the two were not looked at in the same moment: ask again when it is quiet
        self._seen_wrong += 1
        now, standing = self._clock.monotonic(), ACCOUNT in self._writer.state.risk.holds
        if self._seen_wrong >= confirm and (not standing or now - self._renewed >= RENEW_S):
            self._renewed = now
            await self._holds.renew(ACCOUNT, DIFFERS + _told(gaps))
        return False

    async def _take_in(self, look: Look) -> bool:
        """What was executed is so whenever it was looked at; all else only while the books are as they were then.

        Whether they are. Orders come before executions: they were shown first, and one that has filled since is not
        one found again.
        """
        still = self._writer.sequence == look.sequence
        for order in look.account.orders if still else ():
            await self._explain(order)
        for fill in look.account.fills:
            await self._settle(fill)
        self._since = look.asked - OVERLAP
        return still

    def _anything_on_its_way(self) -> bool:
        return any(
            order.status in (OrderStatus.UNKNOWN, OrderStatus.PARTIAL)
            or (order.request.type is OrderType.MARKET and order.status is not OrderStatus.INTENT)
            for order in self._writer.state.portfolio.orders
        )

    async def _settle(self, fill: Fill) -> None:
        """An execution that may be news: of ours it is booked, of anybody else's it is written down as theirs."""
        if self._journal.get(fill_id(fill.client_id, fill.trade_id)) is not None:
            return
        request = self._request(fill.client_id)
        if request is None:
            await self._theirs(fill)
            return
        whole = replace(
            fill,
            decision=request.decision,
            reference=request.price or fill.price,
            leg=request.leg,
            reason=request.reason,
        )
        earlier = self._booked(fill.client_id)
        # Its end is told by the next look at it.
        seen = Sighting(OrderStatus.PARTIAL, whole.quantity, (*earlier, whole))
        booked = frozenset(each.trade_id for each in earlier)
        await self._writer.write(sighted(self._writer.state, request, seen, booked, self._clock.now())[1])

    def _booked(self, client_id: str) -> list[Fill]:
        """What the journal has of an order's executions: it may be over, and then the books have forgotten it."""
        found = self._journal.find(kind="fill", client_id=client_id, limit=MOST_FILLS)
        return [stored.record.fill for stored in found if isinstance(stored.record, FillRecord)]

    async def _theirs(self, fill: Fill) -> None:
        key = f"a-{digest('external', fill.instrument, fill.trade_id, length=20)}"
        if self._journal.get(key) is not None or (self._baseline is not None and fill.at <= self._baseline):
            return  # known, or part of what was taken as external
        external = dict(self._writer.state.portfolio.external)
        moved = moved_by(fill, self._currency)
        for asset, amount in moved.items():
            external[asset] = external.get(asset, 0) + amount
        text = (
            f"{fill.side} of {fill.quantity} {fill.instrument} at {fill.price}, which the desk did not order"
        )
        record = AccountRecord(key, fill.at, {}, _without_zeros(external), text)
        told = IncidentRecord(
            record_id("i", fill.at, OTHERS, fill.trade_id),
            fill.at,
            OTHERS,
            text,
            {"trade_id": fill.trade_id, "client_id": fill.client_id} | _sale(fill, moved, self._currency),
            None,
        )
        await self._writer.write([record, told])
        await self._doubt_the_journal(fill.client_id)

    def _missing(self, look: Look, by: str) -> list[Record]:
        state, balances = self._writer.state, look.account.balances
        rest = outside(state.portfolio, balances, self._assets - {self._currency}, self._currency)
        gone = {asset: -amount for asset, amount in rest.items() if amount < 0}
        money = balances.get(self._currency, Decimal(0))
        return missing(state, gone, money, self._currency, self._sold(), by, look.told)

    def _sold(self) -> dict[str, Sold]:
        """What others sold since the whole account was last taken as it is, by asset."""
        sold: dict[str, Sold] = {}
        found = self._journal.find(kind="incident", since=self._baseline, limit=MOST_FILLS)
        for record in [each.record for each in found]:
            if isinstance(record, IncidentRecord) and record.name == OTHERS and "sold" in record.details:
                told = record.details
                before = sold.get(told["asset"], Sold())
                quantity, proceeds = Decimal(told["sold"]), Decimal(told["proceeds"])
                sold[told["asset"]] = Sold(before.quantity + quantity, before.proceeds + proceeds)
        return sold

    async def _doubt_the_journal(self, client_id: str) -> None:
        if is_order_id(client_id):
            why = (
                f"{client_id} is an order of a desk like this one and is not in this journal: an old copy of it was put"
                " back, or another desk uses the account"
            )
            await self._holds.set(JOURNAL, why)

    async def _explain(self, order: OpenOrder) -> None:
        """An order that rests at the venue and is not open in our books."""
        if self._writer.state.portfolio.order(order.client_id) is not None:
            return
        request = self._request(order.client_id)
        if request is None:
            text = (
                f"{order.side} {order.quantity} {order.instrument}: an order that the desk did not place"
                f" ({order.client_id or order.venue_id})"
            )
            if await self._tell("external order", order, text):
                await self._doubt_the_journal(order.client_id)
            return
        await self._tell(
            "order found again", order, f"{order.client_id} was thought to have ended, and is cancelled"
        )
        await self._orders.end(request)

    async def _tell(self, name: str, order: OpenOrder, text: str) -> bool:
        """Once for each order; whether this was the first time."""
        key = f"i-{digest(name, order.instrument, order.venue_id, length=20)}"
        if self._journal.get(key) is not None:
            return False
        details = {"client_id": order.client_id, "venue_id": order.venue_id}
        await self._writer.write([IncidentRecord(key, self._clock.now(), name, text, details, None)])
        return True

    def _request(self, client_id: str) -> OrderRequest | None:
        """The request of an order of ours, from the books or from the journal."""
        known = self._writer.state.portfolio.order(client_id)
        if known is not None:
            return known.request
        found = self._journal.find(kind="order", client_id=client_id, limit=1)
        if found and isinstance(found[0].record, OrderRecord):
            return found[0].record.request
        return None

    async def _venue_now(self) -> datetime:
        """The moment by the venue's clock, for that is what its executions carry: ours may be set wrong."""
        try:
            async with asyncio.timeout(self._settings.venue.answer_s):
                return self._clock.now() + timedelta(seconds=await self._venue.clock_offset())
        except TimeoutError:
            raise VenueDown("the venue does not tell the time") from None

    async def _adopt(self, look: Look, external: dict[str, Decimal], reason: str) -> None:
        key = record_id("a", look.told, reason, str(self._writer.sequence))
        await self._writer.write([AccountRecord(key, look.told, look.account.balances, external, reason)])
        self._baseline = look.told

    def _newest_baseline(self) -> datetime | None:
        """When the whole account was last taken as it is."""
        for stored in self._journal.find(kind="account", limit=MOST_FILLS):
            if isinstance(stored.record, AccountRecord) and stored.record.balances:
                return stored.record.at
        return None


def _sale(fill: Fill, moved: dict[str, Decimal], currency: str) -> dict[str, str]:
    """What a sale brought, for whoever must know later whose it was."""
    if fill.side is not Side.SELL:
        return {}
    asset = base_of(fill.instrument)
    return {"asset": asset, "sold": f"{-moved[asset]:f}", "proceeds": f"{moved[currency]:f}"}


def _told(gaps: dict[str, Decimal]) -> str:
    return ", ".join(f"{gap.normalize():+f} {asset}" for asset, gap in gaps.items())


def _without_zeros(amounts: dict[str, Decimal]) -> dict[str, Decimal]:
    return {asset: amount for asset, amount in amounts.items() if amount}
