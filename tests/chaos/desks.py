"""A real desk in its own process, against an exchange in another, and the judgement by the exchange's own truth."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.core.accounting.fold import DeskState
from engine.core.domain.order import OrderStatus, OrderType
from engine.core.domain.records import AccountRecord, Record, StartRecord
from tests import judge

ROOT = Path(__file__).resolve().parents[2]
CASH = "10000"
JOURNAL = "desk.sqlite3"
PROFILE = """
desk:
  name: chaos
  timeframe: 1s
  currency: USDT
  cash: "10000"
  instruments:
    - {{name: BTC/USDT, bars_per_year: 31536000}}
    - {{name: ETH/USDT, bars_per_year: 31536000}}
decision: {{confidence: 0.5, stop_atr: 2.0, target_atr: 2.0, max_bars: 4, cooldown_bars: 0, blocked_regimes: []}}
sizing: {{kelly_fraction: 1.0, target_volatility: 2.0, max_weight: 0.2}}
risk:
  max_entries_per_instrument: 100000
  max_daily_entries: 100000
  max_daily_turnover: 100
  max_consecutive_losses: 1000
  max_unknown_orders: 4
  max_drawdown: 0.9
  max_daily_loss: 0.8
  halt_daily_loss: 0.9
  max_instrument_volatility: 100
  max_price_shock: 1.0
  max_entries_at_once: 100000
  duplicate_s: 0
  max_ladder: 100000
  max_flips: 100000
  max_size_after_loss: 100000
  max_bar_loss: 0.9
  max_requests_per_second: 100000
  max_requests_per_minute: 100000
  max_requests_per_day: 100000
execution: {{entry_expires_s: 5}}
venue:
  kind: binance
  base_url: {url}
  poll_s: 0.2
  reconcile_s: 5
  request_timeout_s: 1.5
  recv_window_ms: 2000
  visibility_s: 3
  bar_delay_s: 0.1
  bar_grace_s: 1
  weight_per_minute: 100000
"""


class Exchange:
    """The exchange's process, and the strings to pull."""

    def __init__(self, *more: str) -> None:
        command = [sys.executable, "-m", "tests.exchange", "--moving", "--balance", f"USDT={CASH}"]
        # A desk that starts again every few seconds asks for more than one that runs: no ban for that here.
        command += [
            "--price",
            "BTCUSDT=50000",
            "--price",
            "ETHUSDT=3000",
            "--weight-limit",
            "10000000",
            *more,
        ]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        words = self.process.stdout.readline().split()
        self.keys = dict(word.split("=", 1) for word in words)

    def pull(self, what: str, **said: Any) -> Any:
        """One string of the control page."""
        request = urllib.request.Request(
            f"{self.url}/_control/{what}",
            data=json.dumps(said).encode() if said else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def stop(self) -> None:
        """End the process, frozen or not."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


class Desk:
    """`whydesk run` as a process that can be killed, frozen and started again in the same home."""

    def __init__(self, home: Path, exchange: Exchange) -> None:
        self.home = home
        self.exchange = exchange
        self.profile = home / "chaos.yaml"
        home.mkdir(parents=True, exist_ok=True)
        self.profile.write_text(PROFILE.format(url=exchange.url))
        self.process: subprocess.Popen[str] | None = None
        self.log = home / "desk.log"

    def start(self, stdout: int | None = None) -> None:
        """Start it; what it says goes to a file, what it answers too unless to `stdout`."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jobs", "run"),
                    *("--profile", str(self.profile), "--home", str(self.home)),
                ],
                cwd=ROOT,
                env=os.environ | self.exchange.keys,
                stdin=subprocess.PIPE,
                stdout=log if stdout is None else stdout,
                stderr=log,
                text=True,
            )

    def say(self, text: str) -> None:
        """Type a line into its console; one that is dead does not hear it."""
        assert self.process is not None and self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(f"{text}\n")
            self.process.stdin.flush()

    def kill(self) -> None:
        """kill -9; nothing happens to one that is gone."""
        assert self.process is not None
        self.process.kill()
        self._gone()

    def _gone(self, seconds: float = 10) -> int:
        assert self.process is not None and self.process.stdin is not None
        code = self.process.wait(seconds)
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        return code

    def send(self, number: signal.Signals) -> None:
        """Any other signal."""
        assert self.process is not None
        self.process.send_signal(number)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process is not None and self.process.poll() is None

    def end(self) -> int:
        """As an operator would: SIGTERM, and wait for what is under way."""
        assert self.process is not None
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
        return self._gone(30)

    def whydesk(self, *words: str) -> str:
        """Another command on the same home, while it runs or not."""
        begun = self.begin(*words)
        stdout, stderr = begun.communicate(timeout=60)
        assert begun.returncode == 0, stderr
        return stdout

    def begin(self, *words: str, most_bytes: int = resource.RLIM_INFINITY) -> subprocess.Popen[str]:
        """The same, not waited for; no file of its may grow beyond `most_bytes`."""
        begun = subprocess.Popen(
            [sys.executable, "-m", "jobs", *words, "--profile", str(self.profile), "--home", str(self.home)],
            cwd=ROOT,
            env=os.environ | self.exchange.keys,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if most_bytes != resource.RLIM_INFINITY:
            resource.prlimit(begun.pid, resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))
        return begun

    def records(self) -> list[Record]:
        """The journal so far."""
        return judge.read(self.home / JOURNAL)

    def state(self, records: list[Record] | None = None) -> DeskState:
        """The whole fold."""
        return judge.folded(records if records is not None else self.records(), CASH)

    def wait_until_up(self, times: int, seconds: float = 60) -> None:
        """Until it has said so often that it is up: from then on it hears signals."""
        self.wait_for("up", seconds, lambda records: self.log.read_text().count("the desk is up") >= times)

    def wait_for(self, what: str, seconds: float, seen: Any) -> float:
        """Until `seen(records)` is true; how long that took."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            with contextlib.suppress(Exception):
                if seen(self.records()):
                    return time.monotonic() - began
            assert self.alive, f"the desk has ended: {self.log.read_text()[-2000:]}"
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.log.read_text()[-2000:]}")


@contextlib.contextmanager
def room(home: Path, *more: str) -> Iterator[Desk]:
    """An exchange and a desk that is not started yet; both are gone afterwards."""
    exchange = Exchange(*more)
    desk = Desk(home, exchange)
    try:
        yield desk
    finally:
        if desk.process is not None:
            desk.kill()
        exchange.stop()


def starts(records: list[Record]) -> int:
    """How often the desk came up."""
    return sum(isinstance(record, StartRecord) for record in records)


def held(desk: Desk, records: list[Record] | None = None) -> dict[str, Decimal]:
    """What the books hold, by instrument."""
    return {p.instrument: p.quantity for p in desk.state(records).portfolio.positions}


def covered(desk: Desk, records: list[Record]) -> bool:
    """Whether something is held, and a stop rests for all of it."""
    state = desk.state(records)
    stops = {
        o.request.instrument
        for o in state.portfolio.orders
        if o.request.type is OrderType.STOP and o.status is OrderStatus.ACCEPTED
    }
    return bool(state.portfolio.positions) and {p.instrument for p in state.portfolio.positions} <= stops


def buy(desk: Desk, name: str = "BTC/USDT", amount: int = 500, seconds: float = 30) -> None:
    """Ask again until it is held and covered: a desk that trades by itself may be in the way."""

    def bought(records: list[Record]) -> bool:
        if name not in held(desk, records):
            desk.say(f"/buy {name} {amount} USDT")
            time.sleep(0.3)
            return False
        return covered(desk, records)

    desk.wait_for(f"a protected position in {name}", seconds, bought)


def settle(desk: Desk, seconds: float = 40) -> float:
    """Wait until nothing is unknown and the books are flat or covered, then end the desk; how long it took."""
    for symbol, price in desk.exchange.pull("truth")["prices"].items():
        desk.exchange.pull(
            "price", symbol=symbol, price=price
        )  # nothing happens behind the back of an ended desk
    desk.whydesk("kill", "the end of the test")
    return desk.wait_for("a quiet desk", seconds, lambda records: _quiet(desk.state(records)))


def _quiet(state: DeskState) -> bool:
    orders = state.portfolio.orders
    return (
        state.risk.trading.value == "halted"
        and "account" not in state.risk.holds
        and not any(order.status is OrderStatus.UNKNOWN for order in orders)
        and not any(order.request.type is OrderType.MARKET for order in orders)
        and not judge.uncovered(state)
    )


class Judgement(judge.Judgement):
    """Of a desk in its own process."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.exchange.pull("truth"), desk.home / JOURNAL, CASH)


def baselines(records: list[Record]) -> list[AccountRecord]:
    """What was taken as external, and when."""
    return [record for record in records if isinstance(record, AccountRecord)]
