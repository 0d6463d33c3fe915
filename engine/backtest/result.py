"""What came out of a back-test, before anybody judges it."""

from array import array
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from configs.schema.settings import Settings, settings_hash
from engine.core.accounting.fold import DeskState
from engine.core.domain.market import BarArrays, Floats, Ints
from engine.core.domain.records import CycleRecord, FillRecord, OutcomeKind, Record, TradeRecord
from engine.core.domain.risk import RiskState


class Moments(NamedTuple):
    """The account after each moment. `equity` and `costs` begin before the first and have one value more.

    `costs` are all fees and slippage so far. `held` says whether anything was held after the moment, `regimes`
    (places in REGIMES, -1 unknown) is of the instrument whose name comes first.
    """

    end_ms: Ints
    equity: Floats
    costs: Floats
    held: NDArray[np.bool_]
    regimes: NDArray[np.int8]


class Result(NamedTuple):
    """One run. `ready` is the number of moments that passed while the windows warmed up.

    `traded` is the value of all fills, both sides; `regimes` the regime at each trade's entry decision.
    """

    settings: Settings
    settings_hash: str
    feature_set: str
    models: dict[str, str]
    series: dict[str, BarArrays]
    bars: int
    ready: int
    moments: Moments
    trades: tuple[TradeRecord, ...]
    fills: int
    traded: float
    fees: float
    slippage: float
    outcomes: dict[str, int]
    refusals: dict[str, int]
    regimes: dict[str, str]
    records: int
    risk: RiskState
    open_positions: int
    seconds: float
    cpu_seconds: float


class Tally:
    """Counts while the run goes on; of what grows with the bars it keeps numbers only, 26 bytes a moment."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._end_ms, self._equity = array("q"), array("d", [float(settings.desk.cash)])
        self._costs, self._held, self._regimes = array("d", [0.0]), array("b"), array("b")
        self._trades: list[TradeRecord] = []
        self._entry_regimes: dict[str, str] = {}
        self._outcomes: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._fills, self._traded, self._fees, self._slippage = 0, 0.0, 0.0, 0.0
        self.records = self.bars = self.ready = 0

    @property
    def trades(self) -> int:
        """How many have been closed so far."""
        return len(self._trades)

    def count(self, records: Sequence[Record]) -> None:
        """Look at what was written down."""
        self.records += len(records)
        for record in records:
            if isinstance(record, CycleRecord):
                self._decision(record)
            elif isinstance(record, FillRecord):
                fill = record.fill
                self._fills += 1
                self._traded += float(fill.quantity * fill.price)
                self._fees += float(fill.fee)
                self._slippage += float(fill.side.sign * (fill.price - fill.reference) * fill.quantity)
            elif isinstance(record, TradeRecord):
                self._trades.append(record)

    def _decision(self, record: CycleRecord) -> None:
        result, regime = record.result, record.observation.regime
        self._outcomes[result.outcome.value] += 1
        if result.outcome is OutcomeKind.REFUSED:
            self._refusals[result.refused_by] += 1
        if result.outcome is OutcomeKind.ENTERED:
            self._entry_regimes[record.id] = regime.label if regime else "unknown"

    def passed(self, outcome: OutcomeKind, times: int) -> None:
        """Decisions that were not worked out in full, because nothing could come of them."""
        self._outcomes[outcome.value] += times

    def moment(self, end_ms: int, equity: float, held: bool, regime: int) -> None:
        """The account after one moment."""
        self._end_ms.append(end_ms)
        self._equity.append(equity)
        self._costs.append(self._fees + self._slippage)
        self._held.append(held)
        self._regimes.append(regime)

    def moments(
        self, end_ms: Ints, equity: Floats, held: NDArray[np.bool_], regimes: NDArray[np.int8]
    ) -> None:
        """The account after each of many moments."""
        self._end_ms.frombytes(end_ms.tobytes())
        self._equity.frombytes(equity.tobytes())
        self._costs.frombytes(np.full(equity.size, self._fees + self._slippage).tobytes())
        self._held.frombytes(held.astype(np.int8).tobytes())
        self._regimes.frombytes(regimes.tobytes())

    def result(
        self,
        series: dict[str, BarArrays],
        state: DeskState,
        feature_set: str,
        models: dict[str, str],
        seconds: tuple[float, float],
    ) -> Result:
        """All of it. `seconds` are those on the wall and those of the processor."""
        return Result(
            settings=self._settings,
            settings_hash=settings_hash(self._settings),
            feature_set=feature_set,
            models=models,
            series=series,
            bars=self.bars,
            ready=self.ready,
            moments=Moments(
                np.frombuffer(self._end_ms, dtype=np.int64),
                np.frombuffer(self._equity, dtype=np.float64),
                np.frombuffer(self._costs, dtype=np.float64),
                np.frombuffer(self._held, dtype=np.int8).astype(bool),
                np.frombuffer(self._regimes, dtype=np.int8),
            ),
            trades=tuple(self._trades),
            fills=self._fills,
            traded=self._traded,
            fees=self._fees,
            slippage=self._slippage,
            outcomes={
                kind.value: self._outcomes[kind.value] for kind in OutcomeKind if self._outcomes[kind.value]
            },
            refusals=dict(self._refusals.most_common()),
            regimes=self._entry_regimes,
            records=self.records,
            risk=state.risk,
            open_positions=len(state.portfolio.positions),
            seconds=seconds[0],
            cpu_seconds=seconds[1],
        )
