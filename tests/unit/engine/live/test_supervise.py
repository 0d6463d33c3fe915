"""What runs beside the bars: nothing of it ends unseen, and nothing of it waits without end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.core.domain.errors import StoreFailed, VenueDown
from engine.core.domain.events import Recorded
from engine.core.domain.market import Bar
from engine.core.domain.records import CycleRecord, IncidentRecord
from engine.core.domain.risk import TradingState
from engine.inference.predictor import NoPredictor
from engine.live.supervise import LAG_EVERY_S, every, supervise
from engine.store.state import SqlStateStore
from jobs.bootstrap import Outside, assemble
from tests.builders import bar, settings
from tests.exchange import TurnedClock
from tests.life import BTC, ETH, Bars, Life, MortalJournal, life, soon, until


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Life]:
    async with life(tmp_path) as one:
        yield one


class Beside:
    """A task that remembers how it ended."""

    def __init__(self) -> None:
        self.began = self.cancelled = False

    async def run(self) -> None:
        self.began = True
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def fails_after(other: Beside, error: Exception) -> None:
    await until(lambda: other.began, "the other one runs")
    raise error


@pytest.mark.parametrize("error", [VenueDown("gone"), StoreFailed("full"), ZeroDivisionError("a mistake")])
async def test_e12_a_task_that_fails_ends_all_and_is_raised(error: Exception) -> None:
    main, other = Beside(), Beside()

    with pytest.raises(type(error), match=str(error)):
        await supervise(main.run(), {"other": other.run, "bad": lambda: fails_after(other, error)})

    assert main.cancelled
    assert other.cancelled


async def test_e12_a_main_that_fails_ends_all_and_is_raised() -> None:
    other = Beside()

    with pytest.raises(VenueDown, match="the feed"):
        await supervise(fails_after(other, VenueDown("the feed")), {"other": other.run})

    assert other.cancelled


async def test_e12_a_task_that_merely_ends_ends_the_desk_too() -> None:
    """One that should run for ever and does not is no less dead than one that raised."""
    main = Beside()

    async def returns() -> None:
        await until(lambda: main.began, "main runs")

    await supervise(main.run(), {"short": returns})

    assert main.cancelled


async def test_when_main_is_done_nothing_beside_it_goes_on() -> None:
    other = Beside()

    async def main() -> None:
        await until(lambda: other.began, "the other one runs")

    await supervise(main(), {"other": other.run})

    assert other.cancelled


async def test_whoever_is_cancelled_takes_everything_along() -> None:
    main, other = Beside(), Beside()
    running = soon(supervise(main.run(), {"other": other.run}))
    await until(lambda: main.began and other.began, "both run")

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert main.cancelled
    assert other.cancelled


async def test_periodic_work_is_done_again_until_it_raises() -> None:
    done = []

    async def work() -> None:
        done.append(1)
        if len(done) == 3:
            raise VenueDown("the third time")

    with pytest.raises(VenueDown):
        await every(0, work)

    assert len(done) == 3


async def test_every_piece_of_the_keepers_work_is_under_supervision(desk: Life) -> None:
    assert set(desk.engine.keeper.tasks()) == {
        *("tend", "data", "lag", "inbox", "hurry", "begin", "reconcile", "accept", "clock")
    }


@pytest.mark.parametrize("name", ["tend", "data", "reconcile", "clock"])
async def test_a_piece_of_work_that_fails_in_a_way_nobody_foresaw_ends_its_task(
    desk: Life, name: str
) -> None:
    """A mistake of ours is not outlasted: the process starts anew."""

    def wrong(when: str, what: object) -> bool:
        raise ZeroDivisionError("a mistake of ours")

    await desk.buy()
    desk.exchange.offset_ms = 5000
    desk.exchange.books.free["USDT"] += 100
    desk.exchange.books.vanish(desk.stop().request.client_id, desk.exchange.now_ms())
    desk.clock.advance(4 * 3600)
    await desk.engine.reconciler.check()
    desk.mortal(wrong)

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(desk.engine.keeper.tasks()[name](), 10)


async def test_e12_a_loop_that_stood_still_is_told(desk: Life, caplog: pytest.LogCaptureFixture) -> None:
    keeper = desk.engine.keeper
    quiet = soon(keeper.measure_lag())
    await asyncio.sleep(0)
    desk.clock.advance(LAG_EVERY_S)
    await quiet
    assert (keeper.worst_lag_s, caplog.text) == (0, "")

    with caplog.at_level(logging.WARNING):
        blocked = soon(keeper.measure_lag())
        await asyncio.sleep(0)
        desk.clock.advance(30 + LAG_EVERY_S)
        await blocked
    again = soon(keeper.measure_lag())
    await asyncio.sleep(0)
    desk.clock.advance(2 + LAG_EVERY_S)
    await again

    assert keeper.worst_lag_s == 30
    assert caplog.messages == ["the event loop stood still for 30.0 s"]


# --- data and clock ---


async def test_b1_bars_that_stop_coming_hold_whatever_the_connection_says_and_new_ones_let_go(
    desk: Life,
) -> None:
    keeper = desk.engine.keeper
    for _ in range(2):
        desk.clock.advance(3600)
        await keeper.check_data()
    fresh = dict(desk.holds)
    desk.clock.advance(60)
    await keeper.check_data()
    held = dict(desk.holds)
    desk.feed.moments = [[bar(BTC, desk.clock.now(), "50000"), bar(ETH, desk.clock.now(), "3000")]]
    await desk.engine.loop.run()
    await keeper.check_data()

    assert fresh == {}
    assert held == {"data": "no bar for 2:01:00, at most 2:00:00 are allowed"}
    assert desk.holds == {}
    assert len([r for r in desk.written(CycleRecord) if r.at == desk.clock.now()]) == 2


async def test_b1_one_instrument_without_bars_is_enough(desk: Life) -> None:
    for _ in range(3):
        desk.clock.advance(3600)
        desk.feed.moments = [[bar(BTC, desk.clock.now(), "50000")]]
        await desk.engine.loop.run()
    await desk.engine.keeper.check_data()

    assert list(desk.holds) == ["data"]


async def test_a_desk_that_has_just_come_up_is_given_time_to_hear_its_first_bar(desk: Life) -> None:
    await desk.die()
    desk.clock.advance(30 * 86_400)
    await desk.start()
    await desk.engine.keeper.check_data()
    at_first = dict(desk.holds)
    desk.clock.advance(3 * 3600)
    await desk.engine.keeper.check_data()

    assert at_first == {}
    assert list(desk.holds) == ["data"]


async def test_c1_a_clock_that_cannot_be_asked_changes_nothing(desk: Life) -> None:
    desk.exchange.offset_ms = 5000
    await desk.engine.keeper.check_clock()
    desk.exchange.offset_ms = 0
    desk.exchange.fault("GET time", answer="error", status=503)
    await desk.engine.keeper.check_clock()

    assert list(desk.holds) == ["clock"]


async def test_c1_a_hold_that_stands_keeps_its_first_reason_and_is_told_once(desk: Life) -> None:
    for off_ms in (5000, 7000):
        desk.exchange.offset_ms = off_ms
        await desk.engine.keeper.check_clock()

    assert desk.holds["clock"].startswith("the venue's clock is +5.000 s")
    assert len(desk.told("hold clock")) == 1
    assert all(isinstance(r, IncidentRecord) for r in desk.written(IncidentRecord))


# --- a journal that takes nothing for a while ---


async def test_f1_an_outage_is_told_once_however_often_it_was_met(desk: Life) -> None:
    keeper = desk.engine.keeper
    work = keeper._outlasting(keeper.check_data)
    desk.clock.advance(3 * 3600)
    desk.journal.full = True
    for _ in range(3):
        await work()
        desk.clock.advance(10)
    desk.journal.full = False
    await work()
    await work()

    assert desk.told("journal") == ["nothing could be written for 30 s: the disk is full"]
    assert list(desk.holds) == ["data"]


async def test_a_listener_is_told_of_what_became_durable(desk: Life) -> None:
    heard: list[Recorded] = []
    desk.engine.desk.listen(heard.append)
    desk.clock.advance(timedelta(hours=3).total_seconds())

    await desk.engine.keeper.check_data()

    assert [event.record.name for event in heard if isinstance(event.record, IncidentRecord)] == ["hold data"]


# --- at a venue that is a part of the process ---


async def test_a_simulated_venue_has_no_account_to_compare_and_an_impatient_desk_outlasts_nothing(
    tmp_path: Path,
) -> None:
    journal, clock = MortalJournal(tmp_path / "desk.sqlite3", synchronous="NORMAL"), TurnedClock()
    store = SqlStateStore(tmp_path / "desk.sqlite3", home=tmp_path)
    outside = Outside(journal, store, Bars(), clock, NoPredictor())
    engine = await assemble(outside, settings(), pace=_at_once, after=_untold, first_bar=clock.now())
    tasks = engine.keeper.tasks()
    clock.advance(3 * 86_400)
    journal.full = True

    assert set(tasks) == {"tend", "data", "lag"}
    with pytest.raises(StoreFailed):
        await asyncio.wait_for(tasks["data"](), 10)
    engine.close()


async def _at_once(moment: datetime) -> None:
    """Bars come when they come."""


async def _untold(records: object) -> None:
    """Nobody is told."""


async def test_f1_a_moment_that_could_not_be_written_is_let_pass_and_the_next_is_decided_on(
    desk: Life,
) -> None:
    def moments() -> Iterator[Sequence[Bar]]:
        for full in (True, False):
            desk.journal.full = full
            desk.clock.advance(3600)
            yield [bar(BTC, desk.clock.now(), "50000"), bar(ETH, desk.clock.now(), "3000")]

    before = len(desk.written(CycleRecord))
    desk.feed.moments = moments()  # type: ignore[assignment]
    await desk.engine.loop.run()

    assert desk.engine.loop.moments == 1
    decided = desk.written(CycleRecord)[before:]
    assert [record.at for record in decided] == [desk.clock.now()] * 2
    assert len(desk.told("journal")) == 1


async def test_while_everything_is_being_closed_there_are_more_rounds(desk: Life) -> None:
    await desk.buy()
    await desk.engine.keeper.hurry()
    assert desk.portfolio.positions, "there is no hurry"

    state = desk.engine.writer.state
    closing = replace(state.risk, trading=TradingState.HALTED, flatten=True)
    desk.engine.writer.state = replace(state, risk=closing)
    await desk.engine.keeper.hurry()
    await desk.engine.keeper.hurry()

    assert desk.portfolio.positions == ()
    await desk.engine.keeper.hurry()
