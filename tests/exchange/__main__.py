"""`python -m tests.exchange --port 0`: the exchange as its own process. The first line that it prints is its URL."""

import argparse
import asyncio
import signal

from tests.exchange.server import KEY, LIMIT, SECRET, FakeExchange


def pairs(values: list[str]) -> dict[str, str]:
    """NAME=value, several times."""
    return dict(value.split("=", 1) for value in values)


async def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="tests.exchange", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--price", action="append", default=[], metavar="BTCUSDT=50000")
    parser.add_argument("--balance", action="append", default=[], metavar="USDT=10000")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--weight-limit", type=int, default=LIMIT, help="request weight that a minute may have"
    )
    parser.add_argument("--moving", action="store_true", help="prices walk on instead of standing still")
    said = parser.parse_args()
    exchange = FakeExchange(
        pairs(said.price or ["BTCUSDT=50000"]),
        pairs(said.balance or ["USDT=10000"]),
        seed=said.seed,
        moving=said.moving,
        port=said.port,
        weight_limit=said.weight_limit,
    )
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with exchange:
        print(exchange.url, flush=True)
        print(f"WHYDESK_VENUE_KEY={KEY} WHYDESK_VENUE_SECRET={SECRET}", flush=True)
        while not stop.is_set():  # stops and limits fill when the price comes, whether or not anybody asks
            exchange.books.settle(exchange.now_ms())
            try:
                await asyncio.wait_for(stop.wait(), 0.05)
            except TimeoutError:
                continue


asyncio.run(main())
