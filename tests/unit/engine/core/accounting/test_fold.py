from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.core.accounting.fold import DeskState, apply, count_trade, settle
from engine.core.domain.records import AccountRecord, AnswerRecord, ReportRecord
from engine.core.domain.risk import RiskState
from tests.builders import (
    CLOSE,
    DAY,
    command_record,
    cycle_record,
    fill,
    halted,
    incident,
    order_record,
    portfolio,
    position,
    start_record,
    trade_record,
)
from tests.core_builders import bracket, resting, traded, with_orders

STATE = DeskState(portfolio(cash="100000"))


def test_a_cycle_is_a_snapshot() -> None:
    """What the state was before does not matter: the record holds all of it."""
    record = cycle_record("entered")
    after = apply(STATE, record)

    assert after.portfolio.cash == record.portfolio.cash
    assert [order.request for order in after.portfolio.orders] == list(record.result.orders)
    assert after.risk == record.result.risk
    assert after.ensembles == {"SP500": record.result.ensemble}
    assert after.last_bars == {"SP500": CLOSE}


def test_instruments_keep_their_own_ensembles_and_bars() -> None:
    after = apply(apply(STATE, cycle_record("no_signal")), cycle_record("no_signal", CLOSE + DAY, "NASDAQ"))

    assert set(after.ensembles) == {"SP500", "NASDAQ"}
    assert after.last_bars == {"SP500": CLOSE, "NASDAQ": CLOSE + DAY}


def test_a_fill_is_booked_and_its_bar_is_settled() -> None:
    record = fill()
    after = apply(STATE, record)

    assert after.portfolio.positions[0].quantity == record.fill.quantity
    assert after.settled == {"SP500": record.fill.at}


def test_settling_tells_the_fill_and_the_trade_that_it_closed() -> None:
    entry, exit_ = traded(quantity="10"), traded(bracket()[1].side, "10", "101", leg="s", reason="stop")
    first, none = settle(STATE, entry)
    held = apply(STATE, first)
    last, trade = settle(held, exit_)

    assert none is None
    assert trade is not None
    assert (trade.net, trade.exit_reason) == (10, "stop")
    assert first.id != last.id
    assert settle(held, exit_) == (last, trade)


def test_an_order_message_moves_the_order() -> None:
    state = replace(STATE, portfolio=with_orders(STATE.portfolio, resting("e")))

    assert apply(state, order_record(resting("e").request)).portfolio.orders[0].status.value == "accepted"


@pytest.mark.parametrize(
    ("gross", "streak", "last_loss"), [("-100", 4, CLOSE), ("500", 0, None), ("30.25", 0, None)]
)
def test_a_closed_trade_counts_for_streaks_and_cool_downs(gross: str, streak: int, last_loss: object) -> None:
    trade = trade_record(closed_at=CLOSE, gross=gross)
    after = apply(replace(STATE, risk=RiskState(losses_in_a_row=3, last_exit={"X": CLOSE - DAY})), trade).risk

    assert (after.losses_in_a_row, after.last_loss) == (streak, last_loss)
    assert after.last_exit == {"X": CLOSE - DAY, "SP500": CLOSE}


def test_a_win_remembers_when_the_last_loss_was() -> None:
    assert count_trade(RiskState(last_loss=CLOSE - DAY), trade_record(gross="500")).last_loss == CLOSE - DAY


def test_a_command_sets_the_risk_state_and_places_its_orders() -> None:
    assert apply(STATE, command_record()).risk == halted()

    order = resting("m").request
    after = apply(STATE, command_record("close", risk=None, orders=(order,)))
    assert (after.portfolio.orders[0].request, after.risk) == (order, STATE.risk)


def test_an_incident_may_set_the_risk_state() -> None:
    assert apply(STATE, replace(incident(), risk=halted())).risk == halted()
    assert apply(STATE, incident()) is STATE


@pytest.mark.parametrize(
    "record",
    [
        start_record(),
        ReportRecord("r-1", CLOSE, "2008-10-15", {"net": Decimal(1)}, "quiet"),
        AnswerRecord("a-1", CLOSE, "ana", "why?", "because", False, ()),
    ],
    ids=["start", "report", "answer"],
)
def test_records_that_only_tell_change_nothing(record: object) -> None:
    assert apply(STATE, record) is STATE  # type: ignore[arg-type]


def test_a_position_is_carried_through_a_cycle() -> None:
    record = cycle_record("held", held=position())

    assert apply(STATE, record).portfolio == record.portfolio


def test_what_is_taken_as_external_is_part_of_the_state() -> None:
    external = {"BTC": Decimal(2)}
    record = AccountRecord("a-1", CLOSE, {"BTC": Decimal(3)}, external, "the account at the first start")

    assert apply(DeskState(portfolio=portfolio()), record).portfolio.external == external
