from bot.alerts import Alert, Level, alert
from engine.core.domain.order import OrderStatus
from engine.core.domain.records import Record
from tests.builders import (
    CLOSE,
    DAY,
    command_record,
    cycle_record,
    decision,
    entry_orders,
    fill,
    incident,
    order_record,
    start_record,
    trade_record,
)
from tests.fakes import ListJournal


def told(record: Record, *others: Record) -> Alert:
    """The alert of a record, which must be there."""
    found = alert(record, ListJournal(*others, record))
    assert found is not None
    return found


def test_an_entry_alerts_with_its_reason_and_the_id_to_ask_about() -> None:
    assert told(fill(entry_orders()[0]), cycle_record()).text == (
        "Bought 12.5 SP500 at 1,240.10: momentum and trend agree (confidence 72 %, at least 65 % needed)"
        f" [{decision()}]"
    )


def test_a_trade_alerts_once_when_it_is_closed() -> None:
    stop = entry_orders()[1]
    closing, trade = fill(stop, CLOSE + 5 * DAY), trade_record(CLOSE + 5 * DAY)
    journal = ListJournal(cycle_record(), closing, trade)

    assert alert(closing, journal) is None
    found = alert(trade, journal)
    assert found is not None
    assert found.level is Level.NOTICE
    assert "closed long 12.5 SP500 by stop" in found.text


def test_a_part_of_an_exit_alerts_by_itself() -> None:
    assert told(fill(entry_orders()[1])).text.startswith("Sold 12.5 SP500 at 1,179.70: by stop [f-")


def test_halts_and_incidents_are_urgent() -> None:
    halt, trouble = told(command_record()), told(incident())

    assert (halt.level, trouble.level) == (Level.URGENT, Level.URGENT)
    assert halt.text.startswith("ana asked for kill, “news tonight”: halted: nothing that adds risk")
    assert trouble.text.startswith("Incident breaker: daily loss 4.40% is above 4.00%")


def test_protection_that_is_lost_is_urgent_and_an_entry_that_expires_is_not() -> None:
    entry, stop, _ = entry_orders()

    assert told(order_record(stop, OrderStatus.REFUSED, "no margin")).level is Level.URGENT
    assert told(order_record(entry, OrderStatus.EXPIRED, "too late")).level is Level.NOTICE


def test_what_goes_as_planned_makes_no_noise() -> None:
    quiet: list[Record] = [
        cycle_record("no_signal"),
        order_record(),
        order_record(status=OrderStatus.CANCELLED),
    ]

    assert [alert(record, ListJournal(record)) for record in quiet] == [None, None, None]


def test_a_start_is_information() -> None:
    assert told(start_record()).level is Level.INFO
