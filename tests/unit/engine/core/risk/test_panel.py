from decimal import Decimal

import pytest
from msgspec.structs import replace

from configs.schema.desk import DeskSettings, Instrument
from engine.core.domain.risk import Lock, TradingState
from engine.core.risk.panel import panel
from tests.builders import CLOSE, DAY, portfolio, position, settings
from tests.core_builders import QUIET, resting, with_orders

BTC = Instrument("BTC/USDT", group="coins")
DESK = settings(
    desk=DeskSettings(instruments=(BTC, Instrument("ETH/USDT", group="coins"), Instrument("SP500")))
)
HELD = portfolio(
    position("50", "BTC/USDT", average_price="100"),
    cash="95000",
    marks={"BTC/USDT": Decimal(100), "ETH/USDT": Decimal(10)},
)


def shown(**changed: object) -> dict[str, tuple[float, float]]:
    risk = replace(QUIET, **changed)
    return {check.name: (check.value, check.limit) for check in panel(HELD, risk, DESK, CLOSE)}


def test_each_limit_tells_what_is_used_of_it() -> None:
    told = shown(day_entries=3, day_turnover=Decimal(50_000), high_water=Decimal(102_000))

    assert told["gross exposure"] == (0.05, 0.5)
    assert told["position value BTC/USDT"] == (0.05, 0.2)
    assert told["leverage crypto"] == (0.05, 1.0)
    assert told["group value coins"] == (0.05, 0.35)
    assert told["daily entries"] == (3, 20)
    assert told["daily turnover"] == (0.5, 2.0)
    assert told["positions"] == (1, 20)
    assert told["drawdown"][0] == pytest.approx(2 / 102)


def test_both_limits_of_the_days_loss_are_told() -> None:
    checks = [check for check in panel(HELD, QUIET, DESK, CLOSE) if check.name == "daily loss"]

    assert [(check.key, check.limit) for check in checks] == [
        ("risk.max_daily_loss", 0.02),
        ("risk.halt_daily_loss", 0.04),
    ]


def test_what_may_still_be_bought_counts() -> None:
    entry = resting(instrument="ETH/USDT", quantity="1000", status=resting().status)
    told = {c.name: c.value for c in panel(with_orders(HELD, entry), QUIET, DESK, CLOSE)}

    assert told["gross exposure"] == pytest.approx(0.15)
    assert told["position value ETH/USDT"] == pytest.approx(0.1)
    assert told["group value coins"] == pytest.approx(0.15)
    assert (told["open orders"], told["positions"]) == (1, 2)


def test_a_tightened_limit_is_the_one_that_is_told() -> None:
    assert shown(limits={"max_gross": 0.1})["gross exposure"] == (0.05, 0.1)


def test_pauses_holds_and_locks_are_told() -> None:
    told = shown(
        trading=TradingState.REDUCING,
        holds={"venue": "silent"},
        locks={"SP500": Lock(CLOSE, "ana", "news")},
        losses_in_a_row=6,
        last_loss=CLOSE - DAY,
        last_bar_loss=CLOSE - 2 * DAY,
        bar_loss_streak=1,
    )

    assert told["trading state"] == (1, 2)
    assert (told["holds"], told["locks"]) == ((1, 0), (1, 0))
    assert (told["losing streak"], told["bar loss"]) == ((1, 5), (2, 5))
