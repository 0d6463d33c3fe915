"""Records become claims: which sentences answer, in which order. Every word and number comes from the table."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from engine.core.domain.order import OrderStatus
from engine.core.domain.records import (
    CommandRecord,
    CycleRecord,
    IncidentRecord,
    OrderRecord,
    OutcomeKind,
    Record,
    ReportRecord,
    StartRecord,
    TradeRecord,
)
from engine.core.domain.risk import Check
from explain.claims import Anchor, Claim, narrowed, tally
from explain.evidence import (
    Entry,
    Event,
    Evidence,
    Exit,
    Flat,
    Holding,
    Look,
    Nothing,
    Sizing,
    Span,
    State,
    Trades,
    failed,
    relative_gap,
)
from explain.question import Kind
from explain.units import NEVER

VOTES = 5
"""How many votes an answer lists, the strongest first."""
ALSO = 5
"""How many further checks an answer lists."""
FLAGS = ("yes", "state")
"""Units of checks that have no distance."""


class Draft(NamedTuple):
    """What an answer will say. `notes` speak of the question, the claims of the records."""

    notes: tuple[str, ...]
    claims: tuple[Claim, ...]
    refused: bool = False


def narrate(evidence: Evidence, notes: Sequence[str] = ()) -> Draft:
    """The answer that the evidence gives."""
    if isinstance(evidence, Nothing) and evidence.note:
        notes = (*notes, evidence.note)
    claims = WRITERS[type(evidence)](evidence)
    return Draft(tuple(notes), tuple(claims), refused=isinstance(evidence, Nothing))


def _on(record: Record) -> Anchor:
    return Anchor(record.id)


def _check(cycle: CycleRecord, place: int) -> Anchor:
    return Anchor(cycle.id, f"result.review.checks[{place}]")


def _exit_check(cycle: CycleRecord, place: int) -> Anchor:
    return Anchor(cycle.id, f"result.exits[{place}]")


def _position(cycle: CycleRecord, place: int) -> Anchor:
    return Anchor(cycle.id, f"portfolio.positions[{place}]")


def _list(items: Sequence[Claim], between: str = "; ", first: str = "") -> list[Claim]:
    """Claims on one line, closed with a full stop."""
    glued = [Claim(c.sentence, c.roles, between if place else first) for place, c in enumerate(items)]
    return [*glued, Claim("end", {}, "")]


# --- entries ---


def _entry(entry: Entry) -> list[Claim]:
    cycle = entry.cycle
    claims = [Claim("several_entries", {"some": entry.among})] if entry.among else []
    if cycle.wish is not None:
        claims.append(Claim("by_wish", {"cycle": _on(cycle)}))
        claims += [Claim("wish_reason", {"cycle": _on(cycle)}, " ")] if cycle.wish.reason else []
    gate = _place_of("confidence", cycle.result.review.checks)
    if gate is not None:
        claims.append(Claim("entry", {"cycle": _on(cycle), "check": _check(cycle, gate)}))
    claims += _votes(cycle, readings=True)
    if cycle.observation.regime:
        claims.append(Claim("regime", {"cycle": _on(cycle)}))
    claims += _bound_size(cycle)
    claims.append(Claim("geometry", {"cycle": _on(cycle)}))
    claims += _passed(cycle)
    claims += _filled(entry)
    if entry.trade is not None:
        claims.append(Claim("came_of_it", {"trade": _on(entry.trade), "entry": _on(cycle)}))
    elif entry.latest is not None:
        claims += _still_open(entry.latest, cycle)
    return claims


def _votes(cycle: CycleRecord, *, readings: bool = False) -> list[Claim]:
    forecast = cycle.result.forecast
    if forecast is None or not forecast.votes:
        return []
    ranked = sorted(range(len(forecast.votes)), key=lambda place: -abs(forecast.votes[place].contribution))
    items = [_vote(cycle, place, readings=readings) for place in ranked[:VOTES]]
    lead = "votes" if readings else "leaning"
    return [Claim(lead, {"cycle": _on(cycle)}), *_list(items)]


def _vote(cycle: CycleRecord, place: int, *, readings: bool) -> Claim:
    assert cycle.result.forecast is not None
    roles = {"cycle": _on(cycle), "vote": Anchor(cycle.id, f"result.forecast.votes[{place}]")}
    source = cycle.result.forecast.votes[place].source
    signal = next((i for i, s in enumerate(cycle.result.signals) if s.source == source), None)
    if not readings or signal is None or not cycle.result.signals[signal].inputs:
        return Claim("vote", roles)
    inputs = cycle.result.signals[signal].inputs
    name = _main_reading(inputs)
    reading = {"input": Anchor(cycle.id, f"result.signals[{signal}].inputs[{name}]")}
    if f"{name} raw" not in inputs:
        return Claim("vote_on", roles | reading)
    raw = {"raw": Anchor(cycle.id, f"result.signals[{signal}].inputs[{name} raw]")}
    return Claim("vote_of_model", roles | reading | raw)


def _main_reading(inputs: dict[str, float]) -> str:
    """The largest reading; volatility only scales the others, and what a model said raw does not count."""
    said = [name for name in inputs if not name.startswith("vol_") and not name.endswith(" raw")]
    said = said or list(inputs)
    return max(said, key=lambda name: abs(inputs[name]))


def _bound_size(cycle: CycleRecord) -> list[Claim]:
    size = cycle.result.size
    if size is None:
        return []
    place = next((i for i, step in enumerate(size.steps) if step.name == size.bound_by), None)
    if place is None:
        return []
    return [Claim("size", {"cycle": _on(cycle), "step": Anchor(cycle.id, f"result.size.steps[{place}]")})]


def _passed(cycle: CycleRecord) -> list[Claim]:
    checks = cycle.result.review.checks
    if not checks:
        return []
    places = [i for i, check in enumerate(checks) if check.passed and _has_distance(check)]
    if not places:
        return [Claim("checks_alone", {"cycle": _on(cycle)})]
    tightest = min(places, key=lambda i: checks[i].headroom / abs(checks[i].limit))
    return [Claim("checks", {"cycle": _on(cycle), "check": _check(cycle, tightest)})]


def _has_distance(check: Check) -> bool:
    """Whether it can be near its limit, and tells of risk when it is: the gate's own figure and all limits."""
    told = check.tier != "signal" or check.name == "confidence"
    return told and check.unit not in FLAGS and check.limit != 0 and check.value < NEVER


def _filled(entry: Entry) -> list[Claim]:
    if not entry.fills:
        return _unfilled(entry)
    claims = [Claim("filled", {"fill": _on(fill), "cycle": _on(entry.cycle)}) for fill in entry.fills[:2]]
    if len(entry.fills) > 2:
        fills = tally("fill", decision=entry.cycle.id)
        claims.append(Claim("more_fills", {"fills": fills}, " "))
    return claims


def _unfilled(entry: Entry) -> list[Claim]:
    claims = [Claim("not_filled", {"fills": tally("fill", decision=entry.cycle.id)})]
    if not entry.orders:
        return claims
    last = entry.orders[-1]
    ended = not last.status.open and bool(last.reason)
    return [*claims, Claim("order_ended" if ended else "order_moved", {"order": _on(last)}, " ")]


def _still_open(latest: CycleRecord, entry: CycleRecord) -> list[Claim]:
    for place, position in enumerate(latest.portfolio.positions):
        if position.entry_decision == entry.id:
            roles = {"cycle": _on(latest), "entry": _on(entry), "position": _position(latest, place)}
            return [Claim("still_open", roles)]
    return []


def _place_of(name: str, checks: Sequence[Check]) -> int | None:
    return next((i for i, check in enumerate(checks) if check.name == name), None)


# --- exits ---


def _exit(closed: Exit) -> list[Claim]:
    trade = {"trade": _on(closed.trade)}
    claims = [Claim("several_trades", {"trades": closed.among})] if closed.among else []
    claims.append(Claim("closed", trade))
    claims += _cause(closed)
    if closed.entry is not None:
        claims.append(Claim("opened", trade | {"entry": _on(closed.entry)}))
    else:
        claims.append(Claim("opened_unknown", trade))
    claims.append(Claim("money", trade))
    claims += [Claim("dust", trade)] if closed.trade.dust else []
    return claims + _parts(closed.trade)


def _cause(closed: Exit) -> list[Claim]:
    trade, reason = _on(closed.trade), closed.trade.exit_reason
    if closed.command is not None:
        claims = [Claim("by_command", {"trade": trade, "command": _on(closed.command)})]
        said = [Claim("command_reason", {"command": _on(closed.command)}, " ")]
        return claims + (said if closed.command.reason else [])
    if reason in ("stop", "target") and closed.order is not None and closed.fill is not None:
        roles = {"trade": trade, "order": _on(closed.order), "fill": _on(closed.fill)}
        return [Claim("by_order", roles)]
    if closed.cycle is None or f"by_{reason}" not in _BY_DECISION:
        return []
    checks = closed.cycle.result.exits
    place = _place_of(reason, checks)
    if place is None:
        return []
    roles = {"trade": trade, "cycle": _on(closed.cycle)}
    others = [i for i in failed(checks) if i != place]
    also = [
        Claim("leaving", {"cycle": _on(closed.cycle), "exit_check": _exit_check(closed.cycle, i)})
        for i in others
    ]
    said = [Claim("also_leaving", {}), *_list(also)] if also else []
    return [Claim(f"by_{reason}", roles | {"exit_check": _exit_check(closed.cycle, place)}), *said]


_BY_DECISION = ("by_trailing", "by_time", "by_reversal", "by_regime", "by_halt", "by_grid")


def _parts(trade: TradeRecord) -> list[Claim]:
    ranked = sorted(trade.attribution, key=lambda name: -abs(trade.attribution[name]))
    if not ranked:
        return []
    items = [
        Claim("part", {"trade": _on(trade), "part": Anchor(trade.id, f"attribution[{name}]")}, ", ")
        for name in ranked
    ]
    lead = Claim("parts", {"trade": _on(trade)})
    first = Claim("part", items[0].roles, "")
    return [lead, first, *items[1:], Claim("parts_sum", {"trade": _on(trade)}, "")]


# --- one decision that did nothing new ---


def _look(look: Look) -> list[Claim]:
    cycle = look.cycle
    return _missing(look.missing) + _DONE[cycle.result.outcome](look)


def _missing(missing: tuple[str, Anchor] | None) -> list[Claim]:
    """What was looked for and is not there; of one day it is said as of a day."""
    if missing is None:
        return []
    sentence, anchor = missing
    if sentence in ("no_decision", "no_entry", "no_exit") and _one_day(anchor):
        sentence = f"{sentence}_day"
    return [Claim(sentence, {_role(sentence): anchor})]


def _role(sentence: str) -> str:
    if sentence.startswith("no_exit"):
        return "trades"
    return "some" if sentence == "no_entry_ever" else "days"


def _declined(look: Look) -> list[Claim]:
    cycle = look.cycle
    quiet = cycle.result.outcome is OutcomeKind.NO_SIGNAL
    wanted = "close_declined" if cycle.result.proposal.action == "exit" else "declined"
    claims = [Claim("quiet" if quiet else wanted, {"cycle": _on(cycle)})]
    checks = cycle.result.review.checks
    against = failed(checks)
    if against:
        claims.append(_first(cycle, against[0]))
    claims += _data_issue(cycle)
    claims += _others(cycle, against[1:])
    if wanted == "declined" or quiet:
        claims += _votes(cycle)
        if cycle.observation.regime:
            claims.append(Claim("regime", {"cycle": _on(cycle)}, " "))
    return claims


_FIRST = {"direction": "first_direction", "regime": "first_regime", "trading state": "first_state"}


def _first(cycle: CycleRecord, place: int) -> Claim:
    name = cycle.result.review.checks[place].name
    anchors = {"cycle": _on(cycle), "check": _check(cycle, place)}
    if name == "order size" and (step := _last_word(cycle)) is not None:
        return Claim("first_size", anchors | {"step": step})
    if name == "holds" and cycle.risk.holds:
        hold = Anchor(cycle.id, f"risk.holds[{next(iter(cycle.risk.holds))}]")
        return Claim("first_holds", anchors | {"hold": hold})
    return Claim(_FIRST.get(name, "first"), anchors)


def _last_word(cycle: CycleRecord) -> Anchor | None:
    """The sizing step that left nothing to buy: a distance in lots would say that it was close."""
    size = cycle.result.size
    if size is None or size.quantity:
        return None
    places = [place for place, step in enumerate(size.steps) if step.name == size.bound_by]
    return Anchor(cycle.id, f"result.size.steps[{places[0]}]") if places else None


def _data_issue(cycle: CycleRecord) -> list[Claim]:
    if not cycle.observation.issues:
        return []
    return [
        Claim("data_said", {"cycle": _on(cycle), "issue": Anchor(cycle.id, "observation.issues[0]")}, " ")
    ]


def _others(cycle: CycleRecord, places: Sequence[int]) -> list[Claim]:
    checks = cycle.result.review.checks
    if not places:
        known = cycle.result.forecast is not None and len(failed(checks)) == 1
        return [Claim("only_one", {"cycle": _on(cycle)}, " ")] if known else []
    items = [
        Claim(
            "against_flag" if checks[i].unit in FLAGS else "against",
            {"cycle": _on(cycle), "check": _check(cycle, i)},
        )
        for i in places[:ALSO]
    ]
    claims = [Claim("also", {"cycle": _on(cycle)}), *_list(items)]
    near = cycle.result.nearest
    small = (
        near is not None and near.check in ("order size", "order minimum") and _last_word(cycle) is not None
    )
    if near is not None and near.unit not in FLAGS and not small:
        claims.append(
            Claim("nearest", {"cycle": _on(cycle), "near": Anchor(cycle.id, "result.nearest")}, " ")
        )
    return claims


def _held(look: Look) -> list[Claim]:
    cycle = look.cycle
    place = _own_place(cycle)
    if place is None:
        return [Claim("flat", {"cycle": _on(cycle)})]
    claims = [Claim("held", {"cycle": _on(cycle), "position": _position(cycle, place)})]
    return claims + _stays(cycle)


def _own_place(cycle: CycleRecord) -> int | None:
    names = [position.instrument for position in cycle.portfolio.positions]
    return names.index(cycle.instrument) if cycle.instrument in names else None


def _entered(look: Look) -> list[Claim]:
    return [Claim("did_enter", {"cycle": _on(look.cycle)}), *_votes(look.cycle)]


def _exited(look: Look) -> list[Claim]:
    return [Claim("did_exit", {"cycle": _on(look.cycle)})]


_DONE: dict[OutcomeKind, Callable[[Look], list[Claim]]] = {
    OutcomeKind.REFUSED: _declined,
    OutcomeKind.NO_SIGNAL: _declined,
    OutcomeKind.HELD: _held,
    OutcomeKind.RESIZED: _held,
    OutcomeKind.ENTERED: _entered,
    OutcomeKind.EXITED: _exited,
}


# --- many decisions ---


def _span(span: Span) -> list[Claim]:
    outcomes = Counter(cycle.result.outcome.value for cycle in span.cycles)
    items = [_some("outcome", span.days, outcome=name) for name, _ in outcomes.most_common()]
    lead = "period" if span.whole else "period_cut"
    claims = [Claim(lead, {"days": span.days}), *_list(items, ", ")]
    refusals = Counter(cycle.result.refused_by for cycle in span.cycles if cycle.result.refused_by)
    if refusals:
        items = [_some("refusal", span.days, refused_by=name) for name, _ in refusals.most_common(6)]
        claims += [Claim("refusals", {"days": span.days}), *_list(items, ", ")]
    if span.closest is not None:
        claims.append(_closest(span.closest))
    if span.entered is not None:
        claims.append(Claim("did_enter", {"cycle": _on(span.entered)}))
    return claims


def _some(sentence: str, days: Anchor, **narrow: str) -> Claim:
    return Claim(sentence, {"some": narrowed(days, **narrow)})


def _closest(cycle: CycleRecord) -> Claim:
    checks = cycle.result.review.checks
    furthest = max(failed(checks), key=lambda i: relative_gap(checks[i]))
    sentence = "closest_flag" if checks[furthest].unit in FLAGS else "closest"
    return Claim(sentence, {"cycle": _on(cycle), "check": _check(cycle, furthest)})


# --- sizes and positions ---


def _sizing(sizing: Sizing) -> list[Claim]:
    cycle = sizing.cycle
    assert cycle.result.size is not None
    steps = [
        Claim(
            "step_bound" if step.bound else "step",
            {"cycle": _on(cycle), "step": Anchor(cycle.id, f"result.size.steps[{place}]")},
        )
        for place, step in enumerate(cycle.result.size.steps)
    ]
    return [Claim("size_of", {"cycle": _on(cycle)}), *steps]


def _holding(holding: Holding) -> list[Claim]:
    cycle = holding.cycle
    position = {"cycle": _on(cycle), "position": _position(cycle, holding.place)}
    if holding.entry is not None:
        claims = [Claim("holding", position | {"entry": _on(holding.entry)})]
    else:
        claims = [Claim("holding_unplanned", position)]
    marked = position | {"mark": Anchor(cycle.id, f"portfolio.marks[{cycle.instrument}]")}
    claims += [Claim("so_far", marked), Claim("levels", marked)]
    if cycle.result.outcome is OutcomeKind.EXITED:
        return [*claims, Claim("leaving_now", {"cycle": _on(cycle)})]
    return claims + _stays(cycle)


def _stays(cycle: CycleRecord) -> list[Claim]:
    checks = cycle.result.exits
    if not checks or failed(checks):
        return []
    items = [
        Claim(
            "stay_flag" if check.unit in FLAGS else "stay",
            {"cycle": _on(cycle), "exit_check": _exit_check(cycle, place)},
        )
        for place, check in enumerate(checks)
    ]
    return [Claim("stays", {"cycle": _on(cycle)}), *_list(items)]


def _flat(flat: Flat) -> list[Claim]:
    claims = [Claim("flat", {"cycle": _on(flat.cycle)})]
    return claims + ([Claim("closed", {"trade": _on(flat.trade)})] if flat.trade else [])


# --- counts, profit, the desk ---


def _trades(found: Trades) -> list[Claim]:
    trades = {"trades": found.trades}
    if not found.closed:
        return [Claim("no_trades", trades), *_open_profit(found)]
    if found.one is not None:
        lead = _SUPERLATIVE[found.which]
        return [Claim(lead, trades | {"trade": _on(found.one.trade)}), *_exit(found.one)]
    claims = [Claim("trades" if found.whole else "trades_cut", trades)]
    if found.which is Kind.PROFIT:
        claims.append(Claim("profit", trades))
    return claims + _open_profit(found)


_SUPERLATIVE = {Kind.LAST_TRADE: "last", Kind.BEST_TRADE: "best", Kind.WORST_TRADE: "worst"}


def _open_profit(found: Trades) -> list[Claim]:
    cycle = found.newest
    if cycle is None:
        return []
    asked = found.trades.record
    return [
        Claim(
            "open_profit",
            {
                "cycle": _on(cycle),
                "position": _position(cycle, place),
                "mark": Anchor(cycle.id, f"portfolio.marks[{position.instrument}]"),
            },
        )
        for place, position in enumerate(cycle.portfolio.positions)
        if "instrument=" not in asked or f"instrument={position.instrument}&" in f"{asked}&"
    ]


def _state(state: State) -> list[Claim]:
    claims: list[Claim] = []
    if state.halted and state.switch is None and state.cycle is not None:
        running = state.cycle.result.risk.trading == "active"
        return [Claim("never_halted" if running else "state", {"cycle": _on(state.cycle)})]
    if state.cycle is not None and not state.halted:
        claims.append(Claim("state", {"cycle": _on(state.cycle)}))
        claims += _held_by(state.cycle)
    if state.switch is not None:
        claims += _event(Event(state.switch))
    return claims


def _held_by(cycle: CycleRecord) -> list[Claim]:
    if not cycle.portfolio.positions:
        return [Claim("held_nothing", {"cycle": _on(cycle)}, " ")]
    return [
        Claim("holds", {"cycle": _on(cycle), "position": _position(cycle, place)})
        for place in range(min(10, len(cycle.portfolio.positions)))
    ]


def _event(event: Event) -> list[Claim]:
    record = event.record
    if isinstance(record, CommandRecord):
        claims = [Claim("switched", {"command": _on(record)})]
        said = [Claim("command_reason", {"command": _on(record)}, " ")] if record.reason else []
        return claims + said
    if isinstance(record, IncidentRecord):
        return [Claim("breaker" if record.name == "breaker" else "incident", {"incident": _on(record)})]
    if isinstance(record, StartRecord):
        return [Claim("started", {"start": _on(record)})]
    if isinstance(record, ReportRecord):
        return [Claim("reported", {"report": _on(record)})]
    if isinstance(record, OrderRecord):
        ended = record.status is not OrderStatus.INTENT and not record.status.open and record.reason
        return [Claim("order_ended" if ended else "order_moved", {"order": _on(record)})]
    return []


def _nothing(nothing: Nothing) -> list[Claim]:
    claims = _missing(nothing.missing)
    if nothing.first is not None and nothing.last is not None:
        one = "instrument=" in (nothing.missing[1].record if nothing.missing else "")
        roles = {"first": _on(nothing.first), "last": _on(nothing.last)}
        claims.append(Claim("coverage" if one else "coverage_all", roles))
    return claims


def _one_day(anchor: Anchor) -> bool:
    parts = dict(part.split("=", 1) for part in anchor.record.partition("?")[2].split("&") if "=" in part)
    return parts.get("since") == parts.get("until")


WRITERS: dict[type[Any], Callable[[Any], list[Claim]]] = {
    Entry: _entry,
    Exit: _exit,
    Look: _look,
    Span: _span,
    Sizing: _sizing,
    Holding: _holding,
    Flat: _flat,
    Trades: _trades,
    State: _state,
    Event: _event,
    Nothing: _nothing,
}
