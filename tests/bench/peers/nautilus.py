# mypy: ignore-errors
"""SMA 20/50 cross in nautilus_trader, fill at the close: `PYTHON nautilus.py MARKET.npz`. Needs pandas below 3."""

import json
import resource
import sys
import time
from decimal import Decimal

import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("SIM")
PAIR = CurrencyPair(
    instrument_id=InstrumentId(Symbol("BTCUSDT"), VENUE), raw_symbol=Symbol("BTCUSDT"), base_currency=BTC,
    quote_currency=USDT, price_precision=4, size_precision=6, price_increment=Price(1e-4, 4),
    size_increment=Quantity(1e-6, 6), lot_size=None, max_quantity=Quantity(9_000_000, 6),
    min_quantity=Quantity(1e-6, 6), max_notional=None, min_notional=None, max_price=Price(10_000_000, 4),
    min_price=Price(1e-4, 4), margin_init=Decimal(0), margin_maint=Decimal(0), maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"), ts_event=0, ts_init=0,
)  # fmt: skip
BARS = BarType.from_str(f"{PAIR.id}-1-HOUR-LAST-EXTERNAL")


class Cross(Strategy):
    def __init__(self):
        super().__init__()
        self.fast, self.slow = SimpleMovingAverage(20), SimpleMovingAverage(50)
        self.entries, self.up = 0, None

    def on_start(self):
        self.account = self.portfolio.account(VENUE)
        self.register_indicator_for_bars(BARS, self.fast)
        self.register_indicator_for_bars(BARS, self.slow)
        self.subscribe_bars(BARS)

    def on_bar(self, bar):
        if not self.slow.initialized:
            return
        was, self.up = self.up, self.fast.value > self.slow.value
        if was is None or was == self.up:
            return
        if self.up and self.portfolio.is_flat(PAIR.id):
            equity = self.account.balance_total(USDT).as_double()
            quantity = PAIR.make_qty(equity * 0.1 / bar.close.as_double())
            self.submit_order(self.order_factory.market(PAIR.id, OrderSide.BUY, quantity))
            self.entries += 1
        elif not self.up and self.portfolio.is_net_long(PAIR.id):
            self.close_all_positions(PAIR.id)


market = np.load(sys.argv[1])
frame = pd.DataFrame(
    {name: market[name] for name in ("open", "high", "low", "close", "volume")},
    index=pd.to_datetime(market["end_ms"], unit="ms", utc=True),
)
bars = BarDataWrangler(BARS, PAIR).process(frame)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
engine = BacktestEngine(
    BacktestEngineConfig(
        logging=LoggingConfig(bypass_logging=True),
        risk_engine=RiskEngineConfig(bypass=True),
        run_analysis=False,
    )
)
engine.add_venue(
    VENUE, OmsType.NETTING, AccountType.CASH, [Money(1_000_000, USDT), Money(0, BTC)], base_currency=None
)
engine.add_instrument(PAIR)
engine.add_data(bars)
strategy = Cross()
engine.add_strategy(strategy)
start = time.process_time()
engine.run()
seconds = time.process_time() - start
account = engine.portfolio.account(VENUE)
held = account.balance_total(BTC)
equity = account.balance_total(USDT).as_double() + (held.as_double() if held else 0.0) * float(
    market["close"][-1]
)
print(
    json.dumps(
        {
            "cpu_seconds": seconds,
            "trades": strategy.entries,
            "equity": equity,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "before_mb": before,
        }
    )
)
