from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from configs.schema.decision import SizingSettings
from configs.schema.execution import ExecutionSettings
from configs.schema.risk import RiskSettings
from engine.core.domain.instrument import Instrument
from engine.core.domain.order import OrderType, Side
from engine.core.domain.records import Proposal
from engine.core.domain.risk import Size
from engine.core.domain.tail import Tail, TailEstimate
from engine.core.sizing.size import Ask, size
from tests.builders import forecast, portfolio, position, settings
from tests.core_builders import resting

CAPS = (
    "target_volatility",
    "risk_per_trade",
    "value_at_risk",
    "tail",
    "max_weight",
    "drawdown",
    "correlation",
    "gross_room",
    "cash",
)
FREE = ExecutionSettings(fee_bps=0, spread_bps=0, slippage_bps=0, impact_bps=0)
WIDE = SizingSettings(
    kelly_fraction=1.0,
    target_volatility=2.0,
    risk_per_trade=0.2,
    max_weight=3.0,
    var_limit=1.0,
    es_limit=1.0,
    book_var_limit=1.0,
)
NO_LIMIT: dict[str, float] = {
    "max_gross": 10.0,
    "max_participation": 1.0,
    "max_drawdown": 0.1,
    "max_order_value": 3.0,
    "max_position_value": 3.0,
    "max_stock_position": 3.0,
}
NO_CAP = {
    "sizing": WIDE,
    "risk": RiskSettings(**NO_LIMIT),
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
        ("tail", 0.3, {"sizing": sizing(es_limit=0.3 * 0.001 * 2.337802792201413)}),
        ("max_weight", 0.3, {"sizing": sizing(max_weight=0.3)}),
        ("max_weight", 0.3, {"risk": RiskSettings(**(NO_LIMIT | {"max_order_value": 0.3}))}),
        ("max_weight", 0.3, {"risk": RiskSettings(**(NO_LIMIT | {"max_position_value": 0.3}))}),
        ("max_weight", 0.3, {"risk": RiskSettings(**(NO_LIMIT | {"max_stock_position": 0.3}))}),
        ("drawdown", 0.3, {"drawdown": 0.05, "sizing": sizing(drawdown_floor=0.5)}),
        ("drawdown", 0.1, {"drawdown": 0.4, "sizing": sizing(drawdown_floor=0.25)}),
        ("correlation", 0.3, {"sizing": sizing(book_var_limit=0.3 * 0.001 * 1.6448536269514722)}),
        (
            "gross_room",
            0.3,
            {"risk": RiskSettings(**(NO_LIMIT | {"max_gross": 0.3, "max_participation": 1.0}))},
        ),
        (
            "gross_room",
            0.1,
            {
                "risk": RiskSettings(**(NO_LIMIT | {"max_gross": 0.3, "max_participation": 1.0})),
                "committed": 2000.0,
            },
        ),
        ("cash", 0.3, {"committed": 7000.0}),
        ("volume", 0.3, {"volume": 30.0}),
        (
            "volume",
            0.3,
            {
                "volume": 60.0,
                "risk": RiskSettings(**(NO_LIMIT | {"max_gross": 10.0, "max_participation": 0.5})),
            },
        ),
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


# --- the tail -------------------------------------------------------------------------------------


def tail(*estimates: tuple[str, float, bool]) -> Tail:
    """Estimators by name, with their value at risk, and whether they stood their test; the shortfall is half more."""
    return Tail(
        275, 50, tuple(TailEstimate(name, var, 1.5 * var, 12, 250, good) for name, var, good in estimates)
    )


def test_the_largest_loss_among_the_accepted_is_what_counts() -> None:
    told = tail(("normal", 0.01, True), ("historical", 0.02, True), ("evt", 0.05, False))
    sized = size(ask(2.0, tail=told, sizing=sizing(var_limit=0.01)))

    assert step(sized, "value_at_risk").after == pytest.approx(0.5)
    assert step(sized, "value_at_risk").reason == "one bar's 95 % loss 2.00%, by historical"


def test_when_all_are_rejected_it_is_said_and_the_most_careful_counts_for_more() -> None:
    told = tail(("normal", 0.01, False), ("evt", 0.02, False))
    sized = size(ask(2.0, tail=told, sizing=sizing(var_limit=0.01)))

    assert step(sized, "value_at_risk").after == pytest.approx(0.5 * 3 / 3.85)
    assert "the VaR model is wrong" in step(sized, "value_at_risk").reason


def test_the_shortfall_has_a_limit_of_its_own() -> None:
    sized = size(ask(2.0, tail=tail(("evt", 0.02, True)), sizing=sizing(es_limit=0.006)))

    assert (sized.bound_by, step(sized, "tail").after) == ("tail", pytest.approx(0.2))


# --- the book -------------------------------------------------------------------------------------


def book(**changed: Any) -> Ask:
    """A third of 15,000 in OTHER, which may lose 1.64 % of itself in one bar, and room for 0.9 % of equity."""
    held = portfolio(
        position("50", "OTHER", average_price="100"),
        cash="10000",
        marks={"OTHER": Decimal(100), "SP500": Decimal(100)},
    )
    values: dict[str, Any] = {
        "portfolio": held,
        "volatility": 0.01,
        "volatilities": {"OTHER": 0.01},
        "sizing": sizing(book_var_limit=0.009),
    }
    return ask(2.0, **(values | changed))


def allowed(asked: Ask) -> float:
    return float(step(size(asked), "correlation").after)


def test_what_moves_alike_leaves_what_the_limit_leaves() -> None:
    alike = (0.009 - 0.01 * 1.6448536269514722 / 3) / (0.01 * 1.6448536269514722)

    assert allowed(book(correlations={"OTHER": 1.0})) == pytest.approx(alike)
    assert allowed(book()) == pytest.approx(alike)  # unknown


def test_what_moves_apart_leaves_more() -> None:
    assert allowed(book(correlations={"OTHER": -0.5})) > allowed(book(correlations={"OTHER": 0.0}))
    assert allowed(book(correlations={"OTHER": 0.0})) > allowed(book(correlations={"OTHER": 0.5}))


def test_a_position_whose_volatility_is_unknown_is_as_restless_as_this_one() -> None:
    assert allowed(book(volatilities={})) == pytest.approx(allowed(book()))


def test_an_open_entry_counts_as_filled() -> None:
    waiting = resting("e", Side.BUY, "20", OrderType.MARKET, None, instrument="OTHER")
    asked = book()
    with_order = replace(asked, portfolio=replace(asked.portfolio, orders=(waiting,)))

    assert allowed(with_order) < allowed(asked)


def test_a_book_that_is_beyond_its_limit_takes_nothing_more() -> None:
    asked = book(sizing=sizing(book_var_limit=0.001), correlations={"OTHER": -1.0})

    assert (size(asked).quantity, size(asked).bound_by) == (0, "correlation")


@pytest.mark.parametrize(
    ("room", "weight"), [(0.25, 0.25), (0.0, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (float("inf"), 0.399)]
)
def test_a_grid_leaves_no_more_to_a_level_than_its_share(room: float, weight: float) -> None:
    found = size(ask(**NO_CAP, grid_room=room))  # Kelly alone gives 40 %, in whole lots 39.9 %

    assert found.weight == pytest.approx(weight)
    assert "grid" in [step.name for step in found.steps]
    assert "grid" not in [step.name for step in size(ask(**NO_CAP)).steps]
