import ast
import re
from typing import get_args

from configs.schema.decision import AlphaName
from engine.core.domain.records import OutcomeKind
from engine.core.domain.regime import REGIMES
from explain import sentences
from tests.architecture.source import ROOT, dotted, find

GLOSSARY = (ROOT / "knowledge" / "handbook" / "glossary.md").read_text()


def section(title: str) -> str:
    """The text below a heading."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", GLOSSARY, re.M | re.S)
    assert found is not None, title
    return found[1]


def named(title: str) -> set[str]:
    """Names in the first column of a section's table."""
    return set(re.findall(r"^\| `([^`]+)` \|", section(title), re.M))


def recorded_checks(*folders: str) -> set[str]:
    """The first argument of everything that makes a check."""
    makers = {"at_least", "at_most", "ask"}
    return {
        str(call.args[0].value)
        for _, call in find(ast.Call, *folders)
        if dotted(call.func) in makers and call.args and isinstance(call.args[0], ast.Constant)
    }


def test_every_check_that_can_be_recorded_is_explained_and_no_other() -> None:
    assert named("Checks") == recorded_checks("engine/core/risk")


def test_every_exit_reason_is_explained() -> None:
    assert named("Exit reasons") == recorded_checks("engine/core/decision") | {"stop", "target", "command"}
    told = {name.removeprefix("by_") for name in sentences.TABLE if name.startswith("by_")}
    assert named("Exit reasons") <= told | {"stop", "target"}


def test_every_outcome_is_explained() -> None:
    assert named("Outcomes") == {outcome.value for outcome in OutcomeKind}


def test_every_alpha_and_regime_is_named() -> None:
    assert named("Alphas") == set(get_args(AlphaName))
    assert set(REGIMES) <= set(re.findall(r"`(\w+)`", section("Regimes")))


def test_every_sizing_step_is_explained() -> None:
    steps = {
        str(call.args[0].value)
        for path, call in find(ast.Call, "engine/core/sizing")
        if dotted(call.func) == "SizingStep" and isinstance(call.args[0], ast.Constant)
    }
    caps = {
        str(pair.elts[0].value)
        for path, pair in find(ast.Tuple, "engine/core/sizing")
        if len(pair.elts) == 3
        and isinstance(pair.elts[0], ast.Constant)
        and isinstance(pair.elts[2], ast.JoinedStr)
    }

    assert named("Sizing steps") == steps | caps
