import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.labels.weights import clear_of, uniqueness, walk_forward

spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8)), min_size=1, max_size=30).map(
    lambda pairs: (np.array([a for a, _ in pairs]), np.array([a + b for a, b in pairs]))
)


def test_the_example_of_the_book() -> None:
    found = uniqueness(np.array([0, 2, 4]), np.array([2, 3, 5]))

    assert found == pytest.approx([5 / 6, 3 / 4, 1.0], abs=1e-12)


def test_no_spans_have_no_weights() -> None:
    assert uniqueness(np.array([], dtype=np.int64), np.array([], dtype=np.int64)).size == 0


@given(spans)
def test_uniqueness_is_the_mean_share_of_each_bar(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    start, end = pairs
    alive = [int(((start <= bar) & (bar <= end)).sum()) for bar in range(60)]

    expected = [np.mean([1 / alive[bar] for bar in range(a, b + 1)]) for a, b in zip(start, end, strict=True)]

    assert uniqueness(start, end) == pytest.approx(expected, abs=1e-12)


@given(spans, st.integers(0, 40), st.integers(0, 10), st.integers(0, 5))
def test_purged_spans_are_those_that_touch_the_test_block_or_follow_too_closely(
    pairs: tuple[np.ndarray, np.ndarray], first: int, length: int, embargo: int
) -> None:
    start, end = pairs
    last = first + length

    kept = clear_of(start, end, first, last, embargo)

    for a, b, allowed in zip(start, end, kept, strict=True):
        touches = bool(set(range(a, b + 1)) & set(range(first, last + 1)))
        follows = last < a <= last + embargo
        assert allowed == (not touches and not follows)


def test_spans_that_share_one_bar_with_the_test_block_are_purged() -> None:
    assert clear_of(np.array([0, 8]), np.array([5, 9]), 5, 8, 0).tolist() == [False, False]


@given(spans, st.integers(2, 6), st.integers(0, 4))
def test_a_walk_forward_never_learns_from_what_it_is_judged_by(
    pairs: tuple[np.ndarray, np.ndarray], folds: int, embargo: int
) -> None:
    start, end = pairs
    judged = np.zeros(start.size, dtype=int)
    for fold in walk_forward(start, end, folds, embargo):
        judged += fold.test
        assert fold.test.any()
        if fold.train.any():
            assert end[fold.train].max() + embargo < start[fold.test].min()
        earlier = int((start < start[fold.test].min()).sum())
        assert fold.purged + int(fold.train.sum()) == earlier
    assert judged.max() <= 1, "each row is predicted once at most"
