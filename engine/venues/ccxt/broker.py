"""A spot account as the Venue port: what is sent, what became of it, and what is there.

An order counts as refused only when the venue says so in a way that leaves no doubt, and as never sent only when no
connection was made. Everything between the two is unknown, and the desk looks it up by the client id.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from configs.schema.settings import Settings
from configs.secrets import Keys
from engine.core.domain.errors import BadData, VenueDown
from engine.core.domain.instrument import exact
from engine.core.domain.market import Bar
from engine.core.domain.order import Fill, OrderRequest, OrderStatus, OrderUpdate, Side, Submission
from engine.core.domain.venue import Account, Depth, OpenOrder, Sighting, Traits
from engine.ports import Clock
from engine.venues.ccxt import convert
from engine.venues.ccxt.answer import Declined, NeverSent
from engine.venues.ccxt.convert import Owner, Permissions, Rules, Trade, VenueOrder, Verdict, symbol_of
from engine.venues.ccxt.rest import (
    ACCOUNT,
    ALL_OPEN_ORDERS,
    BOOK_TICKER,
    CANCEL_ORDER,
    DEEP_DEPTH,
    DEPTH,
    GET_ORDER,
    KEY_RIGHTS,
    MY_TRADES,
    NEW_ORDER,
    OPEN_ORDERS,
    TRADES_OF_ORDER,
    Call,
    Offset,
    Rest,
)
from engine.venues.ccxt.rules import RuleBook

_log = logging.getLogger(__name__)
Key = TypeVar("Key")
Value = TypeVar("Value")

PAGE = 1000
MOST_PAGES = 50
MOST_REMEMBERED = 10_000
ONE_BY_ONE = 13
"""Up to so many instruments, asking for each one's open orders weighs less than asking for all."""
TICKER_S = 60.0
MOST_ASKED_RIGHTS = 3
"""A key's rights that could not be read so often in a row are unknown: not every venue tells them."""
UNKNOWN_QUESTION = (404, 405, 501)
UNSUPPORTED = -1020
"""With these, a venue says that it has no such thing to ask for."""
BPS = Decimal(10_000)


class CcxtVenue:
    """Binance-style spot over REST. Keeps no orders: whoever asks says which, by the client id."""

    def __init__(self, settings: Settings, clock: Clock, keys: Keys, veto: Callable[[], str] = str) -> None:
        """`veto` is asked immediately before anything leaves: a text is the reason not to, such as a lost lease."""
        venue = settings.venue
        self._instruments = tuple(instrument.name for instrument in settings.desk.instruments)
        self._names = {symbol_of(instrument): instrument for instrument in self._instruments}
        self._currency = settings.desk.currency
        self._fee_share = exact(settings.execution.fee_bps) / BPS
        self._collar = venue.stop_collar
        self._clock = clock
        self._rest = Rest(venue, clock, keys, veto)
        self._rules = RuleBook(self._rest, clock, self._instruments)
        self._traits = Traits(venue.kind, False, venue.absent_after_s, venue.retry_exit_s, tells_depth=True)
        self._client_ids: dict[tuple[str, int], str] = {}
        self._fees: dict[str, Decimal] = {}
        self._omits_zeros = True
        self._rights_untold = 0
        self._worth: dict[str, tuple[float, Decimal]] = {}

    # --- The port -----------------------------------------------------------------------------------

    @property
    def traits(self) -> Traits:
        """Stops do not wait for a position here, and an answer may stay away."""
        return self._traits

    async def prepare(self, order: OrderRequest) -> None:
        """Have the venue's rules for it as fresh as they should be; what is known is what `submit` goes by."""
        await self._rules.look(order.instrument)

    async def submit(self, order: OrderRequest) -> Submission:
        """Send once, by the rules that are known. REFUSED and EXPIRED are certain; a doubt is UNKNOWN."""
        try:
            rules = self._rules.of(order.instrument, adds_risk=not order.reduce_only)
            sent = convert.order_parameters(order, rules, self._collar)
        except (VenueDown, BadData, ArithmeticError) as error:
            return Submission(OrderStatus.EXPIRED, f"not sent: {error}")
        if isinstance(sent, str):
            return Submission(OrderStatus.REFUSED, f"not sent: {sent}")
        try:
            told = await self._rest.ask(NEW_ORDER, dict(sent), urgent=order.reduce_only)
            answer = convert.order_answer(told, order)
        except NeverSent as error:
            return Submission(OrderStatus.EXPIRED, f"not sent: {error}")
        except Declined as declined:
            return self._declined(declined)
        except (VenueDown, BadData) as error:
            return Submission(OrderStatus.UNKNOWN, str(error))
        self._remember_sender(answer)
        if answer.status == "REJECTED":
            return Submission(OrderStatus.REFUSED, "the venue rejected it", str(answer.order_id))
        return Submission(OrderStatus.ACCEPTED, venue_id=str(answer.order_id))

    async def cancel(self, order: OrderRequest) -> Submission:
        """End it by its client id. That it is not open there may also mean that it has just filled: look it up."""
        asked: dict[str, str | int] = {
            "symbol": symbol_of(order.instrument),
            "origClientOrderId": order.client_id,
        }
        try:
            told = await self._rest.ask(CANCEL_ORDER, asked, urgent=True)
            answer = convert.order_answer(told, order)
        except Declined as declined:
            gone = declined.status == 400 and declined.code in convert.NO_SUCH_ORDER
            return Submission(OrderStatus.REFUSED if gone else OrderStatus.UNKNOWN, str(declined))
        except (VenueDown, BadData) as error:
            return Submission(OrderStatus.UNKNOWN, str(error))
        status = convert.STATUS[answer.status]
        if status in (OrderStatus.CANCELLED, OrderStatus.EXPIRED):
            return Submission(OrderStatus.CANCELLED, venue_id=str(answer.order_id), filled=answer.executed)
        return Submission(OrderStatus.UNKNOWN, f"the venue calls it {answer.status}", str(answer.order_id))

    async def lookup(self, order: OrderRequest) -> Sighting | None:
        """How it stands with every execution told, however it ended; None when the venue has never seen it."""
        symbol = symbol_of(order.instrument)
        asked: dict[str, str | int] = {"symbol": symbol, "origClientOrderId": order.client_id}
        try:
            told = await self._rest.ask_again(GET_ORDER, asked, urgent=True)
        except Declined as declined:
            if declined.status == 400 and declined.code == -2013:
                return None
            raise
        try:
            found = convert.order_answer(told, order)
            self._remember_sender(found)
            fills = await self._fills_of(found, order)
            return convert.sighting(found, fills)._replace(
                reason="" if found.status in _PLAIN else found.status
            )
        except BadData as error:
            raise VenueDown(str(error)) from None

    async def updates(self, bars: Sequence[Bar]) -> Sequence[OrderUpdate]:
        """Nothing is told unasked: there are no streams yet."""
        return ()

    async def balances(self) -> Mapping[str, Decimal]:
        """Free and locked together, of every asset of the desk's instruments."""
        told = await self._told_account()
        wanted = {asset for name in self._instruments for asset in convert.assets_of(name)}
        try:
            return convert.balances(told, sorted(wanted))
        except BadData as error:
            raise VenueDown(str(error)) from None

    async def account(self, since: datetime) -> Account:
        """What is there: one answer for the balances, then orders and trades of each instrument.

        They are several requests: a trade that comes in between is among the trades and not in the balances. So a
        difference means something only when it is there the second time, too.
        """
        balances = await self.balances()
        try:
            orders = await self.open_orders()
            fills = [each for name in self._instruments for each in await self._fills_since(name, since)]
        except BadData as error:
            raise VenueDown(str(error)) from None
        if self.denied:  # nothing is sent meanwhile that could show that the key is taken again
            with suppress(VenueDown):
                await self.permissions()
        return Account(
            dict(balances), orders, tuple(sorted(fills, key=lambda each: (each.at, each.trade_id)))
        )

    async def price(self, instrument: str, side: Side) -> Decimal:
        """The ask to buy, the bid to sell; VenueDown for a book that is empty, crossed or absurd."""
        bid, ask = await self._quote(symbol_of(instrument))
        return ask if side is Side.BUY else bid

    async def depth(self, instrument: str, side: Side, *, deep: bool = False) -> Depth | None:
        """A hundred levels, or a thousand; None where the venue says that it does not know the question."""
        call, levels = (DEEP_DEPTH, 1000) if deep else (DEPTH, 100)
        symbol = symbol_of(instrument)
        try:
            told = await self._rest.ask(call, {"symbol": symbol, "limit": levels})
            return convert.depth(told, symbol, side, levels)
        except Declined as declined:
            unsupported = declined.status == 400 and declined.code == UNSUPPORTED
            if unsupported or declined.status in UNKNOWN_QUESTION:
                return None
            raise
        except BadData as error:
            raise VenueDown(str(error)) from None

    @property
    def rest(self) -> Rest:
        """What the feed of the same venue asks through, for both share one budget."""
        return self._rest

    # --- What only such a venue tells ---------------------------------------------------------------

    @property
    def silent_until(self) -> float | None:
        """The monotonic second until which nothing may be sent, because the venue said so; None when it may."""
        return self._rest.budget.silent_until

    @property
    def denied(self) -> str:
        """Why the venue refused the key. It stands until a request of that kind, or `permissions`, says otherwise."""
        return self._rest.denied

    async def rules(self) -> dict[str, Rules]:
        """Tick, step, minimums and status of each instrument that the venue knows, at most 15 minutes old."""
        return dict(await self._rules.all())

    async def clock_offset(self) -> float:
        """Seconds that its clock is ahead of ours."""
        return (await self.server_time_offset()).seconds

    def unwell(self) -> str:
        """That it demands silence, or refuses the key."""
        until = self.silent_until
        if until is not None:
            return f"the venue demands silence for another {until - self._clock.monotonic():.0f} s"
        return f"the venue refuses the key: {self.denied}" if self.denied else ""

    async def server_time_offset(self) -> Offset:
        """Measure the venue's clock against ours. From then on requests are stamped with the venue's."""
        return await self._rest.measure_clock()

    async def permissions(self) -> Permissions:
        """What the key may do. A venue that does not tell a key's own rights leaves them None."""
        account = await self._told_account()
        try:
            may = convert.permissions(None, account)
        except BadData as error:
            raise VenueDown(str(error)) from None
        try:
            may = convert.permissions(await self._rest.ask_again(KEY_RIGHTS, {}), account)
            self._rights_untold = 0
        except NeverSent:
            raise
        except (VenueDown, BadData) as error:
            self._rights_untold += 1
            absent = isinstance(error, Declined) and error.status in (400, 403, 404, 405, 501)
            if not absent and self._rights_untold < MOST_ASKED_RIGHTS:
                raise VenueDown(str(error)) from None
            if absent or self._rights_untold == MOST_ASKED_RIGHTS:
                _log.warning("the venue does not tell whether the key may withdraw: %s", error)
        if may.can_trade:
            self._rest.trusted()
        return may

    async def open_orders(self) -> tuple[OpenOrder, ...]:
        """What rests there in our instruments, ours or not. VenueDown, or BadData for what cannot be read."""
        if len(self._instruments) > ONE_BY_ONE:
            payloads = [await self._rest.ask_again(ALL_OPEN_ORDERS, {})]
        else:
            payloads = [
                await self._rest.ask_again(OPEN_ORDERS, {"symbol": symbol_of(name)})
                for name in self._instruments
            ]
        found: dict[str, OpenOrder] = {}
        for rows in payloads:
            for row in convert.read(rows, list):
                order = convert.open_order(row, self._names)
                if order is not None:
                    found[f"{order.instrument} {order.venue_id}"] = order
        return tuple(found.values())

    async def close(self) -> None:
        """Let go of the connections."""
        await self._rest.close()

    # --- Inside -------------------------------------------------------------------------------------

    def _declined(self, declined: Declined) -> Submission:
        if declined.code == convert.FILTER_CODE:
            self._rules.doubt()
        if declined.verdict is Verdict.REFUSED:
            return Submission(OrderStatus.REFUSED, str(declined))
        if declined.verdict is Verdict.NOT_EXECUTED:
            until = self._rest.budget.silent_until
            seconds = 0.0 if until is None else until - self._clock.monotonic()
            return Submission(OrderStatus.EXPIRED, f"{declined}; nothing is sent for {seconds:.1f} s")
        return Submission(OrderStatus.UNKNOWN, str(declined))

    async def _fills_of(self, found: VenueOrder, request: OrderRequest) -> tuple[Fill, ...]:
        if not found.executed:
            return ()
        trades = await self._paged(TRADES_OF_ORDER, found.symbol, {"orderId": found.order_id}, found.order_id)
        return tuple([await self._fill(each, request.instrument, Owner.of(request)) for each in trades])

    async def _fills_since(self, instrument: str, since: datetime) -> list[Fill]:
        trades = await self._paged(MY_TRADES, symbol_of(instrument), {"startTime": convert.since_ms(since)})
        return [await self._fill(each, instrument, Owner(await self._client_id(each))) for each in trades]

    async def _paged(
        self, call: Call, symbol: str, first: dict[str, str | int], order_id: int | None = None
    ) -> list[Trade]:
        """All of them, a thousand at a time: the first page by `first`, the others after the last id."""
        found: dict[int, Trade] = {}
        asked = first
        for _ in range(MOST_PAGES):
            told = await self._rest.ask_again(
                call, {"symbol": symbol, "limit": PAGE, **asked}, urgent=call is TRADES_OF_ORDER
            )
            page = convert.trades(told, symbol, order_id)
            found.update((trade.id, trade) for trade in page)
            if not isinstance(told, list) or len(told) < PAGE:
                return [found[number] for number in sorted(found)]
            kept = {"orderId": order_id} if order_id is not None else {}
            asked = {**kept, "fromId": max(found) + 1}
        raise VenueDown(f"{symbol}: more than {MOST_PAGES * PAGE} trades to read at once")

    async def _client_id(self, trade: Trade) -> str:
        """Whose order it was. A stranger's id is told as it is."""
        known = self._client_ids.get((trade.symbol, trade.order_id))
        if known is None:
            told = await self._rest.ask_again(GET_ORDER, {"symbol": trade.symbol, "orderId": trade.order_id})
            order = convert.read(told, VenueOrder)
            if (order.symbol, order.order_id) != (trade.symbol, trade.order_id):
                raise BadData(f"asked for order {trade.order_id}, the venue answered about {order.order_id}")
            known = self._remember_sender(order)
        return known

    def _remember_sender(self, order: VenueOrder) -> str:
        """The venue numbers orders for each symbol, and trades name only the number."""
        return _remember(self._client_ids, (order.symbol, order.order_id), order.client_order_id)

    async def _told_account(self) -> Any:
        """Without what there is nothing of, unless the venue does not take the question like that."""
        if self._omits_zeros:
            try:
                return await self._rest.ask_again(ACCOUNT, {"omitZeroBalances": "true"})
            except Declined as declined:
                if declined.status != 400 or declined.code not in (0, *convert.PARAMETER_CODES):
                    raise
        told = await self._rest.ask_again(ACCOUNT, {})
        self._omits_zeros = False
        return told

    async def _quote(self, symbol: str) -> tuple[Decimal, Decimal]:
        told = await self._rest.ask(BOOK_TICKER, {"symbol": symbol})
        try:
            return convert.quote(told, symbol)
        except BadData as error:
            raise VenueDown(str(error)) from None

    async def _fill(self, trade: Trade, instrument: str, owner: Owner) -> Fill:
        """The fee of a trade is worked out once, so that whoever asks again is told the same."""
        key = f"{trade.symbol}-{trade.id}"
        fee = self._fees.get(key)
        if fee is None:
            fee = _remember(self._fees, key, await self._fee(trade, instrument))
        return convert.fill(trade, instrument, owner, fee)

    async def _fee(self, trade: Trade, instrument: str) -> Decimal:
        """The commission's worth in the quote currency."""
        base, quote = convert.assets_of(instrument)
        commission, price = Decimal(trade.commission), Decimal(trade.price)
        if trade.commission_asset == quote or not commission:
            return commission
        if trade.commission_asset == base:
            return commission * price
        worth = await self._worth_of(trade.commission_asset, quote)
        if worth is not None:
            return commission * worth
        fee = trade.quantity * price * self._fee_share
        _log.warning(
            "%s trade %d: a fee of %s %s could not be converted; %s %s are assumed (execution.fee_bps)",
            trade.symbol, trade.id, trade.commission, convert.printable(trade.commission_asset), fee, quote,
        )  # fmt: skip
        return fee

    async def _worth_of(self, asset: str, quote: str) -> Decimal | None:
        """The middle of the venue's book, no older than a minute; None when it has none."""
        known = self._worth.get(asset)
        if known is not None and self._clock.monotonic() - known[0] < TICKER_S:
            return known[1]
        try:
            bid, ask = await self._quote(f"{asset}{quote}")
        except VenueDown:
            return None
        return _remember(self._worth, asset, (self._clock.monotonic(), (bid + ask) / 2))[1]


_PLAIN = frozenset({"NEW", "PARTIALLY_FILLED", "FILLED"})


def _remember(cache: dict[Key, Value], key: Key, value: Value) -> Value:
    """Keep it, and let go of the oldest when there are too many."""
    if len(cache) >= MOST_REMEMBERED:
        del cache[next(iter(cache))]
    cache[key] = value
    return value
