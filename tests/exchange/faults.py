"""How an exchange misbehaves, on demand: which request, before or after it was carried out, and what is answered."""

import random
from typing import Literal

import msgspec

When = Literal["before", "after", "later"]
Answer = Literal[
    "hang", "reset", "error", "html", "truncated", "doubled", "huge", "nested", "empty", "other_order", "real"
]


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """`before`: the request is never carried out. `after`: it is. `later`: it is, `seconds` after it came.

    `count` requests are hit, after the first `skip`, each with `probability`. An `error` of 429 or 418 with
    `retry_after` really bans: whoever asks again before the time is counted as a violation.
    """

    path: str = "*"
    when: When = "before"
    answer: Answer = "hang"
    status: int = 503
    code: int = -1000
    msg: str = "fault"
    retry_after: str = ""
    seconds: float = 30.0
    count: int = 1
    skip: int = 0
    probability: float = 1.0
    hide_s: float = 0.0

    def fits(self, method: str, path: str) -> bool:
        """Whether it is about that request: `*`, `order`, or `POST order`."""
        return self.path in ("*", path, f"{method} {path}")


class Faults:
    """Those that are still to come, in the order in which they were asked for."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)
        self.waiting: list[Fault] = []

    def pick(self, method: str, path: str) -> Fault | None:
        """The fault of this request, if it has one."""
        for fault in self.waiting:
            if not fault.fits(method, path):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if self._random.random() >= fault.probability:
                continue
            fault.count -= 1
            if fault.count <= 0:
                self.waiting.remove(fault)
            return fault
        return None
