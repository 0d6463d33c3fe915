"""The order of the stages, and nothing else. Two steps: what can be said of the market, and what to do about it.

Between the two, served models are asked; their answers come back as inputs, so that replay asks no model again.

    observe   window -> features -> regime -> Observation
    decide    risk of the day -> alphas -> ensemble -> gate -> leave?  (when something is held)
                                                            -> entry -> size  (when nothing is)
              -> review -> plan -> CycleResult
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from configs.schema.desk import Instrument
from configs.schema.settings import Settings
from engine.core.accounting.fold import DeskState
from engine.core.alpha import breakout, mean_reversion, momentum, predicted, trend
from engine.core.decision.gate import passes
from engine.core.decision.manage import Watch, exits, propose_exit
from engine.core.decision.propose import NOTHING, propose_entry
from engine.core.domain.ids import cycle_id, decision_id
from engine.core.domain.instrument import exact
from engine.core.domain.market import BarArrays, MarketWindow
from engine.core.domain.order import OrderRequest, Side
from engine.core.domain.portfolio import Portfolio, Position
from engine.core.domain.records import (
    CycleInputs,
    CycleRecord,
    CycleResult,
    EnsembleState,
    Identity,
    Observation,
    OutcomeKind,
    Proposal,
    Wish,
)
from engine.core.domain.risk import Check, Review, RiskState, Size
from engine.core.domain.signal import Forecast, Prediction, Signal
from engine.core.ensemble.combine import combine, remember
from engine.core.ensemble.weights import learn
from engine.core.execution.plan import plan_orders
from engine.core.features.build import build_rows
from engine.core.features.registry import WARM_UP, feature_set_version
from engine.core.market.others import newest
from engine.core.market.tails import tail
from engine.core.regime import classify
from engine.core.risk.breakers import trip
from engine.core.risk.case import Case, Reduction, bars_between, committed, waiting, worth
from engine.core.risk.daily import count_bar_loss, count_decision, open_day
from engine.core.risk.grid import grid_room, in_grid, with_entry
from engine.core.risk.limits import within
from engine.core.risk.patterns import count_entry, locked, too_often
from engine.core.risk.review import nearest_miss, review, review_data, review_reduction, review_wish
from engine.core.risk.system import drawdown
from engine.core.sizing.size import NO_SIZE, Ask, size, size_as_wished

ALPHAS = {
    "momentum": momentum.signal,
    "mean_reversion": mean_reversion.signal,
    "trend": trend.signal,
    "breakout": breakout.signal,
}
NEED = WARM_UP + classify.HISTORY - 1
"""Bars that a window must hold before anything is said: the regime looks at the newest few rows."""
FEATURE_SET = feature_set_version()
NOBODY_ELSE: Mapping[str, BarArrays] = {}


def observe(
    window: MarketWindow, settings: Settings, others: Mapping[str, BarArrays] = NOBODY_ELSE
) -> Observation:
    """Everything that can be said about the market without asking anyone. `others` are the desk's other instruments."""
    ready = window.bars.size >= NEED
    rows = build_rows(window.bars, classify.HISTORY) if ready else ()
    return describe(window, rows, settings, others)


def describe(
    window: MarketWindow,
    rows: tuple[dict[str, float], ...],
    settings: Settings,
    others: Mapping[str, BarArrays] = NOBODY_ELSE,
) -> Observation:
    """The observation of a bar whose newest feature rows are known; none while the window warms up."""
    bars = window.bars
    beside = newest(window.instrument, bars, others, NEED) if rows else {}
    return Observation(
        instrument=window.instrument,
        bar=window.last,
        previous_close=exact(float(bars.close[-2])) if bars.size > 1 else None,
        issues=window.issues,
        have=bars.size,
        need=NEED,
        feature_set=FEATURE_SET,
        features=rows[-1] if rows else {},
        regime=classify.classify_last(rows, settings.regime) if rows else None,
        tail=tail(bars.close) if rows else None,
        correlations={name: moves for name, (moves, _) in beside.items() if moves == moves},
        volatilities={name: spread for name, (_, spread) in beside.items() if spread == spread},
    )


def decide(inputs: CycleInputs) -> CycleResult:
    """Signals, forecast, proposal, size, review and order plan, each with its reasons. Pure and total."""
    inputs = _within_limits(inputs)
    look = _look(inputs)
    if inputs.wish is not None:
        return _enter_by_wish(look, inputs.wish)
    if look.position is not None:
        return _stay_or_leave(
            look, look.position
        )  # while the window warms up too: a halt must be able to close
    if look.forecast is None:
        return _not_ready(look)
    return _enter_or_not(look, look.forecast)


def decide_on(
    observation: Observation, predictions: tuple[Prediction, ...], state: DeskState, identity: Identity
) -> CycleRecord:
    """One look at one instrument on the state of the desk, as a record. Live and back-tests both decide here."""
    desk, as_of = identity.settings.desk, observation.bar.end
    cycle = cycle_id(desk.name, desk.timeframe, as_of)
    inputs = CycleInputs(
        decision=decision_id(cycle, observation.instrument),
        cycle=cycle,
        as_of=as_of,
        observation=observation,
        predictions=predictions,
        portfolio=state.portfolio,
        ensemble=state.ensembles.get(observation.instrument, EnsembleState()),
        risk=state.risk,
        settings=identity.settings,
        seed=desk.seed,
    )
    return CycleRecord.of(inputs, decide(inputs), identity.settings_hash, identity.code_version)


def decide_wish(
    seen: CycleRecord, wish: Wish, decision: str, as_of: datetime, state: DeskState, identity: Identity
) -> CycleRecord:
    """What a person's wish to enter leads to: the newest look at the instrument, the limits as they stand now."""
    desk, instrument = identity.settings.desk, seen.instrument
    inputs = CycleInputs(
        decision=decision,
        cycle=cycle_id(desk.name, desk.timeframe, as_of),
        as_of=as_of,
        observation=seen.observation,
        predictions=seen.predictions,
        portfolio=state.portfolio,
        ensemble=state.ensembles.get(instrument, EnsembleState()),
        risk=state.risk,
        settings=identity.settings,
        seed=desk.seed,
        wish=wish,
    )
    return CycleRecord.of(inputs, decide(inputs), identity.settings_hash, identity.code_version)


def _within_limits(inputs: CycleInputs) -> CycleInputs:
    """The inputs with the limits that somebody has tightened since the start."""
    if not inputs.risk.limits:
        return inputs
    limits = within(inputs.settings.risk, inputs.risk.limits)
    return replace(inputs, settings=replace(inputs.settings, risk=limits))


class _Look(msgspec.Struct, frozen=True, gc=False):
    """The inputs, and what every path through the decision needs of them. `atr` is in price units."""

    inputs: CycleInputs
    instrument: Instrument
    risk: RiskState
    signals: tuple[Signal, ...]
    forecast: Forecast | None
    direction: int
    ensemble: EnsembleState
    position: Position | None
    equity: float
    close: float
    atr: float
    volatility: float


def _look(inputs: CycleInputs) -> _Look:
    settings, observation = inputs.settings, inputs.observation
    features = observation.features
    equity = inputs.portfolio.equity
    close = float(observation.bar.close)
    signals: tuple[Signal, ...] = ()
    forecast, direction, ensemble, volatility = None, 0, inputs.ensemble, 0.0
    if features:
        volatility = features["vol_cc_60"]
        signals = _signals(inputs)
        learned = ensemble
        if inputs.wish is None:  # a wish looks at a bar again: it teaches nothing new
            learned = learn(inputs.ensemble, close, volatility, settings.ensemble)
        forecast = combine(signals, learned, settings.ensemble)
        direction = passes(forecast, settings.decision)
        if inputs.wish is None:
            ensemble = remember(learned, signals, close, direction)
    return _Look(
        inputs=inputs,
        instrument=settings.instrument(observation.instrument),
        risk=_day(inputs, equity),
        signals=signals,
        forecast=forecast,
        direction=direction,
        ensemble=ensemble,
        position=inputs.portfolio.position(observation.instrument),
        equity=float(equity),
        close=close,
        atr=features.get("atr_pct_14", 0.0) * close / 100,
        volatility=volatility,
    )


def _day(inputs: CycleInputs, equity: Decimal) -> RiskState:
    """The risk state at this look: the day's counters, what the newest bar lost, and whether a breaker trips."""
    limits, at, worth = inputs.settings.risk, inputs.as_of, float(equity)
    opened = open_day(inputs.risk, at, equity)
    return trip(count_bar_loss(inputs.risk, opened, worth, at, limits), worth, at, limits)


def _signals(inputs: CycleInputs) -> tuple[Signal, ...]:
    """The enabled alphas that have an opinion, in the order of the settings."""
    features, alpha = inputs.observation.features, inputs.settings.alpha
    heard = [
        ALPHAS[name](features, alpha) if name in ALPHAS else predicted.signal(inputs.predictions, alpha)
        for name in alpha.enabled
        if name not in inputs.risk.locks
    ]
    return tuple([signal for signal in heard if signal is not None])


def _not_ready(look: _Look) -> CycleResult:
    checks = review_data(look.inputs.observation)
    return _result(look, OutcomeKind.NO_SIGNAL, NOTHING, checks)


def _stay_or_leave(look: _Look, position: Position) -> CycleResult:
    inputs = look.inputs
    regime = inputs.observation.regime
    watch = Watch(
        position=position,
        close=inputs.observation.bar.close,
        atr=look.atr,
        regime=regime.label if regime else "",
        forecast=look.forecast,
        risk=look.risk,
        settings=inputs.settings.decision,
    )
    asked = exits(watch)
    proposal = propose_exit(watch, asked)
    if proposal.side is None:
        return _result(look, OutcomeKind.HELD, proposal, Review((), None), watched=asked)
    quantity = abs(position.quantity)
    wish = Reduction(
        inputs.decision, look.instrument.name, proposal.side, quantity, inputs.portfolio, look.risk
    )
    verdict = review_reduction(wish)
    outcome = OutcomeKind.EXITED if verdict.approved else OutcomeKind.REFUSED
    return _result(look, outcome, proposal, verdict, watched=asked)


def _enter_or_not(look: _Look, forecast: Forecast) -> CycleResult:
    """Size and review are worked out for the direction leaned to, whether or not the gate let it through."""
    leaning = -1 if forecast.direction < 0 and not look.inputs.settings.decision.long_only else 1
    wish = _propose(look, leaning)
    assert wish.side is not None and wish.stop is not None, "an entry has a side and a stop"
    sized = size(_ask(look, wish, forecast))
    case = _case(look, wish.side, sized.quantity, wish.stop)
    verdict = review(case)
    if not look.direction:
        quiet = replace(NOTHING, reason=verdict.refused_by)
        return _result(look, OutcomeKind.NO_SIGNAL, quiet, verdict, sized)
    return _entered_or_refused(look, case, wish, verdict, sized)


def _enter_by_wish(look: _Look, wish: Wish) -> CycleResult:
    """A person stands in for the signal, not for the limits."""
    inputs, bar = look.inputs, look.inputs.observation.bar
    entry = replace(_propose(look, wish.side.sign), reason="command")
    assert entry.stop is not None, "an entry has a stop"
    if wish.quantity or wish.amount:
        sized = size_as_wished(
            wish.quantity or wish.amount / bar.close, look.close, inputs.portfolio, look.instrument
        )
    else:
        sized = size(_ask(look, entry, look.forecast)) if look.forecast else NO_SIZE
    case = _case(look, wish.side, sized.quantity, entry.stop)
    return _entered_or_refused(look, case, entry, review_wish(case), sized)


def _propose(look: _Look, direction: int) -> Proposal:
    name, settings = look.instrument.name, look.inputs.settings
    close = look.inputs.observation.bar.close
    entry = propose_entry(direction, close, look.atr, look.instrument, settings.decision)
    return in_grid(entry, settings.risk.grid(name), look.risk.grids.get(name))


def _entered_or_refused(
    look: _Look, case: Case, proposal: Proposal, verdict: Review, sized: Size
) -> CycleResult:
    """What was approved is kept in mind, for the patterns and its grid; one entry too many in one place locks it."""
    outcome = OutcomeKind.ENTERED if verdict.approved else OutcomeKind.REFUSED
    if verdict.approved:
        bar, at, settings = look.inputs.observation.bar, look.inputs.as_of, look.inputs.settings
        risk = count_entry(look.risk, verdict.approved, bar.close, at, settings, by_person=case.by_person)
        risk = with_entry(risk, case, proposal)
    elif too_often(verdict):
        risk = locked(case)
    else:
        risk = look.risk
    return _result(replace(look, risk=risk), outcome, proposal, verdict, sized)


def _ask(look: _Look, wish: Proposal, forecast: Forecast) -> Ask:
    inputs, settings = look.inputs, look.inputs.settings
    bar = inputs.observation.bar
    return Ask(
        proposal=wish,
        forecast=forecast,
        close=look.close,
        volatility=look.volatility,
        volume=float(bar.volume) if settings.execution.volume_is_known else None,
        portfolio=inputs.portfolio,
        committed=committed(inputs.portfolio),
        instrument=look.instrument,
        settings=settings,
        tail=inputs.observation.tail,
        correlations=inputs.observation.correlations,
        volatilities=inputs.observation.volatilities,
        drawdown=drawdown(look.risk, look.equity),
        grid_room=grid_room(look.risk.grids.get(bar.instrument), inputs.portfolio, settings, bar),
    )


def _case(look: _Look, side: Side, quantity: Decimal, stop: Decimal) -> Case:
    inputs, risk = look.inputs, look.risk
    timeframe = inputs.settings.desk.timeframe
    return Case(
        decision=inputs.decision,
        observation=inputs.observation,
        instrument=look.instrument,
        forecast=look.forecast,
        side=side,
        quantity=quantity,
        value=float(quantity) * look.close,
        stop=stop,
        held=worth(look.position, look.close),
        waiting=waiting(inputs.portfolio, look.instrument.name),
        portfolio=inputs.portfolio,
        risk=risk,
        settings=inputs.settings,
        equity=look.equity,
        close=look.close,
        volatility=look.volatility,
        bars_since_exit=bars_between(risk.last_exit.get(look.instrument.name), inputs.as_of, timeframe),
        bars_since_loss=bars_between(risk.last_loss, inputs.as_of, timeframe),
        as_of=inputs.as_of,
        bar_age=bars_between(inputs.observation.bar.end, inputs.as_of, timeframe),
        by_person=inputs.wish is not None,
    )


def _result(
    look: _Look,
    outcome: OutcomeKind,
    proposal: Proposal,
    verdict: Review,
    sized: Size | None = None,
    watched: tuple[Check, ...] = (),
) -> CycleResult:
    """Everything in one place; an approval becomes orders, anything else its nearest miss."""
    approved, inputs = verdict.approved, look.inputs
    orders = plan_orders(approved, proposal, inputs.as_of) if approved else ()
    risk = count_decision(look.risk, approved, look.close) if approved else look.risk
    return CycleResult(
        outcome=outcome,
        signals=look.signals,
        forecast=look.forecast,
        proposal=proposal,
        size=sized,
        exits=watched,
        review=verdict,
        refused_by=verdict.refused_by,
        nearest=nearest_miss(verdict.checks),
        orders=orders,
        ensemble=look.ensemble,
        risk=risk,
    )


def close_by_command(
    state: Portfolio,
    risk: RiskState,
    instrument: str,
    cause: str,
    reason: str,
    at: datetime,
    wanted: Decimal = Decimal(0),
) -> tuple[Review, tuple[OrderRequest, ...]]:
    """What a person's wish to close leads to: the same review and the same plan as any other exit. 0 closes all."""
    position = state.position(instrument)
    if position is None:
        return Review((), None, "nothing held"), ()
    side, quantity = position.side.opposite, wanted or abs(position.quantity)
    verdict = review_reduction(Reduction(cause, instrument, side, quantity, state, risk, by_person=True))
    if verdict.approved is None:
        return verdict, ()
    return verdict, plan_orders(verdict.approved, Proposal("exit", side, reason), at)
