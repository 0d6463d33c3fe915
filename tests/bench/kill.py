"""How long a kill takes: `python -m tests.bench.kill [trials]`.

The whole engine runs in this process as it does live, on a journal and a halt row that are flushed to the disk at every
commit; the exchange of the tests is a process of its own, on loopback. Moments at the venue are those of its own books.

1. *Command to durable halt*: fifty commands a second come over the chat, one in ten of them `/kill`. Right before each
   `/kill` come a `/report` of a day with 2,880 decisions, so that the kill waits for one that renders, and 200 records
   to be told. From the moment when the chat brings the kill to the moment when the halt row is durable.
2. *To the last cancel*: thirty entries rest. From the command to the last cancel in the exchange's books.
3. *To flat*: two positions with their stops. From the command to the exchange's last sale, by the rounds of the engine
   as shipped (two a second while everything is being closed); then again with every second call failing before or
   after it was carried out. At the end of each the journal is held against the exchange's books: nothing lost,
   nothing doubled.
"""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from bot.app import Bot
from bot.chat.console import typed
from bot.chat.port import Lane, Message, Said
from configs.secrets import Keys
from engine.core.accounting.settle import order_record
from engine.core.domain.commands import CommandKind
from engine.core.domain.events import Recorded
from engine.core.domain.order import OrderRequest, OrderStatus, OrderType, Side
from engine.core.domain.risk import TradingState
from engine.ports import HaltRow
from jobs.clocks import WallClock
from jobs.console import bot_over
from tests.bench.journal import START, cycle
from tests.bench.measure import finish, table
from tests.builders import command_record, incident, order_request
from tests.chaos.desks import Exchange
from tests.exchange.server import KEY, SECRET
from tests.judge import Judgement
from tests.life import BTC, CASH, ETH, PRICES, Life

TRIALS = 200
A_SECOND, ONE_IN = 50, 10
ALERTS, RESTING, DAY = 200, 30, 2880
GIVE_UP_S = 120.0
FAULTS = (
    {"when": "before", "answer": "error", "status": 503, "probability": 0.2},
    {"when": "before", "answer": "reset", "probability": 0.25},
    {"when": "after", "answer": "reset", "probability": 1 / 6},
)
"""One after another they hit half of all calls: a fifth, a quarter of the rest, and a sixth of what is then left."""


class Durable(Life):
    """A desk whose journal is flushed at every commit, by the clock on the wall."""

    durability = "FULL"


class Outside:
    """The exchange's process, as a desk sees it."""

    def __init__(self) -> None:
        self.process = Exchange()
        self.url, self.keys = self.process.url, Keys(KEY, SECRET)
        for name, price in PRICES.items():  # they stand still: no stop fills by itself
            self.process.pull("price", symbol=name.replace("/", ""), price=price)

    async def pull(self, what: str, **said: Any) -> Any:
        """One string, while the engine goes on."""
        return await asyncio.to_thread(lambda: self.process.pull(what, **said))


@contextlib.asynccontextmanager
async def desk() -> AsyncIterator[tuple[Durable, Outside]]:
    """A desk at an exchange of its own, with what runs beside the bars running."""
    with tempfile.TemporaryDirectory() as folder:
        outside = await asyncio.to_thread(Outside)
        life = Durable(Path(folder), outside, WallClock(), weight_per_minute=1_000_000)  # type: ignore[arg-type]
        try:
            await life.start()
            yield life, outside
        finally:
            await life.die()
            await asyncio.to_thread(outside.process.stop)


@contextlib.asynccontextmanager
async def beside(life: Life, *names: str) -> AsyncIterator[None]:
    """What the engine does by itself, as often as it does live."""
    running = [asyncio.create_task(life.engine.keeper.tasks()[name]()) for name in names]
    try:
        yield
        for task in running:
            assert not task.done(), task.exception()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class Crowd:
    """Fifty people a second. `brought` is when the chat brought each message."""

    source = "crowd"

    def __init__(self, number: int, before_a_kill: Callable[[], None]) -> None:
        self._number = number
        self._before = before_a_kill
        self.brought: dict[str, float] = {}
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue()

    async def press(self) -> None:
        """One kill in ten, two resumes after it, and questions."""
        others = ("/resume", "/resume", "/status", "/trades", "/status", "/trades", "/status", "/trades")
        begin = asyncio.get_running_loop().time()
        for number in range(self._number):
            place = number % ONE_IN
            await asyncio.sleep(begin + number / A_SECOND - asyncio.get_running_loop().time())
            text = (f"/report {START:%Y-%m-%d}", "/kill", *others)[place]
            if text == "/kill":
                self._before()
            self.brought[f"{number}"] = time.monotonic()
            self._queue.put_nowait(typed(text, str(number)))
        self._queue.put_nowait(None)

    async def messages(self) -> AsyncIterator[Message]:
        """As they come; who is slow lets them wait."""
        while (message := await self._queue.get()) is not None:
            yield message

    async def answer(self, message: Message, said: Said) -> None:
        """Nobody reads."""

    async def tell(self, said: Said, lane: Lane) -> None:
        """Nobody hears."""


async def durable_halts(trials: int) -> list[float]:
    """Seconds from each kill to its row."""
    async with desk() as (life, _):
        await life.journal.append([cycle(number) for number in range(DAY)])
        halted: list[float] = []
        write = life.store.set_halt

        def set_halt(state: TradingState, *said: Any, **how: Any) -> HaltRow:
            row = write(state, *said, **how)
            if state is TradingState.HALTED:
                halted.append(time.monotonic())
            return row

        life.store.set_halt = set_halt  # type: ignore[method-assign]
        bots: list[Bot] = []

        def queue_alerts() -> None:
            for number in range(ALERTS):
                told = command_record(f"told-{time.monotonic_ns()}-{number}") if number % 2 else incident()
                bots[0].hear(Recorded(number, told))

        crowd = Crowd(trials * ONE_IN, queue_alerts)
        bots.append(bot_over(life.engine.desk, life.journal, life.settings, WallClock(), None, crowd))
        async with beside(life, "tend", "reconcile", "lag"):
            await asyncio.gather(bots[0].run(), crowd.press())
        kills = [at for key, at in crowd.brought.items() if int(key) % ONE_IN == 1]
        assert len(halted) == len(kills) == trials, (len(halted), len(kills))
        return [done - began for began, done in zip(kills, halted, strict=True)]


async def last_cancels(trials: int) -> list[float]:
    """Seconds from each kill to the last of thirty cancels at the exchange."""
    took = []
    async with desk() as (life, outside):
        for number in range(trials):
            resting = [_resting(life, f"{number}-{each}") for each in range(RESTING)]
            await life.engine.writer.write(
                [command_record(f"rest-{number}", at=life.clock.now(), orders=tuple(resting))]
            )
            for request in resting:
                await life.venue.prepare(request)
                answer = await life.venue.submit(request)
                assert answer.status is OrderStatus.ACCEPTED, answer
                accepted = order_record(request, answer.status, life.clock.now(), "", answer.venue_id)
                await life.engine.writer.write([accepted])
            began = time.time()
            await life.say(CommandKind.KILL)
            ids = {request.client_id for request in resting}
            orders = (await outside.pull("truth"))["orders"]
            ended = [
                o["updateTime"] for o in orders if o["clientOrderId"] in ids and o["status"] == "CANCELED"
            ]
            assert len(ended) == RESTING, f"{len(ended)} were cancelled"
            took.append(max(ended) / 1000 - began)
            await _resumed(life)
    return took


def _resting(life: Life, cause: str) -> OrderRequest:
    return order_request(
        f"d-{cause}", "e", Side.BUY, "0.001", OrderType.LIMIT, "25000", life.clock.now(), instrument=BTC
    )


async def flats(trials: int, *, failing: bool) -> list[float]:
    """Seconds from each flatten to the exchange's last sale."""
    took = []
    async with desk() as (life, outside), beside(life, "tend", "hurry", "reconcile"):
        for _ in range(trials):
            await _quiet(life)
            await life.look_at_market_again()
            there = _held((await outside.pull("truth"))["balances"])
            for name, quantity in ((BTC, "0.002"), (ETH, "0.03")):
                outcome = await life.buy(quantity, name)
                assert outcome.accepted, outcome.text
            await _until(lambda: len(life.orders("s")) == 2, "two stops", life)
            for fault in FAULTS if failing else ():
                await outside.pull("fault", path="*", count=1_000_000, **fault)
            began = time.time()
            flatten = asyncio.create_task(life.say(CommandKind.FLATTEN))
            sold = await _sold(outside, there, began)
            took.append(sold - began)
            await flatten
            await outside.pull("calm")
            await _quiet(life)
            await _resumed(life)
        Judgement(await outside.pull("truth"), life.home / "desk.sqlite3", CASH)
    return took


async def _sold(outside: Outside, there: dict[str, Decimal], began: float) -> float:
    """When the last sale was made after which nothing is left of what was bought."""
    while time.time() - began < GIVE_UP_S:
        truth = await outside.pull("truth")
        held = _held(truth["balances"])
        if all((held[asset] - there.get(asset, 0)) * worth < 5 for asset, worth in WORTH.items()):
            return max(trade["time"] for trade in truth["trades"] if not trade["isBuyer"]) / 1000
        await asyncio.sleep(0.05)
    raise AssertionError(f"not flat within {GIVE_UP_S:g} s")


WORTH = {name.partition("/")[0]: Decimal(price) for name, price in PRICES.items()}


def _held(balances: Sequence[dict[str, str]]) -> dict[str, Decimal]:
    total = {each["asset"]: Decimal(each["free"]) + Decimal(each["locked"]) for each in balances}
    return {asset: total.get(asset, Decimal(0)) for asset in WORTH}


async def _quiet(life: Life) -> None:
    """Nothing is open, unknown or held, and nothing holds the desk."""
    await _until(lambda: not (life.portfolio.orders or life.portfolio.positions or life.holds), "quiet", life)


async def _until(reached: Callable[[], bool], what: str, life: Life) -> None:
    ends = time.monotonic() + GIVE_UP_S
    while not reached():
        assert time.monotonic() < ends, f"never {what}: {life.portfolio.orders} {life.holds}"
        await asyncio.sleep(0.05)


async def _resumed(life: Life) -> None:
    for _ in range(2):
        outcome = await life.say(CommandKind.RESUME)
        assert outcome.accepted, outcome.text


def at(took: list[float], share: float) -> float:
    """The smallest that so large a share is not above."""
    ordered = sorted(took)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main(trials: int = TRIALS) -> dict[str, Any]:
    """The four figures."""
    measured = {
        "command to durable halt": (asyncio.run(durable_halts(trials)), "<= 0.150 s (p99)"),
        f"to the last of {RESTING} cancels": (asyncio.run(last_cancels(trials)), "<= 2 s"),
        "to flat, healthy venue": (asyncio.run(flats(trials, failing=False)), "<= 5 s"),
        "to flat, half of all calls fail": (asyncio.run(flats(trials, failing=True)), "<= 30 s"),
    }
    rows = [
        (name, f"{at(took, 0.5):.3f} / {at(took, 0.99):.3f} / {max(took):.3f} s", goal)
        for name, (took, goal) in measured.items()
    ]
    table(f"A kill, {trials} trials each: median / p99 / worst", rows)
    return finish(
        "kill",
        {
            name: {
                "p50_s": round(at(took, 0.5), 4),
                "p99_s": round(at(took, 0.99), 4),
                "worst_s": round(max(took), 4),
            }
            for name, (took, _) in measured.items()
        },
    )


if __name__ == "__main__":
    main(*(int(each) for each in sys.argv[1:]))
