"""A claim is a sentence of the closed table with its slots bound to fields of records, and nothing else.

Whatever an answer says of the desk is a claim: the words come from `sentences.py`, every number and name from a
field that is read when the sentence is written, and read again when it is checked.

    slot        {role.path:unit}            a field of the record that `role` is bound to
                {role:unit}                 the field that `role` itself is bound to
                {formula(role.path, ...):unit}
                unit `*`                    the unit that stands beside the value in the record
    anchor      a record's id and the path inside it; or a tally: `trade?instrument=X&since=...&until=...`, which
                is every record that a search of the journal gives
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec

from engine.core.domain.records import Record, StartRecord, columns
from engine.ports import Journal
from explain.units import GAPS, NUMBERS, exact, write

MOST = {"cycle": 500, "trade": 2_000}
"""Records that one tally looks at, the newest ones; an answer says when there were more."""
ALL = "all instruments"
FIRST_MOMENT = timedelta(milliseconds=1)  # the bar that closes at midnight belongs to the day before


class Anchor(msgspec.Struct, frozen=True):
    """Where a role of a sentence is read from: a record (or a tally), and a path inside it."""

    record: str
    path: str = ""

    def at(self, path: str) -> "Anchor":
        """The same record, a place further inside."""
        return Anchor(self.record, f"{self.path}.{path}" if self.path else path)


class Claim(msgspec.Struct, frozen=True):
    """A sentence with its roles bound. `glue` is what stands between it and the claim before."""

    sentence: str
    roles: dict[str, Anchor]
    glue: str = "\n"


class Figure(msgspec.Struct, frozen=True):
    """A number or a date of an answer: as printed, as recorded, and where. A formula names its fields."""

    text: str
    value: float | int | str
    unit: str
    record: str
    field: str


class Sentence(NamedTuple):
    """A sentence of the table. `holds` is what must be true of the records for it to be said."""

    text: str
    holds: Callable[[Any], bool] = lambda _: True


class Said(NamedTuple):
    """A claim written out: its text, its figures, the records it rests on and the ids that it shows."""

    text: str
    figures: tuple[Figure, ...]
    records: tuple[str, ...]


class Untrue(Exception):
    """A claim that the records do not bear out; the message says how."""


class Period(NamedTuple):
    """Whole UTC days, both included. None is without end."""

    first: date
    last: date

    @property
    def since(self) -> datetime:
        """The first moment that belongs to it."""
        return datetime.combine(self.first, datetime.min.time(), UTC) + FIRST_MOMENT

    @property
    def until(self) -> datetime:
        """The first moment after it."""
        try:
            after = self.last + timedelta(days=1)
        except OverflowError:
            return datetime.max.replace(tzinfo=UTC)
        return datetime.combine(after, datetime.min.time(), UTC) + FIRST_MOMENT


class Tally(NamedTuple):
    """The records that a search gave, newest first; `whole` unless there were more than may be looked at."""

    records: tuple[Record, ...]
    asked: dict[str, str]
    whole: bool


def tally(kind: str, period: Period | None = None, **filters: str) -> Anchor:
    """An anchor over every record of `kind` in the period, with columns as `filters`."""
    asked = {name: value for name, value in filters.items() if value}
    if period is not None:
        asked |= {"since": period.first.isoformat(), "until": period.last.isoformat()}
    return Anchor(f"{kind}?{'&'.join(f'{name}={value}' for name, value in asked.items())}")


def narrowed(anchor: Anchor, **filters: str) -> Anchor:
    """The part of a tally for which the columns have these values."""
    joint = "" if anchor.record.endswith("?") else "&"
    return Anchor(f"{anchor.record}{joint}{'&'.join(f'{name}={value}' for name, value in filters.items())}")


class Reader:
    """Reads records for one answer, each only once. Checking an answer reads each cited record afresh.

    What a search gave is kept: the chain is append-only, and a year of decisions takes a while to decode.
    """

    def __init__(self, journal: Journal, searched: "Reader | None" = None) -> None:
        self.journal = journal
        self._records: dict[str, Record | None] = {}
        self._tallies: dict[str, Tally] = dict(searched._tallies) if searched else {}
        self._currency: str | None = None

    def record(self, record_id: str) -> Record | None:
        """The record of that id."""
        if record_id not in self._records:
            stored = self.journal.get(record_id)
            self._records[record_id] = stored.record if stored else None
        return self._records[record_id]

    def find(self, **asked: Any) -> tuple[Record, ...]:
        """A search of the journal, with its keywords."""
        return tuple([stored.record for stored in self.journal.find(**asked)])

    def newest(self, **asked: Any) -> Record | None:
        """The newest record of a search."""
        found = self.find(limit=1, **asked)
        return found[0] if found else None

    def tally(self, query: str) -> Tally:
        """The records of a tally."""
        if query not in self._tallies:
            self._tallies[query] = self._count(query)
        return self._tallies[query]

    def _count(self, query: str) -> Tally:
        kind, _, rest = query.partition("?")
        asked = dict(part.split("=", 1) for part in rest.split("&") if "=" in part)
        within = {name: value for name, value in asked.items() if name not in ("outcome", "refused_by")}
        narrow = {name: asked[name] for name in ("outcome", "refused_by") if name in asked}
        around = f"{kind}?{'&'.join(f'{k}={v}' for k, v in within.items())}"
        # a part of what has been read already is not read again; by itself an outcome has its index
        if narrow and (around in self._tallies or "refused_by" in narrow):
            whole = self.tally(around)
            return Tally(tuple(r for r in whole.records if _has(r, narrow)), asked, whole.whole)
        period = _period(asked)
        most = MOST.get(kind, 100)
        found = self.find(
            kind=kind,
            instrument=asked.get("instrument", ""),
            outcome=asked.get("outcome", ""),
            decision=asked.get("decision", ""),
            since=period.since if period else None,
            until=period.until if period else None,
            limit=most + 1,
        )
        return Tally(found[:most], asked, len(found) <= most)

    @property
    def currency(self) -> str:
        """What money is counted in, as the newest start of the desk says; empty when none is recorded."""
        if self._currency is None:
            start = self.newest(kind="start")
            desk = start.values.get("desk", {}) if isinstance(start, StartRecord) else {}
            self._currency = str(desk.get("currency", ""))
        return self._currency


def _has(record: Record, values: Mapping[Any, str]) -> bool:
    found = columns(record)
    return all(getattr(found, name) == value for name, value in values.items())


def _period(asked: Mapping[str, str]) -> Period | None:
    if "since" not in asked or "until" not in asked:
        return None
    return Period(date.fromisoformat(asked["since"]), date.fromisoformat(asked["until"]))


# --- paths and slots ---

_STEP = re.compile(r"\.?([A-Za-z_]\w*)|\[([^\]]*)\]", re.ASCII)
_SLOT = re.compile(r"\{([^{}:]+):([a-z_*]+)\}")
_CALL = re.compile(r"(\w+)\((.*)\)")


def resolve(value: Any, path: str) -> Any:
    """What stands at `path`: fields by name, items by number or key in brackets. Untrue when there is none.

    Only what is recorded can be reached: no properties, no methods.
    """
    place = 0
    while place < len(path):
        step = _STEP.match(path, place)
        if step is None:
            raise Untrue(f"{path} is not a path")
        place = step.end()
        try:
            if step[1] is None:
                value = value[int(step[2])] if isinstance(value, tuple) else value[step[2]]
            elif step[1] in getattr(value, "__struct_fields__", ()):
                value = getattr(value, step[1])
            else:
                raise Untrue(f"{path}: nothing is recorded under {step[1]}")
        except (LookupError, TypeError, ValueError):
            raise Untrue(f"{path}: nothing is recorded at {step[0]}") from None
    return value


def _signed(side: Any) -> int:
    return 1 if str(side) == "buy" else -1


FORMULAS: dict[str, Callable[..., Any]] = {
    "length": len,
    "passed": lambda checks: sum(check.passed for check in checks),
    "failed": lambda checks: sum(not check.passed for check in checks),
    "distance": lambda start, end: float(end / start - 1),
    "gap": lambda headroom: -headroom,
    "size": abs,
    "sum": lambda values: sum(values.values() if isinstance(values, dict) else values, Decimal(0)),
    "slippage": lambda side, price, reference, quantity: _signed(side) * (price - reference) * quantity,
    "profit": lambda close, average, quantity, fees: (close - average) * quantity - fees,
    "direction": lambda quantity: "long" if quantity > 0 else "short",
    "leaning": lambda score: "up" if score > 0 else "down" if score < 0 else "neither way",
    "count": len,
    "wins": lambda values: sum(value > 0 for value in values),
    "losses": lambda values: sum(value < 0 for value in values),
}
"""Every figure that is worked out from recorded ones."""

_OF_TALLY: dict[str, Callable[[Tally], Any]] = {
    "since": lambda t: date.fromisoformat(t.asked["since"]),
    "until": lambda t: date.fromisoformat(t.asked["until"]),
    "instrument": lambda t: t.asked.get("instrument", ALL),
    "outcome": lambda t: t.asked["outcome"],
    "refused_by": lambda t: t.asked["refused_by"],
}


class _Slot(NamedTuple):
    """A slot as read from the records."""

    value: Any
    record: str
    field: str


def say(claim: Claim, table: Mapping[str, Sentence], reader: Reader) -> Said:
    """Write the claim from what the records hold now. Untrue when they do not bear it out."""
    sentence = table.get(claim.sentence)
    if sentence is None:
        raise Untrue(f"{claim.sentence} is not a sentence of the table")
    bound = {role: _bind(anchor, reader) for role, anchor in claim.roles.items()}
    if not _holds(sentence, bound):
        raise Untrue(f"{claim.sentence} does not hold")
    figures: list[Figure] = []
    shown: list[str] = []

    def fill(match: re.Match[str]) -> str:
        slot = _read(match[1], claim.roles, bound)
        unit = _unit(match[1], match[2], claim.roles, bound)
        text = write(slot.value, unit)
        if unit in ("money", "gain") and reader.currency:
            text = f"{text} {reader.currency}"
        if unit == "id":
            shown.append(str(slot.value))
        elif unit in NUMBERS or (unit in ("words", "quoted") and any(c.isdigit() for c in text)):
            figures.append(Figure(text, _plain(slot.value), unit, slot.record, slot.field))
        return text

    text = _SLOT.sub(fill, sentence.text)
    return Said(text, tuple(figures), tuple(_rests_on(claim.roles.values(), shown, reader)))


def _holds(sentence: Sentence, bound: Mapping[str, Any]) -> bool:
    try:
        return sentence.holds(SimpleNamespace(**bound))
    except (AttributeError, TypeError, LookupError) as error:
        raise Untrue(f"the records have no {error}") from None


def _bind(anchor: Anchor, reader: Reader) -> Any:
    if "?" in anchor.record:
        return reader.tally(anchor.record)
    record = reader.record(anchor.record)
    if record is None:
        raise Untrue(f"there is no record {anchor.record}")
    return resolve(record, anchor.path)


def _read(expression: str, roles: Mapping[str, Anchor], bound: Mapping[str, Any]) -> _Slot:
    call = _CALL.fullmatch(expression)
    if call is None:
        return _field(expression, roles, bound)
    if call[1] == "key":
        anchor = roles[call[2]]
        return _Slot(anchor.path.rpartition("[")[2].rstrip("]"), anchor.record, anchor.path)
    parts = [_field(part.strip(), roles, bound) for part in call[2].split(",")]
    home = parts[0].record
    fields = ", ".join(part.field if part.record == home else f"{part.record}:{part.field}" for part in parts)
    formula = _OF_TALLY[call[1]] if call[1] in _OF_TALLY else FORMULAS[call[1]]
    values = [part.value for part in parts]
    if formula is len and isinstance(values[0], Tally):
        values = [values[0].records]
    try:
        return _Slot(formula(*values), home, f"{call[1]}({fields})")
    except (ArithmeticError, TypeError, LookupError):
        raise Untrue(f"{expression} cannot be worked out") from None


def _field(expression: str, roles: Mapping[str, Anchor], bound: Mapping[str, Any]) -> _Slot:
    role, _, path = expression.partition(".")
    if role not in roles:
        raise Untrue(f"{role} is not bound")
    anchor, value = roles[role], bound[role]
    if isinstance(value, Tally):
        values = [resolve(record, path) for record in value.records] if path else value
        return _Slot(values, anchor.record, path)
    return _Slot(resolve(value, path), anchor.record, anchor.at(path).path if path else anchor.path)


def _unit(expression: str, unit: str, roles: Mapping[str, Anchor], bound: Mapping[str, Any]) -> str:
    """`*` is the recorded unit of the check that the slot belongs to, `*gap` that of a difference."""
    if not unit.startswith("*"):
        return unit
    call = _CALL.fullmatch(expression)
    role = (call[2] if call else expression).partition(".")[0]
    recorded = str(resolve(bound[role], "unit"))
    return GAPS.get(recorded, recorded) if unit == "*gap" else recorded


def _rests_on(anchors: Iterable[Anchor], shown: Sequence[str], reader: Reader) -> list[str]:
    """Ids of all records that a claim was made from; of a long tally the newest twenty."""
    found: list[str] = []
    for anchor in anchors:
        if "?" in anchor.record:
            found += [record.id for record in reader.tally(anchor.record).records[:20]]
        else:
            found.append(anchor.record)
    return found + list(shown)


def _plain(value: Any) -> float | int | str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool | str):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    number = exact(value)
    return int(number) if number == number.to_integral_value() and isinstance(value, int) else float(number)


def compose(claims: Sequence[Claim], table: Mapping[str, Sentence], reader: Reader) -> Said:
    """All claims, one after the other, as one text."""
    said = [say(claim, table, reader) for claim in claims]
    text = "".join(
        part.text if not place else claim.glue + part.text
        for place, (claim, part) in enumerate(zip(claims, said, strict=True))
    )
    figures = [figure for part in said for figure in part.figures]
    return Said(text, tuple(figures), tuple(dict.fromkeys(r for part in said for r in part.records)))
