"""One fault at a time against a real desk: frozen, blind, out of room, out of time, with a venue that dies or lies.

Each ends with the judgement by the exchange's own truth.
"""

import contextlib
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.core.domain.order import OrderStatus, OrderType
from engine.core.domain.records import AccountRecord, CycleRecord, IncidentRecord, OrderRecord, Record
from tests.chaos.desks import Desk, Judgement, buy, held, room, settle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
Figure = Callable[[str, object], None]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk that has looked at the market and may trade."""
    with room(tmp_path / "home") as desk:
        desk.start()
        desk.wait_for("a bar of good quality", 60, lambda records: len(_cycles(records)) >= 6)
        yield desk


def _cycles(records: list[Record]) -> list[CycleRecord]:
    return [record for record in records if isinstance(record, CycleRecord) and record.wish is None]


def _told(records: list[Record], name: str) -> list[str]:
    return [record.text for record in records if isinstance(record, IncidentRecord) and record.name == name]


def end(desk: Desk) -> Judgement:
    """Quiet down, stop, and be judged."""
    settle(desk)
    assert desk.end() == 0, desk.log.read_text()[-2000:]
    return Judgement(desk)


def test_c3_a_desk_that_was_frozen_wakes_up_without_trading_on_what_it_missed(desk: Desk) -> None:
    buy(desk)
    before = len(_cycles(desk.records()))
    desk.send(signal.SIGSTOP)
    frozen = datetime.now(UTC)
    time.sleep(8)
    woken = datetime.now(UTC)
    desk.send(signal.SIGCONT)
    desk.wait_for("new bars", 30, lambda records: len(_cycles(records)) > before + 6)

    judged = end(desk)

    sent = [r for r in judged.records if isinstance(r, OrderRecord) and r.status is OrderStatus.ACCEPTED]
    late = [r for r in sent if not r.request.reduce_only and frozen < r.request.placed_at < woken]
    assert all((r.at - r.request.placed_at).total_seconds() <= 5 for r in late), (
        "an entry of a missed bar was sent"
    )


def test_b8_a_venue_that_stands_still_holds_new_entries_and_is_made_sense_of_afterwards(
    desk: Desk, record_property: Figure
) -> None:
    buy(desk)
    desk.exchange.process.send_signal(signal.SIGSTOP)
    desk.say("/sell BTC/USDT")
    desk.say("/buy ETH/USDT 500 USDT")
    desk.wait_for("a hold", 30, lambda records: "venue" in desk.state(records).risk.holds)
    time.sleep(3)
    desk.exchange.process.send_signal(signal.SIGCONT)
    healed = time.monotonic()
    desk.wait_for(
        "nothing unknown and no hold",
        30,
        lambda records: (
            not desk.state(records).risk.holds
            and all(o.status is not OrderStatus.UNKNOWN for o in desk.state(records).portfolio.orders)
        ),
    )
    took = time.monotonic() - healed

    end(desk)

    record_property("figure", f"chaos b8: nothing unknown {took:.1f} s after the venue came back (goal 20)")


def test_a5_not_one_request_leaves_while_the_venue_demands_silence(
    desk: Desk, record_property: Figure
) -> None:
    buy(desk)
    desk.exchange.pull("fault", path="*", answer="error", status=429, code=-1003, retry_after="4")
    desk.wait_for("a hold", 15, lambda records: any("silence" in t for t in _told(records, "hold venue")))
    desk.say("/buy ETH/USDT 500 USDT")
    desk.wait_for("the end of it", 20, lambda records: any("over" in t for t in _told(records, "hold venue")))

    judged = end(desk)

    assert judged.truth["violations"] == 0
    record_property("figure", "chaos a5: 0 requests during a back-off")


def test_a16_a_stop_that_vanishes_is_placed_again(desk: Desk, record_property: Figure) -> None:
    price = desk.exchange.pull("truth")["prices"]["BTCUSDT"]
    desk.exchange.pull(
        "price", symbol="BTCUSDT", price=price
    )  # it stands still: the stop must not fill by itself
    buy(desk)
    (stop,) = [
        o.request
        for o in desk.state().portfolio.orders
        if o.request.type is OrderType.STOP
        and o.status is OrderStatus.ACCEPTED
        and o.request.instrument == "BTC/USDT"
    ]
    desk.exchange.pull("vanish", client_id=stop.client_id)
    took = desk.wait_for(
        "another stop",
        60,
        lambda records: (
            any(
                isinstance(r, OrderRecord)
                and r.status is OrderStatus.ACCEPTED
                and r.request.instrument == "BTC/USDT"
                and r.request.leg[1:].isdigit()
                for r in records
            )
            or "BTC/USDT" not in held(desk, records)
        ),
    )

    end(desk)

    record_property(
        "figure", f"chaos a16: a stop that vanished was placed again after {took:.1f} s (goal 60)"
    )


def test_a19_what_somebody_else_does_in_the_account_is_explained_or_holds(desk: Desk) -> None:
    desk.exchange.pull("trade", symbol="ETHUSDT", side="BUY", quantity="0.5")
    desk.wait_for("it is told", 30, lambda records: bool(_told(records, "external trade")))
    desk.exchange.pull("balance", asset="USDT", free="12345.67")
    desk.wait_for("a hold", 40, lambda records: "account" in desk.state(records).risk.holds)
    desk.say("/kill look")
    desk.say("/resume it was me")
    desk.wait_for("no hold", 30, lambda records: "account" not in desk.state(records).risk.holds)

    judged = end(desk)

    assert any(isinstance(r, AccountRecord) and "accepted by" in r.reason for r in judged.records)


def test_c1_a_clock_that_is_off_holds_until_it_is_right(desk: Desk) -> None:
    desk.exchange.pull("clock", offset_ms=3000)
    desk.wait_for("a hold", 30, lambda records: bool(_told(records, "hold clock")))
    desk.exchange.pull("clock", offset_ms=0)
    desk.wait_for("no hold", 30, lambda records: any("over" in text for text in _told(records, "hold clock")))

    end(desk)


def test_f2_a_database_that_somebody_holds_delays_and_loses_nothing(desk: Desk) -> None:
    """Longer than the desk waits: it stops rather than trade without its journal, and comes back by the one path."""
    buy(desk)
    with contextlib.closing(sqlite3.connect(desk.home / "desk.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(12):
            desk.say("/buy ETH/USDT 300 USDT")
            time.sleep(0.6)
        other.execute("ROLLBACK")
    assert desk.process is not None
    with contextlib.suppress(subprocess.TimeoutExpired):
        desk.process.wait(4)  # one that could not write an answer down may still be about to end
    if not desk.alive:
        desk.kill()
        desk.start()
    desk.wait_for(
        "new bars",
        40,
        lambda records: (
            records
            and _cycles(records)[-1].at
            > datetime.now(UTC).replace(microsecond=0).__class__.fromtimestamp(time.time() - 5, UTC)
        ),
    )

    end(desk)


def test_f1_a_full_disk_stops_orders_and_no_kill(desk: Desk) -> None:
    assert desk.process is not None
    buy(desk)
    size = max(each.stat().st_size for each in desk.home.iterdir() if each.is_file())
    resource.prlimit(desk.process.pid, resource.RLIMIT_FSIZE, (size // 2, resource.RLIM_INFINITY))
    before = {order["clientOrderId"] for order in desk.exchange.pull("truth")["orders"]}
    for _ in range(6):
        desk.say("/buy ETH/USDT 300 USDT")
        time.sleep(0.3)
    desk.say("/kill the disk is full")
    time.sleep(1.5)
    after = {order["clientOrderId"] for order in desk.exchange.pull("truth")["orders"]}
    entries = {name for name in after - before if name.endswith("e")}
    assert entries == set(), "an entry left without a durable intent"
    if not desk.alive:  # an answer of the venue could not be written down: it ends, and hears no console
        assert "an answer of the venue could not be written down" in desk.log.read_text()
        desk.whydesk("kill", "the disk is full")
    assert "halted" in desk.whydesk("status"), desk.log.read_text()[-2000:]
    if desk.alive:
        resource.prlimit(
            desk.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        time.sleep(1)
    if not desk.alive:
        desk.kill()
        desk.start()
    desk.wait_for(
        "halted in the journal too", 40, lambda records: desk.state(records).risk.trading == "halted"
    )

    end(desk)


def test_e8_killed_in_the_middle_of_a_flatten_it_goes_on_without_a_person(
    desk: Desk, record_property: Figure
) -> None:
    buy(desk)
    desk.say("/kill flatten enough")
    desk.wait_for("the halt", 10, lambda records: desk.state(records).risk.flatten)
    desk.kill()
    began = time.monotonic()
    desk.start()
    desk.wait_for("flat", 40, lambda records: not held(desk, records))
    took = time.monotonic() - began
    desk.wait_until_up(2)

    end(desk)

    record_property("figure", f"chaos e8: flat {took:.1f} s after a kill -9 in the middle of a flatten")


def test_e11_a_second_copy_is_refused(desk: Desk) -> None:
    second = Desk(desk.home, desk.exchange)
    second.start()
    assert second.process is not None

    assert second.process.wait(30) == 1
    assert "held by pid" in desk.log.read_text()
    second.kill()

    end(desk)
