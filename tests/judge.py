"""The judgement: what the exchange says was done against what the journal says."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.core.accounting.fold import DeskState, apply
from engine.core.accounting.missing import EXTERNAL
from engine.core.domain.order import OrderStatus
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import (
    CommandRecord,
    CycleRecord,
    FillRecord,
    IncidentRecord,
    OrderRecord,
    Record,
)
from engine.store.journal import SqlJournal

ASSETS = ("USDT", "BTC", "ETH")


def read(journal: Path) -> list[Record]:
    """Every record so far."""
    with contextlib.closing(SqlJournal(journal, read_only=True)) as opened:
        return [stored.record for stored in opened.read()]


def folded(records: Sequence[Record], cash: str) -> DeskState:
    """The whole fold, from the first record on."""
    state = DeskState(portfolio=Portfolio(cash=Decimal(cash)))
    for record in records:
        state = apply(state, record)
    return state


def uncovered(state: DeskState) -> list[str]:
    """What is held without an order that would end it, with how much."""
    guarded = {
        order.request.instrument
        for order in state.portfolio.orders
        if order.request.reduce_only and order.status is not OrderStatus.INTENT
    }
    return [f"{p.quantity} {p.instrument}" for p in state.portfolio.positions if p.instrument not in guarded]


class Judgement:
    """What the exchange says against what the journal says. Every promise is an assertion with names."""

    def __init__(self, truth: dict[str, Any], journal: Path, cash: str) -> None:
        self.truth = truth
        with contextlib.closing(SqlJournal(journal, read_only=True)) as opened:
            walked = opened.verify(deep=True)
            assert walked.chain_ok, walked.reason
        self.records = read(journal)
        self.state = folded(self.records, cash)
        self.ours = [order for order in self.truth["orders"] if order["who"] == "desk"]
        self._no_order_twice()
        self._nothing_without_intent()
        self._every_fill_once()
        self._nothing_hangs()
        self._account_adds_up()
        self._what_is_held_is_covered()

    @property
    def incidents(self) -> list[IncidentRecord]:
        """What the desk wrote down as not normal."""
        return [record for record in self.records if isinstance(record, IncidentRecord)]

    def _no_order_twice(self) -> None:
        ids = Counter(order["clientOrderId"] for order in self.ours)
        assert [name for name, count in ids.items() if count > 1] == [], "an order was accepted twice"

    def _nothing_without_intent(self) -> None:
        written: set[str] = set()
        for record in self.records:
            if isinstance(record, CycleRecord):
                written |= {order.client_id for order in record.result.orders}
            elif isinstance(record, CommandRecord):
                written |= {order.client_id for order in record.orders}
            elif isinstance(record, OrderRecord):
                written.add(record.request.client_id)
        assert {order["clientOrderId"] for order in self.ours} <= written, "an order without an intent"

    def _every_fill_once(self) -> None:
        ids = {order["orderId"] for order in self.ours}
        there = Counter(
            f"{trade['symbol']}-{trade['id']}" for trade in self.truth["trades"] if trade["orderId"] in ids
        )
        fills = [record.fill for record in self.records if isinstance(record, FillRecord)]
        here = Counter(fill.trade_id for fill in fills if fill.reason != EXTERNAL)
        assert there == here, f"fills differ: {(there - here) + (here - there)}"

    def _nothing_hangs(self) -> None:
        there = {
            order["clientOrderId"] for order in self.ours if order["status"] in ("NEW", "PARTIALLY_FILLED")
        }
        here = {
            order.request.client_id
            for order in self.state.portfolio.orders
            if order.status is not OrderStatus.INTENT
        }
        assert there == here, f"open there but not here or the reverse: {there ^ here}"

    def _account_adds_up(self) -> None:
        portfolio = self.state.portfolio
        expected = {"USDT": portfolio.cash}
        for position in portfolio.positions:
            expected[position.instrument.partition("/")[0]] = position.quantity
        for instrument, dust in portfolio.dust.items():
            base = instrument.partition("/")[0]
            expected[base] = expected.get(base, Decimal(0)) + dust
        for asset, amount in portfolio.external.items():
            expected[asset] = expected.get(asset, Decimal(0)) + amount
        balances = {
            each["asset"]: Decimal(each["free"]) + Decimal(each["locked"]) for each in self.truth["balances"]
        }
        for asset in ASSETS:
            there = balances.get(asset, Decimal(0))
            assert abs(there - expected.get(asset, Decimal(0))) < Decimal(
                "0.01" if asset == "USDT" else "1e-8"
            ), f"{asset}: {there} there, {expected.get(asset, 0)} in the books"

    def _what_is_held_is_covered(self) -> None:
        assert uncovered(self.state) == [], "held without protection"
