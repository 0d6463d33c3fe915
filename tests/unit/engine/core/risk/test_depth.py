"""An entry against the order book: how much of it, how near, and which books say nothing."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema.risk import RiskSettings
from engine.core.domain.order import Side
from engine.core.domain.venue import Depth
from engine.core.risk.depth import Verdict, against_depth
from tests.builders import order_request

LIMITS = RiskSettings(max_depth_share=0.25, depth_band=0.005)
PRICE = Decimal(100)


def depth(*levels: tuple[str, str], whole: bool = True) -> Depth:
    return Depth(tuple((Decimal(price), Decimal(units)) for price, units in levels), whole)


def verdict(
    quantity: str, told: Depth, side: Side = Side.BUY, limits: RiskSettings = LIMITS, price: Decimal = PRICE
) -> Verdict:
    entry = order_request(side=side, quantity=quantity)
    return against_depth(entry, price, told, limits, "USDT")


@pytest.mark.parametrize(
    ("quantity", "refusal"),
    [
        ("0.99999999", ""),
        ("1", ""),
        (
            "1.00000001",
            "it would take 25.01% of the 400.00 USDT offered within 0.5%; at most 25% (risk.max_depth_share)",
        ),
    ],
)
@pytest.mark.parametrize("side", list(Side))
def test_an_entry_may_take_its_share_of_what_is_offered_and_not_a_step_more(
    side: Side, quantity: str, refusal: str
) -> None:
    assert verdict(quantity, depth(("100", "4")), side) == (refusal, True)


@pytest.mark.parametrize(("side", "last", "beyond"), [("buy", "100.5", "100.51"), ("sell", "99.5", "99.49")])
def test_only_what_lies_within_the_band_counts_and_its_edge_does(side: str, last: str, beyond: str) -> None:
    assert verdict("1", depth(("100", "2"), (last, "2")), Side(side)).refusal == ""
    assert verdict("1", depth(("100", "2"), (beyond, "2")), Side(side)).refusal.startswith(
        "it would take 50.00%"
    )


def test_a_tighter_share_and_a_narrower_band_let_less_through() -> None:
    told = depth(("100", "2"), ("100.4", "2"))

    assert verdict("1", told).refusal == ""
    assert "at most 20%" in verdict("1", told, limits=RiskSettings(max_depth_share=0.2)).refusal
    assert "within 0.3%" in verdict("1", told, limits=RiskSettings(depth_band=0.003)).refusal


def test_more_of_a_book_is_worth_asking_for_only_where_it_was_cut_within_the_band() -> None:
    assert not verdict("2", depth(("100", "4"), whole=False)).final
    assert "that the venue shows" in verdict("2", depth(("100", "4"), whole=False)).refusal
    assert verdict("2", depth(("100", "4"), ("101", "4"), whole=False)).final
    assert verdict("1", depth(("100", "4"), whole=False)) == ("", True), "it is enough already"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (depth(), "is empty"),
        (depth(("NaN", "1")), "offers 1 at NaN"),
        (depth(("100", "NaN")), "offers NaN at 100"),
        (depth(("100", "Infinity")), "offers Infinity at 100"),
        (depth(("100", "1"), ("-1", "1")), "offers 1 at -1"),
        (depth(("100", "-1")), "offers -1 at 100"),
        (depth(("0", "5")), "offers 5 at 0"),
        (depth(("100.51", "50")), "begins at 100.51, 0.51% from the price of 100 that it tells"),
        (depth(("99.49", "50")), "begins at 99.49, 0.51% from the price of 100 that it tells"),
        (depth(("10000", "50")), "begins at 10000, 9900.00% from the price of 100"),
        (depth(("100", "0")), "the venue offers nothing within 0.5%"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_book_that_says_nothing_lets_nothing_through(told: Depth, words: str) -> None:
    said = verdict("0.001", told)

    assert words in said.refusal
    assert said.final, "asking for more of it would not help"


@pytest.mark.parametrize("quantity", ["1e15", "1e30", "40.0001"])
def test_an_entry_far_beyond_what_is_offered_is_said_in_few_words(quantity: str) -> None:
    assert verdict(quantity, depth(("100", "4"), ("100.1", "1e-18"))).refusal == (
        "it would take more than ten times the 400.00 USDT offered within 0.5%; at most 25% (risk.max_depth_share)"
    )


@given(
    units=st.lists(st.integers(0, 10**6), min_size=1, max_size=30),
    ticks=st.lists(st.integers(1, 10), min_size=30, max_size=30),
    quantity=st.integers(1, 10**6),
    share=st.sampled_from([0.01, 0.1, 0.25, 0.5, 1.0]),
    band=st.sampled_from([0.0005, 0.001, 0.005]),
    side=st.sampled_from(list(Side)),
)
def test_the_answer_is_that_of_the_definition_in_whole_numbers(
    units: list[int], ticks: list[int], quantity: int, share: float, band: float, side: Side
) -> None:
    """Prices in hundredths from 100.00 on, counted as fractions."""
    places = [sum(ticks[:place]) - ticks[0] for place in range(1, len(units) + 1)]
    levels = [
        (str(PRICE + side.sign * Decimal(at) / 100), str(each))
        for at, each in zip(places, units, strict=True)
    ]
    inside = sum(each for at, each in zip(places, units, strict=True) if at <= Fraction(str(band)) * 10_000)

    limits = RiskSettings(max_depth_share=share, depth_band=band)
    said = verdict(str(quantity), depth(*levels), side, limits)

    assert (said.refusal == "") is (quantity <= Fraction(str(share)) * inside)
