"""What every feature promises, whatever it measures."""

from functools import cache

import numpy as np
import pytest

from engine.core.domain.market import BarArrays
from engine.core.features.build import build_matrix, build_row, build_rows
from engine.core.features.feature import Feature
from engine.core.features.registry import FEATURES, NAMES, VERSION, WARM_UP, feature_set_version
from engine.core.features.workings import Workings

DAY = 86_400_000
LENGTH = 1500
CUTS = (700, 885, 912, 1190, 1226, 1263)  # whole, in halts, and some bars after them
SERIES = ("coin", "index", "ticks", "halts", "flat", "quiet", "ladder", "no_volume")

every_feature = pytest.mark.parametrize("feature", FEATURES, ids=NAMES)


def walk(start: float, volatility: float, seed: int, n: int = LENGTH) -> BarArrays:
    """Bars of a fat-tailed random walk whose volatility rises and falls threefold."""
    draw = np.random.default_rng(seed)
    size = volatility * (1.0 + 0.5 * np.sin(np.arange(n) / 97.0))
    close = start * np.exp(np.cumsum(draw.standard_t(4, n) * size))
    open_ = np.concatenate(([start], close[:-1])) * np.exp(draw.normal(0.0, size / 4))
    high = np.maximum(open_, close) * np.exp(np.abs(draw.normal(0.0, size / 2)))
    low = np.minimum(open_, close) * np.exp(-np.abs(draw.normal(0.0, size / 2)))
    volume = draw.lognormal(8.0, 1.0, n)
    return BarArrays(np.arange(n, dtype=np.int64) * DAY + 5 * 3_600_000, open_, high, low, close, volume)


def on_ticks(bars: BarArrays, tick: float) -> BarArrays:
    """The same with prices on a coarse grid, where equal values and dead heats are common."""
    o, h, low, c = (np.round(column / tick) * tick for column in bars[1:5])
    return BarArrays(bars.end_ms, o, h, low, c, np.ceil(bars.volume / 500.0))


def halted(bars: BarArrays, *pauses: tuple[int, int]) -> BarArrays:
    """The same, but during each pause nothing trades and the price stands still."""
    columns = [column.copy() for column in bars]
    for start, stop in pauses:
        for column in columns[1:5]:
            column[start:stop] = bars.close[start - 1]
        columns[5][start:stop] = 0.0
    return BarArrays(*columns)


@cache
def series(name: str) -> BarArrays:
    n = np.arange(LENGTH, dtype=np.float64)
    if name == "coin":
        return walk(1e-4, 0.03, seed=1)
    if name == "index":
        return walk(1e5, 0.008, seed=2)
    if name == "ticks":
        return on_ticks(walk(40.0, 0.002, seed=3), 0.05)
    if name == "halts":
        return halted(walk(7.0, 0.02, seed=4), (650, 690), (800, 905), (1050, 1260))
    if name == "flat":
        return halted(walk(1.37, 0.02, seed=5), (1, LENGTH))
    if name == "quiet":
        return walk(1.1, 1e-4, seed=6)
    if name == "no_volume":
        return walk(1.3, 0.005, seed=7)._replace(volume=np.zeros(LENGTH))
    climb = 10.0 * 1.001**n  # every bar one tenth of a percent above the last
    return BarArrays(
        (n * DAY).astype(np.int64), climb / 1.0005, climb * 1.001, climb / 1.001, climb, np.full(LENGTH, 7.0)
    )


@cache
def matrix(name: str) -> np.ndarray:
    return build_matrix(series(name))


@cache
def other_matrix(name: str, change: str) -> np.ndarray:
    bars = series(name)
    if change == "scaled":
        prices = (column * 1000.0 for column in bars[1:5])
        return build_matrix(BarArrays(bars.end_ms, *prices, bars.volume * 1e6))
    if change == "future":
        noise = walk(3.0, 0.05, seed=99)
        mixed = [np.concatenate((a[:1000], b[1000:])) for a, b in zip(bars, noise, strict=True)]
        return build_matrix(BarArrays(*mixed))
    kind, cut = change.split(":")
    return build_matrix(
        bars.slice(0, int(cut)) if kind == "prefix" else bars.slice(int(cut) - WARM_UP, int(cut))
    )


def assert_same(name: str, column: int, found: np.ndarray, wanted: np.ndarray) -> None:
    """Equal to 1e-9 of the value, or of the feature's usual size where the value happens to be near zero.

    Where a feature is zero throughout, the last digit of a price (1e-12 in any unit here) is zero too.
    """
    usual = float(np.sqrt(np.nanmean(matrix(name)[:, column] ** 2)))
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=max(1e-9 * usual, 1e-12), err_msg=name)


@every_feature
@pytest.mark.parametrize("name", SERIES)
def test_a_value_is_the_same_whether_or_not_later_bars_exist(feature: Feature, name: str) -> None:
    column = NAMES.index(feature.name)
    for cut in CUTS:
        part = other_matrix(name, f"prefix:{cut}")[-1, column]
        assert_same(name, column, part, matrix(name)[cut - 1, column])


@every_feature
@pytest.mark.parametrize("name", SERIES)
def test_a_value_from_the_live_window_is_that_of_the_whole_series(feature: Feature, name: str) -> None:
    column = NAMES.index(feature.name)
    for cut in CUTS:
        tail = other_matrix(name, f"tail:{cut}")[-1, column]
        assert_same(name, column, tail, matrix(name)[cut - 1, column])


@every_feature
@pytest.mark.parametrize("name", SERIES)
def test_its_own_warm_up_is_all_the_history_a_feature_needs(feature: Feature, name: str) -> None:
    column, short = NAMES.index(feature.name), feature.warm_up
    for cut in CUTS:
        found = feature_alone(feature, series(name).slice(cut - short, cut))
        assert_same(name, column, found[-1], matrix(name)[cut - 1, column])


def feature_alone(feature: Feature, bars: BarArrays) -> np.ndarray:
    with np.errstate(all="ignore"):
        return feature.function(Workings(bars))


@every_feature
def test_its_warm_up_is_enough_at_any_distance_from_a_halt(feature: Feature) -> None:
    # averages fade during a halt: what a shorter history got wrong weighs the more, the longer the halt lasts
    column, short = NAMES.index(feature.name), feature.warm_up
    for cut in range(LENGTH, WARM_UP, -9):
        found = feature_alone(feature, series("halts").slice(cut - short, cut))
        assert_same("halts", column, found[-1], matrix("halts")[cut - 1, column])


# Averages that never forget have a warm-up by tolerance; the others listed take the first bar as one without a change.
EARLY: tuple[str, ...] = (
    "ema_",
    "macd_",
    "trix_",
    "plus_di_",
    "minus_di_",
    "adx_",
    "rsi_",
    "atr_",
    "keltner_",
    "gap_",
)
EARLY += ("donchian_break_", "streak", "mfi_")


@pytest.mark.parametrize(
    "feature", [f for f in FEATURES if not f.name.startswith(EARLY)], ids=lambda f: f.name
)
def test_a_feature_of_a_window_has_no_value_one_bar_before_its_warm_up(feature: Feature) -> None:
    found = feature_alone(feature, series("index").slice(0, feature.warm_up))
    assert np.isfinite(found[-1])
    assert not np.isfinite(found[:-1]).any()


@every_feature
def test_noise_in_the_future_changes_nothing_in_the_past(feature: Feature) -> None:
    column = NAMES.index(feature.name)
    np.testing.assert_array_equal(
        other_matrix("index", "future")[:1000, column], matrix("index")[:1000, column]
    )


@every_feature
@pytest.mark.parametrize("name", SERIES)
def test_neither_the_unit_of_price_nor_that_of_volume_matters(feature: Feature, name: str) -> None:
    column = NAMES.index(feature.name)
    assert_same(name, column, other_matrix(name, "scaled")[:, column], matrix(name)[:, column])


@every_feature
@pytest.mark.parametrize("name", SERIES)
def test_a_feature_is_unknown_before_its_warm_up_and_finite_ever_after(feature: Feature, name: str) -> None:
    values = matrix(name)[:, NAMES.index(feature.name)]
    assert np.isnan(values[: feature.warm_up - 1]).all()
    assert np.isfinite(values[feature.warm_up - 1 :]).all()


@pytest.mark.parametrize("name", SERIES)
def test_live_rows_are_the_last_rows_of_the_matrix(name: str) -> None:
    bars = series(name)
    for found, wanted in zip(build_rows(bars, 4), matrix(name)[-4:], strict=True):
        for column, feature in enumerate(NAMES):
            assert_same(name, column, np.float64(found[feature]), wanted[column])


def test_a_live_row_looks_at_no_more_than_the_warm_up() -> None:
    bars = series("index")
    assert build_row(bars) == build_row(bars.tail(WARM_UP))


@pytest.mark.parametrize("n", [0, 1, 2, 30, 300, WARM_UP - 1])
def test_too_few_bars_give_unknown_values_not_errors(n: int) -> None:
    bars = series("index").slice(0, n)
    whole = build_matrix(bars)
    assert whole.shape == (n, len(FEATURES))
    assert len(build_rows(bars, 3)) == min(3, n)
    for found, wanted in zip(build_rows(bars, 3), whole[-3:], strict=True):
        np.testing.assert_allclose(list(found.values()), wanted, rtol=1e-9, atol=1e-9)


def test_building_changes_no_bar() -> None:
    bars = walk(100.0, 0.01, seed=8, n=600)
    before = [column.copy() for column in bars]
    build_matrix(bars)
    build_row(bars)
    for column, copy in zip(bars, before, strict=True):
        np.testing.assert_array_equal(column, copy)


def test_the_list_is_whole_and_free_of_doubles() -> None:
    assert 100 <= len(FEATURES) <= 130
    assert len(set(NAMES)) == len(NAMES)
    assert WARM_UP <= 600
    assert all(set(feature.inputs) <= set(BarArrays._fields) for feature in FEATURES)
    assert all(feature.note and len(feature.note) < 100 for feature in FEATURES)


@every_feature
def test_a_feature_reads_only_the_columns_that_it_names(feature: Feature) -> None:
    bars, other = series("index"), walk(1e5, 0.008, seed=77)
    mixed = BarArrays(
        *(
            getattr(bars, name) if name in feature.inputs else getattr(other, name)
            for name in BarArrays._fields
        )
    )
    mixed = mixed._replace(end_ms=bars.end_ms + (0 if "end_ms" in feature.inputs else 7 * 3_600_000))
    np.testing.assert_array_equal(feature_alone(feature, mixed), feature_alone(feature, bars))


def test_the_version_follows_the_definitions() -> None:
    assert len(feature_set_version()) == 12
    assert feature_set_version() == feature_set_version()
    assert VERSION >= 1
