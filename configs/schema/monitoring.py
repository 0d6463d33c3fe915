"""How the desk is watched from outside."""

from typing import Annotated

import msgspec
from msgspec import Meta


class MonitoringSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing here can change a decision."""

    health_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """A port on this machine that answers `GET /health` while the desk runs; 0 for none."""
