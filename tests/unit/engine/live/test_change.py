"""What is new since the last start, and who has to look at it."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from configs.schema.desk import DeskSettings
from configs.schema.risk import GridSettings, RiskSettings
from configs.schema.settings import Settings, settings_hash
from engine.core.domain.records import CycleRecord, StartRecord, plain
from engine.core.pipeline import decide
from engine.live.change import Change, change, widened
from tests.builders import settings, start_record
from tests.core_builders import inputs

SETTINGS = settings()


def started(chosen: Settings = SETTINGS, code: str = "1.0", **changed: Any) -> StartRecord:
    return replace(
        start_record(),
        settings_hash=settings_hash(chosen),
        values=plain(chosen),
        code_version=code,
        **changed,
    )


def told(before: StartRecord, now: StartRecord, cycles: list[CycleRecord]) -> Change | None:
    return change(before, now, cycles, {before.settings_hash: before})


def decided(**changed: Any) -> CycleRecord:
    """A decision of the code that runs now."""
    asked = inputs(SETTINGS)
    return replace(CycleRecord.of(asked, decide(asked), settings_hash(SETTINGS), "1.0"), **changed)


def test_a_start_with_all_as_before_changes_nothing() -> None:
    assert told(started(), started(id="s-later"), [decided()]) is None


def test_new_code_that_decides_as_before_may_trade() -> None:
    found = told(started(), started(code="1.1"), [decided(), decided()])

    assert found is not None
    assert found.text.endswith("code; of 2 decisions taken again 0 came out otherwise")
    assert found.for_a_person == ""


def test_new_code_that_decides_otherwise_waits_for_a_person() -> None:
    other = decided()
    other = replace(other, result=replace(other.result, orders=()))

    found = told(started(), started(code="1.1"), [decided(), other])

    assert found is not None
    assert found.for_a_person == f"1 of 2 decisions come out otherwise now: {other.id} comes out otherwise"


def test_a_check_that_is_new_and_changes_no_order_needs_nobodys_look() -> None:
    before = decided()
    fewer = replace(before.result.review, checks=before.result.review.checks[1:])

    found = told(
        started(), started(code="1.1"), [replace(before, result=replace(before.result, review=fewer))]
    )

    assert found is not None and found.for_a_person == ""


def test_each_decision_is_taken_again_with_its_own_settings() -> None:
    """Also where the newest start was made with others: two restarts do not hide what is new."""
    between = started(settings(desk=DeskSettings(seed=8, instruments=SETTINGS.desk.instruments)))
    made_with = {start.settings_hash: start for start in (started(), between)}
    other = decided()
    other = replace(other, result=replace(other.result, orders=()))

    found = change(between, started(code="1.1"), [other], made_with)

    assert found is not None and found.for_a_person.startswith("1 of 1 decisions come out otherwise")


def test_what_cannot_be_taken_again_is_not_the_same() -> None:
    lost = decided(settings_hash="another")
    impossible = replace(decided(), observation=replace(decided().observation, features={"vol_cc_60": 0.01}))

    found = told(started(), started(code="1.1"), [lost, impossible])

    assert found is not None and found.for_a_person.startswith("2 of 2 decisions come out otherwise")


def test_settings_that_this_code_does_not_know_wait_for_a_person() -> None:
    old = replace(started(), values={"desk": {}, "turbo": True})

    found = told(old, started(code="1.1"), [decided()])

    assert found is not None
    assert found.for_a_person.startswith("what ran before cannot be compared: ")


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"max_gross": 0.1}, {"max_gross": 0.49}, []),
        ({"max_gross": 0.1}, {"max_gross": 0.5}, ["risk.max_gross from 0.1 to 0.5"]),
        ({"max_gross": 0.5}, {"max_gross": 0.1}, []),
        ({"max_unknown_orders": 0}, {"max_unknown_orders": 1}, ["risk.max_unknown_orders from 0 to 1"]),
        ({"loss_pause_bars": 5}, {"loss_pause_bars": 1}, ["risk.loss_pause_bars from 5 to 1"]),
        ({"loss_pause_bars": 1}, {"loss_pause_bars": 5}, []),
    ],
)
def test_a_limit_that_is_five_times_as_wide_is_told(
    before: dict[str, Any], now: dict[str, Any], told: list[str]
) -> None:
    assert widened(RiskSettings(**before), RiskSettings(**now)) == told


def test_a_much_wider_limit_waits_for_a_person() -> None:
    wide = settings(risk=RiskSettings(max_trade_risk=0.2))

    found = told(started(), started(wide), [])

    assert found is not None
    assert found.for_a_person == "much wider limits: risk.max_trade_risk from 0.02 to 0.2"


@pytest.mark.parametrize(
    ("most", "told"), [(0.0499, []), (0.05, ["risk.grids.max_risk of X from 0.01 to 0.05"])]
)
def test_a_grid_that_may_lose_five_times_as_much_is_told(most: float, told: list[str]) -> None:
    grid = GridSettings("X", Decimal(90), Decimal(100), Decimal(85), levels=5, max_risk=0.01)
    before, now = RiskSettings(grids=(grid,)), RiskSettings(grids=(replace(grid, max_risk=most),))

    assert widened(before, now) == told
    assert widened(RiskSettings(), now) == [], "what is new is no limit that was widened"
