import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from engine.core.domain.errors import Impossible, StoreFailed
from engine.core.domain.order import Fill, Side
from engine.core.domain.records import (
    CommandRecord,
    FillRecord,
    IncidentRecord,
    Record,
    ReportRecord,
    TradeRecord,
)
from engine.store.journal import SqlJournal

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def incident(number: int, text: str = "") -> IncidentRecord:
    return IncidentRecord(f"i-{number}", at(number), "test", text, {"n": str(number)}, None)


def command(number: int, instrument: str = "BTC", *, accepted: bool = True) -> CommandRecord:
    return CommandRecord(
        id=f"k-{number}",
        at=at(number),
        kind="close",
        by="me",
        source="console",
        key=str(number),
        instrument=instrument,
        reason="",
        accepted=accepted,
        text="",
        risk=None,
    )


def fill(number: int, decision: str, order: str) -> FillRecord:
    one = Decimal(1)
    return FillRecord(
        f"f-{number}",
        at(number),
        Fill(str(number), order, decision, "BTC", Side.BUY, one, one, one, one, "e", "entry", at(number)),
    )


def trade(number: int, decision: str, order: str) -> TradeRecord:
    one = Decimal(1)
    return TradeRecord(
        id=f"t-{number}",
        at=at(number),
        trade=f"trade-{number}",
        instrument="BTC",
        side=Side.BUY,
        quantity=one,
        entry_price=one,
        exit_price=one,
        opened_at=at(0),
        closed_at=at(number),
        bars_held=1,
        gross=one,
        fees=one,
        slippage=one,
        net=one,
        return_share=0.0,
        exit_reason="stop",
        entry_decision=decision,
        exit_order=order,
        attribution={},
    )


@pytest.fixture
def journal(url: str) -> Iterator[SqlJournal]:
    journal = SqlJournal(url)
    yield journal
    journal.close()


def numbers(found: Any) -> list[int]:
    return [stored.sequence for stored in found]


async def test_what_was_appended_is_read_back_in_order(journal: SqlJournal) -> None:
    records: list[Record] = [
        incident(1),
        command(2),
        ReportRecord("r-3", at(3), "2026-01-01", {"net": Decimal("0.10")}, ""),
    ]

    stored = await journal.append(records[:2]) + await journal.append(records[2:])

    assert numbers(stored) == [1, 2, 3]
    assert [each.record for each in stored] == records
    assert tuple(journal.read()) == stored
    assert tuple(journal.read(2, 2)) == stored[1:2]
    assert tuple(journal.read(4)) == ()
    assert (journal.count(), journal.head()) == (3, (3, stored[-1].hash))
    assert journal.get("k-2") == stored[1]
    assert journal.get("nothing") is None


async def test_an_empty_journal_answers(journal: SqlJournal) -> None:
    seen = journal.verify()

    assert (journal.count(), tuple(journal.read()), journal.find()) == (0, (), ())
    assert (seen.records, seen.chain_ok, seen.head) == (0, True, "00" * 32)
    assert await journal.append([]) == ()


async def test_the_same_record_again_is_not_written_twice(journal: SqlJournal) -> None:
    first = await journal.append([incident(1), incident(2)])
    again = await journal.append([incident(2), incident(3), incident(2)])

    assert numbers(again) == [2, 3, 2]
    assert again[0] == first[1]
    assert journal.count() == 3
    assert journal.verify().chain_ok


async def test_other_content_under_an_id_is_refused_and_its_batch_with_it(journal: SqlJournal) -> None:
    await journal.append([incident(1)])

    with pytest.raises(Impossible, match="record i-1 is stored already, with other content"):
        await journal.append([incident(2), incident(1, "other"), incident(3)])

    assert journal.count() == 1
    assert numbers(await journal.append([incident(2)])) == [2]
    assert journal.verify().chain_ok


async def test_many_who_append_at_once_each_get_their_own_records_in_order(journal: SqlJournal) -> None:
    async def write(writer: int) -> list[int]:
        mine = []
        for turn in range(5):
            first, second = (incident(writer * 100 + turn * 2 + each) for each in (1, 2))
            stored = await journal.append([first, second])
            assert [each.record for each in stored] == [first, second]
            mine += numbers(stored)
        return mine

    written = await asyncio.gather(*(write(writer) for writer in range(64)))

    assert all(mine == sorted(mine) for mine in written)
    assert all(
        after == before + 1 for mine in written for before, after in zip(mine[::2], mine[1::2], strict=True)
    )
    assert sorted(number for mine in written for number in mine) == list(range(1, 641))
    assert journal.verify(deep=True).chain_ok


async def test_one_contradiction_among_many_who_wait_harms_nobody_else(journal: SqlJournal) -> None:
    await journal.append([incident(1)])

    answers = await asyncio.gather(
        *(journal.append([incident(number)]) for number in range(10, 20)),
        journal.append([incident(30), incident(1, "other")]),
        *(journal.append([incident(number)]) for number in range(20, 30)),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers if isinstance(answer, Exception)] == [Impossible]
    assert journal.count() == 21
    assert journal.get("i-30") is None
    assert journal.verify().chain_ok


async def test_a_caller_that_gives_up_waiting_disturbs_no_other(journal: SqlJournal) -> None:
    tired = asyncio.create_task(journal.append([incident(1)]))
    patient = asyncio.create_task(journal.append([incident(2)]))
    await asyncio.sleep(0)
    tired.cancel()

    await patient

    assert journal.verify().chain_ok
    assert journal.get("i-2") is not None


async def test_a_journal_that_is_opened_again_goes_on(url: str) -> None:
    for turn in range(3):
        journal = SqlJournal(url)
        assert numbers(await journal.append([incident(turn)])) == [turn + 1]
        journal.close()

    with closing(SqlJournal(url, read_only=True)) as reader:
        seen = reader.verify(deep=True)
    assert (seen.records, seen.chain_ok) == (3, True)


async def test_closing_writes_what_waits_and_refuses_the_rest(url: str) -> None:
    journal = SqlJournal(url)
    waiting = [asyncio.create_task(journal.append([incident(number)])) for number in range(20)]
    await asyncio.sleep(0)

    await asyncio.to_thread(journal.close)

    assert sorted(numbers([(await task)[0] for task in waiting])) == list(range(1, 21))
    with pytest.raises(StoreFailed, match="closed"):
        await journal.append([incident(99)])
    with pytest.raises(StoreFailed, match="closed"):
        journal.append_sync([incident(99)])


async def test_two_writers_extend_one_chain(url: str) -> None:
    one, other = SqlJournal(url), SqlJournal(url)

    for turn in range(10):
        await one.append([incident(turn)])
        await other.append([incident(turn), incident(100 + turn), incident(200 + turn)])
    with pytest.raises(Impossible):
        await other.append([incident(0, "other")])

    assert (one.count(), one.verify(deep=True).chain_ok) == (30, True)
    one.close()
    other.close()


async def test_a_reader_writes_nothing(journal: SqlJournal, url: str) -> None:
    await journal.append([incident(1)])
    reader = SqlJournal(url, read_only=True)

    with pytest.raises(StoreFailed, match="reading only"):
        await reader.append([incident(2)])

    assert reader.count() == 1
    reader.close()


def test_bulk_and_single_writes_make_the_same_chain(journal: SqlJournal) -> None:
    assert journal.append_many(incident(number) for number in range(2500)) == 2500
    assert numbers(journal.append_sync([incident(9999)])) == [2501]
    assert numbers(journal.read(990, 1010)) == list(range(990, 1011))
    seen = journal.verify(deep=True)
    assert (seen.records, seen.chain_ok, seen.head) == (2501, True, journal.head()[1])


def test_records_are_found_by_column_newest_first(journal: SqlJournal) -> None:
    journal.append_sync([incident(1), command(2), command(3, "ETH"), command(4, accepted=False), incident(5)])

    assert numbers(journal.find()) == [5, 4, 3, 2, 1]
    assert numbers(journal.find(kind="command")) == [4, 3, 2]
    assert numbers(journal.find(kind="command", instrument="BTC")) == [4, 2]
    assert numbers(journal.find(instrument="ETH")) == [3]
    assert numbers(journal.find(outcome="refused")) == [4]
    assert numbers(journal.find(kind="command", limit=2, newest_first=False)) == [2, 3]
    assert numbers(journal.find(since=at(2), until=at(4))) == [3, 2]
    assert numbers(journal.find(kind="incident", since=at(2))) == [5]
    assert journal.find(decision="x") == journal.find(client_id="x") == journal.find(trade="x") == ()


def test_what_belongs_to_a_decision_an_order_or_a_trade_is_found(journal: SqlJournal) -> None:
    journal.append_sync([fill(1, "d-1", "o-1"), fill(2, "d-2", "o-2"), incident(3), trade(4, "d-1", "o-2")])

    assert numbers(journal.find(decision="d-1", newest_first=False)) == [1, 4]
    assert numbers(journal.find(client_id="o-2")) == [4, 2]
    assert numbers(journal.find(trade="trade-4")) == [4]
    assert numbers(journal.find(kind="fill", instrument="BTC", decision="d-2", outcome="entry")) == [2]
    assert journal.verify(deep=True).chain_ok


def test_text_that_looks_like_sql_is_only_text(journal: SqlJournal) -> None:
    journal.append_sync([command(1, "x' OR '1'='1"), command(2, "100%s?")])

    assert numbers(journal.find(instrument="x' OR '1'='1")) == [1]
    assert numbers(journal.find(instrument="100%s?")) == [2]


def test_an_export_has_what_was_hashed(journal: SqlJournal) -> None:
    (stored,) = journal.append_sync([incident(1, "it's ünïcode")])

    (line,) = journal.export()

    assert (line["sequence"], line["id"], line["hash"]) == (1, "i-1", stored.hash)
    assert line["record"]["text"] == "it's ünïcode"
    assert line["record"]["type"] == "incident"
