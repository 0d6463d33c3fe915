"""What is due at a venue that holds no protection by itself: one state, one look, the steps that are missing."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from configs.schema.desk import Instrument
from engine.core.domain.ids import order_id
from engine.core.domain.order import Order, OrderStatus, OrderType, Side
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.risk import RiskState, TradingState
from engine.core.execution.protect import Act, Step, due
from tests.builders import CLOSE, INSTRUMENT, portfolio, position
from tests.core_builders import resting

BTC = Instrument(INSTRUMENT, lot=Decimal("0.1"), min_notional=Decimal(10))
HELD = position("2", average_price="100", stop=Decimal(90), target=Decimal(120))
SELL, STOP, MARKET = Side.SELL, OrderType.STOP, OrderType.MARKET
INTENT, ACCEPTED, PARTIAL, UNKNOWN = (
    OrderStatus.INTENT,
    OrderStatus.ACCEPTED,
    OrderStatus.PARTIAL,
    OrderStatus.UNKNOWN,
)


def stop(status: OrderStatus = ACCEPTED, quantity: str = "2", filled: str = "0") -> Order:
    return resting("s", SELL, quantity, STOP, "90", status=status, filled=filled)


def target(status: OrderStatus = INTENT) -> Order:
    return resting("t", SELL, "2", OrderType.LIMIT, "120", status=status)


def leave(status: OrderStatus = INTENT, quantity: str = "2") -> Order:
    return resting("x", SELL, quantity, MARKET, status=status)


def entry(status: OrderStatus = ACCEPTED) -> Order:
    return resting("e", Side.BUY, "2", status=status)


def steps(
    held: Portfolio,
    price: str | None = "100",
    *,
    risk: RiskState = RiskState(),
    doubtful: tuple[Order, ...] = (),
    there: str | None = None,
) -> list[Step]:
    prices = {} if price is None else {INSTRUMENT: Decimal(price)}
    lost = frozenset(order.request.client_id for order in doubtful)
    shown = None if there is None else {INSTRUMENT: Decimal(there)}
    return due(held, risk, (BTC,), prices, lost, CLOSE, shown)


def told(found: list[Step]) -> list[tuple[str, str, str]]:
    return [(step.act.value, step.request.leg, str(step.request.quantity)) for step in found]


# --- nothing held ---


def test_where_nothing_is_held_and_nothing_is_coming_there_is_nothing_to_do() -> None:
    assert steps(portfolio()) == []


def test_protection_waits_while_its_entry_may_still_fill() -> None:
    assert steps(portfolio(orders=(entry(UNKNOWN), stop(INTENT), target()))) == []


def test_what_is_left_when_nothing_is_held_is_dropped_or_cancelled() -> None:
    """An unknown one is neither: it must be found first."""
    found = steps(portfolio(orders=(stop(), target(), leave(UNKNOWN))))

    assert told(found) == [("drop", "t", "2"), ("cancel", "s", "2")]


# --- protection ---


def test_a_position_gets_the_stop_of_its_decision() -> None:
    (step,) = steps(portfolio(HELD, orders=(stop(INTENT), target())))

    assert (step.act, step.request.leg, step.request.price) == (Act.SEND, "s", Decimal(90))


def test_the_stop_covers_what_is_held_not_what_was_ordered() -> None:
    part = replace(HELD, quantity=Decimal("1.2345"))

    assert told(steps(portfolio(part, orders=(entry(PARTIAL), stop(INTENT))))) == [("send", "s", "1.2")]


@pytest.mark.parametrize("status", [ACCEPTED, PARTIAL, UNKNOWN])
def test_a_position_that_is_covered_is_left_alone(status: OrderStatus) -> None:
    assert steps(portfolio(HELD, orders=(stop(status), target()))) == []


def test_a_stop_that_vanished_is_placed_again_under_an_id_that_was_never_used() -> None:
    (step,) = steps(portfolio(replace(HELD, attempts=4)))

    assert (step.act, step.request.leg, step.request.type, step.request.price) == (
        Act.SEND,
        "s5",
        STOP,
        Decimal(90),
    )
    assert step.request.client_id == order_id(HELD.trade, "s5")
    assert (step.request.side, step.request.reduce_only) == (SELL, True)


def test_what_filled_later_gets_a_stop_of_its_own() -> None:
    assert told(steps(portfolio(HELD, orders=(stop(quantity="1.5"),)))) == [("send", "s1", "0.5")]
    assert told(steps(portfolio(HELD, orders=(stop(quantity="2.4", filled="0.7"),)))) == [
        ("send", "s1", "0.3")
    ]


def test_a_difference_too_small_for_an_order_is_let_be() -> None:
    small = replace(HELD, quantity=Decimal("2.1"), stop=Decimal(90))
    cheap = replace(small, stop=Decimal(20), target=Decimal(300))

    assert told(steps(portfolio(small, orders=(stop(),)), price="200")) == [("open", "x1", "2.1")]
    assert steps(portfolio(cheap, orders=(stop(),)), price="100") == []


def test_where_more_is_protected_than_is_held_a_stop_goes() -> None:
    """Somebody sold of the position by hand: both stops would fill, the second with what is not the desk's."""
    first, second = stop(quantity="1.5"), resting("s1", SELL, "1", STOP, "90")

    assert told(steps(portfolio(HELD, orders=(first, second)))) == [("cancel", "s1", "1")]
    assert told(steps(portfolio(HELD, orders=(first,)))) == [("send", "s1", "0.5")]
    assert steps(portfolio(HELD, orders=(stop(UNKNOWN, "2.5"),))) == []


def test_a_stop_without_a_trace_counts_no_more_where_a_second_can_do_no_harm() -> None:
    lost = stop(UNKNOWN)

    assert told(steps(portfolio(HELD, orders=(lost,)), doubtful=(lost,))) == [("send", "s1", "2")]


def test_a_short_is_protected_above() -> None:
    short = position("-2", average_price="100", stop=Decimal(110), target=Decimal(80))

    (step,) = steps(portfolio(short))

    assert (step.request.side, step.request.price) == (Side.BUY, Decimal(110))
    assert told(steps(portfolio(short), price="79")) == [("open", "x1", "2")]
    assert told(steps(portfolio(short), price="111")) == [("open", "x1", "2")]


# --- leaving ---


def test_an_exit_waits_until_what_holds_the_funds_is_cancelled() -> None:
    orders = (entry(PARTIAL), stop(), target(), leave())

    assert told(steps(portfolio(HELD, orders=orders))) == [("cancel", "e", "2"), ("cancel", "s", "2")]
    assert steps(portfolio(HELD, orders=(stop(UNKNOWN), leave()))) == []
    assert told(steps(portfolio(HELD, orders=(target(), leave())))) == [("send", "x", "2")]


def test_an_exit_does_not_wait_for_an_entry_of_which_nothing_is_known() -> None:
    """A desk that dies again and again never learns of it, and would never be flat."""
    assert told(steps(portfolio(HELD, orders=(entry(UNKNOWN), leave())))) == [("send", "x", "2")]


def test_an_exit_does_not_wait_for_a_stop_that_is_nowhere() -> None:
    lost = stop(UNKNOWN)

    assert told(steps(portfolio(HELD, orders=(lost, leave())), doubtful=(lost,))) == [("send", "x", "2")]


def test_an_exit_sells_what_is_held_in_whole_lots() -> None:
    part = replace(HELD, quantity=Decimal("1.998"))

    assert told(steps(portfolio(part, orders=(leave(),)))) == [("send", "x", "1.9")]


@pytest.mark.parametrize("status", [ACCEPTED, PARTIAL, UNKNOWN])
def test_while_an_exit_is_on_its_way_nothing_is_done(status: OrderStatus) -> None:
    """Not even a stop is placed: it could lock what is being sold."""
    assert steps(portfolio(HELD, orders=(leave(status),))) == []


def test_a_second_exit_is_dropped_while_one_is_on_its_way() -> None:
    second = replace(leave(), request=replace(leave().request, client_id="another"))

    assert [step.act for step in steps(portfolio(HELD, orders=(leave(ACCEPTED), second)))] == [Act.DROP]


def test_a_halt_that_flattens_makes_an_exit_without_waiting_for_a_bar() -> None:
    flattening = RiskState(trading=TradingState.HALTED, flatten=True)
    halted = RiskState(trading=TradingState.HALTED)

    (step,) = steps(portfolio(HELD, orders=(stop(),)), None, risk=flattening)

    assert (step.act, step.request.reason, step.request.leg) == (Act.OPEN, "halt", "x1")
    assert steps(portfolio(HELD, orders=(stop(),)), risk=halted) == []


def test_a_target_that_is_reached_closes() -> None:
    assert steps(portfolio(HELD, orders=(stop(),)), "119.99") == []
    (step,) = steps(portfolio(HELD, orders=(stop(),)), "120")
    assert (step.act, step.request.reason) == (Act.OPEN, "target")


def test_below_its_stop_a_position_without_one_is_closed_and_one_with_it_is_left_to_the_venue() -> None:
    assert [step.request.reason for step in steps(portfolio(HELD), "90")] == ["stop"]
    assert [step.request.reason for step in steps(portfolio(HELD, orders=(stop(UNKNOWN),)), "90")] == ["stop"]
    assert steps(portfolio(HELD, orders=(stop(),)), "89.2") == []


def test_a_stop_that_was_jumped_over_does_not_keep_a_position() -> None:
    """Where a stop has a limit, a fall through both leaves it resting for ever."""
    (step,) = steps(portfolio(HELD, orders=(stop(),)), "89.1")

    assert (step.act, step.request.reason, step.request.type) == (Act.OPEN, "stop", MARKET)


def test_a_position_whose_protection_the_venue_keeps_refusing_is_closed() -> None:
    assert told(steps(portfolio(replace(HELD, refusals=1)))) == [("send", "s1", "2")]
    (step,) = steps(portfolio(replace(HELD, refusals=2)))
    assert (step.act, step.request.reason) == (Act.OPEN, "unprotected")


def test_a_wish_to_be_out_outlives_the_order_that_tried_it() -> None:
    """The exit may be refused, lost or never leave; what was decided stands until it is done."""
    leaving = replace(HELD, leaving="command", attempts=1)

    (step,) = steps(portfolio(leaving, orders=(stop(),)))

    assert (step.act, step.request.reason, step.request.leg) == (Act.OPEN, "command", "x2")


def test_of_a_part_that_was_to_be_sold_the_rest_is_kept_and_protected() -> None:
    part = replace(HELD, leaving="command", keep=Decimal("0.5"))
    done = replace(part, quantity=Decimal("0.5"))

    assert told(steps(portfolio(part))) == [("open", "x1", "1.5")]
    assert told(steps(portfolio(done))) == [("send", "s1", "0.5")]


# --- dust ---


def test_what_is_too_little_to_be_sold_is_written_off_once_nothing_is_open() -> None:
    rest = replace(HELD, quantity=Decimal("0.09"), realised=Decimal(190))

    assert told(steps(portfolio(rest, orders=(stop(), target())))) == [
        ("cancel", "s", "2"),
        ("drop", "t", "2"),
    ]
    assert steps(portfolio(rest, orders=(stop(UNKNOWN),))) == []
    assert told(steps(portfolio(rest))) == [("write off", "x1", "0.09")]


def test_less_than_a_lot_was_never_worth_an_order() -> None:
    assert told(steps(portfolio(replace(HELD, quantity=Decimal("0.09"))))) == [("write off", "x1", "0.09")]


def test_a_small_rest_is_dust_by_its_worth_and_a_small_first_sale_is_tried() -> None:
    small = replace(HELD, quantity=Decimal("0.1"), stop=Decimal(40), target=Decimal(200))
    rest = replace(small, realised=Decimal(190))

    assert told(steps(portfolio(rest), "99.9")) == [("write off", "x1", "0.1")]
    assert told(steps(portfolio(rest), "100")) == [("send", "s1", "0.1")]
    assert told(steps(portfolio(small), "50")) == [("send", "s1", "0.1")]
    assert told(steps(portfolio(rest), None)) == [("send", "s1", "0.1")]


def test_what_somebody_else_sold_of_a_position_is_not_sold_again() -> None:
    half_sold = replace(portfolio(positions=(HELD,)), external={INSTRUMENT: Decimal("-1.2")})

    assert told(steps(half_sold)) == [("send", "s1", "0.8")]


@pytest.mark.parametrize(
    ("there", "quantity"), [("1.27", "1.2"), ("2", "2"), ("9", "2"), ("0.05", "2"), ("0", "2")]
)
def test_where_the_venue_refused_no_more_is_protected_than_the_account_shows(
    there: str, quantity: str
) -> None:
    """What shows none of it proves nothing: a fill may be on its way to the books."""
    assert told(steps(portfolio(positions=(HELD,)), there=there)) == [("send", "s1", quantity)]


@pytest.mark.parametrize("status", [ACCEPTED, PARTIAL, UNKNOWN])
def test_what_the_account_shows_may_be_somebody_elses_while_an_order_of_ours_may_have_sold(
    status: OrderStatus,
) -> None:
    """Also one without a trace, and one that the venue has ended and whose execution it does not list yet."""
    mine = resting("s", SELL, "1", STOP, "90", status=status)
    held = portfolio(positions=(HELD,), orders=(mine,))

    assert told(steps(held, doubtful=(mine,), there="0.5")) == [("send", "s1", "2")]
    assert told(steps(held, there="0.5")) == [("send", "s1", "1")]


def test_an_exit_takes_no_more_than_the_account_shows_either() -> None:
    refused = replace(HELD, refusals=2)

    assert told(steps(portfolio(positions=(refused,)), there="1.2")) == [("open", "x1", "1.2")]
    assert told(steps(portfolio(positions=(HELD,), orders=(leave(),)), there="1.2")) == [("send", "x", "1.2")]


def test_what_the_account_shows_writes_nothing_off_and_limits_no_buying_back() -> None:
    short = position("-2", average_price="100", stop=Decimal(110), target=Decimal(80))

    assert told(steps(portfolio(positions=(replace(HELD, attempts=9),)), there="0.05")) == [
        ("send", "s10", "2")
    ]
    assert told(steps(portfolio(positions=(short,)), there="1")) == [("send", "s1", "2")]


def test_what_was_sold_and_written_off_before_takes_nothing_from_a_new_position() -> None:
    before = replace(
        portfolio(positions=(HELD,)), external={INSTRUMENT: Decimal("-5")}, dust={INSTRUMENT: Decimal(5)}
    )

    assert told(steps(before)) == [("send", "s1", "2")]


def test_what_is_worth_too_little_to_be_sold_is_tried_three_times_and_written_off() -> None:
    small = position("0.1", average_price="50", stop=Decimal(40), target=Decimal(70))
    tried = replace(small, attempts=3)

    assert told(steps(portfolio(positions=(small,)), "50")) == [("send", "s1", "0.1")]
    assert [step.act for step in steps(portfolio(positions=(tried,)), "50")] == [Act.WRITE_OFF]
