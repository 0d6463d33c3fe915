import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.maths.rows import row_maker, rows32


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_a_row_of_features_and_a_row_of_the_matrix_become_the_same_bits(values: list[float]) -> None:
    names = [f"f{number}" for number in range(len(values))]

    served = row_maker(names)(dict(zip(reversed(names), reversed(values), strict=True)))
    trained = rows32(np.asfortranarray(np.array([values, values])))[1:]

    assert served.tobytes() == trained.tobytes()
    assert served.dtype == np.float32


def test_a_missing_feature_is_not_guessed() -> None:
    with pytest.raises(KeyError, match="b"):
        row_maker(("a", "b"))({"a": 1.0})
