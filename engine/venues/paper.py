"""The venue that is us: the simulated book behind the Venue port, fed with whatever bars the desk sees."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from configs.schema.settings import Settings
from engine.core.accounting.fold import DeskState
from engine.core.domain.errors import VenueDown
from engine.core.domain.market import Bar
from engine.core.domain.order import OrderRequest, OrderStatus, OrderUpdate, Side, Submission
from engine.core.domain.venue import Account, Depth, Sighting, Traits
from engine.core.execution.book import Book


class PaperVenue:
    """Simulated fills with spread, fees, slippage and a share of each bar's volume.

    It has no memory of its own: `restore` stands it where the journal says that it stood. A bar that was settled
    before a restart is not settled again.
    """

    def __init__(self, settings: Settings) -> None:
        self._book = Book(settings)
        self._settled: dict[str, datetime] = {}
        self._untold: list[OrderUpdate] = []
        self._closes: dict[str, Decimal] = {}

    @property
    def traits(self) -> Traits:
        """It holds protection, and what it does not know was never sent."""
        return Traits()

    def restore(self, state: DeskState) -> None:
        """Take the open orders and positions from the recovered state. Intents were never sent: they are not there."""
        sent = tuple(order for order in state.portfolio.orders if order.status is not OrderStatus.INTENT)
        held = {position.instrument: position.quantity for position in state.portfolio.positions}
        self._book.restore(sent, held)
        self._settled = dict(state.settled)
        self._untold = []

    async def prepare(self, order: OrderRequest) -> None:
        """Nothing has to be fetched."""

    async def submit(self, order: OrderRequest) -> Submission:
        """Always accepted: what could be refused was refused by the review."""
        self._book.place(order)
        return Submission(OrderStatus.ACCEPTED, venue_id=f"paper-{order.client_id}")

    async def cancel(self, order: OrderRequest) -> Submission:
        """Cancelled at once; an unknown id is refused. What the end of this order ends is told with the next bars."""
        if self._book.get(order.client_id) is None:
            return Submission(OrderStatus.REFUSED, reason="no such open order")
        _, *orphans = self._book.cancel(order.client_id, "cancelled")
        self._untold += orphans
        return Submission(OrderStatus.CANCELLED)

    async def lookup(self, order: OrderRequest) -> Sighting | None:
        """An open order of that id. Its fills have been told: they are not told again here."""
        known = self._book.get(order.client_id)
        return None if known is None else Sighting(known.status, known.filled, ())

    async def balances(self) -> Mapping[str, Decimal]:
        """Nothing that the journal does not know."""
        return {}

    async def account(self, since: datetime) -> Account:
        """Nothing that the journal does not know: this venue has no memory of its own."""
        return Account({}, (), ())

    def unwell(self) -> str:
        """It always is well."""
        return ""

    async def clock_offset(self) -> float:
        """It has no clock but ours."""
        return 0.0

    async def price(self, instrument: str, side: Side) -> Decimal:
        """The close of the newest bar seen."""
        if instrument not in self._closes:
            raise VenueDown(f"no bar of {instrument} has closed yet")
        return self._closes[instrument]

    async def depth(self, instrument: str, side: Side, *, deep: bool = False) -> Depth | None:
        """There is no book behind a bar: the share of its volume stands for that."""
        return None

    async def updates(self, bars: Sequence[Bar]) -> Sequence[OrderUpdate]:
        """What these bars did to the open orders, after what cancels have done since the last ones."""
        told, self._untold = self._untold, []
        for bar in bars:
            self._closes[bar.instrument] = bar.close
            settled = self._settled.get(bar.instrument)
            if settled is None or bar.end > settled:
                told += self._book.on_bar(bar)
                self._settled[bar.instrument] = bar.end
        return told
