"""The state of the desk as a fold over its records. Recovery, live trading and back-tests all step through here.

Every cycle record holds the whole portfolio it was decided on, so the newest one of each instrument and the
records after it are enough to stand where the desk stood: each cycle is a snapshot.
"""

from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from engine.core.accounting.grids import grid_closed, grid_filled, grid_money, grid_order
from engine.core.accounting.ledger import apply_fill, apply_order, outlived, place, place_orders, write_off
from engine.core.domain.ids import fill_id
from engine.core.domain.order import Fill
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import (
    AccountRecord,
    CommandRecord,
    CycleRecord,
    EnsembleState,
    FillRecord,
    IncidentRecord,
    OrderRecord,
    Record,
    StartRecord,
    TradeRecord,
)
from engine.core.domain.risk import RiskState


class DeskState(msgspec.Struct, frozen=True):
    """Everything the next cycle needs from the ones before.

    `last_bars` is the newest bar decided on, `settled` the newest bar whose fills are booked, by instrument.
    """

    portfolio: Portfolio
    risk: RiskState = RiskState()
    ensembles: dict[str, EnsembleState] = {}
    last_bars: dict[str, datetime] = {}
    settled: dict[str, datetime] = {}


def apply(state: DeskState, record: Record) -> DeskState:
    """The state after the record. Records that change nothing of it leave it as it is."""
    if isinstance(record, CycleRecord):
        return _after_cycle(state, record)
    if isinstance(record, FillRecord):
        fill = record.fill
        settled = state.settled | {fill.instrument: fill.at}
        portfolio, risk = apply_fill(state.portfolio, fill)[0], grid_filled(state.risk, fill)
        return replace(state, portfolio=portfolio, risk=risk, settled=settled)
    if isinstance(record, OrderRecord):
        portfolio, risk = apply_order(state.portfolio, record), grid_order(state.risk, record)
        return replace(state, portfolio=portfolio, risk=risk)
    if isinstance(record, TradeRecord):
        portfolio = write_off(state.portfolio, record) if record.dust else state.portfolio
        risk = grid_closed(count_trade(state.risk, record), record, portfolio)
        return replace(state, portfolio=portfolio, risk=risk)
    if isinstance(record, StartRecord):
        portfolio = outlived(state.portfolio, record)
        return state if portfolio is state.portfolio else replace(state, portfolio=portfolio)
    if isinstance(record, AccountRecord):
        return _after_account(state, record)
    if isinstance(record, CommandRecord):
        state = replace(state, portfolio=place_orders(state.portfolio, record.orders))
    if isinstance(record, CommandRecord | IncidentRecord) and record.risk is not None:
        return replace(state, risk=record.risk)
    return state


def _after_account(state: DeskState, record: AccountRecord) -> DeskState:
    """Money that was taken out is no loss of trading: what losses are counted from moves with it."""
    portfolio, risk = replace(state.portfolio, external=record.external), state.risk
    if record.cash:
        portfolio = replace(portfolio, cash=portfolio.cash + record.cash)
        moved = {
            name: max(getattr(risk, name) + record.cash, Decimal(0))
            for name in ("last_equity", "day_equity", "high_water")
            if getattr(risk, name)
        }
        risk = grid_money(replace(risk, **moved), record.cash)
    if record.dust:
        dust = portfolio.dust | {
            name: portfolio.dust.get(name, Decimal(0)) + much for name, much in record.dust.items()
        }
        portfolio = replace(portfolio, dust={name: much for name, much in dust.items() if much})
    return replace(state, portfolio=portfolio, risk=risk)


def settle(state: DeskState, fill: Fill) -> tuple[FillRecord, TradeRecord | None]:
    """The records that a fill makes: the fill, and the trade if it closed one."""
    _, trade = apply_fill(state.portfolio, fill)
    return FillRecord(id=fill_id(fill.client_id, fill.trade_id), at=fill.at, fill=fill), trade


def count_trade(risk: RiskState, trade: TradeRecord) -> RiskState:
    """Losing streaks and cool-downs are counted from closed trades."""
    lost = trade.net < 0
    kept = {name: moment for name, moment in risk.last_losses.items() if name != trade.instrument}
    if trade.net > 0 and risk.last_bar_loss is not None and trade.opened_at > risk.last_bar_loss:
        risk = replace(risk, last_bar_loss=None, bar_loss_streak=0)
    return replace(
        risk,
        losses_in_a_row=risk.losses_in_a_row + 1 if lost else 0,
        last_loss=trade.closed_at if lost else risk.last_loss,
        last_losses=kept | {trade.instrument: trade.closed_at} if lost else kept,
        last_exit=risk.last_exit | {trade.instrument: trade.closed_at},
    )


def _after_cycle(state: DeskState, record: CycleRecord) -> DeskState:
    return replace(
        state,
        portfolio=place(record.portfolio, record),
        risk=record.result.risk,
        ensembles=state.ensembles | {record.instrument: record.result.ensemble},
        last_bars=state.last_bars | {record.instrument: record.observation.bar.end},
    )
