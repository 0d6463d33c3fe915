from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from engine.core.domain.errors import BadData
from engine.core.domain.market import Bar, BarArrays
from tests.builders import CLOSE

GOOD: dict[str, Any] = {
    "instrument": "SP500",
    "end": CLOSE,
    "open": Decimal(10),
    "high": Decimal(12),
    "low": Decimal(9),
    "close": Decimal(11),
    "volume": Decimal(0),
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"end": datetime(2008, 10, 15)}, "timezone-aware"),  # noqa: DTZ001 - that is what is wrong with it
        ({"low": Decimal(0)}, "positive"),
        ({"low": Decimal(-1)}, "positive"),
        ({"high": Decimal("10.9")}, "does not hold"),
        ({"low": Decimal("10.1")}, "does not hold"),
        ({"open": Decimal("12.1")}, "does not hold"),
        ({"close": Decimal("8.9")}, "does not hold"),
        ({"volume": Decimal(-1)}, "negative"),
    ],
)
def test_an_impossible_bar_cannot_be_made(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BadData, match=said):
        Bar(**(GOOD | changed))


def test_a_bar_without_movement_or_volume_is_a_bar() -> None:
    still = dict.fromkeys(("open", "high", "low", "close"), Decimal(10))

    assert Bar(**(GOOD | still)).volume == 0


def test_arrays_are_cut_from_the_end_without_running_out() -> None:
    column = np.arange(5.0)
    bars = BarArrays(np.arange(5), *[column] * 5)

    assert bars.tail(2).close.tolist() == [3.0, 4.0]
    assert bars.tail(9).size == bars.size == 5
    assert bars.slice(1, 3).end_ms.tolist() == [1, 2]
