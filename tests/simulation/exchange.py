"""The truth: a spot exchange with its orders, executions and balances, whatever anybody was told of them.

One plain order at a time, as at Binance: selling locks what is sold, a client id is unique among open orders only, fees
are kept from what comes in. It also knows which part of the account is the desk's and which is somebody else's.
"""

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from engine.core.domain.instrument import Instrument, base_of, whole_lots
from engine.core.domain.order import OrderRequest, OrderStatus, OrderType, Side, Submission

if TYPE_CHECKING:
    from tests.simulation.world import World

FEE = Decimal("0.001")
MONEY = "USD"
ZERO = Decimal(0)


class Trade(msgspec.Struct):
    """One execution. `kept` is the fee in what came in; it is told from `told_from` on."""

    number: int
    client_id: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    kept: Decimal
    at: float
    told_from: float

    @property
    def id(self) -> str:
        """As the venue names it."""
        return f"{self.instrument.replace('/', '')}-{self.number}"

    @property
    def net(self) -> Decimal:
        """What came into the account, or left it."""
        return self.quantity - self.kept if self.side is Side.BUY else self.quantity

    @property
    def fee(self) -> Decimal:
        """Its worth in money."""
        return self.kept * self.price if self.side is Side.BUY else self.kept


class Placed(msgspec.Struct):
    """An order as the exchange has it."""

    number: int
    request: OrderRequest
    status: OrderStatus
    visible_from: float
    filled: Decimal = ZERO
    reserved: Decimal = ZERO
    triggered: bool = False
    trades: list[Trade] = []

    @property
    def open(self) -> bool:
        """Whether it may still trade."""
        return self.status in (OrderStatus.ACCEPTED, OrderStatus.PARTIAL)

    @property
    def rest(self) -> Decimal:
        """What has not traded."""
        return self.request.quantity - self.filled


class Exchange:
    """One account and everything that happens in it."""

    def __init__(self, world: "World", cash: Decimal) -> None:
        self._world = world
        self.instruments = {each.name: each for each in world.settings.desk.instruments}
        self.balances = {MONEY: cash} | {base_of(name): ZERO for name in self.instruments}
        self.theirs = dict.fromkeys(self.balances, ZERO)
        """What of it is not the desk's, by asset: nobody at the venue knows this, only whoever checks."""
        self.orders: list[Placed] = []
        self.trades: list[Trade] = []
        self._newest: dict[str, Placed] = {}
        self.accepted: dict[str, int] = {}
        self.on_the_way: dict[str, OrderRequest] = {}

    # --- Requests -----------------------------------------------------------------------------------

    def accept(self, request: OrderRequest, hidden_s: float) -> Submission:
        """Take an order, or say why not."""
        refusal = self._refusal(request)
        if refusal:
            self._world.note("refused", request.client_id, refusal)
            return Submission(OrderStatus.REFUSED, refusal)
        placed = Placed(
            len(self.orders) + 1, request, OrderStatus.ACCEPTED, self._world.now + hidden_s, trades=[]
        )
        placed.reserved = self._cost(request)
        self.orders.append(placed)
        self._newest[request.client_id] = placed
        self.accepted[request.client_id] = self.accepted.get(request.client_id, 0) + 1
        self._world.note("accepted", request.client_id, request.side, request.quantity, request.price or "")
        self._world.watch.accepted(request)
        if request.type is OrderType.MARKET:
            self._trade_all(placed)
        return Submission(OrderStatus.ACCEPTED, venue_id=str(placed.number))

    def cancel(self, client_id: str) -> Submission:
        """End an open order. It may fill while the request is read."""
        placed = self._newest.get(client_id)
        if placed is None or not placed.open:
            return Submission(OrderStatus.REFUSED, "-2011 Unknown order sent.")
        if self._world.faults.hit("fill while cancelling"):
            share = self._world.chance.choice((Decimal(1), Decimal("0.5")))
            self._execute(
                placed, whole_lots(self.instruments[placed.request.instrument], placed.rest * share)
            )
        if not placed.open:
            return Submission(OrderStatus.REFUSED, "-2011 Unknown order sent.")
        self._end(placed, OrderStatus.CANCELLED)
        return Submission(OrderStatus.CANCELLED, venue_id=str(placed.number))

    def order(self, client_id: str) -> Placed | None:
        """The newest order of that id."""
        return self._newest.get(client_id)

    def free(self, asset: str) -> Decimal:
        """What open orders have not locked."""
        locked = ZERO
        for placed in self.orders:
            if placed.open:
                request = placed.request
                if request.side is Side.SELL and base_of(request.instrument) == asset:
                    locked += placed.rest
                elif request.side is Side.BUY and asset == MONEY:
                    locked += placed.reserved
        return self.balances[asset] - locked

    # --- What happens by itself -----------------------------------------------------------------------

    def tick(self) -> None:
        """One second: stops that are reached, and what else befalls an account."""
        for placed in [each for each in self.orders if each.open]:
            request = placed.request
            if request.type is OrderType.STOP and not placed.triggered:
                assert request.price is not None, "a stop has a price"
                if self._world.price(request.instrument) <= request.price:
                    placed.triggered = True
                    if self._world.faults.hit("refused when triggered"):
                        self._end(placed, OrderStatus.REFUSED)
                    else:
                        self._trade_all(placed)
                elif self._world.faults.hit("order vanishes"):
                    self._end(placed, OrderStatus.CANCELLED)

    def give(self, asset: str, amount: Decimal) -> None:
        """Somebody moves something in, or out again of what is theirs."""
        amount = max(amount, -max(min(self.theirs[asset], self.free(asset)), ZERO))
        self.balances[asset] += amount
        self.theirs[asset] += amount
        self._world.note("moved from outside", asset, amount)

    def meddle(self) -> None:
        """The owner of the account does something by hand, with what is theirs."""
        chance, world = self._world.chance, self._world
        name = chance.choice(list(self.instruments))
        base, rules = base_of(name), self.instruments[name]
        what = chance.choice(
            ("money in", "money out", "coins in", "coins out", "buy", "sell", "rest", "take")
        )
        if what.startswith("money"):
            self.give(MONEY, Decimal(500 if what.endswith("in") else -300))
        elif what == "take":
            self._take(name, rules)
        elif what.startswith("coins"):
            self.give(base, Decimal(2 if what.endswith("in") else -1))
        else:
            side = Side.SELL if what == "sell" else Side.BUY
            quantity = whole_lots(rules, Decimal(2))
            has = self.theirs[MONEY] / world.price(name) if side is Side.BUY else self.theirs[base]
            if has > quantity * Decimal("1.05"):
                price = world.price(name) / 2 if what == "rest" else None
                self.accept(
                    _by_hand(world.count("by hand"), name, side, quantity, price, world.moment()), 0.0
                )

    def _take(self, name: str, rules: Instrument) -> None:
        """They even sell what is the desk's, and cancel its stop for that."""
        world = self._world
        for placed in self.orders:
            if placed.open and placed.request.instrument == name and placed.request.side is Side.SELL:
                self._end(placed, OrderStatus.CANCELLED)
        quantity = whole_lots(
            rules, self.balances[base_of(name)] * world.chance.choice((Decimal(1), Decimal("0.4")))
        )
        if quantity * world.price(name) > rules.min_notional:
            number = world.count("by hand")
            self.accept(_by_hand(number, name, Side.SELL, quantity, None, world.moment()), 0.0)

    def real(self, name: str) -> Decimal:
        """What is really there of what the desk says that it holds: somebody may have sold some."""
        base = base_of(name)
        return self.balances[base] - max(self.theirs[base], ZERO)

    def _trade_all(self, placed: Placed) -> None:
        """At once, or in parts; what is left may expire, as when a book is empty."""
        chance, faults = self._world.chance, self._world.faults
        if not faults.hit("partial fill"):
            self._execute(placed, placed.rest)
            return
        lot = self.instruments[placed.request.instrument]
        first = whole_lots(lot, placed.rest * Decimal(chance.randint(1, 9)) / 10)
        if first > 0:
            self._execute(placed, first)
        expires = faults.hit("rest expires")
        delay = chance.uniform(0.2, 4.0)
        asyncio.get_running_loop().call_later(delay, self._go_on, placed, expires)

    def _go_on(self, placed: Placed, expires: bool) -> None:
        if placed.open and expires:
            self._end(placed, OrderStatus.EXPIRED)
        elif placed.open:
            self._execute(placed, placed.rest)

    def _execute(self, placed: Placed, quantity: Decimal) -> None:
        if quantity <= 0:
            return
        request, world = placed.request, self._world
        slip = Decimal("0.01") * request.side.sign
        price = world.price(request.instrument) + slip
        late = world.chance.uniform(0.5, 8.0) if world.faults.hit("trades told late") else 0.0
        kept = quantity * FEE if request.side is Side.BUY else quantity * price * FEE
        trade = Trade(
            len(self.trades) + 1,
            request.client_id,
            request.instrument,
            request.side,
            quantity,
            price,
            kept,
            world.now,
            world.now + late,
        )
        self.trades.append(trade)
        placed.trades.append(trade)
        if placed.reserved:
            placed.reserved *= 1 - quantity / placed.rest
        placed.filled += quantity
        base = base_of(request.instrument)
        money = -quantity * price if request.side is Side.BUY else quantity * price - kept
        for asset, amount in ((base, request.side.sign * trade.net), (MONEY, money)):
            self.balances[asset] += amount
            if not is_ours(request.client_id):
                self.theirs[asset] += amount
        world.note("traded", request.client_id, trade.id, quantity, price)
        if placed.rest <= 0:
            self._end(placed, OrderStatus.FILLED)
        else:
            placed.status = OrderStatus.PARTIAL

    def _end(self, placed: Placed, status: OrderStatus) -> None:
        placed.status = status
        self._world.note("ended", placed.request.client_id, status)

    def _refusal(self, request: OrderRequest) -> str:
        rules, quantity = self.instruments[request.instrument], request.quantity
        known = self._newest.get(request.client_id)
        if known is not None and known.open:
            return "-2010 Duplicate order sent."
        price = request.price or self._world.price(request.instrument)
        if quantity <= 0 or whole_lots(rules, quantity) != quantity:
            return "-1013 Filter failure: LOT_SIZE"
        if quantity * price < rules.min_notional:
            return "-1013 Filter failure: NOTIONAL"
        if self._world.faults.hit("refused"):
            return "-1013 Filter failure: PERCENT_PRICE_BY_SIDE"
        if request.type is OrderType.STOP and self._world.price(request.instrument) <= price:
            return "-2010 Stop price would trigger immediately."
        asset = base_of(request.instrument) if request.side is Side.SELL else MONEY
        needed = quantity if request.side is Side.SELL else self._cost(request)
        if self.free(asset) < needed:
            return "-2010 Account has insufficient balance for requested action."
        return ""

    def _cost(self, request: OrderRequest) -> Decimal:
        if request.side is Side.SELL:
            return ZERO
        return request.quantity * (request.price or self._world.price(request.instrument)) * Decimal("1.01")


def _by_hand(
    number: int, instrument: str, side: Side, quantity: Decimal, price: Decimal | None, at: datetime
) -> OrderRequest:
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    price = None if price is None else price.quantize(Decimal("0.01"))
    client_id = f"web-{number}"
    return OrderRequest(
        client_id, "", instrument, side, quantity, kind, price, False, "", "by hand", placed_at=at
    )


def is_ours(client_id: str) -> bool:
    """Whether the desk made that id."""
    return client_id.startswith("wd")
