"""The whole decision: what comes of it, and that it holds its promises in every state of the desk."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from configs.schema.decision import AlphaSettings, DecisionSettings
from configs.schema.execution import ExecutionSettings
from configs.schema.risk import RiskSettings
from engine.core.domain.market import BarArrays, MarketWindow
from engine.core.domain.order import OrderStatus, Side
from engine.core.domain.records import CycleInputs, OutcomeKind, Wish
from engine.core.domain.risk import Lock, TradingState
from engine.core.domain.signal import Prediction
from engine.core.pipeline import FEATURE_SET, NEED, close_by_command, decide, observe
from engine.core.sizing.size import NO_SIZE
from tests.builders import CLOSE, bar, halted, issue, portfolio, position, settings
from tests.core_builders import QUIET, features, inputs, learned, observation, resting, with_orders
from tests.desks import trending_bars

BOTH_WAYS = settings(decision=DecisionSettings(long_only=False))


def holding(quantity: str = "10", **changed: Any) -> CycleInputs:
    """A look at an instrument that is held, and that may stay."""
    kept = position(quantity, average_price="1240", best=Decimal(1240))
    owned = portfolio(kept, cash="90000", marks={"SP500": Decimal(1240)})
    return inputs(changed.pop("chosen", None), **({"portfolio": owned} | changed))


# --- a person's wish ---


def wished(quantity: str = "10", amount: str = "0", side: Side = Side.BUY, **changed: Any) -> CycleInputs:
    """The look that a command to enter leads to: at the newest bar, a few minutes later."""
    wish = Wish(side, Decimal(quantity), Decimal(amount), "tom", "console", "a tip")
    late = {"as_of": CLOSE + timedelta(minutes=5)} | changed
    return replace(inputs(late.pop("chosen", None), **late), wish=wish)


def test_a_wish_stands_in_for_the_signal_and_brings_its_protection() -> None:
    crash = observation(regime="crash", features=features(trend=-1.0))

    result = decide(wished(observation=crash))

    assert (result.outcome, result.refused_by, result.proposal.reason) == (OutcomeKind.ENTERED, "", "command")
    assert [(order.leg, order.quantity) for order in result.orders] == [("e", 10), ("s", 10), ("t", 10)]
    assert result.orders[0].placed_at == CLOSE + timedelta(minutes=5)
    assert result.size is not None
    assert [step.name for step in result.size.steps] == ["wish"]


@pytest.mark.parametrize(
    ("check", "changed"),
    [
        ("trading state", {"risk": halted(by="tom")}),
        ("holds", {"risk": replace(QUIET, holds={"venue": "silent"})}),
        ("order size", {"quantity": "0.0001"}),
        ("order value", {"quantity": "1000"}),
        ("direction", {"side": Side.SELL}),
        ("bar age", {"as_of": CLOSE + timedelta(days=3)}),
        ("already held", {"portfolio": portfolio(position("1"))}),
        ("order pending", {"portfolio": with_orders(portfolio(), resting("e"))}),
        ("data quality", {"observation": observation(issues=(issue(),))}),
    ],
)
def test_a_wish_passes_no_limit_that_the_desk_would_not(check: str, changed: dict[str, Any]) -> None:
    result = decide(wished(**changed))

    assert result.outcome is OutcomeKind.REFUSED
    assert check in {each.name for each in result.review.checks if not each.passed}
    assert result.orders == ()


def test_a_wish_may_be_an_amount_or_be_left_to_the_desk() -> None:
    amount = decide(wished("0", "5000")).size
    left = decide(wished("0")).size
    nothing = decide(wished("0", observation=observation(regime=None, features={}, have=3)))

    assert amount is not None
    assert left is not None
    assert amount.quantity == Decimal("4.032"), "5,000 at 1,240, in whole lots"
    assert left.steps[0].name == "kelly"
    assert (nothing.refused_by, nothing.size) == ("warm-up", NO_SIZE)


def test_a_wish_teaches_the_ensemble_nothing() -> None:
    """It looks at a bar again that was learned from: a second look would count it twice."""
    given = wished()

    assert decide(given).ensemble == given.ensemble


# --- entering ---


def test_a_convinced_desk_enters_with_its_protection() -> None:
    result = decide(inputs())

    assert (result.outcome, result.refused_by, result.nearest) == (OutcomeKind.ENTERED, "", None)
    assert [order.leg for order in result.orders] == ["e", "s", "t"]
    assert result.size is not None
    assert result.review.approved is not None
    assert {order.quantity for order in result.orders} == {result.size.quantity}
    assert result.orders[1].price == result.proposal.stop
    assert (result.risk.day_entries, result.risk.instrument_entries) == (1, {"SP500": 1})
    assert result.exits == ()


def test_a_desk_that_may_sells_short_with_its_stop_above() -> None:
    result = decide(inputs(BOTH_WAYS, features=features(-1.0), predictions=()))
    entry, stop, target = result.orders

    assert result.outcome is OutcomeKind.ENTERED
    assert (entry.side, stop.side, target.side) == (Side.SELL, Side.BUY, Side.BUY)
    assert stop.price is not None and target.price is not None
    assert target.price < Decimal(1240) < stop.price


def test_a_long_only_desk_looks_at_the_entry_it_might_have_made() -> None:
    result = decide(inputs(features=features(-1.0), predictions=()))

    assert (result.outcome, result.refused_by, result.orders) == (OutcomeKind.NO_SIGNAL, "direction", ())
    assert (result.proposal.action, result.proposal.reason) == ("none", "direction")
    assert result.size is not None
    assert result.review.checks


def test_below_the_gate_there_is_no_signal_but_every_check_is_there() -> None:
    result = decide(inputs(features=features(0.1), predictions=()))

    assert (result.outcome, result.refused_by) == (OutcomeKind.NO_SIGNAL, "confidence")
    assert result.nearest is not None
    assert result.nearest.check == "confidence"
    assert [check.name for check in result.review.checks] == [
        check.name for check in decide(inputs()).review.checks
    ]


@pytest.mark.parametrize(
    ("changed", "refused_by"),
    [
        ({"issues": (issue(),)}, "data quality"),
        ({"regime": "crash"}, "regime"),
        ({"ensemble": learned(edge=-0.001)}, "order size"),
        ({"risk": replace(QUIET, trading=TradingState.REDUCING)}, "trading state"),
        ({"risk": halted()}, "trading state"),
        ({"risk": replace(QUIET, last_exit={"SP500": CLOSE})}, "cool-down"),
        ({"risk": replace(QUIET, losses_in_a_row=9, last_loss=CLOSE)}, "losing streak"),
        ({"risk": replace(QUIET, last_bar_loss=CLOSE, bar_loss_streak=1)}, "bar loss"),
        ({"risk": replace(QUIET, locks={"SP500": Lock(CLOSE, "ana", "news")})}, "locks"),
        ({"risk": replace(QUIET, limits={"max_daily_entries": 0})}, "daily entries"),
        ({"features": features(atr_pct=0.0)}, "stop distance"),
        ({"portfolio": portfolio(cash="0", marks={"SP500": Decimal(1240)})}, "order size"),
    ],
)
def test_a_wish_is_refused_by_name(changed: dict[str, Any], refused_by: str) -> None:
    result = decide(inputs(**changed))

    assert (result.outcome, result.refused_by, result.orders) == (OutcomeKind.REFUSED, refused_by, ())
    assert result.nearest is not None
    assert result.risk.day_entries == 0


def test_an_order_on_its_way_is_not_sent_twice() -> None:
    waiting = with_orders(portfolio(marks={"SP500": Decimal(1240)}), resting("e", status=OrderStatus.UNKNOWN))

    assert decide(inputs(portfolio=waiting)).refused_by == "order pending"


def test_where_volume_is_not_known_nothing_asks_for_it() -> None:
    blind = settings(execution=ExecutionSettings(volume_is_known=False))
    result = decide(inputs(blind, bar=bar(volume="0")))

    assert result.outcome is OutcomeKind.ENTERED
    assert result.size is not None
    assert "volume" not in [step.name for step in result.size.steps]


def test_only_enabled_alphas_are_heard_and_only_models_that_answered() -> None:
    chosen = settings(alpha=AlphaSettings(enabled=("trend", "predicted")))

    assert [s.source for s in decide(inputs(chosen)).signals] == ["trend", "predicted"]
    assert [
        s.source for s in decide(inputs(chosen, predictions=(Prediction("m", "h", None, "late"),))).signals
    ] == ["trend"]


def test_with_nobody_to_hear_there_is_no_signal() -> None:
    result = decide(inputs(settings(alpha=AlphaSettings(enabled=()))))

    assert (result.outcome, result.signals, result.refused_by) == (OutcomeKind.NO_SIGNAL, (), "direction")


def test_a_gate_that_asks_for_nothing_still_needs_a_direction() -> None:
    open_gate = settings(decision=DecisionSettings(confidence=0.5))

    assert decide(inputs(open_gate, features=features(0.0), predictions=())).outcome is OutcomeKind.NO_SIGNAL


# --- holding and leaving ---


def test_a_position_is_held_while_nothing_speaks_against_it() -> None:
    result = decide(holding())

    assert (result.outcome, result.orders, result.review.checks) == (OutcomeKind.HELD, (), ())
    assert [check.passed for check in result.exits] == [True] * 5
    assert result.nearest is None


def test_a_reason_to_leave_closes_all_of_it() -> None:
    result = decide(holding(regime="crash"))
    (order,) = result.orders

    assert (result.outcome, result.proposal.reason) == (OutcomeKind.EXITED, "regime")
    assert (order.leg, order.side, order.quantity, order.reduce_only) == ("x", Side.SELL, Decimal(10), True)
    assert result.risk.day_turnover == 12_400
    assert result.risk.day_entries == 0


@pytest.mark.parametrize(("flatten", "outcome"), [(True, OutcomeKind.EXITED), (False, OutcomeKind.REFUSED)])
def test_a_halted_desk_closes_only_when_it_flattens(flatten: bool, outcome: OutcomeKind) -> None:
    result = decide(holding(regime="crash", risk=halted(flatten=flatten)))

    assert result.outcome is outcome
    assert bool(result.orders) is flatten
    assert result.refused_by == ("" if flatten else "trading state")


def test_a_second_exit_is_not_sent_while_the_first_is_on_its_way() -> None:
    waiting = with_orders(holding().portfolio, resting("x", Side.SELL))
    result = decide(holding(portfolio=waiting, regime="crash"))

    assert (result.outcome, result.refused_by) == (OutcomeKind.REFUSED, "exit pending")
    assert result.nearest is not None


def test_a_short_position_is_bought_back() -> None:
    (order,) = decide(holding("-10", features=features(1.0), chosen=BOTH_WAYS)).orders

    assert (order.side, order.quantity) == (Side.BUY, Decimal(10))


def test_a_breaker_that_trips_closes_what_is_held_in_the_same_breath() -> None:
    fallen = replace(
        QUIET, day_equity=Decimal(200_000), last_equity=Decimal(200_000), high_water=Decimal(200_000)
    )
    result = decide(holding(risk=fallen))

    assert (result.outcome, result.proposal.reason) == (OutcomeKind.EXITED, "halt")
    assert (result.risk.trading, result.risk.flatten) == (TradingState.HALTED, True)


def test_a_breaker_that_trips_refuses_the_entry_of_the_same_cycle() -> None:
    fallen = replace(QUIET, high_water=Decimal(200_000))

    assert decide(inputs(risk=fallen)).refused_by == "trading state"


# --- while the window warms up ---


def warming_up(**changed: Any) -> Any:
    return observation(regime=None, features={}, have=10, **changed)


def test_while_warming_up_nothing_is_said_and_nothing_is_learned() -> None:
    given = inputs(observation=warming_up())
    result = decide(given)

    assert (result.outcome, result.refused_by, result.forecast) == (OutcomeKind.NO_SIGNAL, "warm-up", None)
    assert result.ensemble == given.ensemble
    assert (result.signals, result.size, result.orders) == ((), None, ())


def test_a_position_is_managed_also_while_the_window_warms_up() -> None:
    """After a restart with little history a halt, and the time barrier, must still be able to close."""
    stays = decide(holding(observation=warming_up()))
    flattens = decide(holding(observation=warming_up(), risk=halted(flatten=True)))

    assert (stays.outcome, stays.forecast) == (OutcomeKind.HELD, None)
    assert [check.name for check in stays.exits] == ["halt", "regime", "time", "reversal"]
    assert flattens.outcome is OutcomeKind.EXITED


# --- several instruments, days ---


def test_a_day_opens_with_the_equity_before_it() -> None:
    yesterday = replace(QUIET, day="2008-10-14", last_equity=Decimal(101_000), day_entries=9)
    result = decide(inputs(risk=yesterday))

    assert (result.risk.day, result.risk.day_equity, result.risk.day_entries) == ("2008-10-15", 101_000, 1)


def test_what_was_decided_before_in_a_moment_counts_for_what_comes_after() -> None:
    chosen = settings("SP500", "NASDAQ", risk=RiskSettings(max_gross=0.3))
    marks = {"SP500": Decimal(1240), "NASDAQ": Decimal(1240)}
    first = decide(inputs(chosen, portfolio=portfolio(marks=marks)))
    waiting = portfolio(
        marks=marks, orders=tuple(resting("e", quantity=o.quantity) for o in first.orders[:1])
    )
    second = decide(inputs(chosen, observation=observation("NASDAQ"), portfolio=waiting, risk=first.risk))

    assert first.size is not None and second.size is not None
    assert second.outcome is OutcomeKind.ENTERED
    assert float(first.size.quantity + second.size.quantity) * 1240 <= 30_000
    assert second.size.bound_by == "gross_room"
    assert second.risk.day_entries == 2


# --- observing ---


def window(size: int, **changed: Any) -> MarketWindow:
    bars: BarArrays = trending_bars(3, 800).tail(size)
    return MarketWindow("SP500", bars, bar(close=str(bars.close[-1])), **changed)


def test_a_short_window_says_nothing() -> None:
    seen = observe(window(NEED - 1), settings())

    assert (seen.features, seen.regime, seen.have, seen.need) == ({}, None, NEED - 1, NEED)
    assert decide(inputs(observation=seen)).refused_by == "warm-up"


def test_a_window_that_is_long_enough_says_everything() -> None:
    seen = observe(window(NEED, issues=(issue(),)), settings())

    assert len(seen.features) >= 100
    assert all(np.isfinite(value) for value in seen.features.values())
    assert seen.regime is not None
    assert (seen.feature_set, len(seen.issues)) == (FEATURE_SET, 1)


def test_the_close_before_is_told_when_there_is_one() -> None:
    two = window(2)

    assert observe(two, settings()).previous_close == Decimal(str(two.bars.close[0]))
    assert observe(window(1), settings()).previous_close is None


# --- closing by command ---


def test_a_person_closes_also_while_the_desk_is_halted() -> None:
    owned = portfolio(position("10"))
    verdict, orders = close_by_command(owned, halted(), "SP500", "d-abc", "command", CLOSE)

    assert verdict.approved is not None
    assert [(o.side, o.quantity, o.reduce_only, o.reason) for o in orders] == [
        (Side.SELL, Decimal(10), True, "command")
    ]


def test_what_is_not_held_is_not_closed() -> None:
    verdict, orders = close_by_command(portfolio(), QUIET, "SP500", "d-abc", "command", CLOSE)

    assert (verdict.refused_by, verdict.approved, orders) == ("nothing held", None, ())


def test_a_close_that_is_on_its_way_is_not_repeated() -> None:
    owned = with_orders(portfolio(position("10")), resting("x", Side.SELL))
    verdict, orders = close_by_command(owned, QUIET, "SP500", "d-abc", "command", CLOSE)

    assert (verdict.refused_by, orders) == ("exit pending", ())


def test_what_was_approved_is_remembered_and_one_too_many_locks_the_instrument() -> None:
    first = decide(inputs())
    (entry,) = first.risk.recent
    often = replace(QUIET, recent=(replace(entry, at=CLOSE - timedelta(minutes=1)),) * 3)

    again = decide(inputs(risk=often))

    assert (entry.at, entry.instrument, entry.by_person) == (CLOSE, "SP500", False)
    assert (again.outcome, again.refused_by, list(again.risk.locks)) == (
        OutcomeKind.REFUSED,
        "entries at once",
        ["SP500"],
    )


def test_a_limit_that_was_tightened_holds_from_the_next_decision_on() -> None:
    before = decide(inputs())
    after = decide(inputs(risk=replace(QUIET, limits={"max_order_value": 0.01})))

    assert before.size is not None and after.size is not None
    assert (before.outcome, after.outcome) == (OutcomeKind.ENTERED, OutcomeKind.ENTERED)
    assert before.size.weight > 0.01 >= after.size.weight > 0


def test_a_locked_alpha_is_not_heard() -> None:
    heard = [signal.source for signal in decide(inputs()).signals]
    without = decide(inputs(risk=replace(QUIET, locks={"trend": Lock(CLOSE, "ana", "not trusted")})))

    assert "trend" in heard
    assert [signal.source for signal in without.signals] == [name for name in heard if name != "trend"]


def test_a_bar_that_lost_too_much_trips_a_breaker_that_halts_at_the_third_time() -> None:
    settled = replace(QUIET, last_equity=Decimal(104_000), day_equity=Decimal(100_000))

    once = decide(inputs(risk=settled)).risk
    thrice = decide(inputs(risk=replace(settled, bar_losses=2))).risk

    assert (once.bar_losses, once.last_bar_loss, once.trading) == (1, CLOSE, TradingState.ACTIVE)
    assert (thrice.bar_losses, thrice.trading, thrice.flatten) == (3, TradingState.HALTED, True)


def test_with_the_shipped_limits_too_one_entry_too_many_locks_the_instrument() -> None:
    """The limit of the day refuses first, and for the same reason."""
    (entry,) = decide(inputs()).risk.recent
    often = replace(QUIET, recent=(replace(entry, at=CLOSE - timedelta(minutes=1)),) * 3)

    full = decide(inputs(risk=replace(often, instrument_entries={"SP500": 3})))
    held_back = decide(inputs(risk=replace(often, holds={"venue": "silent"})))

    assert (full.refused_by, list(full.risk.locks)) == ("entries in instrument", ["SP500"])
    assert list(held_back.risk.locks) == [], "something else stood in its way"
