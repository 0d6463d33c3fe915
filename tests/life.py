"""A whole desk in this process, put together as it runs live, against the fake exchange, with a clock that tests turn.

Nothing runs by itself here: a test says what happens next, kills the desk where it likes and starts it again in its
own home. At the end `judged` compares the journal with the exchange's own truth.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from msgspec.structs import replace

from configs.schema.desk import DeskSettings, Instrument
from configs.schema.risk import RiskSettings
from configs.schema.settings import Settings
from configs.schema.venue import VenueSettings
from engine.core.domain.commands import Command, CommandKind, Outcome
from engine.core.domain.errors import StoreFailed
from engine.core.domain.market import Bar, BarArrays
from engine.core.domain.order import Order, OrderRequest, OrderStatus, OrderType, Side, Submission
from engine.core.domain.portfolio import Portfolio, Position
from engine.core.domain.records import CycleRecord, FillRecord, IncidentRecord, OrderRecord, Record
from engine.core.domain.risk import RiskState
from engine.core.domain.venue import Sighting
from engine.inference.predictor import NoPredictor
from engine.ports import Lease, StoredRecord
from engine.store.inbox import SqlInbox
from engine.store.journal import SqlJournal
from engine.store.state import SqlStateStore
from engine.venues.ccxt.broker import CcxtVenue
from jobs.bootstrap import Engine, Outside, assemble
from tests.builders import AGAIN_AND_AGAIN, cycle_record
from tests.core_builders import bar, observation
from tests.exchange import FakeExchange, TurnedClock
from tests.judge import Judgement

BTC, ETH = "BTC/USDT", "ETH/USDT"
CASH = "10000"
PRICES = {BTC: "50000", ETH: "3000"}
HASTY_S = 0.3
"""The deadline where somebody hangs, in real seconds."""
Kind = TypeVar("Kind")
Dies = Callable[[str, Any], bool]
"""Whether the process ends here: `before` or `after` what it does, and what that is: records, or an order."""


class Died(Exception):
    """The process is gone at this line; nothing after it was done."""


class MortalJournal(SqlJournal):
    """A journal at which its process may die, before or after records became durable, or whose disk is full."""

    dies: Dies | None = None
    full = False

    async def append(self, records: Sequence[Record]) -> tuple[StoredRecord, ...]:
        """As the journal does, unless it is time to die."""
        self._perhaps("before", records)
        if self.full:
            raise StoreFailed("the disk is full")
        stored = await super().append(records)
        self._perhaps("after", records)
        return stored

    def _perhaps(self, when: str, records: Sequence[Record]) -> None:
        if self.dies is not None and self.dies(when, records):
            raise Died(when)


class MortalVenue(CcxtVenue):
    """A venue at which the process may die, before a request leaves or before its answer is looked at."""

    dies: Dies | None = None

    async def submit(self, order: OrderRequest) -> Submission:
        """As the venue does, unless it is time to die."""
        self._perhaps("before", order)
        answer = await super().submit(order)
        self._perhaps("after", order)
        return answer

    async def cancel(self, order: OrderRequest) -> Submission:
        """The same."""
        self._perhaps("before", order)
        answer = await super().cancel(order)
        self._perhaps("after", order)
        return answer

    async def lookup(self, order: OrderRequest) -> Sighting | None:
        """The same."""
        self._perhaps("before", order)
        seen = await super().lookup(order)
        self._perhaps("after", order)
        return seen

    def _perhaps(self, when: str, order: OrderRequest) -> None:
        if self.dies is not None and self.dies(when, order):
            raise Died(when)


class Bars:
    """A feed with no history, which tells what a test gives it and then ends."""

    def __init__(self) -> None:
        self.moments: list[Sequence[Bar]] = []

    def history(self, instrument: str, before: datetime, bars: int) -> BarArrays:
        """Nothing is known."""
        return BarArrays(np.array([], dtype=np.int64), *([np.array([], dtype=np.float64)] * 5))

    async def stream(self, after: datetime | None) -> AsyncIterator[Sequence[Bar]]:
        """What was given, in order."""
        for bars in self.moments:
            if after is None or bars[0].end > after:
                yield bars


class Life:
    """One home at one exchange, and the desk that lives there for now."""

    durability: Literal["FULL", "NORMAL"] = "NORMAL"

    def __init__(self, home: Path, exchange: FakeExchange, clock: TurnedClock, **venue: Any) -> None:
        self.home = home
        self.exchange = exchange
        self.clock = clock
        self.feed = Bars()
        told = {"request_timeout_s": 5.0} | venue
        self.settings = Settings(
            desk=DeskSettings(
                timeframe="1h",
                currency="USDT",
                cash=Decimal(CASH),
                instruments=tuple(
                    Instrument(name, lot=Decimal("0.00001"), min_notional=Decimal(5)) for name in PRICES
                ),
            ),
            risk=RiskSettings(
                max_entries_per_instrument=1000,
                max_daily_entries=1000,
                max_daily_turnover=100,
                max_unknown_orders=9,
                max_consecutive_losses=1000,
                max_daily_loss=0.5,
                halt_daily_loss=0.6,
                max_drawdown=0.6,
                **AGAIN_AND_AGAIN,
            ),
            venue=VenueSettings(kind="binance", base_url=exchange.url, **told),
        )
        self._keys = 0
        self.dies: Dies | None = None
        self.lease: Lease | None = None
        self.position: Position | None = None  # what the very first look finds in the books

    # --- living and dying ---

    async def start(self, *, begin: bool = True) -> "Life":
        """Recover, compare the account. The very first time the market has just been looked at."""
        self.venue = MortalVenue(self.settings, self.clock, self.exchange.keys)
        self.journal = MortalJournal(self.home / "desk.sqlite3", synchronous=self.durability)
        self.store = SqlStateStore(self.home / "desk.sqlite3", home=self.home)
        if not self.journal.count():
            await self.look_at_market()
        self.journal.dies = self.venue.dies = self.dies
        self.inbox = SqlInbox(self.home / "desk.sqlite3", self.settings.desk.name)
        outside = Outside(
            self.journal, self.store, self.feed, self.clock, NoPredictor(), self.venue, self.lease, self.inbox
        )
        self.engine: Engine = await assemble(
            outside, self.settings, pace=_at_once, after=_not_told, first_bar=self.clock.now(), patient=True
        )
        if begin:
            await self.engine.reconciler.begin()
        return self

    async def look_at_market(self) -> None:
        """A look at every instrument as of now, which found nothing to do."""
        marks = {name: Decimal(price) for name, price in PRICES.items()}
        held = (self.position,) if self.position else ()
        known = Portfolio(cash=Decimal(CASH), positions=held, marks=marks)
        await self.journal.append(self._seen(known, RiskState(last_equity=known.equity)))

    async def look_at_market_again(self, prices: Mapping[str, str] = PRICES) -> None:
        """The same while the desk runs, at these prices."""
        state = self.engine.writer.state
        marks = {name: Decimal(price) for name, price in prices.items()}
        known = replace(state.portfolio, marks=state.portfolio.marks | marks)
        await self.engine.writer.write(self._seen(known, state.risk, prices))

    def _seen(
        self, known: Portfolio, risk: RiskState, prices: Mapping[str, str] = PRICES
    ) -> list[CycleRecord]:
        return [
            replace(
                cycle_record("no_signal", at=self.clock.now(), instrument=name, portfolio=known, risk=risk),
                observation=observation(bar=bar(name, self.clock.now(), close=price)),
            )
            for name, price in prices.items()
        ]

    async def die(self) -> None:
        """Nothing is finished and nothing is said: what was durable is all that is left."""
        self.dies = None
        self.journal.close()
        self.store.close()
        self.inbox.close()
        await self.venue.close()

    async def restart(self, *, begin: bool = True) -> "Life":
        """Die, and be started again."""
        await self.die()
        return await self.start(begin=begin)

    def mortal(self, dies: Dies | None) -> None:
        """From now on it dies where that says."""
        self.dies = self.journal.dies = self.venue.dies = dies

    # --- what a person says ---

    def command(self, kind: CommandKind, name: str = "", key: str = "", **how: Any) -> Command:
        """A wish with a key of its own."""
        self._keys += 1
        return Command(
            kind, "me", "console", key or str(self._keys), name, "because", at=self.clock.now(), **how
        )

    async def say(self, kind: CommandKind, name: str = "", **how: Any) -> Outcome:
        """Have it carried out."""
        return await self.engine.desk.submit(self.command(kind, name, **how))

    async def buy(self, quantity: str = "0.01", name: str = BTC) -> Outcome:
        """A person's wish to enter."""
        return await self.say(CommandKind.ENTER, name, quantity=Decimal(quantity))

    async def sell(self, name: str = BTC, quantity: str = "0") -> Outcome:
        """A person's wish to close."""
        return await self.say(CommandKind.CLOSE, name, quantity=Decimal(quantity))

    # --- time ---

    async def tend(self, seconds: float = 0) -> None:
        """Time passes, then comes the round that looks after orders."""
        self.clock.advance(seconds)
        await self.engine.keeper.tend()

    async def tend_for(self, seconds: float, every: float = 2.0) -> None:
        """Rounds for so long, as often as the desk itself would."""
        for _ in range(round(seconds / every)):
            await self.tend(every)

    async def reconcile(self, seconds: float = 0) -> None:
        """Time passes, then the whole account is compared."""
        self.clock.advance(seconds)
        await self.engine.keeper.reconcile()

    # --- what there is ---

    @property
    def portfolio(self) -> Portfolio:
        """The books."""
        return self.engine.writer.state.portfolio

    @property
    def holds(self) -> dict[str, str]:
        """Why nothing new is opened."""
        return self.engine.writer.state.risk.holds

    def held(self, name: str = BTC) -> Position:
        """The position, which there is."""
        position = self.portfolio.position(name)
        assert position is not None, f"nothing held in {name}"
        return position

    def orders(self, leg: str = "") -> list[Order]:
        """Open orders of the books, all or of one leg."""
        return [order for order in self.portfolio.orders if order.request.leg.startswith(leg)]

    def stop(self, name: str = BTC) -> Order:
        """The one stop that rests."""
        (stop,) = [
            o
            for o in self.portfolio.orders
            if o.request.type is OrderType.STOP
            and o.request.instrument == name
            and o.status is not OrderStatus.INTENT
        ]
        return stop

    def written(self, kind: type[Kind]) -> list[Kind]:
        """Records of one kind, oldest first."""
        return [stored.record for stored in self.journal.read() if isinstance(stored.record, kind)]

    def said_of(self, leg: str) -> list[str]:
        """What became of the orders of a leg, step by step."""
        return [r.status.value for r in self.written(OrderRecord) if r.request.leg == leg]

    def told(self, name: str) -> list[str]:
        """Incidents of that name."""
        return [record.text for record in self.written(IncidentRecord) if record.name == name]

    def sent(self, side: Side | None = None) -> list[dict[str, Any]]:
        """Orders of ours that the exchange took."""
        return [
            each
            for each in self.exchange.books.truth()["orders"]
            if each["who"] == "desk" and side in (None, Side(each["side"].lower()))
        ]

    def fills(self) -> list[FillRecord]:
        """Every execution in the books."""
        return self.written(FillRecord)

    def judged(self) -> Judgement:
        """What the exchange says about what the journal says."""
        self.exchange.books.settle(self.exchange.now_ms())
        return Judgement(self.exchange.books.truth(), self.home / "desk.sqlite3", CASH)


@asynccontextmanager
async def life(home: Path, *, started: bool = True, **venue: Any) -> AsyncIterator[Life]:
    """An exchange, a clock that both look at, and a desk."""
    clock = TurnedClock()
    prices = {name.replace("/", ""): price for name, price in PRICES.items()}
    async with FakeExchange(prices, {"USDT": CASH}, clock) as exchange:
        one = Life(home, exchange, clock, **venue)
        if started:
            await one.start()
        try:
            yield one
        finally:
            with suppress(AttributeError):  # one that never came up has nothing to close
                await one.die()


async def until(seen: Callable[[], bool], what: str) -> None:
    """Let the loop turn until something in this process has happened."""
    for _ in range(100_000):
        if seen():
            return
        await asyncio.sleep(0)
    raise AssertionError(f"never happened: {what}")


def soon(work: Awaitable[Kind]) -> "asyncio.Task[Kind]":
    """Begin it, and go on here."""
    return asyncio.ensure_future(work)  # type: ignore[return-value]


def hours(number: float) -> timedelta:
    """So many of them."""
    return timedelta(hours=number)


async def _at_once(moment: datetime) -> None:
    """Bars come when they come."""


async def _not_told(records: Sequence[Any]) -> None:
    """Nobody is told of moments."""
