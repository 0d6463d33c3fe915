import math

import pytest

from configs.schema.decision import AlphaSettings
from engine.core.alpha import breakout, mean_reversion, momentum, predicted, trend
from engine.core.domain.signal import Prediction
from tests.core_builders import features

SETTINGS = AlphaSettings()


def test_momentum_is_the_mean_of_three_spans_in_units_of_a_random_walk() -> None:
    walk = {"vol_cc_60": 0.01, "ret_60": 100 * 0.01 * 60**0.5, "ret_120": 0.0, "ret_250": 0.0}

    assert momentum.signal(walk, SETTINGS).score == pytest.approx(1 / 3 / SETTINGS.momentum_full)


def test_momentum_says_nothing_of_a_market_that_does_not_move() -> None:
    assert momentum.signal(features(volatility=0.0), SETTINGS).score == 0.0


def test_mean_reversion_leans_against_the_stretch() -> None:
    stretched = mean_reversion.signal({"zscore_20": SETTINGS.reversion_full / 2}, SETTINGS)

    assert stretched.score == pytest.approx(-0.5)


def test_the_moving_average_trend_is_forty_times_the_spread() -> None:
    assert trend.signal({"sma_ratio_20_50": 1.25}, SETTINGS).score == pytest.approx(40 * 0.0125)


def test_a_breakout_is_measured_in_ranges() -> None:
    assert breakout.signal({"donchian_break_20": 0.0}, SETTINGS).score == 0.0
    assert breakout.signal({"donchian_break_20": -0.4}, SETTINGS).score == pytest.approx(-0.4)


@pytest.mark.parametrize("alpha", [momentum, mean_reversion, trend, breakout])
@pytest.mark.parametrize("lean", [-100.0, 100.0])
def test_conviction_ends_at_one(alpha: object, lean: float) -> None:
    signal = alpha.signal(features(lean), SETTINGS)  # type: ignore[attr-defined]

    assert abs(signal.score) == 1.0
    assert signal.inputs.items() <= features(lean).items()


@pytest.mark.parametrize("alpha", [mean_reversion, trend, breakout])
def test_a_reading_that_is_not_a_number_is_no_opinion(alpha: object) -> None:
    blind = dict.fromkeys(features(), math.nan)

    assert alpha.signal(blind, SETTINGS).score == 0.0  # type: ignore[attr-defined]


def said(*answers: float | None) -> list[Prediction]:
    return [Prediction(f"m{n}", "hash", answer) for n, answer in enumerate(answers)]


def test_served_models_speak_with_their_mean() -> None:
    signal = predicted.signal(said(0.6, 0.7), SETTINGS)

    assert signal is not None
    assert signal.score == pytest.approx(4 * 0.15)
    assert {"m0": 0.6, "m1": 0.7}.items() <= signal.inputs.items()


def test_what_a_model_said_raw_is_read_but_does_not_count() -> None:
    signal = predicted.signal(
        [Prediction("m", "hash", 0.55, raw=0.8), Prediction("n", "hash", 0.45)], SETTINGS
    )

    assert signal is not None
    assert signal.score == 0.0
    assert signal.inputs == {"m": 0.55, "m raw": 0.8, "n": 0.45}


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -0.1, 1.1])
def test_what_is_no_probability_is_not_heard(nothing: float | None) -> None:
    assert predicted.signal(said(nothing), SETTINGS) is None
    assert predicted.signal(said(nothing, 0.6), SETTINGS) == predicted.signal(
        [Prediction("m1", "hash", 0.6)], SETTINGS
    )


def test_without_models_nobody_speaks_for_them() -> None:
    assert predicted.signal([], SETTINGS) is None
