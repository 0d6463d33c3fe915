"""What runs by the clock, and where things are kept."""

from typing import Annotated

import msgspec
from msgspec import Meta


class JobSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The daily report covers the UTC day before and is sent once, at or after `report_at`."""

    report_at: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "00:05"
    report_grace_hours: Annotated[int, Meta(ge=1, le=72)] = 12


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`url` empty means SQLite in the home folder; otherwise a PostgreSQL URL."""

    url: str = ""
    snapshot_every: Annotated[int, Meta(ge=1, le=1_000_000)] = 500
    """Records between two snapshots; a start replays what came after the last one."""
