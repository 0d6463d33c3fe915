"""A spot exchange on loopback that speaks Binance's REST language, keeps honest books, and can be told to misbehave.

In a test:

    async with FakeExchange() as exchange:
        exchange.fault("POST order", when="after", answer="reset")   # taken, but the answer is lost
        venue = CcxtVenue(settings pointing at exchange.url, clock, exchange.keys)

As a process of its own, so that a desk can be killed and judged by what the exchange knows:

    python -m tests.exchange --port 0 --balance USDT=10000      # prints its URL; GET /_control/truth tells everything
"""

from tests.exchange.books import Books
from tests.exchange.clock import TurnedClock
from tests.exchange.faults import Fault
from tests.exchange.prices import Prices
from tests.exchange.server import FakeExchange

__all__ = ["Books", "FakeExchange", "Fault", "Prices", "TurnedClock"]
