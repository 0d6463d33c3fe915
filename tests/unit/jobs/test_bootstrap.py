import pytest

from engine.core.accounting.fold import DeskState
from engine.core.domain.errors import Refused
from jobs.bootstrap import refuse_unfed
from tests.builders import INSTRUMENT, open_order, portfolio, position, settings


def test_a_desk_that_holds_what_gets_no_bars_does_not_start() -> None:
    with pytest.raises(Refused, match=f"holds or waits for {INSTRUMENT}"):
        refuse_unfed(DeskState(portfolio=portfolio(position())), settings("OTHER"))


def test_an_order_that_may_still_fill_counts_as_held() -> None:
    waiting = DeskState(portfolio=portfolio(orders=(open_order(),)))

    with pytest.raises(Refused, match=INSTRUMENT):
        refuse_unfed(waiting, settings("OTHER"))


def test_a_desk_whose_holdings_are_all_fed_starts() -> None:
    refuse_unfed(DeskState(portfolio=portfolio(position())), settings(INSTRUMENT, "OTHER"))
