import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.domain.market import BarArrays, Floats
from engine.core.labels.triple_barrier import Labels, triple_barrier

Candle = tuple[float, float, float, float]
FLAT: Candle = (100, 100, 100, 100)


def bars(*candles: Candle) -> BarArrays:
    opened, high, low, close = (np.array(column, dtype=np.float64) for column in zip(*candles, strict=True))
    return BarArrays(np.arange(len(candles), dtype=np.int64), opened, high, low, close, np.ones(len(candles)))


def label(*candles: Candle, width: float = 2.0, horizon: int = 3) -> Labels:
    return triple_barrier(bars(*candles), np.ones(len(candles)), width, horizon)


def first(labels: Labels) -> tuple[int, int, int]:
    return int(labels.start[0]), int(labels.end[0]), int(labels.value[0])


def test_the_upper_barrier_first_is_plus_one() -> None:
    assert first(label(FLAT, FLAT, (100, 102, 100, 101), (101, 101, 90, 90))) == (0, 2, 1)


def test_the_lower_barrier_first_is_minus_one() -> None:
    assert first(label(FLAT, FLAT, (100, 101, 98, 99), (99, 110, 99, 110))) == (0, 2, -1)


def test_neither_in_time_is_zero_and_ends_at_the_vertical_barrier() -> None:
    assert first(label(FLAT, FLAT, FLAT, FLAT, (100, 200, 100, 200))) == (0, 3, 0)


def test_the_entry_is_the_next_open_not_the_close_that_decided() -> None:
    labels = label(FLAT, (110, 111, 109, 110), (110, 112, 110, 112), FLAT)

    assert first(labels) == (0, 2, 1), "112 is two above the entry at 110; 111 is eleven above the close"


def test_the_bar_of_the_entry_counts() -> None:
    assert first(label(FLAT, (100, 103, 100, 100), FLAT, FLAT)) == (0, 1, 1)


def test_the_bar_that_decides_does_not_count() -> None:
    assert first(label((100, 150, 50, 100), FLAT, FLAT, FLAT)) == (0, 3, 0)


def test_both_barriers_in_one_bar_hurt_the_buyer_and_are_counted() -> None:
    labels = label(FLAT, (100, 102, 98, 100), FLAT, FLAT)

    assert first(labels) == (0, 1, -1)
    assert labels.ambiguous == 1


def test_a_touch_to_the_cent_is_a_touch() -> None:
    assert first(label(FLAT, (100, 102, 100, 100), FLAT, FLAT))[2] == 1


def test_spans_that_the_data_does_not_finish_are_left_out_not_zeroed() -> None:
    labels = label(FLAT, FLAT, FLAT, (100, 102, 100, 100), horizon=3)

    assert labels.start.tolist() == [0, 1, 2]
    assert labels.value.tolist() == [1, 1, 1]
    assert labels.unfinished == 1
    assert label(FLAT, FLAT, FLAT, horizon=3).start.size == 0


def test_a_bar_without_a_range_has_no_barrier() -> None:
    labels = triple_barrier(bars(*[FLAT] * 5), np.array([np.nan, 0.0, 1.0, 1.0, 1.0]), 2.0, 1)

    assert labels.start.tolist() == [2, 3]
    assert labels.unmeasured == 2


def test_a_lower_barrier_below_zero_cannot_be_met_fairly() -> None:
    assert triple_barrier(bars(*[FLAT] * 4), np.full(4, 60.0), 2.0, 1).unmeasured == 3


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_bars_give_no_label(count: int) -> None:
    empty = bars(*[FLAT] * 2).slice(0, count)

    assert triple_barrier(empty, np.ones(count), 2.0, 3).start.size == 0


def slowly(series: BarArrays, atr: Floats, width: float, horizon: int) -> list[tuple[int, int, int]]:
    """The definition, read aloud."""
    found = []
    for t in range(series.size - 1):
        entry = series.open[t + 1]
        upper, lower = entry + width * atr[t], entry - width * atr[t]
        for j in range(t + 1, min(t + horizon, series.size - 1) + 1):
            if series.low[j] <= lower:
                found.append((t, j, -1))
                break
            if series.high[j] >= upper:
                found.append((t, j, 1))
                break
        else:
            if t + horizon < series.size:
                found.append((t, t + horizon, 0))
    return found


@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), horizon=st.integers(1, 12), width=st.floats(0.1, 5))
def test_it_is_the_definition_on_any_path(seed: int, n: int, horizon: int, width: float) -> None:
    random = np.random.default_rng(seed)
    close = 100 + np.cumsum(random.normal(size=n))
    opened = close + random.normal(size=n)
    high = np.maximum(opened, close) + random.random(n)
    low = np.minimum(opened, close) - random.random(n)
    series = BarArrays(np.arange(n), opened, high, low, close, np.ones(n))
    atr = 0.5 + random.random(n)

    labels = triple_barrier(series, atr, width, horizon)

    found = list(zip(labels.start.tolist(), labels.end.tolist(), labels.value.tolist(), strict=True))
    assert found == slowly(series, atr, width, horizon)
    assert labels.start.size + labels.unfinished + labels.unmeasured == n


@given(seed=st.integers(0, 1000), cut=st.integers(20, 59))
def test_a_finished_label_does_not_change_when_more_bars_come(seed: int, cut: int) -> None:
    random = np.random.default_rng(seed)
    close = 100 + np.cumsum(random.normal(size=60))
    series = BarArrays(np.arange(60), close, close + 0.5, close - 0.5, close, np.ones(60))

    whole = triple_barrier(series, np.ones(60), 2.0, 5)
    early = triple_barrier(series.slice(0, cut), np.ones(cut), 2.0, 5)

    known = whole.end < cut
    assert early.start.tolist() == whole.start[known].tolist()
    assert early.value.tolist() == whole.value[known].tolist()
