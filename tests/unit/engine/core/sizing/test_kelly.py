import pytest

from engine.core.sizing.kelly import continuous_kelly, estimation_shrink


def test_thorps_published_share_of_the_index() -> None:
    """Thorp 2006, section 7: excess return 5 %, deviation 15 % a year."""
    assert continuous_kelly(mean=0.05, variance=0.15**2) == pytest.approx(2.22, abs=0.005)


@pytest.mark.parametrize(("mean", "variance"), [(-0.01, 0.02), (0.0, 0.02), (0.05, 0.0), (0.05, -1.0)])
def test_no_edge_or_no_measure_of_it_is_no_bet(mean: float, variance: float) -> None:
    assert continuous_kelly(mean, variance) == 0.0


def test_a_sharpe_ratio_of_one_half_known_from_five_years_is_believed_to_56_percent() -> None:
    assert estimation_shrink(mean=0.5, variance=1.0, bars=5) == pytest.approx(0.5556, abs=1e-4)


@pytest.mark.parametrize(("variance", "bars"), [(1.0, 0.0), (0.0, 5.0), (1.0, -1.0), (-1.0, 5.0)])
def test_without_evidence_nothing_is_believed(variance: float, bars: float) -> None:
    assert estimation_shrink(0.5, variance, bars) == 0.0


def test_more_evidence_is_believed_more() -> None:
    believed = [estimation_shrink(0.01, 0.0001, bars) for bars in (1, 10, 100, 1000, 1e6)]

    assert believed == sorted(believed)
    assert believed[-1] < 1
