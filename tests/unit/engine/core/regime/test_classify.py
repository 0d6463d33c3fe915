import msgspec
import numpy as np
import pytest

from configs.schema.regime import RegimeSettings
from engine.core.domain.regime import REGIMES
from engine.core.regime.classify import HISTORY, INPUTS, classify_last, classify_series
from engine.core.regime.persistence import UNKNOWN, confirm

SETTINGS = RegimeSettings()
CALM = {
    "trend_t_60": 0.0,
    "trend_t_20": 0.0,
    "adx_14": 15.0,
    "vol_rank_250": 0.3,
    "ret_5": 0.5,
    "vol_cc_60": 0.01,
    "drawdown_60": -2.0,
}
CRASH = {"ret_5": -8.0, "drawdown_60": -12.0}
MARKETS = {
    "strong_up": {"trend_t_60": 20.0, "trend_t_20": 9.0, "adx_14": 35.0},
    "weak_up": {"trend_t_60": 9.0, "trend_t_20": 1.0},
    "strong_down": {"trend_t_60": -20.0, "trend_t_20": -9.0, "adx_14": 35.0},
    "weak_down": {"trend_t_60": -9.0, "trend_t_20": 1.0},
    "quiet_range": {},
    "volatile_range": {"vol_rank_250": 0.9},
    "crash": CRASH,
}


def market(**values: float) -> dict[str, float]:
    return CALM | values


def label(*rows: dict[str, float]) -> str:
    found = classify_last(rows, SETTINGS)
    assert found is not None
    return found.label


@pytest.mark.parametrize(("name", "values"), MARKETS.items())
def test_each_regime_is_named_when_its_conditions_hold(name: str, values: dict[str, float]) -> None:
    found = classify_last([market(**values)] * 4, SETTINGS)
    assert found is not None
    assert (found.label, found.previous) == (name, name)
    assert max(found.scores, key=found.scores.__getitem__) == name
    assert sum(found.scores.values()) == pytest.approx(1.0)
    assert tuple(found.scores) == REGIMES


@pytest.mark.parametrize(
    ("wanted", "values"),
    [
        ("weak_up", MARKETS["strong_up"] | {"adx_14": 24.9}),
        ("strong_up", MARKETS["strong_up"] | {"adx_14": 25.0}),
        ("weak_up", MARKETS["strong_up"] | {"trend_t_20": 3.9}),
        ("weak_up", MARKETS["strong_up"] | {"trend_t_60": 11.9}),
        ("quiet_range", MARKETS["strong_up"] | {"trend_t_20": -4.1}),
        ("weak_up", {"trend_t_60": 6.0}),
        ("quiet_range", {"trend_t_60": 5.9}),
        ("weak_down", {"trend_t_60": -6.0}),
        ("volatile_range", {"vol_rank_250": 0.6}),
        ("quiet_range", {"vol_rank_250": 0.59}),
        ("crash", MARKETS["strong_up"] | CRASH),
        ("quiet_range", {"ret_5": -8.0, "drawdown_60": -7.0}),
        ("quiet_range", {"ret_5": -5.0, "drawdown_60": -12.0}),
        ("quiet_range", CRASH | {"vol_cc_60": 0.0}),
    ],
)
def test_the_thresholds_are_where_the_settings_put_them(wanted: str, values: dict[str, float]) -> None:
    assert label(market(**values)) == wanted


def test_a_regime_counts_when_seen_twice_in_three_bars() -> None:
    up, down = market(**MARKETS["weak_up"]), market(**MARKETS["weak_down"])
    assert label(up, up, down) == "weak_up"
    assert label(up, down, down) == "weak_down"
    assert label(down, up, down) == "weak_down"


def test_when_all_three_differ_the_largest_sum_of_scores_wins() -> None:
    down = market(trend_t_60=-9.0)
    quiet, volatile = market(trend_t_60=-5.5, vol_rank_250=0.55), market(trend_t_60=-5.5, vol_rank_250=0.65)
    assert [label(row) for row in (down, quiet, volatile)] == ["weak_down", "quiet_range", "volatile_range"]
    assert label(down, quiet, volatile) == "weak_down"
    assert label(quiet, volatile, down) == "weak_down"
    # what none of the three was named cannot win, however close it came
    near_up = [market(trend_t_60=5.9), market(trend_t_60=5.9, vol_rank_250=0.9), market(trend_t_60=-9.0)]
    assert label(*near_up) in ("quiet_range", "volatile_range", "weak_down")


def test_a_crash_counts_at_once_and_leaves_like_any_other() -> None:
    up, crash = market(**MARKETS["weak_up"]), market(**CRASH)
    assert label(up, up, crash) == "crash"
    assert label(up, crash, up) == "weak_up"
    assert label(crash, crash, up) == "crash"


def test_the_regime_before_is_the_confirmed_one_of_the_bar_before() -> None:
    up, down = market(**MARKETS["weak_up"]), market(**MARKETS["weak_down"])
    found = classify_last([up, up, down, down], SETTINGS)
    assert found is not None
    assert (found.label, found.previous) == ("weak_down", "weak_up")


def columns(n: int, seed: int) -> dict[str, np.ndarray]:
    """Features that wander over all regimes, with some bars unknown."""
    draw = np.random.default_rng(seed)
    slow = {
        name: np.repeat(draw.normal(size=-(-n // 4)), 4)[:n] + 0.3 * draw.normal(size=n) for name in INPUTS
    }
    found = {
        "trend_t_60": 10.0 * slow["trend_t_60"],
        "trend_t_20": 6.0 * slow["trend_t_60"] + 3.0 * slow["trend_t_20"],
        "adx_14": 25.0 + 12.0 * slow["adx_14"],
        "vol_rank_250": 1 / (1 + np.exp(-2.0 * slow["vol_rank_250"])),
        "ret_5": 3.0 * slow["ret_5"],
        "vol_cc_60": 0.01 * np.exp(0.2 * slow["vol_cc_60"]),
        "drawdown_60": -6.0 * np.abs(slow["drawdown_60"]) + 3.0 * np.minimum(slow["ret_5"], 0.0),
    }
    found["adx_14"][:30] = np.nan
    found["ret_5"][50] = np.nan
    return found


def test_one_bar_at_a_time_and_the_whole_series_agree_on_every_bar() -> None:
    given = columns(600, seed=5)
    labels, scores = classify_series(given, SETTINGS)
    assert set(labels.tolist()) == {UNKNOWN, *range(7)}
    for t in range(600):
        rows = [{n: float(given[n][i]) for n in INPUTS} for i in range(max(0, t + 1 - HISTORY), t + 1)]
        found = classify_last(rows, SETTINGS)
        if labels[t] == UNKNOWN:
            assert found is None
            continue
        assert found is not None
        assert found.label == REGIMES[labels[t]]
        assert list(found.scores.values()) == scores[t].tolist()
        if t and labels[t - 1] != UNKNOWN:
            assert found.previous == REGIMES[labels[t - 1]]


def test_the_rule_read_as_a_list_names_the_regime_with_the_largest_score() -> None:
    given = columns(2000, seed=6)
    s = SETTINGS
    _, scores = classify_series(given, s)
    for t in range(100, 2000):
        trend, recent, adx, rank, ret, vol, drawdown = (float(given[name][t]) for name in INPUTS)
        usual = 100 * vol
        if ret <= -s.crash_sigmas * usual * 5**0.5 and drawdown <= -s.crash_depth * usual * 60**0.5:
            wanted = "crash"
        elif abs(trend) >= s.strong_t and recent * np.sign(trend) >= s.confirm_t and adx >= s.strong_adx:
            wanted = "strong_up" if trend > 0 else "strong_down"
        elif abs(trend) >= s.weak_t and recent * np.sign(trend) >= -s.confirm_t:
            wanted = "weak_up" if trend > 0 else "weak_down"
        else:
            wanted = "volatile_range" if rank >= s.volatile_rank else "quiet_range"
        assert REGIMES[int(np.argmax(scores[t]))] == wanted, t


def test_scores_add_up_to_one_and_are_unknown_where_a_feature_is() -> None:
    given = columns(600, seed=7)
    labels, scores = classify_series(given, SETTINGS)
    known = labels != UNKNOWN
    np.testing.assert_allclose(scores[known].sum(axis=1), 1.0, rtol=1e-12)
    assert (scores[known] >= 0.0).all()
    assert np.isnan(scores[~known]).all()
    assert np.flatnonzero(~known).tolist() == [*range(30), 50]


def test_confirmation_looks_back_three_bars_and_never_ahead() -> None:
    given = columns(300, seed=8)
    labels, _ = classify_series(given, SETTINGS)
    for cut in (60, 151, 299):
        part, _ = classify_series({name: column[:cut] for name, column in given.items()}, SETTINGS)
        np.testing.assert_array_equal(part, labels[:cut])
        tail, _ = classify_series({name: column[cut - 3 : cut] for name, column in given.items()}, SETTINGS)
        assert tail[-1] == labels[cut - 1]


def test_nothing_in_gives_nothing_out() -> None:
    assert classify_last([], SETTINGS) is None
    empty = {name: np.empty(0) for name in INPUTS}
    labels, scores = classify_series(empty, SETTINGS)
    assert (labels.shape, scores.shape) == ((0,), (0, 7))
    assert confirm(np.array([UNKNOWN], dtype=np.int8), np.full((1, 7), np.nan)).tolist() == [UNKNOWN]


def test_other_thresholds_give_other_names() -> None:
    rows = [market(**MARKETS["weak_up"])]
    strict = msgspec.structs.replace(SETTINGS, weak_t=10.0)
    found = classify_last(rows, strict)
    assert found is not None
    assert found.label == "quiet_range"


@pytest.mark.parametrize(
    "text", ['{"weak_t": 13}', '{"softness": 0}', '{"volatile_rank": 1}', '{"unknown": 1}']
)
def test_thresholds_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=RegimeSettings)
