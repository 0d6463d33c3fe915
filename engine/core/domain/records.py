"""The record: what went in, what came out, and every reason. The first file to read.

A cycle looks at each instrument once per closed bar and leaves one `CycleRecord` for each, also when nothing
was done, so that "why not" has an answer. Everything else that happens (orders moving, fills, trades closing,
commands, reports, questions) is a record in the same chain.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from configs.schema.monitoring import MonitoringSettings
from configs.schema.settings import Settings
from configs.schema.store import StoreSettings
from engine.core.domain.errors import BadSettings
from engine.core.domain.market import Bar, QualityIssue
from engine.core.domain.order import Fill, OrderRequest, OrderStatus, Side
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.regime import RegimeEstimate
from engine.core.domain.risk import Check, Entry, Lock, NearMiss, Review, RiskState, Size, SizingStep
from engine.core.domain.signal import Forecast, Prediction, Signal, Vote
from engine.core.domain.tail import Tail, TailEstimate


class OutcomeKind(StrEnum):
    """What became of one look at one instrument."""

    ENTERED = "entered"
    EXITED = "exited"
    RESIZED = "resized"
    HELD = "held"
    REFUSED = "refused"
    NO_SIGNAL = "no_signal"


class Observation(msgspec.Struct, frozen=True, gc=False):
    """What can be said about the market without asking anyone.

    `features` is empty until `have` bars reach `need`; names and definitions are those of `feature_set`. `tail` is
    what one bar may cost. `correlations` and `volatilities` (of one bar) are of the desk's other instruments, over the
    newest 60 bars of this one; who is not there is unknown.
    """

    instrument: str
    bar: Bar
    previous_close: Decimal | None
    issues: tuple[QualityIssue, ...]
    have: int
    need: int
    feature_set: str
    features: dict[str, float]
    regime: RegimeEstimate | None
    tail: Tail | None = None
    correlations: dict[str, float] = {}
    volatilities: dict[str, float] = {}


class ModelEvidence(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the ensemble knows of one voter: its weight, and its discounted right and wrong calls."""

    weight: float
    right: float
    wrong: float
    last_score: float


class EnsembleState(msgspec.Struct, frozen=True, gc=False):
    """Weights and posteriors as values, one state an instrument.

    `edge` and `edge_square` are the recency-weighted mean and mean square of the return of holding, for one bar,
    the direction that passed the gate; `edge_bars` is how much evidence that is.
    """

    voters: dict[str, ModelEvidence] = {}
    last_close: float | None = None
    last_followed: int = 0
    edge: float = 0.0
    edge_square: float = 0.0
    edge_bars: float = 0.0


class Proposal(msgspec.Struct, frozen=True, gc=False):
    """What the desk would do before size and risk have spoken.

    `action` is enter, exit or none; `reason` a word of the handbook's list (signal, stop, target, trailing,
    time, reversal, regime, command). Prices are absolute; `None` where the action needs none.
    """

    action: str
    side: Side | None
    reason: str
    stop: Decimal | None = None
    target: Decimal | None = None
    max_bars: int = 0


class Wish(msgspec.Struct, frozen=True, gc=False):
    """A person's wish to enter: how much in units or in the account's currency, or neither: then the desk sizes it."""

    side: Side
    quantity: Decimal
    amount: Decimal
    by: str
    source: str
    reason: str


class CycleInputs(msgspec.Struct, frozen=True, gc=False):
    """Everything `decide` may look at. The record holds all of it but the settings, which it names by hash."""

    decision: str
    cycle: str
    as_of: datetime
    observation: Observation
    predictions: tuple[Prediction, ...]
    portfolio: Portfolio
    ensemble: EnsembleState
    risk: RiskState
    settings: Settings
    seed: int
    wish: Wish | None = None


class CycleResult(msgspec.Struct, frozen=True, gc=False):
    """What was decided and why: everything that "why" will ever need.

    `exits` are the reasons to leave that were looked at, of an open position: passed means stay. For a decision
    that proposed nothing, `size` and `review` are of the entry that the forecast leaned to: every check is made
    also after the first has failed, so that "what else stood in the way" has an answer.
    """

    outcome: OutcomeKind
    signals: tuple[Signal, ...]
    forecast: Forecast | None
    proposal: Proposal
    size: Size | None
    exits: tuple[Check, ...]
    review: Review
    refused_by: str
    nearest: NearMiss | None
    orders: tuple[OrderRequest, ...]
    ensemble: EnsembleState
    risk: RiskState


class CycleRecord(msgspec.Struct, frozen=True, gc=False, tag="cycle"):
    """One look at one instrument. With a `wish` it is the look that somebody's command to enter led to."""

    id: str
    at: datetime
    cycle: str
    instrument: str
    observation: Observation
    predictions: tuple[Prediction, ...]
    portfolio: Portfolio
    ensemble: EnsembleState
    risk: RiskState
    settings_hash: str
    code_version: str
    seed: int
    result: CycleResult
    wish: Wish | None = None

    @classmethod
    def of(
        cls, inputs: CycleInputs, result: CycleResult, settings_hash: str, code_version: str
    ) -> "CycleRecord":
        """The record of a decision: what went in, what came out, and what it was made with."""
        return cls(
            id=inputs.decision,
            at=inputs.as_of,
            cycle=inputs.cycle,
            instrument=inputs.observation.instrument,
            observation=inputs.observation,
            predictions=inputs.predictions,
            portfolio=inputs.portfolio,
            ensemble=inputs.ensemble,
            risk=inputs.risk,
            settings_hash=settings_hash,
            code_version=code_version,
            seed=inputs.seed,
            result=result,
            wish=inputs.wish,
        )

    def inputs(self, settings: Settings) -> CycleInputs:
        """The inputs again, for replay. `settings` must be those that `settings_hash` names."""
        return CycleInputs(
            decision=self.id,
            cycle=self.cycle,
            as_of=self.at,
            observation=self.observation,
            predictions=self.predictions,
            portfolio=self.portfolio,
            ensemble=self.ensemble,
            risk=self.risk,
            settings=settings,
            seed=self.seed,
            wish=self.wish,
        )


class Identity(NamedTuple):
    """What every decision of one run is made with, and its record names."""

    settings: Settings
    settings_hash: str
    code_version: str


class StartRecord(msgspec.Struct, frozen=True, gc=False, tag="start"):
    """The desk came up: which settings, features, models and code every later record was made with.

    `values` are the settings as plain JSON values, without the store and how the desk is watched (their URLs may hold
    a password or a token): a journal must stay readable when the code has learned or forgotten a setting. `second` is
    the clock's monotonic one on `machine`.
    """

    id: str
    at: datetime
    desk: str
    settings_hash: str
    values: dict[str, Any]
    feature_set: str
    models: dict[str, str]
    code_version: str
    recovered_records: int
    machine: str = ""
    second: float = 0.0

    def settings(self) -> Settings:
        """The settings again; BadSettings when this code no longer knows one of them."""
        try:
            return msgspec.convert(self.values, Settings)
        except msgspec.ValidationError as error:
            raise BadSettings(f"the settings of {self.id} are of other code: {error}") from None


class OrderRecord(msgspec.Struct, frozen=True, gc=False, tag="order"):
    """An order moved. `request` is whole in every one, so that each can be read alone."""

    id: str
    at: datetime
    request: OrderRequest
    status: OrderStatus
    reason: str
    venue_id: str = ""


class FillRecord(msgspec.Struct, frozen=True, gc=False, tag="fill"):
    """A fill, as told by the venue."""

    id: str
    at: datetime
    fill: Fill


class TradeRecord(msgspec.Struct, frozen=True, gc=False, tag="trade"):
    """A trade from flat to flat. `net` is `gross` less `fees`; slippage is inside gross and shown apart.

    `attribution` splits `net` over the votes that opened it, by signed contribution; the parts add up exactly.
    `dust` is what was too little to be sold, written off at nothing.
    """

    id: str
    at: datetime
    trade: str
    instrument: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    opened_at: datetime
    closed_at: datetime
    bars_held: int
    gross: Decimal
    fees: Decimal
    slippage: Decimal
    net: Decimal
    return_share: float
    exit_reason: str
    entry_decision: str
    exit_order: str
    attribution: dict[str, Decimal]
    dust: Decimal = Decimal(0)


class CommandRecord(msgspec.Struct, frozen=True, gc=False, tag="command"):
    """Somebody asked for something; refused wishes too. `orders` are what it made the desk send."""

    id: str
    at: datetime
    kind: str
    by: str
    source: str
    key: str
    instrument: str
    reason: str
    accepted: bool
    text: str
    risk: RiskState | None
    orders: tuple[OrderRequest, ...] = ()


class ReportRecord(msgspec.Struct, frozen=True, gc=False, tag="report"):
    """A daily report that was sent: its totals, which must equal the ledger's."""

    id: str
    at: datetime
    day: str
    totals: dict[str, Decimal]
    text: str


class AnswerRecord(msgspec.Struct, frozen=True, gc=False, tag="answer"):
    """A question and what was answered, with the records it was answered from."""

    id: str
    at: datetime
    by: str
    question: str
    answer: str
    refused: bool
    citations: tuple[str, ...]


class AccountRecord(msgspec.Struct, frozen=True, gc=False, tag="account"):
    """What the venue's account holds beside what is ours, by asset, as of now, and why it is taken as such.

    `cash` and `dust` (by instrument) are what of ours changed by it, without an order of ours: negative, it is gone.
    """

    id: str
    at: datetime
    balances: dict[str, Decimal]
    external: dict[str, Decimal]
    reason: str
    cash: Decimal = Decimal(0)
    dust: dict[str, Decimal] = {}


class IncidentRecord(msgspec.Struct, frozen=True, gc=False, tag="incident"):
    """Something that should not have happened, and what the desk did about it."""

    id: str
    at: datetime
    name: str
    text: str
    details: dict[str, str]
    risk: RiskState | None


Record = (
    CycleRecord
    | StartRecord
    | OrderRecord
    | FillRecord
    | TradeRecord
    | CommandRecord
    | ReportRecord
    | AnswerRecord
    | AccountRecord
    | IncidentRecord
)

# The order of keys is kept as it was: sums over them must come out the same when replayed.
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def plain(settings: Settings) -> dict[str, Any]:
    """The settings as a start record keeps them: without what may hold a password or a token."""
    kept = msgspec.structs.replace(settings, store=StoreSettings(), monitoring=MonitoringSettings())
    values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(kept))
    return values


def encode(record: Record) -> bytes:
    """The record as MessagePack, byte for byte the same for the same record. What it holds many of has no names."""
    return _encoder.encode(record)


def decode(payload: bytes) -> Record:
    """The record again; msgspec.ValidationError when the bytes are not one. JSON is read too, as it is exported."""
    if payload[:1] == b"{":  # which in MessagePack would be a number
        told: Record = msgspec.convert(_unnamed(msgspec.json.decode(payload)), Record)
        return told
    return _decoder.decode(payload)


class Columns(NamedTuple):
    """What questions filter on, beside the payload."""

    kind: str
    instrument: str
    outcome: str
    refused_by: str
    decision: str
    client_id: str
    trade: str


def columns(record: Record) -> Columns:
    """The filter columns of any record; empty text where one does not apply."""
    kind = type(record).__struct_config__.tag
    assert isinstance(kind, str)
    if isinstance(record, CycleRecord):
        result = record.result
        trade = ""
        return Columns(kind, record.instrument, result.outcome.value, result.refused_by, record.id, "", trade)
    if isinstance(record, OrderRecord):
        request = record.request
        return Columns(
            kind, request.instrument, record.status.value, "", request.decision, request.client_id, ""
        )
    if isinstance(record, FillRecord):
        fill = record.fill
        return Columns(kind, fill.instrument, fill.reason, "", fill.decision, fill.client_id, "")
    if isinstance(record, TradeRecord):
        return Columns(
            kind,
            record.instrument,
            record.exit_reason,
            "",
            record.entry_decision,
            record.exit_order,
            record.trade,
        )
    if isinstance(record, CommandRecord):
        return Columns(kind, record.instrument, "accepted" if record.accepted else "refused", "", "", "", "")
    return Columns(kind, "", "", "", "", "", "")


def readable(record: Record) -> dict[str, Any]:
    """The record as plain JSON values, for people and for other tools."""
    plain: dict[str, Any] = _named(record)
    return plain


_ROWS = {
    row: row.__struct_fields__
    for row in (Check, SizingStep, Prediction, Signal, Vote, ModelEvidence, TailEstimate, Entry, Lock)
}
"""What a record holds many of, and its fields: kept as bare rows of plain values, told with names."""
_NAMED = set(_ROWS.values())


def _named(value: Any) -> Any:
    """Plain JSON values, with every field's name, in the order of the fields."""
    kind = type(value)
    if kind in (str, float, int, bool):
        return value
    if kind in _ROWS:
        return dict(zip(_ROWS[kind], msgspec.structs.astuple(value), strict=True))
    if kind is tuple:
        return [_named(each) for each in value]
    if kind is dict:
        return {key: _named(each) for key, each in value.items()}
    if not isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    tag = {"type": kind.__struct_config__.tag} if kind.__struct_config__.tag else {}
    return tag | {field: _named(getattr(value, field)) for field in kind.__struct_fields__}


def _unnamed(value: Any) -> Any:
    """The way back: plain values as they are kept."""
    if isinstance(value, list):
        return [_unnamed(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _unnamed(each) for key, each in value.items()}
    return list(kept.values()) if tuple(kept) in _NAMED else kept
