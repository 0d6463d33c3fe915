"""Records as text for people: what happened and why. Every figure has a unit."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from engine.core.domain.order import Fill, OrderRequest, OrderStatus, Side
from engine.core.domain.portfolio import Position
from engine.core.domain.records import (
    AccountRecord,
    CommandRecord,
    CycleRecord,
    IncidentRecord,
    OrderRecord,
    ReportRecord,
    StartRecord,
    TradeRecord,
)
from engine.core.domain.risk import Check
from engine.core.domain.signal import Forecast, Vote
from engine.ports import Journal
from explain.units import (
    bars,
    gain,
    money,
    name,
    operator,
    percent,
    price,
    quoted,
    score,
    signed_percent,
    units,
    when,
    words,
    write,
)

DRIVERS = 3
"""How many votes are named; the others are summed up."""
NEAR = 0.8
"""A limit of which so much is used has little room left."""
MODES = {"paper": "PAPER"}
"""What is said of where the orders go, by kind of venue; any other is a real account."""
LIVE, UNKNOWN = "LIVE", "MODE UNKNOWN"
CLOSED = {"buy": "Bought back", "sell": "Sold"}
OPENED = {"buy": "Bought", "sell": "Sold short"}
TO_OPEN = {"buy": "buy", "sell": "sell short"}
UP_DOWN = {1: "up", 0: "nothing", -1: "down"}
FLAGS = frozenset({"yes", "state", "issues"})
"""Units of checks that are met or not, and have no distance."""


class Stage(NamedTuple):
    """What the newest start says of the desk: where its orders go, its money and its limits."""

    mode: str = UNKNOWN
    currency: str = ""
    limits: Mapping[str, Any] = {}

    def money(self, value: Any) -> str:
        """Money in the account's currency."""
        return f"{money(value)} {self.currency}".rstrip()

    def gain(self, value: Any) -> str:
        """The same with its sign."""
        return f"{gain(value)} {self.currency}".rstrip()

    def price(self, value: Any, instrument: str) -> str:
        """A price in what the instrument is paid in: of a pair its second half."""
        paid_in = instrument.partition("/")[2] or self.currency
        return f"{price(value)} {paid_in}".rstrip()


def stage_of(journal: Journal) -> Stage:
    """As of the newest start; a journal without one tells nothing of it."""
    found = journal.find(kind="start", limit=1)
    start = found[0].record if found else None
    if not isinstance(start, StartRecord):
        return Stage()
    venue, desk = start.values.get("venue", {}), start.values.get("desk", {})
    kind = str(venue.get("kind", ""))
    mode = MODES.get(kind, LIVE) if kind else UNKNOWN
    return Stage(mode, str(desk.get("currency", "")), start.values.get("risk", {}))


# --- entries ---


def entry_head(request: OrderRequest) -> str:
    """An entry that the venue has, and that has not filled yet."""
    return f"Order to {TO_OPEN[request.side.value]} {units(request.quantity)} {request.instrument} is at the venue"


def filled(fill: Fill, stage: Stage) -> str:
    """One execution: how much, at what price, and what that is worth."""
    done = (OPENED if fill.leg == "e" else CLOSED)[fill.side.value]
    worth = stage.money(fill.quantity * fill.price) if not fill.instrument.partition("/")[2] else ""
    paid = stage.price(fill.price, fill.instrument)
    worth = worth or stage.price(fill.quantity * fill.price, fill.instrument)
    return f"{done} {units(fill.quantity)} {fill.instrument} at {paid}, {worth} in all"


def cost(fill: Fill, stage: Stage) -> str:
    """What an execution cost beside its price."""
    slipped = fill.side.sign * (fill.price - fill.reference) * fill.quantity
    return f"Cost: fee {stage.money(fill.fee)}, slippage {stage.money(slipped)}."


def reasons(cycle: CycleRecord, at_price: Decimal, stage: Stage) -> list[str]:
    """Why it was entered: who or what spoke for it, stop and target, the size and what bound it, and which limits are
    nearly used up by it. `at_price` is what the distances are counted from."""
    return [
        *_drivers(cycle),
        *_levels(cycle, at_price, stage),
        *_size(cycle),
        *_room(cycle),
    ]


def _drivers(cycle: CycleRecord) -> list[str]:
    forecast = cycle.result.forecast
    if cycle.wish is not None:
        said = f", {quoted(cycle.wish.reason)}" if cycle.wish.reason else ""
        return [f"Why: {words(cycle.wish.by)} asked for it{said}."]
    if forecast is None:
        return ["Why: a planned entry."]
    gate = next((check for check in cycle.result.review.checks if check.name == "confidence"), None)
    needed = f", {operator(gate.operator)} {percent(gate.limit)} needed" if gate else ""
    ranked = sorted(forecast.votes, key=lambda vote: -abs(vote.contribution))
    lines = [
        f"Why: the votes add up to {score(forecast.score)} of 1, confidence {percent(forecast.confidence)}{needed}.",
        *[f"- {driver(vote, forecast)}" for vote in ranked[:DRIVERS]],
    ]
    rest = ranked[DRIVERS:]
    if rest:
        together = sum(vote.contribution for vote in rest)
        lines.append(f"- {len(rest)} other vote{'s' * (len(rest) > 1)}: {score(together)} together")
    return lines


def driver(vote: Vote, forecast: Forecast) -> str:
    """One vote in plain words: which way, how sure, with what weight, and what that came to."""
    way = UP_DOWN[(vote.score > 0) - (vote.score < 0)]
    against = ", against it" if vote.contribution * forecast.direction < 0 else ""
    return (
        f"{name(vote.source)} says {way}{against}: score {score(vote.score)} of 1 by weight {percent(vote.weight)}"
        f" is {score(vote.contribution)}"
    )


def _levels(cycle: CycleRecord, at_price: Decimal, stage: Stage) -> list[str]:
    plan = cycle.result.proposal
    parts = [
        f"{word} {stage.price(level, cycle.instrument)} ({distance(level, at_price)})"
        for word, level in (("stop", plan.stop), ("target", plan.target))
        if level is not None
    ]
    if not parts:
        return []
    longest = f", out after at most {bars(plan.max_bars)}" if plan.max_bars else ""
    return [f"Plan: {', '.join(parts)}{longest}."]


def distance(level: Decimal, from_price: Decimal) -> str:
    """How far a level is from a price.

    >>> distance(Decimal(95), Decimal(100)), distance(Decimal(110), Decimal(100))
    ('5 % below', '10 % above')
    """
    share = level / from_price - 1 if from_price else Decimal(0)
    return f"{percent(abs(share))} {'below' if share < 0 else 'above'}"


def _size(cycle: CycleRecord) -> list[str]:
    size = cycle.result.size
    if size is None:
        return []
    step = next((step for step in reversed(size.steps) if step.name == size.bound_by), None)
    why = f" ({words(step.reason)})" if step and step.reason else ""
    bound = f", bound by {name(size.bound_by)}{why}" if size.bound_by else ""
    return [f"Size: {percent(size.weight)} of equity{bound}."]


ROOM = ("gross exposure", "positions", "daily entries", "daily turnover")
"""What an entry takes room of, by its checks."""


def _room(cycle: CycleRecord) -> list[str]:
    """Limits that this entry brought near: each is told once, with the entry that did it."""
    near = [check for check in cycle.result.review.checks if check.name in ROOM and is_near(check)]
    return [f"Little room left: {used(check)}." for check in near]


def is_near(check: Check) -> bool:
    """Whether a limit that must not be exceeded has less than a fifth of its room left."""
    return check.operator == "<=" and check.limit > 0 and check.value >= NEAR * check.limit


def used(check: Check) -> str:
    """How much of a limit is used, in its own unit."""
    value, limit, left = (write(each, check.unit) for each in (check.value, check.limit, check.headroom))
    whole = " of equity" if check.unit == "share" else ""
    return f"{check.name} {value} of at most {limit}{whole}, {left} left ({check.key})"


# --- exits ---

LEFT = {
    "stop": "its stop was reached",
    "target": "its target was reached",
    "trailing": "the close came too far back from its best",
    "time": "it was held for as long as planned",
    "reversal": "the votes turned against it",
    "regime": "nothing is held in this regime",
    "halt": "the desk halts and closes what it holds",
    "command": "somebody asked for it",
    "unprotected": "the venue would not take its protection",
}
"""Why something was closed, by the word of the record."""


def closed_head(trade: TradeRecord, stage: Stage) -> str:
    """A closed trade: what it was, how it ended, what is left of it."""
    side = "long" if trade.side is Side.BUY else "short"
    return (
        f"Closed {side} {units(trade.quantity)} {trade.instrument} at {stage.price(trade.exit_price, trade.instrument)}"
        f" by {name(trade.exit_reason)}: net {stage.gain(trade.net)} ({signed_percent(trade.return_share)})"
    )


def why_closed(
    trade: TradeRecord,
    order: OrderRecord | None,
    cycle: CycleRecord | None,
    command: CommandRecord | None,
    stage: Stage,
) -> str:
    """The cause of an exit with its figures: the order that rested, the decision, or who asked for it."""
    why = LEFT.get(trade.exit_reason, name(trade.exit_reason))
    if command is not None:
        said = f", {quoted(command.reason)}" if command.reason else ""
        return f"Why: {words(command.by)} asked for it{said}."
    if order is not None and order.request.price is not None:
        level = stage.price(order.request.price, trade.instrument)
        return f"Why: {why}, {level}; it filled at {stage.price(trade.exit_price, trade.instrument)}."
    checks = cycle.result.exits if cycle else ()
    check = next((each for each in checks if each.name == trade.exit_reason and not each.passed), None)
    if check is None or check.unit in FLAGS:
        regime = cycle.observation.regime if cycle and trade.exit_reason == "regime" else None
        return f"Why: {why}: {name(regime.label)}." if regime else f"Why: {why}."
    value, limit = (_figure(each, check.unit, trade.instrument, stage) for each in (check.value, check.limit))
    return f"Why: {why}: {value}, {operator(check.operator)} {limit} to stay ({check.key})."


def _figure(value: float, unit: str, instrument: str, stage: Stage) -> str:
    return stage.price(value, instrument) if unit == "price" else write(value, unit)


def outcome_of(trade: TradeRecord, stage: Stage) -> list[str]:
    """How it went: where it began, for how long, what it cost, and what each vote earned."""
    entry = stage.price(trade.entry_price, trade.instrument)
    lines = [
        f"Entered at {entry}, {when(trade.opened_at)}; held for {bars(trade.bars_held)}.",
        f"Gross {stage.gain(trade.gross)} less fees {stage.money(trade.fees)};"
        f" slippage {stage.money(trade.slippage)} is inside gross.",
    ]
    ranked = sorted(trade.attribution, key=lambda each: -abs(trade.attribution[each]))
    parts = [f"{name(each)} {stage.gain(trade.attribution[each])}" for each in ranked[:DRIVERS]]
    rest = [trade.attribution[each] for each in ranked[DRIVERS:]]
    if rest:
        parts.append(f"{len(rest)} other{'s' * (len(rest) > 1)} {stage.gain(sum(rest, Decimal(0)))}")
    lines += [f"By the votes that opened it: {', '.join(parts)}."] if parts else []
    if trade.dust:
        lines.append(f"Too little to sell, written off: {units(trade.dust)} {trade.instrument}.")
    return lines


def trade_line(trade: TradeRecord) -> str:
    """A closed trade on one line."""
    side = "long" if trade.side.value == "buy" else "short"
    return (
        f"{when(trade.closed_at)}: closed {side} {units(trade.quantity)} {trade.instrument} by"
        f" {name(trade.exit_reason)}, {price(trade.entry_price)} to {price(trade.exit_price)}: net"
        f" {gain(trade.net)} ({signed_percent(trade.return_share)}) after fees of {money(trade.fees)} [{trade.id}]"
    )


# --- everything else ---


def order_line(record: OrderRecord, stage: Stage) -> str:
    """An order that did not go as planned."""
    request = record.request
    at = f" at {stage.price(request.price, request.instrument)}" if request.price is not None else ""
    return (
        f"Order to {request.side.value} {units(request.quantity)} {request.instrument}{at} ({name(request.reason)}) is"
        f" {record.status.value}: {words(record.reason) or 'no reason was given'}"
    )


def after_order(record: OrderRecord, position: Position | None) -> str:
    """What that means: an entry that failed leaves nothing, an exit that failed leaves a position."""
    if record.status is OrderStatus.UNKNOWN:
        return "Whether the venue has it is not known; it is looked up, and never sent again blindly."
    if not record.request.reduce_only:
        return "Nothing was opened by it."
    if position is None:
        return "Nothing is held that it was to close."
    held = f"{units(abs(position.quantity))} {position.instrument}"
    return f"{held} is held without it; the desk tries again, and closes it when that keeps failing."


def command_line(record: CommandRecord) -> str:
    """What somebody asked for, and what the desk said."""
    reason = f", {quoted(record.reason)}" if record.reason else ""
    done = "" if record.accepted else " (refused)"
    return f"{words(record.by)} asked for {record.kind}{done}{reason}: {words(record.text)}"


HOLD, OVER = "hold ", "over: "
"""How incidents of holds begin: by name, and by text when the hold is gone."""
TROUBLE = {
    "venue": "Venue trouble",
    "unread": "Venue trouble, the account is not read",
    "untold": "Venue trouble, an execution is not told",
    "refused": "The venue keeps refusing",
    "account": "The account does not add up",
    "executed but not told": "Venue trouble, an execution is not told",
    "external trade": "Somebody else traded in the account",
    "external order": "Somebody else has an order in the account",
    "order found again": "Venue trouble, an order was found again",
    "clock": "Clock trouble",
    "data": "Data trouble",
    "model": "Model trouble",
    "change": "Something is new since the last start",
    "journal": "Journal trouble",
    "audit": "The journal does not fit its anchors",
    "report": "The books do not agree",
    "lock": "Locked until somebody unlocks it",
    "breaker": "The desk has halted itself",
}
"""What an incident is called, by its name or the name of its hold."""


def incident_line(record: IncidentRecord) -> str:
    """What should not have happened, and whether it is over."""
    key, _, of = record.name.removeprefix(HOLD).partition(" ")
    called = TROUBLE.get(record.name) or TROUBLE.get(key, f"Incident {words(name(record.name))}")
    about = f" ({words(of)})" if of and record.name.startswith(HOLD) else ""
    if not record.name.startswith(HOLD):
        return f"{called}: {words(record.text)}"
    if record.text.startswith(OVER):
        return f"{called}{about} is over: {words(record.text.removeprefix(OVER))}"
    return f"{called}{about}, nothing new is opened: {words(record.text)}"


def start_line(record: StartRecord) -> str:
    """The desk came up."""
    models = f", models {', '.join(sorted(record.models))}" if record.models else ""
    return (
        f"The desk {words(record.desk)} started, code {record.code_version}, settings {record.settings_hash}{models};"
        f" {record.recovered_records:,} records recovered"
    )


def report_lines(record: ReportRecord, stage: Stage) -> list[str]:
    """A day's totals."""
    totals = {key: record.totals.get(key, Decimal(0)) for key in _TOTALS}
    return [
        f"Report for {record.day} (UTC): equity {stage.money(totals['equity'])}"
        f" ({stage.gain(totals['equity_change'])})",
        f"Closed trades: net {stage.gain(totals['net'])}. Bought {stage.money(totals['bought'])}, sold"
        f" {stage.money(totals['sold'])}, fees {stage.money(totals['fees'])}, slippage"
        f" {stage.money(totals['slippage'])}. Cash {stage.money(totals['cash'])}.",
    ]


_TOTALS = ("equity", "equity_change", "net", "bought", "sold", "fees", "slippage", "cash")


def account_line(record: AccountRecord, stage: Stage) -> str:
    """What of ours changed at the venue without an order of ours."""
    parts = [f"{stage.gain(record.cash)} of cash"] if record.cash else []
    parts += [f"{units(amount)} {instrument}" for instrument, amount in record.dust.items()]
    return f"The account changed without an order of the desk: {', '.join(parts)}: {words(record.reason)}"


UNEXPECTED = (OrderStatus.REFUSED, OrderStatus.EXPIRED, OrderStatus.UNKNOWN)
"""Where an order may end that nobody planned."""


def state_sentence(shown: dict[str, Any]) -> str:
    """Whether it trades, since when, and who decided that."""
    state = f"The desk is {shown['state']}"
    if shown["since"]:
        state += f" since {when(datetime.fromisoformat(shown['since']))}"
    if shown["by"]:
        state += f", by {words(shown['by'])}"
    return f"{state}: {quoted(shown['reason'])}." if shown["reason"] else f"{state}."


def state_now(shown: dict[str, Any]) -> str:
    """The same behind an answer from the records, than which the halt row may be newer: a kill needs no engine."""
    return f"Now: {state_sentence(shown).replace('The', 'the', 1)}"


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def cited(record: str) -> str:
    """The id of a record, as texts cite it."""
    return f"[{record}]" if record else ""
