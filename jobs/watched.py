"""Who watches over a desk, how old its heartbeat is, and how often it crashed of late."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from engine.core.risk.watchdog import recent
from engine.store.lock import WATCHDOG, holder
from jobs import heartbeat
from jobs.clocks import WallClock

_FILE = "watchdog.json"


def watched(home: Path) -> dict[str, Any]:
    """Plain values for display: `watchdog` says who watches, empty for nobody; no age where there is no heartbeat."""
    beat = heartbeat.read(home)
    age = beat.age_s() if beat and beat.phase is not heartbeat.Phase.ENDED else None
    return {
        "heartbeat_age_s": None if age is None else round(age, 1),
        "watchdog": holder(home, WATCHDOG),
        "crashes": len(crashes(home)),
    }


def crashes(home: Path) -> tuple[float, ...]:
    """The monotonic moments of the desk's crashes that still count, as far as this start of the machine goes."""
    clock = WallClock()
    try:
        told = json.loads((home / _FILE).read_bytes()[:10_000])
        if told["machine"] != clock.machine():
            return ()
        return recent(tuple(float(at) for at in told["crashes"]), clock.monotonic())
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def keep_crashes(home: Path, moments: tuple[float, ...]) -> None:
    """For the next watchdog, and for whoever asks. On a full disk only this process knows."""
    fresh = home / f"{_FILE}.{os.getpid()}"
    with contextlib.suppress(OSError):
        fresh.write_text(json.dumps({"machine": WallClock().machine(), "crashes": moments}))
        fresh.replace(home / _FILE)
