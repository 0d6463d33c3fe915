"""The account against the books: what is explained, and what is not."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.core.domain.order import Side
from engine.core.execution.account import differences, moved_by, ours, outside
from tests.builders import portfolio, position
from tests.core_builders import traded

ASSETS = {"USDT", "BTC"}
BOOKS = portfolio(
    position("0.5", "BTC/USDT", average_price="100"), cash="950", dust={"BTC/USDT": Decimal("0.01")}
)


def balances(usdt: str = "950", btc: str = "0.51", **others: str) -> dict[str, Decimal]:
    return {name: Decimal(amount) for name, amount in ({"USDT": usdt, "BTC": btc} | others).items()}


def test_what_is_ours_is_cash_what_is_held_and_dust() -> None:
    assert ours(BOOKS, "USDT") == balances()
    assert ours(portfolio(dust={"ETH/USDT": Decimal(1)}), "USDT") == {"USDT": 100_000, "ETH": 1}


def test_an_account_that_is_ours_alone_has_nothing_outside() -> None:
    assert outside(BOOKS, balances(), ASSETS, "USDT") == {}
    assert differences(BOOKS, balances(), ASSETS, "USDT") == {}


def test_what_was_there_before_is_external_and_no_difference() -> None:
    before = balances("1000", "2.51", DOGE="7")
    external = outside(BOOKS, before, ASSETS, "USDT")

    assert external == {"USDT": Decimal(50), "BTC": Decimal(2)}
    assert differences(replace(BOOKS, external=external), before, ASSETS, "USDT") == {}


@pytest.mark.parametrize(
    ("there", "gap"),
    [
        (balances("949.98"), {"USDT": Decimal("-0.02")}),
        (balances("949.99"), {}),
        (balances(btc="0.51000001"), {}),
        (balances(btc="0.51000002"), {"BTC": Decimal("0.00000002")}),
        ({"USDT": Decimal(950)}, {"BTC": Decimal("-0.51")}),
        (balances("1", "1"), {"USDT": Decimal(-949), "BTC": Decimal("0.49")}),
    ],
)
def test_a_difference_is_told_by_asset_with_its_size(
    there: dict[str, Decimal], gap: dict[str, Decimal]
) -> None:
    assert differences(BOOKS, there, ASSETS, "USDT") == gap


def test_somebody_elses_trade_moves_both_sides_of_the_account() -> None:
    bought = replace(traded(Side.BUY, "2", "100", fee="1"), instrument="BTC/USDT")
    sold = replace(traded(Side.SELL, "2", "100", fee="1"), instrument="BTC/USDT")

    assert moved_by(bought, "USDT") == {"BTC": 2, "USDT": -201}
    assert moved_by(sold, "USDT") == {"BTC": -2, "USDT": 199}
