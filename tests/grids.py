"""A desk with a grid, over the simulated book: bars are told, a person wishes, and only records are remembered."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from configs.schema.decision import DecisionSettings
from configs.schema.desk import DeskSettings, Instrument
from configs.schema.execution import ExecutionSettings
from configs.schema.risk import GridSettings, RiskSettings
from configs.schema.settings import Settings, settings_hash
from engine.backtest.market import Look
from engine.backtest.replay import step_moment, submit
from engine.core.accounting.fold import DeskState, apply
from engine.core.domain.order import OrderStatus, Side
from engine.core.domain.portfolio import Portfolio, Position
from engine.core.domain.records import CycleRecord, Identity, Record, TradeRecord, Wish
from engine.core.domain.risk import GridRun
from engine.core.execution.book import Book
from engine.core.pipeline import decide_wish
from engine.core.risk.killswitch import with_lock
from engine.live.recover import rebuild
from tests.builders import AGAIN_AND_AGAIN, CLOSE, DAY, INSTRUMENT, bar, command_record
from tests.core_builders import features, learned, observation
from tests.fakes import ListJournal

GRID = GridSettings(INSTRUMENT, Decimal(90), Decimal(100), Decimal(85), levels=5, max_risk=0.01)
FREELY: dict[str, Any] = AGAIN_AND_AGAIN | {
    "max_ladder": 1,
    "max_entries_per_instrument": 1000,
    "max_daily_entries": 1000,
    "max_consecutive_losses": 1000,
    "max_daily_loss": 0.5,
    "halt_daily_loss": 0.6,
    "max_drawdown": 0.6,
}


def grid_settings(grid: GridSettings | None = GRID, **changed: Any) -> Settings:
    """Settings of a desk that nothing but its grid holds back, whose positions wait for their stop or target."""
    values: dict[str, Any] = {
        "desk": DeskSettings(instruments=(Instrument(INSTRUMENT),)),
        "risk": RiskSettings(grids=(grid,) if grid else (), **FREELY),
        "execution": ExecutionSettings(volume_is_known=False),
        "decision": DecisionSettings(
            trail_atr=0, max_bars=1000, cooldown_bars=0, exit_confidence=1, blocked_regimes=()
        ),
    }
    return Settings(**(values | changed))


class GridDesk:
    """One desk. `day` is the number of the bar that was told last."""

    def __init__(self, settings: Settings | None = None, records: Iterable[Record] = ()) -> None:
        self.settings = settings or grid_settings()
        self.identity = Identity(self.settings, settings_hash(self.settings), "test")
        self.journal = ListJournal(*records)
        self.state: DeskState = rebuild(self.journal, self.settings).state
        self.book = Book(self.settings)
        sent = [order for order in self.state.portfolio.orders if order.status is not OrderStatus.INTENT]
        held = {position.instrument: position.quantity for position in self.state.portfolio.positions}
        self.book.restore(tuple(sent), held)
        self.day = sum(isinstance(each, CycleRecord) and each.wish is None for each in self.records())

    def records(self) -> list[Record]:
        """All of its records, oldest first."""
        return [stored.record for stored in self.journal.read()]

    def restarted(self, settings: Settings | None = None) -> "GridDesk":
        """The desk that comes up from its records, with the same settings or with others."""
        return GridDesk(settings or self.settings, self.records())

    @property
    def at(self) -> datetime:
        """The close of the newest bar."""
        return CLOSE + self.day * DAY

    def tell(self, close: str, trend: float = 0.0, **prices: Any) -> CycleRecord:
        """A bar closes; the desk looks at it, and leans with `trend`."""
        self.day += 1
        if not self.state.ensembles:
            self.state = replace(self.state, ensembles={INSTRUMENT: replace(learned(), last_close=None)})
        told = bar(end=self.at, close=close, **prices)
        seen = observation(
            bar=told, regime="quiet_range", features=features(trend=trend), previous_close=None
        )
        self.state, records = step_moment([Look(told, seen, ())], self.state, self.book, self.identity)
        self.journal.add(records)
        (decided,) = (record for record in records if isinstance(record, CycleRecord))
        return decided

    def buy(self, quantity: str = "10", side: Side = Side.BUY) -> CycleRecord:
        """A person wishes to buy at the newest close."""
        seen = next(
            record
            for record in reversed(self.records())
            if isinstance(record, CycleRecord) and record.wish is None
        )
        wish = Wish(side, Decimal(quantity), Decimal(0), "ana", "chat", "")
        decision = f"d-0fmb756o0-{self.journal.count():08x}"
        decided = decide_wish(seen, wish, decision, self.at, self.state, self.identity)
        self.state = apply(self.state, decided)
        records: list[Record] = [decided]
        self.state = submit(decided.result.orders, self.at, self.state, self.book, records)
        self.journal.add(records)
        return decided

    def unlock(self) -> None:
        """A person unlocks the instrument, which is a record like any other."""
        risk = with_lock(self.state.risk, INSTRUMENT, None)
        record = command_record("unlock", at=self.at, key=str(self.journal.count()), risk=risk)
        self.state = apply(self.state, record)
        self.journal.add([record])

    @property
    def portfolio(self) -> Portfolio:
        """The books."""
        return self.state.portfolio

    @property
    def run(self) -> GridRun | None:
        """The grid, where it has begun."""
        return self.state.risk.grids.get(INSTRUMENT)

    def held(self) -> Position:
        """The position, which there is."""
        position = self.portfolio.position(INSTRUMENT)
        assert position is not None, "nothing is held"
        return position

    def trades(self) -> list[TradeRecord]:
        """What was closed."""
        return [record for record in self.records() if isinstance(record, TradeRecord)]
