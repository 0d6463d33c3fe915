from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.core.accounting.ledger import apply_fill, apply_order, mark, place, place_orders
from engine.core.domain.errors import Impossible
from engine.core.domain.order import Fill, Order, OrderStatus, Side
from engine.core.domain.portfolio import EntryPlan, Portfolio, Position
from engine.core.domain.records import TradeRecord
from tests.builders import CLOSE, DAY, bar, cycle_record, decision, order_record, portfolio, position
from tests.core_builders import bracket, resting, traded, with_orders

BUY, SELL = Side
PLAN = EntryPlan(Decimal(95), Decimal(110), 40, {"momentum": 0.3, "trend": 0.1})
EMPTY = portfolio(cash="10000")
PLANNED = replace(EMPTY, plans={decision(): PLAN})


def booked(start: Portfolio, *fills: Fill) -> tuple[Portfolio, list[TradeRecord]]:
    trades = []
    for fill in fills:
        start, trade = apply_fill(start, fill)
        trades += [trade] if trade else []
    return start, trades


def held(state: Portfolio) -> Position:
    (only,) = state.positions
    return only


# --- entries ---


def test_a_first_fill_opens_a_position_with_the_geometry_of_its_plan() -> None:
    state, trades = booked(PLANNED, traded(BUY, "10", "100", fee="1", reference="99.5"))
    opened = held(state)

    assert trades == []
    assert state.cash == 10_000 - 1_000 - 1
    assert (opened.quantity, opened.average_price, opened.side) == (10, 100, BUY)
    assert (opened.stop, opened.target, opened.expires_bars, opened.votes) == (95, 110, 40, PLAN.votes)
    assert (opened.fees, opened.slippage, opened.entered, opened.entered_value) == (1, 5, 10, 1000)
    assert (opened.opened_at, opened.entry_decision, opened.best) == (CLOSE, decision(), 100)


def test_a_fill_that_nobody_planned_has_no_geometry_to_act_on() -> None:
    opened = held(booked(EMPTY, traded(BUY, "10", "100"))[0])

    assert (opened.stop, opened.target, opened.votes) == (100, 100, {})
    assert opened.expires_bars > 100_000


def test_a_position_is_averaged_over_its_entry_fills() -> None:
    state, _ = booked(PLANNED, traded(BUY, "4", "100"), traded(BUY, "6", "110"))

    assert (held(state).quantity, held(state).average_price) == (10, 106)
    assert held(state).entered_value == 1060


def test_a_short_entry_brings_cash() -> None:
    state, _ = booked(EMPTY, traded(SELL, "10", "100", fee="1", reference="100.2"))

    assert state.cash == 10_000 + 1_000 - 1
    assert (held(state).quantity, held(state).side, held(state).slippage) == (-10, SELL, 2)


@pytest.mark.parametrize(("known", "wanted"), [({}, 100), ({"SP500": Decimal(97)}, 97)])
def test_a_price_already_known_stays_the_mark(known: dict[str, Decimal], wanted: int) -> None:
    state, _ = booked(replace(EMPTY, marks=known), traded(BUY, "10", "100"))

    assert state.marks == {"SP500": wanted}


# --- exits and trades ---


def test_a_partial_exit_leaves_the_rest_at_its_average() -> None:
    state, trades = booked(PLANNED, traded(BUY, "10", "100"), traded(SELL, "4", "120", leg="t"))

    assert trades == []
    assert (held(state).quantity, held(state).average_price, held(state).realised) == (6, 100, 480)


@pytest.mark.parametrize(("side", "gross"), [(BUY, 160), (SELL, -160)])
def test_a_trade_runs_from_flat_to_flat(side: Side, gross: int) -> None:
    away = side.opposite
    state, (trade,) = booked(
        PLANNED,
        traded(side, "10", "100", fee="1", reference="100"),
        traded(away, "4", "110", leg="t", fee="2", reason="target"),
        traded(away, "6", "120", leg="s", fee="3", at=CLOSE + 2 * DAY, reason="stop"),
    )

    assert state.positions == ()
    assert (trade.side, trade.quantity, trade.entry_price, trade.exit_price) == (side, 10, 100, 116)
    assert (trade.gross, trade.fees, trade.net) == (gross, 6, gross - 6)
    assert state.cash == 10_000 + trade.net
    assert trade.return_share == float(Decimal(gross - 6) / 1000)
    assert (trade.exit_reason, trade.opened_at, trade.closed_at) == ("stop", CLOSE, CLOSE + 2 * DAY)
    assert trade.entry_decision == decision()
    assert trade.exit_order == traded(leg="s").client_id


def test_attribution_adds_up_to_the_net_to_the_last_digit() -> None:
    _, (trade,) = booked(PLANNED, traded(BUY, "3", "100"), traded(SELL, "3", "100.33333333", leg="x"))

    assert sum(trade.attribution.values()) == trade.net
    assert trade.attribution["momentum"] > trade.attribution["trend"] > 0


def test_a_trade_that_nobody_voted_for_is_nobodys() -> None:
    _, (trade,) = booked(EMPTY, traded(BUY, "3", "100"), traded(SELL, "3", "101", leg="x"))

    assert trade.attribution == {"unattributed": Decimal(3)}


def test_adding_after_a_partial_exit_still_adds_up() -> None:
    state, (trade,) = booked(
        PLANNED,
        traded(BUY, "6", "100"),
        traded(SELL, "4", "95", leg="s"),
        traded(BUY, "4", "96"),
        traded(SELL, "6", "97", leg="s"),
    )

    assert trade.quantity == 10
    assert trade.net == -600 - 384 + 380 + 582 == state.cash - 10_000


def test_what_was_sold_beyond_what_is_held_is_a_position_of_its_own() -> None:
    """A venue should not do it; once it has, it is so, and the books say what the account says."""
    state, _ = booked(EMPTY, traded(BUY, "10", "100"))

    after, trade = apply_fill(state, traded(SELL, "11", "101", leg="s", fee="2"))

    assert trade is not None
    assert (trade.quantity, trade.net) == (10, 8)
    (short,) = after.positions
    assert (short.quantity, short.average_price, short.fees) == (-1, 101, 0)
    assert after.cash == 10_000 - 1000 + 11 * 101 - 2


def test_positions_in_other_instruments_stay() -> None:
    kept = position("5", "OTHER", average_price="20")
    state, _ = booked(portfolio(kept), traded(BUY, "10", "100"), traded(SELL, "10", "101", leg="x"))

    assert state.positions == (kept,)


# --- orders ---


def test_a_fill_counts_on_its_order() -> None:
    waiting = with_orders(PLANNED, resting("e", quantity="10"), resting("s", SELL, quantity="10"))
    partly, _ = booked(waiting, traded(BUY, "4", "100"))
    whole, _ = booked(partly, traded(BUY, "6", "100"))

    assert {o.request.leg: (o.status, o.filled) for o in partly.orders} == {
        "e": (OrderStatus.PARTIAL, 4),
        "s": (OrderStatus.ACCEPTED, 0),
    }
    assert [o.request.leg for o in whole.orders] == ["s"]


def test_an_order_that_filled_beyond_its_quantity_is_done() -> None:
    waiting = with_orders(EMPTY, resting("e", quantity="10", filled="7", status=OrderStatus.PARTIAL))

    after, _ = apply_fill(waiting, traded(BUY, "4", "100"))

    assert after.orders == ()
    assert [p.quantity for p in after.positions] == [4]


def test_a_decisions_orders_are_intents_and_its_plan_is_kept() -> None:
    record = cycle_record("entered")
    state = place(record.portfolio, record)

    assert [(o.request, o.status) for o in state.orders] == [
        (r, OrderStatus.INTENT) for r in record.result.orders
    ]
    assert state.plans == {
        record.id: EntryPlan(
            Decimal(1180), Decimal(1360), 40, {v.source: v.contribution for v in _votes(record)}
        )
    }


def _votes(record: Any) -> Any:
    return record.result.forecast.votes


def test_an_exit_is_placed_without_a_plan_and_a_look_that_held_places_nothing() -> None:
    exited = cycle_record("exited", held=position())
    looked = cycle_record("held", held=position())

    assert [o.request.leg for o in place(exited.portfolio, exited).orders] == ["x"]
    assert place(exited.portfolio, exited).plans == {}
    assert place(looked.portfolio, looked) is looked.portfolio


def test_order_messages_move_orders_along() -> None:
    entry, *_ = bracket()
    state = place_orders(EMPTY, bracket())
    accepted = apply_order(state, order_record(entry))
    unknown = apply_order(state, order_record(entry, OrderStatus.UNKNOWN))

    assert {o.request.leg: o.status.value for o in accepted.orders} == {
        "e": "accepted",
        "s": "intent",
        "t": "intent",
    }
    assert {o.request.leg: o.status.value for o in unknown.orders}["e"] == "unknown"


@pytest.mark.parametrize("status", [OrderStatus.CANCELLED, OrderStatus.REFUSED, OrderStatus.EXPIRED])
def test_an_order_that_ended_is_forgotten_with_its_plan(status: OrderStatus) -> None:
    entry, *_ = bracket()
    state = replace(place_orders(PLANNED, [entry]), plans={entry.decision: PLAN})
    after = apply_order(state, order_record(entry, status))

    assert (after.orders, after.plans) == ((), {})


@pytest.mark.parametrize("status", [OrderStatus.ACCEPTED, OrderStatus.PARTIAL, OrderStatus.CANCELLED])
def test_late_news_do_not_bring_a_finished_order_back(status: OrderStatus) -> None:
    """A venue's acknowledgement may come after its fill: the order would wait for ever, and block its instrument."""
    entry, *_ = bracket()

    assert apply_order(EMPTY, order_record(entry, status)) is EMPTY


def test_an_impossible_move_stops_the_desk() -> None:
    state = with_orders(EMPTY, resting("e", status=OrderStatus.PARTIAL))

    with pytest.raises(Impossible, match="from partial to unknown"):
        apply_order(state, order_record(bracket()[0], OrderStatus.UNKNOWN))


def test_a_plan_lives_until_its_entry_can_fill_no_more() -> None:
    other = {"d-other": replace(PLAN, max_bars=1)}
    waiting = with_orders(PLANNED, resting("e", quantity="10"), resting("s", SELL, quantity="10"))
    partly, _ = booked(waiting, traded(BUY, "4", "100"))
    whole, _ = booked(partly, traded(BUY, "6", "100"))

    assert partly.plans == {decision(): PLAN}
    assert whole.plans == {}
    assert booked(replace(EMPTY, plans=other), traded(BUY, "1", "1"))[0].plans == {}


def test_a_trade_that_closed_while_its_entry_was_filling_keeps_the_plan_for_the_rest() -> None:
    waiting = with_orders(PLANNED, resting("e", quantity="10"), resting("s", SELL, quantity="10"))
    state, trades = booked(waiting, traded(BUY, "4", "100"), traded(SELL, "4", "95", leg="s"))

    assert len(trades) == 1
    assert state.plans == {decision(): PLAN}


def test_no_orders_to_place_change_nothing() -> None:
    assert place_orders(EMPTY, []) is EMPTY


def test_an_order_is_an_intent_until_the_venue_has_answered() -> None:
    assert place_orders(EMPTY, [bracket()[0]]).orders == (Order(bracket()[0], OrderStatus.INTENT),)


# --- bars ---


def test_a_bar_values_and_ages_the_position_once() -> None:
    state = portfolio(position("10", average_price="100", best=Decimal(100), bars_held=0))
    once = mark(state, bar(close="104"))

    assert once.marks == {"SP500": 104}
    assert (held(once).bars_held, held(once).best) == (1, 104)
    assert mark(once, bar(close="104")) is once
    assert mark(once, bar(end=CLOSE - DAY, close="90")) is once


@pytest.mark.parametrize(("quantity", "best"), [("10", 106), ("-10", 94)])
def test_the_best_close_is_kept(quantity: str, best: int) -> None:
    state = portfolio(position(quantity, average_price="100", best=Decimal(100)))
    for number, close in enumerate(("106", "94", "100")):
        state = mark(state, bar(end=CLOSE + number * DAY, close=close))

    assert held(state).best == best


def test_a_bar_of_an_instrument_that_is_not_held_is_remembered_as_its_price() -> None:
    state = mark(EMPTY, bar("NASDAQ", close="50"))

    assert (state.marks, state.marked_at, state.positions) == ({"NASDAQ": 50}, {"NASDAQ": CLOSE}, ())
