"""Tells listeners what has become durable. A listener can neither delay a cycle nor break it."""

import logging
from collections.abc import Callable

from engine.core.domain.events import Recorded

log = logging.getLogger(__name__)
Listener = Callable[[Recorded], None]


class Bus:
    """Direct calls, in the order of the records. Listeners only put things into queues of their own."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self.failures = 0

    def listen(self, listener: Listener) -> None:
        """Be told of everything from now on."""
        self._listeners.append(listener)

    def publish(self, event: Recorded) -> None:
        """Tell everyone. A listener that raises is logged and counted; the others are told all the same."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:  # a chat must not be able to stop a cycle
                self.failures += 1
                log.exception("listener failed on record %s", event.sequence)
