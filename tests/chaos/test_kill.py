"""kill -9 at any moment, over and over, with orders on their way and a venue that misbehaves: the venue's truth judges.

Each of the processes below lives a few seconds. While it lives a person keeps buying and selling, the desk decides once
a second, and some of the venue's answers are lost. Then it is killed, and the next one must make sense of it.
"""

import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.domain.order import SENDING, OrderStatus
from engine.core.domain.records import CycleRecord, OrderRecord, StartRecord
from tests.chaos.desks import Desk, Judgement, room, settle, starts

CYCLES = int(os.environ.get("WHYDESK_KILLS", "104"))
DESKS = 4
DIES_WHILE_STARTING = 0.25
LOST_ANSWERS = (
    {"path": "POST order", "when": "after", "answer": "reset", "probability": 0.08},
    {"path": "POST order", "when": "before", "answer": "reset", "probability": 0.04},
    {"path": "POST order", "when": "later", "answer": "hang", "seconds": 1.2, "probability": 0.04},
    {"path": "DELETE order", "when": "after", "answer": "reset", "probability": 0.1},
    {"path": "GET order", "when": "before", "answer": "error", "status": 503, "probability": 0.05},
)


def live_for(desk: Desk, seconds: float, chance: random.Random) -> None:
    """A busy person at the console."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        name = chance.choice(("BTC/USDT", "ETH/USDT"))
        amount = chance.randint(50, 900)
        desk.say(chance.choice((f"/buy {name} {amount} USDT",) * 3 + (f"/sell {name}", "/fx all")))
        time.sleep(min(0.15, max(0.0, until - time.monotonic())))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(DESKS))
def test_e4_killed_again_and_again_a_desk_loses_and_doubles_nothing(
    number: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(number)
    ready: list[float] = []
    with room(tmp_path / "home", "--seed", str(number)) as desk:
        desk.start()
        desk.wait_for("the first bar", 60, lambda records: any(isinstance(r, CycleRecord) for r in records))
        for fault in LOST_ANSWERS:
            desk.exchange.pull("fault", count=1_000_000, **fault)
        for _ in range(CYCLES // DESKS):
            live_for(desk, chance.uniform(0.5, 4.0), chance)
            desk.kill()
            before, began = starts(desk.records()), time.monotonic()
            desk.start()
            if chance.random() < DIES_WHILE_STARTING:
                time.sleep(chance.uniform(0.2, 2.5))
                continue
            desk.wait_for("the next start", 60, lambda records, n=before: starts(records) > n)
            ready.append(time.monotonic() - began)
        desk.exchange.pull("calm")
        settled = settle(desk)
        desk.end()

        judged = Judgement(desk)

    orders = [record for record in judged.records if isinstance(record, OrderRecord)]
    unknown = {r.request.client_id for r in orders if r.status is OrderStatus.UNKNOWN and r.reason != SENDING}
    record_property(
        "figure",
        f"chaos {number}: {CYCLES // DESKS} kills -9, {sum(isinstance(r, StartRecord) for r in judged.records)} starts,"
        f" {len(judged.ours)} orders at the venue, {len(judged.truth['trades'])} trades, {len(unknown)} unknown for a"
        f" time, 0 lost, 0 doubled; up again after {statistics.median(ready):.1f} s (worst {max(ready):.1f});"
        f" settled in {settled:.1f} s",
    )
