"""From kill -9 to a desk that is reconciled and ready, with a long journal behind it: `python -m tests.bench.recovery`.

A real desk trades against the exchange of the tests in another process. Its journal is first filled with records; then
it is killed while orders may be on their way, and started again, over and over. Ready is when it says so: after the
journal was read, every order that may have left was looked up and the account compared.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from engine.store.journal import SqlJournal
from tests.bench.journal import incident
from tests.chaos.desks import Desk, Judgement, room, settle

RECORDS, KILLS = 100_000, 20
UP = "the desk is up"


def ups(desk: Desk) -> int:
    """How often it said that it is up."""
    return desk.log.read_text().count(UP) if desk.log.exists() else 0


def start(desk: Desk) -> float:
    """Seconds until it is up."""
    before, began = ups(desk), time.monotonic()
    desk.start()
    while ups(desk) == before:
        assert desk.alive, desk.log.read_text()[-1000:]
        time.sleep(0.01)
    return time.monotonic() - began


def main(records: int = RECORDS, kills: int = KILLS) -> dict[str, float]:
    """Median and worst seconds to ready."""
    with tempfile.TemporaryDirectory() as folder, room(Path(folder) / "home") as desk:
        journal = SqlJournal(desk.home / "desk.sqlite3", synchronous="NORMAL")
        journal.append_many(incident(number, 4096) for number in range(records))
        journal.close()
        start(desk)
        time.sleep(8)  # bars of good quality
        took = []
        for number in range(kills):
            for _ in range(6):
                desk.say(f"/buy {('BTC', 'ETH')[number % 2]}/USDT 300 USDT")
                desk.say("/fx all")
                time.sleep(0.15)
            desk.kill()
            took.append(start(desk))
        settle(desk)
        desk.end()
        orders = len(Judgement(desk).ours)
    found = {
        "records": float(records),
        "orders": float(orders),
        "median_s": round(statistics.median(took), 2),
        "worst_s": round(max(took), 2),
    }
    print(json.dumps(found))
    return found


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:]))
