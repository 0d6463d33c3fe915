"""A grid: one instrument that may be bought again lower down, because all that can be lost by it was fixed beforehand.

Averaging down loses without end, for nothing says where it stops. A grid that is declared (`risk.grids`) does: a range,
how many entries it may have, one stop for all of them, and the share of equity that is lost when every one is stopped.
Each entry is held against that sum as if the worst had come: whatever is on its way fills at the far end of the collar,
all of it is sold at the stop, and both pay spread, slippage, impact and fee. What it cannot hold is a market that opens
below the stop: like every stop, it then sells lower.

In its instrument a grid stands in for the check on ladders and for that nothing may be held yet; no other limit moves.
"""

from decimal import Decimal

from msgspec.structs import replace

from configs.schema.desk import Instrument
from configs.schema.execution import ExecutionSettings
from configs.schema.risk import GridSettings
from configs.schema.settings import Settings
from engine.core.domain.instrument import exact
from engine.core.domain.market import Bar
from engine.core.domain.order import Side
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import Proposal
from engine.core.domain.risk import Check, GridEntry, GridRun, RiskState, at_least, at_most
from engine.core.risk.case import COUNT, WHOLE, Case, share

TIER = "position"
_BASIS = Decimal(10_000)


def grid_checks(case: Case, grid: GridSettings) -> tuple[Check, ...]:
    """Where, how often, and what all of the grid would lose with this entry."""
    run, close = case.run, case.observation.bar.close
    entries = run.entries if run else ()
    level = level_of(grid, close)
    taken = sum(level_of(grid, entry.price) == level for entry in entries)
    equity = float(run.equity) if run else case.equity
    lost = _of_this(case, grid) + at_stop(grid, run, case.portfolio, case.settings)
    return (
        at_most("grid side", TIER, float(case.side is not Side.BUY), 0, "yes", "risk.grids"),
        at_most("grid over", TIER, float(run is not None and run.over), 0, "yes", "command.unlock"),
        at_least("grid lower", TIER, float(close), float(grid.lower), "price", "risk.grids.lower"),
        at_most("grid upper", TIER, float(close), float(grid.upper), "price", "risk.grids.upper"),
        at_most("grid level", TIER, taken, 0, COUNT, "risk.grids.levels"),
        at_most("grid entries", TIER, len(entries) + 1, grid.levels, COUNT, "risk.grids.levels"),
        at_most("grid risk", TIER, share(float(lost), equity), grid.max_risk, WHOLE, "risk.grids.max_risk"),
    )


def level_of(grid: GridSettings, price: Decimal) -> int:
    """The band that a price is in, counted from the top; what is outside belongs to the nearest.

    >>> grid = GridSettings("X", Decimal(90), Decimal(100), Decimal(85), levels=5, max_risk=0.02)
    >>> [level_of(grid, Decimal(price)) for price in (105, 100, 98, 97, 90, 80)]
    [0, 0, 1, 1, 4, 4]
    """
    band = int((grid.upper - price) * grid.levels / (grid.upper - grid.lower))
    return min(max(band, 0), grid.levels - 1)


def stop_of(grid: GridSettings, run: GridRun | None) -> Decimal:
    """The stop of the whole position: what its first entry was made with, for that one rests at the venue."""
    return run.stop if run and run.entries else grid.stop


def at_stop(grid: GridSettings, run: GridRun | None, portfolio: Portfolio, settings: Settings) -> Decimal:
    """What the grid has lost once all that it holds, and all that is on its way to it, is sold at its stop.

    Negative where it would have earned: part of it was sold higher than it was bought.
    """
    if run is None:
        return Decimal(0)
    instrument, costs, total = settings.instrument(grid.instrument), settings.execution, run.lost
    out = _sold(stop_of(grid, run), instrument, costs)
    position = portfolio.position(grid.instrument)
    if position is not None:
        total += position.entered_value + position.fees - position.realised - position.quantity * out
    closes = {entry.decision: entry.price for entry in run.entries}
    for order in portfolio.orders:
        request = order.request
        if request.instrument == grid.instrument and order.status.open and not request.reduce_only:
            close = closes.get(request.decision, grid.upper)
            total += order.remaining * (_bought(close, instrument, costs) - out)
    return total


def grid_room(run: GridRun | None, portfolio: Portfolio, settings: Settings, bar: Bar) -> float | None:
    """The worth of an entry at that bar's close, as a share of equity, that leaves as much to each level still free.

    For entries that the desk sizes. None where the instrument has no grid.
    """
    grid, equity = settings.risk.grid(bar.instrument), portfolio.equity
    if grid is None:
        return None
    instrument, costs = settings.instrument(grid.instrument), settings.execution
    free = grid.levels - len(run.entries if run else ())
    lost = _bought(bar.close, instrument, costs) - _sold(stop_of(grid, run), instrument, costs)
    if free <= 0 or lost <= 0 or equity <= 0:
        return 0.0
    left = (run.equity if run else equity) * exact(grid.max_risk) - at_stop(grid, run, portfolio, settings)
    return float(max(left, Decimal(0)) / free / lost * bar.close / equity)


def _of_this(case: Case, grid: GridSettings) -> Decimal:
    instrument, costs = case.settings.instrument(grid.instrument), case.settings.execution
    out = _sold(stop_of(grid, case.run), instrument, costs)
    return case.quantity * (_bought(case.observation.bar.close, instrument, costs) - out)


def _bought(close: Decimal, instrument: Instrument, costs: ExecutionSettings) -> Decimal:
    """What a unit may cost at most, fee included, of an entry that was reviewed at `close`."""
    price = close * (1 + exact(costs.entry_collar)) * (1 + _slip(costs)) + instrument.tick
    return price * (1 + exact(costs.fee_bps) / _BASIS)


def _sold(stop: Decimal, instrument: Instrument, costs: ExecutionSettings) -> Decimal:
    """What a unit brings at least, fee taken off, when the market trades at the stop."""
    price = max(stop * (1 - _slip(costs)) - instrument.tick, Decimal(0))
    return price * (1 - exact(costs.fee_bps) / _BASIS)


def _slip(costs: ExecutionSettings) -> Decimal:
    return exact(costs.spread_bps / 2 + costs.slippage_bps + costs.impact_bps) / _BASIS


def in_grid(proposal: Proposal, grid: GridSettings | None, run: GridRun | None) -> Proposal:
    """The entry with the stop of its grid, and with the target of the position that it adds to."""
    if grid is None or proposal.side is not Side.BUY:
        return proposal
    target = run.target if run and run.entries else proposal.target
    return replace(proposal, stop=stop_of(grid, run), target=target)


def with_entry(risk: RiskState, case: Case, proposal: Proposal) -> RiskState:
    """The state with an approved entry among those of its grid, which begins with the first.

    Where none is declared any more, what one has lost there is forgotten.
    """
    if case.grid is None:
        name = case.observation.instrument
        if name not in risk.grids:
            return risk
        return replace(risk, grids={other: run for other, run in risk.grids.items() if other != name})
    assert proposal.stop is not None and proposal.target is not None, "an entry carries its protection"
    run = case.run or GridRun(case.as_of, exact(case.equity), proposal.stop, proposal.target)
    entry = GridEntry(case.decision, case.observation.bar.close, case.quantity)
    run = replace(run, stop=proposal.stop, target=proposal.target, entries=(*run.entries, entry))
    return replace(risk, grids=risk.grids | {case.grid.instrument: run})
