"""Every feature against the values that it had when its version was written down.

Models remember the feature set that they were trained on. Its name changes with names and notes, but a formula can
change while its note does not, and then an old model would be served what it was not trained on.
"""

import json
import math

import pytest
from msgspec.structs import replace

from engine.core.features import build
from engine.core.features.registry import FEATURES, NAMES, VERSION
from engine.core.features.workings import Workings
from tests.unit.engine.core.features.regenerate import PLACE, golden_values

CHANGED = (
    "a formula changed: raise registry.VERSION and run python -m tests.unit.engine.core.features.regenerate"
)
WRITTEN = json.loads(PLACE.read_text(encoding="utf-8"))


def changed() -> list[str]:
    """The features whose values are not those written down, to 1e-9: processors differ in the last digits."""
    return [
        f"{name} is {now!r}, was {then!r}"
        for name, row in golden_values().items()
        for now, then in zip(row, WRITTEN["features"].get(name, row), strict=True)
        if not math.isclose(now, then, rel_tol=1e-9, abs_tol=1e-12)
    ]


def test_no_formula_changed_without_a_new_version() -> None:
    different = changed()

    assert not different, "\n".join([CHANGED, *different])


def test_the_values_are_of_this_version_and_of_every_feature() -> None:
    assert WRITTEN["version"] == VERSION, CHANGED
    assert tuple(WRITTEN["features"]) == NAMES, CHANGED


@pytest.mark.parametrize("name", NAMES)
def test_no_value_is_unknown_and_none_is_zero_throughout(name: str) -> None:
    """A formula whose every written value is zero could change unseen."""
    values = WRITTEN["features"][name]

    assert all(math.isfinite(value) for value in values)
    assert any(abs(value) > 1e-6 for value in values)


@pytest.mark.parametrize("place", range(0, len(FEATURES), 10))
def test_a_formula_that_moves_by_a_millionth_is_noticed(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    feature = FEATURES[place]

    def moved(workings: Workings) -> object:
        return feature.function(workings) * (1 + 1e-6)

    others = (*FEATURES[:place], replace(feature, function=moved), *FEATURES[place + 1 :])
    monkeypatch.setattr(build, "FEATURES", others)

    assert changed()
    assert all(line.startswith(f"{feature.name} is ") for line in changed())
