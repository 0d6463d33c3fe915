"""Somebody with write access to the store, to its anchors, and with time: whatever they change shows."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest

from engine.core.domain.errors import BadInput
from engine.core.domain.ids import epoch_ms
from engine.core.domain.records import Record, columns, encode
from engine.store.anchors import Anchors, Examined, examine, signed, trace_file, trace_line
from engine.store.audit import GENESIS, leaf, link
from engine.store.journal import SqlJournal
from engine.store.keys import PublicKey, signing_key
from tests import builders

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EDITS = 10_000
EVERY = 3
"""Records between two anchors."""

Row = tuple[Any, ...]
NAMES = (
    "sequence", "id", "at_ms", "kind", "instrument", "outcome", "refused_by", "decision", "client_id", "trade",
    "hash", "payload",
)  # fmt: skip
SEQUENCE, HASH, PAYLOAD = 0, 10, 11


def story(seed: int) -> list[Record]:
    """Two days of a desk: looks, orders, fills, a trade, a kill and what was said about it."""
    day, next_day = builders.CLOSE + seed * timedelta(days=7), builders.CLOSE + (seed * 7 + 1) * builders.DAY
    request = builders.entry_orders(at=day)[0]
    return [
        builders.start_record(day - timedelta(hours=1)),
        builders.cycle_record("refused", day - builders.DAY),
        builders.cycle_record("entered", day),
        builders.order_record(request, at=day + timedelta(seconds=1)),
        builders.fill(request, day + timedelta(hours=1)),
        builders.incident(day + timedelta(hours=2), name="latency"),
        builders.cycle_record("no_signal", next_day),
        builders.trade_record(id=f"tr-{seed}", at=next_day),
        builders.command_record(at=next_day, id=f"cmd-{seed}", key=str(seed)),
        builders.incident(next_day + timedelta(hours=2)),
        builders.incident(next_day + timedelta(hours=3), name="report", text="fills and ledger differ"),
        builders.command_record("resume", next_day + timedelta(hours=4), id=f"cmd-r{seed}", key=f"r{seed}"),
    ]


class Kept(NamedTuple):
    """What can be edited: the rows of the journal and the lines of its anchor file; and what was posted elsewhere."""

    rows: list[Row]
    lines: list[bytes]
    posted: tuple[str, ...] = ()


class Desk:
    """One journal with its anchors, that can be changed and put back a thousand times a second."""

    def __init__(self, folder: Path) -> None:
        self.store, self.file = folder / "desk.sqlite3", folder / "anchors.jsonl"
        self.anchors = Anchors("desk", [self.file], folder / "keys")
        self.key: PublicKey = self.anchors.key.public
        self.stranger = signing_key(folder / "stranger")
        with closing(SqlJournal(self.store)) as journal:
            for number, record in enumerate(story(0), start=1):
                journal.append_sync([record])
                if number % EVERY == 0:
                    wrong = self.anchors.write(journal.head(), NOW + timedelta(minutes=number))
                    assert wrong == []
            self.posted = self.anchors.checkpoint(journal.head(), NOW).text()
        self._database = sqlite3.connect(self.store, isolation_level=None)
        self._database.execute("PRAGMA synchronous=OFF")
        self._journal = SqlJournal(self.store, read_only=True)
        self.whole = Kept(
            self._database.execute(f"SELECT {', '.join(NAMES)} FROM records").fetchall(),
            self.file.read_bytes().splitlines(keepends=True),
        )
        self._lies = self.whole

    def lay(self, kept: Kept) -> None:
        """Make the store and the file hold this."""
        if kept.rows != self._lies.rows:
            self._database.execute("BEGIN")
            self._database.execute("DELETE FROM records")
            self._database.executemany(
                f"INSERT INTO records ({', '.join(NAMES)}) VALUES ({', '.join('?' * len(NAMES))})", kept.rows
            )
            self._database.execute("COMMIT")
        if kept.lines != self._lies.lines:
            self.file.write_bytes(b"".join(kept.lines))
        self._lies = kept

    def examine(self, posted: Sequence[str] = (), key: PublicKey | None = None) -> Examined:
        key = key or self.key
        traces = [trace_file(self.file, key), *(trace_line(each, key) for each in posted)]
        return examine(self._journal, traces)

    def close(self) -> None:
        self._journal.close()
        self._database.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


# --- edits of the journal -------------------------------------------------------------------------


def flipped(value: bytes, chance: Random, end: int = 0) -> bytes:
    edited = bytearray(value)
    edited[chance.randrange(len(value) - end)] ^= 1 << chance.randrange(8)
    return bytes(edited)


def row_with(row: Row, place: int, value: Any) -> Row:
    return (*row[:place], value, *row[place + 1 :])


def at_one(kept: Kept, chance: Random, change: Callable[[Row], Row]) -> Kept:
    rows = list(kept.rows)
    place = chance.randrange(len(rows))
    rows[place] = change(rows[place])
    return kept._replace(rows=rows)


def flip_in_payload(kept: Kept, chance: Random, desk: Desk) -> Kept:
    return at_one(kept, chance, lambda row: row_with(row, PAYLOAD, flipped(row[PAYLOAD], chance)))


def flip_in_hash(kept: Kept, chance: Random, desk: Desk) -> Kept:
    return at_one(kept, chance, lambda row: row_with(row, HASH, flipped(row[HASH], chance)))


def change_a_column(kept: Kept, chance: Random, desk: Desk) -> Kept:
    place = chance.randrange(1, HASH)

    def change(row: Row) -> Row:
        found = row[place]
        if isinstance(found, int):
            return row_with(row, place, found + chance.choice([-1, 1, 86_400_000]))
        return row_with(
            row, place, f"{found or ''}{chance.choice('xyz')}" if chance.random() < 0.9 or not found else ""
        )

    return at_one(kept, chance, change)


def renumbered(rows: Sequence[Row]) -> list[Row]:
    return [row_with(row, SEQUENCE, number) for number, row in enumerate(rows, start=1)]


def delete(kept: Kept, chance: Random, desk: Desk) -> Kept:
    rows = list(kept.rows)
    first = chance.randrange(len(rows))
    del rows[first : first + chance.randrange(1, 4)]
    return kept._replace(rows=renumbered(rows) if chance.random() < 0.5 else rows)


def insert(kept: Kept, chance: Random, desk: Desk) -> Kept:
    rows, new = list(kept.rows), list(chance.choice(kept.rows))
    new[1] = f"{new[1]}-new"
    rows.insert(chance.randrange(len(rows) + 1), tuple(new))
    return kept._replace(rows=rechained(rows) if chance.random() < 0.5 else renumbered(rows))


def swap(kept: Kept, chance: Random, desk: Desk) -> Kept:
    rows = list(kept.rows)
    one, other = chance.sample(range(len(rows)), 2)
    rows[one], rows[other] = rows[other], rows[one]
    return kept._replace(rows=rechained(rows) if chance.random() < 0.5 else renumbered(rows))


def renumber(kept: Kept, chance: Random, desk: Desk) -> Kept:
    taken = {row[SEQUENCE] for row in kept.rows}
    number = chance.choice([each for each in range(-9, 40) if each not in taken])
    return at_one(kept, chance, lambda row: row_with(row, SEQUENCE, number))


def rechained(rows: Sequence[Row]) -> list[Row]:
    """Numbers and hashes that fit again: what somebody does who knows how the chain is made."""
    done: list[Row] = []
    previous = GENESIS
    for number, row in enumerate(rows, start=1):
        previous = link(previous, number, leaf(row[PAYLOAD]))
        done.append(row_with(row_with(row, SEQUENCE, number), HASH, previous))
    return done


def row_of(record: Record) -> Row:
    filters = (value or None for value in columns(record))
    return (0, record.id, epoch_ms(record.at), *filters, b"", encode(record))


def rewrite_and_rechain(kept: Kept, chance: Random, desk: Desk) -> Kept:
    """Another amount, price or word in one record, its columns fitted to it, and every later hash made to fit."""
    place = chance.randrange(len(kept.rows))
    raw = msgspec.msgpack.decode(kept.rows[place][PAYLOAD])
    field = chance.choice(
        [name for name, value in raw.items() if name not in ("type", "kind", "at", "desk") and value]
    )
    raw[field] = another(raw[field], chance)
    try:
        record: Record = msgspec.convert(raw, Record, strict=False)
    except (msgspec.ValidationError, BadInput):
        return rewrite_and_rechain(kept, chance, desk)
    if encode(record) == kept.rows[place][PAYLOAD]:
        return rewrite_and_rechain(kept, chance, desk)
    rows = list(kept.rows)
    rows[place] = row_of(record)
    return kept._replace(rows=rechained(rows))


def another(value: Any, chance: Random) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + chance.choice([-1, 1])
        case str():
            return value + chance.choice("0123456789")
        case dict() if value:
            name = chance.choice(list(value))
            return value | {name: another(value[name], chance)}
        case list() if value:
            return value[:-1]
    return "x"


def truncate(kept: Kept, chance: Random, desk: Desk) -> Kept:
    return kept._replace(rows=kept.rows[: chance.randrange(len(kept.rows))])


def put_another_chain(kept: Kept, chance: Random, desk: Desk) -> Kept:
    """A whole, valid journal of a desk: another week, and at times longer than ours."""
    records = story(chance.randrange(1, 500)) + (story(1000) if chance.random() < 0.5 else [])
    return kept._replace(rows=rechained([row_of(each) for each in records]))


# --- edits of the anchors -------------------------------------------------------------------------


def forge(kept: Kept, chance: Random, desk: Desk) -> Kept:
    """An anchor of a rewritten journal, signed by another key; at times under our key's name."""
    changed = rewrite_and_rechain(kept, chance, desk)
    place = chance.randrange(len(kept.lines) + 1)
    sequence = chance.randrange(1, len(changed.rows) + 1)
    before = msgspec.json.decode(kept.lines[min(place, len(kept.lines) - 1)])["previous"]
    head = (sequence, changed.rows[sequence - 1][HASH].hex())
    checkpoint = signed(desk.stranger, "desk", head, NOW, before)
    if chance.random() < 0.5:
        checkpoint = msgspec.structs.replace(checkpoint, key=desk.key.name)
    lines = list(kept.lines)
    lines[place : place + chance.randrange(2)] = [checkpoint.line() + b"\n"]
    return Kept(changed.rows if chance.random() < 0.5 else kept.rows, lines)


def rewrite_journal_and_anchors(kept: Kept, chance: Random, desk: Desk) -> Kept:
    """Everything made to fit but the signatures, for which the key is needed."""
    changed = rewrite_and_rechain(kept, chance, desk)
    lines = []
    for line in kept.lines:
        raw = msgspec.json.decode(line)
        lines.append(
            msgspec.json.encode(raw | {"link": changed.rows[raw["sequence"] - 1][HASH].hex()}) + b"\n"
        )
    return Kept(changed.rows, lines)


def flip_in_an_anchor(kept: Kept, chance: Random, desk: Desk) -> Kept:
    """The newest line's end is left alone: without it the line is one that was never finished."""
    lines = list(kept.lines)
    place = chance.randrange(len(lines))
    lines[place] = flipped(lines[place], chance, end=place == len(lines) - 1)
    return kept._replace(lines=lines)


def remove_an_anchor(kept: Kept, chance: Random, desk: Desk) -> Kept:
    """The newest but one, say; to lose the newest is what a second file is for."""
    lines = list(kept.lines)
    first = chance.randrange(len(lines) - 1)
    del lines[first : chance.randrange(first + 1, len(lines))]
    return kept._replace(lines=lines)


def reorder_anchors(kept: Kept, chance: Random, desk: Desk) -> Kept:
    lines = list(kept.lines)
    one, other = chance.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    return kept._replace(lines=lines)


def double_an_anchor(kept: Kept, chance: Random, desk: Desk) -> Kept:
    lines = list(kept.lines)
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
    return kept._replace(lines=lines)


def put_words_between_anchors(kept: Kept, chance: Random, desk: Desk) -> Kept:
    lines = list(kept.lines)
    lines.insert(
        chance.randrange(len(lines) + 1), chance.choice([b"\n", b"{}\n", b"words\n", b"\xff\n", b"null\n"])
    )
    return kept._replace(lines=lines)


def cut_off_both_ends(kept: Kept, chance: Random, desk: Desk) -> Kept:
    """Journal and anchors back to an older state that fits: only what was posted elsewhere can show it."""
    anchored = chance.randrange(len(kept.lines))
    rows = kept.rows[: chance.randrange(anchored * EVERY, len(kept.rows))]
    return Kept(rows, kept.lines[: min(anchored, len(rows) // EVERY)], (desk.posted,))


KINDS: tuple[Callable[[Kept, Random, Desk], Kept], ...] = (
    flip_in_payload, flip_in_payload, flip_in_hash, change_a_column, change_a_column, delete, insert, swap, renumber,
    rewrite_and_rechain, rewrite_and_rechain, truncate, put_another_chain, forge, rewrite_journal_and_anchors,
    flip_in_an_anchor, remove_an_anchor, reorder_anchors, double_an_anchor, put_words_between_anchors,
    cut_off_both_ends,
)  # fmt: skip


@pytest.mark.slow
def test_k8_f6_i10_every_edit_of_the_journal_or_its_anchors_is_found(desk: Desk) -> None:
    chance = Random(22)
    tried, missed, by_the_chain = Counter[str](), [], 0
    assert desk.examine([desk.posted]).vouched == len(desk.whole.rows)
    while tried.total() < EDITS:
        kind = KINDS[tried.total() % len(KINDS)]
        edited = kind(desk.whole, chance, desk)
        assert edited != desk.whole, kind.__name__
        desk.lay(edited)
        found = desk.examine(edited.posted)
        tried[kind.__name__] += 1
        by_the_chain += not found.chain.chain_ok
        if found.chain.chain_ok and found.anchors_ok:
            missed.append((kind.__name__, tried.total()))
    desk.lay(desk.whole)

    print(f"\n{EDITS - len(missed):,} of {EDITS:,} edits found, {by_the_chain:,} of them by the chain alone")
    assert missed == []
    assert EDITS * 0.2 < by_the_chain < EDITS * 0.8, (
        "edits that one of the two finds alone are what this is about"
    )
    assert min(tried.values()) > EDITS // len(KINDS) - 1
    assert desk.examine().anchors_ok
    assert desk.examine().chain.chain_ok
