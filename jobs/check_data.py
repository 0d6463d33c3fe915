"""Say what is wrong with files of bars, and whether the desk would take them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from configs.schema.settings import Settings
from engine.data.files import read_bars
from jobs.clocks import WallClock
from jobs.output import show
from jobs.universe import session_of

MOST_SHOWN = 20


def main(settings: Settings, paths: Sequence[Path], symbol: str, *, as_json: bool) -> int:
    """1 when any file would be refused."""
    files = [_checked(settings, path, symbol) for path in paths]
    show(as_json, {"files": files}, [line for each in files for line in _lines(each)])
    return 0 if all(each["accepted"] for each in files) else 1


def _checked(settings: Settings, path: Path, symbol: str) -> dict[str, Any]:
    as_of = WallClock().now()
    first = read_bars(path, check=settings.data, as_of=as_of, symbol=symbol)
    check = replace(settings.data, session=session_of(first.bars))
    read = read_bars(path, check=check, as_of=as_of, symbol=symbol)
    quality = read.quality
    return {
        "file": str(path),
        "instrument": read.instrument,
        "timeframe": read.timeframe,
        "session": check.session,
        "rows": read.rows,
        "rejected": quality.unusable,
        "gaps": quality.counts.get("gap", 0),
        "counts": dict(quality.counts),
        "accepted": quality.accepted,
        "reason": quality.reason,
        "issues": [msgspec.to_builtins(issue) for issue in quality.findings[:MOST_SHOWN]],
        "sha256": read.sha256,
    }


def _lines(each: dict[str, Any]) -> list[str]:
    verdict = "fit to use" if each["accepted"] else each["reason"]
    if each["accepted"] and each["rejected"]:
        verdict += f" without {each['rejected']} of its rows"
    counts = ", ".join(f"{count} {kind}" for kind, count in each["counts"].items()) or "nothing wrong"
    lines = [f"{each['file']}: {each['rows']} bars of {each['timeframe']}, {counts}; {verdict}"]
    return lines + [f"  {issue['text']}" for issue in each["issues"]]
