from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.domain.errors import BadData
from engine.core.domain.market import Bar, BarArrays
from engine.data.replay import ReplayFeed

START = datetime(2024, 1, 1, tzinfo=UTC)
START_MS = 1_704_067_200_000


def bars(*minutes: int, price: float = 100.1) -> BarArrays:
    end_ms = START_MS + 60_000 * np.array(minutes, dtype=np.int64)
    column = np.full(len(minutes), price)
    return BarArrays(end_ms, column, column, column, column, np.zeros(len(minutes)))


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def told(feed: ReplayFeed, after: datetime | None = None) -> list[tuple[float, list[str]]]:
    return [
        ((batch[0].end - START) / timedelta(minutes=1), [bar.instrument for bar in batch])
        for batch in feed.batches(after)
    ]


FEED = ReplayFeed({"B": bars(1, 2, 4), "A": bars(2, 3, 4)})


def test_all_bars_of_one_moment_come_at_once_by_name() -> None:
    assert told(FEED) == [(1, ["B"]), (2, ["A", "B"]), (3, ["A"]), (4, ["A", "B"])]


async def test_the_stream_tells_the_same() -> None:
    assert [tuple(batch) async for batch in FEED.stream(at(1))] == list(FEED.batches(at(1)))


@pytest.mark.parametrize(("after", "first"), [(0.5, 1), (1, 2), (1.5, 2), (3.99999, 4)])
def test_it_goes_on_exactly_after_a_moment(after: float, first: int) -> None:
    assert told(FEED, at(after))[0][0] == first


def test_after_the_end_there_is_nothing() -> None:
    assert told(FEED, at(4)) == []


def test_history_holds_only_what_was_known_before() -> None:
    ends = [(END - START_MS) // 60_000 for END in FEED.history("A", at(3), 10).end_ms.tolist()]

    assert ends == [2]
    assert FEED.history("A", at(3.00001), 10).size == 2
    assert FEED.history("A", at(9), 2).size == 2
    assert FEED.history("A", at(0), 2).size == 0


def test_an_instrument_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadData, match="C is not in this replay, which holds A, B"):
        FEED.history("C", at(1), 1)


def test_a_series_out_of_order_is_refused() -> None:
    with pytest.raises(BadData, match="B: bars must be in time order"):
        ReplayFeed({"B": bars(2, 1)})
    with pytest.raises(BadData, match="each moment once"):
        ReplayFeed({"B": bars(1, 1)})


def test_prices_become_the_decimals_that_the_file_wrote() -> None:
    (batch,) = ReplayFeed({"X": bars(1, price=0.1)}).batches(None)

    tenth = Decimal("0.1")
    assert batch == (Bar("X", at(1), tenth, tenth, tenth, tenth, Decimal("0.0")),)


@given(st.floats(1e-8, 1e12))
def test_a_decimal_turned_back_is_the_same_float(price: float) -> None:
    (batch,) = ReplayFeed({"X": bars(1, price=price)}).batches(None)

    assert float(batch[0].close) == price


@given(
    series=st.dictionaries(
        st.sampled_from("ABCD"), st.lists(st.integers(0, 50), unique=True).map(sorted), max_size=4
    ),
    stop=st.integers(0, 50),
)
def test_stopping_anywhere_and_going_on_loses_and_repeats_nothing(
    series: dict[str, list[int]], stop: int
) -> None:
    feed = ReplayFeed({name: bars(*minutes) for name, minutes in series.items()})

    whole = list(feed.batches(None))

    assert [b for b in whole if b[0].end <= at(stop)] + list(feed.batches(at(stop))) == whole
    assert sum(map(len, whole)) == sum(map(len, series.values()))


def test_long_series_are_told_whole() -> None:
    assert len(list(ReplayFeed({"X": bars(*range(1, 3001))}).batches(at(7)))) == 2993
