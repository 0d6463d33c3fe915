"""Signed checkpoints of a running desk's journal: written beside it, and held against it before it trades."""

import asyncio
import contextlib
import logging
import threading
from pathlib import Path

from configs.schema.settings import Settings
from engine.core.domain.errors import BadInput, StoreFailed, WhydeskError
from engine.core.domain.risk import TradingState
from engine.store.anchors import Anchors
from engine.store.keys import PUBLIC, PublicKey, public_key, signing_key
from jobs.bootstrap import AUDIT, Engine, audit_incident
from jobs.clocks import WallClock
from jobs.home import Home
from jobs.opened import before_resuming
from jobs.output import say

PATIENCE_S = 5.0
"""How long a desk that ends waits for its last anchor."""

MOST_CAUSES = 100

_log = logging.getLogger(__name__)


def anchors_of(home: Home, settings: Settings) -> Anchors:
    """The anchor files and the key of one desk, made if it has none. Refused when others could read the key."""
    anchors = Anchors(settings.desk.name, home.anchors(settings), home.keys)
    with contextlib.suppress(OSError):  # whoever writes the first anchor tells why there is no key
        _ = anchors.key
    return anchors


def verifying_key(home: Home, given: Path | None) -> PublicKey:
    """The public half that was given, or the home's own."""
    if given is not None:
        return public_key(given)
    if (home.keys / PUBLIC).exists():
        return public_key(home.keys / PUBLIC)
    try:
        return signing_key(home.keys, make=False).public
    except FileNotFoundError:
        raise BadInput(
            f"{home.keys}: there is no key to check anchors with; name its public half with --key FILE"
        ) from None


class Anchoring:
    """Writes the newest head when it has moved, on a thread of its own: a disk that hangs delays nobody.

    What goes wrong is told once for each cause, in the log and as an incident. A journal that no longer fits its
    anchors gets none until a person has said why, and its desk is halted.
    """

    def __init__(self, anchors: Anchors, engine: Engine, every_s: float) -> None:
        self._anchors = anchors
        self._engine = engine
        self._every_s = every_s
        self._ended = threading.Event()
        self._in_order = False
        self._objected = bool(engine.objection)
        self._told: set[str] = set()
        self._telling: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        if engine.objection:
            say(f"halted: {before_resuming(engine.objection)}")
        for path in anchors.gone:
            self._tell(
                f"there are no anchors at {path}: they begin there anew, and nothing vouches for what was before"
            )
        self._thread = threading.Thread(target=self._keep, name="anchors", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """A last anchor, and no more after it."""
        self._in_order = True
        self._ended.set()
        await asyncio.to_thread(self._thread.join, PATIENCE_S)
        if self._thread.is_alive():
            self._tell("the last anchor is not written: its disk does not answer")
        await asyncio.sleep(0)
        await asyncio.gather(*self._telling)

    def abandon(self) -> None:
        """No more anchors: the desk did not end in order, or has ended."""
        self._ended.set()

    def _keep(self) -> None:
        while not self._ended.wait(self._every_s):
            self._once()
        if self._in_order:
            self._once()

    def _once(self) -> None:
        try:
            objection = self._anchors.objection(self._engine.journal)
            if objection and not self._objected:
                self._engine.store.set_halt(TradingState.HALTED, AUDIT, objection, WallClock().now())
                self._tell(objection)
            self._objected = bool(objection)
            if not objection:
                for wrong in self._anchors.write(self._engine.journal.head(), WallClock().now()):
                    self._tell(wrong)
        except WhydeskError as error:
            self._tell(f"no anchor was written: {error}")

    def _tell(self, text: str) -> None:
        if text in self._told or len(self._told) == MOST_CAUSES:
            return
        self._told.add(text)
        _log.error("%s", text)
        with contextlib.suppress(RuntimeError):  # the loop is closed: the log has it
            self._loop.call_soon_threadsafe(self._note, text)

    def _note(self, text: str) -> None:
        task = self._loop.create_task(self._write(text))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _write(self, text: str) -> None:
        try:
            await self._engine.writer.write([audit_incident(text, self._engine.clock.now())])
        except StoreFailed as error:
            _log.error("an incident could not be written down: %s", error)
