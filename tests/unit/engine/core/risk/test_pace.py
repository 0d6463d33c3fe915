from datetime import timedelta

import pytest

from configs.schema.risk import RiskSettings
from engine.core.risk.pace import too_fast
from tests.builders import CLOSE

LIMITS = RiskSettings(max_requests_per_second=5, max_requests_per_minute=60, max_requests_per_day=500)


@pytest.mark.parametrize(
    ("sent", "ago", "key"),
    [
        (3, timedelta(0), ""),
        (4, timedelta(0), "second"),
        (4, timedelta(seconds=1), ""),
        (47, timedelta(seconds=2), ""),
        (48, timedelta(seconds=2), "minute"),
        (48, timedelta(minutes=1), ""),
        (399, timedelta(hours=2), ""),
        (400, timedelta(hours=2), "day"),
        (400, timedelta(days=1), ""),
    ],
)
def test_a_fifth_of_each_rate_is_kept_for_cancels_and_exits(sent: int, ago: timedelta, key: str) -> None:
    said = too_fast([CLOSE - ago] * sent, CLOSE, LIMITS)

    assert said.endswith(f"(risk.max_requests_per_{key})") if key else said == ""


def test_only_what_left_lately_counts() -> None:
    sent = [CLOSE - timedelta(days=2)] * 1000 + [CLOSE - timedelta(seconds=30)] * 5 + [CLOSE] * 3

    assert too_fast(sent, CLOSE, LIMITS) == ""


def test_where_one_request_is_allowed_an_entry_may_be_it() -> None:
    assert too_fast([], CLOSE, RiskSettings(max_requests_per_second=1)) == ""
