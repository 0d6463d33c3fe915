import math
from decimal import Decimal

import pytest
from msgspec.structs import replace

from configs.schema.risk import RiskSettings
from engine.core.domain.risk import RiskState, TradingState
from engine.core.risk.breakers import incident_of, trip
from engine.core.risk.patterns import BREAKER
from engine.core.risk.system import drawdown
from tests.builders import CLOSE
from tests.core_builders import QUIET

LIMITS = RiskSettings(halt_daily_loss=0.04, max_drawdown=0.1)
LONG_AGO = replace(QUIET, high_water=Decimal(120_000), day_equity=Decimal(108_500))


@pytest.mark.parametrize(
    ("risk", "equity", "why"),
    [
        (QUIET, 96_001.0, ""),
        (QUIET, 96_000.0, ""),
        (QUIET, 95_999.0, "risk.halt_daily_loss"),
        (LONG_AGO, 108_001.0, ""),
        (LONG_AGO, 108_000.0, ""),
        (LONG_AGO, 107_999.0, "risk.max_drawdown"),
        (replace(QUIET, bar_losses=2), 99_000.0, ""),
        (replace(QUIET, bar_losses=3), 99_000.0, "risk.halt_bar_losses"),
        (QUIET, 0.0, "risk.halt_daily_loss"),
        (QUIET, -1.0, "risk.halt_daily_loss"),
        (QUIET, math.nan, "risk.halt_daily_loss"),
        (replace(QUIET, day_equity=Decimal(0)), math.nan, "risk.max_drawdown"),
    ],
)
def test_losses_beyond_a_limit_halt_the_desk_and_close_what_it_holds(
    risk: RiskState, equity: float, why: str
) -> None:
    after = trip(risk, equity, CLOSE, LIMITS)

    if why:
        assert (after.trading, after.flatten, after.by, after.since) == (
            TradingState.HALTED,
            True,
            BREAKER,
            CLOSE,
        )
        assert why in after.why
    else:
        assert after is risk


def test_a_desk_that_only_reduces_is_halted_too() -> None:
    reducing = replace(QUIET, trading=TradingState.REDUCING)

    assert trip(reducing, 1.0, CLOSE, LIMITS).trading is TradingState.HALTED


def test_a_halted_desk_keeps_the_word_of_who_halted_it() -> None:
    halted = replace(QUIET, trading=TradingState.HALTED, by="ana", why="news")

    assert trip(halted, 1.0, CLOSE, LIMITS) is halted


@pytest.mark.parametrize(("high", "equity", "fall"), [(100, 90.0, 0.1), (100, 110.0, 0.0), (0, -5.0, 0.0)])
def test_drawdown_is_a_share_of_the_high_water_mark(high: int, equity: float, fall: float) -> None:
    assert drawdown(RiskState(high_water=Decimal(high)), equity) == fall


def test_a_breaker_that_holds_the_desk_is_an_incident_the_same_each_time() -> None:
    tripped = trip(QUIET, 1.0, CLOSE, LIMITS)
    told = incident_of(tripped)

    assert told is not None
    assert told == incident_of(replace(tripped, day_entries=9))
    assert (told.name, told.at, told.text, told.risk) == (BREAKER, CLOSE, tripped.why, None)


@pytest.mark.parametrize(
    "risk",
    [QUIET, replace(QUIET, trading=TradingState.HALTED, by="ana", since=CLOSE), replace(QUIET, by=BREAKER)],
)
def test_where_no_breaker_holds_the_desk_there_is_no_incident(risk: RiskState) -> None:
    assert incident_of(risk) is None
