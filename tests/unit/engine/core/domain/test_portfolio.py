from decimal import Decimal

from engine.core.domain.order import Side
from tests.builders import portfolio, position


def test_equity_is_cash_and_what_is_held_at_its_last_price() -> None:
    held = portfolio(
        position("10", "LONG", average_price="50"),
        position("-4", "SHORT", average_price="25"),
        cash="1000",
        marks={"LONG": Decimal(60), "SHORT": Decimal(30)},
    )

    assert held.equity == 1000 + 10 * 60 - 4 * 30
    assert held.gross == 10 * 60 + 4 * 30


def test_a_position_is_found_by_its_instrument() -> None:
    held = portfolio(position("10", "A"), position("-1", "B"))

    found, missing = held.position("B"), held.position("C")

    assert found is not None
    assert (found.quantity, found.side) == (Decimal(-1), Side.SELL)
    assert missing is None


def test_nothing_held_is_worth_its_cash() -> None:
    assert (portfolio(cash="7").equity, portfolio(cash="7").gross) == (7, 0)
