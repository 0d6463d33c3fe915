"""Every sentence that an answer may contain, and what must be true for it to be said.

The table is closed: what is not here cannot leave. No sentence holds a digit of its own; numbers, names, dates and
ids come from slots. A slot is bound to the field that it speaks of here, so that a price cannot be told as a fee,
and `holds` ties the roles of a sentence to each other, so that a reason cannot be told of another decision.
"""

from typing import Any

from explain.claims import Sentence

ROLES: dict[str, tuple[str, str]] = {
    "cycle": ("cycle", ""),
    "entry": ("cycle", ""),
    "first": ("cycle", ""),
    "last": ("cycle", ""),
    "check": ("cycle", r"result\.review\.checks\[\d+\]"),
    "exit_check": ("cycle", r"result\.exits\[\d+\]"),
    "vote": ("cycle", r"result\.forecast\.votes\[\d+\]"),
    "input": ("cycle", r"result\.signals\[\d+\]\.inputs\[[^\]]+\]"),
    "raw": ("cycle", r"result\.signals\[\d+\]\.inputs\[[^\]]+ raw\]"),
    "near": ("cycle", r"result\.nearest"),
    "step": ("cycle", r"result\.size\.steps\[\d+\]"),
    "issue": ("cycle", r"observation\.issues\[\d+\]"),
    "position": ("cycle", r"portfolio\.positions\[\d+\]"),
    "mark": ("cycle", r"portfolio\.marks\[[^\]]+\]"),
    "order": ("order", ""),
    "fill": ("fill", ""),
    "trade": ("trade", ""),
    "part": ("trade", r"attribution\[[^\]]+\]"),
    "hold": ("cycle", r"risk\.holds\[[^\]]+\]"),
    "command": ("command", ""),
    "incident": ("incident", ""),
    "start": ("start", ""),
    "report": ("report", ""),
    "days": ("cycle?", ""),
    "some": ("cycle?", ""),
    "trades": ("trade?", ""),
    "fills": ("fill?", ""),
}
"""What each role may be bound to: the kind of the record (with `?` a tally), and the shape of the path."""

# Roles that speak of the same record as the one they stand beside.
INSIDE = {
    "check": "cycle",
    "exit_check": "cycle",
    "vote": "cycle",
    "input": "cycle",
    "raw": "cycle",
    "near": "cycle",
    "step": "cycle",
    "issue": "cycle",
    "position": "cycle",
    "mark": "cycle",
    "part": "trade",
    "hold": "cycle",
}


def _first_failed(o: Any) -> bool:
    failed = [check for check in o.cycle.result.review.checks if not check.passed]
    return bool(failed) and failed[0] is o.check and o.check.name == o.cycle.result.refused_by


def _sized_at_nothing(o: Any) -> bool:
    size = o.cycle.result.size
    return size is not None and not size.quantity and o.step.name == size.bound_by


def _outcome(name: str, action: str = "") -> Any:
    def holds(o: Any) -> bool:
        result = o.cycle.result
        return result.outcome == name and (not action or result.proposal.action == action)

    return holds


def _left_by(name: str) -> Any:
    """The trade was closed by an order of this decision, for this reason, and the check says so."""

    def holds(o: Any) -> bool:
        result = o.cycle.result
        named = result.proposal.reason == name == o.trade.exit_reason
        sent = o.trade.exit_order in [order.client_id for order in result.orders]
        return named and sent and not o.exit_check.passed and o.exit_check.name == name

    return holds


def _of_entry(o: Any) -> bool:
    return o.trade.entry_decision == o.entry.id


TABLE: dict[str, Sentence] = {
    # --- an entry ---
    "by_wish": Sentence(
        "{cycle.wish.by:words} asked for it from {cycle.wish.source:words} at {cycle.at:when}: to"
        " {cycle.result.proposal.side:to_buy} {cycle.instrument:symbol} {cycle.id:id}.",
        lambda o: o.cycle.wish is not None,
    ),
    "wish_reason": Sentence("Their reason: {cycle.wish.reason:quoted}.", lambda o: o.cycle.wish.reason != ""),
    "entry": Sentence(
        "Decided to {cycle.result.proposal.side:to_buy} {cycle.instrument:symbol} at {cycle.at:when}"
        " {cycle.id:id}: score {cycle.result.forecast.score:score}, confidence {check.value:share},"
        " {check.operator:operator} {check.limit:share} needed.",
        lambda o: o.cycle.result.outcome == "entered" and o.check.name == "confidence",
    ),
    "votes": Sentence("Votes, as weight × score: "),
    "vote": Sentence(
        "{vote.source:name} {vote.contribution:score} = {vote.weight:share} × {vote.score:score}",
    ),
    "vote_on": Sentence(
        "{vote.source:name} {vote.contribution:score} = {vote.weight:share} × {vote.score:score}"
        " ({key(input):key} {input:reading})",
    ),
    "vote_of_model": Sentence(
        "{vote.source:name} {vote.contribution:score} = {vote.weight:share} × {vote.score:score}"
        " ({key(input):key} {input:share}, {key(raw):key} {raw:share})",
    ),
    "regime": Sentence("The regime was {cycle.observation.regime.label:name}."),
    "geometry": Sentence(
        "Stop {cycle.result.proposal.stop:price}"
        " ({distance(cycle.observation.bar.close, cycle.result.proposal.stop):change} from the close),"
        " target {cycle.result.proposal.target:price}"
        " ({distance(cycle.observation.bar.close, cycle.result.proposal.target):change}),"
        " closed after {cycle.result.proposal.max_bars:bars} at the latest.",
        lambda o: o.cycle.result.proposal.action == "enter",
    ),
    "size": Sentence(
        "Size {cycle.result.size.quantity:units}, {cycle.result.size.weight:share} of equity, bound by"
        " {step.name:name} ({step.reason:words}).",
        lambda o: o.step.name == o.cycle.result.size.bound_by,
    ),
    "checks": Sentence(
        "{passed(cycle.result.review.checks):count} of {length(cycle.result.review.checks):count} checks passed;"
        " tightest: {check.name:name}, {check.value:*}, {check.operator:bound} {check.limit:*}.",
        lambda o: o.check.passed,
    ),
    "checks_alone": Sentence(
        "{passed(cycle.result.review.checks):count} of {length(cycle.result.review.checks):count} checks passed.",
    ),
    "filled": Sentence(
        "Filled {fill.fill.quantity:units} at {fill.fill.price:price}, {fill.fill.at:when} {fill.id:id}:"
        " fee {fill.fill.fee:money}, slippage"
        " {slippage(fill.fill.side, fill.fill.price, fill.fill.reference, fill.fill.quantity):gain}.",
    ),
    "more_fills": Sentence("{count(fills):count} fills in all."),
    "order_ended": Sentence(
        "Its order to {order.request.side:name} {order.request.quantity:units} was {order.status:name}:"
        " {order.reason:words} {order.id:id}.",
        lambda o: not o.order.status.open and o.order.reason != "",
    ),
    "order_moved": Sentence(
        "Its order to {order.request.side:name} {order.request.quantity:units} was {order.status:name}"
        " at {order.at:when} {order.id:id}.",
    ),
    "not_filled": Sentence("No fill of it is recorded.", lambda o: not o.fills.records),
    "came_of_it": Sentence(
        "It was closed by {trade.exit_reason:name} at {trade.closed_at:when}: net {trade.net:gain}"
        " ({trade.return_share:change}) {trade.id:id}.",
        _of_entry,
    ),
    "still_open": Sentence(
        "It was still open at {cycle.at:when} {cycle.id:id}, held for {position.bars_held:bars}.",
        lambda o: o.position.entry_decision == o.entry.id,
    ),
    # --- an exit ---
    "closed": Sentence(
        "Closed the {trade.side:holding} position of {trade.quantity:units} {trade.instrument:symbol} at"
        " {trade.exit_price:price}, {trade.closed_at:when}, by {trade.exit_reason:name} {trade.id:id}."
    ),
    "opened": Sentence(
        "It was opened at {trade.entry_price:price}, {trade.opened_at:when} {entry.id:id}, and held for"
        " {trade.bars_held:bars}.",
        _of_entry,
    ),
    "opened_unknown": Sentence(
        "It was opened at {trade.entry_price:price}, {trade.opened_at:when}, and held for"
        " {trade.bars_held:bars}."
    ),
    "by_order": Sentence(
        "Its {order.request.reason:name} rested at {order.request.price:price}; the market showed"
        " {fill.fill.reference:price} and it filled at {fill.fill.price:price} {fill.id:id}.",
        lambda o: (
            o.order.request.client_id == o.fill.fill.client_id == o.trade.exit_order
            and o.order.request.reason == o.trade.exit_reason
        ),
    ),
    "by_trailing": Sentence(
        "The close, {exit_check.value:price}, had passed the trailing level of {exit_check.limit:price}"
        " ({exit_check.key:words}) {cycle.id:id}.",
        _left_by("trailing"),
    ),
    "by_time": Sentence(
        "It had been held for {exit_check.value:bars}, and {exit_check.limit:bars} is the most that lets it stay"
        " ({exit_check.key:words}) {cycle.id:id}.",
        _left_by("time"),
    ),
    "by_reversal": Sentence(
        "The forecast had turned: confidence against it {exit_check.value:share}, allowed"
        " {exit_check.operator:operator} {exit_check.limit:share} ({exit_check.key:words}) {cycle.id:id}.",
        _left_by("reversal"),
    ),
    "by_regime": Sentence(
        "The regime was {cycle.observation.regime.label:name}, in which no such position is kept {cycle.id:id}.",
        _left_by("regime"),
    ),
    "by_halt": Sentence(
        "The desk was {cycle.result.risk.trading:name} and closing what it held, by"
        " {cycle.result.risk.by:words}: {cycle.result.risk.why:quoted} {cycle.id:id}.",
        _left_by("halt"),
    ),
    "by_grid": Sentence(
        "The grid had been left: {exit_check.value:*}, {exit_check.operator:bound} {exit_check.limit:*}"
        " ({exit_check.key:words}) {cycle.id:id}.",
        _left_by("grid"),
    ),
    "by_command": Sentence(
        "{command.by:words} asked for it from {command.source:words} at {command.at:when}:"
        " {command.kind:name} {command.id:id}.",
        lambda o: o.trade.exit_order in [order.client_id for order in o.command.orders],
    ),
    "command_reason": Sentence("Their reason: {command.reason:quoted}.", lambda o: o.command.reason != ""),
    "money": Sentence(
        "Gross {trade.gross:gain} less fees {trade.fees:money} is net {trade.net:gain}"
        " ({trade.return_share:change}); slippage of {trade.slippage:money} is inside gross.",
        lambda o: o.trade.gross - o.trade.fees == o.trade.net,
    ),
    "dust": Sentence(
        "{trade.dust:units} {trade.instrument:symbol} was too little to be sold and is written off at nothing.",
        lambda o: o.trade.dust > 0,
    ),
    "parts": Sentence("By the votes that opened it: "),
    "part": Sentence("{key(part):name} {part:gain}"),
    "parts_sum": Sentence(
        ", together {sum(trade.attribution):gain}.",
        lambda o: sum(o.trade.attribution.values()) == o.trade.net,
    ),
    "also_leaving": Sentence("Also for leaving: "),
    "leaving": Sentence(
        "{exit_check.name:name}, {exit_check.value:*}, {exit_check.operator:bound} {exit_check.limit:*}",
        lambda o: not o.exit_check.passed,
    ),
    # --- no trade ---
    "quiet": Sentence(
        "No trade in {cycle.instrument:symbol} at {cycle.at:when} {cycle.id:id}: nothing was proposed.",
        _outcome("no_signal"),
    ),
    "declined": Sentence(
        "No trade in {cycle.instrument:symbol} at {cycle.at:when} {cycle.id:id}: the wish to"
        " {cycle.result.proposal.side:to_buy} was refused.",
        _outcome("refused", "enter"),
    ),
    "close_declined": Sentence(
        "At {cycle.at:when} {cycle.id:id} it wanted to close {cycle.instrument:symbol} by"
        " {cycle.result.proposal.reason:name}, and that was refused.",
        _outcome("refused", "exit"),
    ),
    "first": Sentence(
        "First against it: {check.name:name} was {check.value:*}, {check.operator:operator} {check.limit:*} was"
        " needed, {gap(check.headroom):*gap} away (setting {check.key:words}).",
        _first_failed,
    ),
    "first_direction": Sentence(
        "First against it: {check.name:name}. The votes leaned {leaning(cycle.result.forecast.score):name},"
        " which this desk does not trade (setting {check.key:words}).",
        lambda o: _first_failed(o) and o.check.name == "direction",
    ),
    "first_regime": Sentence(
        "First against it: {check.name:name}. It was {cycle.observation.regime.label:name}, in which nothing is"
        " opened (setting {check.key:words}).",
        lambda o: _first_failed(o) and o.check.name == "regime",
    ),
    "first_size": Sentence(
        "First against it: {check.name:name}. Sizing allowed nothing: {step.name:name} ({step.reason:words}).",
        lambda o: _first_failed(o) and o.check.name == "order size" and _sized_at_nothing(o),
    ),
    "first_state": Sentence(
        "First against it: {check.name:name}. The desk was {cycle.result.risk.trading:name}, by"
        " {cycle.result.risk.by:words}: {cycle.result.risk.why:quoted}.",
        lambda o: _first_failed(o) and o.check.name == "trading state",
    ),
    "first_holds": Sentence(
        "First against it: {check.name:name}. The desk opened nothing new: {hold:words}.",
        lambda o: _first_failed(o) and o.check.name == "holds" and o.hold in o.cycle.risk.holds.values(),
    ),
    "data_said": Sentence("The data check said: {issue.text:words}."),
    "also": Sentence("Also against it: "),
    "against": Sentence(
        "{check.name:name} {check.value:*} ({check.operator:operator} {check.limit:*})",
        lambda o: not o.check.passed,
    ),
    "against_flag": Sentence("{check.name:name}", lambda o: not o.check.passed),
    "nearest": Sentence(
        "Nearest to a yes of these: {near.check:name}, {near.gap:*gap} away.",
    ),
    "only_one": Sentence("Everything else passed.", lambda o: _failed(o.cycle) == 1),
    "leaning": Sentence(
        "The votes came to {cycle.result.forecast.score:score}, confidence"
        " {cycle.result.forecast.confidence:share}: "
    ),
    "held": Sentence(
        "No new trade in {cycle.instrument:symbol} at {cycle.at:when} {cycle.id:id}: it held"
        " {direction(position.quantity):name} {size(position.quantity):units} since {position.opened_at:when},"
        " and nothing asked it to leave.",
        lambda o: o.cycle.result.outcome == "held" and o.position.instrument == o.cycle.instrument,
    ),
    "did_enter": Sentence(
        "There was one: at {cycle.at:when} it decided to {cycle.result.proposal.side:to_buy}"
        " {cycle.instrument:symbol} {cycle.id:id}.",
        _outcome("entered"),
    ),
    "did_exit": Sentence(
        "No entry in {cycle.instrument:symbol} at {cycle.at:when}: it decided to close what it held, by"
        " {cycle.result.proposal.reason:name} {cycle.id:id}.",
        _outcome("exited"),
    ),
    "coverage": Sentence(
        "The records of {first.instrument:symbol} begin at {first.at:when} {first.id:id} and end at"
        " {last.at:when} {last.id:id}.",
        lambda o: o.first.instrument == o.last.instrument and o.first.at <= o.last.at,
    ),
    "coverage_all": Sentence(
        "The records begin at {first.at:when} {first.id:id} and end at {last.at:when} {last.id:id}.",
        lambda o: o.first.at <= o.last.at,
    ),
    "no_decision": Sentence(
        "There is no record of a decision on {instrument(days):symbol} from {since(days):day} to"
        " {until(days):day}.",
        lambda o: not o.days.records,
    ),
    "no_decision_day": Sentence(
        "There is no record of a decision on {instrument(days):symbol} on {since(days):day} UTC.",
        lambda o: not o.days.records and o.days.asked["since"] == o.days.asked["until"],
    ),
    "no_entry": Sentence(
        "No decision to enter {instrument(days):symbol} is recorded from {since(days):day} to {until(days):day}.",
        lambda o: not any(r.result.outcome == "entered" for r in o.days.records) and o.days.whole,
    ),
    "no_entry_day": Sentence(
        "No decision to enter {instrument(days):symbol} is recorded on {since(days):day}.",
        lambda o: (
            not any(r.result.outcome == "entered" for r in o.days.records)
            and o.days.asked["since"] == o.days.asked["until"]
        ),
    ),
    "no_exit_day": Sentence(
        "No trade in {instrument(trades):symbol} was closed on {since(trades):day}.",
        lambda o: not o.trades.records and o.trades.asked["since"] == o.trades.asked["until"],
    ),
    "no_exit": Sentence(
        "No trade in {instrument(trades):symbol} was closed from {since(trades):day} to {until(trades):day}.",
        lambda o: not o.trades.records,
    ),
    "no_exit_ever": Sentence(
        "No closed trade in {instrument(trades):symbol} is recorded.", lambda o: not o.trades.records
    ),
    "no_entry_ever": Sentence(
        "No decision to enter {instrument(some):symbol} is recorded.", lambda o: not o.some.records
    ),
    "several_entries": Sentence(
        "{count(some):count} decisions to enter in that time; the newest:",
        lambda o: o.some.asked["outcome"] == "entered",
    ),
    "several_trades": Sentence(
        "{count(trades):count} trades were closed in that time; the newest:",
    ),
    # --- a period ---
    "period": Sentence(
        "{instrument(days):symbol}, {since(days):day} to {until(days):day}: {count(days):count} decisions: ",
        lambda o: o.days.whole,
    ),
    "period_cut": Sentence(
        "{instrument(days):symbol}, {since(days):day} to {until(days):day}; of more decisions the newest"
        " {count(days):count}: ",
        lambda o: not o.days.whole,
    ),
    "outcome": Sentence("{count(some):count} {outcome(some):name}"),
    "refusals": Sentence("First against a trade: "),
    "refusal": Sentence("{refused_by(some):name} in {count(some):count}"),
    "closest": Sentence(
        "Nearest to a trade: {cycle.at:when} {cycle.id:id}, {failed(cycle.result.review.checks):count} against"
        " it; furthest off was {check.name:name}, {check.value:*} where {check.operator:operator} {check.limit:*}"
        " was needed.",
        lambda o: not o.check.passed,
    ),
    "closest_flag": Sentence(
        "Nearest to a trade: {cycle.at:when} {cycle.id:id}, {failed(cycle.result.review.checks):count} against"
        " it; furthest off was {check.name:name}.",
        lambda o: not o.check.passed,
    ),
    # --- a size ---
    "size_of": Sentence(
        "{cycle.instrument:symbol} at {cycle.at:when} {cycle.id:id}: size {cycle.result.size.quantity:units}, worth"
        " {cycle.result.size.weight:share} of equity, bound by {cycle.result.size.bound_by:name}."
    ),
    "step": Sentence(
        "{step.name:name}: {step.before:share} to {step.after:share} ({step.reason:words})",
        lambda o: not o.step.bound,
    ),
    "step_bound": Sentence(
        "{step.name:name}: {step.before:share} to {step.after:share}, it bound ({step.reason:words})",
        lambda o: o.step.bound,
    ),
    # --- an open position ---
    "holding": Sentence(
        "It held {direction(position.quantity):name} {size(position.quantity):units} {position.instrument:symbol}"
        " at {cycle.at:when} {cycle.id:id}, opened at {position.average_price:price}, {position.opened_at:when}"
        " {entry.id:id}.",
        lambda o: o.position.entry_decision == o.entry.id,
    ),
    "holding_unplanned": Sentence(
        "It held {direction(position.quantity):name} {size(position.quantity):units} {position.instrument:symbol}"
        " at {cycle.at:when} {cycle.id:id}, opened at {position.average_price:price},"
        " {position.opened_at:when}."
    ),
    "so_far": Sentence(
        "Held for {position.bars_held:bars}; at {mark:price} the profit so far was"
        " {profit(mark, position.average_price, position.quantity, position.fees):gain}, entry fees paid.",
        lambda o: o.cycle.portfolio.marks[o.position.instrument] == o.mark,
    ),
    "levels": Sentence(
        "The stop rests at {position.stop:price} ({distance(mark, position.stop):change} away), the target at"
        " {position.target:price} ({distance(mark, position.target):change}).",
        lambda o: o.cycle.portfolio.marks[o.position.instrument] == o.mark,
    ),
    "stays": Sentence("Nothing closes it yet: ", lambda o: all(check.passed for check in o.cycle.result.exits)),
    "stay": Sentence(
        "{exit_check.name:name} {exit_check.value:*}, {exit_check.operator:bound}"
        " {exit_check.limit:*} ({exit_check.headroom:*gap} left)",
        lambda o: o.exit_check.passed,
    ),
    "stay_flag": Sentence("{exit_check.name:name}: {exit_check.value:*}", lambda o: o.exit_check.passed),
    "leaving_now": Sentence(
        "It decided to close it at that bar, by {cycle.result.proposal.reason:name}.", _outcome("exited")
    ),
    "flat": Sentence(
        "It held no {cycle.instrument:symbol} at {cycle.at:when} {cycle.id:id}.",
        lambda o: all(p.instrument != o.cycle.instrument for p in o.cycle.portfolio.positions),
    ),
    # --- counts and profit ---
    "trades": Sentence(
        "{count(trades):count} closed trades, {instrument(trades):symbol}, {since(trades):day} to"
        " {until(trades):day}: {wins(trades.net):count} gained, {losses(trades.net):count} lost,"
        " net {sum(trades.net):gain}.",
        lambda o: o.trades.whole,
    ),
    "trades_cut": Sentence(
        "The newest {count(trades):count} of more closed trades, {instrument(trades):symbol}, {since(trades):day}"
        " to {until(trades):day}: net {sum(trades.net):gain}.",
        lambda o: not o.trades.whole,
    ),
    "profit": Sentence(
        "Gross {sum(trades.gross):gain} less fees {sum(trades.fees):money}; slippage of"
        " {sum(trades.slippage):money} is inside gross.",
    ),
    "open_profit": Sentence(
        "Open and not counted: {position.instrument:symbol}, {profit(mark, position.average_price,"
        " position.quantity, position.fees):gain} so far at {cycle.at:when} {cycle.id:id}.",
        lambda o: o.cycle.portfolio.marks[o.position.instrument] == o.mark,
    ),
    "no_trades": Sentence(
        "No trade was closed, {instrument(trades):symbol}, {since(trades):day} to {until(trades):day}.",
        lambda o: not o.trades.records,
    ),
    "best": Sentence(
        "The best of {count(trades):count} closed trades by net profit:",
        lambda o: o.trade.net == max(trade.net for trade in o.trades.records),
    ),
    "worst": Sentence(
        "The worst of {count(trades):count} closed trades by net profit:",
        lambda o: o.trade.net == min(trade.net for trade in o.trades.records),
    ),
    "last": Sentence(
        "The last of {count(trades):count} closed trades:",
        lambda o: o.trade.closed_at == max(trade.closed_at for trade in o.trades.records),
    ),
    # --- the desk itself ---
    "state": Sentence(
        "The desk was {cycle.result.risk.trading:name} at {cycle.at:when} {cycle.id:id}, with equity of"
        " {cycle.result.risk.last_equity:money}."
    ),
    "held_nothing": Sentence("It held nothing.", lambda o: not o.cycle.portfolio.positions),
    "holds": Sentence("It held {direction(position.quantity):name} {size(position.quantity):units}"
                      " {position.instrument:symbol} at {position.average_price:price}."),
    "switched": Sentence(
        "{command.by:words} asked for {command.kind:name} from {command.source:words} at {command.at:when}:"
        " {command.text:words} {command.id:id}."
    ),
    "breaker": Sentence(
        "A breaker halted the desk at {incident.at:when}: {incident.text:words} {incident.id:id}.",
        lambda o: o.incident.name == "breaker",
    ),
    "incident": Sentence(
        "Incident {incident.name:name} at {incident.at:when}: {incident.text:words} {incident.id:id}."
    ),
    "started": Sentence(
        "The desk {start.desk:words} started at {start.at:when} with settings {start.settings_hash:words}"
        " {start.id:id}."
    ),
    "reported": Sentence("The report of {report.day:words} was made at {report.at:when} {report.id:id}."),
    "never_halted": Sentence(
        "No halt is recorded; the desk was {cycle.result.risk.trading:name} at {cycle.at:when} {cycle.id:id}.",
        lambda o: o.cycle.result.risk.trading == "active",
    ),
    "end": Sentence("."),
}  # fmt: skip


def _failed(cycle: Any) -> int:
    return sum(not check.passed for check in cycle.result.review.checks)
