from decimal import Decimal

import pytest

from engine.core.domain.instrument import Instrument, base_of, exact, price_down, price_up, whole_lots

COARSE = Instrument("X", tick=Decimal("0.25"), lot=Decimal("0.5"))


@pytest.mark.parametrize(
    ("asked", "given"), [("1.9", "1.5"), ("1.5", "1.5"), ("0.499", "0"), ("0", "0"), ("1e9", "1e9")]
)
def test_a_quantity_is_rounded_down_to_whole_lots(asked: str, given: str) -> None:
    assert whole_lots(COARSE, Decimal(asked)) == Decimal(given)


@pytest.mark.parametrize(
    ("price", "below", "above"),
    [("10.30", "10.25", "10.50"), ("10.25", "10.25", "10.25"), ("0.1", "0", "0.25")],
)
def test_a_price_is_rounded_to_the_side_that_is_asked_for(price: str, below: str, above: str) -> None:
    assert price_down(COARSE, Decimal(price)) == Decimal(below)
    assert price_up(COARSE, Decimal(price)) == Decimal(above)


def test_a_float_becomes_the_decimal_that_it_is_written_as() -> None:
    assert exact(0.1) == Decimal("0.1")
    assert exact(1e-8) == Decimal("0.00000001")


def test_the_base_of_a_pair_is_what_is_traded() -> None:
    assert (base_of("ETH/USDT"), base_of("SP500")) == ("ETH", "SP500")
