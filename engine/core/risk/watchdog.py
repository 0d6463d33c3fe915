"""What the watchdog does next: when a heartbeat counts as lost, and what follows from how a desk ended.

Times are seconds of a clock that nobody sets. A watchdog that stood still itself, as when the whole machine slept, has
heard nothing meanwhile and concludes nothing from that: each look counts for a few seconds of silence at most.
"""

from enum import StrEnum
from typing import NamedTuple

CRASHES = 5
"""So many within `WINDOW_S` halt the desk."""
WINDOW_S = 600.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
SLOW_S = 60.0
"""So long a desk that comes up or ends may be busy between two heartbeats: it reads its journal, or migrates it."""
LONGEST_LOOK_S = 2.0
"""More silence than this no single look counts."""


class Phase(StrEnum):
    """Where a desk is in its life, as its heartbeat tells."""

    STARTING = "starting"
    UP = "up"
    ENDING = "ending"
    ENDED = "ended"


class Watch(NamedTuple):
    """What is known of the heart of one process: its newest beat, when it was looked at, and how long it was silent."""

    phase: Phase
    beat: int
    looked: float
    silent_s: float = 0.0
    up: bool = False
    """Whether it ever was up."""


def listened(watch: Watch, phase: Phase, beat: int, now: float) -> Watch:
    """The same after another look, in which the newest beat was `beat`.

    >>> listened(Watch(Phase.UP, 7, 100.0, 3.0), Phase.UP, 7, 100.5).silent_s
    3.5
    >>> listened(Watch(Phase.UP, 7, 100.0, 3.0), Phase.UP, 8, 100.5).silent_s
    0.0
    """
    passed = min(max(now - watch.looked, 0.0), LONGEST_LOOK_S)
    silent_s = 0.0 if beat != watch.beat else watch.silent_s + passed
    return Watch(phase, beat, now, silent_s, watch.up or phase is Phase.UP)


def is_lost(watch: Watch, lost_s: float, *, may_wait: bool = False) -> bool:
    """Whether the silence has lasted too long: `lost_s` for a desk that is up, longer for one that is busy.

    One that `may_wait` for another copy to end may do so without a heartbeat.
    """
    if may_wait and not watch.beat:
        return False
    return watch.silent_s >= (lost_s if watch.phase is Phase.UP else max(lost_s, SLOW_S))


class Ending(NamedTuple):
    """How a desk ended.

    `code` is its exit code, negative for a signal, None where nobody was told. `frozen`: it was killed for its silence.
    `elsewhere`: who acts for the desk now, if it ended because another copy does. `asked`: an operator ended it.
    """

    code: int | None
    frozen: bool = False
    elsewhere: bool = False
    asked: bool = False


class Next(NamedTuple):
    """What follows. `wait_s` None means that it is not started again; `halt`: it may come up halted only.

    `crashes` are the moments of those that count, this one included.
    """

    wait_s: float | None
    halt: bool = False
    alert: bool = False
    crashes: tuple[float, ...] = ()


ON_PURPOSE = (0, 2, -2, -15)
"""Done, unusable input, and the signals by which people end a program: starting again would change nothing."""


def after(ending: Ending, crashes: tuple[float, ...], now: float) -> Next:
    """What follows from an ending, after `crashes` at those moments.

    >>> after(Ending(1), (), 50.0)
    Next(wait_s=1.0, halt=False, alert=True, crashes=(50.0,))
    >>> after(Ending(-9), (10.0, 20.0, 30.0, 40.0), 50.0)
    Next(wait_s=60.0, halt=True, alert=True, crashes=(10.0, 20.0, 30.0, 40.0, 50.0))
    """
    known = recent(crashes, now)
    if ending.asked:
        return Next(None, alert=ending.frozen, crashes=known)
    if ending.elsewhere:
        return Next(LONGEST_WAIT_S, crashes=known)
    if not ending.frozen and ending.code in ON_PURPOSE:
        return Next(None, alert=ending.code == 2, crashes=known)
    known = (*known, now)
    many = len(known) >= CRASHES
    wait_s = LONGEST_WAIT_S if many else min(FIRST_WAIT_S * 2 ** (len(known) - 1), LONGEST_WAIT_S)
    # Once it is halted for that, each further one is written down; nobody is called for it once a minute.
    return Next(wait_s, many, len(known) <= CRASHES, known)


def recent(crashes: tuple[float, ...], now: float) -> tuple[float, ...]:
    """Those that still count."""
    return tuple(at for at in crashes if now - WINDOW_S < at <= now)
