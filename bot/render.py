"""Records as lines for people: what happened, why, and the id under which it can be asked about."""

from datetime import datetime
from typing import Any

from engine.core.domain.order import OrderStatus
from engine.core.domain.records import (
    CommandRecord,
    CycleRecord,
    FillRecord,
    IncidentRecord,
    OrderRecord,
    StartRecord,
    TradeRecord,
)
from engine.core.domain.risk import Check
from explain.units import (
    gain,
    money,
    name,
    operator,
    percent,
    price,
    quoted,
    signed_percent,
    units,
    when,
    words,
)

CLOSED = {"buy": "Bought back", "sell": "Sold"}
OPENED = {"buy": "Bought", "sell": "Sold short"}
AGREEING = 2
"""How many of the strongest votes an alert names."""


def fill_line(record: FillRecord, cycle: CycleRecord | None) -> str:
    """A fill, with the votes and the confidence behind it when it opened something."""
    fill = record.fill
    opens = fill.leg == "e"
    done = (OPENED if opens else CLOSED)[fill.side.value]
    head = f"{done} {units(fill.quantity)} {fill.instrument} at {price(fill.price)}"
    reason = _entry_reason(cycle) if opens else f"by {name(fill.reason)}"
    return f"{head}: {reason} [{fill.decision if cycle else record.id}]"


def _entry_reason(cycle: CycleRecord | None) -> str:
    if cycle is not None and cycle.wish is not None:
        return f"{cycle.wish.by} asked for it"
    if cycle is None or cycle.result.forecast is None:
        return "a planned entry"
    forecast = cycle.result.forecast
    agree = [vote for vote in forecast.votes if vote.contribution * forecast.direction > 0]
    strongest = sorted(agree, key=lambda vote: -abs(vote.contribution))[:AGREEING]
    named = " and ".join(name(vote.source) for vote in strongest)
    agreeing = f"{named} {'agree' if len(strongest) > 1 else 'decided'}" if strongest else "the votes agree"
    gate = next((check for check in cycle.result.review.checks if check.name == "confidence"), None)
    return f"{agreeing} ({_confidence(gate)})" if gate else agreeing


def _confidence(gate: Check) -> str:
    return f"confidence {percent(gate.value)}, {operator(gate.operator)} {percent(gate.limit)} needed"


def trade_line(trade: TradeRecord) -> str:
    """A closed trade on one line."""
    side = "long" if trade.side.value == "buy" else "short"
    return (
        f"{when(trade.closed_at)}: closed {side} {units(trade.quantity)} {trade.instrument} by"
        f" {name(trade.exit_reason)}, {price(trade.entry_price)} to {price(trade.exit_price)}: net"
        f" {gain(trade.net)} ({signed_percent(trade.return_share)}) after fees of {money(trade.fees)} [{trade.id}]"
    )


def order_line(record: OrderRecord) -> str:
    """An order that did not go as planned."""
    request = record.request
    return (
        f"Order to {request.side.value} {units(request.quantity)} {request.instrument} ({name(request.reason)}) is"
        f" {record.status.value}: {words(record.reason) or 'no reason was given'} [{record.id}]"
    )


def command_line(record: CommandRecord) -> str:
    """What somebody asked for, and what the desk said."""
    reason = f", {quoted(record.reason)}" if record.reason else ""
    done = "" if record.accepted else " (refused)"
    return f"{words(record.by)} asked for {record.kind}{done}{reason}: {words(record.text)} [{record.id}]"


def incident_line(record: IncidentRecord) -> str:
    """What should not have happened."""
    return f"Incident {name(record.name)}: {words(record.text)} [{record.id}]"


def start_line(record: StartRecord) -> str:
    """The desk came up."""
    return (
        f"The desk {words(record.desk)} started, settings {record.settings_hash},"
        f" {record.recovered_records:,} records recovered [{record.id}]"
    )


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
