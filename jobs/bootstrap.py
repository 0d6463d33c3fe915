"""The only place where ports meet concrete classes. Every start is a recovery."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from configs.schema.settings import Settings, settings_hash
from engine.core.accounting.fold import DeskState
from engine.core.domain.errors import Refused
from engine.core.domain.ids import record_id
from engine.core.domain.records import CycleRecord, Identity, IncidentRecord, OrderRecord, StartRecord, plain
from engine.core.domain.risk import TradingState
from engine.core.features.registry import NAMES
from engine.core.pipeline import FEATURE_SET
from engine.inference.predictor import NoPredictor, OnnxPredictor, ServedModel
from engine.live.bus import Bus
from engine.live.change import look_at_change
from engine.live.control import Control
from engine.live.cycle import Parts
from engine.live.desk import LiveDesk
from engine.live.holds import Holds, Models, Refusals
from engine.live.loop import Loop, Moment
from engine.live.orders import OrderManager
from engine.live.outage import Outage
from engine.live.reconcile import Reconciler
from engine.live.recover import rebuild, repair_orders
from engine.live.supervise import Keeper
from engine.live.tend import Tender
from engine.live.windows import Windows
from engine.live.writer import Writer
from engine.ports import Clock, Feed, Inbox, Lease, Predictor, Venue
from engine.store.anchors import Anchors
from engine.store.inbox import SqlInbox
from engine.store.journal import SqlJournal
from engine.store.lease import Fence
from engine.store.models import ModelFolder
from engine.store.state import SqlStateStore
from engine.venues.paper import PaperVenue
from jobs.home import Home
from jobs.opened import before_resuming
from jobs.version import code_version

Durability = Literal["FULL", "NORMAL"]
AUDIT = "audit"
"""Who halts a desk whose journal does not fit its anchors."""

TICK = timedelta(milliseconds=1)  # history ends before a moment; the bar of that moment itself is known too


class Engine(NamedTuple):
    """A desk that has recovered and may be run; `repaired` is what became of orders without an answer.

    `objection` is why it was halted at the start: what its anchors have against its journal.
    """

    loop: Loop
    desk: LiveDesk
    journal: SqlJournal
    store: SqlStateStore
    writer: Writer
    clock: Clock
    models: dict[str, str]
    recovered_records: int
    repaired: tuple[OrderRecord, ...]
    reconciler: Reconciler
    keeper: Keeper
    lease: Lease | None = None
    inbox: Inbox | None = None
    objection: str = ""

    def close(self) -> None:
        """Drain the writer and let go of the files."""
        self.journal.close()
        self.store.close()
        if self.inbox is not None:
            self.inbox.close()


class Outside(NamedTuple):
    """What surrounds the desk. Without a venue it trades on paper."""

    journal: SqlJournal
    store: SqlStateStore
    feed: Feed
    clock: Clock
    predictor: Predictor
    venue: Venue | None = None
    lease: Lease | None = None
    inbox: Inbox | None = None


async def open_engine(
    home: Home,
    settings: Settings,
    feed: Feed,
    clock: Clock,
    *,
    pace: Callable[[datetime], Awaitable[None]],
    after: Moment,
    first_bar: datetime,
    venue: Venue | None = None,
    lease: Lease | None = None,
    patient: bool = False,
    anchors: Anchors | None = None,
    durability: Durability = "FULL",
    deadline_ms: int | None = None,
) -> Engine:
    """Recover, reconcile, and be ready to run. The caller holds the lock of the home, and the lease.

    Without a venue the desk trades on paper. A `patient` one outlasts a journal that takes nothing for a while. It
    goes on where its journal stopped, or at `first_bar` if that is later.
    A journal that does not fit its `anchors` comes up halted.
    """
    predictor = open_predictor(home, settings, deadline_ms)
    with ExitStack() as opened:
        fence = Fence(settings.desk.name, lease.token) if lease and lease.token else None
        journal = SqlJournal(home.store(settings), synchronous=durability, fence=fence)
        opened.callback(journal.close)

        def object_now() -> str:
            return anchors.objection(journal) if anchors else ""

        store = SqlStateStore(
            home.store(settings),
            home=home.root,
            desk=settings.desk.name,
            objection=lambda: before_resuming(object_now()),
        )
        opened.callback(store.close)
        objection = object_now()
        if objection:  # before anything is sent again that had no answer
            store.set_halt(TradingState.HALTED, AUDIT, objection, clock.now())
        inbox = SqlInbox(home.store(settings), settings.desk.name) if patient else None
        if inbox is not None:
            opened.callback(inbox.close)
        outside = Outside(journal, store, feed, clock, predictor, venue, lease, inbox)
        engine = await assemble(
            outside, settings, pace=pace, after=after, first_bar=first_bar, patient=patient
        )
        if objection:
            at = max([clock.now(), first_bar, *engine.writer.state.last_bars.values()])
            await engine.writer.write([audit_incident(objection, at)])
        opened.pop_all()  # from here on whoever runs the engine closes it
        return engine._replace(objection=objection)


def audit_incident(text: str, at: datetime) -> IncidentRecord:
    """What is written down of a journal that does not fit its anchors, and of anchors that could not be written."""
    return IncidentRecord(record_id("i", at, AUDIT, text), at, AUDIT, text, {}, None)


async def assemble(
    outside: Outside,
    settings: Settings,
    *,
    pace: Callable[[datetime], Awaitable[None]],
    after: Moment,
    first_bar: datetime,
    patient: bool = False,
) -> Engine:
    """Recover from what the journal says, ask the venue, and put the desk together."""
    journal, store, feed, clock, predictor, venue, lease, inbox = outside
    recovered = rebuild(journal, settings)
    refuse_unfed(recovered.state, settings)
    bus = Bus()
    writer = Writer(journal, bus, recovered.state, recovered.sequence)
    if venue is None:
        paper = venue = PaperVenue(settings)
        paper.restore(recovered.state)
    orders = OrderManager(writer, journal, venue, store, clock, settings, lease)
    holds = Holds(writer, clock)
    refusals = Refusals(writer, journal, holds, clock)
    tender = Tender(writer, venue, orders, holds, refusals, settings, clock)
    reconciler = Reconciler(writer, journal, venue, orders, holds, settings, clock)
    goes_on = max([first_bar, *recovered.state.last_bars.values()])
    before = journal.find(kind="start", limit=1)
    start = _start(settings, predictor, goes_on, recovered.sequence, clock)
    new = look_at_change(before[0].record, start, journal, writer.state.risk) if patient and before else []
    await writer.write([start, *new])  # together: a start that dies in between would hide what was new
    repaired = await repair_orders(writer, venue, max(clock.now(), goes_on), settings.venue.answer_s)
    identity = Identity(settings, settings_hash(settings), code_version())
    outage = Outage(writer, orders, clock) if patient else None
    control = Control(writer, journal, store, orders, clock, identity)
    desk = LiveDesk(writer, control, bus, tender.tend, reconciler)
    parts = Parts(
        identity=identity,
        writer=writer,
        windows=Windows(settings, lambda name, bars: feed.history(name, goes_on + TICK, bars)),
        predictor=predictor,
        venue=venue,
        orders=orders,
        tender=tender,
        store=store,
        clock=clock,
    )
    models = Models(holds)

    async def looked(records: Sequence[CycleRecord]) -> None:
        async def look() -> None:
            async with desk.turn:
                await models.look(records)

        await (outage.outlast(look) if outage else look())
        await after(records)

    return Engine(
        loop=Loop(feed, parts, desk, control, pace, looked, first_bar, outage),
        desk=desk,
        journal=journal,
        store=store,
        writer=writer,
        clock=clock,
        models=predictor.versions(),
        recovered_records=recovered.records_read,
        repaired=tuple(repaired),
        reconciler=reconciler,
        keeper=Keeper(
            desk, control, writer, venue, tender, reconciler, holds, outage, inbox, settings, clock
        ),
        lease=lease,
        inbox=inbox,
    )


def refuse_unfed(state: DeskState, settings: Settings) -> None:
    """What is held, or may still be, must get its bars: without them it would stand unmarked and unprotected."""
    fed = {instrument.name for instrument in settings.desk.instruments}
    held = {position.instrument for position in state.portfolio.positions}
    held |= {order.request.instrument for order in state.portfolio.orders}
    if held - fed:
        raise Refused(
            f"the desk holds or waits for {', '.join(sorted(held - fed))}, of which no bars were given"
        )


def open_predictor(home: Home, settings: Settings, deadline_ms: int | None) -> NoPredictor | OnnxPredictor:
    """The served models from the home's folder; each must fit the running feature set.

    Without a deadline nothing depends on how busy the machine is: so for replays and back-tests.
    """
    if not settings.models.served:
        return NoPredictor()
    folder = ModelFolder(home.root)
    served = []
    for name in settings.models.served:
        model, manifest = folder.load_bytes(name)
        served.append(
            ServedModel(
                name,
                manifest.version,
                manifest.feature_set,
                manifest.features,
                model,
                manifest.calibration,
            )
        )
    return OnnxPredictor(served, FEATURE_SET, NAMES, deadline_ms)


def _start(
    settings: Settings, predictor: Predictor, at: datetime, sequence: int, clock: Clock
) -> StartRecord:
    """The first record of a run. The store's URL may hold a password: records hold none of it."""
    return StartRecord(
        id=record_id("s", at, str(sequence)),
        at=at,
        desk=settings.desk.name,
        settings_hash=settings_hash(settings),
        values=plain(settings),
        feature_set=FEATURE_SET,
        models=predictor.versions(),
        code_version=code_version(),
        recovered_records=sequence,
        machine=(machine := clock.machine()),
        second=clock.monotonic() if machine else 0.0,
    )
