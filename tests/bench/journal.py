"""What a durable record costs: `python -m tests.bench.journal [folder]`.

A flush costs what the disk makes of it, from a twentieth of a millisecond to several, and on a virtual machine
it depends on whether the core is awake. So a commit is measured against a raw write and flush of the same size,
taken in turn with it, and only their ratio says something about the journal.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from engine.core.domain.market import Bar
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import (
    CycleRecord,
    CycleResult,
    EnsembleState,
    IncidentRecord,
    Observation,
    OutcomeKind,
    Proposal,
    encode,
)
from engine.core.domain.risk import Check, Review, RiskState
from engine.store.anchors import Anchors, examine, trace_file
from engine.store.journal import SqlJournal, _entry

START = datetime(2026, 1, 1, tzinfo=UTC)
WRITERS = 64


def cycle(number: int, size: int = 4096) -> CycleRecord:
    """A refused look at an instrument: of all records those fill the most columns. About `size` bytes."""
    at, name = START + timedelta(seconds=number), f"INSTRUMENT{number % 10}"
    price = Decimal("61240.5")
    bar = Bar(name, at, price, price, price, price, Decimal(12))
    result = CycleResult(
        outcome=OutcomeKind.REFUSED,
        signals=(),
        forecast=None,
        proposal=Proposal("enter", None, "signal"),
        size=None,
        exits=(),
        review=Review(tuple(_check(each) for each in range(8)), None, "edge"),
        refused_by="edge",
        nearest=None,
        orders=(),
        ensemble=EnsembleState(),
        risk=RiskState(),
    )
    record = CycleRecord(
        id=f"d-{number:09d}-8d8e0a5d",
        at=at,
        cycle=f"c-{number:09d}-1a2b",
        instrument=name,
        observation=Observation(name, bar, None, (), 500, 500, "v1", {}, None),
        predictions=(),
        portfolio=Portfolio(cash=Decimal(100_000)),
        ensemble=EnsembleState(),
        risk=RiskState(),
        settings_hash="0123456789abcdef",
        code_version="",
        seed=number,
        result=result,
    )
    return msgspec.structs.replace(record, code_version="v" * max(0, size - len(encode(record))))


def _check(number: int) -> Check:
    return Check(
        f"check {number}", "position", 0.5, 0.4, "<=", number > 0, -0.1, "share", f"risk.check_{number}"
    )


class Raw:
    """The least a durable write can cost: 4 KB into a file that has its room, and a flush."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "raw", os.O_RDWR | os.O_CREAT)
        os.pwrite(self._file, b"\0" * (8 << 20), 0)
        os.fsync(self._file)
        self._at = 0

    def write(self, payload: bytes) -> None:
        """Once around the file, as a log that is used again and again."""
        os.pwrite(self._file, payload, self._at)
        os.fdatasync(self._file)
        self._at = (self._at + 4096) % (8 << 20)


def commits(folder: Path, count: int = 1000) -> dict[str, float]:
    """One record a commit, in turn with the raw write: the transaction alone, and with encoding and hashing."""
    journal, raw = SqlJournal(folder / "commit.db"), Raw(folder)
    waits: dict[str, list[float]] = {"raw": [], "commit": [], "append": []}

    def timed(way: str, act: Callable[[], object]) -> None:
        begin = time.perf_counter()
        act()
        waits[way].append(time.perf_counter() - begin)

    for number in range(count):
        whole, prepared = cycle(2 * number), _entry(cycle(2 * number + 1))
        timed("raw", lambda: raw.write(prepared.payload[:4096]))  # noqa: B023 - called at once
        timed("append", lambda: journal.append_sync([whole]))  # noqa: B023
        timed("raw", lambda: raw.write(prepared.payload[:4096]))  # noqa: B023
        timed("commit", lambda: journal._commit([[prepared]]))  # noqa: B023
    assert journal.count() == 2 * count
    journal.close()
    figures = {f"{way}_p50_us": statistics.median(spent) * 1e6 for way, spent in waits.items()}
    for way in ("commit", "append"):
        figures[f"{way}_ratio"] = figures[f"{way}_p50_us"] / figures["raw_p50_us"]
    return figures


async def grouped(folder: Path, writers: int, each: int) -> float:
    """Durable records a second with `writers` coroutines that each wait for their own record."""
    journal = SqlJournal(folder / f"group{writers}.db")
    records = [[cycle(writer * each + number) for number in range(each)] for writer in range(writers)]

    async def write(own: list[CycleRecord]) -> None:
        for record in own:
            await journal.append([record])

    begin = time.perf_counter()
    await asyncio.gather(*map(write, records))
    seconds = time.perf_counter() - begin
    journal.close()
    return writers * each / seconds


def single(folder: Path, synchronous: Literal["FULL", "NORMAL"], count: int = 2000) -> float:
    """Median microseconds of CPU of one record a commit."""
    journal = SqlJournal(folder / f"{synchronous}.db", synchronous=synchronous)
    records = [cycle(number) for number in range(count)]
    begin = time.process_time()
    for record in records:
        journal.append_sync([record])
    spent = time.process_time() - begin
    journal.close()
    return spent / count * 1e6


def incident(number: int, size: int) -> IncidentRecord:
    """A record without much structure, of about `size` bytes."""
    at = START + timedelta(seconds=number)
    return IncidentRecord(f"i-{number:09d}", at, "bench", "x" * max(0, size - 120), {}, None)


def bulk(folder: Path, size: int, count: int) -> tuple[float, float]:
    """Records a second of CPU: written in bulk, then verified."""
    journal = SqlJournal(folder / f"bulk{size}.db")
    records = [incident(number, size) for number in range(count)]
    begin = time.process_time()
    journal.append_many(records)
    written = time.process_time()
    seen = journal.verify()
    verified = time.process_time()
    assert seen.chain_ok, seen.reason
    assert seen.records == count
    journal.close()
    return count / (written - begin), count / (verified - written)


def anchored(folder: Path, count: int, every: int) -> tuple[float, float]:
    """Of a journal with an anchor every few records: records a second of CPU verified and held against their anchors;
    anchors a second whose signature and chain were checked.
    """
    journal = SqlJournal(folder / "anchored.db")
    journal.append_many(incident(number, 1024) for number in range(count))
    anchors = Anchors("bench", [folder / "anchors.jsonl"], folder / "keys")
    for number in range(every, count + 1, every):
        assert anchors.write((number, journal.link(number)), START) == []
    begin = time.process_time()
    trace = trace_file(anchors.paths[0], anchors.key.public)
    traced = time.process_time()
    seen = examine(journal, [trace], deep=False)
    examined = time.process_time()
    assert (seen.anchors_ok, seen.vouched, seen.vouching) == (True, count, count // every)
    journal.close()
    return count / (examined - begin), seen.vouching / (traced - begin)


def main(folder: Path) -> dict[str, float]:
    """All figures, by name."""
    figures = commits(folder)
    one = asyncio.run(grouped(folder, 1, 500))
    many = asyncio.run(grouped(folder, WRITERS, 100))
    figures |= {"group_1_per_s": one, "group_64_per_s": many, "group_gain": many / one}
    figures["normal_commit_cpu_us"] = single(folder, "NORMAL")
    figures["full_commit_cpu_us"] = single(folder, "FULL")
    for size in (1024, 4096):
        written, verified = bulk(folder, size, 20_000)
        figures |= {f"bulk_{size}_per_cpu_s": written, f"verify_{size}_per_cpu_s": verified}
    figures["verify_anchored_per_cpu_s"], figures["anchors_per_cpu_s"] = anchored(folder, 40_000, 100)
    return figures


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as place:
        found = {name: round(value, 2) for name, value in main(Path(place)).items()}
    for name, value in found.items():
        print(f"{name:28} {value:14,.2f}")
    print(json.dumps(found))
