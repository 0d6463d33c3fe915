"""Sizes under whatever numbers: nothing can make one larger, and what is riskier is never bought more of."""

import math
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from configs.schema.decision import SizingSettings
from configs.schema.risk import RiskSettings
from engine.core.domain.instrument import Instrument
from engine.core.domain.order import Side
from engine.core.domain.records import Proposal
from engine.core.domain.tail import Tail, TailEstimate
from engine.core.sizing.size import Ask, size
from tests.builders import forecast, portfolio, position, settings

ODD = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 1e-300, 1e300])
NUMBERS = st.one_of(ODD, st.floats(0, 1))
SHARES = st.floats(0, 0.5)
NAMES = ("normal", "historical", "evt")


@st.composite
def tails(draw: st.DrawFn, numbers: Any = NUMBERS) -> Tail | None:
    told = [
        TailEstimate(name, draw(numbers), draw(numbers), draw(st.integers(0, 250)), 250, draw(st.booleans()))
        for name in NAMES
        if draw(st.booleans())
    ]
    return draw(st.one_of(st.none(), st.just(Tail(275, 50, tuple(told)))))


@st.composite
def asks(draw: st.DrawFn, numbers: Any = NUMBERS) -> Ask:
    held = [position("30", "OTHER", average_price="100")] if draw(st.booleans()) else []
    stop = Decimal(draw(st.sampled_from(["90", "99", "99.99", "100", "1"])))
    return Ask(
        proposal=Proposal("enter", draw(st.sampled_from(Side)), "signal", stop=stop, target=Decimal(120)),
        forecast=replace(
            forecast(0.5),
            edge=draw(st.one_of(ODD, st.floats(-0.01, 0.01))),
            edge_variance=draw(st.one_of(ODD, st.floats(0, 0.01))),
            edge_bars=draw(st.one_of(ODD, st.floats(0, 1e6))),
        ),
        close=100.0,
        volatility=draw(numbers),
        volume=draw(st.one_of(st.none(), numbers)),
        portfolio=portfolio(*held, cash=draw(st.sampled_from(["10000", "1", "100000000"]))),
        committed=draw(st.sampled_from([0.0, 100.0, 1e9])),
        instrument=Instrument("SP500", lot=Decimal("0.001")),
        settings=settings(
            sizing=SizingSettings(
                kelly_fraction=1.0,
                var_limit=draw(st.floats(1e-6, 1)),
                es_limit=draw(st.floats(1e-6, 1)),
                book_var_limit=draw(st.floats(1e-6, 1)),
                drawdown_floor=draw(st.floats(0, 1)),
            ),
            risk=RiskSettings(max_gross=draw(st.floats(0.01, 10))),
        ),
        tail=draw(tails(numbers)),
        correlations=draw(st.dictionaries(st.sampled_from(["OTHER", "SP500"]), numbers)),
        volatilities=draw(st.dictionaries(st.sampled_from(["OTHER", "SP500"]), numbers)),
        drawdown=draw(numbers),
    )


@given(asks())
def test_whatever_the_numbers_no_step_makes_the_size_larger(asked: Ask) -> None:
    sized = size(asked)

    assert 0 <= sized.weight < math.inf
    assert sized.quantity >= 0
    for earlier, later in zip(sized.steps, sized.steps[1:], strict=False):
        assert later.before == earlier.after
        assert 0 <= later.after <= later.before * (1 + 1e-12)
        assert later.bound <= (later.after < later.before)


PLAIN = st.floats(0.001, 0.2)


def after(asked: Ask, **changed: Any) -> Decimal:
    return size(replace(asked, **changed)).quantity


@given(asks(PLAIN), PLAIN, PLAIN)
def test_the_more_volatile_the_smaller(asked: Ask, one: float, other: float) -> None:
    untold = replace(asked, tail=None)

    assert after(untold, volatility=max(one, other)) <= after(untold, volatility=min(one, other))


@given(asks(PLAIN), PLAIN, st.floats(1, 3))
def test_the_larger_the_loss_that_is_told_the_smaller(asked: Ask, var: float, factor: float) -> None:
    def told(by: float) -> Tail:
        return Tail(275, 50, (TailEstimate("evt", var * by, 1.4 * var * by, 12, 250, True),))

    assert after(asked, tail=told(factor)) <= after(asked, tail=told(1.0))


@given(asks(PLAIN), SHARES, SHARES)
def test_the_deeper_below_the_high_the_smaller(asked: Ask, one: float, other: float) -> None:
    assert after(asked, drawdown=max(one, other)) <= after(asked, drawdown=min(one, other))


@given(asks(PLAIN), st.floats(-1, 1), st.floats(-1, 1))
def test_the_more_it_moves_with_what_is_held_the_smaller(asked: Ask, one: float, other: float) -> None:
    proposal = replace(asked.proposal, side=Side.BUY)
    more, less = ({"OTHER": move} for move in (max(one, other), min(one, other)))

    assert after(asked, proposal=proposal, correlations=more) <= after(
        asked, proposal=proposal, correlations=less
    )


@given(asks(PLAIN))
def test_a_tail_can_only_be_more_careful_than_none_was(asked: Ask) -> None:
    volatility = asked.volatility
    careful = Tail(275, 50, (TailEstimate("evt", 2 * volatility, 3 * volatility, 12, 250, True),))

    assert after(asked, tail=careful) <= after(asked, tail=None)
