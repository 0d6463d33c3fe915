"""A decision is total, pure and safe: in whatever market and whatever state, it is taken, and keeps its promises."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st
from msgspec.structs import replace

from configs.schema.decision import DecisionSettings, EnsembleSettings, SizingSettings
from configs.schema.desk import DeskSettings, Instrument
from configs.schema.execution import ExecutionSettings
from configs.schema.risk import RiskSettings
from configs.schema.settings import Settings
from engine.core.accounting.fold import DeskState, apply
from engine.core.domain.market import Bar
from engine.core.domain.order import OrderStatus, OrderType, Side
from engine.core.domain.portfolio import Portfolio, Position
from engine.core.domain.records import (
    CycleInputs,
    CycleRecord,
    EnsembleState,
    ModelEvidence,
    Observation,
    OutcomeKind,
    decode,
    encode,
)
from engine.core.domain.regime import REGIMES, RegimeEstimate
from engine.core.domain.risk import RiskState, TradingState
from engine.core.domain.signal import Prediction
from engine.core.domain.tail import Tail, TailEstimate
from engine.core.pipeline import decide
from tests.builders import CLOSE, DAY, decision, issue
from tests.core_builders import features, inputs, learned, observation, resting

MONEY = st.decimals("-1000000000", "1000000000", places=2)
WILD = st.floats(-1e9, 1e9)
WEIGHTS = st.one_of(st.just(0.0), st.floats(1e-9, 1))
EVIDENCE = st.tuples(WEIGHTS, st.floats(0, 200), st.floats(0, 200), st.floats(-1, 1))
NAMES = ("SP500", "OTHER")
BESIDE = st.dictionaries(st.sampled_from(["OTHER", "THIRD"]), st.floats(-1, 1))


@st.composite
def prices(draw: st.DrawFn) -> Decimal:
    """From a hundred-millionth to ten million."""
    return Decimal(draw(st.integers(1, 999))).scaleb(draw(st.integers(-8, 4)))


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    low = draw(prices())
    one, two = (low * draw(st.decimals("1", "3", places=2)) for _ in range(2))
    high = max(one, two) * draw(st.decimals("1", "3", places=2))
    volume = draw(st.one_of(st.just(Decimal(0)), st.decimals("0", "1000000000", places=3)))
    return Bar("SP500", CLOSE, one, high, low, two, volume)


@st.composite
def chosen_settings(draw: st.DrawFn) -> Settings:
    tick = Decimal(1).scaleb(draw(st.integers(-8, 0)))
    lot = Decimal(1).scaleb(draw(st.integers(-8, 2)))
    instruments = tuple(
        Instrument(name, tick, lot, min_notional=Decimal(draw(st.integers(0, 10)))) for name in NAMES
    )
    return Settings(
        desk=DeskSettings(instruments=instruments),
        ensemble=EnsembleSettings(method=draw(st.sampled_from(["equal", "hedge", "bayes"]))),
        decision=DecisionSettings(
            confidence=draw(st.floats(0.5, 0.8)),
            long_only=draw(st.booleans()),
            trail_atr=draw(st.sampled_from([0.0, 4.0])),
            max_bars=draw(st.integers(1, 50)),
        ),
        sizing=SizingSettings(max_weight=draw(st.floats(0.01, 3))),
        risk=RiskSettings(
            max_gross=draw(st.floats(0.1, 10)),
            max_order_value=draw(st.floats(0.1, 3)),
            max_position_value=3.0,
            max_trade_risk=draw(st.floats(0.01, 0.5)),
            max_price_jump=draw(st.floats(0.05, 1)),
            max_instrument_volatility=draw(st.floats(0.1, 100)),
            max_drawdown=draw(st.floats(0.01, 1)),
        ),
        execution=ExecutionSettings(volume_is_known=draw(st.booleans())),
    )


@st.composite
def readings(draw: st.DrawFn) -> dict[str, float]:
    """None while warming up, believable ones, and any at all that are finite."""
    kind = draw(st.sampled_from(["none", "lean", "lean", "lean", "wild"]))
    if kind == "none":
        return {}
    if kind == "lean":
        lean, volatility = draw(st.floats(-1.5, 1.5)), draw(st.floats(0, 0.1))
        return features(lean, volatility, draw(st.sampled_from([0.0, 0.5, 2.0, 40.0, 1e6])))
    wild = {name: draw(WILD) for name in features()}
    return wild | {name: abs(wild[name]) for name in ("vol_cc_60", "atr_pct_14")}


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    told, seen = draw(bars()), draw(readings())
    label = draw(st.sampled_from(REGIMES))
    return Observation(
        instrument="SP500",
        bar=told,
        previous_close=draw(st.one_of(st.none(), st.just(told.close), prices())),
        issues=draw(st.sampled_from([(), (), (), (issue(),)])),
        have=546 if seen else 10,
        need=546,
        feature_set="abcdef012345",
        features=seen,
        regime=RegimeEstimate(label, label, {name: float(name == label) for name in REGIMES})
        if seen
        else None,
        tail=draw(tails()) if seen else None,
        correlations=draw(BESIDE) if seen else {},
        volatilities=draw(BESIDE) if seen else {},
    )


@st.composite
def tails(draw: st.DrawFn) -> Tail:
    told = [
        TailEstimate(name, draw(st.floats(0, 10)), draw(st.floats(0, 20)), 12, 250, draw(st.booleans()))
        for name in ("normal", "historical", "evt")
        if draw(st.booleans())
    ]
    return Tail(275, 50, tuple(told))


@st.composite
def positions(draw: st.DrawFn, instrument: str) -> Position:
    price = draw(prices())
    quantity = draw(st.decimals("0.001", "1000000", places=3)) * draw(st.sampled_from([1, -1]))
    return Position(
        trade="t-1",
        instrument=instrument,
        quantity=quantity,
        average_price=price,
        opened_at=CLOSE - DAY,
        entry_decision=decision(),
        stop=price / 2,
        target=price * 2,
        expires_bars=draw(st.integers(1, 50)),
        best=draw(prices()),
        bars_held=draw(st.integers(0, 60)),
        entered=abs(quantity),
        entered_value=abs(quantity) * price,
        votes=draw(st.dictionaries(st.sampled_from(["momentum", "trend"]), st.floats(-1, 1))),
    )


@st.composite
def portfolios(draw: st.DrawFn, close: Decimal) -> Portfolio:
    held = [draw(positions(name)) for name in NAMES if draw(st.sampled_from([True, False, False]))]
    orders = draw(
        st.lists(
            st.builds(
                resting,
                st.sampled_from("estx"),
                st.sampled_from(Side),
                st.decimals("0.001", "1000", places=3),
                st.sampled_from([OrderType.MARKET, OrderType.STOP]),
                prices(),
                instrument=st.sampled_from(NAMES),
                status=st.sampled_from([status for status in OrderStatus if status.open]),
            ),
            max_size=2,
        )
    )
    return Portfolio(
        cash=draw(st.one_of(st.just(Decimal(100_000)), st.just(Decimal(100_000)), MONEY)),
        positions=tuple(held),
        orders=tuple(orders),
        marks={"SP500": close, "OTHER": draw(prices())},
    )


@st.composite
def risk_states(draw: st.DrawFn) -> RiskState:
    equity = draw(st.one_of(st.just(Decimal(100_000)), MONEY))
    moment = st.one_of(st.none(), st.integers(0, 9).map(lambda days: CLOSE - days * DAY))
    last_exit = draw(moment)
    return RiskState(
        trading=draw(st.sampled_from([TradingState.ACTIVE, TradingState.ACTIVE, *TradingState])),
        flatten=draw(st.booleans()),
        day=draw(st.sampled_from(["", "2008-10-14", "2008-10-15", "2008-10-16"])),
        last_equity=equity,
        day_equity=equity,
        high_water=max(equity, Decimal(0)),
        day_entries=draw(st.integers(0, 21)),
        day_turnover=draw(st.decimals("0", "300000", places=2)),
        instrument_entries={"SP500": draw(st.integers(0, 4))},
        losses_in_a_row=draw(st.integers(0, 8)),
        last_loss=draw(moment),
        last_exit={"SP500": last_exit} if last_exit else {},
    )


@st.composite
def ensembles(draw: st.DrawFn) -> EnsembleState:
    if draw(st.booleans()):
        return EnsembleState()
    names = draw(
        st.sets(st.sampled_from(["momentum", "mean_reversion", "trend", "breakout", "predicted", "gone"]))
    )
    edge = draw(st.floats(-0.01, 0.01))
    return EnsembleState(
        {name: ModelEvidence(*draw(EVIDENCE)) for name in sorted(names)},
        draw(st.floats(1e-8, 1e7)),
        draw(st.sampled_from([-1, 0, 1])),
        edge,
        edge * edge + draw(st.floats(0, 0.01)),
        draw(st.floats(0, 1e6)),
    )


@st.composite
def wild_looks(draw: st.DrawFn) -> CycleInputs:
    """Anything goes."""
    seen = draw(observations())
    answers = draw(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=2))
    return inputs(
        draw(chosen_settings()),
        observation=seen,
        as_of=CLOSE + timedelta(milliseconds=draw(st.integers(0, 5000))),
        predictions=tuple(Prediction(f"m{n}", "hash", answer) for n, answer in enumerate(answers)),
        portfolio=draw(portfolios(seen.bar.close)),
        ensemble=draw(ensembles()),
        risk=draw(risk_states()),
    )


@st.composite
def ready_looks(draw: st.DrawFn) -> CycleInputs:
    """A desk with nothing in its way but the market, at any price, and its settings."""
    told, lean = draw(bars()), draw(st.sampled_from([-1.0, 1.0, 1.0]))
    told = replace(told, volume=draw(st.one_of(st.just(told.volume), st.just(Decimal(10**15)))))
    volatility, atr = draw(st.floats(0.001, 0.1)), draw(st.one_of(st.floats(0.1, 20), st.floats(0, 1e4)))
    cash = Decimal(draw(st.integers(1000, 10**9)))
    return inputs(
        draw(chosen_settings()),
        observation=observation(bar=told, features=features(lean, volatility, atr)),
        predictions=(),
        portfolio=Portfolio(cash=cash, marks={"SP500": told.close}),
        ensemble=learned(draw(st.floats(1e-4, 0.01)), draw(st.floats(1e-6, 1e-3)), draw(st.floats(10, 1000))),
        risk=RiskState(),
    )


def looks() -> st.SearchStrategy[CycleInputs]:
    return st.one_of(wild_looks(), ready_looks())


def record_of(given_inputs: CycleInputs) -> CycleRecord:
    return CycleRecord.of(given_inputs, decide(given_inputs), "abcd", "0.1.0")


@given(looks())
def test_a_decision_is_pure_and_its_record_comes_back_from_its_bytes(look: CycleInputs) -> None:
    payload = encode(record_of(look))
    again = decode(payload)

    assert isinstance(again, CycleRecord)
    assert encode(record_of(look)) == payload
    assert again == record_of(look)
    assert encode(record_of(again.inputs(look.settings))) == payload


@given(looks())
def test_orders_exist_exactly_when_every_check_passed(look: CycleInputs) -> None:
    result = decide(look)
    failed = [check.name for check in result.review.checks if not check.passed]
    event(f"{result.outcome.value} {result.refused_by}")

    assert bool(result.orders) is (result.review.approved is not None)
    assert (result.outcome in (OutcomeKind.ENTERED, OutcomeKind.EXITED)) is bool(result.orders)
    assert not (failed and result.orders)
    assert (result.nearest.check in failed) if result.nearest else not failed
    if result.outcome is OutcomeKind.REFUSED or failed:
        assert result.refused_by == failed[0]


@given(looks())
def test_an_entry_is_allowed_protected_and_within_reason(look: CycleInputs) -> None:
    result, held = decide(look), look.portfolio.position("SP500")
    entries = [order for order in result.orders if not order.reduce_only]
    if not entries:
        return
    (entry,), close = entries, look.observation.bar.close
    stop, target = (next(order for order in result.orders if order.leg == leg) for leg in "st")

    assert (result.outcome, held) == (OutcomeKind.ENTERED, None)
    assert result.risk.trading is TradingState.ACTIVE
    assert look.portfolio.equity > 0
    assert not (look.settings.decision.long_only and entry.side is Side.SELL)
    assert entry.quantity > 0
    assert entry.quantity % look.settings.instrument("SP500").lot == 0
    assert stop.price is not None and target.price is not None
    assert entry.side.sign * (close - stop.price) > 0
    assert (
        entry.side.sign * (target.price - close) > 0 or target.price == look.settings.instrument("SP500").tick
    )
    assert stop.reduce_only and target.reduce_only
    assert {order.side for order in (stop, target)} == {entry.side.opposite}
    assert {order.quantity for order in result.orders} == {entry.quantity}
    assert not any(order.request.instrument == "SP500" for order in look.portfolio.orders)


@given(looks())
def test_an_exit_closes_what_is_held_and_nothing_else(look: CycleInputs) -> None:
    result, held = decide(look), look.portfolio.position("SP500")
    if result.outcome is not OutcomeKind.EXITED:
        assert held is None or not result.orders
        return
    (order,) = result.orders

    assert held is not None
    assert (order.side, order.quantity, order.reduce_only) == (held.side.opposite, abs(held.quantity), True)
    assert result.risk.trading is not TradingState.HALTED or result.risk.flatten


@given(looks())
def test_orders_carry_plain_ids_that_repeat_themselves(look: CycleInputs) -> None:
    once, again = decide(look).orders, decide(look).orders

    assert [order.client_id for order in once] == [order.client_id for order in again]
    assert len({order.client_id for order in once}) == len(once)
    assert all(re.fullmatch(r"[a-z0-9]{1,32}", order.client_id) for order in once)
    assert all(order.decision == look.decision and order.placed_at == look.as_of for order in once)


@given(looks())
def test_the_state_after_a_decision_can_be_decided_on_again(look: CycleInputs) -> None:
    state: Any = apply(DeskState(look.portfolio), record_of(look))

    assert state.portfolio.cash == look.portfolio.cash
    assert len(state.portfolio.orders) == len(look.portfolio.orders) + len(decide(look).orders)
    assert state.risk.high_water >= look.risk.high_water
    assert sum(voter.weight for voter in state.ensembles["SP500"].voters.values()) < 1e3
