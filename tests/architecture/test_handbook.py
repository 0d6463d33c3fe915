"""The handbook speaks of settings and files that exist."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from configs.schema.decision import RegimeName
from configs.schema.settings import Settings
from engine.core.domain.regime import REGIMES
from tests.architecture.source import FLOORS, ROOT

PAGES = sorted((ROOT / "knowledge" / "handbook").glob("*.md"))
SECTIONS = {
    section.name: {field.name for field in msgspec.structs.fields(section.type)}
    for section in msgspec.structs.fields(Settings)
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_setting_that_a_page_names_can_be_set(page: Path) -> None:
    named = re.findall(r"`([a-z]+)\.([a-z_]+)`", page.read_text())

    assert [
        f"{section}.{key}" for section, key in named if section in SECTIONS and key not in SECTIONS[section]
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_or_room_that_a_page_names_is_there(page: Path) -> None:
    rooms = "|".join((*FLOORS, "core", "live", "venues", "store", "inference", "backtest", "tests"))
    named = re.findall(rf"`((?:{rooms})/[\w./]+)`", page.read_text())

    def is_there(name: str) -> bool:
        module = name.partition(".")[0] if not name.endswith((".py", ".md")) else name
        return any(
            (ROOT / floor / f"{module}{end}").exists() for floor in ("", "engine") for end in ("", ".py")
        )

    assert [name for name in named if not is_there(name)] == []


def test_the_regime_page_has_the_defaults_of_the_rule() -> None:
    text = (ROOT / "knowledge" / "handbook" / "regimes.md").read_text()
    told = dict(
        re.findall(r"`([a-z_]+)` ([\d.]+)[,.\s]", text.partition("## The settings")[2].partition("##")[0])
    )
    rule = Settings().regime

    assert {name: float(value.rstrip(".")) for name, value in told.items()} == msgspec.structs.asdict(rule)


def test_every_regime_can_be_blocked_and_nothing_else() -> None:
    assert set(get_args(RegimeName)) == set(REGIMES)
