"""What the port of a feed promises, kept against an exchange that forgets, repeats, changes its mind and goes away."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from configs.schema.desk import DeskSettings, Instrument
from configs.schema.settings import Settings
from configs.schema.venue import VenueSettings
from engine.core.domain.errors import BadData, VenueDown
from engine.core.domain.market import Bar
from engine.venues.ccxt.feed import CcxtFeed
from engine.venues.ccxt.rest import Rest
from tests.exchange import FakeExchange, TurnedClock

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BTC, ETH = "BTC/USDT", "ETH/USDT"
Row = list[Any]


class World:
    """An exchange, a feed of two instruments, and the clock of both."""

    def __init__(self, exchange: FakeExchange, clock: TurnedClock) -> None:
        venue = VenueSettings(
            kind="binance",
            base_url=exchange.url,
            request_timeout_s=5,
            poll_s=0.01,
            bar_grace_s=20,
            bar_delay_s=1,
        )
        instruments = (Instrument(BTC), Instrument(ETH))
        desk = DeskSettings(currency="USDT", timeframe="1h", instruments=instruments)
        self.exchange, self.clock = exchange, clock
        self.rest = Rest(venue, clock, None)
        self.feed = CcxtFeed(Settings(desk=desk, venue=venue), clock, self.rest)
        self.told: list[Sequence[Bar]] = []

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the feed work until something is true."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.wait([asyncio.create_task(_breathe())])

    async def take(
        self, stream: AsyncIterator[Sequence[Bar]], moments: int
    ) -> list[tuple[datetime, list[str]]]:
        """The next moments: when, and which instruments."""
        found: list[tuple[datetime, list[str]]] = []
        async with asyncio.timeout(10):
            while len(found) < moments:
                batch = await anext(stream)
                self.told.append(batch)
                assert len({bar.end for bar in batch}) == 1
                found.append((batch[0].end, [bar.instrument for bar in batch]))
        return found

    def rewrite(self, change: Callable[[list[Row]], list[Row]], symbol: str = "BTCUSDT") -> None:
        """Have the exchange tell other candles of one symbol."""

        def told(rows: list[Row], q: dict[str, str]) -> list[Row]:
            return change(rows) if q["symbol"] == symbol else rows

        self.exchange.rewrites["klines"] = told


async def _breathe() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def asking(stream: AsyncIterator[Sequence[Bar]]) -> "asyncio.Task[Sequence[Bar]]":
    async def ask() -> Sequence[Bar]:
        return await anext(stream)

    return asyncio.create_task(ask())


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = TurnedClock(NOON)
    async with FakeExchange({"BTCUSDT": "50000", "ETHUSDT": "3000"}, clock=clock, moving=True) as exchange:
        world = World(exchange, clock)
        yield world
        await world.rest.close()


# --- History --------------------------------------------------------------------------------------


async def test_history_is_fetched_page_by_page_and_served_oldest_first(world: World) -> None:
    loaded = await world.feed.load(NOON, 2500)

    bars = world.feed.history(BTC, NOON, 2500)

    assert loaded == {BTC: 2500, ETH: 2500}
    assert bars.size == 2500
    assert (bars.end_ms[1:] - bars.end_ms[:-1] == 3_600_000).all()
    assert datetime.fromtimestamp(bars.end_ms[-1] / 1000, UTC) == NOON - HOUR, "known before, so not at, noon"
    assert (bars.low <= bars.close).all()
    assert (bars.close <= bars.high).all()
    assert world.feed.history(BTC, NOON - HOUR, 3).size == 3
    assert world.feed.history(BTC, NOON, 0).size == 0


async def test_history_never_holds_an_unclosed_candle(world: World) -> None:
    world.clock.advance(1800)

    await world.feed.load(NOON + 2 * HOUR, 10)

    assert datetime.fromtimestamp(world.feed.history(BTC, NOON + 2 * HOUR, 9).end_ms[-1] / 1000, UTC) == NOON


async def test_history_of_what_is_not_fed_is_refused(world: World) -> None:
    with pytest.raises(BadData, match="XRP/USDT is not fed here; fed are BTC/USDT, ETH/USDT"):
        world.feed.history("XRP/USDT", NOON, 1)


async def test_a_history_that_cannot_be_had_says_so(world: World) -> None:
    world.exchange.fault("klines", answer="error", status=503, count=1000)

    with pytest.raises(VenueDown, match="503"):
        await world.feed.load(NOON, 10)


async def test_bars_that_came_since_are_history_too(world: World) -> None:
    world.clock.advance(2)
    await world.feed.load(NOON + HOUR, 5)
    world.clock.advance(3600)
    await world.take(world.feed.stream(NOON), 1)

    assert world.feed.history(BTC, NOON + 2 * HOUR, 2).end_ms.tolist() == [
        int(moment.timestamp() * 1000) for moment in (NOON, NOON + HOUR)
    ]


# --- What comes -----------------------------------------------------------------------------------


async def test_all_bars_of_one_moment_come_at_once_each_moment_once_and_in_order(world: World) -> None:
    stream = world.feed.stream(NOON - 2 * HOUR)
    world.clock.advance(2)
    first = await world.take(stream, 2)
    for _ in range(3):
        world.clock.advance(3600)
        first += await world.take(stream, 1)

    assert first == [(NOON + hours * HOUR, [BTC, ETH]) for hours in (-1, 0, 1, 2, 3)]


async def test_a_bar_is_not_told_before_its_close_by_the_venues_clock(world: World) -> None:
    world.exchange.offset_ms = -5000  # the venue's clock is behind ours
    stream = world.feed.stream(NOON)
    next_bar = asking(stream)
    world.clock.advance(3600 + 5.5)
    await _breathe()

    assert not next_bar.done()
    assert world.exchange.requests("klines") == [], "nothing is asked for before its time"

    world.clock.advance(1)
    assert (await asyncio.wait_for(next_bar, 5))[0].end == NOON + HOUR


async def test_a_slower_instrument_is_waited_for(world: World) -> None:
    world.rewrite(lambda rows: [], "ETHUSDT")
    stream = world.feed.stream(NOON)
    world.clock.advance(3602)
    next_bar = asking(stream)
    await world.until(lambda: len(world.exchange.requests("klines")) >= 5)
    assert not next_bar.done()

    world.exchange.rewrites.clear()

    assert [bar.instrument for bar in await asyncio.wait_for(next_bar, 5)] == [BTC, ETH]


async def test_after_the_grace_the_others_go_on_and_what_comes_late_is_refused(world: World) -> None:
    await world.feed.load(NOON, 3)
    world.rewrite(lambda rows: [], "ETHUSDT")
    world.clock.advance(2)
    stream = world.feed.stream(NOON - HOUR)
    next_bar = asking(stream)
    await world.until(lambda: len(world.exchange.requests("klines")) >= 8)
    world.clock.advance(21)
    assert [bar.instrument for bar in await asyncio.wait_for(next_bar, 5)] == [BTC]
    assert world.feed.counts["missing"] == 1

    world.exchange.rewrites.clear()
    world.clock.advance(3600)

    assert await world.take(stream, 1) == [(NOON + HOUR, [BTC, ETH])]
    assert world.feed.counts["late"] == 1


async def test_an_instrument_that_is_gone_holds_the_others_up_for_the_grace_and_no_longer(
    world: World,
) -> None:
    del world.exchange.books.prices["ETHUSDT"]
    stream = world.feed.stream(NOON)
    world.clock.advance(3602)
    next_bar = asking(stream)
    await world.until(lambda: len(world.exchange.requests("klines")) >= 6)
    assert not next_bar.done()

    world.clock.advance(21)

    assert [bar.instrument for bar in await asyncio.wait_for(next_bar, 5)] == [BTC]


async def test_what_was_missed_during_an_outage_comes_in_order(world: World) -> None:
    stream = world.feed.stream(NOON)
    world.exchange.fault("klines", answer="reset", count=4)
    world.exchange.fault("klines", answer="error", status=503, count=2)
    world.exchange.fault("klines", answer="html", status=200, count=2)
    world.exchange.fault("klines", answer="hang", count=1, seconds=0.3)
    world.clock.advance(3 * 3600 + 2)

    assert await world.take(stream, 3) == [(NOON + hours * HOUR, [BTC, ETH]) for hours in (1, 2, 3)]
    assert world.feed.counts["failed"] >= 4


async def test_a_very_long_outage_is_caught_up_in_bounded_portions(world: World) -> None:
    stream = world.feed.stream(NOON)
    world.clock.advance(2000 * 3600 + 2)

    told = await world.take(stream, 2000)

    assert told == [(NOON + hours * HOUR, [BTC, ETH]) for hours in range(1, 2001)]
    assert len(world.exchange.requests("klines")) == 6


async def test_a_silence_that_the_venue_demands_is_kept(world: World) -> None:
    stream = world.feed.stream(NOON)
    world.exchange.fault("klines", answer="error", status=429, code=-1003, retry_after="30")
    world.clock.advance(3602)
    next_bar = asking(stream)
    await world.until(lambda: world.feed.counts["failed"] > 0)
    asked = len(world.exchange.log)
    world.clock.advance(29)
    await _breathe()

    assert len(world.exchange.log) == asked
    world.clock.advance(3)
    assert (await asyncio.wait_for(next_bar, 10))[0].end == NOON + HOUR
    assert world.exchange.violations == 0


async def test_d4_a_gap_is_left_and_the_other_instrument_is_not_held_up(world: World) -> None:
    gap = int((NOON + HOUR).timestamp() * 1000)
    world.rewrite(lambda rows: [row for row in rows if row[0] != gap])
    stream = world.feed.stream(NOON)
    world.clock.advance(3 * 3600 + 2)

    assert await world.take(stream, 3) == [
        (NOON + 1 * HOUR, [BTC, ETH]),
        (NOON + 2 * HOUR, [ETH]),
        (NOON + 3 * HOUR, [BTC, ETH]),
    ]


async def test_d4_candles_that_come_twice_or_in_disorder_are_told_once_and_in_order(world: World) -> None:
    world.rewrite(lambda rows: [*reversed(rows), *rows])
    stream = world.feed.stream(NOON)
    world.clock.advance(3 * 3600 + 2)

    assert [moment for moment, _ in await world.take(stream, 3)] == [
        NOON + hours * HOUR for hours in (1, 2, 3)
    ]
    assert world.feed.counts["refused"] == 0


async def test_d4_two_candles_of_one_time_are_both_refused_until_there_is_one(world: World) -> None:
    def contradict(rows: list[Row]) -> list[Row]:
        other = list(rows[-2])
        other[5] = "1.00000"
        return [*rows, other]

    world.rewrite(contradict)
    stream = world.feed.stream(NOON)
    world.clock.advance(3602)
    next_bar = asking(stream)
    await world.until(lambda: world.feed.counts["refused"] > 0)
    assert not next_bar.done()

    world.exchange.rewrites.clear()
    assert len(await asyncio.wait_for(next_bar, 5)) == 2


async def test_d4_a_candle_that_changes_after_it_was_told_is_counted_and_told_no_second_time(
    world: World,
) -> None:
    stream = world.feed.stream(NOON)
    world.clock.advance(3602)
    await world.take(stream, 1)

    def revise(rows: list[Row]) -> list[Row]:
        return [
            [*row[:5], "99.00000", *row[6:]] if row[0] == NOON.timestamp() * 1000 else row for row in rows
        ]

    world.rewrite(revise)
    world.clock.advance(3600)

    assert await world.take(stream, 1) == [(NOON + 2 * HOUR, [BTC, ETH])]
    assert world.feed.counts["revised"] == 1


@pytest.mark.parametrize(
    "place_and_value",
    [
        (1, "0"),
        (1, "-1"),
        (1, "NaN"),
        (2, "1E+308"),
        (2, "1"),
        (4, None),
        (5, 12.5),
        (5, "-1"),
        (0, "x"),
        (0, 5),
        (6, 0),
    ],
    ids=str,
)
async def test_d3_a_malformed_candle_is_refused_and_asked_for_again(
    world: World, place_and_value: tuple[int, Any]
) -> None:
    place, value = place_and_value
    world.rewrite(lambda rows: [[*row[:place], value, *row[place + 1 :]] for row in rows])
    stream = world.feed.stream(NOON)
    world.clock.advance(3602)
    next_bar = asking(stream)
    await world.until(lambda: world.feed.counts["refused"] >= 2)
    assert not next_bar.done()

    world.exchange.rewrites.clear()
    assert len(await asyncio.wait_for(next_bar, 5)) == 2


async def test_c2_a_wall_clock_that_is_set_back_repeats_no_bar(world: World) -> None:
    stream = world.feed.stream(NOON)
    world.clock.advance(3602)
    await world.take(stream, 1)
    world.exchange.offset_ms = 2 * 3600 * 1000  # the venue's clock goes on
    world.clock.set(-2 * 3600)
    next_bar = asking(stream)
    world.clock.advance(3600)

    assert (await asyncio.wait_for(next_bar, 5))[0].end == NOON + 2 * HOUR


async def test_a_desk_that_was_away_is_told_what_it_missed_though_it_is_history_already(world: World) -> None:
    world.clock.advance(5 * 3600 + 2)
    await world.feed.load(world.clock.now(), 20)

    told = await world.take(world.feed.stream(NOON), 5)

    assert told == [(NOON + hours * HOUR, [BTC, ETH]) for hours in range(1, 6)]
    assert world.feed.history(BTC, NOON + 6 * HOUR, 30).size == 20, "each bar once"
    assert not world.feed.counts


async def test_without_a_beginning_the_next_close_is_the_first(world: World) -> None:
    world.clock.advance(600)
    stream = world.feed.stream(None)
    next_bar = asking(stream)
    await world.until(lambda: len(world.exchange.requests("time")) == 1)
    world.clock.advance(3000 + 2)

    assert (await asyncio.wait_for(next_bar, 5))[0].end == NOON + HOUR


@pytest.mark.parametrize(
    "payload", [{}, "closed", None, [[]] * 1001], ids=["object", "text", "null", "too many"]
)
async def test_a15_an_answer_that_holds_no_candles_is_an_outage(world: World, payload: Any) -> None:
    world.exchange.rewrites["klines"] = lambda rows, q: payload
    stream = world.feed.stream(NOON)
    world.clock.advance(3602)
    next_bar = asking(stream)
    await world.until(lambda: world.feed.counts["refused"] >= 2)

    world.exchange.rewrites.clear()
    assert len(await asyncio.wait_for(next_bar, 5)) == 2


async def test_a_long_pause_in_trading_is_passed_over(world: World) -> None:
    resumed = int((NOON + 1500 * HOUR).timestamp() * 1000)
    world.exchange.rewrites["klines"] = lambda rows, q: [row for row in rows if row[0] >= resumed]
    stream = world.feed.stream(NOON)
    world.clock.advance(1502 * 3600 + 2)

    assert await world.take(stream, 2) == [(NOON + hours * HOUR, [BTC, ETH]) for hours in (1501, 1502)]


async def test_a_machine_that_slept_learns_from_the_venue_how_long(world: World) -> None:
    """Its own seconds stood still meanwhile."""
    stream = world.feed.stream(NOON)
    next_bar = asking(stream)
    await world.until(lambda: len(world.exchange.requests("time")) == 1)
    world.exchange.offset_ms = 3_600_000
    world.clock.advance(61)

    assert (await asyncio.wait_for(next_bar, 5))[0].end == NOON + HOUR


async def test_a_clock_that_cannot_be_measured_stops_nothing(world: World) -> None:
    stream = world.feed.stream(NOON)
    await anext_after(world, stream)
    world.exchange.fault("time", answer="error", status=503, count=1000)

    for hours in (2, 3):
        world.clock.advance(3600)
        assert (await world.take(stream, 1))[0][0] == NOON + hours * HOUR


async def anext_after(world: World, stream: AsyncIterator[Sequence[Bar]]) -> None:
    """The first moment after noon."""
    world.clock.advance(3602)
    assert (await world.take(stream, 1))[0][0] == NOON + HOUR
