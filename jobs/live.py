"""`whydesk run`: the desk on the market as it is, with orders on paper or at the venue."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from msgspec.structs import replace

from bot.app import Bot
from bot.chat.log import LogChat
from configs.schema.settings import Settings
from configs.secrets import load_keys
from engine.core.domain.errors import BadInput, BadSettings, Refused, VenueDown
from engine.core.domain.records import CycleRecord
from engine.core.pipeline import NEED
from engine.live.holds import UNREAD
from engine.live.supervise import supervise
from engine.ports import Clock, Lease, Venue
from engine.store.lease import Sole, SqlLease
from engine.venues.ccxt.broker import CcxtVenue
from engine.venues.ccxt.convert import Rules
from engine.venues.ccxt.feed import CcxtFeed
from engine.venues.ccxt.rest import Rest
from engine.venues.ccxt.rules import RuleBook
from jobs.anchoring import Anchoring, anchors_of
from jobs.bootstrap import Engine, open_engine
from jobs.chats import chats_of, ready, talks
from jobs.clocks import WallClock
from jobs.console import bot_over
from jobs.daily_report import DayReport
from jobs.health import serve
from jobs.heartbeat import Heart, heartbeat
from jobs.home import Home
from jobs.output import say, show
from jobs.pictures import Pictures
from jobs.reporter import Reporter
from jobs.run import acting, done, lines_of, remember, tell
from jobs.watched import watched

Said = TypeVar("Said")
LONGEST_WAIT_S = 30.0


def main(root: Path, settings: Settings, *, chat: bool, as_json: bool, standby: bool = False) -> None:
    """Run until a signal comes, then say what was done."""
    if not settings.desk.instruments:
        raise BadSettings("desk.instruments is empty: name at least one, such as BTC/USDT")
    odd = [name for name in _names(settings) if "/" not in name]
    if odd:
        raise BadInput(
            f"no live bars of {', '.join(odd)}: an exchange trades names such as BTC/{settings.desk.currency};"
            " for recorded bars, expected --replay FILE"
        )
    ready(settings)
    home = Home(root)
    with acting(home, settings, standby=standby) as held, heartbeat(home.root) as heart:
        result = asyncio.run(run_live(home, settings, tell, held, heart, chat=chat))
    show(as_json, result, lines_of(result))


class Market(NamedTuple):
    """What the exchange gives: bars, the settings with its rules, and the account if orders go there."""

    feed: CcxtFeed
    settings: Settings
    venue: Venue | None
    admit: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


async def run_live(
    home: Home,
    settings: Settings,
    report: Callable[[DayReport], None],
    held: SqlLease | Sole,
    heart: Heart,
    *,
    chat: bool = False,
) -> dict[str, Any]:
    """Recover, reconcile with the venue, and run. Returns what was done, as plain values."""
    heart.begin()
    clock = WallClock()
    reporters: list[Reporter] = []

    async def after(records: Sequence[CycleRecord]) -> None:
        await reporters[0].after(records)

    anchors = anchors_of(home, settings)
    market = await open_market(settings, clock, held)
    try:
        engine = await open_engine(
            home,
            market.settings,
            market.feed,
            clock,
            pace=at_once,
            after=after,
            first_bar=clock.now(),
            patient=True,
            venue=market.venue,
            lease=held,
            anchors=anchors,
            deadline_ms=settings.models.deadline_ms,
        )
        reporters.append(Reporter(engine, settings.desk.cash, report))
        anchoring = Anchoring(anchors, engine, settings.store.anchor_every_s)
        try:
            await reporters[0].catch_up()
            if market.venue is not None:
                await engine.keeper.begin(market.admit)
                if UNREAD in engine.writer.state.risk.holds:
                    say(f"nothing new is opened: {engine.writer.state.risk.holds[UNREAD]}")
            async with (
                chats_of(home, market.settings, engine.desk) as beside,
                contextlib.aclosing(Pictures(home, market.settings, ready=talks(settings))) as drawn,
            ):
                talk = bot_over(
                    engine.desk,
                    engine.journal,
                    market.settings,
                    clock,
                    remember(engine),
                    None if chat else LogChat(),
                    beside=beside.chats,
                    asks=beside.asks,
                    picture=drawn.draw,
                    home=home,
                )
                await engine.keeper.adopt_halt()
                say(f"the desk is up: {engine.desk.status()['state']}, orders go to {_where(market)}")
                port = settings.monitoring.health_port
                heart.up(engine.keeper.pulse.stuck)
                async with serve(
                    port,
                    lambda: engine.desk.status() | watched(home.root) | {"chats": beside.figures()},
                    lambda: engine.keeper.worst_lag_s,
                ):
                    await run_engine(engine, talk, held)
            await anchoring.stop()
            return done(engine, reporters[0])
        finally:
            heart.ending()
            await engine.keeper.end()
            anchoring.abandon()
            engine.close()
    finally:
        await market.close()


async def open_market(settings: Settings, clock: Clock, held: Lease) -> Market:
    """Ask the exchange for its rules and the history that the windows need."""
    venue: CcxtVenue | None = None
    admit: Callable[[], Awaitable[None]] = anybody
    if settings.venue.kind == "paper":
        rest = Rest(settings.venue, clock, None)
        ask, close = RuleBook(rest, clock, _names(settings)).all, rest.close
    else:
        venue = CcxtVenue(settings, clock, load_keys(settings.venue, os.environ), lambda: lost(held))
        rest, ask, close = venue.rest, venue.rules, venue.close
        admit = partial(_refuse_a_key_that_may_too_much, venue)
    try:
        if venue is not None:
            await patiently(venue.server_time_offset, "the venue's clock")
        rules = await patiently(ask, "the exchange's rules")
        # What is held must not wait for this: it is asked again beside that.
        with contextlib.suppress(VenueDown):
            await admit()
            admit = anybody
        settings = with_rules(settings, rules)
        feed = CcxtFeed(settings, clock, rest)
        await patiently(lambda: feed.load(clock.now(), NEED), "the history of bars")
    except BaseException:
        await close()
        raise
    return Market(feed, settings, venue, admit, close)


async def anybody() -> None:
    """On paper nobody asks for a right, and nobody asks twice."""


def lost(held: Lease) -> str:
    """Asked before anything leaves this machine: why it must not; empty while the lease is ours."""
    return "" if held.certain(0) else "another copy of the desk may have taken over"


async def _refuse_a_key_that_may_too_much(venue: CcxtVenue) -> None:
    rights = await venue.permissions()
    if not rights.can_trade:
        raise Refused("the venue's key may not trade: give it the right to trade spot")
    if rights.can_withdraw:
        raise Refused("the venue's key may withdraw: make one that cannot, and bind it to your address")
    if rights.bound_to_address is False:
        say("the venue's key is not bound to an address: whoever copies it can trade with it")


def with_rules(settings: Settings, rules: dict[str, Rules]) -> Settings:
    """The settings with the exchange's ticks, lots and minimums. BadSettings for what it does not trade."""
    kept = []
    for instrument in settings.desk.instruments:
        told = rules.get(instrument.name)
        if told is None:
            raise BadSettings(f"desk.instruments: the exchange does not know {instrument.name}")
        kept.append(
            replace(
                instrument,
                tick=told.tick.normalize(),
                lot=told.lot.normalize(),
                min_notional=told.min_notional.normalize(),
            )
        )
    return replace(settings, desk=replace(settings.desk, instruments=tuple(kept)))


async def patiently(ask: Callable[[], Awaitable[Said]], what: str) -> Said:
    """Ask until there is an answer. Nothing can be done without it, so waiting is all there is to do; it is said."""
    wait = 1.0
    while True:
        try:
            return await ask()
        except VenueDown as error:
            say(f"waiting for {what}: {error}; asked again in {wait:.0f} s")
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_S)


async def run_engine(engine: Engine, talk: Bot | None, held: SqlLease | Sole) -> None:
    """Until SIGINT or SIGTERM; what is under way is finished first. Whatever fails ends the desk, and is raised.

    Fenced when another copy has taken the lease over.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError):  # no signals here, on some systems
            loop.add_signal_handler(each, stopping.set)
    held.watch(partial(loop.call_soon_threadsafe, stopping.set))

    async def until_stopped() -> None:
        await stopping.wait()
        async with engine.desk.turn:
            return  # whatever holds the turn has finished

    talking = asyncio.create_task(talk.run()) if talk else None
    try:
        await supervise(engine.loop.run(), engine.keeper.tasks() | {"stop": until_stopped})
    finally:
        if talk and talking:
            talking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await talking
            await talk.tell_waiting()
    held.check()


async def at_once(moment: datetime) -> None:
    """Bars come when they come."""


def _names(settings: Settings) -> tuple[str, ...]:
    return tuple(instrument.name for instrument in settings.desk.instruments)


def _where(market: Market) -> str:
    return "paper" if market.venue is None else market.venue.traits.name
