"""How the benchmarks measure: CPU time of the process, medians, and one line of JSON at the end.

On a shared machine the wall clock measures the neighbours; CPU seconds are steady to a few percent. Figures of one
run may be compared with each other, and with nothing else.
"""

import json
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Spread(NamedTuple):
    """Microseconds of CPU a call: the middle and the slow end."""

    p50: float
    p99: float


def each(call: Callable[[int], object], times: int, warm_up: int = 200) -> Spread:
    """Time every call on its own, on the thread's CPU clock; the clock's own cost is taken off."""
    for number in range(warm_up):
        call(number)
    clock, spent, nothing = time.thread_time_ns, [], []
    for number in range(times):
        start = clock()
        call(number)
        spent.append(clock() - start)
        start = clock()
        nothing.append(clock() - start)
    spent.sort()
    own = statistics.median(nothing)
    return Spread((spent[times // 2] - own) / 1e3, (spent[times * 99 // 100] - own) / 1e3)


def together(call: Callable[[int], object], times: int, rounds: int = 5) -> float:
    """CPU microseconds a call, over many calls; the best of the rounds, for what disturbs only adds."""
    call(0)
    found = []
    for _ in range(rounds):
        start = time.process_time()
        for number in range(times):
            call(number)
        found.append((time.process_time() - start) / times * 1e6)
    return min(found)


def cpu(call: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of one call, and what it gave."""
    start = time.process_time()
    value = call()
    return time.process_time() - start, value


def table(title: str, rows: list[tuple[str, str, str]]) -> None:
    """What, the figure, and the goal beside it."""
    width = max(len(row[0]) for row in rows)
    print(f"\n{title}")
    for name, figure, goal in rows:
        print(f"  {name:{width}}  {figure:>22}  {goal}")


def finish(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Print the line for machines."""
    print(json.dumps({"bench": name} | values))
    return values
