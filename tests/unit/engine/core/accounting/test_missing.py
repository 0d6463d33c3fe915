"""What is not there any more leaves the books: at what it brought where somebody knows, at the last price where not."""

from decimal import Decimal

from engine.core.accounting.fold import DeskState, apply
from engine.core.accounting.missing import Sold, missing
from engine.core.domain.records import AccountRecord, TradeRecord
from engine.core.domain.risk import RiskState
from tests.builders import CLOSE, portfolio, position

D = Decimal
BTC = "BTC/USDT"


def books(quantity: str = "2", cash: str = "800", dust: str = "0") -> DeskState:
    held = (position(quantity, BTC, average_price="100"),) if D(quantity) else ()
    known = portfolio(*held, cash=cash, marks={BTC: D(110)}, dust={BTC: D(dust)} if D(dust) else {})
    return DeskState(
        portfolio=known, risk=RiskState(day_equity=D(1000), high_water=D(1000), last_equity=D(1000))
    )


def after(
    state: DeskState, gone: str, money: str, sold: Sold | None = None
) -> tuple[DeskState, list[object]]:
    found = missing(
        state, {"BTC": D(gone)} if D(gone) else {}, D(money), "USDT", {"BTC": sold or Sold()}, "me", CLOSE
    )
    for record in found:
        state = apply(state, record)
    return state, list(found)


def test_where_nothing_is_missing_nothing_is_written() -> None:
    assert missing(books(), {}, D(900), "USDT", {}, "me", CLOSE) == []


def test_what_was_sold_ends_the_position_and_what_it_brought_is_the_desks() -> None:
    state, records = after(books(), "2", "1010", Sold(D(4), D(420)))

    (trade,) = [record for record in records if isinstance(record, TradeRecord)]
    assert (trade.exit_reason, trade.gross) == ("external", D(10))
    assert state.portfolio.positions == ()
    assert state.portfolio.cash == 1010


def test_what_was_moved_away_ends_at_the_last_price_and_the_money_for_it_is_gone() -> None:
    state, records = after(books(), "0.5", "800")

    assert [type(record).__name__ for record in records] == ["FillRecord", "AccountRecord"]
    assert state.portfolio.positions[0].quantity == D("1.5")
    assert state.portfolio.cash == 800
    assert state.risk.day_equity == D(945), "what was taken out is no loss of trading"


def test_what_was_written_off_and_sold_since_brings_what_it_brought() -> None:
    state, records = after(books("0", dust="0.25"), "0.25", "825", Sold(D("0.25"), D(25)))

    assert [type(record) for record in records] == [AccountRecord]
    assert state.portfolio.dust == {}
    assert state.portfolio.cash == 825


def test_money_that_is_missing_is_taken_from_cash() -> None:
    state, _ = after(books(), "0", "300")

    assert state.portfolio.cash == 300
    assert state.risk.high_water == 500


def test_what_is_missing_of_one_asset_leaves_every_other_alone() -> None:
    """Also what was written off of another, and a position that comes first in the books."""
    other = position("3", "ETH/USDT", average_price="10")
    mine = position("2", BTC, average_price="100")
    marks = {BTC: D(110), "ETH/USDT": D(11)}
    known = portfolio(other, mine, cash="800", marks=marks, dust={"ETH/USDT": D("0.5"), BTC: D("0.25")})
    begun = DeskState(
        portfolio=known, risk=RiskState(day_equity=D(1000), high_water=D(1000), last_equity=D(1000))
    )

    state, _ = after(begun, "2.25", "1100", Sold(D("2.25"), D(225)))

    assert {p.instrument: p.quantity for p in state.portfolio.positions} == {"ETH/USDT": D(3)}
    assert state.portfolio.dust == {"ETH/USDT": D("0.5")}
    assert state.portfolio.cash == 1025
