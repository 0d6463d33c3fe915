from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from explain.units import UNITS, write


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.72, "share", "72 %"),
        (0.6498, "share", "64.98 %"),
        (0.00123, "share", "0.123 %"),
        (0.0, "share", "0 %"),
        (1e9, "share", "more than any limit"),
        (0.0686, "points", "6.86 points"),
        (-0.0363, "change", "-3.63 %"),
        (0.0363, "change", "+3.63 %"),
        (Decimal("1240.1"), "price", "1,240.10"),
        (Decimal("1.23456"), "price", "1.23456"),
        (Decimal("0.00001234"), "price", "0.00001234"),
        (Decimal("-2216.31874576"), "gain", "-2,216.32"),
        (Decimal("-0.001"), "gain", "0.00"),
        (Decimal("12.500"), "units", "12.5"),
        (-0.2501, "score", "-0.250"),
        (-0.00001, "score", "0.000"),
        (12.4, "reading", "+12.4"),
        (-0.0012346, "reading", "-0.001235"),
        (float("nan"), "reading", "unknown"),
        (1.0, "bars", "1 bar"),
        (40, "bars", "40 bars"),
        (1_000_000, "bars", "no bar so far"),
        (2.0, "state", "active"),
        (1.0, "yes", "yes"),
        (datetime(2008, 10, 15, 21, tzinfo=UTC), "when", "15 Oct 2008 21:00 UTC"),
        (datetime(2008, 10, 16, tzinfo=UTC), "when", "15 Oct 2008 24:00 UTC"),
        ("mean_reversion", "name", "mean reversion"),
        ("two\nlines\x00", "words", "two lines"),
        ("say “no”", "quoted", "“say 'no'”"),
    ],
)
def test_each_unit_is_written_in_one_way(value: Any, unit: str, text: str) -> None:
    assert write(value, unit) == text


def test_what_people_wrote_is_cut_where_it_grows_long() -> None:
    assert len(UNITS["words"]("x" * 5000)) <= 160
