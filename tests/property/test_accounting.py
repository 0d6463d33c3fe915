"""Money is neither made nor lost by counting it."""

from decimal import Decimal
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.core.accounting.fold import DeskState, apply, settle
from engine.core.accounting.ledger import apply_fill, mark
from engine.core.domain.order import Fill, Side
from engine.core.domain.portfolio import EntryPlan, Portfolio
from engine.core.domain.records import TradeRecord, decode, encode
from tests.builders import CLOSE, DAY, bar, portfolio
from tests.core_builders import traded

PRICES = st.decimals("0.00000001", "999999", places=8)
QUANTITIES = st.decimals("0.00000001", "10000", places=8)
FEES = st.decimals("0", "1000", places=8)
VOTES = st.dictionaries(st.sampled_from(["momentum", "trend", "carry"]), st.floats(-1, 1), max_size=3)


class Step(NamedTuple):
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    instrument: str


STEPS = st.lists(
    st.builds(Step, st.sampled_from(Side), QUANTITIES, PRICES, FEES, st.sampled_from(["A", "B"])), max_size=25
)


def fills(steps: list[Step]) -> list[Fill]:
    """The steps as fills that a venue could tell: none sells more than is held, or buys back more than is owed."""
    held: dict[str, Decimal] = {}
    told = []
    for number, step in enumerate(steps):
        position = held.get(step.instrument, Decimal(0))
        leaving = position * step.side.sign < 0
        quantity = min(step.quantity, abs(position)) if leaving else step.quantity
        held[step.instrument] = position + step.side.sign * quantity
        fill = traded(
            step.side, quantity, step.price, fee=step.fee, at=CLOSE + number * DAY, trade_id=str(number)
        )
        told.append(replace(fill, instrument=step.instrument, client_id=f"{step.instrument}{number}"))
    return told


def run(start: Portfolio, told: list[Fill]) -> tuple[Portfolio, list[TradeRecord]]:
    trades = []
    for fill in told:
        start, trade = apply_fill(start, fill)
        trades += [trade] if trade else []
    return start, trades


@given(STEPS, VOTES)
def test_cash_positions_and_trades_add_up_after_any_fills(steps: list[Step], votes: dict[str, float]) -> None:
    told = fills(steps)
    plan = EntryPlan(Decimal(1), Decimal(2), 10, votes)
    start = portfolio(cash="1000000", plans={fill.decision: plan for fill in told})
    end, trades = run(start, told)

    assert end.cash == start.cash - sum(
        (f.side.sign * f.quantity * f.price + f.fee for f in told), Decimal(0)
    )
    for name in ("A", "B"):
        position = end.position(name)
        flow = sum((f.side.sign * f.quantity for f in told if f.instrument == name), Decimal(0))
        assert (position.quantity if position else 0) == flow
    assert end.equity == end.cash + sum(
        (p.quantity * end.marks[p.instrument] for p in end.positions), Decimal(0)
    )
    for trade in trades:
        assert trade.net == trade.gross - trade.fees
        assert sum(trade.attribution.values()) == trade.net


@given(STEPS)
def test_a_trades_net_is_what_cash_gained_from_flat_to_flat(steps: list[Step]) -> None:
    state, flat_cash = portfolio(cash="1000000"), Decimal(1_000_000)
    for fill in fills([step._replace(instrument="A") for step in steps]):
        state, trade = apply_fill(state, fill)
        if trade is not None:
            assert trade.net == state.cash - flat_cash
            assert trade.slippage == 0
            flat_cash = state.cash
        elif state.positions:
            (position,) = state.positions
            assert position.entered >= abs(position.quantity)
            assert position.fees >= 0
        assert bool(trade) is not bool(state.positions)


@given(STEPS, st.lists(st.tuples(st.sampled_from(["A", "B"]), PRICES), max_size=8))
def test_a_bar_changes_what_is_held_in_worth_only(
    steps: list[Step], closes: list[tuple[str, Decimal]]
) -> None:
    state, _ = run(portfolio(cash="1000000"), fills(steps))
    for number, (name, close) in enumerate(closes):
        told = bar(name, CLOSE + (100 + number) * DAY, close)
        after = mark(state, told)
        position = state.position(name)

        assert after.cash == state.cash
        if position is not None:
            assert after.equity - state.equity == position.quantity * (close - state.marks[name])
        assert mark(after, told) is after
        state = after


@given(STEPS)
def test_the_fold_over_records_that_were_stored_and_read_is_the_ledger(steps: list[Step]) -> None:
    state = again = DeskState(portfolio(cash="1000000"))
    for fill in fills(steps):
        record, trade = settle(state, fill)
        for each in (record, trade):
            if each is not None:
                state, again = apply(state, each), apply(again, decode(encode(each)))

    assert again == state
    assert state.portfolio == run(portfolio(cash="1000000"), fills(steps))[0]
