"""What a stress run says, in sentences and as plain values. Every figure is one of the run's."""

from collections.abc import Iterator
from statistics import median
from typing import Any

import msgspec

from engine.backtest.stress import AS_WAS, CUT_OFF, FULL, GAP, Outcome, Reverse, Stress

LIMITS = ("day's halt", "drawdown", "half", "all")
NOT_SAID = (
    "The score says how much of its money a desk keeps in days that are "
    "known, not how likely they are or which come next; "
    "it depends on the file, its bars and the limits, and scores of other "
    "files or settings cannot be held against it."
)


def summary(stress: Stress) -> dict[str, Any]:
    """All of it as plain values for `--json`, but for the curves."""
    return {
        "score": stress.score,
        "instruments": list(stress.instruments),
        "timeframe": stress.settings.desk.timeframe,
        "bars_per_day": stress.per_day,
        "places": [place.isoformat() for place in stress.places],
        "scenarios": [
            msgspec.to_builtins(scenario) | {"days": scenario.days} for scenario in stress.scenarios
        ],
        "outcomes": [_plain(outcome) for outcome in stress.outcomes],
        "recorded": [_plain(outcome) for outcome in stress.recorded],
        "reverse": [_back(reverse) for reverse in stress.reverse],
        "sentences": list(sentences(stress)),
    }


def _plain(outcome: Outcome) -> dict[str, Any]:
    values = outcome._asdict() | {"begins": outcome.begins.isoformat(), "above_zero": outcome.above_zero}
    del values["curve"]
    return values


def _back(reverse: Reverse) -> dict[str, Any]:
    reached = {
        name: {"loss": reach.limit, "scale": reach.scale}
        for name, reach in zip(LIMITS, reverse.reaches, strict=True)
    }
    whole = all(reach.rising for reach in reverse.reaches)
    return reverse._asdict() | {"reaches": reached, "rising": whole}


def sentences(stress: Stress) -> Iterator[str]:
    """The answer in a few whole sentences, the bad ones too."""
    if stress.score is None:
        yield "No score: the limits let nothing be held at any place, so that no shock could be felt."
    else:
        yield (
            f"Resilience {stress.score:.0f} of 100: a full desk earns 100 for "
            f"losing nothing and none for losing half, in the "
            "mean over scenarios, once with its venue there and once cut off until the low."
        )
    for form, words in (
        (FULL, "A full desk with its venue there"),
        (CUT_OFF, "A full desk that is cut off until the low"),
    ):
        worst = max(
            (stress.worst(scenario.name, form) for scenario in stress.scenarios), key=lambda o: o.loss_low
        )
        yield (
            f"{words} loses most in {worst.scenario}: {_percent(worst.loss_low)} to the "
            f"low, {_percent(worst.loss_end)} to the end."
        )
    below = sorted({o.scenario for o in stress.outcomes if not o.above_zero and o.size == 1})
    yield (
        f"Equity does not stay above zero in {', '.join(below)}."
        if below
        else "Equity stays above zero in all of them."
    )
    held = [outcome.gross for outcome in stress.of(stress.scenarios[0].name, AS_WAS)]
    yield (
        f"As it was, the desk held {_percent(median(held), 0)} of its equity at the median place and "
        f"{_percent(max(held), 0)} at most, over {len(held)} places."
    )
    yield from _gaps(stress)
    yield NOT_SAID


def _gaps(stress: Stress) -> Iterator[str]:
    for reverse in stress.reverse:
        if reverse.scenario == GAP.name:
            told = ", ".join(
                f"{name} ({_percent(reach.limit, 0)}) "
                + ("not reachable" if reach.scale is None else f"at {_percent(reach.scale)}")
                for name, reach in zip(LIMITS, reverse.reaches, strict=True)
            )
            size = "" if reverse.size == 1 else f" at {reverse.size} times the size"
            yield f"One gap in everything at once takes from a full desk{size}: {told}."


def _percent(value: float, digits: int = 1) -> str:
    return f"{round(value * 100, digits) + 0.0:.{digits}f} %"
