"""`whydesk watchdog`: a small process that runs the desk as its child, and acts when the desk cannot.

It listens to the heartbeat. When that is lost it halts the desk by its row, calls somebody, kills what has frozen, has
the resting entries cancelled at the venue, and starts the desk again, which comes up halted. It keeps nothing in memory
that the next watchdog could not find out: a desk that already runs in the home is watched as if it were its own child.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from configs.schema.settings import Settings
from engine.core.domain.errors import StoreFailed, WhydeskError
from engine.core.domain.risk import TradingState
from engine.core.risk.watchdog import CRASHES, WINDOW_S, Ending, Next, Phase, Watch, after, is_lost, listened
from engine.store.lease import holder_of, signature
from engine.store.lock import WATCHDOG, hold, holding_pid
from engine.store.state import SqlStateStore
from jobs import heartbeat
from jobs.alarm import Alarm
from jobs.clocks import WallClock
from jobs.home import Home
from jobs.notify import Notify, without
from jobs.watched import crashes, keep_crashes

LOOK_S = 0.2
STORE_S = 2.0
"""So long the store may take for a halt before the watchdog goes on without it."""
DEATH_S = 5.0
"""So long a killed process may take to be gone."""
CANCEL_S = 30.0
NAME = "watchdog"
WAITING = "waiting for a desk to watch over"

Done = TypeVar("Done")


def main(root: Path, settings: Settings, profile: str, arguments: Sequence[str], *, attach: bool) -> int:
    """Watch until the desk ends on purpose or a signal comes; the exit code. `arguments` are those of `whydesk run`.

    HeldElsewhere when another watchdog is there. With `attach` a desk that somebody else starts is watched, and neither
    started nor ended in order.
    """
    home = Home(root)
    with hold(home.root, WallClock().now(), name=WATCHDOG):
        watchdog = Watchdog(home, settings, profile, arguments, attach=attach)
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, lambda *_: watchdog.stop())
        try:
            return watchdog.run()
        finally:
            watchdog.close()


class Watched(NamedTuple):
    """One process under watch: our child, or one that somebody else started."""

    pid: int
    child: subprocess.Popen[bytes] | None


class Watchdog:
    """Starts, listens, acts. What follows from what it finds is decided in `engine/core/risk/watchdog.py`."""

    def __init__(
        self, home: Home, settings: Settings, profile: str, arguments: Sequence[str], *, attach: bool
    ) -> None:
        self._home = home
        self._settings = settings
        self._profile = profile
        self._arguments = arguments
        self._attach = attach
        self._clock = WallClock()
        self._alarm = Alarm(home.root, settings.desk.name, settings.monitoring)
        self._notify = Notify(os.environ)
        self._stopping = False
        self._crashes = crashes(home.root)
        self._cancelling: threading.Thread | None = None
        room = heartbeat.make_room(home.root)  # while there is some
        if room is not None:
            os.close(room)
        self._store: SqlStateStore | None = None
        self._owed = ""
        """Why a halt should stand that could not be written: until it is, nothing is started."""

    def stop(self) -> None:
        """End the desk in order, then this."""
        self._stopping = True

    def close(self) -> None:
        """Wait for alerts and cancels that are under way."""
        self._notify.ending()
        if self._cancelling is not None:
            self._cancelling.join(CANCEL_S + 1)
        self._alarm.finish()
        if self._store is not None:
            self._store.close()

    def run(self) -> int:
        """One desk after another; the exit code of the last one."""
        while True:
            watched = self._find()
            if watched is None:
                return 0
            ending = self._watch(watched)
            if ending is None:
                return 0  # somebody else's, and we were asked to go
            follows = after(ending, self._crashes, self._clock.monotonic())
            self._tell(watched, ending, follows)
            if self._attach:
                continue  # whoever starts it may do so again
            if self._stopping or follows.wait_s is None:
                return max(ending.code, 0) if ending.code is not None else int(ending.frozen)
            self._pass(follows.wait_s)

    # --- Find and listen ------------------------------------------------------------------------------

    def _find(self) -> Watched | None:
        """The desk that runs here already, or a new one; None when we were asked to end."""
        told = False
        while not self._stopping:
            pid = holding_pid(self._home.root)
            if pid:
                self._alarm.say(f"watching over the desk that runs already, pid {pid}")
                return Watched(pid, None)
            if pid is None and not self._attach and self._may_start():
                return self._start()
            if not told:
                self._alarm.say(
                    f"nothing is started before it is halted: {self._owed}" if self._owed else WAITING
                )
                told = True
            self._pass(LOOK_S)
        return None

    def _may_start(self) -> bool:
        """Whether no halt is owed any more: a desk that froze must not come up trading."""
        if self._owed:
            self._halt(self._owed)
        return not self._owed

    def _start(self) -> Watched:
        """In a group of its own, so that it can be killed with all that it started; a terminal it could not read."""
        terminal = sys.stdin is not None and sys.stdin.isatty()
        child = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "jobs", "run", *self._arguments],
            env=without(os.environ),
            stdin=subprocess.DEVNULL if terminal else None,
            process_group=0,
        )
        self._alarm.say(f"the desk is started, pid {child.pid}")
        return Watched(child.pid, child)

    def _watch(self, watched: Watched) -> Ending | None:
        """Until it has ended, or its heartbeat is lost and it was killed. None when we leave somebody else's alone."""
        watch = Watch(Phase.STARTING, 0, self._clock.monotonic())
        # One that waits for another copy has no heart yet, and one of another version may have none at all.
        waits = watched.child is None or "--standby" in self._arguments
        asked = False
        while True:
            beat = self._beat(watched)
            phase, number = (beat.phase, beat.number) if beat else (Phase.STARTING, 0)
            was_up = watch.up
            watch = listened(watch, phase, number, self._clock.monotonic())
            self._notify.alive()
            if watch.up and not was_up:
                self._notify.up()
                with contextlib.suppress(WhydeskError, OSError):
                    _within(STORE_S, self._halts)
            if self._is_gone(watched):
                return self._ending(watched, asked=asked)
            if is_lost(watch, self._settings.monitoring.heartbeat_lost_s, may_wait=waits):
                return self._frozen(watched, watch, asked=asked)
            if self._stopping and not asked:
                if self._attach:
                    return None
                asked = True
                self._signal(watched, signal.SIGTERM, group=False)
            time.sleep(LOOK_S)

    def _beat(self, watched: Watched) -> heartbeat.Beat | None:
        beat = heartbeat.read(self._home.root)
        ours = beat is not None and beat.pid == watched.pid and beat.machine == self._clock.machine()
        return beat if ours else None

    def _is_gone(self, watched: Watched) -> bool:
        if watched.child is not None:
            return watched.child.poll() is not None
        return holding_pid(self._home.root) != watched.pid

    def _ending(self, watched: Watched, *, asked: bool) -> Ending:
        """How it ended by itself: what the system says of a child, what the last heartbeat says of any other."""
        beat = self._beat(watched)
        code = watched.child.returncode if watched.child else beat.code if beat else None
        elsewhere = code not in (0, 2) and (
            holding_pid(self._home.root) is not None or self._taken(watched) != ""
        )
        return Ending(code, elsewhere=elsewhere, asked=asked)

    def _taken(self, watched: Watched) -> str:
        """Who holds the lease of the desk, if somebody else does. Not to know it is no reason to hold back."""
        try:
            holder = _within(
                STORE_S, lambda: holder_of(self._home.store(self._settings), self._settings.desk.name)
            )
        except (WhydeskError, OSError):
            return ""
        return "" if holder == signature(watched.pid) else holder

    # --- Act ------------------------------------------------------------------------------------------

    def _frozen(self, watched: Watched, watch: Watch, *, asked: bool) -> Ending:
        """The heartbeat is lost: halt, tell, kill, cancel."""
        beat = self._beat(watched)
        stuck = f": {beat.why}" if beat and beat.why else ""
        state = f"the desk was {watch.phase.value}, pid {watched.pid}"
        why = f"no heartbeat for {watch.silent_s:.1f} s ({state}){stuck}"
        other = self._taken(watched)
        halted = f"{other} acts for the desk" if other else self._halt(why)
        self._alarm.raise_(f"{why}; {halted}; the process is killed")
        self._signal(watched, signal.SIGKILL, group=True)
        if not other:
            self._cancel_entries()
        for _ in range(round(DEATH_S / LOOK_S)):
            if self._is_gone(watched):
                break
            self._notify.alive()
            time.sleep(LOOK_S)
        else:
            self._alarm.raise_(f"pid {watched.pid} cannot be killed: it waits for the disk or the system")
        return Ending(None, frozen=True, elsewhere=bool(other), asked=asked)

    def _halt(self, why: str) -> str:
        """The halt row, or the file that stands for it; what came of it, in words. One that stands stays as it is."""
        self._owed = why
        try:
            said = _within(STORE_S, lambda: self._halted(why))
        except (WhydeskError, OSError) as error:
            return f"THE HALT COULD NOT BE WRITTEN ({error})"
        self._owed = ""
        return said

    def _halted(self, why: str) -> str:
        store = self._halts()
        with contextlib.suppress(StoreFailed):
            row = store.halt()
            if row.state is TradingState.HALTED:
                return f"it was halted already by {row.by}"
        store.set_halt(TradingState.HALTED, NAME, why, self._clock.now())
        return "halted"

    def _halts(self) -> SqlStateStore:
        """Opened when the desk is up, for by then it has made the store: what does that is large."""
        if self._store is None:
            self._store = SqlStateStore(
                self._home.store(self._settings), home=self._home.root, desk=self._settings.desk.name
            )
        return self._store

    def _signal(self, watched: Watched, number: signal.Signals, *, group: bool) -> None:
        """To our child, or to whoever still holds the lock; with all that it started where it leads its own group."""
        if self._is_gone(watched):
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if group and os.getpgid(watched.pid) == watched.pid:
                os.killpg(watched.pid, number)
            else:
                os.kill(watched.pid, number)

    def _cancel_entries(self) -> None:
        """In a process and a thread of their own: neither the restart nor the watch waits for a venue."""
        if self._settings.venue.kind == "paper":
            return
        self._cancelling = threading.Thread(target=self._cancel, name="cancel", daemon=True)
        self._cancelling.start()

    def _cancel(self) -> None:
        command = [sys.executable, "-m", "jobs.entries", self._profile]
        try:
            done = subprocess.run(  # noqa: S603 - ourselves
                command,
                env=without(os.environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=CANCEL_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            self._alarm.raise_(f"resting entries were not cancelled at the venue: {type(error).__name__}")
            return
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["no word"])[-1]
            self._alarm.raise_(f"resting entries were not cancelled at the venue: {said}")
        else:
            self._alarm.say(done.stdout.strip())

    # --- What follows ---------------------------------------------------------------------------------

    def _tell(self, watched: Watched, ending: Ending, follows: Next) -> None:
        """Say how it ended and what follows, and halt a desk that crashes again and again."""
        said = f"the desk, pid {watched.pid}, {self._how(watched, ending)}"
        self._crashes = follows.crashes
        keep_crashes(self._home.root, self._crashes)
        halted = ""
        if follows.halt:
            why = f"{len(self._crashes)} crashes within {WINDOW_S / 60:g} minutes, the last one: {said}"
            halted = self._halt(why)
            said = f"{why}; {halted}"
        if follows.wait_s is None:
            said += "; it is not started again"
        elif not self._attach:
            said += f"; started again in {follows.wait_s:g} s"
        # Whoever resumed a desk that goes on crashing hears of each time that it is halted again.
        wanted = follows.alert or halted == "halted"
        quiet = ending.frozen and len(self._crashes) < CRASHES  # of the silence itself somebody was told
        (self._alarm.raise_ if wanted and not quiet else self._alarm.say)(said)
        self._notify.status(said)

    def _how(self, watched: Watched, ending: Ending) -> str:
        if ending.frozen:
            return "was killed for its silence"
        beat = self._beat(watched)
        why = f": {beat.why}" if beat and beat.phase is Phase.ENDED and beat.why else ""
        if ending.elsewhere:
            return f"ended because another copy acts for it{why}"
        if ending.code is None:
            return f"is gone without a word{why}"
        if ending.code < 0:
            return f"ended by {_name(-ending.code)}"
        return f"ended with exit code {ending.code}{why}"

    def _pass(self, seconds: float) -> None:
        """Let time pass; shorter when we were asked to end, or a desk runs here again already."""
        ends = self._clock.monotonic() + seconds
        while (left := ends - self._clock.monotonic()) > 0 and not self._stopping:
            if holding_pid(self._home.root):
                return
            self._notify.alive()
            time.sleep(min(left, LOOK_S))


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _within(seconds: float, work: Callable[[], Done]) -> Done:
    """What `work` returns or raises. TimeoutError when it has not by then: it may hang."""
    done: list[Done] = []
    failed: list[WhydeskError | OSError] = []

    def run() -> None:
        try:
            done.append(work())
        except (WhydeskError, OSError) as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="store", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError(f"the store does not answer within {seconds:g} s")
    return done[0]
