"""One number for what is kept, and the way back from a loss to a shock."""

import pytest

from engine.core.analytics.resilience import points, score, smallest


def test_points_fall_from_a_hundred_to_none_at_half_of_the_money() -> None:
    assert [points(loss) for loss in (-0.1, 0.0, 0.05, 0.25, 0.5, 2.9)] == [100, 100, 90, 50, 0, 0]


def test_the_score_is_the_mean_of_the_points() -> None:
    assert score([0.0, 0.05, 1.0]) == pytest.approx((100 + 90 + 0) / 3)
    assert score([]) is None


def test_the_smallest_shock_is_found_to_the_precision_asked_for() -> None:
    found = smallest(lambda scale: scale**2 / 4, (0.04, 0.1, 0.5, 1.1), 2.0, precision=0.001)

    assert [reach.scale for reach in found[:3]] == pytest.approx([0.4, 0.4**0.5, 2**0.5], abs=0.002)
    assert found[3].scale is None
    assert all(reach.rising for reach in found)


def test_a_loss_that_falls_with_a_deeper_shock_is_said() -> None:
    found = smallest(lambda scale: 0.2 if 0.9 < scale < 1.1 else 0.0, (0.1,), 2.0)

    assert found[0].scale == pytest.approx(0.9, abs=0.03)
    assert not found[0].rising
