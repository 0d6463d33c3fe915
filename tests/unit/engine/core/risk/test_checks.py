"""Every check of an entry, one step inside its limit, at it and one step over it."""

import math
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from configs.schema.decision import DecisionSettings
from configs.schema.desk import DeskSettings, Instrument
from configs.schema.execution import ExecutionSettings
from configs.schema.risk import RiskSettings
from engine.core.domain.order import OrderStatus, OrderType, Side
from engine.core.domain.risk import Check, Entry, Lock, RiskState, TradingState
from engine.core.risk.case import NEVER, Case, Waiting, bars_between, committed
from engine.core.risk.case import waiting as waiting_in
from engine.core.risk.daily import daily_checks
from engine.core.risk.patterns import MANUAL, MOST, VENUE, count_entry, locked, pattern_checks
from engine.core.risk.position import position_checks
from engine.core.risk.review import review, review_wish
from engine.core.risk.signal_tier import data_checks, signal_checks
from engine.core.risk.system import system_checks
from tests.builders import CLOSE, DAY, bar, forecast, issue, portfolio, position, settings
from tests.core_builders import QUIET, case, observation, resting, with_orders

LIMITS: dict[str, Any] = {
    "max_order_value": 0.2,
    "max_position_value": 0.3,
    "max_trade_risk": 0.02,
    "max_participation": 0.01,
    "max_price_jump": 0.1,
    "max_order_money": 25_000.0,
    "max_stock_position": 0.3,
    "max_group_value": 0.35,
    "max_price_shock": 0.1,
    "restricted": ("GOLD",),
    "max_entries_at_once": 3,
    "entries_within_min": 15.0,
    "duplicate_s": 5.0,
    "pattern_bars": 20,
    "max_ladder": 3,
    "max_flips": 3,
    "max_size_after_loss": 2.0,
    "max_bar_loss": 0.03,
    "max_stock_leverage": 0.4,
    "max_entries_per_instrument": 3,
    "max_daily_loss": 0.02,
    "halt_daily_loss": 0.04,
    "max_daily_entries": 20,
    "max_daily_turnover": 2.0,
    "max_consecutive_losses": 6,
    "loss_pause_bars": 5,
    "max_gross": 0.5,
    "max_drawdown": 0.1,
    "max_open_orders": 30,
    "max_unknown_orders": 1,
    "max_positions": 4,
    "max_instrument_volatility": 2.0,
}
INSTRUMENTS = (Instrument("SP500", group="shares"), Instrument("DAX", group="shares"), Instrument("GOLD"))
DESK = settings(
    desk=DeskSettings(instruments=INSTRUMENTS),
    risk=RiskSettings(**LIMITS),
    decision=DecisionSettings(confidence=0.65, cooldown_bars=3),
)
NEWS = Lock(CLOSE, "ana", "news")
MINUTES = replace(DESK, desk=DeskSettings(timeframe="1m", instruments=INSTRUMENTS))


def wish(**changed: Any) -> Case:
    return case(DESK, **changed)


def bought(quantity: str, **changed: Any) -> Case:
    return wish(quantity=Decimal(quantity), **changed)


def held(*worths: int) -> Any:
    """Positions of these worths in other instruments; equity stays 100,000."""
    kept = [position(str(worth), f"X{n}", average_price="1") for n, worth in enumerate(worths)]
    return portfolio(*kept, cash=str(100_000 - sum(worths)))


def waiting(count: int, **changed: Any) -> Any:
    orders = [resting(instrument=f"X{n}", **changed) for n in range(count)]
    return with_orders(portfolio(marks={f"X{n}": Decimal(1) for n in range(count)}), *orders)


def quiet(**changed: Any) -> RiskState:
    return replace(QUIET, **changed)


def dax(worth: int) -> Any:
    """A position in another instrument of the same group and class."""
    return portfolio(position(str(worth), "DAX", average_price="1"), cash=str(100_000 - worth))


def entered(*told: tuple[timedelta, str, str, Side]) -> RiskState:
    """Entries in the instrument so long ago, by quantity, price and side."""
    return quiet(
        recent=tuple(
            Entry(CLOSE - ago, "SP500", side, Decimal(quantity), Decimal(price), False)
            for ago, quantity, price, side in told
        )
    )


def times(count: int, ago: timedelta = timedelta(minutes=14), side: Side = Side.BUY) -> RiskState:
    return entered(*[(ago, "1", "100", side)] * count)


def ladder(*prices: str) -> RiskState:
    return entered(*[(DAY, "1", price, Side.BUY) for price in prices])


def turning(*sides: Side) -> RiskState:
    return entered(*[(DAY, "1", "100", side) for side in sides])


def lost_with(quantity: str) -> RiskState:
    return replace(entered((2 * DAY, quantity, "100", Side.BUY)), last_losses={"SP500": CLOSE - DAY})


def seen(**changed: Any) -> Any:
    return observation(bar=bar(close="100.00", volume="100000"), **changed)


# name: (a wish as a function of one value, a value inside the limit, at it, over it)
TABLE: dict[str, tuple[Callable[[Any], Case], Any, Any, Any]] = {
    "warm-up": (lambda v: wish(observation=seen(have=v, need=546)), 547, 546, 545),
    "data quality": (lambda v: wish(observation=seen(issues=(issue(),) * v)), 0, 0, 1),
    "direction": (lambda v: wish(forecast=forecast(v)), 0.9, 0.3, -0.9),
    "confidence": (lambda v: wish(forecast=forecast(v)), 0.32, 0.3, 0.28),
    "regime": (lambda v: wish(observation=seen(regime=v)), "weak_up", None, "crash"),
    "cool-down": (lambda v: wish(bars_since_exit=v), 4, 3, 2),
    "already held": (lambda v: wish(portfolio=portfolio(*v)), (), (), (position(),)),
    "order pending": (lambda v: wish(portfolio=with_orders(portfolio(), *v)), (), (), (resting("s"),)),
    "order size": (lambda v: bought(v), "0.002", "0.001", "0"),
    "order minimum": (lambda v: bought(v), "0.101", "0.100", "0.099"),
    "order value": (lambda v: bought(v), "199.999", "200", "200.001"),
    "order money": (lambda v: bought(v), "249.999", "250", "250.001"),
    "position value": (
        lambda v: bought(v, portfolio=portfolio(position("100"), marks={"SP500": Decimal(100)})),
        "199.999",
        "200",
        "200.001",
    ),
    "group value": (lambda v: wish(portfolio=dax(v)), 33_999, 34_000, 34_001),
    "trade risk": (lambda v: bought("200", stop=Decimal(v)), "90.01", "90", "89.99"),
    "stop distance": (lambda v: wish(stop=Decimal(v)), "99.98", "99.99", "100"),
    "participation": (
        lambda v: wish(quantity=Decimal(10), observation=observation(bar=bar(close="100.00", volume=v))),
        "1001",
        "1000",
        "999",
    ),
    "price jump": (
        lambda v: wish(observation=observation(bar=bar(close=v), previous_close=Decimal(100))),
        "90.01",
        "110",
        "110.01",
    ),
    "price shock": (
        lambda v: case(
            MINUTES, observation=observation(bar=bar(open="100", high=v, low="100", close="100.00"))
        ),
        "109.99",
        "110",
        "110.01",
    ),
    "restricted": (
        lambda v: wish(observation=observation(bar=bar(v, close="100.00"))),
        "SP500",
        "DAX",
        "GOLD",
    ),
    "entries in instrument": (lambda v: wish(risk=quiet(instrument_entries={"SP500": v})), 1, 2, 3),
    "volatility": (lambda v: wish(volatility=v / 252**0.5), 1.99, 2.0, 2.01),
    "entries at once": (lambda v: wish(risk=times(v)), 1, 2, 3),
    "duplicate order": (
        lambda v: wish(risk=entered((timedelta(seconds=v), "10.1", "100", Side.BUY))),
        5.1,
        5,
        4.9,
    ),
    "ladder": (lambda v: wish(risk=ladder(*v)), ["101"], ["102", "101"], ["103", "102", "101"]),
    "flips": (
        lambda v: wish(risk=turning(*v)),
        [Side.SELL, Side.BUY],
        [Side.SELL, Side.BUY, Side.SELL],
        [Side.BUY, Side.SELL, Side.BUY, Side.SELL],
    ),
    "size after a loss": (lambda v: wish(risk=lost_with(v)), "5.01", "5", "4.99"),
    "daily loss": (lambda v: wish(equity=v), 98_001.0, 98_000.0, 97_999.0),
    "daily entries": (lambda v: wish(risk=quiet(day_entries=v)), 18, 19, 20),
    "daily turnover": (lambda v: wish(risk=quiet(day_turnover=Decimal(v))), 198_999, 199_000, 199_001),
    "losing streak": (
        lambda v: wish(risk=quiet(losses_in_a_row=6), bars_since_loss=v),
        6,
        5,
        4,
    ),
    "bar loss": (lambda v: wish(risk=quiet(bar_loss_streak=1, last_bar_loss=CLOSE - v * DAY)), 6, 5, 4),
    "half open": (
        lambda v: wish(risk=quiet(losses_in_a_row=6), portfolio=held(*[1] * v)),
        0,
        0,
        1,
    ),
    "trading state": (
        lambda v: wish(risk=quiet(trading=v)),
        TradingState.ACTIVE,
        TradingState.ACTIVE,
        TradingState.REDUCING,
    ),
    "drawdown": (lambda v: wish(equity=v), 90_001.0, 90_000.0, 89_999.0),
    "gross exposure": (lambda v: wish(portfolio=held(v)), 48_999, 49_000, 49_001),
    "leverage": (lambda v: wish(portfolio=dax(v)), 38_999, 39_000, 39_001),
    "cash": (lambda v: wish(portfolio=portfolio(cash=v)), "1001", "1000", "999"),
    "open orders": (lambda v: wish(portfolio=waiting(v, leg="s")), 26, 27, 28),
    "unknown orders": (lambda v: wish(portfolio=waiting(v, status=OrderStatus.UNKNOWN)), 0, 1, 2),
    "holds": (lambda v: wish(risk=quiet(holds=v)), {}, {}, {"venue": "the venue is silent"}),
    "locks": (
        lambda v: wish(risk=quiet(locks=v)),
        {},
        {"trend": NEWS, "DAX": NEWS, "manual": NEWS},
        {"SP500": NEWS},
    ),
    "positions": (lambda v: wish(portfolio=held(*[1] * v)), 2, 3, 4),
}


def asked(given: Case) -> dict[str, Check]:
    return {check.name: check for check in review(given).checks}


def test_the_table_holds_every_check() -> None:
    assert list(TABLE) == list(asked(wish()))


def test_a_quiet_wish_is_approved() -> None:
    verdict = review(wish())

    assert verdict.refused_by == ""
    assert verdict.approved is not None
    assert (verdict.approved.quantity, verdict.approved.side, verdict.approved.reduce_only) == (
        10,
        Side.BUY,
        False,
    )


@pytest.mark.parametrize("name", TABLE)
def test_a_check_passes_up_to_and_at_its_limit_and_fails_beyond(name: str) -> None:
    make, inside, at, over = TABLE[name]

    assert asked(make(inside))[name].passed
    assert asked(make(at))[name].passed
    failed = asked(make(over))[name]
    assert not failed.passed
    assert failed.headroom < 0


@pytest.mark.parametrize("name", TABLE)
def test_any_failed_check_refuses(name: str) -> None:
    make, _, _, over = TABLE[name]
    verdict = review(make(over))

    assert verdict.approved is None
    assert verdict.refused_by == next(check.name for check in verdict.checks if not check.passed)


OF_THE_DESK_ALONE = {"confidence", "regime", "cool-down"}
"""What asks whether the desk itself would want it: a person stands in for that, and for nothing else."""


@pytest.mark.parametrize("source", ["console", "chat", "inbox"])
@pytest.mark.parametrize("name", [name for name in TABLE if name not in OF_THE_DESK_ALONE | {"direction"}])
def test_whoever_wishes_for_it_the_same_limit_refuses(name: str, source: str) -> None:
    make, _, at, over = TABLE[name]
    wished = replace(make(over), by_person=True, decision=f"d-{source}")

    verdict = review_wish(wished)

    assert verdict.approved is None
    assert name in [check.name for check in verdict.checks if not check.passed]
    within = {check.name: check.passed for check in review_wish(replace(make(at), by_person=True)).checks}
    assert within[name] or name == "locks", "manual is locked for persons"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 0.0])
@pytest.mark.parametrize("field", ["equity", "close", "value", "volatility"])
def test_a_hostile_number_is_never_approved(field: str, value: float) -> None:
    if field == "volatility" and value in (0.0, -1.0):
        return  # a market that does not move is within any limit on movement
    assert review(wish(**{field: value})).approved is None


@pytest.mark.parametrize("equity", [math.nan, 0.0, -1.0, -math.inf])
@pytest.mark.parametrize(
    "name", ["order value", "position value", "trade risk", "daily turnover", "gross exposure"]
)
def test_without_equity_nothing_fits(equity: float, name: str) -> None:
    given = wish(equity=equity)

    assert not asked(given)[name].passed
    assert review(given).approved is None


def test_drawdown_and_loss_of_an_equity_that_is_not_a_number_are_beyond_any_limit() -> None:
    checks = asked(wish(equity=math.nan))

    assert not checks["drawdown"].passed
    assert not checks["daily loss"].passed


def test_a_fall_jumps_as_a_rise_does() -> None:
    def fell_to(close: str) -> bool:
        looked = observation(bar=bar(close=close), previous_close=Decimal(100))
        return asked(wish(observation=looked))["price jump"].passed

    assert [fell_to("90.01"), fell_to("90"), fell_to("89.99")] == [True, True, False]


def test_without_a_close_before_there_is_no_jump() -> None:
    assert asked(wish(observation=seen(previous_close=None)))["price jump"].value == 0.0


def test_a_stop_on_the_wrong_side_is_refused() -> None:
    assert not asked(wish(stop=Decimal("100.01")))["stop distance"].passed
    assert not asked(wish(side=Side.SELL, stop=Decimal("99.99")))["stop distance"].passed
    assert asked(wish(side=Side.SELL, stop=Decimal("100.01")))["stop distance"].passed


@pytest.mark.parametrize(("volume", "passed"), [("0", False), ("100000", True)])
def test_nothing_may_be_taken_of_a_bar_without_volume(volume: str, passed: bool) -> None:
    looked = observation(bar=bar(close="100.00", volume=volume))

    assert asked(wish(observation=looked))["participation"].passed is passed


def test_participation_is_not_asked_where_volume_is_not_known() -> None:
    chosen = settings(execution=ExecutionSettings(volume_is_known=False))
    looked = observation(bar=bar(close="100.00", volume="0"))

    assert asked(case(chosen, observation=looked))["participation"].value == 0.0


@pytest.mark.parametrize(
    ("share", "volume"), [(0.003, 333_333), (0.013, 1_000), (0.03, 77_777), (0.011, 54_321)]
)
def test_a_size_that_takes_exactly_what_is_permitted_is_within_it(share: float, volume: int) -> None:
    """In floats, every third volume at 3 % came out a hair above."""
    chosen = settings(risk=RiskSettings(max_participation=share))
    looked = observation(bar=bar(close="100.00", volume=str(volume)))
    quantity = Decimal(volume) * Decimal(str(share))

    assert asked(case(chosen, observation=looked, quantity=quantity))["participation"].passed


def test_a_short_side_needs_permission_and_a_falling_forecast() -> None:
    both = settings(decision=DecisionSettings(long_only=False))

    assert asked(case(both, forecast=forecast(-0.9)))["direction"].passed
    assert not asked(case(both, forecast=forecast(0.0, a=0.0)))["direction"].passed


def test_without_a_forecast_there_is_neither_direction_nor_conviction() -> None:
    given = replace(wish(), forecast=None)

    assert not asked(given)["direction"].passed
    assert not asked(given)["confidence"].passed


def test_another_instruments_orders_do_not_stand_in_the_way() -> None:
    other = with_orders(portfolio(marks={"X": Decimal(1)}), resting("s", instrument="X"))

    assert asked(wish(portfolio=other))["order pending"].passed


@pytest.mark.parametrize(
    ("streak", "since", "passed"), [(6, 5, True), (7, 9, False), (7, 10, True), (8, 19, False), (8, 20, True)]
)
def test_each_further_loss_doubles_the_pause(streak: int, since: int, passed: bool) -> None:
    given = wish(risk=quiet(losses_in_a_row=streak), bars_since_loss=since)

    assert asked(given)["losing streak"].passed is passed


def test_a_bar_that_lost_too_much_is_followed_by_one_entry_at_a_time() -> None:
    lately = quiet(bar_losses=1, last_bar_loss=CLOSE - 9 * DAY)

    assert not asked(wish(risk=lately, portfolio=held(1)))["half open"].passed
    assert asked(wish(risk=quiet(), portfolio=held(1)))["half open"].passed


@pytest.mark.parametrize(("streak", "passed"), [(5, True), (6, False), (7, False)])
def test_the_pause_follows_the_last_loss_of_a_streak(streak: int, passed: bool) -> None:
    given = wish(risk=quiet(losses_in_a_row=streak), bars_since_loss=0)

    assert asked(given)["losing streak"].passed is passed


# --- rows of entries ---


def test_entries_of_another_side_or_longer_ago_are_not_counted_as_at_once() -> None:
    other = times(9, side=Side.SELL)
    earlier = times(9, ago=timedelta(minutes=15))

    assert asked(wish(risk=other))["entries at once"].value == 1
    assert asked(wish(risk=earlier))["entries at once"].value == 1


def test_on_short_bars_an_entry_counts_for_as_long_as_any_check_looks_back() -> None:
    """The patterns of 20 bars of a minute are over long before these ten hours."""
    careful = replace(
        MINUTES, risk=RiskSettings(**(LIMITS | {"pattern_bars": 20, "entries_within_min": 600.0}))
    )
    seen = case(careful, risk=times(3, ago=timedelta(minutes=599)))

    assert asked(seen)["entries at once"].value == 4
    assert asked(case(careful, risk=times(3, ago=timedelta(minutes=600))))["entries at once"].value == 1
    assert asked(seen)["flips"].value == 0
    assert asked(seen)["ladder"].value == 1


@pytest.mark.parametrize(
    ("quantity", "passed"), [("9.8", True), ("9.91", False), ("10", False), ("10.2", True)]
)
def test_an_order_of_another_size_is_no_repetition(quantity: str, passed: bool) -> None:
    given = wish(risk=entered((timedelta(seconds=1), quantity, "100", Side.BUY)))

    assert asked(given)["duplicate order"].passed is passed


def test_a_ladder_ends_where_the_price_rose_or_the_side_changed() -> None:
    rose = ladder("103", "99", "102", "101")
    turned = entered((DAY, "1", "103", Side.BUY), (DAY, "1", "102", Side.SELL), (DAY, "1", "101", Side.BUY))

    assert asked(wish(risk=rose))["ladder"].value == 3
    assert asked(wish(risk=turned))["ladder"].value == 2


def test_selling_into_a_rise_is_a_ladder_too() -> None:
    rising = entered(*[(DAY, "1", price, Side.SELL) for price in ("97", "98", "99")])
    short = case(DESK, side=Side.SELL, stop=Decimal(105), risk=rising)

    assert not asked(short)["ladder"].passed


def test_a_size_is_compared_with_the_one_that_lost_and_with_no_other() -> None:
    won = replace(lost_with("1"), last_losses={})
    elsewhere = replace(lost_with("1"), last_loss=CLOSE, last_losses={"DAX": CLOSE, "SP500": CLOSE - DAY})
    never_filled = replace(
        lost_with("5"), recent=(*lost_with("5").recent, *entered((DAY / 2, "9", "100", Side.BUY)).recent)
    )
    long_ago = replace(lost_with("1"), recent=())
    for_nothing = replace(lost_with("0"))

    assert asked(wish(risk=won))["size after a loss"].value == 0
    assert asked(wish(risk=elsewhere))["size after a loss"].value == 10
    assert asked(wish(risk=never_filled))["size after a loss"].value == 2
    assert asked(wish(risk=long_ago))["size after a loss"].value == 0
    assert asked(wish(risk=for_nothing))["size after a loss"].value == 0


def test_an_approved_entry_is_remembered_and_those_that_nobody_can_see_any_more_are_forgotten() -> None:
    approved = review(wish()).approved
    assert approved is not None
    before = entered((21 * DAY, "1", "100", Side.BUY), (19 * DAY, "2", "100", Side.BUY))

    after = count_entry(before, approved, Decimal(100), CLOSE, DESK, by_person=True)

    assert [entry.quantity for entry in after.recent] == [2, 10]
    assert after.recent[-1] == Entry(CLOSE, "SP500", Side.BUY, Decimal(10), Decimal(100), True)


def test_only_so_many_entries_are_kept() -> None:
    approved = review(wish()).approved
    assert approved is not None

    after = count_entry(times(MOST), approved, Decimal(100), CLOSE, DESK, by_person=False)

    assert len(after.recent) == MOST


@pytest.mark.parametrize(("by_person", "name"), [(True, MANUAL), (False, "SP500")])
def test_one_entry_too_many_locks_what_it_came_from(by_person: bool, name: str) -> None:
    after = locked(wish(risk=times(3), by_person=by_person))

    assert list(after.locks) == [name]
    assert "3 entries in SP500 within 15 minutes" in after.locks[name].why
    before = quiet(locks={name: NEWS})
    assert locked(wish(risk=before, by_person=by_person)) == before


def test_a_lock_on_persons_stands_against_persons_alone() -> None:
    given = quiet(locks={MANUAL: NEWS})

    assert asked(wish(risk=given))["locks"].passed
    assert not asked(wish(risk=given, by_person=True))["locks"].passed
    assert not asked(wish(risk=quiet(locks={VENUE: NEWS})))["locks"].passed


# --- what is on its way counts as filled ---


@pytest.mark.parametrize("status", [s for s in OrderStatus if s.open])
def test_open_sent_and_unknown_entries_count_as_filled(status: OrderStatus) -> None:
    """In exposure, in cash and in the number of positions."""
    entry = resting(instrument="X", quantity="500", status=status)
    given = wish(portfolio=with_orders(portfolio(marks={"X": Decimal(100)}), entry))
    checks = asked(given)

    assert checks["gross exposure"].value == pytest.approx(0.51)
    assert not checks["gross exposure"].passed
    assert checks["cash"].value == pytest.approx(0.49)
    assert checks["positions"].value == 2


def test_an_entry_that_is_half_filled_counts_once() -> None:
    """Its filled part is a position, its rest is on its way; both are in one instrument."""
    kept = portfolio(position("200", "X", average_price="100"), cash="80000")
    entry = resting(instrument="X", quantity="500", filled="200", status=OrderStatus.PARTIAL)
    checks = asked(wish(portfolio=with_orders(kept, entry)))

    assert checks["gross exposure"].value == pytest.approx(0.2 + 0.3 + 0.01)
    assert checks["positions"].value == 2


def test_an_order_with_a_price_is_worth_its_price() -> None:
    entry = resting(instrument="X", type_=OrderType.LIMIT, price="90")

    assert committed(with_orders(portfolio(marks={"X": Decimal(100)}), entry)) == 900.0


def test_what_waits_is_counted_by_what_it_may_still_do() -> None:
    orders = (
        resting("s", instrument="SP500"),
        resting("e", instrument="X", status=OrderStatus.UNKNOWN),
        resting("e", instrument="Y", status=OrderStatus.FILLED),
    )
    given = with_orders(portfolio(marks=dict.fromkeys(("SP500", "X", "Y"), Decimal(100))), *orders)

    assert waiting_in(given, "SP500") == Waiting(
        value=1000.0, coming=frozenset({"X"}), here=1, open=2, unknown=1
    )
    assert waiting_in(portfolio(), "SP500") == Waiting()


def test_orders_that_only_reduce_or_are_over_add_nothing() -> None:
    over = resting("e", instrument="X", status=OrderStatus.CANCELLED)
    given = with_orders(portfolio(marks={"X": Decimal(100)}), resting("s", instrument="X"), over)

    assert committed(given) == 0.0


def test_selling_short_needs_no_cash() -> None:
    short = case(DESK, side=Side.SELL, stop=Decimal(105), portfolio=portfolio(cash="0"))

    assert asked(short)["cash"].passed


def test_a_desk_that_may_borrow_may_spend_more_than_its_cash() -> None:
    lever = settings(risk=RiskSettings(max_gross=2.0))
    kept = portfolio(cash="-98000")

    assert asked(case(lever, portfolio=kept, quantity=Decimal(20)))["cash"].passed
    assert not asked(case(lever, portfolio=kept, quantity=Decimal(21)))["cash"].passed


# --- bars as a measure of time ---


def test_what_has_never_happened_is_long_ago() -> None:
    assert bars_between(None, CLOSE, "1d") == NEVER


def test_bars_are_counted_in_whole_timeframes() -> None:
    assert bars_between(CLOSE - 3 * DAY, CLOSE, "1d") == 3
    assert bars_between(CLOSE - timedelta(minutes=59), CLOSE, "1h") == 0
    assert bars_between(CLOSE, CLOSE, "1m") == 0


def test_tiers_are_asked_in_their_order() -> None:
    given = wish()
    tiers = (
        data_checks(given.observation),
        signal_checks(given),
        position_checks(given),
        pattern_checks(given),
        daily_checks(given),
        system_checks(given),
    )

    assert review(given).checks == tuple(check for tier in tiers for check in tier)
    assert [next(iter({check.tier for check in tier})) for tier in tiers] == [
        "signal",
        "signal",
        "position",
        "position",
        "daily",
        "system",
    ]
