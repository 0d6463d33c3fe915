from decimal import Decimal
from typing import Any

import pytest

from configs.schema.execution import ExecutionSettings
from engine.core.domain.instrument import Instrument
from engine.core.domain.market import Bar
from engine.core.domain.order import Fill, OrderType, Side
from engine.core.execution.fills import fee, match, permitted
from tests.builders import CLOSE, DAY, bar, order_request

X = Instrument("SP500", tick=Decimal("0.01"), lot=Decimal("0.1"))
FREE = ExecutionSettings(fee_bps=0, spread_bps=0, slippage_bps=0, impact_bps=0)
COSTLY = ExecutionSettings(fee_bps=10, spread_bps=20, slippage_bps=5, impact_bps=20, participation=0.1)
BAR = bar(end=CLOSE + DAY, close="101", open="100", high="105", low="95", volume="1000")


def met(
    side: Side,
    type_: OrderType,
    price: str | None = None,
    *,
    told: Bar = BAR,
    costs: ExecutionSettings = FREE,
    **changed: Any,
) -> Fill | None:
    request = order_request("", changed.pop("leg", "e"), side, "10", type_, price)
    wanted = Decimal(changed.pop("wanted", "10"))
    return match(request, changed.pop("acts_as", type_), wanted, told, X, costs)


def price(fill: Fill | None) -> Decimal | None:
    return None if fill is None else fill.price


def test_a_market_order_fills_at_the_open() -> None:
    fill = met(Side.BUY, OrderType.MARKET)

    assert fill is not None
    assert (fill.price, fill.reference, fill.quantity, fill.at) == (100, 100, 10, BAR.end)
    assert (fill.side, fill.leg, fill.reason, fill.instrument) == (Side.BUY, "e", "signal", "SP500")


@pytest.mark.parametrize(
    ("side", "stop", "at"),
    [
        (Side.SELL, "95.01", "95.01"),
        (Side.SELL, "95", "95"),
        (Side.SELL, "94.99", None),
        (Side.SELL, "102", "100"),  # the bar gapped through it
        (Side.BUY, "104.99", "104.99"),
        (Side.BUY, "105", "105"),
        (Side.BUY, "105.01", None),
        (Side.BUY, "98", "100"),
    ],
)
def test_a_stop_fills_where_it_is_touched_and_at_the_open_beyond_a_gap(
    side: Side, stop: str, at: str | None
) -> None:
    assert price(met(side, OrderType.STOP, stop)) == (None if at is None else Decimal(at))


@pytest.mark.parametrize(
    ("side", "limit", "at"),
    [
        (Side.SELL, "104.99", "104.99"),
        (Side.SELL, "105", None),  # a touch leaves it in the queue
        (Side.SELL, "105.01", None),
        (Side.SELL, "98", "100"),  # the bar opened beyond it: the better price is had
        (Side.BUY, "95.01", "95.01"),
        (Side.BUY, "95", None),
        (Side.BUY, "94.99", None),
        (Side.BUY, "102", "100"),
    ],
)
def test_a_limit_fills_only_when_the_bar_trades_through_it(side: Side, limit: str, at: str | None) -> None:
    assert price(met(side, OrderType.LIMIT, limit)) == (None if at is None else Decimal(at))


def test_takers_pay_half_the_spread_slippage_and_impact() -> None:
    """Ten of the hundred permitted are taken: 10 + 5 + 20 * sqrt(0.1) = 21.32 basis points, to the worse tick."""
    bought, sold = (price(met(side, OrderType.MARKET, costs=COSTLY)) for side in Side)

    assert bought == Decimal("100.22")
    assert sold == Decimal("99.78")


def test_makers_pay_no_spread_but_a_fee() -> None:
    fill = met(Side.SELL, OrderType.LIMIT, "104", costs=COSTLY)

    assert fill is not None
    assert (fill.price, fill.reference) == (104, 104)
    assert fill.fee == fee(Decimal(1040), COSTLY) == Decimal("1.04")


@pytest.mark.parametrize(("side", "worst"), [(Side.BUY, "100.05"), (Side.SELL, "99.95")])
def test_no_cost_makes_a_price_that_the_bar_did_not_trade(side: Side, worst: str) -> None:
    narrow = bar(end=CLOSE + DAY, close="100", open="100", high="100.05", low="99.95", volume="1000")

    assert price(met(side, OrderType.MARKET, told=narrow, costs=COSTLY)) == Decimal(worst)


@pytest.mark.parametrize(("volume", "taken"), [("1000", "10"), ("55", "5.5"), ("19.9", "1.9"), ("1", "0.1")])
def test_no_more_than_the_permitted_share_of_the_volume_is_taken(volume: str, taken: str) -> None:
    thin = bar(end=CLOSE + DAY, close="100", high="105", low="95", volume=volume)
    fill = met(Side.BUY, OrderType.MARKET, told=thin, costs=COSTLY)

    assert fill is not None
    assert fill.quantity == Decimal(taken)


@pytest.mark.parametrize("volume", ["0", "0.9"])
def test_a_bar_without_volume_to_spare_fills_nothing(volume: str) -> None:
    still = bar(end=CLOSE + DAY, close="100", high="105", low="95", volume=volume)

    assert met(Side.BUY, OrderType.MARKET, told=still, costs=COSTLY) is None


def test_where_volume_is_not_known_all_of_it_fills_without_impact() -> None:
    blind = ExecutionSettings(fee_bps=0, spread_bps=0, slippage_bps=0, impact_bps=500, volume_is_known=False)
    fill = met(Side.BUY, OrderType.MARKET, told=bar(end=CLOSE + DAY, close="100", volume="0"), costs=blind)

    assert permitted(BAR, X, blind) is None
    assert fill is not None
    assert (fill.quantity, fill.price) == (10, 100)


def test_nothing_wanted_is_nothing_filled() -> None:
    assert met(Side.BUY, OrderType.MARKET, wanted="0") is None


def test_a_triggered_stop_trades_as_a_market_order() -> None:
    fill = met(Side.SELL, OrderType.STOP, "80", acts_as=OrderType.MARKET)

    assert fill is not None
    assert fill.price == 100


def test_one_fill_a_bar_has_one_identity() -> None:
    once, twice = met(Side.BUY, OrderType.MARKET), met(Side.BUY, OrderType.MARKET)
    later = met(Side.BUY, OrderType.MARKET, told=bar(end=CLOSE + 2 * DAY))

    assert once is not None and twice is not None and later is not None
    assert once.trade_id == twice.trade_id != later.trade_id
