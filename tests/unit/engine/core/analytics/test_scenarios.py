"""The facts as a table: within the ranges that were asked for, and true to what they say of themselves."""

import pytest

from engine.core.analytics.scenarios import RECORDED, SCENARIOS, Scenario, Standing

EACH = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)


def named(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


def test_the_ten_days_are_there_each_under_its_own_name() -> None:
    assert [scenario.name for scenario in SCENARIOS] == [
        "2008", "1987", "flash-2010", "march-2020", "oil-2020", "may-2021", "luna-2022", "ftx-2022", "usdc-2023",
        "october-2025",
    ]  # fmt: skip


@EACH
def test_a_path_begins_where_prices_were_and_goes_forward(scenario: Scenario) -> None:
    days = [knot.day for knot in scenario.path]

    assert (scenario.path[0].day, scenario.path[0].level) == (0, 1.0)
    assert days == sorted(set(days))
    assert max(knot.level for knot in scenario.path) == 1.0


@EACH
def test_spread_and_depth_are_within_what_was_asked_for(scenario: Scenario) -> None:
    assert 10 <= scenario.spread <= 50
    assert 0.01 <= scenario.depth <= 0.1
    assert all(0 <= span.start < span.stop <= scenario.days for span in scenario.dark + scenario.closed)


@EACH
def test_every_scenario_says_where_it_is_from_and_what_was_assumed(scenario: Scenario) -> None:
    standings = {fact.standing for fact in scenario.facts}

    assert Standing.ASSUMED in standings
    assert standings & {Standing.CHECKED, Standing.RECALLED}
    assert all(fact.text and fact.source for fact in scenario.facts)


@pytest.mark.parametrize(
    ("name", "fall"),
    [
        ("2008", 676.53 / 1565.15), ("1987", 0.77), ("flash-2010", 106.13 / 116.82), ("march-2020", 3782 / 7930),
        ("oil-2020", -37.63 / 18.27), ("may-2021", 30_000 / 43_000), ("luna-2022", 26_700 / 39_846),
        ("ftx-2022", 15_588 / 21_070), ("usdc-2023", 0.88), ("october-2025", 0.0839 / 0.2337),
    ],
)  # fmt: skip
def test_a_path_is_as_deep_as_its_day_was(name: str, fall: float) -> None:
    assert named(name).lowest == pytest.approx(fall, abs=0.003)


def test_only_oil_went_below_zero() -> None:
    assert [scenario.name for scenario in SCENARIOS if scenario.lowest <= 0] == ["oil-2020"]


def test_recorded_stretches_begin_before_they_end() -> None:
    assert len(RECORDED) == 4
    assert all(stretch.start < stretch.stop for stretch in RECORDED)
