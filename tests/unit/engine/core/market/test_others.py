"""What was known of the others at the end of each bar, and nothing later."""

import numpy as np
import pytest

from engine.core.domain.market import BarArrays, Floats
from engine.core.market.others import BARS, MOST, beside, chosen, newest

MINUTE = 60_000


def series(closes: Floats, every: int = 1, start: int = 0) -> BarArrays:
    ends = (start + every * np.arange(1, closes.size + 1)) * MINUTE
    return BarArrays(ends.astype(np.int64), closes, closes, closes, closes, np.ones(closes.size))


def walk(size: int, seed: int) -> Floats:
    path: Floats = 100 * np.exp(np.cumsum(np.random.default_rng(seed).standard_normal(size) * 0.01))
    return path


def test_bars_that_close_together_correlate_as_numpy_says() -> None:
    ours, common = walk(200, 1), walk(200, 2)
    theirs = common * ours**0.5

    told = beside(series(ours), series(theirs), most_bars=500)

    for row in (BARS, 100, 199):
        moves = [np.diff(np.log(closes[row - BARS : row + 1])) for closes in (ours, theirs)]
        assert told.correlation[row] == pytest.approx(np.corrcoef(moves[0], moves[1])[0, 1], abs=1e-9)
        assert told.volatility[row] == pytest.approx(moves[1].std(ddof=1), rel=1e-9)
    assert np.isnan(told.correlation[:BARS]).all()


def test_of_one_that_closes_at_other_times_the_last_known_close_counts() -> None:
    ours, theirs = series(walk(80, 1), every=5), series(walk(399, 2), every=1, start=2)
    known = [
        theirs.close[theirs.end_ms <= end][-1] if (theirs.end_ms <= end).any() else np.nan
        for end in ours.end_ms
    ]

    told = beside(ours, theirs, most_bars=1000)

    moves = np.diff(np.log(ours.close[-BARS - 1 :])), np.diff(np.log(known[-BARS - 1 :]))
    assert told.correlation[-1] == pytest.approx(np.corrcoef(moves[0], moves[1])[0, 1], abs=1e-9)


def test_what_the_other_did_afterwards_changes_nothing() -> None:
    ours, theirs = series(walk(100, 1)), series(walk(130, 2))
    later = theirs._replace(close=np.where(np.arange(130) < 100, theirs.close, 1e6))

    assert np.array_equal(
        beside(ours, theirs, 500).correlation, beside(ours, later, 500).correlation, equal_nan=True
    )


def test_the_newest_bar_alone_is_what_the_whole_series_says_of_it() -> None:
    ours, theirs = series(walk(300, 1)), series(walk(300, 2))
    whole = beside(ours, theirs, 500)

    told = newest("A", ours, {"A": ours, "B": theirs}, most_bars=500)

    assert list(told) == ["B"]
    assert told["B"][0] == pytest.approx(whole.correlation[-1], abs=1e-9)
    assert told["B"][1] == pytest.approx(whole.volatility[-1], rel=1e-9)


def test_what_lies_behind_the_others_window_is_unknown() -> None:
    ours, theirs = series(walk(80, 1), every=5), series(walk(400, 2))

    assert np.isfinite(beside(ours, theirs, most_bars=5 * BARS + 1).correlation[-1])
    assert np.isnan(beside(ours, theirs, most_bars=5 * BARS).correlation[-1])


def test_one_that_stands_still_has_a_volatility_of_nothing_and_no_correlation() -> None:
    told = beside(series(walk(100, 1)), series(np.full(100, 5.0)), 500)

    assert np.isnan(told.correlation[-1])
    assert told.volatility[-1] == 0.0


@pytest.mark.parametrize("size", [0, 1, BARS])
def test_of_one_with_too_short_a_history_nothing_is_said(size: int) -> None:
    told = beside(series(walk(100, 1)), series(walk(size, 2), start=100 - size), 500)

    assert np.isnan(told.correlation[-1])


def test_a_desk_of_hundreds_sets_each_beside_a_few() -> None:
    names = [f"N{number}" for number in range(300)]

    assert chosen("N3", names) == tuple(name for name in names if name != "N3")[:MOST]
    assert chosen("N3", ("N3",)) == ()
