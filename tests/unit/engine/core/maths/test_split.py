from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.maths.split import NOBODY, split

MONEY = st.decimals(-(10**9), 10**9, places=8)
PARTS = st.dictionaries(st.sampled_from("abcde"), st.floats(-1, 1))


@given(MONEY, PARTS)
def test_the_parts_add_up_to_the_amount_exactly(amount: Decimal, parts: dict[str, float]) -> None:
    assert sum(split(amount, parts).values(), Decimal(0)) == amount


@given(st.decimals(-(10**6), 10**6, places=12), st.lists(st.floats(0.01, 1), min_size=1, max_size=6))
def test_also_an_amount_that_is_finer_than_the_quantum_is_split_without_rest(
    amount: Decimal, parts: list[float]
) -> None:
    shares = split(amount, {f"v{n}": part for n, part in enumerate(parts)}, quantum=Decimal("0.01"))

    assert sum(shares.values(), Decimal(0)) == amount


def test_who_voted_against_a_trade_that_earned_is_charged() -> None:
    shares = split(Decimal(40), {"momentum": 0.5, "reversion": -0.1})

    assert shares == {"momentum": Decimal(50), "reversion": Decimal(-10)}


def test_a_short_that_lost_is_charged_to_those_who_wanted_it() -> None:
    shares = split(Decimal(-40), {"momentum": -0.5, "reversion": 0.1})

    assert shares == {"momentum": Decimal(-50), "reversion": Decimal(10)}


def test_the_rest_of_the_rounding_goes_to_the_largest() -> None:
    shares = split(Decimal("1.00"), {"a": 0.3, "b": 0.3, "c": 0.3000001}, Decimal("0.01"))

    assert shares == {"a": Decimal("0.33"), "b": Decimal("0.33"), "c": Decimal("0.34")}


@pytest.mark.parametrize("parts", [{}, {"a": 0.2, "b": -0.2}, {"a": 0.1, "b": 0.2, "c": -0.3}])
def test_parts_that_explain_nothing_leave_it_to_nobody(parts: dict[str, float]) -> None:
    assert split(Decimal(7), parts) == {NOBODY: Decimal(7)}
