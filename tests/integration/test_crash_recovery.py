"""Killed at every step, and killed for good: no order twice, no fill twice, no bar twice, nothing forgotten.

Three attacks. A run in this process that dies before or after every single call to a port, over and over. The same
with a venue that lives on, as a real one does. And real processes that are killed with -9 whenever it pleases chance.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from configs.schema.settings import Settings
from engine.core.accounting.fold import DeskState
from engine.core.domain.commands import Command, CommandKind
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.market import Bar
from engine.core.domain.order import Order, OrderRequest, OrderStatus, OrderUpdate, Submission
from engine.core.domain.records import (
    CommandRecord,
    CycleRecord,
    FillRecord,
    IncidentRecord,
    OrderRecord,
    Record,
)
from engine.core.domain.risk import TradingState
from engine.core.domain.venue import Sighting, Traits
from engine.core.execution.book import Book
from engine.core.pipeline import NEED
from engine.data.replay import ReplayFeed
from engine.ports import HaltRow, StoredRecord
from engine.store.journal import SqlJournal
from engine.store.state import SqlStateStore
from engine.venues.paper import PaperVenue
from jobs import bootstrap
from jobs.bootstrap import Engine, open_engine
from jobs.clocks import ReplayClock
from jobs.home import Home
from jobs.reporter import Reporter
from tests.desks import Audit, audit, brisk, opened_journal, profile, trending_bars, unprotected, write_csv

MOMENTS = 8
SEED = 3
"""This walk makes the desk enter, be stopped out and take profit within a few days."""


class CrashNow(BaseException):
    """The process is gone: nobody catches this, and nothing after it happens."""


class Seams:
    """Every call to a port passes here twice, before and after; at passage `die_at` the process dies."""

    def __init__(self, die_at: int | None) -> None:
        self._die_at = die_at
        self.passed: list[str] = []

    def __call__(self, name: str) -> None:
        self.passed.append(name)
        if self._die_at is not None and len(self.passed) > self._die_at:
            raise CrashNow(f"{len(self.passed)}: {name}")


def mortal(seams: Seams, exchange: "Exchange | None") -> dict[str, Any]:
    """The classes of the desk's outside, with seams around each call."""

    class MortalJournal(SqlJournal):
        async def append(self, records: Sequence[Record]) -> tuple[StoredRecord, ...]:
            names = "+".join(sorted({type(record).__name__ for record in records}))
            seams(f"before writing {names}")
            stored = await super().append(records)
            seams(f"after writing {names}")
            return stored

    class MortalStore(SqlStateStore):
        def halt(self) -> HaltRow:
            seams("before reading the halt")
            return super().halt()

        def set_halt(
            self, state: TradingState, by: str, reason: str, at: datetime, after: int | None = None
        ) -> HaltRow:
            seams("before the halt row")
            row = super().set_halt(state, by, reason, at, after)
            seams("after the halt row")
            return row

    venue_class: Any = PaperVenue if exchange is None else exchange.connection

    class MortalVenue(venue_class):
        async def submit(self, order: OrderRequest) -> Submission:
            seams("before a submit")
            answer: Submission = await super().submit(order)
            seams("after a submit")
            return answer

        async def cancel(self, order: OrderRequest) -> Submission:
            seams("before a cancel")
            answer: Submission = await super().cancel(order)
            seams("after a cancel")
            return answer

        async def lookup(self, order: OrderRequest) -> Sighting | None:
            seams("before a lookup")
            seen: Sighting | None = await super().lookup(order)
            return seen

        async def updates(self, bars: Sequence[Bar]) -> Sequence[OrderUpdate]:
            seams("before the updates")
            told: Sequence[OrderUpdate] = await super().updates(bars)
            seams("after the updates")
            return told

    return {"SqlJournal": MortalJournal, "SqlStateStore": MortalStore, "PaperVenue": MortalVenue}


class Exchange:
    """A venue that goes on living when the desk dies: it keeps its orders, and tells again what was not heard."""

    def __init__(self, settings: Settings) -> None:
        self.book = Book(settings)
        self.accepted: list[str] = []
        self.told: list[OrderUpdate] = []
        self.closed: dict[str, Order] = {}
        self.settled: dict[str, datetime] = {}

    @property
    def connection(self) -> type:
        """A class that bootstrap can take for the paper venue: each start is a new connection to this exchange."""
        exchange = self

        class Connection:
            def __init__(self, settings: Settings) -> None:
                self._heard = 0

            def restore(self, state: DeskState) -> None:
                """What the journal knows was heard; the rest is told again."""
                self._heard = exchange.known_to(state)

            async def prepare(self, order: OrderRequest) -> None:
                """Nothing has to be fetched."""

            async def submit(self, order: OrderRequest) -> Submission:
                exchange.accepted.append(order.client_id)
                exchange.book.place(order)
                return Submission(OrderStatus.ACCEPTED)

            traits = Traits()

            async def cancel(self, order: OrderRequest) -> Submission:
                ended = exchange.book.cancel(order.client_id, "cancelled")
                exchange.note(list(ended[1:]))
                return Submission(OrderStatus.CANCELLED if ended else OrderStatus.REFUSED)

            async def lookup(self, order: OrderRequest) -> Sighting | None:
                known = exchange.book.get(order.client_id) or exchange.closed.get(order.client_id)
                return Sighting(known.status, known.filled, ()) if known else None

            async def updates(self, bars: Sequence[Bar]) -> Sequence[OrderUpdate]:
                for bar in bars:
                    if bar.end > exchange.settled.get(bar.instrument, from_epoch_ms(0)):
                        exchange.settled[bar.instrument] = bar.end
                        exchange.note(list(exchange.book.on_bar(bar)))
                new = exchange.told[self._heard :]
                self._heard = len(exchange.told)
                return new

        return Connection

    def note(self, updates: list[OrderUpdate]) -> None:
        """Remember what happened, for whoever asks."""
        self.told += updates
        for update in updates:
            if not update.order.status.open:
                self.closed[update.order.request.client_id] = update.order

    def known_to(self, state: DeskState) -> int:
        """How much of what was told is in the state: cash tells exactly, for every fill moves it."""
        cash, cash_by_count = self.started_with, []
        for update in self.told:
            if update.fill is not None:
                fill = update.fill
                cash -= fill.side.sign * fill.quantity * fill.price + fill.fee
            cash_by_count.append(cash)
        known = [number for number, cash in enumerate(cash_by_count, start=1) if cash == state.portfolio.cash]
        return max(known, default=0)

    @property
    def started_with(self) -> Any:
        """The account's first balance."""
        return Settings().desk.cash


class Life:
    """One desk over several lives in one home: run, die at a passage, run again to the end."""

    def __init__(
        self,
        home: Path,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
        *,
        commands: dict[int, Command] | None = None,
        exchange: Exchange | None = None,
    ) -> None:
        self.home = home
        self.settings = settings
        self._monkeypatch = monkeypatch
        self._commands = commands or {}
        self._exchange = exchange
        names = [instrument.name for instrument in settings.desk.instruments]
        size = NEED + MOMENTS + 4
        self._feed = ReplayFeed({name: trending_bars(SEED + n, size) for n, name in enumerate(names)})
        ends = trending_bars(SEED, size).end_ms[-MOMENTS:]
        self.times = tuple(from_epoch_ms(int(end)) for end in ends)
        self._before = from_epoch_ms(int(trending_bars(SEED, size).end_ms[-MOMENTS - 1]))

    async def run(self, die_at: int | None = None) -> Seams:
        """Start, go on, and die at passage `die_at` or end with the data."""
        seams = Seams(die_at)
        opened: list[Any] = []
        for name, made in mortal(seams, self._exchange).items():

            def remember(*args: Any, _made: Any = made, **kwargs: Any) -> Any:
                opened.append(_made(*args, **kwargs))
                return opened[-1]

            self._monkeypatch.setattr(bootstrap, name, remember)
        try:
            await self._live()
        except CrashNow:
            pass
        finally:
            for each in opened:
                if hasattr(each, "close"):
                    each.close()
        return seams

    async def _live(self) -> None:
        clock = ReplayClock(self._before)
        lived: list[Engine] = []

        async def pace(moment: datetime) -> None:
            clock.turn(moment)

        async def after(records: Sequence[CycleRecord]) -> None:
            await reporter.after(records)
            await self._ask(lived[0], records[0].at)

        engine = await open_engine(
            Home(self.home),
            self.settings,
            self._feed,
            clock,
            pace=pace,
            after=after,
            first_bar=self._before,
            durability="NORMAL",
        )
        lived.append(engine)
        reporter = Reporter(engine, self.settings.desk.cash, lambda _: None)
        await reporter.catch_up()
        if (last := max(engine.writer.state.last_bars.values(), default=None)) is not None:
            clock.turn(last)
            for moment in self.times[: self.times.index(last) + 1]:
                await self._ask(engine, moment)  # people ask again when they got no answer
        await engine.loop.run()
        await reporter.finish()
        await self._nothing_hangs(engine)

    async def _ask(self, engine: Engine, moment: datetime) -> None:
        command = self._commands.get(self.times.index(moment))
        if command is not None:
            await engine.desk.submit(command)

    async def _nothing_hangs(self, engine: Engine) -> None:
        """Every order that the desk thinks is open is open at the venue."""
        venue = engine.loop._parts.venue
        for order in engine.writer.state.portfolio.orders:
            known = await venue.lookup(order.request)
            assert known is not None, f"{order.request.client_id} is open only in the books"
            assert known.status.open, f"{order.request.client_id} is {known.status} at the venue"

    def look(self) -> Audit:
        """The audit of the home, with every bar decided once."""
        journal = opened_journal(self.home)
        try:
            found = audit(journal, self.settings)
        finally:
            journal.close()
        for name in found.cycles:
            assert found.cycles[name] == self.times, f"{name}: a bar was missed or decided twice"
        assert unprotected(found.state) == []
        store = SqlStateStore(self.home / "desk.sqlite3", read_only=True)
        assert store.halt().state is found.state.risk.trading, "the halt row and the journal disagree"
        store.close()
        reports = [report.day for report in found.reports]
        assert len(reports) == len(set(reports)) == MOMENTS
        return found


def command(kind: CommandKind, key: str) -> Command:
    return Command(kind, by="me", source="test", key=key, reason="because")


async def sweep(
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    check: Callable[[Audit, Audit], None],
    *,
    commands: dict[int, Command] | None = None,
    every: int = 1,
    exchange: bool = False,
) -> tuple[int, Audit]:
    """Die once at every passage of a whole run, go on to the end each time, and look. How many deaths there were."""

    def life(name: str) -> Life:
        outside = Exchange(settings) if exchange else None
        return Life(tmp_path / name, settings, monkeypatch, commands=commands, exchange=outside)

    whole = life("whole")
    passages = (await whole.run()).passed
    expected = whole.look()
    for die_at in range(0, len(passages), every):
        mortal_life = life(f"at-{die_at}")
        died = await mortal_life.run(die_at)
        try:
            await mortal_life.run()
            check(mortal_life.look(), expected)
        except AssertionError as error:
            raise AssertionError(f"killed at passage {die_at} ({died.passed[-1]}): {error}") from error
    return len(range(0, len(passages), every)), expected


def same_unless_an_entry_expired(found: Audit, expected: Audit) -> None:
    """A crash loses at most the entries of the one moment that were written but not sent."""
    assert len({client_id[:11] for client_id in found.expired}) <= 1
    if not found.expired:
        assert found.story == expected.story
        assert found.state.portfolio.cash == expected.state.portfolio.cash
        assert found.state.risk == expected.state.risk


@pytest.mark.slow
async def test_a_crash_at_any_passage_of_a_run_loses_nothing_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expiries: list[int] = []

    def check(found: Audit, expected: Audit) -> None:
        same_unless_an_entry_expired(found, expected)
        expiries.append(len(found.expired))

    deaths, expected = await sweep(tmp_path, brisk("AAA"), monkeypatch, check)

    assert deaths > 80
    assert {trade.exit_reason for trade in expected.trades} >= {"stop", "target"}
    assert 0 < sum(expiries) < deaths


@pytest.mark.slow
async def test_a_crash_between_two_instruments_of_one_moment_keeps_them_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, expected = await sweep(
        tmp_path, brisk("AAA", "BBB"), monkeypatch, same_unless_an_entry_expired, every=3
    )

    assert {trade.instrument for trade in expected.trades} == {"AAA", "BBB"}


@pytest.mark.slow
async def test_partly_filled_orders_survive_a_crash_at_any_passage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = brisk("AAA", participation=0.000004)
    _, expected = await sweep(tmp_path, settings, monkeypatch, same_unless_an_entry_expired, every=2)

    orders = [fill.client_id for fill in expected.fills]
    assert len(orders) > len(set(orders)), "no order was filled in parts: this test shows nothing"


@pytest.mark.slow
async def test_a_kill_a_flatten_and_a_resume_survive_a_crash_at_any_passage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = {
        1: command(CommandKind.KILL, "1"),
        3: command(CommandKind.RESUME, "2"),
        4: command(CommandKind.RESUME, "3"),
        6: command(CommandKind.FLATTEN, "4"),
    }

    def check(found: Audit, expected: Audit) -> None:
        once = [(record.source, record.key) for record in found.commands]
        assert len(once) == len(set(once)), "a command was carried out twice"
        assert found.state.risk.trading is TradingState.HALTED
        assert found.state.risk.flatten
        assert found.state.portfolio.positions == (), "the flatten was forgotten"
        assert found.state.portfolio.orders == ()
        halted = False
        for record in found.records:
            if isinstance(record, CommandRecord) and record.risk is not None:
                halted = record.risk.trading is not TradingState.ACTIVE
            elif isinstance(record, OrderRecord) and record.status is OrderStatus.ACCEPTED:
                assert not halted or record.request.reduce_only, f"{record.id} added risk in a halt"

    _, expected = await sweep(tmp_path, brisk("AAA"), monkeypatch, check, commands=commands)

    assert [record.kind for record in expected.commands][:4] == ["kill", "resume", "resume", "flatten"]


@pytest.mark.slow
async def test_a_breaker_that_trips_survives_a_crash_at_any_passage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = brisk("AAA", max_drawdown=0.001)

    def check(found: Audit, expected: Audit) -> None:
        decisions = [record for record in found.records if isinstance(record, CycleRecord)]
        tripped = any(decision.result.risk.trading is TradingState.HALTED for decision in decisions)
        assert tripped or found.expired  # without the entry that was lost there may be no loss
        incidents = [record.name for record in found.records if isinstance(record, IncidentRecord)]
        assert incidents == ["breaker"] * tripped
        assert (found.state.risk.trading is TradingState.HALTED) is tripped, "the breaker was forgotten"
        assert not tripped or not found.state.portfolio.positions

    _, expected = await sweep(tmp_path, settings, monkeypatch, check)

    assert expected.state.risk.trading is TradingState.HALTED


@pytest.mark.slow
async def test_with_a_venue_that_lives_on_a_crash_at_any_passage_sends_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here an order may be at the venue without an answer in the journal: it is looked up and taken over."""
    exchanges: list[Exchange] = []
    made = Exchange.__init__

    def remember(self: Exchange, settings: Settings) -> None:
        made(self, settings)
        exchanges.append(self)

    monkeypatch.setattr(Exchange, "__init__", remember)
    adopted: list[int] = []

    def check(found: Audit, expected: Audit) -> None:
        same_unless_an_entry_expired(found, expected)
        accepted = exchanges[-1].accepted
        assert len(accepted) == len(set(accepted)), "an order was sent twice"
        truth = {name: quantity for name, quantity in exchanges[-1].book._positions.items() if quantity}
        assert {p.instrument: p.quantity for p in found.state.portfolio.positions} == truth
        adopted.append(sum(order.reason == "found at the venue after the restart" for order in found.orders))

    await sweep(tmp_path, brisk("AAA"), monkeypatch, check, exchange=True)

    assert sum(adopted) > 0


async def test_dying_ten_times_in_a_row_while_recovering_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Life(tmp_path / "whole", brisk("AAA"), monkeypatch)
    passages = (await whole.run()).passed
    first_send = passages.index("before a submit")
    life = Life(tmp_path / "often", brisk("AAA"), monkeypatch)
    await life.run(first_send)
    for again in range(10):
        await life.run(again % 6)
    await life.run()

    found = life.look()
    assert len(found.expired) == 1
    assert sum(isinstance(record, FillRecord) for record in found.records) > 0


# --- real processes -------------------------------------------------------------------------------


class Desk:
    """`whydesk run --replay` in processes of its own."""

    def __init__(self, folder: Path, settings: Settings, bars: int) -> None:
        self.folder = folder
        self.settings = settings
        self._profile = profile(folder / "profile.yaml", settings)
        names = [instrument.name for instrument in settings.desk.instruments]
        self._files = [
            write_csv(folder / f"{name}.csv", trending_bars(SEED + n, bars)) for n, name in enumerate(names)
        ]

    def start(self, home: str) -> subprocess.Popen[str]:
        files = [part for file in self._files for part in ("--replay", str(file))]
        return subprocess.Popen(
            [sys.executable, "-m", "jobs", "run", *files, "--home", str(self.folder / home), "--profile",
             str(self._profile), "--no-chat", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip

    def finish(self, home: str) -> dict[str, Any]:
        process = self.start(home)
        out, _ = process.communicate(timeout=100)
        assert process.returncode == 0
        done: dict[str, Any] = json.loads(out)
        return done

    def kill_at(self, home: str, records: int) -> bool:
        """Start, wait until the journal holds so many records, and kill -9; False when it ended before that."""
        process = self.start(home)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if self.records(home) >= records:
                process.send_signal(signal.SIGKILL)
                break
        process.communicate(timeout=60)
        return process.returncode == -signal.SIGKILL

    def records(self, home: str) -> int:
        with contextlib.suppress(Exception):  # not there yet, or half made
            journal = opened_journal(self.folder / home)
            try:
                return journal.count()
            finally:
                journal.close()
        return 0

    def audit(self, home: str) -> Audit:
        journal = opened_journal(self.folder / home)
        try:
            return audit(journal, self.settings)
        finally:
            journal.close()


@pytest.mark.slow
def test_processes_that_are_killed_again_and_again_end_where_one_that_lived_does(tmp_path: Path) -> None:
    desk = Desk(tmp_path, brisk("AAA", "BBB"), NEED + 120)
    calm = desk.finish("calm")
    whole = desk.audit("calm")
    chance = Random(20)
    moments = sorted(chance.sample(range(10, calm["records"]), 10))

    kills = sum(desk.kill_at("stormy", records) for records in moments)
    done = desk.finish("stormy")

    assert kills >= 8
    found = desk.audit("stormy")
    assert found.cycles == whole.cycles
    assert len(found.cycles["AAA"]) == NEED + 120
    assert unprotected(found.state) == []
    assert sorted(report.day for report in found.reports) == sorted(report.day for report in whole.reports)
    assert done["status"]["last_bar"] == calm["status"]["last_bar"]
    assert len(found.trades) > 20
    if not found.expired:
        assert found.story == whole.story
    else:  # until the first entry that was lost, nothing differs
        lost = min(record.at for record in found.orders if record.request.client_id in found.expired)
        assert [t for t in found.story if t[1] < str(lost)] == [t for t in whole.story if t[1] < str(lost)]
