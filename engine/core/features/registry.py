"""The feature list, as data. Its order is the order of a model's input columns."""

import hashlib

from engine.core.features import calendar, momentum, normalise, trend, volatility, volume
from engine.core.features.feature import Feature

VERSION = 1
"""Raise it when a formula changes and its note does not: models remember what they were trained on."""

FEATURES: tuple[Feature, ...] = (
    *trend.FEATURES,
    *momentum.FEATURES,
    *volatility.FEATURES,
    *volume.FEATURES,
    *calendar.FEATURES,
    *normalise.FEATURES,
)
NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
WARM_UP: int = max(feature.warm_up for feature in FEATURES)
"""How many bars the live window must hold for the newest row to be whole."""


def feature_set_version() -> str:
    """Return 12 hex digits that change with any name, definition or warm-up, and with `VERSION`."""
    lines = [f"{f.name}|{','.join(f.inputs)}|{f.warm_up}|{f.note}" for f in FEATURES]
    return hashlib.sha256("\n".join([str(VERSION), *lines]).encode()).hexdigest()[:12]
