"""Which records alert, and how loudly. Everything else is there for who asks."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

from bot import render
from engine.core.domain.order import SENDING
from engine.core.domain.records import (
    CommandRecord,
    CycleRecord,
    FillRecord,
    IncidentRecord,
    OrderRecord,
    Record,
    StartRecord,
    TradeRecord,
)
from engine.ports import Journal


class Level(IntEnum):
    """URGENT is never held back; NOTICE is what trading looks like; INFO may be left out when there is much."""

    URGENT = 0
    NOTICE = 1
    INFO = 2


class Alert(NamedTuple):
    """One line for people, and the record it tells of."""

    level: Level
    text: str
    record: str


def alert(record: Record, journal: Journal) -> Alert | None:
    """The alert of a record; None for one that is not worth a message."""
    found = TABLE.get(type(record))
    if found is None:
        return None
    level, write = found
    text = write(record, journal)
    return Alert(level(record), text, record.id) if text else None


def may_alert(record: Record) -> bool:
    """Whether records of this kind are ever told: most are decisions, and none of those is."""
    return type(record) in TABLE


def _fill(record: FillRecord, journal: Journal) -> str:
    """A closing fill is told by its trade; one that left something open is told by itself."""
    if record.fill.leg != "e":
        closed = journal.find(kind="trade", client_id=record.fill.client_id, since=record.at, limit=1)
        return "" if closed else render.fill_line(record, None)
    stored = journal.get(record.fill.decision)
    return render.fill_line(
        record, stored.record if stored and isinstance(stored.record, CycleRecord) else None
    )


def _order(record: OrderRecord, journal: Journal) -> str:
    """Only what nobody planned: protection that ends with its trade is no news."""
    told = record.status in render.UNEXPECTED and record.reason != SENDING
    return render.order_line(record) if told else ""


def _trade(record: TradeRecord, journal: Journal) -> str:
    return render.trade_line(record)


def _command(record: CommandRecord, journal: Journal) -> str:
    return render.command_line(record)


def _incident(record: IncidentRecord, journal: Journal) -> str:
    return render.incident_line(record)


def _start(record: StartRecord, journal: Journal) -> str:
    return render.start_line(record)


def _always(level: Level) -> Callable[[Any], Level]:
    return lambda record: level


def _of_order(record: OrderRecord) -> Level:
    return Level.URGENT if record.request.reduce_only else Level.NOTICE


TABLE: dict[type[Any], tuple[Callable[[Any], Level], Callable[[Any, Journal], str]]] = {
    FillRecord: (_always(Level.NOTICE), _fill),
    TradeRecord: (_always(Level.NOTICE), _trade),
    OrderRecord: (_of_order, _order),
    CommandRecord: (_always(Level.URGENT), _command),
    IncidentRecord: (_always(Level.URGENT), _incident),
    StartRecord: (_always(Level.INFO), _start),
}
"""By kind of record: its level, and how it is told (empty: not at all)."""
