from decimal import Decimal
from typing import Any

import pytest

from configs.schema.decision import DecisionSettings
from engine.core.decision.manage import Watch, exits, propose_exit
from engine.core.domain.order import Side
from engine.core.domain.risk import GridRun, RiskState, TradingState
from tests.builders import CLOSE, forecast, halted, position


def watch(quantity: str = "10", **changed: Any) -> Watch:
    """A position that may stay: bought at 100, now at 102."""
    values: dict[str, Any] = {
        "position": position(quantity, average_price="100", best=Decimal(104), bars_held=3, expires_bars=10),
        "close": Decimal(102),
        "atr": 1.0,
        "regime": "weak_up",
        "forecast": forecast(0.5),
        "risk": RiskState(),
        "settings": DecisionSettings(trail_atr=4.0, exit_confidence=0.6, max_bars=10),
    }
    return Watch(**(values | changed))


def reason(seen: Watch) -> str:
    return propose_exit(seen, exits(seen)).reason


def aged(bars: int, quantity: str = "10") -> Watch:
    return watch(
        position=position(quantity, average_price="100", bars_held=bars, expires_bars=10, best=Decimal(102))
    )


def test_a_position_stays_while_nothing_speaks_against_it() -> None:
    seen = watch()
    proposal = propose_exit(seen, exits(seen))

    assert (proposal.action, proposal.side, proposal.reason) == ("none", None, "hold")
    assert (proposal.stop, proposal.target) == (seen.position.stop, seen.position.target)
    assert [check.name for check in exits(seen)] == ["halt", "regime", "time", "trailing", "reversal"]


@pytest.mark.parametrize(("quantity", "side"), [("10", Side.SELL), ("-10", Side.BUY)])
def test_leaving_takes_the_other_side(quantity: str, side: Side) -> None:
    seen = aged(10, quantity)

    assert propose_exit(seen, exits(seen)).side is side


@pytest.mark.parametrize(
    ("state", "flatten", "leaves"),
    [
        (TradingState.ACTIVE, False, False),
        (TradingState.ACTIVE, True, False),
        (TradingState.REDUCING, True, False),
        (TradingState.HALTED, False, False),
        (TradingState.HALTED, True, True),
    ],
)
def test_only_a_halt_that_flattens_closes(state: TradingState, flatten: bool, leaves: bool) -> None:
    seen = watch(risk=RiskState(trading=state, flatten=flatten))

    assert (reason(seen) == "halt") is leaves


@pytest.mark.parametrize(("quantity", "told"), [("10", "regime"), ("-10", "hold")])
def test_a_crash_closes_what_it_hurts(quantity: str, told: str) -> None:
    held = position(quantity, average_price="100", best=Decimal(102))

    assert reason(watch(position=held, regime="crash", forecast=None)) == told


@pytest.mark.parametrize(("bars", "told"), [(8, "hold"), (9, "hold"), (10, "time"), (11, "time")])
def test_a_position_is_held_for_as_many_bars_as_it_was_given(bars: int, told: str) -> None:
    """It was entered at the open of its first bar and leaves at the open after its last."""
    assert reason(aged(bars)) == told


@pytest.mark.parametrize(
    ("quantity", "best", "close", "told"),
    [
        ("10", "106", "102.01", "hold"),
        ("10", "106", "102", "hold"),
        ("10", "106", "101.99", "trailing"),
        ("-10", "94", "97.99", "hold"),
        ("-10", "94", "98", "hold"),
        ("-10", "94", "98.01", "trailing"),
    ],
)
def test_the_trailing_exit_follows_the_best_close(quantity: str, best: str, close: str, told: str) -> None:
    held = position(quantity, average_price="100", best=Decimal(best))

    assert reason(watch(position=held, close=Decimal(close), forecast=None)) == told


@pytest.mark.parametrize("changed", [{"atr": 0.0}, {"settings": DecisionSettings(trail_atr=0.0)}])
def test_without_a_distance_nothing_trails(changed: dict[str, Any]) -> None:
    seen = watch(close=Decimal(1), **changed)

    assert "trailing" not in [check.name for check in exits(seen)]
    assert reason(seen) == "hold"


@pytest.mark.parametrize(
    ("quantity", "score", "told"),
    [
        ("10", -0.19, "hold"),
        ("10", -0.2, "hold"),
        ("10", -0.22, "reversal"),
        ("10", 0.9, "hold"),
        ("-10", 0.22, "reversal"),
        ("-10", -0.9, "hold"),
    ],
)
def test_conviction_against_the_position_closes_it(quantity: str, score: float, told: str) -> None:
    held = position(quantity, average_price="100", best=Decimal(102))

    assert reason(watch(position=held, forecast=forecast(score))) == told


def test_without_a_forecast_there_is_no_conviction() -> None:
    (reversal,) = [check for check in exits(watch(forecast=None)) if check.name == "reversal"]

    assert (reversal.value, reversal.passed) == (0.0, True)


def test_of_several_reasons_the_first_is_given() -> None:
    everything = aged(10)._replace(
        risk=halted(flatten=True), regime="crash", close=Decimal(1), forecast=forecast(-0.9)
    )

    assert [check.passed for check in exits(everything)] == [False] * 5
    assert reason(everything) == "halt"


@pytest.mark.parametrize(
    ("close", "over", "why"),
    [("85.01", False, "hold"), ("85", False, "hold"), ("84.99", False, "grid"), ("102", True, "grid")],
)
def test_a_grid_is_left_below_its_stop_and_once_it_is_over(close: str, over: bool, why: str) -> None:
    """At its stop the order that rests there sells; what it has not sold leaves with the close."""
    run = GridRun(CLOSE, Decimal(100_000), Decimal(85), Decimal(120), over=over)
    seen = watch(close=Decimal(close), atr=0.0, risk=RiskState(grids={"SP500": run}))

    assert reason(seen) == why
    assert [check.name for check in exits(seen)][:2] == ["halt", "grid"]
    assert reason(seen._replace(risk=RiskState(grids={"DAX": run}))) == "hold"
    assert "grid" not in [check.name for check in exits(watch("-10", risk=seen.risk))]
