from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from configs.schema.decision import SizingSettings
from configs.schema.execution import ExecutionSettings
from configs.schema.risk import RiskSettings
from engine.core.domain.instrument import Instrument
from engine.core.domain.order import Side
from engine.core.domain.records import Proposal
from engine.core.domain.risk import Size
from engine.core.sizing.size import Ask, size
from tests.builders import forecast, portfolio, position, settings

CAPS = ("target_volatility", "risk_per_trade", "value_at_risk", "max_weight", "gross_room", "cash")
FREE = ExecutionSettings(fee_bps=0, spread_bps=0, slippage_bps=0, impact_bps=0)
WIDE = SizingSettings(
    kelly_fraction=1.0, target_volatility=2.0, risk_per_trade=0.2, max_weight=3.0, var_limit=1.0
)
NO_CAP = {
    "sizing": WIDE,
    "risk": RiskSettings(max_gross=10.0, max_participation=1.0),
    "execution": FREE,
}


def ask(kelly: float = 0.4, **changed: Any) -> Ask:
    """10,000 to trade at 100, a Kelly share that is believed in full, no cap in sight. Sections replace settings."""
    sections = {name: changed.pop(name) for name in ("sizing", "risk", "execution") if name in changed}
    said = replace(forecast(0.5), edge=kelly * 1e-4, edge_variance=1e-4, edge_bars=1e15)
    values: dict[str, Any] = {
        "proposal": Proposal("enter", Side.BUY, "signal", stop=Decimal(90), target=Decimal(120)),
        "forecast": said,
        "close": 100.0,
        "volatility": 0.001,
        "volume": None,
        "portfolio": portfolio(cash="10000"),
        "committed": 0.0,
        "instrument": Instrument("SP500", lot=Decimal("0.1")),
        "settings": settings(**(NO_CAP | sections)),
    }
    return Ask(**(values | changed))


def step(sized: Size, name: str) -> Any:
    return next(step for step in sized.steps if step.name == name)


def sizing(**changed: float) -> SizingSettings:
    return replace(WIDE, **changed)


def test_with_no_cap_near_the_size_is_kellys() -> None:
    sized = size(ask(0.4005))

    assert (sized.quantity, sized.bound_by) == (Decimal("40.0"), "kelly")
    assert sized.weight == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("name", "share", "changed"),
    [
        ("target_volatility", 0.3, {"sizing": sizing(target_volatility=0.3 * 0.001 * 252**0.5)}),
        ("risk_per_trade", 0.3, {"sizing": sizing(risk_per_trade=0.03)}),
        ("value_at_risk", 0.3, {"sizing": sizing(var_limit=0.3 * 0.001 * 1.6448536269514722)}),
        ("max_weight", 0.3, {"sizing": sizing(max_weight=0.3)}),
        ("gross_room", 0.3, {"risk": RiskSettings(max_gross=0.3, max_participation=1.0)}),
        (
            "gross_room",
            0.1,
            {"risk": RiskSettings(max_gross=0.3, max_participation=1.0), "committed": 2000.0},
        ),
        ("cash", 0.3, {"committed": 7000.0}),
        ("volume", 0.3, {"volume": 30.0}),
        ("volume", 0.3, {"volume": 60.0, "risk": RiskSettings(max_gross=10.0, max_participation=0.5)}),
    ],
)
def test_each_cap_binds_alone(name: str, share: float, changed: dict[str, Any]) -> None:
    sized = size(ask(0.4, **changed))

    assert sized.bound_by == name
    assert step(sized, name).after == pytest.approx(share)
    assert step(sized, name).bound
    assert sized.weight <= share * (1 + 1e-12)
    assert 0 <= share * 100 - float(sized.quantity) <= 0.11


def test_every_step_starts_where_the_one_before_ended() -> None:
    sized = size(ask(2.0, volume=50.0, sizing=sizing(risk_per_trade=0.08, max_weight=0.6)))

    assert [step.name for step in sized.steps] == ["kelly", *CAPS, "volume", "lot"]
    for earlier, later in zip(sized.steps, sized.steps[1:], strict=False):
        assert later.before == earlier.after
        assert later.after <= later.before
    assert sized.bound_by == "volume"


def test_costs_of_the_entry_are_kept_back_from_the_cash() -> None:
    costly = ExecutionSettings(fee_bps=10, spread_bps=4, slippage_bps=3, impact_bps=5)

    assert step(size(ask(2.0, execution=costly)), "cash").after == pytest.approx(1 / 1.002)


def test_what_is_already_held_of_an_instrument_takes_up_its_share() -> None:
    held = portfolio(position("10", average_price="100"), cash="9000", marks={"SP500": Decimal(100)})
    sized = size(ask(0.4, portfolio=held, sizing=sizing(max_weight=0.3)))

    assert step(sized, "max_weight").after == pytest.approx(0.2)


def test_a_size_below_one_lot_is_none_and_the_lot_had_the_last_word() -> None:
    sized = size(ask(0.0005))

    assert (sized.quantity, sized.weight, sized.bound_by) == (0, 0.0, "lot")
    assert sized.steps[-1].bound


def test_without_an_edge_nothing_is_bought_and_the_lot_is_not_blamed() -> None:
    sized = size(ask(-1.0))

    assert (sized.quantity, sized.bound_by) == (0, "kelly")
    assert not sized.steps[-1].bound


def test_a_size_that_was_rounded_but_not_to_nothing_is_bound_by_what_came_before() -> None:
    sized = size(ask(0.4005))

    assert (sized.quantity, sized.bound_by) == (Decimal("40.0"), "kelly")


@pytest.mark.parametrize("cash", ["0", "-5"])
def test_nothing_left_is_nothing_to_risk(cash: str) -> None:
    sized = size(ask(portfolio=portfolio(cash=cash)))

    assert (sized.quantity, sized.weight, sized.bound_by) == (0, 0.0, "equity")


@pytest.mark.parametrize("changed", [{"committed": 20_000.0}, {"volume": 0.0}])
def test_a_cap_below_zero_is_zero(changed: dict[str, Any]) -> None:
    assert size(ask(**changed)).quantity == 0


def test_a_market_that_stands_still_is_left_to_the_other_caps() -> None:
    still = Proposal("enter", Side.BUY, "signal", stop=Decimal(100), target=Decimal(120))
    sized = size(ask(0.4, volatility=0.0, proposal=still))

    assert not any(step(sized, name).bound for name in CAPS)


def test_the_distance_of_a_short_stop_counts_alike() -> None:
    short = Proposal("enter", Side.SELL, "signal", stop=Decimal(110), target=Decimal(80))

    assert size(ask(0.4, proposal=short, sizing=sizing(risk_per_trade=0.03))).quantity == Decimal("30.0")
