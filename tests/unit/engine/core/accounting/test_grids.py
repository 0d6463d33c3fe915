"""A grid follows what becomes of its entries, ends at its stop, and is what it was after a restart."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.core.accounting.fold import DeskState, apply, settle
from engine.core.accounting.ledger import dust_trade
from engine.core.accounting.settle import sighted
from engine.core.domain.ids import order_id
from engine.core.domain.order import Fill, OrderStatus, OrderType, Side
from engine.core.domain.portfolio import EntryPlan
from engine.core.domain.records import (
    AccountRecord,
    IncidentRecord,
    OrderRecord,
    Record,
    TradeRecord,
    decode,
    encode,
    readable,
)
from engine.core.domain.risk import GridEntry, GridRun, RiskState
from engine.core.domain.venue import Sighting
from tests.builders import CLOSE, DAY, command_record, order_request, portfolio
from tests.core_builders import QUIET, resting, with_orders

NAME = "SP500"
ONE, TWO = "d-0fmb756o0-00000001", "d-0fmb756o0-00000002"


def begun(**changed: Any) -> RiskState:
    """A grid with two entries on their way, at 97 and 93."""
    entries = tuple(
        GridEntry(decision, Decimal(close), Decimal(10)) for decision, close in ((ONE, "97"), (TWO, "93"))
    )
    values: dict[str, Any] = {
        "begun": CLOSE,
        "equity": Decimal(100_000),
        "stop": Decimal(85),
        "target": Decimal(120),
        "entries": entries,
    }
    return replace(QUIET, grids={NAME: GridRun(**(values | changed))})


def fill(decision: str, price: str, side: Side = Side.BUY, leg: str = "e", reason: str = "signal") -> Fill:
    client_id = order_id(decision, leg)
    return Fill(
        trade_id=f"{client_id}-{price}",
        client_id=client_id,
        decision=decision,
        instrument=NAME,
        side=side,
        quantity=Decimal(10),
        price=Decimal(price),
        reference=Decimal(price),
        fee=Decimal(0),
        leg=leg,
        reason=reason,
        at=CLOSE + DAY,
    )


def ended(decision: str, status: OrderStatus, leg: str = "e") -> OrderRecord:
    request = order_request(decision, leg, Side.BUY if leg == "e" else Side.SELL, "10")
    return OrderRecord(f"o-{decision}-{status}", CLOSE, request, status, "")


def start(**changed: Any) -> DeskState:
    """A desk whose two entries are at the venue."""
    plan = EntryPlan(Decimal(85), Decimal(120), 40, {})
    orders = [
        replace(resting("e", quantity="10"), request=order_request(decision, "e", Side.BUY, "10"))
        for decision in (ONE, TWO)
    ]
    owned = with_orders(portfolio(plans={ONE: plan, TWO: plan}, marks={NAME: Decimal(97)}), *orders)
    return DeskState(owned, begun(**changed))


def after(state: DeskState, *told: Fill | Record) -> DeskState:
    """The state after what was told, each as its record was kept and read again."""
    for each in told:
        records: list[Record] = [each] if not isinstance(each, Fill) else []
        if isinstance(each, Fill):
            filled, trade = settle(state, each)
            records = [filled] if trade is None else [filled, trade]
        for record in records:
            state = apply(state, decode(encode(record)))
    return state


def bought() -> DeskState:
    return after(start(), fill(ONE, "97.1"), fill(TWO, "93.1"))


def run(state: DeskState) -> GridRun:
    return state.risk.grids[NAME]


STOPPED = fill(ONE, "84.9", Side.SELL, "s", "stop"), fill(TWO, "84.9", Side.SELL, "s", "stop")


# --- entries ---


def test_an_entry_that_fills_keeps_its_level_and_the_position_knows_both() -> None:
    state = bought()
    position = state.portfolio.position(NAME)

    assert [(entry.price, entry.filled) for entry in run(state).entries] == [(97, True), (93, True)]
    assert position is not None
    assert (position.entry_decision, position.added, position.quantity) == (ONE, (TWO,), 20)
    assert (position.stop, position.target) == (85, 120)


@pytest.mark.parametrize("status", [OrderStatus.REFUSED, OrderStatus.CANCELLED, OrderStatus.EXPIRED])
def test_an_entry_that_bought_nothing_leaves_its_level_free(status: OrderStatus) -> None:
    state = after(start(), fill(ONE, "97.1"), ended(TWO, status))

    assert [entry.decision for entry in run(state).entries] == [ONE]


@pytest.mark.parametrize("status", [OrderStatus.REFUSED, OrderStatus.CANCELLED, OrderStatus.EXPIRED])
def test_an_entry_that_bought_a_part_keeps_it(status: OrderStatus) -> None:
    part = replace(fill(TWO, "93.1"), quantity=Decimal(4))

    state = after(start(), fill(ONE, "97.1"), part, ended(TWO, status))

    assert [entry.decision for entry in run(state).entries] == [ONE, TWO]


@pytest.mark.parametrize("status", [OrderStatus.ACCEPTED, OrderStatus.UNKNOWN, OrderStatus.FILLED])
def test_an_entry_that_may_have_bought_keeps_its_level(status: OrderStatus) -> None:
    state = start()

    assert run(after(state, ended(TWO, status))) == run(state)


def test_a_stop_that_ended_frees_no_level() -> None:
    state = bought()

    assert run(after(state, ended(TWO, OrderStatus.REFUSED, "s"))) == run(state)


def test_an_entry_that_fills_after_it_was_over_takes_its_level_again() -> None:
    state = after(start(), fill(ONE, "97.1"), ended(TWO, OrderStatus.EXPIRED), fill(TWO, "93.2"))

    assert run(state).entries[1] == GridEntry(TWO, Decimal("93.2"), Decimal(10), filled=True)


def test_a_grid_that_bought_nothing_has_not_begun() -> None:
    state = after(start(), ended(ONE, OrderStatus.EXPIRED), ended(TWO, OrderStatus.REFUSED))

    assert state.risk.grids == {}
    assert state.risk.locks == {}


def test_what_is_bought_back_is_no_entry_of_a_grid() -> None:
    """After an overfill the desk is short, and buys back: no level is taken by that."""
    state = after(start(), fill(ONE, "97.1"), fill(TWO, "93.1"))

    covered = after(state, fill("d-0fmb756o0-00000009", "92", Side.BUY, "x", "halt"))

    assert run(covered) == run(state)


# --- the end ---


@pytest.mark.parametrize(
    ("price", "reason", "ends"),
    [
        ("84.9", "stop", True),
        ("85.2", "stop", True),  # a stop may bring more than its price
        ("86", "grid", True),
        ("85", "command", True),
        ("85.01", "command", False),
        ("86", "halt", False),
        ("120", "target", False),
    ],
)
def test_a_grid_ends_when_anything_of_it_is_sold_at_its_stop_or_below(
    price: str, reason: str, ends: bool
) -> None:
    state = after(bought(), fill(ONE, price, Side.SELL, "x", reason))

    assert run(state).over is ends
    assert list(state.risk.locks) == ([NAME] if ends else [])
    if ends:
        lock = state.risk.locks[NAME]
        assert (lock.by, lock.since) == ("grid", CLOSE + DAY)
        assert lock.why == f"the grid of SP500 ended: sold at {price} by {reason}, its stop is 85"


def test_a_grid_that_ended_is_gone_with_its_position_and_its_lock_stays() -> None:
    state = after(bought(), *STOPPED)

    assert state.portfolio.positions == ()
    assert state.risk.grids == {}
    assert list(state.risk.locks) == [NAME]


def test_an_entry_that_may_still_fill_keeps_a_grid_over() -> None:
    begun_once = after(start(), fill(ONE, "97.1"), STOPPED[0])

    assert run(begun_once).over
    assert [entry.decision for entry in run(begun_once).entries] == [TWO]
    late = after(begun_once, fill(TWO, "84.8"))
    assert run(late).over, "what it still bought is sold, and nothing is added to it"
    assert after(begun_once, ended(TWO, OrderStatus.CANCELLED)).risk.grids == {}


def test_a_lock_that_was_there_tells_of_the_end() -> None:
    locked = start()
    news = replace(locked.risk, locks={NAME: replace(after(bought(), *STOPPED).risk.locks[NAME], why="news")})

    state = after(replace(locked, risk=news), fill(ONE, "97"), fill(ONE, "84", Side.SELL, "s", "stop"))

    assert state.risk.locks[NAME].why.startswith("the grid of SP500 ended")


def test_what_is_sold_in_another_instrument_ends_nothing() -> None:
    elsewhere = replace(fill(ONE, "84", Side.SELL, "s", "stop"), instrument="DAX")

    assert apply(bought(), settle(bought(), elsewhere)[0]).risk == bought().risk


# --- closed otherwise ---


def sold(state: DeskState, price: str, reason: str = "target") -> DeskState:
    return after(state, fill(ONE, price, Side.SELL, "x", reason), fill(TWO, price, Side.SELL, "x", reason))


def test_a_grid_that_earned_begins_anew() -> None:
    assert sold(bought(), "120").risk.grids == {}


def test_what_a_position_of_a_grid_lost_is_not_forgotten_and_what_another_earned_is_not_set_against_it() -> (
    None
):
    lost = sold(bought(), "90", "reversal")
    again = replace(run(lost), entries=begun().grids[NAME].entries)
    state = replace(start(), risk=replace(lost.risk, grids={NAME: again}))
    won = sold(after(state, fill(ONE, "97.1"), fill(TWO, "93.1")), "120")

    assert (run(lost).lost, run(lost).entries, run(lost).equity) == (Decimal("102.0"), (), 100_000)
    assert (run(won).lost, run(won).entries) == (Decimal("102.0"), ())


def test_what_was_too_little_to_be_sold_ends_a_position_of_a_grid_too() -> None:
    state = bought()
    position = state.portfolio.position(NAME)
    assert position is not None

    closed = apply(state, dust_trade(position, CLOSE))

    assert run(closed).entries == ()
    assert run(closed).lost == Decimal(1902)


def test_money_that_is_taken_out_takes_its_share_of_what_may_be_lost() -> None:
    def without(cash: str) -> Decimal:
        record = AccountRecord("a-1", CLOSE, {}, {}, "taken out", cash=Decimal(cash))
        return run(apply(bought(), record)).equity

    assert (without("-40000"), without("-200000"), without("0")) == (60_000, 0, 100_000)


# --- records ---


def test_a_grid_is_kept_in_a_record_and_told_by_name() -> None:
    record = command_record(risk=after(bought(), *STOPPED[:1]).risk)

    assert decode(encode(record)) == record
    (told,) = readable(record)["risk"]["grids"].values()
    assert told["entries"][0] == {
        "decision": ONE,
        "price": "97",
        "quantity": "10",
        "filled": True,
    }
    assert told["over"] is True


def test_more_sold_than_was_held_ends_the_grid_too_and_the_desk_reduces() -> None:
    """What is said of an overfill must not undo what the fill itself did."""
    state = after(start(), fill(ONE, "97.1"), ended(TWO, OrderStatus.EXPIRED))
    stop = order_request(ONE, "s", Side.SELL, "10", OrderType.STOP, "85", reason="stop")
    too_much = replace(fill(ONE, "84.9", Side.SELL, "s", "stop"), quantity=Decimal(12))
    seen = Sighting(OrderStatus.FILLED, Decimal(12), (too_much,))

    folded, records = sighted(state, stop, seen, frozenset(), CLOSE)

    assert [type(record) for record in records] == [type(records[0]), TradeRecord, IncidentRecord]
    again = state
    for record in records:
        again = apply(again, record)
    assert again.risk == folded.risk
    assert list(folded.risk.locks) == [NAME]
    assert folded.risk.trading.value == "reducing"
    assert folded.risk.losses_in_a_row == 1
