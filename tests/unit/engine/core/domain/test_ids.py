import re
from datetime import UTC, datetime, timedelta

from engine.core.domain.ids import (
    cycle_id,
    decision_id,
    epoch_ms,
    fill_id,
    from_epoch_ms,
    order_id,
    record_id,
    time36,
)

MOMENT = datetime(2008, 10, 15, 21, tzinfo=UTC)


def test_the_same_decision_and_leg_is_the_same_order() -> None:
    decision = decision_id(cycle_id("desk", "1d", MOMENT), "SP500")

    assert order_id(decision, "e") == order_id(decision, "e")
    assert len({order_id(decision, leg) for leg in "estxm"}) == 5


def test_an_order_id_is_one_that_every_venue_takes() -> None:
    decision = decision_id(cycle_id("desk", "1d", MOMENT), "BTC/USDT")

    assert re.fullmatch(r"[a-z0-9]{1,32}", order_id(decision, "s"))


def test_desks_timeframes_closes_and_instruments_are_told_apart() -> None:
    cycles = {
        cycle_id(desk, frame, close)
        for desk in ("a", "b")
        for frame in ("1d", "1h")
        for close in (MOMENT, MOMENT + timedelta(minutes=1))
    }

    assert len(cycles) == 8
    assert len({decision_id(cycle, name) for cycle in cycles for name in ("X", "Y")}) == 16


def test_sorting_by_id_is_sorting_by_time() -> None:
    moments = [datetime(year, 3, 1, tzinfo=UTC) for year in (1970, 1999, 2008, 2026, 2038, 2100, 5000)]

    assert [time36(moment) for moment in moments] == sorted(time36(moment) for moment in moments)


def test_a_moment_survives_the_way_to_milliseconds_and_back() -> None:
    moment = MOMENT + timedelta(milliseconds=123)

    assert from_epoch_ms(epoch_ms(moment)) == moment
    assert from_epoch_ms(epoch_ms(MOMENT)) == MOMENT


def test_a_fill_is_known_by_its_order_and_the_venues_trade() -> None:
    order = order_id("d-0fmb756o0-aa839972", "e")

    assert fill_id(order, "17") == fill_id(order, "17")
    assert len({fill_id(order, "17"), fill_id(order, "18"), fill_id(order[:-1] + "s", "17")}) == 3


def test_parts_of_an_id_do_not_run_into_each_other() -> None:
    assert record_id("o", MOMENT, "ab", "c") != record_id("o", MOMENT, "a", "bc")
