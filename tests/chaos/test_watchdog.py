"""The watchdog over a real desk: frozen, blocked, dying again and again, out of room, and without its watchdog."""

import asyncio
import contextlib
import http.server
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from configs.load import load
from configs.secrets import load_keys
from engine.core.domain.ids import order_id
from engine.core.domain.order import OrderRequest, OrderStatus, OrderType, Side
from engine.core.domain.records import CommandRecord, CycleRecord, Record
from engine.core.domain.risk import TradingState
from engine.store.lease import lease
from engine.store.state import SqlStateStore
from engine.venues.ccxt.broker import CcxtVenue
from jobs import heartbeat
from jobs.clocks import WallClock
from tests.chaos.desks import ROOT, Desk, Exchange, starts
from tests.chaos.test_faults import buy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
Figure = Callable[[str, object], None]
LOST_S = 3.0
MORE = """
monitoring:
  heartbeat_lost_s: {lost_s}
  alert_url: "{url}/alerts?token=abc"
  alert_command: ["tee", "-a", "{file}"]
"""


class Phone:
    """Whoever is called: a server on loopback that notes when it heard what."""

    def __init__(self) -> None:
        heard: list[tuple[float, dict[str, Any]]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                heard.append((time.monotonic(), json.loads(body)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.heard = heard
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def texts(self) -> list[str]:
        """What was said, oldest first."""
        return [body["text"] for _, body in self.heard]


class Guarded(Desk):
    """`whydesk watchdog`, and the desk that it runs."""

    def __init__(self, home: Path, exchange: Exchange, phone: Phone, *more: str) -> None:
        settings = MORE.format(lost_s=LOST_S, url=phone.url, file=home / "told.txt")
        super().__init__(home, exchange, ("watchdog", *more), settings)
        self.phone = phone

    @property
    def pid(self) -> int:
        """Of the desk itself."""
        beat = heartbeat.read(self.home)
        assert beat is not None
        return beat.pid

    def status(self) -> dict[str, Any]:
        """What a console says."""
        told: dict[str, Any] = json.loads(self.whydesk("status", "--json"))
        return told

    def is_up(self, but: int = 0) -> bool:
        """Whether a desk is up, another one than `but`."""
        beat = heartbeat.read(self.home)
        return (
            beat is not None and beat.phase is heartbeat.Phase.UP and beat.pid != but and is_there(beat.pid)
        )


def is_there(pid: int) -> bool:
    """Whether a process of that number lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def within(seconds: float, seen: Callable[[], bool], what: str, log: Path) -> float:
    """Wait for it; how long that took."""
    began = time.monotonic()
    while not seen():
        assert time.monotonic() - began < seconds, (
            f"not within {seconds} s: {what}\n{log.read_text()[-3000:]}"
        )
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.fixture
def phone() -> Iterator[Phone]:
    """Somebody to call."""
    phone = Phone()
    yield phone
    phone.server.shutdown()
    phone.server.server_close()


@pytest.fixture
def desk(tmp_path: Path, phone: Phone) -> Iterator[Guarded]:
    """A watchdog that is not started yet. Whatever it started is gone afterwards."""
    exchange = Exchange()
    desk = Guarded(tmp_path / "home", exchange, phone)
    try:
        yield desk
    finally:
        if desk.process is not None:
            desk.kill()
        beat = heartbeat.read(desk.home)
        if beat is not None and is_there(beat.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(beat.pid, signal.SIGKILL)
            within(10, lambda: not is_there(beat.pid), "it is gone", desk.log)
        exchange.stop()


def begin(desk: Guarded) -> int:
    """Start it, and wait until it has looked at the market; the desk's process."""
    desk.start()
    within(60, desk.is_up, "the desk is up", desk.log)
    desk.wait_for("a bar of good quality", 60, lambda records: len(_cycles(records)) >= 6)
    return desk.pid


def _cycles(records: list[Record]) -> list[CycleRecord]:
    return [record for record in records if isinstance(record, CycleRecord) and record.wish is None]


def rest_an_entry(desk: Guarded, letter: str = "e") -> str:
    """An entry of the desk's own kind that rests at the venue, far below the market; its id."""
    client_id = order_id("d-0fmb756o0-aa839972", letter)
    request = OrderRequest(
        client_id, "", "BTC/USDT", Side.BUY, Decimal("0.001"), OrderType.LIMIT, Decimal(20000), False, letter, "",
        datetime.now(UTC),
    )  # fmt: skip

    async def send() -> OrderStatus:
        settings = load(str(desk.profile), {})
        venue = CcxtVenue(settings, WallClock(), load_keys(settings.venue, desk.exchange.keys))
        try:
            await venue.server_time_offset()
            await venue.prepare(request)
            return (await venue.submit(request)).status
        finally:
            await venue.close()

    assert asyncio.run(send()) is OrderStatus.ACCEPTED
    return client_id


def freeze_with_a_stop(desk: Guarded, trader: Desk, pid: int) -> tuple[set[str], float]:
    """Stop the process while it holds something whose stop rests; those stops, and the second when it froze.

    The desk closes what it holds after a few bars, so it may take more than one try.
    """
    for symbol, price in desk.exchange.pull("truth")["prices"].items():
        desk.exchange.pull("price", symbol=symbol, price=price)  # it stands still: no stop fills by itself
    for _ in range(20):
        buy(trader)
        os.kill(pid, signal.SIGSTOP)
        frozen = time.monotonic()
        time.sleep(0.2)  # what had left is there by now
        stops = {name for name, status in orders(desk).items() if status == "NEW" and "s" in name[27:]}
        if stops:
            return stops, frozen
        os.kill(pid, signal.SIGCONT)
    raise AssertionError("no stop was ever there")


def orders(desk: Guarded) -> dict[str, str]:
    """What the exchange has, and how it stands."""
    return {each["clientOrderId"]: each["status"] for each in desk.exchange.pull("truth")["orders"]}


def halted_by(desk: Guarded) -> str:
    store = SqlStateStore(desk.home / "desk.sqlite3", desk="chaos", read_only=True)
    try:
        row = store.halt()
        return row.by if row.state is TradingState.HALTED else ""
    finally:
        store.close()


def rss_mb(pid: int) -> float:
    """The memory of a process."""
    (line,) = [x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def test_e12_a_frozen_desk_is_halted_told_of_killed_and_started_again_halted(
    desk: Guarded, record_property: Figure
) -> None:
    pid = begin(desk)
    assert desk.process is not None
    memory = rss_mb(desk.process.pid)
    assert "numpy" not in Path(f"/proc/{desk.process.pid}/maps").read_text()
    assert desk.status()["watchdog"].startswith(f"held by pid {desk.process.pid} on")
    assert desk.status()["heartbeat_age_s"] < 2

    stops, frozen = freeze_with_a_stop(desk, desk, pid)
    entry = rest_an_entry(desk)
    within(LOST_S + 5, lambda: bool(desk.phone.heard), "an alert", desk.log)
    alert = desk.phone.heard[0][0] - frozen
    assert halted_by(desk) == "watchdog"
    within(20, lambda: orders(desk)[entry] == "CANCELED", "the entry is cancelled", desk.log)
    cancelled = time.monotonic() - frozen
    assert {orders(desk)[stop] for stop in stops} == {"NEW"}
    within(40, lambda: desk.is_up(pid), "another desk is up", desk.log)
    again = time.monotonic() - frozen
    desk.wait_for("halted in the journal", 20, lambda records: desk.state(records).risk.trading == "halted")

    assert not is_there(pid)
    assert "no heartbeat for 3" in desk.phone.texts()[0]
    assert "halted" in desk.phone.texts()[0]
    assert "no heartbeat" in (desk.home / "told.txt").read_text()
    assert "ALERT no heartbeat" in (desk.home / "alerts.log").read_text()
    assert alert < LOST_S + 5
    assert desk.status()["crashes"] == 1
    assert starts(desk.records()) == 2
    record_property(
        "figure",
        f"chaos e12: told {alert:.1f} s after it froze (lost after {LOST_S:g} s), entries cancelled {cancelled:.1f} s,"
        f" up again and halted after {again:.1f} s; the watchdog has {memory:.0f} MB",
    )
    last = desk.pid
    assert desk.end() == 0
    assert not is_there(last)


def test_e12_a_desk_of_somebody_else_is_halted_and_killed_and_its_entries_cancelled_without_it(
    desk: Guarded, tmp_path: Path
) -> None:
    """Nobody starts it again here, so that only the watchdog can have cancelled."""
    other = Desk(desk.home, desk.exchange)
    other.profile.write_text(other.profile.read_text())
    guarded = Guarded(desk.home, desk.exchange, desk.phone, "--attach")
    other.start()
    guarded.start()
    try:
        within(60, desk.is_up, "the desk is up", other.log)
        assert other.process is not None
        stops, _ = freeze_with_a_stop(desk, other, other.process.pid)
        entry = rest_an_entry(desk)
        assert other.process.wait(20) == -signal.SIGKILL
        within(20, lambda: orders(desk)[entry] == "CANCELED", "the entry is cancelled", other.log)
        time.sleep(3)

        assert {orders(desk)[stop] for stop in stops} == {"NEW"}
        assert not desk.is_up(other.process.pid)
        assert halted_by(desk) == "watchdog"
        assert guarded.alive
        assert guarded.end() == 0
    finally:
        guarded.kill()
        other.kill()


def test_e9_five_crashes_within_ten_minutes_halt_the_desk_with_their_cause(
    desk: Guarded, record_property: Figure
) -> None:
    pid, began = begin(desk), time.monotonic()
    for number in range(1, 6):
        os.kill(pid, signal.SIGKILL)
        if number == 5:
            break
        assert halted_by(desk) == ""
        within(40, partial(desk.is_up, pid), "another desk is up", desk.log)
        pid = desk.pid
    within(10, lambda: halted_by(desk) == "watchdog", "it is halted", desk.log)
    took = time.monotonic() - began
    within(
        10,
        lambda: any("5 crashes within 10 minutes" in text for text in desk.phone.texts()),
        "told",
        desk.log,
    )
    waits = [
        line.rpartition("again in ")[2].strip()
        for line in desk.log.read_text().splitlines()
        if "again in" in line
    ]

    assert waits == ["1 s", "2 s", "4 s", "8 s", "60 s"]
    assert "SIGKILL" in next(text for text in desk.phone.texts() if "5 crashes" in text)
    assert desk.status()["crashes"] == 5
    assert desk.status()["state"] == "halted"
    within(90, lambda: desk.is_up(pid), "it is started once more", desk.log)
    desk.wait_for("halted in the journal", 20, lambda records: desk.state(records).risk.trading == "halted")
    (taken,) = [r for r in desk.records() if isinstance(r, CommandRecord) and r.by == "watchdog"]
    assert "5 crashes within 10 minutes" in taken.reason
    assert desk.end() == 0
    record_property("figure", f"chaos e9: halted {took:.0f} s after the first of five crashes")


def test_e11_a_watchdog_that_is_killed_leaves_the_desk_and_the_next_one_takes_it_over(
    desk: Guarded, record_property: Figure
) -> None:
    pid = begin(desk)
    desk.kill()
    before = len(_cycles(desk.records()))
    began = time.monotonic()
    while len(_cycles(desk.records())) < before + 4:
        assert time.monotonic() - began < 20, "the desk trades no more"
        time.sleep(0.1)
    assert is_there(pid)
    assert desk.status()["watchdog"] == ""
    desk.start()
    within(
        20, lambda: "watching over the desk that runs already" in desk.log.read_text(), "taken over", desk.log
    )
    second = Guarded(desk.home, desk.exchange, desk.phone)
    second.start()
    assert second.process is not None
    assert second.process.wait(30) == 1
    assert "held by pid" in desk.log.read_text()
    second.kill()
    assert desk.pid == pid

    os.kill(pid, signal.SIGSTOP)
    took = within(40, lambda: desk.is_up(pid), "another desk is up", desk.log)

    assert halted_by(desk) == "watchdog"
    assert not is_there(pid)
    assert desk.end() == 0
    record_property("figure", f"chaos e11: an adopted desk that froze was up again after {took:.1f} s")


def test_f1_a_full_disk_costs_no_heartbeat_and_stops_no_halt(desk: Guarded) -> None:
    pid = begin(desk)
    assert desk.process is not None
    size = max(each.stat().st_size for each in desk.home.iterdir() if each.is_file())
    for each in (pid, desk.process.pid):
        resource.prlimit(each, resource.RLIMIT_FSIZE, (size // 2, resource.RLIM_INFINITY))
    time.sleep(LOST_S + 2)
    assert desk.is_up()
    assert desk.pid == pid
    assert not desk.phone.heard

    os.kill(pid, signal.SIGSTOP)
    within(LOST_S + 5, lambda: bool(desk.phone.heard), "an alert", desk.log)

    assert "; halted;" in desk.phone.texts()[0]
    assert halted_by(desk) == "watchdog"


BLOCKED = """
import asyncio, sys, time
from pathlib import Path
from jobs.heartbeat import heartbeat
from engine.store.lock import hold
from datetime import UTC, datetime

async def desk(heart):
    heart.begin()
    heart.up()
    await asyncio.sleep(1.5)
    time.sleep(600)

home = Path(sys.argv[1])
with hold(home, datetime.now(UTC)), heartbeat(home) as heart:
    asyncio.run(desk(heart))
"""


def test_e12_a_loop_that_is_blocked_loses_its_heartbeat(desk: Guarded) -> None:
    guarded = Guarded(desk.home, desk.exchange, desk.phone, "--attach")
    blocked = subprocess.Popen([sys.executable, "-c", BLOCKED, str(desk.home)], cwd=ROOT)
    try:
        guarded.start()

        assert blocked.wait(30) == -signal.SIGKILL
        within(5, lambda: bool(desk.phone.heard), "an alert", desk.log)
        assert halted_by(desk) == "watchdog"
        assert guarded.end() == 0
    finally:
        blocked.kill()
        blocked.wait()
        guarded.kill()


def test_e11_a_desk_that_another_copy_has_taken_over_is_killed_and_its_successor_is_not_halted(
    desk: Guarded, postgres_database: str
) -> None:
    """The lease ran out while it was frozen, and the halt row belongs to whoever acts now."""
    guarded = Guarded(desk.home, desk.exchange, desk.phone, "--attach")
    guarded.profile.write_text(desk.profile.read_text() + f"store:\n  url: {postgres_database}\n")
    frozen = subprocess.Popen([sys.executable, "-c", BLOCKED, str(desk.home)], cwd=ROOT)
    store = SqlStateStore(postgres_database, home=desk.home / "other", desk="chaos")
    try:
        with lease(postgres_database, "chaos"):
            guarded.start()
            assert frozen.wait(30) == -signal.SIGKILL
            within(5, lambda: bool(desk.phone.heard), "an alert", desk.log)
            assert guarded.end() == 0

        assert store.halt().state is TradingState.ACTIVE
        assert f"; pid {os.getpid()} on " in desk.phone.texts()[0]
        assert "acts for the desk" in desk.phone.texts()[0]
    finally:
        store.close()
        frozen.kill()
        frozen.wait()
        guarded.kill()


def test_unusable_settings_are_told_and_not_tried_again(desk: Guarded) -> None:
    desk.profile.write_text(desk.profile.read_text().replace("ETH/USDT", "XYZ/USDT"))
    desk.start()
    assert desk.process is not None

    assert desk.process.wait(60) == 2
    assert "does not know XYZ/USDT" in desk.log.read_text()
    assert desk.log.read_text().count("the desk is started") == 1
    assert "not started again" in desk.phone.texts()[-1]
