"""What is told of each kind of record, against the figures of the record itself."""

import re
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from bot.alerts import TABLE, Alert, Level, alert, may_alert
from bot.chat.port import Lane
from configs.schema.risk import RiskSettings
from configs.schema.venue import VenueSettings
from engine.core.domain.ids import record_id
from engine.core.domain.order import OrderStatus, Side
from engine.core.domain.records import (
    AccountRecord,
    AnswerRecord,
    CycleRecord,
    FillRecord,
    IncidentRecord,
    Record,
    ReportRecord,
    Wish,
)
from engine.core.domain.risk import RiskState
from engine.core.risk.panel import panel
from tests.builders import (
    CLOSE,
    DAY,
    checks,
    command_record,
    cycle_record,
    decision,
    entry_orders,
    exits,
    fill,
    forecast,
    incident,
    order_record,
    order_request,
    portfolio,
    position,
    settings,
    start_record,
    trade_record,
)
from tests.fakes import ListJournal

ENTRY, STOP, TARGET = entry_orders()


def told(record: Record, *others: Record) -> Alert:
    """The alert of a record, which must be there."""
    found = alert(record, ListJournal(start_record(), *others, record))
    assert found is not None
    return found


def lines(record: Record, *others: Record) -> list[str]:
    """Its lines."""
    return told(record, *others).text.splitlines()


def data(told: Alert) -> dict[str, str]:
    """What its buttons stand for."""
    return {button.label: button.data for row in told.said.buttons for button in row}


def test_an_entry_is_told_with_its_three_strongest_reasons_its_plan_its_size_and_its_cost() -> None:
    assert lines(fill(ENTRY), cycle_record()) == [
        "PAPER: Bought 12.5 SP500 at 1,240.10 USD, 15,501.25 USD in all (16 Oct 2008 21:00 UTC)",
        "Why: the votes add up to +0.440 of 1, confidence 72 %, at least 65 % needed.",
        "- momentum says up: score +0.792 of 1 by weight 33.33 % is +0.264",
        "- trend says up: score +0.660 of 1 by weight 33.33 % is +0.220",
        "- mean reversion says down, against it: score -0.132 of 1 by weight 33.33 % is -0.044",
        "Plan: stop 1,180.00 USD (4.85 % below), target 1,360.00 USD (9.67 % above), out after at most 40 bars.",
        "Size: 15.5 % of equity, bound by risk per trade (stop 4.84% away).",
        "Little room left: gross exposure 46 % of at most 50 % of equity, 4 % left (risk.max_gross).",
        "Cost: fee 15.50 USD, slippage 3.75 USD.",
        f"[{decision()}]",
    ]


def test_more_votes_than_are_named_are_summed_up() -> None:
    votes = {"momentum": 0.2, "trend": 0.15, "breakout": 0.1, "mean_reversion": -0.05, "predicted": 0.04}
    said = lines(fill(ENTRY), cycle_record(forecast=forecast(0.44, **votes)))

    assert said[5] == "- 2 other votes: -0.010 together"
    assert "- breakout says up" in said[4]


def test_a_limit_that_an_entry_does_not_bring_near_is_not_told_with_it() -> None:
    reviewed = checks(gross_exposure=0.399)

    assert not [line for line in lines(fill(ENTRY), cycle_record(reviewed=reviewed)) if "room" in line]


def test_what_a_person_asked_for_says_who() -> None:
    wish = Wish(Side.BUY, Decimal(12), Decimal(0), "ana", "console", "a hunch")

    assert "Why: ana asked for it, “a hunch”." in lines(fill(ENTRY), cycle_record(wish=wish))


def test_a_second_fill_of_an_entry_says_how_much_there_is_and_not_the_reasons_again() -> None:
    first = fill(ENTRY, trade_id="1", quantity=Decimal(5))
    second = fill(ENTRY, CLOSE + 2 * DAY, trade_id="2", quantity=Decimal("7.5"))
    said = lines(second, cycle_record(), first)

    assert said[1:3] == [
        "That is 12.5 SP500 of this entry so far.",
        "Cost: fee 15.50 USD, slippage 2.25 USD.",
    ]
    assert "Why: the votes" in told(first, cycle_record(), second).text


def test_an_entry_that_waits_at_the_venue_is_information_with_the_same_reasons() -> None:
    waiting = told(order_record(ENTRY), cycle_record())

    assert waiting.lane is Lane.INFO
    assert waiting.text.startswith(
        "PAPER: Order to buy 12.5 SP500 is at the venue (15 Oct 2008 21:00 UTC)\nWhy:"
    )
    assert "stop 1,180.00 USD (4.84 % below)" in waiting.text


def test_what_is_held_can_be_asked_about_looked_at_and_closed() -> None:
    entry = told(fill(ENTRY), cycle_record())

    assert data(entry) == {"Why": f"/why {decision()}", "Chart": "/chart SP500", "Close": "/fx SP500"}
    assert entry.said.thread == decision()


def test_a_trade_is_told_once_when_it_is_closed_with_its_cause_and_what_it_cost() -> None:
    closing, trade = fill(STOP, CLOSE + 5 * DAY), trade_record(CLOSE + 5 * DAY)
    others = (start_record(), cycle_record(), order_record(STOP), closing, trade)

    assert alert(closing, ListJournal(*others)) is None
    found = told(trade, *others[1:-1])
    assert found.level is Level.NOTICE
    assert found.text.splitlines() == [
        "PAPER: Closed long 12.5 SP500 at 1,180.10 USD by stop: net -780.25 USD (-5.03 %) (20 Oct 2008 21:00 UTC)",
        "Why: its stop was reached, 1,180.00 USD; it filled at 1,180.10 USD.",
        "Entered at 1,240.10 USD, 16 Oct 2008 21:00 UTC; held for 4 bars.",
        "Gross -750.00 USD less fees 30.25 USD; slippage 7.50 USD is inside gross.",
        "By the votes that opened it: momentum -520.17 USD, trend -260.08 USD.",
        f"[{trade.id}]",
    ]
    assert found.said.thread == trade.entry_decision
    assert data(found) == {"Why": f"/why {trade.id}", "Chart": "/chart SP500"}


def test_a_close_by_a_decision_says_the_reading_and_what_it_would_have_needed() -> None:
    when = CLOSE + 4 * DAY
    leaving = cycle_record("exited", when, held=position(), watched=exits(trailing=1190.0))
    order = leaving.result.orders[0]
    trade = trade_record(when + DAY, exit_reason="trailing", exit_order=order.client_id)
    said = told(trade, leaving, order_record(order), fill(order)).text

    assert (
        "Why: the close came too far back from its best: 1,190.00 USD, at least 1,198.25 USD to stay"
        " (decision.trail_atr)." in said
    )


def test_a_close_by_a_person_says_who_and_why() -> None:
    order = order_request("", "m", Side.SELL, reason="command")
    wish = command_record("close", reason="enough", orders=(order,), instrument="SP500")
    trade = trade_record(exit_reason="command", exit_order=order.client_id)

    assert "Why: ana asked for it, “enough”." in told(trade, wish, fill(order)).text


def test_dust_and_parts_of_trades_are_told() -> None:
    assert "written off: 0.002 SP500" in told(trade_record(dust=Decimal("0.002"))).text


def test_a_part_of_an_exit_alerts_by_itself_in_the_thread_of_its_entry() -> None:
    held = position()
    part = told(fill(STOP), cycle_record("held", held=held))

    assert part.text.startswith("PAPER: Sold 12.5 SP500 at 1,179.70 USD, 14,746.25 USD in all, by stop")
    assert "The rest is still held." in part.text
    assert part.said.thread == held.entry_decision


def test_a_pair_is_priced_in_its_second_half() -> None:
    request = order_request(instrument="ETH/BTC")

    assert "at 0.05 BTC, 0.625 BTC in all" in told(fill(request, price=Decimal("0.05"))).text


def test_halts_and_incidents_are_urgent() -> None:
    halt, trouble = told(command_record()), told(incident())

    assert (halt.level, trouble.level) == (Level.URGENT, Level.URGENT)
    assert halt.text.startswith("PAPER: ana asked for kill, “news tonight”: halted: nothing that adds risk")
    assert trouble.text.startswith("PAPER: The desk has halted itself: daily loss 4.40% is above 4.00%")
    assert (halt.said.thread, trouble.said.thread) == ("state", "state")


def test_a_wish_that_was_refused_says_so() -> None:
    refused = told(command_record("enter", accepted=False, text="gross exposure is used up"))

    assert "ana asked for enter (refused), “news tonight”: gross exposure is used up" in refused.text
    assert refused.lane is Lane.NOTICE


@pytest.mark.parametrize(
    ("name", "text", "said", "lane"),
    [
        (
            "hold venue",
            "silent for 31 s",
            "Venue trouble, nothing new is opened: silent for 31 s",
            Lane.URGENT,
        ),
        ("hold venue", "over: silent for 31 s", "Venue trouble is over: silent for 31 s", Lane.NOTICE),
        (
            "hold data BTC/USDT",
            "no bar",
            "Data trouble (BTC/USDT), nothing new is opened: no bar",
            Lane.URGENT,
        ),
        (
            "hold model",
            "signal is silent",
            "Model trouble, nothing new is opened: signal is silent",
            Lane.URGENT,
        ),
        (
            "hold refused BTC/USDT",
            "no margin",
            "The venue keeps refusing (BTC/USDT), nothing new",
            Lane.URGENT,
        ),
        ("change", "new: code", "Something is new since the last start: new: code", Lane.NOTICE),
        ("order found again", "wd1", "Venue trouble, an order was found again: wd1", Lane.NOTICE),
        ("lock", "BTC/USDT is locked", "Locked until somebody unlocks it: BTC/USDT is locked", Lane.URGENT),
        ("quake", "the floor moved", "Incident quake: the floor moved", Lane.URGENT),
    ],
)
def test_trouble_is_called_by_its_kind_and_its_end_is_not_urgent(
    name: str, text: str, said: str, lane: Lane
) -> None:
    found = told(incident(name=name, text=text))

    assert found.text.startswith(f"PAPER: {said}")
    assert found.lane is lane
    assert found.said.thread == name


def test_protection_that_is_lost_is_urgent_and_an_entry_that_expires_is_not() -> None:
    lost = told(order_record(STOP, OrderStatus.REFUSED, "no margin"), cycle_record("held", held=position()))
    late = told(order_record(ENTRY, OrderStatus.EXPIRED, "too late"))

    assert (lost.level, late.level) == (Level.URGENT, Level.NOTICE)
    assert lost.text.splitlines()[0].startswith(
        "PAPER: Order to sell 12.5 SP500 at 1,180.00 USD (stop) is refused: no margin"
    )
    assert "12.5 SP500 is held without it" in lost.text
    assert data(lost)["Close"] == "/fx SP500"
    assert "Nothing was opened by it." in late.text


def test_an_order_without_an_answer_is_told_as_unknown() -> None:
    assert "it is looked up" in told(order_record(ENTRY, OrderStatus.UNKNOWN, "no answer within 4 s")).text
    assert alert(order_record(ENTRY, OrderStatus.UNKNOWN, "sending"), ListJournal()) is None


def test_what_goes_as_planned_makes_no_noise() -> None:
    answer = AnswerRecord("q-1", CLOSE, "ana", "why?", "so", False, ())
    theirs = AccountRecord("a-1", CLOSE, {}, {"BTC": Decimal(1)}, "found at the start")
    quiet: list[Record] = [
        *[cycle_record(outcome) for outcome in ("entered", "no_signal", "refused")],
        order_record(STOP),
        order_record(status=OrderStatus.CANCELLED),
        order_record(status=OrderStatus.FILLED),
        answer,
        theirs,
    ]

    assert [alert(record, ListJournal(start_record(), record)) for record in quiet] == [None] * len(quiet)
    assert not any(may_alert(record) for record in [*quiet[:3], answer])


def test_money_that_left_the_books_without_an_order_is_urgent() -> None:
    gone = AccountRecord("a-1", CLOSE, {}, {}, "taken out", Decimal("-12.5"), {"BTC/USDT": Decimal("-0.01")})
    found = told(gone)

    assert "-12.50 USD of cash, -0.01 BTC/USDT: taken out" in found.text
    assert found.lane is Lane.URGENT


def test_a_start_is_information_and_names_what_it_runs_with() -> None:
    found = alert(start_record(), ListJournal(start_record()))

    assert found is not None and found.level is Level.INFO
    assert "The desk desk started, code 0.1.0" in found.text
    assert "models signal; 0 records recovered" in found.text


def test_a_report_is_told_with_its_totals_in_money() -> None:
    totals = {
        "equity": Decimal("100412.3"),
        "equity_change": Decimal("-12"),
        "net": Decimal(5),
        "fees": Decimal("1.5"),
    }
    found = told(ReportRecord("r-2008-10-15", CLOSE, "2008-10-15", totals, "text"))

    assert "Report for 2008-10-15 (UTC): equity 100,412.30 USD (-12.00 USD)" in found.text
    assert "fees 1.50 USD" in found.text
    assert data(found)["All of it"] == "/report 2008-10-15"


@pytest.mark.parametrize(("kind", "mode"), [("paper", "PAPER"), ("binance", "LIVE")])
def test_every_alert_says_where_orders_go(kind: Any, mode: str) -> None:
    start = start_record(chosen=settings("SP500/USD", venue=VenueSettings(kind=kind)))

    for record in (fill(ENTRY), trade_record(), command_record(), incident()):
        found = alert(record, ListJournal(start, record))
        assert found is not None
        assert found.text.startswith(f"{mode}: ")


def test_without_a_start_on_record_the_mode_is_not_guessed() -> None:
    found = alert(command_record(), ListJournal())

    assert found is not None and found.text.startswith("MODE UNKNOWN: ")


# --- limits ---


def lost(before: str, after: str, high: str = "100000", day: str = "100000", **changed: Any) -> CycleRecord:
    """A look that saw the desk fall from one equity to another."""
    was = RiskState(
        day="2008-10-15", high_water=Decimal(high), day_equity=Decimal(day), last_equity=Decimal(before)
    )
    was = replace(was, **changed)
    cycle = cycle_record(
        "no_signal", risk=was, portfolio=portfolio(cash=after, marks={"SP500": Decimal(1240)})
    )
    result = replace(cycle.result, risk=replace(was, last_equity=Decimal(after)))
    return replace(cycle, result=result)


def test_a_loss_that_uses_up_four_fifths_of_a_limit_is_told_and_the_gravest_comes_first() -> None:
    found = told(lost("97000", "95900", day="97500"))

    assert found.lane is Lane.URGENT
    assert found.text.splitlines() == [
        "PAPER: Little room left: drawdown 4.1 %, at most 5 % of equity (risk.max_drawdown), 0.9 points left; beyond"
        " it the desk halts and closes everything (15 Oct 2008 21:00 UTC)",
        "Little room left: daily loss 1.64 %, at most 2 % of equity (risk.max_daily_loss), 0.359 points left; beyond"
        " it nothing new is opened today",
        "Equity 95,900.00 USD.",
        f"[{decision()}]",
    ]


def test_a_limit_is_told_once_and_again_only_after_it_had_room() -> None:
    start = start_record()

    def tells(*equities: str) -> list[bool]:
        looks = [lost(before, after, day="95950") for before, after in pairwise(equities)]
        return [alert(look, ListJournal(start, look)) is not None for look in looks]

    assert tells("97000", "95990", "95900", "95800") == [True, False, False]
    assert tells("96100", "95990", "96500", "95980") == [True, False, True]


def test_the_figures_of_a_limit_are_those_of_the_risk_panel() -> None:
    look = lost("97000", "95500", day="97000")
    shown = {
        check.key: check
        for check in panel(look.portfolio, look.result.risk, settings(), CLOSE)
        if check.key in ("risk.max_drawdown", "risk.max_daily_loss")
    }
    found = told(look).text

    assert f"drawdown {shown['risk.max_drawdown'].value * 100:.3g} %" in found
    near = shown["risk.max_daily_loss"]
    assert ("max_daily_loss" in found) == (near.value >= 0.8 * near.limit)


def test_a_limit_that_somebody_tightened_counts_as_it_is_now() -> None:
    loose = lost("99000", "97600", day="0")
    tight = lost("99000", "97600", day="0", limits={"max_drawdown": 0.03})

    assert alert(loose, ListJournal(start_record(), loose)) is None
    assert "drawdown 2.4 %, at most 3 % of equity" in told(tight).text


def test_a_new_day_begins_with_all_its_room() -> None:
    look = lost("98300", "98250", day="100000")
    next_day = replace(
        look,
        result=replace(
            look.result, risk=replace(look.result.risk, day="2008-10-16", day_equity=Decimal(98300))
        ),
    )

    assert alert(next_day, ListJournal(start_record())) is None


def test_what_has_halted_the_desk_is_told_by_its_incident_alone() -> None:
    halted_by_it = lost("97000", "94000", day="0")

    assert alert(halted_by_it, ListJournal(start_record(), halted_by_it)) is None


def test_a_desk_that_did_not_lose_is_not_even_looked_at() -> None:
    assert not may_alert(lost("95000", "95000"))
    assert may_alert(lost("95000", "94999"))


# --- all of them ---

EVERY: tuple[Record, ...] = (
    fill(ENTRY),
    fill(STOP),
    trade_record(),
    order_record(ENTRY),
    order_record(STOP, OrderStatus.REFUSED, "no margin"),
    command_record(),
    incident(),
    start_record(),
    lost("97000", "95900"),
    ReportRecord("r-2008-10-15", CLOSE, "2008-10-15", {}, ""),
    AccountRecord("a-1", CLOSE, {}, {}, "taken out", Decimal(-1)),
)


@pytest.mark.parametrize("record", EVERY, ids=[type(each).__name__ for each in EVERY])
def test_each_cites_its_record_has_a_time_and_buttons_that_fit(record: Record) -> None:
    found = told(record, *([] if isinstance(record, CycleRecord) else [cycle_record()]))

    assert re.search(r"\[[a-z]+-[^\]]+\]$", found.text)
    assert re.search(r"\(\d+ [A-Z][a-z]{2} \d{4} \d\d:\d\d(:\d\d)? UTC\)", found.text.splitlines()[0])
    for pressed in data(found).values():
        assert pressed.isascii() and pressed.startswith("/") and len(pressed) <= 60


def test_every_kind_that_may_alert_has_been_told_here() -> None:
    assert {type(each) for each in EVERY} == set(TABLE)


def test_a_record_with_hostile_words_stays_on_its_lines() -> None:
    nasty = IncidentRecord(
        record_id("i", CLOSE, "x"), CLOSE, "hold\nvenue", "a\n```\nb\x1b[31m" * 50, {}, None
    )

    assert len(lines(nasty)) == 2
    assert max(map(len, lines(nasty))) < 300


def test_the_default_limits_are_those_that_the_brinks_are_read_from() -> None:
    for key in ("max_drawdown", "halt_daily_loss", "max_daily_loss"):
        assert start_record().values["risk"][key] == getattr(RiskSettings(), key)


def test_a_fill_whose_decision_is_lost_is_told_all_the_same() -> None:
    alone: FillRecord = fill(ENTRY)

    assert lines(alone)[-1] == f"[{alone.id}]"
