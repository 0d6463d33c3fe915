"""A scenario laid on bars of any length."""

import numpy as np
import pytest

from engine.core.analytics import shock
from engine.core.analytics.scenarios import SCENARIOS, Knot, Loss, Scenario, Span
from engine.core.domain.market import BarArrays
from tests.unit.engine.backtest.markets import HOUR_MS, random_walk, rows

DAY_MS = 24 * HOUR_MS
DIP = Scenario(
    "dip", "down by half within a day and back", (Knot(0, 1.0), Knot(0.5, 0.5), Knot(1, 0.9)), 20, 0.1, ()
)


def flat(bars: int, step_ms: int = HOUR_MS, price: float = 100.0) -> BarArrays:
    column = np.full(bars, price)
    return BarArrays(step_ms * np.arange(1, bars + 1), column, column, column, column, np.full(bars, 1000.0))


def laid(
    bars: BarArrays, per_day: float, scale: float = 1.0, scenario: Scenario = DIP, first: int = 0
) -> BarArrays:
    return shock.lay(bars, np.arange(bars.size) - first, scenario, scale, per_day, 2)


def test_a_bar_of_a_day_holds_the_whole_crash_as_its_low() -> None:
    bars = laid(flat(3, DAY_MS), per_day=1)

    assert (bars.open[0], bars.low[0], bars.close[0]) == (100, 50, 90)
    assert bars.close[1:].tolist() == [90, 90]


def test_bars_of_four_hours_walk_through_it() -> None:
    bars = laid(flat(8, 4 * HOUR_MS), per_day=6)

    assert bars.close.tolist() == [83.33, 66.67, 50, 63.33, 76.67, 90, 90, 90]
    assert bars.open[1:6].tolist() == bars.close[:5].tolist()


def test_bars_before_the_shock_and_their_volume_stay_as_they_were() -> None:
    base = random_walk(60, 3)
    bars = laid(base, per_day=24, first=20)

    for before, after in zip(base, bars, strict=True):
        assert np.array_equal(before[:20], after[:20])
    assert bars.volume[20:44] == pytest.approx(base.volume[20:44] * 0.1)
    assert np.array_equal(bars.volume[44:], base.volume[44:])


def test_twice_the_scale_is_twice_the_fall() -> None:
    assert laid(flat(24), 24, scale=0.5).low.min() == 75
    assert laid(flat(24), 24, scale=1.5).low.min() == 25


def test_a_price_keeps_a_ten_thousandth_and_a_tick() -> None:
    assert laid(flat(24, price=100_000.0), 24, scale=5.0).low.min() == 10
    assert laid(flat(24, price=1.0), 24, scale=5.0).low.min() == 0.01


def test_oil_passes_zero() -> None:
    oil = next(scenario for scenario in SCENARIOS if scenario.name == "oil-2020")

    assert laid(flat(60), 24, scenario=oil).low.min() == pytest.approx(-206)


def test_a_path_too_long_for_its_bars_is_walked_in_fewer() -> None:
    slide = SCENARIOS[0]

    assert shock.length(slide, shock.pace(slide, 1)) == 375
    assert shock.length(slide, shock.pace(slide, 24)) == shock.LONGEST
    assert shock.length(DIP, shock.pace(DIP, 24)) == 24
    assert shock.length(DIP, 1) == 1


def test_a_day_has_as_many_bars_as_the_file_says() -> None:
    week = flat(24 * 7)
    session = rows(week, np.flatnonzero(((week.end_ms // HOUR_MS) % 24 - 1) % 24 < 7))

    assert shock.bars_per_day(week.end_ms, HOUR_MS) == 24
    assert shock.bars_per_day(session.end_ms, HOUR_MS) == 7
    assert shock.bars_per_day(flat(9, DAY_MS).end_ms, DAY_MS) == 1


def test_spans_take_bars_by_their_middle_and_shrink_with_the_scale() -> None:
    number = np.arange(24)

    assert shock.within(number, (Span(0.25, 0.5),), 1.0, 24).nonzero()[0].tolist() == [6, 7, 8, 9, 10, 11]
    assert shock.within(number, (Span(0.25, 0.5),), 0.5, 24).sum() == 3
    assert not shock.within(number, (Span(0.25, 0.5),), 0.0, 24).any()
    assert not shock.within(np.arange(2), (Span(0.1, 0.2),), 1.0, 1).any(), "shorter than a bar of a day"


def test_cut_off_lasts_until_the_bar_of_the_low_is_over() -> None:
    def closed(per_day: float) -> list[int]:
        spans = shock.cut_off(DIP, per_day).closed
        return shock.within(np.arange(24), spans, 1.0, per_day).nonzero()[0].tolist()

    assert closed(24) == list(range(12))
    assert closed(5) == [0, 1, 2]
    assert closed(1) == [0]


def test_the_largest_scale_stops_at_nothing() -> None:
    assert laid(flat(24, price=10_000.0), 24, scale=shock.deepest(DIP)).low.min() == pytest.approx(1)
    assert shock.deepest(Scenario("x", "", (Knot(0, 1.0),), 1, 1, (), written_off=Loss.BALANCE)) == 10


def test_bars_past_the_end_go_on_from_the_last_close_and_are_clean() -> None:
    base = random_walk(50, 5)
    more = shock.carried_on(base, 120, HOUR_MS, 2)

    assert more.size == 170
    assert np.array_equal(more.close[:50], base.close)
    assert (np.diff(more.end_ms) == HOUR_MS).all()
    assert more.open[50] == pytest.approx(base.close[-1], rel=0.001)
    assert (more.low <= np.minimum(more.open, more.close)).all()
    assert (more.high >= np.maximum(more.open, more.close)).all()
    assert (more.low > 0).all()
