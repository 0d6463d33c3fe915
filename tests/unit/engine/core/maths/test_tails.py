import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.maths.tails import historical_tail, normal_tail

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
