"""The same trades without the records: for trying many settings on long histories.

What depends on the market alone is worked out in columns; then time is walked from one bar at which something can
happen to the next. A bar is passed over when, by figures that err on the side of looking, no order can fill, no
exit can be due, no breaker can trip and no entry can be approved. At every other bar the very functions of the
replay decide, on a state that has caught up with what was passed over. That both give identical trades is a test.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from configs.schema.settings import Settings, settings_hash
from engine.backtest.market import BatchPredictor, Look, Series, Stretch, cut, looks, stretches
from engine.backtest.outlook import Outlook
from engine.backtest.replay import Identity, announce_breaker, decide_on, settle_all, submit
from engine.backtest.result import Result, Tally
from engine.core.accounting.fold import DeskState, apply
from engine.core.accounting.ledger import mark
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.instrument import exact
from engine.core.domain.market import BarArrays, Floats, Ints
from engine.core.domain.order import OrderType
from engine.core.domain.portfolio import Portfolio, Position
from engine.core.domain.records import EnsembleState, OutcomeKind, Record
from engine.core.domain.regime import REGIMES
from engine.core.domain.risk import TradingState
from engine.core.execution.book import Book
from engine.core.features.registry import NAMES
from engine.core.pipeline import FEATURE_SET
from engine.core.risk.daily import open_day

_MARGIN = 1e-9
_ATR = NAMES.index("atr_pct_14")
_CRASH = REGIMES.index("crash")
_DAY_MS = 86_400_000
