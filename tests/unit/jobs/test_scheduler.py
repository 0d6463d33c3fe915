"""The pace of a replay, on a wall clock of our own: nothing here waits for time to pass."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from jobs.clocks import ReplayClock
from jobs.scheduler import ReplayPace

FIRST = datetime(2008, 10, 15, tzinfo=UTC)
DAY = timedelta(days=1)


class Wall:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def clock() -> ReplayClock:
    return ReplayClock(FIRST - DAY)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_without_a_speed_nothing_waits(wall: Wall, clock: ReplayClock) -> None:
    pace = ReplayPace(clock, 0, DAY, wall)
    pace.start()
    for day in range(1000):
        await pace(FIRST + day * DAY)

    assert clock.now() == FIRST + 999 * DAY
    pace.stop()


async def test_a_bar_waits_until_the_faster_clock_has_reached_it(wall: Wall, clock: ReplayClock) -> None:
    """At a day a second, the bar of the third day is two seconds after that of the first."""
    pace = ReplayPace(clock, 86_400, DAY, wall)
    await pace(FIRST)
    waiting = asyncio.create_task(pace(FIRST + 2 * DAY))
    for seconds in (0.5, 1.0, 1.9999):
        wall.seconds = 100 + seconds
        await pace._wake()
        await settle()
        assert not waiting.done(), seconds
        assert clock.now() == FIRST

    wall.seconds = 102.0
    await pace._wake()
    await waiting

    assert clock.now() == FIRST + 2 * DAY


async def test_a_late_wake_up_is_caught_up_without_waiting_again(wall: Wall, clock: ReplayClock) -> None:
    pace = ReplayPace(clock, 86_400, DAY, wall)
    await pace(FIRST)
    wall.seconds += 50

    for day in range(1, 51):
        await asyncio.wait_for(pace(FIRST + day * DAY), timeout=5)

    assert clock.now() == FIRST + 50 * DAY


async def test_the_scheduler_keeps_the_pace_by_itself() -> None:
    """Twenty bars at a hundred a second take a fifth of one, whatever the wake-ups do."""
    clock = ReplayClock(FIRST - DAY)
    pace = ReplayPace(clock, 100 * 86_400, DAY)
    pace.start()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for day in range(21):
        await asyncio.wait_for(pace(FIRST + day * DAY), timeout=20)
    took = loop.time() - began
    pace.stop()

    assert took >= 0.199
    assert took < 10, "a machine may be slow; a pace that has lost its wake-ups never ends"


@pytest.mark.parametrize("speed", [1e300, float("inf")])
async def test_no_speed_is_too_high(wall: Wall, clock: ReplayClock, speed: float) -> None:
    pace = ReplayPace(clock, speed, DAY, wall)
    await pace(FIRST)
    wall.seconds += 0.001

    await asyncio.wait_for(pace(FIRST + 1_000_000 * DAY), timeout=5)

    assert clock.now() == FIRST + 1_000_000 * DAY


async def test_stop_wakes_whoever_waits_and_leaves_the_clock(wall: Wall, clock: ReplayClock) -> None:
    """The bar that was waited for is not decided on: what is still written belongs to the bar before."""
    pace = ReplayPace(clock, 1, DAY, wall)
    pace.start()
    await pace(FIRST)
    waiting = asyncio.create_task(pace(FIRST + DAY))
    await settle()
    assert not waiting.done()

    pace.stop()
    await asyncio.wait_for(waiting, timeout=5)

    assert clock.now() == FIRST
    pace.stop()


def test_the_clock_of_a_replay_never_goes_back(clock: ReplayClock) -> None:
    clock.turn(FIRST)
    clock.turn(FIRST - DAY)

    assert clock.now() == FIRST
