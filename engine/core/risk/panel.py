"""Every limit of the desk with what is used of it now, and so with what is left."""

from datetime import datetime

from msgspec.structs import replace

from configs.schema.settings import Settings
from engine.core.domain.order import OrderStatus
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.risk import Check, RiskState, TradingState, at_least, at_most
from engine.core.risk.case import COUNT, WHOLE, bars_between, coming, committed, count_orders, exposure, share
from engine.core.risk.daily import TIER as DAILY
from engine.core.risk.daily import day_loss, pause
from engine.core.risk.grid import at_stop
from engine.core.risk.limits import within
from engine.core.risk.position import TIER as POSITION
from engine.core.risk.system import RANK, drawdown
from engine.core.risk.system import TIER as SYSTEM


def panel(portfolio: Portfolio, risk: RiskState, settings: Settings, at: datetime) -> tuple[Check, ...]:
    """The limits of the desk, of the day, and of each position, class and group, as they stand without a new order."""
    if risk.limits:
        settings = replace(settings, risk=within(settings.risk, risk.limits))
    equity = float(portfolio.equity)
    return (
        *_desk(portfolio, risk, settings, equity),
        *_day(risk, settings, equity, at),
        *_parts(portfolio, settings, equity),
        *_grids(portfolio, risk, settings),
    )


def _desk(portfolio: Portfolio, risk: RiskState, settings: Settings, equity: float) -> tuple[Check, ...]:
    limits = settings.risk
    gross = float(portfolio.gross) + committed(portfolio)
    held = {position.instrument for position in portfolio.positions} | coming(portfolio)
    unknown = count_orders(portfolio, OrderStatus.UNKNOWN)
    return (
        at_least(
            "trading state", SYSTEM, RANK[risk.trading], RANK[TradingState.ACTIVE], "state", "command.resume"
        ),
        at_most("drawdown", SYSTEM, drawdown(risk, equity), limits.max_drawdown, WHOLE, "risk.max_drawdown"),
        at_most("gross exposure", SYSTEM, share(gross, equity), limits.max_gross, WHOLE, "risk.max_gross"),
        at_most("positions", SYSTEM, len(held), limits.max_positions, COUNT, "risk.max_positions"),
        at_most(
            "open orders",
            SYSTEM,
            count_orders(portfolio),
            limits.max_open_orders,
            COUNT,
            "risk.max_open_orders",
        ),
        at_most(
            "unknown orders", SYSTEM, unknown, limits.max_unknown_orders, COUNT, "risk.max_unknown_orders"
        ),
        at_most("holds", SYSTEM, len(risk.holds), 0, COUNT, "venue"),
        at_most("locks", SYSTEM, len(risk.locks), 0, COUNT, "command.unlock"),
    )


def _day(risk: RiskState, settings: Settings, equity: float, at: datetime) -> tuple[Check, ...]:
    limits, timeframe = settings.risk, settings.desk.timeframe
    loss = day_loss(risk, equity)
    over = risk.losses_in_a_row - limits.max_consecutive_losses
    waits = pause(risk.bar_loss_streak - 1, limits)
    return (
        at_most("daily loss", DAILY, loss, limits.max_daily_loss, WHOLE, "risk.max_daily_loss"),
        at_most("daily loss", DAILY, loss, limits.halt_daily_loss, WHOLE, "risk.halt_daily_loss"),
        at_most(
            "daily entries",
            DAILY,
            risk.day_entries,
            limits.max_daily_entries,
            COUNT,
            "risk.max_daily_entries",
        ),
        at_most(
            "daily turnover",
            DAILY,
            share(float(risk.day_turnover), equity),
            limits.max_daily_turnover,
            WHOLE,
            "risk.max_daily_turnover",
        ),
        at_least(
            "losing streak",
            DAILY,
            bars_between(risk.last_loss, at, timeframe),
            pause(over, limits),
            "bars",
            "risk.max_consecutive_losses",
        ),
        at_least(
            "bar loss",
            DAILY,
            bars_between(risk.last_bar_loss, at, timeframe),
            waits,
            "bars",
            "risk.max_bar_loss",
        ),
    )


def _parts(portfolio: Portfolio, settings: Settings, equity: float) -> tuple[Check, ...]:
    """Of what is held: each position, each class and each group."""
    limits, instruments = settings.risk, settings.desk.instruments
    held = {position.instrument for position in portfolio.positions} | coming(portfolio)
    own = [instrument for instrument in instruments if instrument.name in held]
    found = []
    for instrument in own:
        most, key = limits.position_limit(instrument.kind)
        worth = share(exposure(portfolio, {instrument.name}), equity)
        found.append(at_most(f"position value {instrument.name}", POSITION, worth, most, WHOLE, key))
    for kind in sorted({instrument.kind for instrument in own}):
        most, key = limits.leverage_limit(kind)
        worth = share(exposure(portfolio, {each.name for each in own if each.kind == kind}), equity)
        found.append(at_most(f"leverage {kind}", SYSTEM, worth, most, WHOLE, key))
    for group in sorted({instrument.group for instrument in own if instrument.group}):
        worth = share(exposure(portfolio, {each.name for each in own if each.group == group}), equity)
        found.append(
            at_most(
                f"group value {group}",
                POSITION,
                worth,
                limits.max_group_value,
                WHOLE,
                "risk.max_group_value",
            )
        )
    return tuple(found)


def _grids(portfolio: Portfolio, risk: RiskState, settings: Settings) -> tuple[Check, ...]:
    """Of each grid that has begun: the levels that are taken, and what it loses if all of it is stopped."""
    found = []
    for grid in settings.risk.grids:
        run, name = risk.grids.get(grid.instrument), grid.instrument
        if run is not None:
            lost = share(float(at_stop(grid, run, portfolio, settings)), float(run.equity))
            taken = len(run.entries)
            found += [
                at_most(f"grid entries {name}", POSITION, taken, grid.levels, COUNT, "risk.grids.levels"),
                at_most(f"grid risk {name}", POSITION, lost, grid.max_risk, WHOLE, "risk.grids.max_risk"),
            ]
    return tuple(found)
