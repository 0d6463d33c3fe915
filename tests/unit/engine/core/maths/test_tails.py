import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.maths.rolling import Floats
from engine.core.maths.tails import (
    Pareto,
    historical_rows,
    historical_tail,
    normal_tail,
    pareto_fit,
    pareto_tail,
)

RETURNS = st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=200)


@given(RETURNS, st.sampled_from([0.5, 0.9, 0.95, 0.975, 0.99]))
def test_the_historical_tail_is_numpys_quantile_and_the_mean_below_it(
    returns: list[float], level: float
) -> None:
    values = np.array(returns)

    tail = historical_tail(values, level)

    worst = np.sort(values)[: int((values.size - 1) * (1 - level) + 1e-9) + 1]
    assert tail.var == pytest.approx(-np.quantile(values, 1 - level), abs=1e-9)
    assert tail.es == pytest.approx(-worst.mean(), abs=1e-12)


@given(RETURNS)
def test_the_shortfall_is_never_smaller_than_the_value_at_risk(returns: list[float]) -> None:
    tail = historical_tail(np.array(returns))

    assert tail.es >= tail.var - 1e-12


def test_the_returns_keep_their_order() -> None:
    returns = np.array([0.03, -0.02, 0.01, -0.05])

    historical_tail(returns)

    assert returns.tolist() == [0.03, -0.02, 0.01, -0.05]


def test_a_tail_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one return"):
        historical_tail(np.array([]))


def test_the_normal_tail_has_the_published_multiples() -> None:
    assert normal_tail(0.0, 1.0, 0.95).var == pytest.approx(1.645, abs=5e-4)
    assert normal_tail(0.0, 1.0, 0.95).es == pytest.approx(2.063, abs=5e-4)
    assert normal_tail(0.0, 1.0, 0.99).var == pytest.approx(2.326, abs=5e-4)
    assert normal_tail(0.0, 1.0, 0.975).es == pytest.approx(2.338, abs=5e-4)


def test_a_higher_mean_makes_the_normal_tail_smaller_by_as_much() -> None:
    assert normal_tail(0.01, 0.02).var == pytest.approx(normal_tail(0.0, 0.02).var - 0.01)


# --- extreme values -------------------------------------------------------------------------------


def quantiles(xi: float, beta: float, count: int) -> Floats:
    """A sample as even as a sample can be."""
    rest = 1 - (np.arange(1, count + 1) - 0.35) / count
    return beta * (-np.log(rest) if xi == 0 else (rest**-xi - 1) / xi)


def test_the_danish_fire_losses_have_the_published_tail() -> None:
    tail = pareto_tail(Pareto(0.497, 6.975), threshold=10.0, share=109 / 2167, level=0.99)

    assert tail.var == pytest.approx(27.3, abs=0.05)
    assert tail.es == pytest.approx(58.2, abs=0.1)


@pytest.mark.parametrize("xi", [-0.3, 0.0, 0.2, 0.4])
def test_a_fit_finds_the_tail_that_a_sample_was_made_of(xi: float) -> None:
    fit = pareto_fit(quantiles(xi, 0.02, 20_000))

    assert fit is not None
    assert fit.xi == pytest.approx(xi, abs=0.02)
    assert fit.beta == pytest.approx(0.02, rel=0.02)


def test_a_fit_is_not_far_from_the_likeliest_one() -> None:
    stats = pytest.importorskip("scipy.stats")
    sample = np.random.default_rng(5).pareto(4, 2000) * 0.01

    fit = pareto_fit(sample)
    shape, _, scale = stats.genpareto.fit(sample, floc=0)

    assert fit is not None
    assert fit.xi == pytest.approx(shape, abs=0.06)
    assert fit.beta == pytest.approx(scale, rel=0.06)


@pytest.mark.parametrize("xi", [-0.4, 1e-12, 0.1, 0.6, 0.9])
def test_quantile_and_mean_beyond_it_are_scipys(xi: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    held = stats.genpareto(xi, scale=0.01)

    tail = pareto_tail(Pareto(xi, 0.01), threshold=0.02, share=0.1, level=0.975)

    beyond = held.ppf(0.75)
    above = held.expect(lambda x: x, lb=beyond, ub=held.ppf(1 - 1e-15)) / 0.25 if xi < 0.5 else None
    assert tail.var == pytest.approx(0.02 + beyond, rel=1e-9)
    if above is not None:
        assert tail.es == pytest.approx(0.02 + above, rel=1e-3)


@given(st.lists(st.floats(1e-6, 0.5), min_size=50, max_size=120, unique=True), st.floats(0.01, 100))
def test_the_unit_of_the_losses_changes_the_scale_and_not_the_shape(losses: list[float], unit: float) -> None:
    one, other = pareto_fit(np.array(losses)), pareto_fit(np.array(losses) * unit)

    assert (one is None) is (other is None)
    if one and other:
        assert other.xi == pytest.approx(one.xi, abs=1e-6)
        assert other.beta == pytest.approx(one.beta * unit, rel=1e-6)
        assert one.xi < 1


@pytest.mark.parametrize(
    "exceedances",
    [np.linspace(0.01, 0.2, 49), np.full(60, 0.01), np.append(np.full(59, 1e-300), 1.0), np.zeros(60)],
)
def test_of_too_few_or_of_no_tail_nothing_is_said(exceedances: Floats) -> None:
    assert pareto_fit(exceedances) is None


def test_a_level_inside_the_body_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a level of 0\.8 does not lie beyond a threshold that 0\.1"):
        pareto_tail(Pareto(0.1, 1.0), threshold=0.0, share=0.1, level=0.8)


@given(
    st.lists(RETURNS.filter(lambda rows: len(rows) >= 4).map(lambda rows: rows[:4]), min_size=1, max_size=5)
)
def test_many_rows_have_the_tails_that_each_has_alone(rows: list[list[float]]) -> None:
    var, es = historical_rows(np.array(rows), 0.6)

    for row, (one, mean) in enumerate(zip(var.tolist(), es.tolist(), strict=True)):
        assert (one, mean) == pytest.approx(historical_tail(np.array(rows[row]), 0.6), abs=1e-12)
