"""A grid's own checks, one step inside the limit, at it and one step over; and that all the other limits stand."""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from configs.schema.decision import DecisionSettings
from configs.schema.desk import DeskSettings, Instrument
from configs.schema.execution import ExecutionSettings
from configs.schema.risk import GridSettings, RiskSettings
from engine.core.domain.order import OrderStatus, OrderType, Side
from engine.core.domain.portfolio import Portfolio, Position
from engine.core.domain.records import Proposal
from engine.core.domain.risk import Check, Entry, GridEntry, GridRun, Lock, RiskState
from engine.core.risk.case import Case
from engine.core.risk.grid import at_stop, in_grid, level_of, stop_of, with_entry
from engine.core.risk.killswitch import with_lock
from engine.core.risk.panel import panel
from engine.core.risk.review import nearest_miss, review, review_wish
from tests.builders import CLOSE, DAY, bar, portfolio, position, settings
from tests.core_builders import QUIET, case, observation, resting, with_orders

GRID = GridSettings("SP500", Decimal(90), Decimal(100), Decimal(85), levels=5, max_risk=0.01)
FREE = ExecutionSettings(fee_bps=0, spread_bps=0, slippage_bps=0, impact_bps=0, entry_collar=1e-9)
"""Costs of nothing, so that a loss is the distance to the stop."""
FINE = Instrument("SP500", tick=Decimal("0.000000001"))
DESK = settings(
    desk=DeskSettings(instruments=(FINE, Instrument("DAX"))),
    risk=RiskSettings(grids=(GRID,), max_entries_per_instrument=100),
    execution=FREE,
    decision=DecisionSettings(cooldown_bars=0),
)
FIRST = "d-0fmb756o0-00000001"


def run(*closes: str, **changed: Any) -> GridRun:
    """A grid of 100,000 that was entered at these closes, 10 units each, all filled."""
    entries = tuple(
        GridEntry(f"{FIRST[:-1]}{n}", Decimal(close), Decimal(10), filled=True)
        for n, close in enumerate(closes, start=1)
    )
    values: dict[str, Any] = {
        "begun": CLOSE - DAY,
        "equity": Decimal(100_000),
        "stop": Decimal(85),
        "target": Decimal(120),
        "entries": entries,
    }
    return GridRun(**(values | changed))


def in_it(*closes: str, **changed: Any) -> RiskState:
    return replace(QUIET, grids={"SP500": run(*closes, **changed)})


def held(*closes: str, **changed: Any) -> Portfolio:
    """What those entries bought, at their closes and for no fee, with the stop and target of each at rest."""
    bought = 10 * sum((Decimal(close) for close in closes), Decimal(0))
    kept = position(
        str(10 * len(closes)),
        average_price=str(bought / (10 * len(closes))),
        entry_decision=FIRST,
        entered_value=bought,
        fees=Decimal(0),
        stop=Decimal(85),
        target=Decimal(120),
        **changed,
    )
    rest = []
    for _ in closes:
        rest.append(resting("s", Side.SELL, "10", OrderType.STOP, "85"))
        rest.append(resting("t", Side.SELL, "10", OrderType.LIMIT, "120"))
    return with_orders(portfolio(kept, cash=str(100_000 - bought), marks={"SP500": Decimal(95)}), *rest)


def seen(close: str) -> Any:
    return observation(bar=bar(close=close))


def wish(close: str = "93.00", **changed: Any) -> Case:
    """To buy 10 more at 93, two levels below an entry at 97 that is held."""
    values = {
        "observation": seen(close),
        "stop": Decimal(85),
        "portfolio": held("97"),
        "risk": in_it("97"),
    }
    return case(changed.pop("chosen", DESK), **(values | changed))


def first(close: str = "97.00", **changed: Any) -> Case:
    return wish(close, **({"portfolio": portfolio(marks={"SP500": Decimal(97)}), "risk": QUIET} | changed))


def risk(most: float, levels: int = 5) -> Any:
    grid = replace(GRID, max_risk=most, levels=levels)
    return replace(DESK, risk=replace(DESK.risk, grids=(grid,)))


def failed(given: Case) -> list[str]:
    return [check.name for check in review_wish(replace(given, by_person=True)).checks if not check.passed]


def asked(given: Case) -> dict[str, Check]:
    return {check.name: check for check in review(given).checks}


# --- the checks ---

# name: (a wish as a function of one value, a value inside the limit, at it, over it, value and limit when over)
TABLE: dict[str, tuple[Callable[[Any], Case], Any, Any, Any, tuple[float, float]]] = {
    "grid side": (lambda v: wish(side=v), Side.BUY, Side.BUY, Side.SELL, (1, 0)),
    "grid over": (lambda v: wish(risk=in_it("97", over=v)), False, False, True, (1, 0)),
    "grid lower": (lambda v: wish(v), "90.01", "90.00", "89.99", (89.99, 90)),
    "grid upper": (lambda v: first(v), "99.99", "100.00", "100.01", (100.01, 100)),
    "grid level": (lambda v: wish(v), "95.99", "96.00", "96.01", (1, 0)),
    "grid entries": (
        lambda v: wish("91.00", risk=in_it(*v), portfolio=held(*v)),
        ["99", "97"],
        ["99", "97", "95", "93"],
        ["99", "98.5", "97", "95", "93"],
        (6, 5),
    ),
    # 10 units at 97 and 10 at 93 lose 120 and 80 at 85: 0.2 % of 100,000
    "grid risk": (lambda v: wish(chosen=risk(v)), 0.0020001, 0.00200001, 0.0019999, (0.002, 0.0019999)),
}
SOURCES = {"strategy": review, "manual": review_wish}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", TABLE)
def test_a_check_passes_up_to_and_at_its_limit_and_fails_beyond(name: str, source: str) -> None:
    make, inside, at, over, (value, limit) = TABLE[name]

    def check(given: Any) -> Check:
        found = SOURCES[source](replace(make(given), by_person=source == "manual")).checks
        return next(each for each in found if each.name == name)

    assert check(inside).passed
    assert check(at).passed
    refused = check(over)
    assert not refused.passed
    assert (refused.value, refused.limit) == (pytest.approx(value, rel=1e-6), pytest.approx(limit))
    assert refused.headroom < 0
    assert refused.key.startswith(("risk.grids", "command.unlock"))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", TABLE)
def test_any_failed_check_of_a_grid_refuses(name: str, source: str) -> None:
    make, _, at, over, _ = TABLE[name]

    verdict = SOURCES[source](replace(make(over), by_person=source == "manual"))

    assert verdict.approved is None
    assert nearest_miss(verdict.checks) is not None
    assert SOURCES[source](replace(make(at), by_person=source == "manual")).approved is not None


def test_a_grid_takes_the_place_of_the_ladder_and_of_no_other_check() -> None:
    without = replace(DESK, risk=replace(DESK.risk, grids=()))
    usual = [check.name for check in review(first(chosen=without)).checks]
    place = usual.index("ladder")

    assert list(asked(first())) == [*usual[:place], *TABLE, *usual[place + 1 :]]


def test_an_entry_lower_down_is_approved_though_something_is_held_and_its_orders_rest() -> None:
    rungs = tuple(
        Entry(CLOSE - DAY, "SP500", Side.BUY, Decimal(10), Decimal(close), True)
        for close in ("99", "97", "95")
    )
    given = wish(risk=replace(in_it("99", "97", "95"), recent=rungs), portfolio=held("99", "97", "95"))

    assert failed(given) == []
    assert asked(given)["positions"].value == 1, "it is one position still"


def test_without_a_grid_the_same_is_refused() -> None:
    without = replace(DESK, risk=replace(DESK.risk, grids=()))
    rungs = tuple(
        Entry(CLOSE - DAY, "SP500", Side.BUY, Decimal(10), Decimal(close), True)
        for close in ("99", "97", "95")
    )

    found = failed(wish(chosen=without, risk=replace(in_it("97"), recent=rungs)))

    assert found == ["already held", "order pending", "ladder"]


def test_a_grid_for_another_instrument_changes_nothing() -> None:
    other = replace(DESK, risk=replace(DESK.risk, grids=(replace(GRID, instrument="DAX"),)))

    assert failed(wish(chosen=other, risk=QUIET)) == ["already held", "order pending"]


# --- what may be added to ---


@pytest.mark.parametrize(
    ("why", "changed", "check"),
    [
        ("it was not the grid that bought it", {"risk": QUIET}, "already held"),
        (
            "it was opened by another decision",
            {"portfolio": held("97", opened_at=CLOSE - 9 * DAY), "risk": in_it()},
            "already held",
        ),
        ("it is about to be left", {"portfolio": held("97", leaving="time")}, "already held"),
    ],
)
def test_nothing_else_that_is_held_is_added_to(why: str, changed: dict[str, Any], check: str) -> None:
    assert check in failed(wish(**changed)), why


def test_a_short_position_is_not_added_to() -> None:
    short = position("-10", average_price="97", entry_decision=FIRST)

    assert "already held" in failed(wish(portfolio=portfolio(short, marks={"SP500": Decimal(97)})))


@pytest.mark.parametrize(
    ("leg", "side", "type_", "price"),
    [
        ("e", Side.BUY, OrderType.MARKET, None),
        ("x", Side.SELL, OrderType.MARKET, None),
    ],
)
@pytest.mark.parametrize("status", [status for status in OrderStatus if status.open])
def test_an_entry_or_an_exit_on_its_way_stands_against_the_next(
    leg: str, side: Side, type_: OrderType, price: str | None, status: OrderStatus
) -> None:
    before = held("97")
    after = with_orders(before, *before.orders, resting(leg, side, "10", type_, price, status=status))

    assert "order pending" in failed(wish(portfolio=after))
    assert failed(wish(portfolio=before)) == []


# --- the other limits ---


@pytest.mark.parametrize(
    ("name", "limits", "changed"),
    [
        ("order value", {"max_order_value": 0.009}, {}),
        ("order money", {"max_order_money": 929.0}, {}),
        ("position value", {"max_position_value": 0.0185}, {}),
        ("trade risk", {"max_trade_risk": 0.00079}, {}),
        ("entries in instrument", {"max_entries_per_instrument": 0}, {}),
        ("daily entries", {"max_daily_entries": 0}, {}),
        ("daily turnover", {"max_daily_turnover": 0.009}, {}),
        ("gross exposure", {"max_gross": 0.0185}, {}),
        ("leverage", {"max_stock_leverage": 0.0185}, {}),
        ("open orders", {"max_open_orders": 4}, {}),
        ("volatility", {"max_instrument_volatility": 0.15}, {}),
        ("daily loss", {}, {"equity": 97_999.0}),
        ("drawdown", {}, {"equity": 94_999.0}),
        ("holds", {}, {"risk": replace(in_it("97"), holds={"venue": "silent"})}),
        ("locks", {}, {"risk": replace(in_it("97"), locks={"SP500": Lock(CLOSE, "ana", "news")})}),
        ("losing streak", {}, {"risk": replace(in_it("97"), losses_in_a_row=6), "bars_since_loss": 0}),
        ("half open", {}, {"risk": replace(in_it("97"), losses_in_a_row=6)}),
        ("stop distance", {}, {"stop": Decimal(93)}),
    ],
)
def test_a_grid_raises_no_other_limit(name: str, limits: dict[str, Any], changed: dict[str, Any]) -> None:
    chosen = replace(DESK, risk=replace(DESK.risk, **limits))

    assert name in failed(wish(chosen=chosen, **changed))
    assert failed(wish()) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 0.0])
def test_a_grid_does_not_begin_on_an_equity_that_is_no_number(value: float) -> None:
    given = first(equity=value)

    assert not asked(given)["grid risk"].passed
    assert review(given).approved is None


@pytest.mark.parametrize("equity", ["0", "-1"])
def test_of_a_grid_that_began_with_nothing_anything_is_too_much(equity: str) -> None:
    assert "grid risk" in failed(wish(risk=in_it("97", equity=Decimal(equity))))


@pytest.mark.parametrize("quantity", ["0", "-10", "1000000000000000"])
def test_no_size_out_of_the_ordinary_gets_past(quantity: str) -> None:
    assert review_wish(wish(quantity=Decimal(quantity))).approved is None


# --- levels ---


@pytest.mark.parametrize(
    ("price", "level"),
    [("100", 0), ("98.01", 0), ("98", 1), ("97.99", 1), ("90.01", 4), ("90", 4), ("80", 4), ("1E+15", 0)],
)
def test_a_range_is_cut_into_bands_of_equal_height(price: str, level: int) -> None:
    assert level_of(GRID, Decimal(price)) == level


def test_of_a_range_as_narrow_as_can_be_every_price_has_a_level() -> None:
    narrow = GridSettings(
        "X", Decimal("1"), Decimal("1.000000000001"), Decimal("0.5"), levels=100, max_risk=0.1
    )

    assert {level_of(narrow, Decimal(price)) for price in ("1E-12", "1", "1E+15")} == {0, 99}


def test_a_level_is_of_the_settings_as_they_are_now() -> None:
    """Levels are worked out from prices: after a restart with others an entry is where it is."""
    coarse = risk(0.01, levels=2)

    assert "grid level" in failed(wish("95.01", chosen=coarse))
    assert failed(wish("95.01")) == []
    assert failed(wish("94.99", chosen=coarse)) == []


# --- what it would lose ---


def test_what_a_grid_would_lose_is_the_way_to_its_stop_with_all_that_it_costs() -> None:
    dear = ExecutionSettings(fee_bps=10, spread_bps=4, slippage_bps=1, impact_bps=7, entry_collar=0.02)
    chosen = replace(DESK, execution=dear, desk=DeskSettings(instruments=(Instrument("SP500"),)))
    bought = (93 * 1.02 * 1.001 + 0.01) * 1.001
    sold = (85 * 0.999 - 0.01) * 0.999
    expected = 10 * (97 - sold) + 10 * (bought - sold)

    found = asked(wish(chosen=chosen))["grid risk"]

    assert found.value == pytest.approx(expected / 100_000, rel=1e-12)


def test_what_was_paid_sold_and_lost_before_counts() -> None:
    part = held("97", "95")
    (kept,) = part.positions
    kept = replace(kept, quantity=Decimal(10), realised=Decimal(940), fees=Decimal(7))
    owned = replace(part, positions=(kept,))

    lost = at_stop(GRID, run("97", "95", lost=Decimal(50)), owned, DESK)

    # 1,920 were paid and 7 of fees; 940 came back, and 850 will at the stop; 50 were lost before
    assert float(lost) == pytest.approx(1920 + 7 - 940 - 850 + 50)


@pytest.mark.parametrize("status", [status for status in OrderStatus if status.open])
def test_an_entry_on_its_way_counts_as_filled(status: OrderStatus) -> None:
    begun = run("97", "93")
    waiting = resting("e", quantity="10", filled="4", status=status)
    waiting = replace(waiting, request=replace(waiting.request, decision=begun.entries[1].decision))
    before = held("97")

    lost = at_stop(GRID, begun, with_orders(before, *before.orders, waiting), DESK)

    assert float(lost) == pytest.approx(10 * (97 - 85) + 6 * (93 - 85))


def test_of_an_entry_that_no_grid_knows_the_worst_is_taken() -> None:
    before = held("97")
    unknown = with_orders(before, *before.orders, resting("e", quantity="10"))

    assert float(at_stop(GRID, run("97"), unknown, DESK)) == pytest.approx(10 * 12 + 10 * 15)


def test_a_grid_that_has_not_begun_has_nothing_to_lose() -> None:
    assert at_stop(GRID, None, held("97"), DESK) == 0


def test_the_risk_is_a_share_of_what_there_was_when_it_began() -> None:
    """Not of what is left: a grid that falls would seem to shrink its own limit, and one that gains to widen it."""
    richer = wish(chosen=risk(0.0019), equity=200_000.0)

    assert "grid risk" in failed(richer)
    assert "grid risk" not in failed(wish(chosen=risk(0.0011), risk=in_it("97", equity=Decimal(200_000))))


# --- its geometry and its beginning ---


def test_an_entry_has_the_stop_of_its_grid_and_the_target_of_the_first() -> None:
    own = Proposal("enter", Side.BUY, "signal", stop=Decimal(91), target=Decimal(111), max_bars=40)

    assert in_grid(own, None, None) is own
    begins = in_grid(own, GRID, None)
    adds = in_grid(own, replace(GRID, stop=Decimal(80)), run("97"))
    anew = in_grid(own, replace(GRID, stop=Decimal(80)), run(lost=Decimal(5)))
    assert (begins.stop, begins.target) == (85, 111)
    assert (adds.stop, adds.target) == (85, 120), "it goes on as it began, whatever the profile says since"
    assert (anew.stop, anew.target) == (80, 111)
    assert stop_of(GRID, None) == 85


def test_what_sells_short_keeps_its_own_stop_and_is_refused() -> None:
    short = Proposal("enter", Side.SELL, "signal", stop=Decimal(101), target=Decimal(88))

    assert in_grid(short, GRID, None) is short
    assert "grid side" in failed(wish(side=Side.SELL, stop=Decimal(101)))


def test_a_grid_begins_with_its_first_entry_and_remembers_each() -> None:
    proposal = Proposal("enter", Side.BUY, "command", stop=Decimal(85), target=Decimal(111))
    begun = with_entry(QUIET, first(equity=50_000.0), proposal)
    further = with_entry(begun, wish("93.00", decision="d-2", risk=begun), proposal)

    assert begun.grids["SP500"] == GridRun(
        CLOSE,
        Decimal("50000.0"),
        Decimal(85),
        Decimal(111),
        (GridEntry("d-0fmb756o0-aa839972", Decimal("97.00"), Decimal(10)),),
    )
    assert [entry.decision for entry in further.grids["SP500"].entries] == ["d-0fmb756o0-aa839972", "d-2"]
    assert further.grids["SP500"].equity == 50_000


def test_where_no_grid_is_declared_any_more_what_one_lost_is_forgotten() -> None:
    without = replace(DESK, risk=replace(DESK.risk, grids=()))
    proposal = Proposal("enter", Side.BUY, "signal", stop=Decimal(91), target=Decimal(111))

    assert with_entry(QUIET, first(chosen=without), proposal) is QUIET
    assert with_entry(in_it(lost=Decimal(9)), first(chosen=without), proposal).grids == {}


# --- ending and beginning anew ---


def test_whoever_unlocks_the_instrument_lets_its_grid_begin_anew() -> None:
    lock = Lock(CLOSE, "grid", "the grid of SP500 ended")
    lost = replace(in_it(lost=Decimal(900)), locks={"SP500": lock, "DAX": lock})

    unlocked = with_lock(lost, "SP500", None)

    assert (unlocked.grids, list(unlocked.locks)) == ({}, ["DAX"])
    assert with_lock(lost, "DAX", None).grids == lost.grids
    assert with_lock(lost, "SP500", lock).grids == lost.grids


def test_a_grid_that_still_holds_goes_on_as_it_was_when_it_is_unlocked() -> None:
    over = replace(in_it("97", over=True), locks={"SP500": Lock(CLOSE, "grid", "ended")})

    unlocked = with_lock(over, "SP500", None)

    assert unlocked.grids == over.grids
    assert failed(wish(risk=unlocked)) == ["grid over"]


# --- the panel ---


def test_the_panel_shows_what_each_grid_has_used_and_would_lose() -> None:
    def shown(state: RiskState, owned: Portfolio) -> dict[str, Check]:
        return {check.name: check for check in panel(owned, state, DESK, CLOSE) if "grid" in check.name}

    assert shown(QUIET, portfolio()) == {}
    checks = shown(in_it("97"), held("97"))
    assert (checks["grid entries SP500"].value, checks["grid entries SP500"].limit) == (1, 5)
    assert checks["grid risk SP500"].value == pytest.approx(0.0012)
    assert checks["grid risk SP500"].key == "risk.grids.max_risk"


def test_what_is_held_is_added_to_only_where_its_grid_has_begun() -> None:
    kept: Position = position("10", entry_decision=FIRST)

    assert wish().adds
    assert not case(DESK, portfolio=portfolio(kept)).adds
    assert not first().adds
