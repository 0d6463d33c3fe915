"""Refusals of one kind are counted, by instrument and by what was said."""

from engine.core.domain.order import OrderStatus, Side
from engine.core.domain.records import OrderRecord
from engine.core.risk.refusals import TIMES, refusing
from tests.builders import order_record, order_request


def no(reason: str = "400 -2010: No.", name: str = "A", leg: str = "e") -> OrderRecord:
    side = Side.BUY if leg == "e" else Side.SELL
    return order_record(order_request(leg=leg, side=side, instrument=name), OrderStatus.REFUSED, reason)


def test_below_at_and_above_the_limit() -> None:
    assert refusing([no()] * (TIMES - 1)) == {}
    for times in (TIMES, TIMES + 1):
        assert refusing([no()] * times) == {
            "A": f"A was refused {times} times within 10 minutes, the last time with: 400 -2010: No."
        }


def test_each_instrument_counts_for_itself() -> None:
    assert refusing([no(name="A"), no(name="B"), no(name="A"), no(name="B")]) == {}
    assert list(refusing([no(name="B"), no(name="A"), no(name="B"), no(name="B")])) == ["B"]


def test_reasons_that_differ_in_numbers_are_one_and_others_are_not() -> None:
    few = [no("not sent: 0.1 BTC is too little"), no("not sent: 0.25 BTC is too little")]

    assert refusing([*few, no("Market is closed.")]) == {}
    assert "the last time with: not sent: 7 BTC" in refusing([no("not sent: 7 BTC is too little"), *few])["A"]


def test_exits_do_not_count_for_they_must_be_tried_again() -> None:
    assert refusing([no(leg="x"), no(leg="s"), no(), no()]) == {}
