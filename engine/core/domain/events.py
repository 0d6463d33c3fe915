"""What the engine announces once it is written down. Listeners never delay a cycle."""

import msgspec

from engine.core.domain.records import Record


class Recorded(msgspec.Struct, frozen=True):
    """A record became durable, as number `sequence` of the chain."""

    sequence: int
    record: Record
