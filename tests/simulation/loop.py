"""An event loop whose clock jumps to the next thing that is due. Nothing waits, and nothing runs in a thread."""

import asyncio
import heapq
from collections import deque
from collections.abc import Coroutine
from contextvars import Context, ContextVar
from typing import Any

OWNER: ContextVar["Tasks | None"] = ContextVar("OWNER", default=None)
"""Whose tasks are made here: those of one process die together."""


class Deadlock(Exception):
    """Everything waits for something else. In a desk that is a finding."""


class Tasks:
    """The tasks of one process, in the order in which they were made: a set would have another order each time."""

    def __init__(self) -> None:
        self._made: dict[asyncio.Task[Any], None] = {}

    def add(self, task: asyncio.Task[Any]) -> None:
        """Remember it until it is done."""
        self._made[task] = None
        task.add_done_callback(self._forget)

    def names(self) -> list[str]:
        """Of those that still run."""
        return [task.get_name() for task in self._made]

    def cancel(self) -> None:
        """End all of them, but for the one that asks: that one goes on until it next waits."""
        for task in list(self._made):
            if task is not asyncio.current_task():
                task.cancel()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._made.pop(task, None)
        if not task.cancelled():
            task.exception()  # whoever is gone retrieves nothing


class SimLoop(asyncio.BaseEventLoop):
    """asyncio without a selector: time stands still while something is ready, then jumps."""

    _ready: deque[Any]
    _scheduled: list[Any]
    _stopping: bool
    _timer_cancelled_count: int

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self.steps = 0
        self.set_task_factory(_owned)

    def time(self) -> float:
        """Virtual seconds since the beginning of the world."""
        return self._now

    def run_in_executor(self, *_: Any) -> Any:  # type: ignore[override]
        """No threads: what they did would not be the same twice."""
        raise RuntimeError("a simulated desk starts no threads")

    def _process_events(self, event_list: Any) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """There is no selector to be woken."""

    def _run_once(self) -> None:
        scheduled, ready = self._scheduled, self._ready
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
            self._timer_cancelled_count -= 1
        if not ready:
            if not scheduled:
                if self._stopping:
                    return
                raise Deadlock("everything waits, and no time would change that")
            self._now = max(self._now, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._now:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                self.steps += 1
                handle._run()


async def pause(seconds: float) -> None:
    """Let virtual time pass."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[None] = loop.create_future()
    timer = loop.call_later(seconds, _release, waiting)
    try:
        await waiting
    finally:
        timer.cancel()


def _release(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _owned(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], context: Context | None = None
) -> asyncio.Task[Any]:
    task = asyncio.Task(work, loop=loop, context=context)
    owner = OWNER.get() if context is None else context.get(OWNER)
    if owner is not None:
        owner.add(task)
    return task
