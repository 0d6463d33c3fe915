"""A grid that contradicts itself or another limit is refused when the profile is read, in one line with its place."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from configs.load import SettingsError, load
from configs.schema.desk import DeskSettings, Instrument
from configs.schema.risk import GridSettings, RiskSettings
from configs.schema.settings import Settings, unusable_grid
from engine.core.risk.limits import tightened, within
from tests.architecture.source import ROOT

GOOD: dict[str, Any] = {
    "instrument": "AAA",
    "lower": 90,
    "upper": 100,
    "stop": 85,
    "levels": 5,
    "max_risk": 0.02,
}
GRID = GridSettings("AAA", Decimal(90), Decimal(100), Decimal(85), levels=5, max_risk=0.02)


def profile(path: Path, *grids: dict[str, Any], **risk: Any) -> Path:
    rows = [f"    - {{{', '.join(f'{name}: {value}' for name, value in grid.items())}}}" for grid in grids]
    limits = [f"  {name}: {value}" for name, value in risk.items()]
    text = ["desk:", "  instruments:", "    - {name: AAA, group: coins}", "    - name: BBB"]
    path.write_text("\n".join([*text, "risk:", *limits, "  grids:", *rows]) + "\n")
    return path


def refused(path: Path, *grids: dict[str, Any], **risk: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load(str(profile(path, *grids, **risk)), {})
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert "line " in line, "it says where"
    return line


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "grid.yaml"


def test_a_grid_is_read_as_it_is_written_and_found_by_its_instrument(file: Path) -> None:
    risk = load(str(profile(file, GOOD)), {}).risk

    assert risk.grids == (GRID,)
    assert risk.grid("AAA") == GRID
    assert risk.grid("BBB") is None


def test_the_grid_that_the_handbook_shows_is_one(file: Path) -> None:
    page = (ROOT / "knowledge" / "handbook" / "risk.md").read_text()
    shown = page.partition("```yaml\n")[2].partition("```")[0]
    file.write_text(f"desk:\n  instruments: [{{name: BTC/USDT}}]\n{shown}")

    assert load(str(file), {}).risk.grids[0].instrument == "BTC/USDT"


def test_without_a_grid_none_is_there() -> None:
    assert RiskSettings().grids == ()
    assert RiskSettings().grid("AAA") is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"lower": 100}, "lower (100) must be below upper (100)"),
        ({"lower": 101}, "lower (101) must be below upper (100)"),
        ({"stop": 90}, "stop (90) must be below lower (90)"),
        ({"stop": 95}, "stop (95) must be below lower (90)"),
        ({"stop": 0}, "stop must be from 1E-12 to 1E+15, was 0"),
        ({"stop": -1}, "stop must be from 1E-12 to 1E+15, was -1"),
        ({"lower": ".nan"}, "lower must be from 1E-12 to 1E+15, was NaN"),
        ({"upper": ".inf"}, "upper must be from 1E-12 to 1E+15, was Infinity"),
        ({"stop": "-.inf"}, "stop must be from 1E-12 to 1E+15, was -Infinity"),
        ({"upper": "1e30"}, "upper must be from 1E-12 to 1E+15"),
        ({"stop": 85.001}, "risk.grids: AAA: stop must be a multiple of its tick (0.01), was 85.001"),
        ({"levels": 1}, "levels"),
        ({"levels": 0}, "levels"),
        ({"levels": -5}, "levels"),
        ({"levels": 101}, "levels"),
        ({"levels": ".nan"}, "levels"),
        ({"levels": 2.5}, "levels"),
        ({"max_risk": 0}, "max_risk"),
        ({"max_risk": -0.01}, "max_risk"),
        ({"max_risk": 0.51}, "max_risk"),
        ({"max_risk": ".nan"}, "max_risk"),
        ({"max_risk": ".inf"}, "max_risk"),
        ({"instrument": "CCC"}, "risk.grids: CCC is not in desk.instruments"),
        ({"step": 1}, "unknown key risk.grids"),
    ],
)
def test_a_grid_that_contradicts_itself_is_refused(file: Path, changed: dict[str, Any], said: str) -> None:
    assert said in refused(file, GOOD | changed)


def test_what_a_grid_does_not_say_it_does_not_have(file: Path) -> None:
    for name in GOOD:
        assert name in refused(file, {other: value for other, value in GOOD.items() if other != name})


def test_an_instrument_has_one_grid_and_may_be_opened(file: Path) -> None:
    assert "grids: AAA is listed twice" in refused(file, GOOD, GOOD)
    assert "risk.grids: AAA is in risk.restricted" in refused(file, GOOD, restricted="[AAA]")


@pytest.mark.parametrize(
    ("limit", "at", "below"),
    [
        ("max_trade_risk", 0.004, 0.0039),  # five entries of it
        ("halt_daily_loss", 0.02, 0.0199),
        ("max_drawdown", 0.02, 0.0199),
        ("max_position_value", 0.12, 0.119),  # of which 15 / 90 can be lost
        ("max_stock_position", 0.12, 0.119),
        ("max_group_value", 0.12, 0.119),
        ("max_gross", 0.12, 0.119),
        ("max_stock_leverage", 0.12, 0.119),
    ],
)
def test_a_risk_that_another_limit_does_not_let_it_reach_is_refused(
    file: Path, limit: str, at: float, below: float
) -> None:
    others = {"max_daily_loss": 0.01}

    assert load(str(profile(file, GOOD, **others | {limit: at})), {}).risk.grids == (GRID,)
    line = refused(file, GOOD, **others | {limit: below})
    assert "risk.grids: AAA: max_risk can be at most 0.01" in line
    assert f"risk.{limit}, was 0.02" in line


def test_a_group_stands_in_the_way_of_its_own_alone(file: Path) -> None:
    other = GOOD | {"instrument": "BBB"}

    assert load(str(profile(file, other, max_group_value=0.01)), {}).risk.grid("BBB") is not None


def test_a_limit_that_is_tightened_while_the_desk_runs_comes_before_its_grid() -> None:
    """Whatever it is tightened to: settings that could not be made would keep the desk from closing as well."""
    chosen = RiskSettings(grids=(GRID,))
    limits = tightened(chosen, tightened(chosen, {}, "max_drawdown", 0.001), "max_trade_risk", 0.0001)
    held = within(chosen, limits)

    made = Settings(desk=DeskSettings(instruments=(Instrument("AAA"),)), risk=held)

    assert made.risk.grids == (GRID,)
    assert made.risk.max_drawdown == 0.001
    assert "max_risk can be at most 0.0005" in unusable_grid(made)
