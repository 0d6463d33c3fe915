"""What a venue shows of an order becomes records: each execution once, then the end."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.core.accounting.fold import DeskState, apply
from engine.core.accounting.ledger import dust_trade
from engine.core.accounting.settle import order_record, sighted
from engine.core.domain.order import Order, OrderStatus, OrderType, Side
from engine.core.domain.portfolio import EntryPlan
from engine.core.domain.records import FillRecord, IncidentRecord, OrderRecord, Record, TradeRecord
from engine.core.domain.risk import RiskState, TradingState
from engine.core.domain.venue import Sighting
from tests.builders import CLOSE, portfolio, position
from tests.core_builders import resting, traded, with_orders

EMPTY = portfolio(cash="10000")
PLAN = EntryPlan(stop=Decimal(95), target=Decimal(110), max_bars=5, votes={"momentum": 0.3})
ENTRY = resting("e", quantity="10")
PLANNED = replace(EMPTY, plans={ENTRY.request.decision: PLAN})
NOTHING: frozenset[str] = frozenset()
ACCEPTED, PARTIAL, FILLED, UNKNOWN = (
    OrderStatus.ACCEPTED,
    OrderStatus.PARTIAL,
    OrderStatus.FILLED,
    OrderStatus.UNKNOWN,
)


def desk(*orders: Order, risk: RiskState = RiskState()) -> DeskState:
    return DeskState(portfolio=with_orders(PLANNED, *orders), risk=risk)


def kinds(records: list[Record]) -> list[str]:
    return [
        record.status.value if isinstance(record, OrderRecord) else type(record).__name__
        for record in records
    ]


def test_an_order_that_was_unknown_is_accepted_before_its_fill_is_booked() -> None:
    unknown = replace(ENTRY, status=UNKNOWN)
    seen = Sighting(FILLED, Decimal(10), (traded(quantity="10"),), venue_id="77")

    state, records = sighted(desk(unknown), ENTRY.request, seen, NOTHING, CLOSE)

    assert kinds(records) == ["accepted", "FillRecord"]
    assert records[0].venue_id == "77"  # type: ignore[union-attr]
    assert state.portfolio.orders == ()
    assert state.portfolio.positions[0].stop == PLANNED.plans[ENTRY.request.decision].stop


def test_what_is_booked_is_not_booked_again() -> None:
    first, second = traded(quantity="4", trade_id="1"), traded(quantity="6", trade_id="2")
    seen = Sighting(FILLED, Decimal(10), (first, second))
    state, _ = sighted(desk(ENTRY), ENTRY.request, Sighting(PARTIAL, Decimal(4), (first,)), NOTHING, CLOSE)

    state, records = sighted(state, ENTRY.request, seen, frozenset({"1"}), CLOSE)

    assert kinds(records) == ["FillRecord"]
    assert sighted(state, ENTRY.request, seen, frozenset({"1", "2"}), CLOSE)[1] == []


def test_an_order_that_ended_with_part_of_it_filled_is_booked_and_then_over() -> None:
    seen = Sighting(OrderStatus.CANCELLED, Decimal(4), (traded(quantity="4"),), reason="by the venue")

    state, records = sighted(desk(ENTRY), ENTRY.request, seen, NOTHING, CLOSE)

    assert kinds(records) == ["FillRecord", "cancelled"]
    assert state.portfolio.orders == ()
    assert state.portfolio.positions[0].quantity == 4


def test_a_fee_kept_out_of_what_was_bought_fills_the_order_and_not_the_position() -> None:
    fill = replace(traded(quantity="9.99", price="100", fee="1"), withheld=Decimal("0.01"))

    state, _ = sighted(desk(ENTRY), ENTRY.request, Sighting(FILLED, Decimal(10), (fill,)), NOTHING, CLOSE)

    assert state.portfolio.orders == ()
    assert state.portfolio.positions[0].quantity == Decimal("9.99")
    assert state.portfolio.cash == PLANNED.cash - 1000, "cash pays for all ten"


@pytest.mark.parametrize("status", [UNKNOWN, ACCEPTED])
def test_an_order_that_is_as_known_makes_no_record(status: OrderStatus) -> None:
    resting_order = replace(ENTRY, status=ACCEPTED)

    assert (
        sighted(desk(resting_order), ENTRY.request, Sighting(status, Decimal(0), ()), NOTHING, CLOSE)[1] == []
    )


def test_a_market_order_is_measured_against_the_last_close_and_others_against_their_price() -> None:
    stop = resting("s", Side.SELL, "10", OrderType.STOP, "95")
    books = replace(desk(ENTRY, stop).portfolio, marks={ENTRY.request.instrument: Decimal(99)})
    bought = Sighting(FILLED, Decimal(10), (traded(quantity="10", price="100", reference="100"),))
    state, (fill,) = sighted(DeskState(portfolio=books), ENTRY.request, bought, NOTHING, CLOSE)
    sold = traded(Side.SELL, "10", "94", leg="s", reference="95")

    _, records = sighted(state, stop.request, Sighting(FILLED, Decimal(10), (sold,)), NOTHING, CLOSE)

    assert isinstance(fill, FillRecord)
    assert fill.fill.reference == 99
    assert isinstance(records[0], FillRecord)
    assert records[0].fill.reference == 95


# --- more than was asked for ---


def test_an_order_that_filled_beyond_its_quantity_is_booked_told_and_ends_new_risk() -> None:
    seen = Sighting(FILLED, Decimal(11), (traded(quantity="11"),))

    state, records = sighted(desk(ENTRY), ENTRY.request, seen, NOTHING, CLOSE)

    assert kinds(records) == ["FillRecord", "IncidentRecord"]
    incident = records[1]
    assert isinstance(incident, IncidentRecord)
    assert "filled 11 of 10" in incident.text
    assert state.risk.trading is TradingState.REDUCING
    assert state.portfolio.positions[0].quantity == 11


def test_an_exit_that_sold_more_than_was_held_is_told_too() -> None:
    held = DeskState(portfolio=portfolio(position("4", average_price="100")))
    exit_order = resting("x", Side.SELL, "10").request
    sold = traded(Side.SELL, "5", "100", leg="x")

    state, records = sighted(held, exit_order, Sighting(PARTIAL, Decimal(5), (sold,)), NOTHING, CLOSE)

    assert kinds(records) == ["FillRecord", "TradeRecord", "IncidentRecord"]
    assert state.portfolio.positions[0].quantity == -1


def test_an_overfill_leaves_a_halt_as_it_is() -> None:
    halted = desk(ENTRY, risk=RiskState(trading=TradingState.HALTED, by="me", flatten=True))

    state, _ = sighted(
        halted, ENTRY.request, Sighting(FILLED, Decimal(11), (traded(quantity="11"),)), NOTHING, CLOSE
    )

    assert (state.risk.trading, state.risk.flatten) == (TradingState.HALTED, True)


# --- orders that the desk makes by itself ---


def test_an_order_that_the_desk_made_by_itself_begins_with_its_record_and_is_counted() -> None:
    held = DeskState(portfolio=portfolio(position("10", average_price="100")))
    made = replace(resting("s1", Side.SELL, "10", OrderType.STOP, "90").request, decision=_entry(held))

    state = apply(held, order_record(made, UNKNOWN, CLOSE))
    refused = apply(state, order_record(made, OrderStatus.REFUSED, CLOSE, "would trigger at once"))

    assert [(o.request.leg, o.status) for o in state.portfolio.orders] == [("s1", UNKNOWN)]
    assert (state.portfolio.positions[0].attempts, state.portfolio.positions[0].refusals) == (1, 0)
    assert (refused.portfolio.orders, refused.portfolio.positions[0].refusals) == ((), 1)


def test_an_order_of_another_trade_counts_for_nothing() -> None:
    held = DeskState(portfolio=portfolio(position("10", average_price="100")))
    made = resting("s1", Side.SELL, "10", OrderType.STOP, "90").request

    state = apply(held, order_record(made, OrderStatus.INTENT, CLOSE))

    assert state.portfolio.positions[0].attempts == 0


def _entry(state: DeskState) -> str:
    return state.portfolio.positions[0].entry_decision


# --- dust ---


def test_dust_ends_the_trade_at_a_loss_of_its_worth_and_is_kept_in_mind() -> None:
    bought = sighted(desk(ENTRY), ENTRY.request, Sighting(FILLED, Decimal(10), (traded(),)), NOTHING, CLOSE)[
        0
    ]
    out = resting("x", Side.SELL, "9.9").request
    sold = traded(Side.SELL, "9.9", "110", leg="x", reason="command")
    state = sighted(bought, out, Sighting(FILLED, Decimal("9.9"), (sold,)), NOTHING, CLOSE)[0]
    (rest,) = state.portfolio.positions

    trade = dust_trade(rest, CLOSE)
    after = apply(state, trade)

    assert (trade.dust, trade.exit_reason, trade.quantity) == (Decimal("0.1"), "command", 10)
    assert trade.net == Decimal("1089") - 1000 == after.portfolio.cash - EMPTY.cash
    assert after.portfolio.positions == ()
    assert after.portfolio.dust == {rest.instrument: Decimal("0.1")}
    again = apply(replace(after, portfolio=replace(after.portfolio, positions=(rest,))), trade)
    assert again.portfolio.dust == {rest.instrument: Decimal("0.2")}
    assert isinstance(trade, TradeRecord)
