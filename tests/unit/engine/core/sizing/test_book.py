import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.sizing.book import Holding, book_room

LIMIT, VAR = 0.03, 0.05
moves = st.one_of(st.none(), st.floats(-1, 1))
books = st.lists(
    st.builds(Holding, st.sampled_from([1, -1]), st.floats(0, 0.02), moves), min_size=1, max_size=4
)


def loss_with(held: list[Holding], sign: int, share: float) -> float:
    """Of the whole book, written out: what is held falls together, and beside it the new position."""
    before, new = sum(one.var for one in held), share * VAR
    beside = sum(
        one.var * (1 if one.correlation is None else one.sign * sign * one.correlation) for one in held
    )
    return math.sqrt(max(0.0, before**2 + new**2 + 2 * beside * new))


@given(books, st.sampled_from([1, -1]))
def test_the_room_is_where_the_book_meets_its_limit(held: list[Holding], sign: int) -> None:
    room = book_room(held, sign, VAR, LIMIT)

    if sum(one.var for one in held) > LIMIT:
        assert room == 0
    else:
        assert loss_with(held, sign, room) == pytest.approx(LIMIT, rel=1e-6)
        assert loss_with(held, sign, room * 1.01 + 1e-9) > LIMIT


@given(books, st.floats(-1, 1), st.floats(-1, 1))
def test_the_more_it_moves_with_the_rest_the_smaller_it_is(
    held: list[Holding], one: float, other: float
) -> None:
    more, less = max(one, other), min(one, other)
    long = [holding._replace(sign=1) for holding in held]

    together = book_room([holding._replace(correlation=more) for holding in long], 1, VAR, LIMIT)
    apart = book_room([holding._replace(correlation=less) for holding in long], 1, VAR, LIMIT)
    unknown = book_room([holding._replace(correlation=None) for holding in long], 1, VAR, LIMIT)

    assert unknown - 1e-12 <= together <= apart + 1e-12


def test_a_loss_below_zero_is_no_figure_and_leaves_no_room() -> None:
    assert book_room([Holding(1, -0.8, 0.0)], 1, VAR, LIMIT) == 0


def test_what_wins_when_the_rest_loses_leaves_more_room() -> None:
    held = [Holding(1, 0.02, 0.9)]

    assert book_room(held, -1, VAR, LIMIT) > book_room([], 1, VAR, LIMIT) > book_room(held, 1, VAR, LIMIT)


def test_an_unknown_short_is_no_hedge() -> None:
    assert book_room([Holding(-1, 0.02, None)], 1, VAR, LIMIT) == pytest.approx((LIMIT - 0.02) / VAR)


@pytest.mark.parametrize("var", [math.nan, math.inf])
def test_of_a_loss_that_is_no_number_nothing_is_allowed(var: float) -> None:
    assert book_room([Holding(1, 0.01, 0.5)], 1, var, LIMIT) == 0
    assert book_room([Holding(1, var, 0.5)], 1, VAR, LIMIT) == 0


@pytest.mark.parametrize("correlation", [math.nan, 7.0, -7.0])
def test_a_correlation_that_cannot_be_is_unknown(correlation: float) -> None:
    assert book_room([Holding(1, 0.02, correlation)], 1, VAR, LIMIT) == book_room(
        [Holding(1, 0.02, None)], 1, VAR, LIMIT
    )
