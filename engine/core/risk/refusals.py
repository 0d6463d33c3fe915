"""A venue that keeps saying no to the same thing: whatever is wrong will not be put right by asking again."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from engine.core.domain.records import OrderRecord

TIMES = 3
WITHIN = timedelta(minutes=10)
_NUMBERS = re.compile(r"[\d.]+")


def refusing(refused: Sequence[OrderRecord]) -> dict[str, str]:
    """Why nothing new should be opened, by instrument. `refused` are the refusals of the last `WITHIN`, newest first.

    Only entries count, for exits must be tried again. Two reasons are the same when they differ in numbers alone.
    """
    entries = [record for record in refused if not record.request.reduce_only]
    times = Counter(_kind(record) for record in entries)
    found: dict[str, str] = {}
    for record in entries:
        name, count = record.request.instrument, times[_kind(record)]
        if count >= TIMES and name not in found:
            minutes = WITHIN.total_seconds() / 60
            found[name] = (
                f"{name} was refused {count} times within {minutes:.0f} minutes, the last time with: {record.reason}"
            )
    return found


def _kind(record: OrderRecord) -> tuple[str, str]:
    return record.request.instrument, _NUMBERS.sub("", record.reason)
