"""A question becomes the records that answer it. Searches go by the journal's columns; nothing is worded here."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from engine.core.domain.commands import CommandKind
from engine.core.domain.order import Side
from engine.core.domain.portfolio import Position
from engine.core.domain.records import (
    CommandRecord,
    CycleRecord,
    FillRecord,
    IncidentRecord,
    OrderRecord,
    OutcomeKind,
    Record,
    StartRecord,
    TradeRecord,
)
from engine.core.domain.risk import Check
from explain.claims import Anchor, Period, Reader, tally
from explain.question import Kind, Question, Scope

SWITCHES = (CommandKind.KILL, CommandKind.FLATTEN, CommandKind.PAUSE, CommandKind.RESUME)


class Entry(NamedTuple):
    """A decision to enter, and everything that followed from it. `latest` holds the position, if it is open."""

    cycle: CycleRecord
    orders: tuple[OrderRecord, ...]
    fills: tuple[FillRecord, ...]
    trade: TradeRecord | None
    latest: CycleRecord | None
    among: Anchor | None = None


class Exit(NamedTuple):
    """A closed trade and what closed it: the order and its fill, and the decision or the command behind them."""

    trade: TradeRecord
    entry: CycleRecord | None
    order: OrderRecord | None
    fill: FillRecord | None
    cycle: CycleRecord | None
    command: CommandRecord | None
    among: Anchor | None = None


class Look(NamedTuple):
    """One decision, whatever came of it. `missing` is a search that found nothing, told first."""

    cycle: CycleRecord
    entry: CycleRecord | None
    missing: tuple[str, Anchor] | None = None


class Span(NamedTuple):
    """Many decisions: which of them was nearest to a trade, and the newest that was one."""

    days: Anchor
    cycles: tuple[CycleRecord, ...]
    whole: bool
    closest: CycleRecord | None
    entered: CycleRecord | None


class Sizing(NamedTuple):
    """A decision whose size is asked about."""

    cycle: CycleRecord


class Holding(NamedTuple):
    """A position as a decision saw it."""

    cycle: CycleRecord
    place: int
    entry: CycleRecord | None
    missing: tuple[str, Anchor] | None = None


class Flat(NamedTuple):
    """Nothing is held; the last trade, if there was one."""

    cycle: CycleRecord
    trade: TradeRecord | None


class Trades(NamedTuple):
    """Closed trades of a period, and the one among them that is asked for. `which` is the kind's word."""

    which: Kind
    trades: Anchor
    closed: int
    whole: bool
    one: Exit | None
    newest: CycleRecord | None


class State(NamedTuple):
    """The desk as its newest decision saw it, and the switches since."""

    cycle: CycleRecord | None
    switch: CommandRecord | IncidentRecord | None
    halted: bool


class Event(NamedTuple):
    """Any other record, told as it is."""

    record: Record


class Nothing(NamedTuple):
    """No record answers; the oldest and the newest that there are. `missing` is the search that found nothing."""

    first: CycleRecord | None
    last: CycleRecord | None
    missing: tuple[str, Anchor] | None = None
    note: str = ""


Evidence = Entry | Exit | Look | Span | Sizing | Holding | Flat | Trades | State | Event | Nothing


def survey(reader: Reader) -> Scope | None:
    """What the records speak of; None while there are none."""
    first = _cycle(reader, newest_first=False)
    last = _cycle(reader)
    start = reader.newest(kind="start")
    names = set(last.portfolio.marks) | {last.instrument} if last else set()
    if isinstance(start, StartRecord):
        names |= {each["name"] for each in start.values.get("desk", {}).get("instruments", ())}
    if first and last:
        return Scope(tuple(sorted(names)), first.at, last.at)
    return Scope(tuple(sorted(names)), start.at, start.at) if start else None


def gather(question: Question, reader: Reader, scope: Scope) -> Evidence:
    """The records that answer the question."""
    if question.record:
        return _by_record(question, reader)
    return GATHER[question.kind](question, reader)


# --- searches ---


def _cycle(
    reader: Reader,
    instrument: str = "",
    outcome: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    newest_first: bool = True,
) -> CycleRecord | None:
    found = reader.newest(
        kind="cycle",
        instrument=instrument,
        outcome=outcome,
        since=since,
        until=until,
        newest_first=newest_first,
    )
    return found if isinstance(found, CycleRecord) else None


def _decided_in(question: Question, reader: Reader) -> tuple[CycleRecord, ...]:
    """The decisions asked about, newest first: those of the period, the one at a clock time, or the newest."""
    if question.period is None:
        newest = _cycle(reader, question.instrument)
        return (newest,) if newest else ()
    if question.clock is not None:
        since = question.period.since.replace(
            hour=question.clock.hour, minute=question.clock.minute, microsecond=0
        )
        one = _cycle(
            reader, question.instrument, since=since, until=question.period.until, newest_first=False
        )
        return (one,) if one else ()
    found = reader.tally(_days(question).record).records
    return tuple([record for record in found if isinstance(record, CycleRecord)])


def _days(question: Question) -> Anchor:
    return tally("cycle", question.period, instrument=question.instrument)


def _trades_of(question: Question) -> Anchor:
    return tally("trade", question.period, instrument=question.instrument)


def _record(reader: Reader, record_id: str) -> CycleRecord | None:
    found = reader.record(record_id) if record_id else None
    return found if isinstance(found, CycleRecord) else None


def _nothing(
    question: Question, reader: Reader, missing: tuple[str, Anchor] | None = None, note: str = ""
) -> Nothing:
    name = question.instrument
    return Nothing(_cycle(reader, name, newest_first=False), _cycle(reader, name), missing, note)


# --- entries ---


def _why_entry(question: Question, reader: Reader) -> Evidence:
    entered = _entered_in(question, reader)
    found = [cycle for cycle in entered if _side_fits(cycle, question.side)]
    if found:
        several = 1 < len(found) == len(entered) and question.period is not None
        among = (
            tally("cycle", question.period, instrument=question.instrument, outcome="entered")
            if several
            else None
        )
        return _entry(found[0], reader)._replace(among=among)
    if entered:  # there was one, on the other side: that is the answer
        return _entry(entered[0], reader)
    if question.period is None:
        never = ("no_entry_ever", tally("cycle", instrument=question.instrument, outcome="entered"))
        return _nothing(question, reader, never)
    return _instead(question, reader, ("no_entry", _days(question)))


def _entered_in(question: Question, reader: Reader) -> list[CycleRecord]:
    """Decisions to enter, newest first; failing these, the decisions whose entries filled in the period."""
    period = question.period
    asked = reader.find(
        kind="cycle",
        instrument=question.instrument,
        outcome="entered",
        since=period.since if period else None,
        until=period.until if period else None,
        limit=20,
    )
    found = [record for record in asked if isinstance(record, CycleRecord)]
    if found or period is None:
        return found
    fills = reader.find(
        kind="fill", instrument=question.instrument, since=period.since, until=period.until, limit=50
    )
    causes = [record.fill.decision for record in fills if isinstance(record, FillRecord)]
    filled = [_record(reader, decision) for decision in dict.fromkeys(causes)]
    return [cycle for cycle in filled if cycle and cycle.result.outcome is OutcomeKind.ENTERED]


def _side_fits(cycle: CycleRecord, side: Side | None) -> bool:
    return side is None or cycle.result.proposal.side is side


def _entry(cycle: CycleRecord, reader: Reader) -> Entry:
    followed = reader.find(decision=cycle.id, limit=60, newest_first=False)
    entry_orders = [r for r in followed if isinstance(r, OrderRecord) and not r.request.reduce_only]
    fills = [r for r in followed if isinstance(r, FillRecord) and r.fill.leg == "e"]
    trade = next((r for r in followed if isinstance(r, TradeRecord)), None)
    latest = _cycle(reader, cycle.instrument) if trade is None else None
    return Entry(cycle, tuple(entry_orders), tuple(fills), trade, latest)


# --- exits ---


def _why_exit(question: Question, reader: Reader) -> Evidence:
    trades = reader.tally(_trades_of(question).record).records if question.period else ()
    if question.period is None:
        newest = reader.newest(kind="trade", instrument=question.instrument)
        trades = (newest,) if newest else ()
    found = [t for t in trades if isinstance(t, TradeRecord) and _sold(t, question)]
    if found:
        among = _trades_of(question) if len(trades) > 1 else None
        return _exit(found[0], reader)._replace(among=among)
    for cycle in _decided_in(question, reader):
        if cycle.result.outcome is OutcomeKind.EXITED:
            return _exit_of(cycle, reader)
    if question.event == "sell":
        shorts = [c for c in _entered_in(question, reader) if c.result.proposal.side is Side.SELL]
        if shorts:
            return _entry(shorts[0], reader)
    never = ("no_exit" if question.period else "no_exit_ever", _trades_of(question))
    return _instead(question, reader, None if trades else never)


def _sold(trade: TradeRecord, question: Question) -> bool:
    """ "Sold" is said of closing a long; buying back a short is not a sale."""
    return question.event != "sell" or trade.side is Side.BUY


def _exit(trade: TradeRecord, reader: Reader) -> Exit:
    followed = reader.find(client_id=trade.exit_order, limit=60)
    order = next((r for r in followed if isinstance(r, OrderRecord)), None)
    fill = next((r for r in followed if isinstance(r, FillRecord) and r.at == trade.at), None)
    cause = fill.fill.decision if fill else ""
    return Exit(
        trade=trade,
        entry=_record(reader, trade.entry_decision),
        order=order,
        fill=fill,
        cycle=_record(reader, cause) if cause != trade.entry_decision else None,
        command=_command_of(trade, reader) if trade.exit_reason == "command" else None,
    )


def _command_of(trade: TradeRecord, reader: Reader) -> CommandRecord | None:
    """The wish that sent the closing order: among the newest before the trade was closed."""
    for record in reader.find(kind="command", limit=200):
        if isinstance(record, CommandRecord) and trade.exit_order in [o.client_id for o in record.orders]:
            return record
    return None


def _exit_of(cycle: CycleRecord, reader: Reader) -> Evidence:
    """The trade that a decision to leave closed; the decision alone while its order has not filled."""
    for order in cycle.result.orders:
        for record in reader.find(kind="trade", client_id=order.client_id, limit=1):
            if isinstance(record, TradeRecord):
                return _exit(record, reader)
    return _look(cycle, reader)


# --- decisions that did nothing new ---


def _look(cycle: CycleRecord, reader: Reader, missing: tuple[str, Anchor] | None = None) -> Look:
    position = cycle.portfolio.position(cycle.instrument)
    return Look(cycle, _record(reader, position.entry_decision) if position else None, missing)


def _instead(question: Question, reader: Reader, missing: tuple[str, Anchor] | None) -> Evidence:
    """What was asked about did not happen: what happened instead."""
    cycles = _decided_in(question, reader)
    if not cycles:
        return _nothing(question, reader, _no_decision(question))
    if len(cycles) == 1:
        return _look(cycles[0], reader, missing)
    return _span(question, reader, cycles)


def _no_decision(question: Question) -> tuple[str, Anchor] | None:
    return ("no_decision", _days(question)) if question.period else None


def _why_not(question: Question, reader: Reader) -> Evidence:
    cycles = _decided_in(question, reader)
    if not cycles:
        return _nothing(question, reader, _no_decision(question))
    if len(cycles) == 1:
        return _look(cycles[0], reader)
    return _span(question, reader, cycles)


def _why(question: Question, reader: Reader) -> Evidence:
    cycles = _decided_in(question, reader)
    return _by_outcome(cycles[0], reader) if len(cycles) == 1 else _why_not(question, reader)


def _by_outcome(cycle: CycleRecord, reader: Reader) -> Evidence:
    if cycle.result.outcome is OutcomeKind.ENTERED:
        return _entry(cycle, reader)
    if cycle.result.outcome is OutcomeKind.EXITED:
        return _exit_of(cycle, reader)
    if cycle.result.outcome is OutcomeKind.HELD:
        return _holding(cycle, reader) or _look(cycle, reader)
    return _look(cycle, reader)


def _span(question: Question, reader: Reader, cycles: tuple[CycleRecord, ...]) -> Span:
    without = [c for c in cycles if c.result.outcome in (OutcomeKind.REFUSED, OutcomeKind.NO_SIGNAL)]
    judged = [c for c in without if c.result.forecast and failed(c.result.review.checks)]
    closest = min(judged, key=lambda c: _worst_gap(c.result.review.checks), default=None)
    entered = next((c for c in cycles if c.result.outcome is OutcomeKind.ENTERED), None)
    whole = reader.tally(_days(question).record).whole
    return Span(_days(question), cycles, whole, closest, entered)


def failed(checks: Sequence[Check]) -> list[int]:
    """The places of the checks that did not pass."""
    return [place for place, check in enumerate(checks) if not check.passed]


def relative_gap(check: Check) -> float:
    """How far a failed check is from its limit, as a share of it (of one, for a limit of nothing)."""
    return -check.headroom / (abs(check.limit) or 1.0)


def _worst_gap(checks: Sequence[Check]) -> float:
    return max(relative_gap(checks[place]) for place in failed(checks))


# --- sizes, positions, counts, the desk ---


def _why_size(question: Question, reader: Reader) -> Evidence:
    entered = _entered_in(question, reader)
    if entered:
        return Sizing(entered[0])
    cycles = _decided_in(question, reader)
    sized = [cycle for cycle in cycles if cycle.result.size is not None]
    if sized:
        return Sizing(sized[0])
    return _instead(question, reader, None)


def _why_open(question: Question, reader: Reader) -> Evidence:
    cycles = _decided_in(question, reader)
    if not cycles:
        return _nothing(question, reader, _no_decision(question))
    held = next((_holding(cycle, reader) for cycle in cycles if _place(cycle) is not None), None)
    if held is not None:
        return held
    newest = reader.newest(kind="trade", instrument=question.instrument, until=cycles[0].at)
    return Flat(cycles[0], newest if isinstance(newest, TradeRecord) else None)


def _place(cycle: CycleRecord) -> int | None:
    names = [position.instrument for position in cycle.portfolio.positions]
    return names.index(cycle.instrument) if cycle.instrument in names else None


def _holding(cycle: CycleRecord, reader: Reader) -> Holding | None:
    place = _place(cycle)
    if place is None:
        return None
    position: Position = cycle.portfolio.positions[place]
    return Holding(cycle, place, _record(reader, position.entry_decision))


def _trades(question: Question, reader: Reader) -> Evidence:
    first, newest = (
        _cycle(reader, question.instrument, newest_first=False),
        _cycle(reader, question.instrument),
    )
    if first is None or newest is None:
        return _nothing(question, reader)
    period = question.period or _whole(first.at, newest.at)
    anchor = tally("trade", period, instrument=question.instrument)
    found = reader.tally(anchor.record)
    trades = [record for record in found.records if isinstance(record, TradeRecord)]
    if not trades and (period.last < first.at.date() or period.first > newest.at.date()):
        return _nothing(question, reader, _no_decision(question))
    chosen = _CHOSEN[question.kind](trades) if trades and question.kind in _CHOSEN else None
    one = _exit(chosen, reader) if chosen else None
    return Trades(question.kind, anchor, len(trades), found.whole, one, newest)


def _whole(first: datetime, last: datetime) -> Period:
    return Period(first.date(), last.date())


def _newest(trades: Sequence[TradeRecord]) -> TradeRecord:
    return max(trades, key=lambda trade: trade.closed_at)


def _best(trades: Sequence[TradeRecord]) -> TradeRecord:
    return max(trades, key=lambda trade: trade.net)


def _worst(trades: Sequence[TradeRecord]) -> TradeRecord:
    return min(trades, key=lambda trade: trade.net)


_CHOSEN: dict[Kind, Callable[[Sequence[TradeRecord]], TradeRecord]] = {
    Kind.LAST_TRADE: _newest,
    Kind.BEST_TRADE: _best,
    Kind.WORST_TRADE: _worst,
}


def _status(question: Question, reader: Reader) -> Evidence:
    cycle, switch = _cycle(reader), _switch(reader)
    if cycle and switch and switch.at < cycle.at:
        switch = None
    return State(cycle, switch, halted=False)


def _why_halted(question: Question, reader: Reader) -> Evidence:
    return State(_cycle(reader), _switch(reader), halted=True)


def _switch(reader: Reader) -> CommandRecord | IncidentRecord | None:
    """The newest of: a kill, flatten or resume that was accepted, and a breaker that tripped."""
    commands = reader.find(kind="command", outcome="accepted", limit=100)
    switches = [r for r in commands if isinstance(r, CommandRecord) and r.kind in SWITCHES]
    incidents = reader.find(kind="incident", limit=100)
    breakers = [r for r in incidents if isinstance(r, IncidentRecord) and r.name == "breaker"]
    found: list[CommandRecord | IncidentRecord] = [*switches[:1], *breakers[:1]]
    return max(found, key=lambda record: record.at, default=None)


def _by_record(question: Question, reader: Reader) -> Evidence:
    record = reader.record(question.record) or _of_order(question.record, reader)
    if record is None:
        return _nothing(question, reader, note=f"There is no record {question.record}.")
    if question.kind is Kind.WHY_SIZE:
        record = _decision_behind(record, reader) or record
        if isinstance(record, CycleRecord) and record.result.size is not None:
            return Sizing(record)
    if isinstance(record, CycleRecord):
        return _by_outcome(record, reader) if question.kind is not Kind.WHY_NOT else _look(record, reader)
    if isinstance(record, TradeRecord):
        return _exit(record, reader)
    cause = _decision_behind(record, reader)
    if isinstance(record, FillRecord) and record.fill.leg != "e":
        closed = reader.newest(kind="trade", client_id=record.fill.client_id)
        if isinstance(closed, TradeRecord):
            return _exit(closed, reader)
    return _by_outcome(cause, reader) if cause else Event(record)


def _of_order(record_id: str, reader: Reader) -> Record | None:
    """A trade by its own id, an order by its client id."""
    if record_id.startswith("t-"):
        return reader.newest(trade=record_id)
    return reader.newest(client_id=record_id) if record_id.startswith("wd") else None


def _decision_behind(record: Record, reader: Reader) -> CycleRecord | None:
    if isinstance(record, FillRecord):
        return _record(reader, record.fill.decision)
    if isinstance(record, OrderRecord):
        return _record(reader, record.request.decision)
    if isinstance(record, TradeRecord):
        return _record(reader, record.entry_decision)
    return None


GATHER: dict[Kind, Callable[[Question, Reader], Evidence]] = {
    Kind.WHY: _why,
    Kind.WHY_ENTRY: _why_entry,
    Kind.WHY_EXIT: _why_exit,
    Kind.WHY_NOT: _why_not,
    Kind.WHY_SIZE: _why_size,
    Kind.WHY_OPEN: _why_open,
    Kind.WHY_HALTED: _why_halted,
    Kind.COUNT: _trades,
    Kind.PROFIT: _trades,
    Kind.LAST_TRADE: _trades,
    Kind.BEST_TRADE: _trades,
    Kind.WORST_TRADE: _trades,
    Kind.STATUS: _status,
}
