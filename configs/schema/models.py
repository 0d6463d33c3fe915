"""Which served models answer, and what they must have been trained for."""

from typing import Annotated

import msgspec
from msgspec import Meta


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names of registered models whose current version is asked at every bar."""

    served: Annotated[tuple[str, ...], Meta(max_length=8)] = ()
    deadline_ms: Annotated[int, Meta(ge=1, le=60_000)] = 500
    """An answer that is later than this counts as absent, and absence is recorded."""
    rounds: Annotated[int, Meta(ge=1, le=5000)] = 100
    depth: Annotated[int, Meta(ge=1, le=12)] = 3
    eta: Annotated[float, Meta(gt=0, le=1)] = 0.05
    horizon: Annotated[int, Meta(ge=1, le=1000)] = 10
    """Bars ahead that the label looks: the vertical barrier."""
    barrier_atr: Annotated[float, Meta(gt=0, le=50)] = 2.0
    """Upper and lower barrier of the label, in average true ranges."""
    folds: Annotated[int, Meta(ge=2, le=50)] = 4
