"""Asking the venue: one request within the budget, and what its answer means. Nothing is repeated here.

The names of the calls are ccxt's implicit methods; the weights are Binance's.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from math import inf
from typing import Any, NamedTuple

from configs.schema.venue import VenueSettings
from configs.secrets import Keys
from engine.core.domain.errors import BadData, VenueDown
from engine.core.domain.ids import epoch_ms, from_epoch_ms
from engine.ports import Clock
from engine.venues.ccxt.answer import Declined, NeverSent, Reply, Unanswered
from engine.venues.ccxt.budget import Budget
from engine.venues.ccxt.convert import (
    AUTH_CODES,
    CLOCK_CODE,
    ServerTime,
    VenueError,
    Verdict,
    parsed,
    printable,
    read,
)

_log = logging.getLogger(__name__)


class Call(NamedTuple):
    """A call by ccxt's name for it, and what it weighs."""

    method: str
    weight: int
    signed: bool = True


NEW_ORDER = Call("privatePostOrder", 1)
CANCEL_ORDER = Call("privateDeleteOrder", 1)
GET_ORDER = Call("privateGetOrder", 4)
OPEN_ORDERS = Call("privateGetOpenOrders", 6)
ALL_OPEN_ORDERS = Call("privateGetOpenOrders", 80)
MY_TRADES = Call("privateGetMyTrades", 20)
TRADES_OF_ORDER = Call("privateGetMyTrades", 5)
ACCOUNT = Call("privateGetAccount", 20)
KEY_RIGHTS = Call("sapiGetAccountApiRestrictions", 1)
KLINES = Call("publicGetKlines", 2, signed=False)
BOOK_TICKER = Call("publicGetTickerBookTicker", 2, signed=False)
DEPTH = Call("publicGetDepth", 5, signed=False)
DEEP_DEPTH = Call("publicGetDepth", 50, signed=False)
EXCHANGE_INFO = Call("publicGetExchangeInfo", 20, signed=False)
TIME = Call("publicGetTime", 1, signed=False)


class Offset(NamedTuple):
    """The venue's clock less ours, and by how much that may be wrong: half the round trip."""

    seconds: float
    uncertainty_s: float


class Rest:
    """One account's requests. Every one that leaves was paid for from the budget, and is sent once.

    `veto` is asked immediately before anything leaves: a text is the reason not to send, such as a lease that ran out.
    """

    def __init__(
        self, settings: VenueSettings, clock: Clock, keys: Keys | None, veto: Callable[[], str] = str
    ) -> None:
        # ccxt takes half a second to import: only who opens an account waits for it.
        from engine.venues.ccxt.wire import Wire

        self._clock = clock
        self._keys = keys or Keys("", "")
        self._recv_window_ms = settings.recv_window_ms
        self._wire = Wire(
            self._keys.key,
            self._keys.secret,
            settings.base_url,
            settings.request_timeout_s,
            lambda: epoch_ms(self.venue_now()),
            veto,
        )
        self.budget = Budget(settings.weight_per_minute, clock.monotonic)
        self._anchor: tuple[datetime, float] | None = None  # the venue's clock at a monotonic second of ours
        self._clock_bound_s = settings.clock_bound_s
        self._denied: dict[bool, str] = {}  # why the key was last refused: for orders, and for questions

    @property
    def denied(self) -> str:
        """Why the venue refused the key, until it takes one of the same kind of request again; empty while it does."""
        return self._denied.get(True, "") or self._denied.get(False, "")

    def trusted(self) -> None:
        """The venue itself says that the key may trade."""
        self._denied.clear()

    def venue_now(self) -> datetime:
        """The venue's clock as last measured, carried on by seconds that nobody can set; ours until then."""
        if self._anchor is None:
            return self._clock.now()
        moment, second = self._anchor
        return moment + timedelta(seconds=self._clock.monotonic() - second)

    def clock_age_s(self) -> float:
        """Seconds since the venue's clock was measured; infinite until it was."""
        return inf if self._anchor is None else self._clock.monotonic() - self._anchor[1]

    async def measure_clock(self, *, at_any_rate: bool = False) -> Offset:
        """Ask for the venue's time. The answer belongs to the middle of the round trip. VenueDown without one.

        After a round trip so long that the answer may be further off than is allowed, an older measurement is kept.
        """
        wall, start = self._clock.now(), self._clock.monotonic()
        told = await self.ask(TIME, {}, urgent=True)
        half = (self._clock.monotonic() - start) / 2
        try:
            there = from_epoch_ms(read(told, ServerTime).server_time)
        except BadData as error:
            raise VenueDown(str(error)) from None
        if self._anchor is None or half <= self._clock_bound_s or at_any_rate:
            self._anchor = (there, start + half)
        return Offset((there - wall).total_seconds() - half, half)

    async def ask(self, call: Call, parameters: dict[str, str | int], *, urgent: bool = False) -> Any:
        """What the venue answered, parsed. NeverSent, Unanswered or Declined, all of them VenueDown.

        A request that was refused for its time stamp is not repeated either, but the clock is measured for the next.
        """
        try:
            return await self._ask(call, parameters, urgent)
        except Declined as declined:
            if declined.code == CLOCK_CODE and call.signed:
                await self._measure_again()
            raise

    async def ask_again(self, call: Call, parameters: dict[str, str | int], *, urgent: bool = False) -> Any:
        """The same for what may be asked twice: once more after a clock that was wrong has been measured."""
        try:
            return await self.ask(call, parameters, urgent=urgent)
        except Declined as declined:
            if declined.code != CLOCK_CODE:
                raise
        return await self.ask(call, parameters, urgent=urgent)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._wire.close()

    async def _ask(self, call: Call, parameters: dict[str, str | int], urgent: bool) -> Any:
        refused = self.budget.take(call.weight, urgent=urgent)
        if refused:
            raise NeverSent(refused)
        signed = {"recvWindow": self._recv_window_ms} if call.signed else {}
        reply = await self._wire.call(call.method, {**parameters, **signed})
        try:
            answer = self._understood(reply)
        except Declined as declined:
            if declined.code in AUTH_CODES and declined.verdict is Verdict.REFUSED:
                self._denied[call in (NEW_ORDER, CANCEL_ORDER)] = str(declined)
            raise
        if call.signed:
            self._denied.pop(call in (NEW_ORDER, CANCEL_ORDER), None)
        return answer

    def _understood(self, reply: Reply) -> Any:
        """The parsed body of a success; Declined with status and code, Unanswered for what cannot be read."""
        self._count(reply)
        body = self._keys.redact_bytes(reply.body)  # a venue may echo what it was sent
        if reply.status == 200:
            try:
                return parsed(body)
            except BadData as unreadable:
                raise Unanswered(str(unreadable)) from None
        try:
            error = read(parsed(body), VenueError)
        except BadData:
            error = VenueError(0, "an answer that cannot be read")
        raise Declined(reply.status, error.code, printable(error.msg))

    def _count(self, reply: Reply) -> None:
        used = reply.headers.get("X-MBX-USED-WEIGHT-1M", "")
        if used.isascii() and used.isdecimal() and len(used) < 10:
            self.budget.told(int(used))
        if reply.status in (418, 429):
            seconds = self.budget.silence(reply.status, reply.headers.get("Retry-After"))
            _log.warning("the venue answered %d: nothing is sent for %.1f s", reply.status, seconds)

    async def _measure_again(self) -> None:
        try:
            offset = await self.measure_clock(at_any_rate=True)
        except VenueDown as error:
            _log.warning("the venue refused a time stamp, and its clock cannot be read: %s", error)
        else:
            _log.warning("the venue refused a time stamp; its clock is %+.3f s from ours", offset.seconds)
