from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from engine.core.domain.errors import BadData
from engine.core.domain.market import Bar, BarArrays
from engine.core.market.bars import resample, to_arrays
from engine.core.market.window import BarWindow

HOUR = 3_600_000


def hours(first: int, count: int) -> BarArrays:
    """Hourly bars; bar `i` since 1970 closes at 100 + i."""
    number = np.arange(first, first + count)
    close = 100.0 + number
    return BarArrays(
        number.astype(np.int64) * HOUR, close - 0.5, close + 2.0, close - 2.0, close, np.ones(count)
    )


def test_a_coarse_bar_is_what_its_fine_bars_were_together() -> None:
    four = resample(hours(1, 8), HOUR, 4 * HOUR)
    assert four.end_ms.tolist() == [4 * HOUR, 8 * HOUR]
    assert four.open.tolist() == [100.5, 104.5]
    assert four.high.tolist() == [106.0, 110.0]
    assert four.low.tolist() == [99.0, 103.0]
    assert four.close.tolist() == [104.0, 108.0]
    assert four.volume.tolist() == [4.0, 4.0]


def test_a_coarse_bar_does_not_exist_before_its_last_fine_bar() -> None:
    for count, closed in ((3, 0), (4, 1), (5, 1), (7, 1), (8, 2)):
        assert resample(hours(1, count), HOUR, 4 * HOUR).size == closed


def test_a_coarse_bar_in_which_the_series_begins_is_left_out() -> None:
    assert resample(hours(3, 10), HOUR, 4 * HOUR).end_ms.tolist() == [8 * HOUR, 12 * HOUR]
    assert resample(hours(2, 2), HOUR, 4 * HOUR).size == 0


def test_a_hole_stays_a_hole() -> None:
    fine = hours(1, 16)
    kept = [i for i in range(16) if not 3 <= i <= 9]
    coarse = resample(BarArrays(*(column[kept] for column in fine)), HOUR, 4 * HOUR)
    assert coarse.end_ms.tolist() == [4 * HOUR, 12 * HOUR, 16 * HOUR]
    assert coarse.volume.tolist() == [3.0, 2.0, 4.0]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(BadData, match="do not fit"):
        resample(hours(1, 8), 4 * HOUR, 6 * HOUR)
    with pytest.raises(BadData, match="multiples"):
        resample(hours(1, 8)._replace(end_ms=np.arange(8, dtype=np.int64)), HOUR, 4 * HOUR)
    assert resample(hours(1, 0), HOUR, 4 * HOUR).size == 0


def bar(number: int) -> Bar:
    end = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    close = Decimal(100 + number)
    return Bar("X", end, close - Decimal("0.5"), close + 2, close - 2, close, Decimal(1))


def test_bars_and_arrays_say_the_same() -> None:
    for found, wanted in zip(to_arrays([bar(n) for n in range(5, 9)]), hours(5, 4), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert to_arrays([]).size == 0


@pytest.mark.parametrize("capacity", [1, 2, 5, 64])
def test_a_window_always_holds_the_newest_bars(capacity: int) -> None:
    window = BarWindow(capacity)
    for number in range(1, 200):
        window.append(bar(number))
        held = min(number, capacity)
        assert len(window) == held
        np.testing.assert_array_equal(window.arrays().close, 100.0 + np.arange(number - held + 1, number + 1))
    assert window.last_end_ms == 199 * HOUR


def test_a_window_can_begin_full_and_give_less_than_all() -> None:
    window = BarWindow(10, hours(1, 50))
    window.append(bar(51))
    assert window.arrays(3).close.tolist() == [149.0, 150.0, 151.0]
    assert window.arrays(99).size == 10
    assert window.arrays(0).size == 0


def test_arrays_that_were_handed_out_never_change() -> None:
    window = BarWindow(4, hours(1, 4))
    view = window.arrays()
    before = view.close.copy()
    for number in range(5, 60):
        window.append(bar(number))
    np.testing.assert_array_equal(view.close, before)


def test_a_bar_that_is_not_newer_is_refused() -> None:
    window = BarWindow(4, hours(1, 4))
    for number in (4, 2):
        with pytest.raises(BadData, match="cannot follow"):
            window.append(bar(number))
    assert len(window) == 4
    with pytest.raises(BadData, match="in order"):
        BarWindow(4, BarArrays(*(column[::-1] for column in hours(1, 4))))
    with pytest.raises(ValueError, match="at least one"):
        BarWindow(0)
    assert BarWindow(3).last_end_ms is None
    assert BarWindow(3).arrays().size == 0
