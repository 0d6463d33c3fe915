"""Identifiers: short, plain, in time order, and functions of what they name."""

import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from engine.core.domain.ids import cycle_id, decision_id, epoch_ms, fill_id, from_epoch_ms, order_id, time36

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(5000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive by contract
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_/\-.]{0,31}", fullmatch=True)
FRAMES = st.sampled_from(["1m", "1h", "1d"])


@given(NAMES, FRAMES, MOMENTS, NAMES, st.sampled_from("estxm"))
def test_an_order_id_is_short_and_plain_and_repeats_itself(
    desk: str, frame: str, close: datetime, instrument: str, leg: str
) -> None:
    decision = decision_id(cycle_id(desk, frame, close), instrument)
    order = order_id(decision, leg)

    assert re.fullmatch(r"[a-z0-9]{1,32}", order)
    assert order == order_id(decision_id(cycle_id(desk, frame, close), instrument), leg)
    assert order[2:11] == time36(close)


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_a_venue_calls_a_trade_its_fill_has_a_plain_id(order: str, trade: str) -> None:
    assert len(fill_id(order, trade)) <= 24


@given(MOMENTS, MOMENTS)
def test_times_sort_as_their_ids_do(one: datetime, other: datetime) -> None:
    order = (epoch_ms(one) > epoch_ms(other)) - (epoch_ms(one) < epoch_ms(other))

    assert (time36(one) > time36(other)) - (time36(one) < time36(other)) == order


@given(st.integers(0, 10**14))
def test_milliseconds_survive_the_way_to_a_moment_and_back(ms: int) -> None:
    assert epoch_ms(from_epoch_ms(ms)) == ms
