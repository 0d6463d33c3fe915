"""`whydesk run --replay`: the desk as it runs live, on recorded data, at any speed."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from bot.app import Bot
from bot.chat.log import LogChat
from configs.schema.desk import TIMEFRAME_MS
from configs.schema.settings import Settings
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.records import CycleRecord, Record
from engine.data.replay import ReplayFeed
from engine.ports import Clock
from engine.store.lease import Sole, SqlLease, lease
from engine.store.lock import hold
from jobs.anchoring import Anchoring, anchors_of
from jobs.bootstrap import Engine, open_engine
from jobs.chats import Chats, chats_of, ready, talks
from jobs.clocks import ReplayClock, WallClock
from jobs.console import bot_over
from jobs.daily_report import DayReport
from jobs.heartbeat import Heart, heartbeat
from jobs.home import Home
from jobs.output import say, show
from jobs.pictures import Pictures
from jobs.reporter import Reporter, Tell
from jobs.scheduler import ReplayPace
from jobs.switches import lines
from jobs.universe import Universe, moment, open_files


def main(
    root: Path,
    settings: Settings,
    paths: Sequence[Path],
    speed: float,
    symbol: str,
    start: str,
    stop: str,
    *,
    chat: bool,
    as_json: bool,
    standby: bool = False,
) -> None:
    """Open the files, run, say what was done."""
    ready(settings)
    universe = open_files(
        paths,
        settings,
        WallClock().now(),
        symbol=symbol,
        start=moment(start) if start else None,
        stop=moment(stop) if stop else None,
    )
    home = Home(root)
    with acting(home, universe.settings, standby=standby) as held, heartbeat(home.root) as heart:
        result = asyncio.run(run_replay(home, universe, speed, tell, held, heart, chat=chat))
    show(as_json, result, lines_of(result))


@contextlib.contextmanager
def acting(home: Home, settings: Settings, *, standby: bool) -> Iterator[SqlLease | Sole]:
    """Be the one process that acts for this home and this desk, or wait until the other one is gone.

    Before there is a loop: who waits here can be interrupted.
    """
    waiting = _standing_by if standby else None
    with (
        hold(home.root, WallClock().now(), waiting),
        lease(home.store(settings), settings.desk.name, waiting) as held,
    ):
        yield held


def _standing_by(holder: str) -> None:
    say(f"standing by: {holder}")


def tell(report: DayReport) -> None:
    """The day's first lines, on the side: stdout is for the result."""
    say(f"{report.day}: {report.lines[1]}; {report.lines[3]}")


def lines_of(done: dict[str, Any]) -> list[str]:
    """What was done, for people."""
    recovered = f", {done['recovered_records']} read to recover" if done["recovered_records"] else ""
    first = f"{done['cycles']} cycles, {done['records']} records{recovered}, {done['reports']} daily reports"
    return [first, *lines(done["status"])]


async def run_replay(
    home: Home,
    universe: Universe,
    speed: float,
    tell: Tell,
    held: SqlLease | Sole,
    heart: Heart,
    *,
    chat: bool = False,
) -> dict[str, Any]:
    """Recover, go on where the journal stopped, and run until the data ends or a signal comes.

    The first bars of the data warm the windows up. Returns what was done, as plain values.
    """
    heart.begin()
    settings = universe.settings
    first = from_epoch_ms(min(int(bars.end_ms[0]) for bars in universe.series.values()) - 1)
    clock = ReplayClock(first)
    step = timedelta(milliseconds=TIMEFRAME_MS[settings.desk.timeframe])
    pace = ReplayPace(clock, speed, step)
    reporters: list[Reporter] = []

    async def after(records: Sequence[CycleRecord]) -> None:
        await reporters[0].after(records)

    anchors = anchors_of(home, settings)
    engine = await open_engine(
        home,
        settings,
        ReplayFeed(universe.series),
        clock,
        pace=pace,
        after=after,
        first_bar=first,
        deadline_ms=settings.models.deadline_ms if speed else None,
        lease=held,
        anchors=anchors,
    )
    clock.turn(max(engine.writer.state.last_bars.values(), default=first))
    reporters.append(Reporter(engine, settings.desk.cash, tell))
    anchoring = Anchoring(anchors, engine, settings.store.anchor_every_s)
    try:
        await reporters[0].catch_up()
        async with (
            chats_of(home, settings, engine.desk) as beside,
            aclosing(Pictures(home, settings, ready=talks(settings))) as drawn,
        ):
            talk = _talk(engine, home, settings, clock, beside, drawn, chat=chat)
            heart.up()
            await _run(engine, pace, talk, held)
        if not engine.loop.stopping:  # a day that a signal cut short is reported when it is over
            await reporters[0].finish()
        await anchoring.stop()
        return done(engine, reporters[0])
    finally:
        heart.ending()
        anchoring.abandon()
        pace.stop()
        engine.close()


def _talk(
    engine: Engine,
    home: Home,
    settings: Settings,
    clock: Clock,
    beside: Chats,
    drawn: Pictures,
    *,
    chat: bool,
) -> Bot | None:
    """The console, where somebody sits at it, and the chats of the profile."""
    if not chat and not beside.chats:
        return None
    return bot_over(
        engine.desk,
        engine.journal,
        settings,
        clock,
        remember(engine),
        None if chat else LogChat(),
        beside=beside.chats,
        asks=beside.asks,
        picture=drawn.draw,
        home=home,
    )


def remember(engine: Engine) -> Callable[[Record], Awaitable[object]]:
    """How questions and answers get into the journal."""

    async def write(record: Record) -> None:
        await engine.writer.write([record])

    return write


async def _run(engine: Engine, pace: ReplayPace, talk: Bot | None, held: SqlLease | Sole) -> None:
    """Until the feed ends; SIGINT and SIGTERM let the moment under way finish. The chat ends with the desk.

    Fenced when another copy has taken the lease over, also while this one waits for a bar.
    """

    def stop() -> None:
        engine.loop.stop()
        pace.stop()

    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError):  # no signals here, on some systems
            loop.add_signal_handler(each, stop)
    held.watch(partial(loop.call_soon_threadsafe, stop))
    talking = asyncio.create_task(talk.run()) if talk else None
    pace.start()
    try:
        await engine.loop.run()
    finally:
        if talk and talking:
            talking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await talking
            await talk.tell_waiting()
    held.check()


def done(engine: Engine, reporter: Reporter) -> dict[str, Any]:
    """What a run did, as plain values."""
    sequence, head = engine.journal.head()
    return {
        "cycles": engine.loop.moments,
        "recovered_records": engine.recovered_records,
        "repaired_orders": [record.request.client_id for record in engine.repaired],
        "reports": reporter.sent,
        "records": sequence,
        "head": head,
        "status": engine.desk.status(),
    }
