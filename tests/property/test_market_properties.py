"""Whatever comes in, what leaves the data check is in order, usable and nothing new."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema.data import DataQualitySettings
from engine.core.domain.market import BarArrays
from engine.core.market.bars import resample
from engine.core.market.quality import check_bars, repair

MINUTE = 60_000
TOLERANT = DataQualitySettings(max_bad_share=1.0, max_gap_share=1.0)
ODD = st.sampled_from([0.0, -1.0, float("nan"), float("inf"), 1e-300, 1e300])
PRICE = st.one_of(st.floats(1.0, 2.0), st.floats(1.0, 2.0), st.floats(1.0, 2.0), ODD)
ROW = st.tuples(st.integers(1, 30), PRICE, PRICE, PRICE, PRICE, st.one_of(st.floats(0.0, 10.0), ODD))


def arrays(rows: list[tuple[int, float, float, float, float, float]]) -> BarArrays:
    columns = list(zip(*rows, strict=True)) or [()] * 6
    return BarArrays(
        np.array(columns[0], dtype=np.int64) * MINUTE, *(np.array(c, dtype=float) for c in columns[1:])
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, max_size=40), st.integers(0, 35))
def test_repaired_bars_are_in_order_usable_and_among_those_that_came(
    rows: list[tuple[int, float, float, float, float, float]], as_of: int
) -> None:
    given_bars = arrays(rows)
    report = check_bars(given_bars, MINUTE, TOLERANT, as_of * MINUTE)
    assert all(0 <= finding.row < len(rows) for finding in report.findings)
    assert 0 <= report.unusable <= report.rows == len(rows)
    if not report.accepted:
        return
    kept = repair(given_bars, report, as_of * MINUTE)
    assert (np.diff(kept.end_ms) > 0).all()
    assert (kept.end_ms <= as_of * MINUTE).all()
    prices = np.stack(kept[1:5])
    assert np.isfinite(prices).all()
    assert (prices > 0).all()
    assert (kept.low <= np.minimum(kept.open, kept.close)).all()
    assert (kept.high >= np.maximum(kept.open, kept.close)).all()
    assert set(zip(*(column.tolist() for column in kept), strict=True)) <= set(
        zip(*(column.tolist() for column in given_bars), strict=True)
    )
    again = check_bars(kept, MINUTE, TOLERANT, as_of * MINUTE)
    left_over = {"gap", "spike", "stale", "zero_volume_run"}
    assert set(again.counts) <= left_over
    assert kept.size == report.rows - report.unusable - report.counts.get("duplicate", 0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 200), st.integers(0, 120), st.sampled_from([1, 5, 15, 60]), st.sets(st.integers(0, 119))
)
def test_coarse_bars_never_hold_what_was_not_there(
    first: int, count: int, factor: int, lost: set[int]
) -> None:
    draw = np.random.default_rng(first * 1000 + count)
    end = np.array([first + i for i in range(count) if i not in lost], dtype=np.int64) * MINUTE
    close = draw.uniform(1.0, 2.0, end.size)
    fine = BarArrays(end, close, close + 0.1, close - 0.1, close, draw.uniform(0.0, 5.0, end.size))
    coarse = resample(fine, MINUTE, factor * MINUTE)
    for end_ms, _, high, low, last, volume in zip(*coarse, strict=True):
        inside = (fine.end_ms > end_ms - factor * MINUTE) & (fine.end_ms <= end_ms)
        assert high == fine.high[inside].max()
        assert low == fine.low[inside].min()
        assert last == fine.close[inside][-1]
        assert abs(volume - fine.volume[inside].sum()) < 1e-9
        assert fine.end_ms[-1] >= end_ms
    if factor == 1:
        assert coarse.size == fine.size
