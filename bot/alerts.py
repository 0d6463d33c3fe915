"""Which records are told, with which reasons, how loudly, and what can be pressed. All else is there for who asks.

What is told of one trade has one thread, the decision that opened it; what holds the desk back has one by its name.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from bot import render
from bot.chat.port import Button, Lane, Said
from engine.core.domain.commands import CommandKind
from engine.core.domain.order import SENDING, Fill, OrderStatus
from engine.core.domain.portfolio import Position
from engine.core.domain.records import (
    AccountRecord,
    CommandRecord,
    CycleRecord,
    FillRecord,
    IncidentRecord,
    OrderRecord,
    Record,
    ReportRecord,
    StartRecord,
    TradeRecord,
)
from engine.core.domain.risk import Check, RiskState, at_most
from engine.ports import Journal
from explain.units import operator, percent, points, when

Level = Lane
"""URGENT is never held back; NOTICE is what trading looks like; INFO may be left out when there is much."""
MOST_FILLS = 200
STATE = "state"
"""The thread of what stops the desk and lets it go on."""
SWITCHES = (CommandKind.KILL, CommandKind.FLATTEN, CommandKind.PAUSE, CommandKind.RESUME)


class Alert(NamedTuple):
    """What is said of a record, and how loudly."""

    said: Said
    lane: Lane

    @property
    def text(self) -> str:
        """What is said, without what can be pressed."""
        return self.said.text

    @property
    def level(self) -> Lane:
        """How loudly."""
        return self.lane


class Told(NamedTuple):
    """What is to be said: lines, of which the first stands alone on a locked phone; who says what is added."""

    lane: Lane
    lines: list[str]
    about: str
    thread: str = ""
    buttons: tuple[Button, ...] = ()


def alert(record: Record, journal: Journal) -> Alert | None:
    """What is told of a record; None for one that is not worth a message."""
    tell = TABLE.get(type(record))
    stage = render.stage_of(journal)
    told = tell(record, journal, stage) if tell else None
    if told is None:
        return None
    head = f"{stage.mode}: {told.lines[0].rstrip('.')} ({when(record.at)})"
    text = "\n".join([head, *told.lines[1:], render.cited(told.about)])
    rows = (told.buttons,) if told.buttons else ()
    return Alert(Said(text, buttons=rows, thread=told.thread), told.lane)


def may_alert(record: Record) -> bool:
    """Whether a record may be told. Most are decisions; of those only one that saw the desk lose, once a moment."""
    return type(record) in TABLE and (not isinstance(record, CycleRecord) or _lost(record))


# --- trades ---


def _fill(record: FillRecord, journal: Journal, stage: render.Stage) -> Told | None:
    """An entry is told with its reasons at its first fill. A closing fill is told by its trade, where it closed one."""
    fill = record.fill
    if fill.leg != "e":
        closed = journal.find(kind="trade", client_id=fill.client_id, since=record.at, limit=1)
        return None if closed else _part(record, journal, stage)
    fills = journal.find(kind="fill", client_id=fill.client_id, limit=MOST_FILLS, newest_first=False)
    mine = [stored.record for stored in fills if isinstance(stored.record, FillRecord)]
    lines = [render.filled(fill, stage)]
    cycle = _cycle(journal, fill.decision)
    if mine and mine[0].id != record.id:
        so_far = sum((each.fill.quantity for each in _up_to(mine, record)), Decimal(0))
        lines.append(f"That is {render.units(so_far)} {fill.instrument} of this entry so far.")
    elif cycle is not None:
        lines += render.reasons(cycle, fill.price, stage)
    lines.append(render.cost(fill, stage))
    about = cycle.id if cycle else record.id
    return Told(Lane.NOTICE, lines, about, fill.decision, _held(about, fill.instrument))


def _up_to(fills: list[FillRecord], last: FillRecord) -> list[FillRecord]:
    places = [place for place, each in enumerate(fills) if each.id == last.id]
    return fills[: places[0] + 1] if places else [*fills, last]


def _part(record: FillRecord, journal: Journal, stage: render.Stage) -> Told:
    fill = record.fill
    lines = [f"{render.filled(fill, stage)}, by {render.name(fill.reason)}", render.cost(fill, stage)]
    lines.append("The rest is still held.")
    return Told(Lane.NOTICE, lines, record.id, _entry_of(fill, journal), _held(record.id, fill.instrument))


def _trade(record: TradeRecord, journal: Journal, stage: render.Stage) -> Told:
    found = journal.find(kind="order", client_id=record.exit_order, limit=1)
    order = found[0].record if found else None
    fills = journal.find(kind="fill", client_id=record.exit_order, limit=1)
    fill = fills[0].record if fills else None
    cause = fill.fill.decision if isinstance(fill, FillRecord) else ""
    why = render.why_closed(
        record,
        order if isinstance(order, OrderRecord) else None,
        _cycle(journal, cause) if cause != record.entry_decision else None,
        _command_of(record, journal) if record.exit_reason == "command" else None,
        stage,
    )
    lines = [render.closed_head(record, stage), why, *render.outcome_of(record, stage)]
    buttons = (_why(record.id), _chart(record.instrument))
    return Told(Lane.NOTICE, lines, record.id, record.entry_decision, buttons)


def _command_of(trade: TradeRecord, journal: Journal) -> CommandRecord | None:
    """Whose wish sent the closing order."""
    for stored in journal.find(kind="command", limit=MOST_FILLS):
        command = stored.record
        if isinstance(command, CommandRecord) and trade.exit_order in [o.client_id for o in command.orders]:
            return command
    return None


def _order(record: OrderRecord, journal: Journal, stage: render.Stage) -> Told | None:
    """An entry that the venue has, with its reasons; else only what nobody planned."""
    request = record.request
    if record.status is OrderStatus.ACCEPTED and not request.reduce_only:
        cycle = _cycle(journal, request.decision)
        if cycle is None:
            return None
        reasons = render.reasons(cycle, request.price or cycle.observation.bar.close, stage)
        lines = [render.entry_head(request), *reasons]
        return Told(Lane.INFO, lines, cycle.id, request.decision, (_why(cycle.id), _chart(cycle.id)))
    if record.status not in render.UNEXPECTED or record.reason == SENDING:
        return None
    position = _position(journal, request.instrument)
    lines = [render.order_line(record, stage), render.after_order(record, position)]
    thread = request.decision if not request.reduce_only or position is None else position.entry_decision
    urgent = request.reduce_only
    buttons = _held(record.id, request.instrument) if urgent and position else (_why(record.id),)
    return Told(Lane.URGENT if urgent else Lane.NOTICE, lines, record.id, thread, buttons)


# --- people, trouble, the desk itself ---


def _command(record: CommandRecord, journal: Journal, stage: render.Stage) -> Told:
    lane = Lane.URGENT if record.kind in SWITCHES else Lane.NOTICE
    position = _position(journal, record.instrument) if record.instrument else None
    thread = STATE if record.kind in SWITCHES else position.entry_decision if position else ""
    return Told(lane, [render.command_line(record)], record.id, thread, (_why(record.id),))


MILD = ("order found again", "external order", "external trade")
"""Incidents that hold nothing back by themselves."""
SWITCHED = ("breaker", "audit")
"""Incidents that stop the desk."""


def _incident(record: IncidentRecord, journal: Journal, stage: render.Stage) -> Told:
    """A hold and its end have one thread. What is over, and what holds nothing back, is not urgent."""
    over = record.name.startswith(render.HOLD) and record.text.startswith(render.OVER)
    quiet = over or record.name in MILD or (record.name == "change" and record.risk is None)
    thread = STATE if record.name in SWITCHED else record.name
    buttons = (_why(record.id), Button("Chart", "/chart risk"))
    lane = Lane.NOTICE if quiet else Lane.URGENT
    return Told(lane, [render.incident_line(record)], record.id, thread, buttons)


def _start(record: StartRecord, journal: Journal, stage: render.Stage) -> Told:
    return Told(Lane.INFO, [render.start_line(record)], record.id, "", (_why(record.id),))


def _report(record: ReportRecord, journal: Journal, stage: render.Stage) -> Told:
    buttons = (Button("All of it", f"/report {record.day}"), Button("Chart", "/chart equity"))
    return Told(Lane.INFO, render.report_lines(record, stage), record.id, "", buttons)


def _account(record: AccountRecord, journal: Journal, stage: render.Stage) -> Told | None:
    """Only what of ours has changed; what others hold in the account is theirs."""
    if not record.cash and not record.dust:
        return None
    return Told(Lane.URGENT, [render.account_line(record, stage)], record.id, "hold account")


# --- limits that a loss brings near ---


class Brink(NamedTuple):
    """A limit on losses: its check, its setting, what is used of it in a state, and what comes after it."""

    name: str
    key: str
    use: Callable[[RiskState, float], float]
    then: str
    lane: Lane


def _drawdown(risk: RiskState, equity: float) -> float:
    high = float(risk.high_water)
    return max((high - equity) / high, 0.0) if high > 0 else 0.0


def _day_loss(risk: RiskState, equity: float) -> float:
    start = float(risk.day_equity)
    return max((start - equity) / start, 0.0) if start > 0 else 0.0


HALTS = "beyond it the desk halts and closes everything"
BRINKS = (
    Brink("drawdown", "max_drawdown", _drawdown, HALTS, Lane.URGENT),
    Brink("daily loss", "halt_daily_loss", _day_loss, HALTS, Lane.URGENT),
    Brink("daily loss", "max_daily_loss", _day_loss, "beyond it nothing new is opened today", Lane.NOTICE),
)
"""The gravest first: of two that are crossed at once it is the headline."""


def _lost(record: CycleRecord) -> bool:
    """Whether the desk is worth less than at its last look, and so may have come nearer to a limit."""
    last = record.risk.last_equity
    return last > 0 and record.portfolio.equity < last


def _nearer(record: CycleRecord, journal: Journal, stage: render.Stage) -> Told | None:
    """The limits whose last fifth began with this look: known from its state before and after it, so told once."""
    if not _lost(record):
        return None
    crossed = [
        (brink, check) for brink in BRINKS if (check := _crossed(brink, record, stage.limits)) is not None
    ]
    if not crossed:
        return None
    lines = [
        f"Little room left: {check.name} {percent(check.value)}, {operator(check.operator)} {percent(check.limit)}"
        f" of equity ({check.key}), {points(check.headroom)} left; {brink.then}"
        for brink, check in crossed
    ]
    lines += [f"Equity {stage.money(record.portfolio.equity)}."]
    buttons = (Button("Risk", "/risk"), Button("Chart", "/chart risk"))
    return Told(crossed[0][0].lane, lines, record.id, "risk", buttons)


def _crossed(brink: Brink, record: CycleRecord, limits: Any) -> Check | None:
    """The limit as it stands after this look, where less than a fifth is left of it and there was more before.

    What has halted the desk already is told by its incident.
    """
    before, after = record.risk, record.result.risk
    limit = float(after.limits.get(brink.key, limits.get(brink.key, 0.0)))
    now = brink.use(after, float(record.portfolio.equity))
    was = (
        brink.use(before, float(before.last_equity))
        if brink.use is _drawdown or before.day == after.day
        else 0.0
    )
    check = at_most(brink.name, "", now, limit, "share", f"risk.{brink.key}")
    halted = not check.passed and brink.then == HALTS
    near = render.is_near(check) and was < render.NEAR * limit
    return check if near and not halted else None


# --- what can be pressed, and where things belong ---


def _why(about: str) -> Button:
    return Button("Why", f"/why {about}")


def _chart(about: str) -> Button:
    return Button("Chart", f"/chart {about}")


def _held(about: str, instrument: str) -> tuple[Button, ...]:
    """Of something that is held. Close asks whether it is meant before it closes."""
    return _why(about), _chart(instrument), Button("Close", f"/fx {instrument}")


def _cycle(journal: Journal, decision: str) -> CycleRecord | None:
    stored = journal.get(decision) if decision else None
    return stored.record if stored and isinstance(stored.record, CycleRecord) else None


def _position(journal: Journal, instrument: str) -> Position | None:
    """The position as the newest decision saw it."""
    found = journal.find(kind="cycle", instrument=instrument, limit=1)
    cycle = found[0].record if found else None
    return cycle.portfolio.position(instrument) if isinstance(cycle, CycleRecord) else None


def _entry_of(fill: Fill, journal: Journal) -> str:
    """The decision that opened what an exit closes a part of."""
    position = _position(journal, fill.instrument)
    return position.entry_decision if position else fill.decision


Tell = Callable[[Any, Journal, render.Stage], Told | None]
TABLE: dict[type[Any], Tell] = {
    FillRecord: _fill,
    TradeRecord: _trade,
    OrderRecord: _order,
    CommandRecord: _command,
    IncidentRecord: _incident,
    AccountRecord: _account,
    StartRecord: _start,
    ReportRecord: _report,
    CycleRecord: _nearer,
}
"""By kind of record, how it is told; what it gives nothing for is not told at all."""
