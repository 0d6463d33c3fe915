"""Whatever the prices do, and however the entries fill: stopped out, a grid loses no more than was fixed beforehand."""

import copy
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from configs.schema.execution import ExecutionSettings
from configs.schema.risk import GridSettings
from engine.core.accounting.fold import DeskState, apply, settle
from engine.core.domain.ids import order_id
from engine.core.domain.order import Fill, Order, OrderRequest, OrderStatus, OrderType, Side
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import OutcomeKind, Proposal, Wish
from engine.core.domain.risk import GridEntry, GridRun
from engine.core.execution.fills import fee
from engine.core.pipeline import decide
from engine.core.risk.case import Case
from engine.core.risk.grid import in_grid, level_of, with_entry
from engine.core.risk.review import review_wish
from tests.builders import CLOSE, INSTRUMENT, bar, portfolio, position
from tests.core_builders import QUIET, case, inputs, observation, resting, with_orders
from tests.grids import GRID, GridDesk, grid_settings

CENT, MILLI = Decimal("0.01"), Decimal("0.001")
COSTS = ExecutionSettings(
    fee_bps=10, spread_bps=4, slippage_bps=2, impact_bps=5, entry_collar=0.02, volume_is_known=False
)
COLLAR = Decimal("0.02")
SLIP = Decimal(9) / 10_000
"""Half of the spread, the slippage and the whole impact: what is stated of a price, beside its fee."""
ROUNDED = Decimal("0.0001")
"""Fees are kept to the hundred-millionth."""


class Bought(NamedTuple):
    """A person wishes to buy so far up the range, for that share of 100,000 or, with 0, as much as passes.

    It fills as far above the close as `worse` says, up to what is allowed for.
    """

    where: float
    weight: float
    worse: float
    parts: int


class Sold(NamedTuple):
    """Everything is sold so far up the way from the stop to the top, and beyond."""

    height: float


GRIDS = st.builds(
    lambda lower, height, below, levels, most: GridSettings(
        INSTRUMENT,
        Decimal(lower),
        Decimal(lower + height),
        Decimal(max(lower - below, 1)),
        levels=levels,
        max_risk=most,
    ),
    st.integers(10, 1000),
    st.integers(1, 200),
    st.integers(1, 300),
    st.integers(2, 12),
    st.floats(0.002, 0.1),
)
STEPS = st.lists(
    st.one_of(
        st.builds(Bought, st.floats(-0.1, 1.1), st.floats(0.001, 0.04), st.floats(0, 1), st.integers(1, 3)),
        st.builds(Bought, st.floats(0, 1), st.sampled_from([0.0, 0.01]), st.just(1.0), st.just(1)),
        st.builds(Sold, st.floats(0.001, 1.5)),
    ),
    min_size=4,
    max_size=20,
)


class Played:
    """A desk with one grid, whose orders fill as the steps say. `began` is the money there was when it did."""

    def __init__(self, grid: GridSettings) -> None:
        self.grid = grid
        self.settings = grid_settings(grid, execution=COSTS)
        self.state = DeskState(portfolio(cash="100000", marks={INSTRUMENT: grid.upper}), QUIET)
        self.began = self.state.portfolio.cash
        self.number = 0

    def buy(self, step: Bought) -> None:
        """What is approved fills in parts, all of it."""
        grid, state = self.grid, self.state
        close = grid.lower + Decimal(repr(step.where)) * (grid.upper - grid.lower)
        close = max(close.quantize(CENT), CENT)
        owned = replace(state.portfolio, marks={INSTRUMENT: close})
        run = state.risk.grids.get(INSTRUMENT)
        entry = Proposal("enter", Side.BUY, "command", stop=CENT, target=close * 2, max_bars=9)
        entry = in_grid(entry, grid, run)
        wish = case(
            self.settings,
            decision=f"d-0fmb756o0-{self.number:08x}",
            observation=observation(bar=bar(close=close), previous_close=None),
            stop=entry.stop,
            portfolio=owned,
            risk=state.risk,
            equity=float(owned.equity),
        )
        quantity = (Decimal(repr(step.weight)) * 100_000 / close).quantize(MILLI, ROUND_FLOOR)
        given = replace(wish, quantity=quantity or _most(wish))
        quantity = given.quantity
        self.number += 1
        if review_wish(given).approved is None:
            return
        levels = [level_of(grid, each.price) for each in run.entries] if run else []
        assert grid.lower <= close <= grid.upper
        assert level_of(grid, close) not in levels
        assert len(levels) < grid.levels
        if run is None:
            self.began = owned.cash
        order = _order(given.decision, Side.BUY, quantity, "e", "command")
        owned = replace(owned, orders=(*owned.orders, Order(order, OrderStatus.ACCEPTED)))
        self.state = DeskState(owned, with_entry(state.risk, given, entry))
        price = close * (1 + COLLAR * Decimal(repr(step.worse))) * (1 + SLIP)
        part = (quantity / step.parts).quantize(MILLI, ROUND_FLOOR)
        for piece in (*[part] * (step.parts - 1), quantity - part * (step.parts - 1)):
            if piece:
                self.told(order, piece, price.quantize(CENT, ROUND_CEILING))

    def sell(self, price: Decimal, reason: str) -> None:
        """Everything, where the market trades at that price."""
        position = self.state.portfolio.position(INSTRUMENT)
        if position is not None:
            order = _order(f"d-0fmb756o0-{self.number:08x}", Side.SELL, position.quantity, "x", reason)
            self.told(order, position.quantity, (price * (1 - SLIP)).quantize(CENT, ROUND_FLOOR))

    def told(self, order: OrderRequest, quantity: Decimal, price: Decimal) -> None:
        """A fill of the order, as records that are folded."""
        self.number += 1
        fill = Fill(
            f"{order.client_id}-{self.number}",
            order.client_id,
            order.decision,
            INSTRUMENT,
            order.side,
            quantity,
            price,
            price,
            fee(quantity * price, COSTS),
            order.leg,
            order.reason,
            CLOSE,
        )
        filled, trade = settle(self.state, fill)
        self.state = apply(self.state, filled)
        self.state = apply(self.state, trade) if trade else self.state

    def lost_if_stopped_now(self) -> Decimal:
        """By the money alone, since the grid began."""
        other = copy.copy(self)
        other.sell(self.grid.stop, "stop")
        assert other.state.portfolio.positions == ()
        return self.began - other.state.portfolio.cash


def _most(wish: Case) -> Decimal:
    """The largest quantity that passes, to the thousandth."""
    low, high = 0, 20_000_000
    while low + 1 < high:
        middle = (low + high) // 2
        passed = review_wish(replace(wish, quantity=middle * MILLI)).approved is not None
        low, high = (middle, high) if passed else (low, middle)
    return max(low, 1) * MILLI


def _order(decision: str, side: Side, quantity: Decimal, leg: str, reason: str) -> OrderRequest:
    client_id, reduces = order_id(decision, leg), leg != "e"
    return OrderRequest(
        client_id, decision, INSTRUMENT, side, quantity, OrderType.MARKET, None, reduces, leg, reason, CLOSE
    )


@given(GRIDS, STEPS)
def test_stopped_out_a_grid_never_loses_more_than_was_fixed(
    grid: GridSettings, steps: list[Bought | Sold]
) -> None:
    """At every moment of any row of purchases and sales: also of several positions, one after another."""
    desk = Played(grid)
    for step in steps:
        if isinstance(step, Bought):
            desk.buy(step)
        else:
            span = grid.upper - grid.stop
            desk.sell(grid.stop + span * Decimal(repr(step.height)) + 2 * CENT, "target")
        assert desk.lost_if_stopped_now() <= Decimal(repr(grid.max_risk)) * desk.began + ROUNDED


@given(
    st.lists(
        st.tuples(st.floats(-0.02, 0.02), st.floats(0, 0.01), st.floats(1, 80), st.booleans()),
        min_size=1,
        max_size=25,
    )
)
def test_on_paper_a_path_of_prices_that_ends_at_the_stop_costs_no_more(
    path: list[tuple[float, float, float, bool]],
) -> None:
    """The whole desk: bars close, a person wishes, the venue fills, and at last the market trades at the stop."""
    desk = GridDesk(grid_settings(execution=COSTS))
    close, began = 97.0, desk.portfolio.cash
    for move, reach, quantity, wishes in path:
        before, close = close, max(round(close * (1 + move), 2), 85.5)
        low = max(round(min(before, close) * (1 - reach), 2), 85.01)
        desk.tell(str(close), open=str(before), low=str(low), high=str(round(max(before, close) * 1.001, 2)))
        if desk.run is None:
            began = desk.portfolio.equity
        if wishes:
            desk.buy(str(round(quantity, 3)))
    desk.tell(str(close), open=str(close), low="84.5")

    assert desk.portfolio.positions == ()
    assert began - desk.portfolio.cash <= Decimal(str(GRID.max_risk)) * began + ROUNDED


RUNS = st.builds(
    GridRun,
    st.just(CLOSE),
    st.decimals("-1000", "1000000", places=2),
    st.decimals("0.01", "2000", places=2),
    st.decimals("0.01", "2000", places=2),
    st.lists(
        st.builds(
            GridEntry,
            st.sampled_from([position().entry_decision, "d-0fmb756o0-00000001"]),
            st.decimals("0.01", "2000", places=2),
            st.decimals("0.001", "1000", places=3),
            st.booleans(),
        ),
        max_size=4,
    ).map(tuple),
    st.decimals("0", "1000000", places=2),
    st.booleans(),
)
BOOKS = st.sampled_from(
    [
        portfolio(marks={INSTRUMENT: Decimal(95)}),
        portfolio(position("10", average_price="95")),
        portfolio(position("-10", average_price="95")),
        portfolio(position("10", average_price="95"), cash="-2000"),
        with_orders(portfolio(position("10", average_price="95")), resting("e"), resting("x", Side.SELL)),
    ]
)


@given(RUNS, BOOKS, st.decimals("0.01", "2000", places=2), st.decimals("0", "1000", places=3), st.booleans())
def test_whatever_a_grid_has_come_to_there_is_an_answer_and_no_yes_against_a_check(
    run: GridRun, books: Portfolio, close: Decimal, quantity: Decimal, wishes: bool
) -> None:
    """A decision that raised could close nothing either."""
    wish = Wish(Side.BUY, quantity, Decimal(0), "ana", "chat", "") if wishes else None
    given = inputs(
        grid_settings(),
        bar=bar(close=close),
        portfolio=replace(books, marks={INSTRUMENT: close}),
        risk=replace(QUIET, grids={INSTRUMENT: run}),
        wish=wish,
    )

    result = decide(given)

    if result.outcome is OutcomeKind.ENTERED:
        assert all(check.passed for check in result.review.checks)
        assert GRID.lower <= close <= GRID.upper
        assert not run.over
        assert len(result.risk.grids[INSTRUMENT].entries) == len(run.entries) + 1
    long = any(each.quantity > 0 for each in books.positions)
    if long and not wishes and (run.over or close < run.stop):
        assert result.outcome in (OutcomeKind.EXITED, OutcomeKind.REFUSED)
