"""The checks: while the world goes on, at every send and every record; and at its end, against the exchange's truth."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.core.accounting.fold import DeskState, apply
from engine.core.accounting.missing import EXTERNAL
from engine.core.domain.commands import CommandKind
from engine.core.domain.instrument import base_of, whole_lots
from engine.core.domain.order import OrderRequest, OrderStatus, Side
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import (
    AccountRecord,
    CommandRecord,
    CycleRecord,
    FillRecord,
    IncidentRecord,
    OrderRecord,
    TradeRecord,
    encode,
)
from engine.core.domain.risk import TradingState
from engine.core.execution.account import ours
from engine.core.risk.patterns import VENUE
from engine.live.recover import rebuild
from engine.ports import StoredRecord
from tests.simulation.exchange import MONEY, is_ours

if TYPE_CHECKING:
    from tests.simulation.world import World

BARE_S, FLAT_S, BARE_CALM_S, FLAT_CALM_S = 150.0, 100.0, 35.0, 26.0
"""So long a position may be without protection: while things go wrong, and once they do not."""
ROOM = 1.2
"""The market moves between a decision and its fill: limits are checked with so much room."""
EXACT = Decimal("0.00000001")
TERMINAL = (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REFUSED, OrderStatus.EXPIRED)
NEVER_TRUE = ("overfill", "order found again")
"""Incidents that this exchange never gives a cause for."""


class Watch:
    """Sees every durable record and every order that leaves."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._written: set[str] = set()
        self._sent: set[str] = set()
        self._bare: dict[str, float] = {}
        self._dust: dict[str, Decimal] = {}
        self._trades_closed: list[TradeRecord] = []
        self._last: dict[str, OrderStatus] = {}
        self._holds: dict[str, str] = {}
        self.fills: dict[str, FillRecord] = {}

    # --- While it goes on -----------------------------------------------------------------------------

    def written(self, stored: StoredRecord) -> None:
        """A record has become durable."""
        record = stored.record
        self._world.note("record", stored.sequence, record.id)
        if isinstance(record, CycleRecord):
            self._written.update(order.client_id for order in record.result.orders)
            self._holds = record.result.risk.holds
        elif isinstance(record, CommandRecord):
            self._written.update(order.client_id for order in record.orders)
            if record.risk is not None:
                self._holds = record.risk.holds
        elif isinstance(record, IncidentRecord):
            if record.risk is not None:
                self._holds = record.risk.holds
            if record.name in NEVER_TRUE:
                self._world.report("I3", f"{record.name}, which never was: {record.text}")
        elif isinstance(record, OrderRecord):
            self._order(record)
        elif isinstance(record, FillRecord):
            self._fill(record)
        elif isinstance(record, TradeRecord):
            self._trades_closed.append(record)
            self._dust[record.instrument] = self._dust.get(record.instrument, Decimal(0)) + record.dust

    def _order(self, record: OrderRecord) -> None:
        client_id = record.request.client_id
        self._written.add(client_id)
        before, self._last[client_id] = self._last.get(client_id), record.status
        if before in TERMINAL and record.status.open:
            self._world.report("I4", f"{client_id} went from {before} back to {record.status}")
        if record.status in TERMINAL:
            placed = self._world.exchange.order(client_id)
            if placed is not None and placed.open:
                self._world.report(
                    "I4", f"{client_id} is {record.status} in the books, {placed.status} in truth"
                )
            done = (OrderStatus.FILLED, OrderStatus.CANCELLED)
            if placed is None and record.status in done and client_id in self._sent:
                self._world.report("I4", f"{client_id} is {record.status} in the books and never was there")

    def _fill(self, record: FillRecord) -> None:
        fill = record.fill
        if fill.trade_id in self.fills:
            self._world.report("I3", f"{fill.trade_id} was booked twice")
        self.fills[fill.trade_id] = record

    def sent(self, request: OrderRequest) -> None:
        """An order leaves the desk now."""
        world = self._world
        self._sent.add(request.client_id)
        if request.client_id not in self._written:
            world.report("I1", f"{request.client_id} was sent and is not written down")
        if world.exchange.accepted.get(request.client_id):
            world.report("I1", f"{request.client_id} was sent again, and the venue has had it")
        if request.reduce_only:
            return
        if world.disk.row.state is not TradingState.ACTIVE:
            world.report("I6", f"{request.client_id} adds risk, and the desk is {world.disk.row.state}")
        if world.people.halted:
            world.report("I6", f"{request.client_id} adds risk after a {world.people.halted}")
        locks = {name for name, row in world.disk.locks.items() if row.locked}
        if locks & {VENUE, request.instrument}:
            world.report("I6", f"{request.client_id} adds risk under a lock on {', '.join(sorted(locks))}")
        holds = [name for name in self._holds if name.partition(" ")[2] in ("", request.instrument)]
        if holds:
            world.report("I8", f"{request.client_id} was sent under a hold: {', '.join(holds)}")
        late = (world.desk_moment() - request.placed_at).total_seconds()
        if late > world.settings.execution.entry_expires_s:
            world.report("I8", f"{request.client_id} was decided {late:.0f} s ago")
        self._exposure(request)

    def second(self) -> None:
        """What is held and neither protected nor being closed is so for a short time only."""
        world, exchange = self._world, self._world.exchange
        for name, rules in exchange.instruments.items():
            owned = exchange.real(name) - self._dust.get(name, Decimal(0))
            if owned < rules.lot:
                self._bare.pop(name, None)
                continue
            halted = self._world.people.halted == "flatten"
            bare = whole_lots(rules, owned) - (Decimal(0) if halted else self._cover(name))
            if bare * world.price(name) < rules.min_notional:
                self._bare.pop(name, None)
                continue
            since = self._bare.setdefault(name, world.now)
            allowed = FLAT_CALM_S if halted else BARE_CALM_S
            calm = min(world.now - since, world.now - world.safety_s)
            if world.now - since > (FLAT_S if halted else BARE_S) or calm > allowed:
                what = "is held after a flatten" if halted else "is not protected"
                world.report(
                    "I6" if halted else "I14", f"{bare} {name} {what}, for {world.now - since:.0f} s"
                )
                del self._bare[name]

    def _cover(self, name: str) -> Decimal:
        """What rests or trades at the exchange to sell it."""
        return sum(
            (
                placed.rest
                for placed in self._world.exchange.orders
                if placed.open
                and placed.request.instrument == name
                and placed.request.side is Side.SELL
                and is_ours(placed.request.client_id)
            ),
            Decimal(0),
        )

    def accepted(self, request: OrderRequest) -> None:
        """An order has reached the exchange."""
        client_id = request.client_id
        if not is_ours(client_id):
            return
        if self._world.exchange.accepted[client_id] > 1:
            self._world.report("I1", f"{client_id} was accepted twice")
        if self._last.get(client_id) in TERMINAL:
            self._world.report("I4", f"{client_id} was accepted, and is {self._last[client_id]} in the books")

    def _exposure(self, request: OrderRequest) -> None:
        """Everything held, resting or on its way, counted as filled."""
        world, exchange, limits = self._world, self._world.exchange, self._world.settings.risk
        worth = {}
        for name in exchange.instruments:
            units = max(exchange.real(name) - self._dust.get(name, Decimal(0)), Decimal(0))
            units += sum(
                (o.rest for o in exchange.orders if o.open and self._adds(o.request, name)), Decimal(0)
            )
            units += sum(
                (o.quantity for o in exchange.on_the_way.values() if self._adds(o, name)), Decimal(0)
            )
            worth[name] = units * world.price(name)
        equity = float(world.settings.desk.cash)
        worth[request.instrument] += request.quantity * world.price(request.instrument)
        gross, one = float(sum(worth.values())), float(worth[request.instrument])
        if gross > limits.max_gross * equity * ROOM:
            world.report("I7", f"{request.client_id} makes the exposure {gross:.0f}")
        if one > limits.max_position_value * equity * ROOM:
            world.report("I7", f"{request.client_id} makes {request.instrument} {one:.0f}")

    def _adds(self, request: OrderRequest, name: str) -> bool:
        return is_ours(request.client_id) and request.instrument == name and request.side is Side.BUY

    # --- At the end -----------------------------------------------------------------------------------

    def end(self) -> None:
        """The ledger against the truth, and whether the desk has come to itself."""
        state = self._state()
        self._trades()
        self._orders(state)
        self._amounts(state)
        self._sums(state)
        self._commands(state)
        self._desk(state)

    def fingerprint(self) -> Iterator[bytes]:
        """All that the desk wrote, to the last byte."""
        newest = None if self._world.told else 20
        records = self._world.disk.records
        return (encode(stored.record) for stored in records[-(newest or len(records)) :])

    def _state(self) -> DeskState:
        world = self._world
        state = DeskState(portfolio=Portfolio(cash=world.settings.desk.cash))
        for stored in world.disk.records:
            state = apply(state, stored.record)
            if isinstance(stored.record, FillRecord):
                self._planned(state, stored.record)
        world.life.alive = True
        again = rebuild(world.life._journal, world.settings).state
        if (again.portfolio, again.risk) != (state.portfolio, state.risk):
            world.report("I2", "a restart would stand elsewhere than the whole journal")
        engine = world.life.engine
        if engine is not None and engine.writer.state.portfolio != state.portfolio:
            world.report("I2", "the desk stands elsewhere than its journal")
        return state

    def _accepted(self) -> dict[str, Decimal]:
        """What of the desk's was gone and left its books by a person's word: it is not owed to it any more."""
        less: dict[str, Decimal] = defaultdict(Decimal)
        for record in [stored.record for stored in self._world.disk.records]:
            if isinstance(record, AccountRecord):
                less[MONEY] += record.cash
                for name, much in record.dust.items():
                    less[base_of(name)] += much
            elif isinstance(record, FillRecord) and record.fill.reason == EXTERNAL:
                fill = record.fill
                less[base_of(fill.instrument)] -= fill.quantity
                less[MONEY] += fill.quantity * fill.price
        return less

    def _planned(self, state: DeskState, record: FillRecord) -> None:
        """What the desk bought it bought with a plan: a stop, a target and a last bar."""
        position = state.portfolio.position(record.fill.instrument)
        if position is not None and position.expires_bars > 1000:
            self._world.report("I14", f"{record.fill.client_id} made a position that nobody planned")

    def _trades(self) -> None:
        mine = {trade.id: trade for trade in self._world.exchange.trades if is_ours(trade.client_id)}
        for missing in [each for each in mine if each not in self.fills]:
            self._world.report("I3", f"{missing} of {mine[missing].client_id} was never booked")
        for known, record in self.fills.items():
            trade, fill = mine.get(known), record.fill
            if fill.reason == EXTERNAL:
                continue  # what somebody else sold of the desk's
            if trade is None:
                self._world.report("I3", f"{known} was booked and never happened")
            elif (fill.quantity, fill.price, fill.fee) != (trade.net, trade.price, trade.fee):
                self._world.report("I3", f"{known} was booked with other figures")

    def _orders(self, state: DeskState) -> None:
        world = self._world
        for order in state.portfolio.orders:
            client_id, status = order.request.client_id, order.status
            placed = world.exchange.order(client_id)
            if status is OrderStatus.UNKNOWN:
                world.report("I14", f"{client_id} is still unknown")
            elif status is not OrderStatus.INTENT and (placed is None or not placed.open):
                world.report("I2", f"{client_id} is {status} in the books, not open in truth")
            elif placed is not None and order.filled != placed.filled:
                world.report("I2", f"{client_id}: {order.filled} booked, {placed.filled} filled")
        for placed in world.exchange.orders:
            client_id = placed.request.client_id
            if placed.open and is_ours(client_id) and state.portfolio.order(client_id) is None:
                world.report("I4", f"{client_id} is open in truth, not in the books")

    def _amounts(self, state: DeskState) -> None:
        """Asset by asset: what the desk says is its own must be what is not somebody else's."""
        exchange, portfolio = self._world.exchange, state.portfolio
        mine, less = ours(portfolio, MONEY), self._accepted()
        for asset, balance in exchange.balances.items():
            theirs = exchange.theirs[asset] - less[asset]
            gap = balance - theirs - mine.get(asset, Decimal(0))
            if abs(gap) > EXACT:
                self._world.report("I2", f"the account has {gap:+f} {asset} beside the ledger")
            other = theirs - portfolio.external.get(asset, Decimal(0))
            if abs(other) > Decimal("0.02") and not self._holds and self._world.with_people:
                self._world.report("I2", f"{other:+f} {asset} from outside is not in the books")

    def _commands(self, state: DeskState) -> None:
        world = self._world
        halted_by = {row.by for _, row in world.disk.rows}
        for _, command, outcome in world.people.answered:
            stored = world.disk.get(outcome.record)
            if stored is None or not isinstance(stored.record, CommandRecord | CycleRecord):
                world.report("I5", f"{command.key} was acknowledged and is not in the journal")
            if command.kind in (CommandKind.KILL, CommandKind.FLATTEN) and "me" not in halted_by:
                world.report("I6", f"{command.key} was acknowledged and no halt row was written")
        if world.disk.row.state is not state.risk.trading:
            world.report("I6", f"the row says {world.disk.row.state}, the journal says {state.risk.trading}")

    def _sums(self, state: DeskState) -> None:
        """What the trades earned, and what is still open, is what cash has gained."""
        records = [stored.record for stored in self._world.disk.records]
        moved = sum((record.cash for record in records if isinstance(record, AccountRecord)), Decimal(0))
        gained = state.portfolio.cash - self._world.settings.desk.cash - moved
        closed = sum((trade.net for trade in self._trades_closed), Decimal(0))
        still = sum(
            (p.realised - p.side.sign * p.entered_value - p.fees for p in state.portfolio.positions),
            Decimal(0),
        )
        if abs(gained - closed - still) > EXACT:
            self._world.report("I2", f"cash gained {gained}, the trades say {closed} and {still}")

    def _desk(self, state: DeskState) -> None:
        world, risk, portfolio = self._world, state.risk, state.portfolio
        halted = risk.trading is not TradingState.ACTIVE
        for order in portfolio.orders:
            if halted and not order.request.reduce_only:
                world.report("I6", f"the desk is {risk.trading}, and {order.request.client_id} is open")
        if risk.trading is TradingState.HALTED and risk.flatten and portfolio.positions:
            world.report(
                "I6", f"flattened, and {', '.join(p.instrument for p in portfolio.positions)} is held"
            )
        if world.people.halted == "flatten" and portfolio.positions:
            world.report("I6", "somebody was told that all is closed, and it is not")
        for position in portfolio.positions:
            rules = world.exchange.instruments[position.instrument]
            there = world.exchange.real(position.instrument) - portfolio.dust.get(
                position.instrument, Decimal(0)
            )
            needed = whole_lots(rules, min(position.quantity, there))
            cover = self._cover(position.instrument)
            if (needed - cover) * world.price(position.instrument) >= rules.min_notional:
                world.report(
                    "I14", f"{needed} {position.instrument} is held, {cover} of it is protected or closing"
                )
        for name, why in risk.holds.items():
            if " " not in name:  # what a venue keeps refusing in one instrument is let be for ten minutes
                world.report("I14", f"the hold {name} stands: {why}")
        self._process(state)

    def _process(self, state: DeskState) -> None:
        world, engine = self._world, self._world.life.engine
        if engine is None or not world.life.ready:
            world.report("I14", "the desk is not up")
            return
        newest = max(state.last_bars.values(), default=world.market.origin)
        if world.seconds(newest) < world.frozen_from - 130:
            world.report("I14", f"no decision since the bar of {world.seconds(newest):.0f}")
        if engine.writer._bus.failures:
            world.report("I14", "a listener failed")
        tender, count = engine.keeper._tender, len(state.portfolio.orders)
        for name in ("_first", "_missing", "_next", "_tried"):
            if len(getattr(tender, name)) > count + 6:
                world.report(
                    "I13", f"the tender's {name} holds {len(getattr(tender, name))} of {count} orders"
                )
        if len(state.portfolio.plans) > count:
            world.report("I13", f"{len(state.portfolio.plans)} plans for {count} orders")
        names = world.life.tasks.names()
        for name in ("loop", "tend", "reconcile", "clock", "data", "lag"):
            if name not in names:
                world.report("I14", f"the task {name} has ended")
