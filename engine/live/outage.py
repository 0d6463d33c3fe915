"""A journal that takes nothing for a while: a full disk, a lock that somebody holds, rights taken away.

Nothing leaves the desk then, for nothing can be written down first. But it stays up: a person can still kill it, and it
goes on by itself once there is room again. Only if the venue has told something that could not be written does it stop:
then no memory of this process may be trusted, and the start looks everything up.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from engine.core.domain.errors import Fenced, StoreFailed
from engine.core.domain.ids import record_id
from engine.core.domain.records import IncidentRecord
from engine.live.orders import OrderManager
from engine.live.writer import Writer
from engine.ports import Clock

log = logging.getLogger(__name__)
Done = TypeVar("Done")


class Outage:
    """Remembers since when nothing could be written, and writes it down when it can."""

    def __init__(self, writer: Writer, orders: OrderManager, clock: Clock) -> None:
        self._writer = writer
        self._orders = orders
        self._clock = clock
        self._since: datetime | None = None
        self._why = ""

    async def outlast(self, work: Callable[[], Awaitable[Done]]) -> Done | None:
        """Do it, or None when it could not be written down. StoreFailed only if the process must end."""
        try:
            if self._since is not None:
                await self._tell()
            return await work()
        except Fenced:
            raise  # another copy acts for the desk: there is nothing to outlast
        except StoreFailed as error:
            self._orders.check()
            if self._since is None:
                self._since, self._why = self._clock.now(), str(error)
                log.error("nothing leaves the desk: %s", error)
            return None

    async def _tell(self) -> None:
        """The first record that is taken again says what was missed; of what runs side by side, only one says it."""
        since, self._since = self._since, None
        assert since is not None, "there was an outage"
        at = self._clock.now()
        text = f"nothing could be written for {(at - since).total_seconds():.0f} s: {self._why}"
        key = record_id("i", at, "journal", str(self._writer.sequence))
        try:
            await self._writer.write([IncidentRecord(key, at, "journal", text, {}, None)])
        except StoreFailed:
            self._since = since
            raise
        log.warning("the journal takes records again")
