"""How much: the smallest of what each rule allows, with every step kept, and the one crossing to quantities.

All steps but the last are shares of the desk's equity. The last rounds down to whole lots and is the only place
in the house where a float becomes a quantity. No step can make the size larger, whatever the numbers are.
"""

import math
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from configs.schema.desk import Instrument
from configs.schema.settings import Settings
from engine.core.domain.instrument import exact, whole_lots
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import Proposal
from engine.core.domain.risk import Size, SizingStep
from engine.core.domain.signal import Forecast
from engine.core.domain.tail import YELLOW, OneBarLoss, Tail
from engine.core.sizing.book import Holding, book_room
from engine.core.sizing.kelly import continuous_kelly, estimation_shrink

UNLIMITED = 1e9  # a share of equity no rule would ever allow; unlike infinity it is valid JSON
ONE_SIDED_95 = 1.6448536269514722  # the normal quantile of 95 %
BEYOND_97_5 = 2.337802792201413  # the mean of a standard normal beyond its quantile of 97.5 %


class Ask(msgspec.Struct, frozen=True, gc=False):
    """What a size is asked for. `volatility` is one bar's, as a share; `volume` None when it is not known.

    `committed` is the value of open entry orders, which count as filled. `tail` is None where nothing is said but the
    volatility. `correlations` and `volatilities` are those of other instruments; who is not there is unknown.
    `drawdown` is how far equity lies below its high, as a share of it. `grid_room` is what the instrument's grid leaves
    to one of its levels, as a share of equity; None where it has none.
    """

    proposal: Proposal
    forecast: Forecast
    close: float
    volatility: float
    volume: float | None
    portfolio: Portfolio
    committed: float
    instrument: Instrument
    settings: Settings
    tail: Tail | None = None
    correlations: Mapping[str, float] = {}
    volatilities: Mapping[str, float] = {}
    drawdown: float = 0.0
    grid_room: float | None = None


def size(ask: Ask) -> Size:
    """Start from fractional Kelly, apply each cap in order, round down to lots."""
    equity = float(ask.portfolio.equity)
    if equity <= 0:
        return Size(
            Decimal(0), 0.0, "equity", (SizingStep("equity", 0.0, 0.0, True, "nothing left to risk"),)
        )
    weight, bound_by = _kelly(ask), "kelly"
    steps = [SizingStep("kelly", 0.0, weight, True, _kelly_words(ask))]
    loss = _loss(ask)
    for name, allowed, reason in (
        *_own_caps(ask, equity, loss),
        _drawdown(ask),
        _correlation(ask, equity, loss),
        *_room(ask, equity),
    ):
        allowed = allowed * weight if name == "drawdown" else allowed
        after = weight if allowed >= weight else min(weight, max(0.0, allowed))
        bound = after < weight
        steps.append(SizingStep(name, weight, after, bound, reason))
        if bound:
            weight, bound_by = after, name
    quantity = whole_lots(ask.instrument, exact(weight * equity / ask.close))
    rounded = float(quantity) * ask.close / equity
    steps.append(
        SizingStep("lot", weight, rounded, quantity == 0 < weight, f"whole lots of {ask.instrument.lot}")
    )
    return Size(quantity, rounded, "lot" if quantity == 0 < weight else bound_by, tuple(steps))


NO_SIZE = Size(
    Decimal(0), 0.0, "warm-up", (SizingStep("warm-up", 0.0, 0.0, True, "nothing can be said of it yet"),)
)


def size_as_wished(quantity: Decimal, close: float, portfolio: Portfolio, instrument: Instrument) -> Size:
    """What a person asked for, in whole lots. The review has its limits all the same."""
    whole, equity = whole_lots(instrument, quantity), float(portfolio.equity)
    before, after = ((float(q) * close / equity if equity > 0 else 0.0) for q in (quantity, whole))
    step = SizingStep("wish", before, after, whole < quantity, f"asked for {float(quantity):.8g}")
    return Size(whole, after, "wish", (step,))


def _kelly(ask: Ask) -> float:
    forecast = ask.forecast
    full = continuous_kelly(forecast.edge, forecast.edge_variance)
    shrink = estimation_shrink(forecast.edge, forecast.edge_variance, forecast.edge_bars)
    share = ask.settings.sizing.kelly_fraction * shrink * full
    return min(share, UNLIMITED) if share >= 0 else 0.0  # of what is not a number, nothing


def _kelly_words(ask: Ask) -> str:
    return f"edge {ask.forecast.edge * 1e4:.2f} bp a bar over {ask.forecast.edge_bars:.0f} bars"


Cap = tuple[str, float, str]
"""Its name, the share of equity it allows, and the number behind it."""


def _own_caps(ask: Ask, equity: float, loss: OneBarLoss) -> tuple[Cap, ...]:
    """What this instrument alone may be."""
    sizing, risk = ask.settings.sizing, ask.settings.risk
    yearly = ask.volatility * math.sqrt(ask.instrument.bars_per_year)
    distance = _stop_distance(ask)
    held = ask.portfolio.position(ask.instrument.name)
    most = min(sizing.max_weight, risk.max_order_value, risk.position_limit(ask.instrument.kind)[0])
    own = abs(float(held.quantity)) * ask.close / equity if held else 0.0
    doubt = f", {YELLOW:.2f} times the most careful, for the VaR model is wrong" if loss.rejected else ""
    said = f"by {loss.by}{doubt}"
    usual = (
        ("target_volatility", _ratio(sizing.target_volatility, yearly), f"volatility {yearly:.1%} a year"),
        ("risk_per_trade", _ratio(sizing.risk_per_trade, distance), f"stop {distance:.2%} away"),
        (
            "value_at_risk",
            _ratio(sizing.var_limit, loss.var),
            f"one bar's 95 % loss {loss.var:.2%}, {said}",
        ),
        (
            "tail",
            _ratio(sizing.es_limit, loss.es),
            f"one bar's expected shortfall at 97.5 % {loss.es:.2%}",
        ),
        ("max_weight", most - own, f"at most {most:.0%} in one instrument"),
    )
    if ask.grid_room is None:
        return usual
    room = ask.grid_room if ask.grid_room > 0 else 0.0
    return (*usual, ("grid", room, f"its grid leaves {room:.2%} to a level"))


def _drawdown(ask: Ask) -> Cap:
    """A share of the size so far, and not of equity: full at no drawdown, the floor at the limit."""
    limit, floor = ask.settings.risk.max_drawdown, ask.settings.sizing.drawdown_floor
    used = ask.drawdown / limit
    used = used if used < 1 else 1.0  # also what is not a number
    factor = 1 - (1 - floor) * max(0.0, used)
    return "drawdown", factor, f"{ask.drawdown:.1%} below the high, of {limit:.0%} allowed"


def _correlation(ask: Ask, equity: float, loss: OneBarLoss) -> Cap:
    """What keeps the whole book within its limit, however much or little this moves with the rest."""
    limit = ask.settings.sizing.book_var_limit
    assert ask.proposal.side is not None, "an entry has a side"
    held = _holdings(ask, equity, loss)
    if not held:
        return "correlation", _ratio(limit, loss.var), "nothing else is held"
    room = book_room(held, ask.proposal.side.sign, loss.var, limit)
    before = sum(holding.var for holding in held)
    return "correlation", room, f"the book's 95 % loss is {before:.2%} of {limit:.0%} before it"


def _holdings(ask: Ask, equity: float, loss: OneBarLoss) -> list[Holding]:
    """Positions, and open entries as if they were filled, each with its own loss as a share of equity.

    One whose volatility is unknown is taken to be as restless as the most restless that is known.
    """
    portfolio, name = ask.portfolio, ask.instrument.name
    if not portfolio.positions and not portfolio.orders:
        return []
    worth = [(p.instrument, float(p.quantity * portfolio.marks[p.instrument])) for p in portfolio.positions]
    for order in portfolio.orders:
        request = order.request
        if order.status.open and not request.reduce_only:
            price = request.price or portfolio.marks.get(request.instrument, Decimal(0))
            worth.append((request.instrument, request.side.sign * float(order.remaining * price)))
    losses = {other: ONE_SIDED_95 * spread for other, spread in ask.volatilities.items()} | {name: loss.var}
    most = max(losses.values())
    moves = {name: 1.0, **ask.correlations}
    return [
        Holding(
            1 if value > 0 else -1,
            abs(value) / equity * losses.get(other, most),
            moves.get(other),
        )
        for other, value in worth
    ]


def _room(ask: Ask, equity: float) -> tuple[Cap, ...]:
    """What is left beside everything else, and what the market gives."""
    risk = ask.settings.risk
    gross = (float(ask.portfolio.gross) + ask.committed) / equity
    cash = (float(ask.portfolio.cash) - ask.committed) / equity / (1 + _entry_cost(ask))
    caps = (
        ("gross_room", risk.max_gross - gross, f"{gross:.0%} of {risk.max_gross:.0%} is used"),
        ("cash", cash, f"cash is {cash:.0%} of equity"),
    )
    if ask.volume is None:
        return caps
    share = risk.max_participation
    return (*caps, ("volume", share * ask.volume * ask.close / equity, f"{share:.1%} of the bar's volume"))


def _loss(ask: Ask) -> OneBarLoss:
    """By the estimators that stood their test; by the volatility alone where none speaks."""
    loss = ask.tail.loss() if ask.tail else None
    if loss is not None:
        return loss
    return OneBarLoss(ONE_SIDED_95 * ask.volatility, BEYOND_97_5 * ask.volatility, "volatility", False)


def _entry_cost(ask: Ask) -> float:
    """What an entry may cost beyond the close: fee, half the spread, slippage and the largest impact, as a share."""
    cost = ask.settings.execution
    return (cost.fee_bps + cost.spread_bps / 2 + cost.slippage_bps + cost.impact_bps) / 1e4


def _stop_distance(ask: Ask) -> float:
    assert ask.proposal.stop is not None, "an entry always has a stop"
    return abs(ask.close - float(ask.proposal.stop)) / ask.close


def _ratio(limit: float, amount: float) -> float:
    """No limit where there is nothing to limit; nothing is allowed of what is not a number."""
    return limit / amount if amount > 0 else UNLIMITED if amount <= 0 else 0.0
