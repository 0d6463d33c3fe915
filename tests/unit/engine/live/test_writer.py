import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.core.accounting.fold import DeskState
from engine.core.domain.errors import Impossible, StoreFailed
from engine.core.domain.events import Recorded
from engine.core.domain.order import OrderStatus
from engine.core.domain.records import Record
from engine.live.bus import Bus
from engine.live.writer import Writer
from engine.ports import StoredRecord
from engine.store.journal import SqlJournal
from tests import builders
from tests.builders import CLOSE, DAY, portfolio
from tests.fakes import ListJournal

ENTRY = builders.order_request()


def incident(number: int) -> Record:
    return builders.incident(text=str(number), at=CLOSE + number * DAY)


class LateJournal(ListJournal):
    """Makes the first append wait until it is let go; a record of number `refuse` cannot be written."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()
        self.refuse = False

    async def append(self, records: Sequence[Record]) -> tuple[StoredRecord, ...]:
        first = not self.count()
        if self.refuse:
            raise StoreFailed("the disk is full")
        stored = await super().append(records)
        if first:
            await self.let_go.wait()
        return stored


@pytest.fixture
def heard() -> list[int]:
    return []


def writer_on(journal: Any, heard: list[int], state: DeskState | None = None) -> Writer:
    bus = Bus()
    bus.listen(lambda event: heard.append(event.sequence))
    return Writer(journal, bus, state or DeskState(portfolio=portfolio()), 0)


async def test_writes_that_overlap_are_told_in_the_order_of_their_numbers(heard: list[int]) -> None:
    journal = LateJournal()
    writer = writer_on(journal, heard)
    writes = [asyncio.create_task(writer.write([incident(number)])) for number in range(8)]
    await asyncio.sleep(0)
    assert heard == [], "nothing is told before it is durable"

    journal.let_go.set()
    await asyncio.gather(*writes)

    assert heard == list(range(1, 9))
    assert writer.sequence == 8


async def test_many_writers_keep_the_state_and_the_chain_together(tmp_path: Path, heard: list[int]) -> None:
    journal = SqlJournal(tmp_path / "journal.db", synchronous="NORMAL")
    writer = writer_on(journal, heard)

    await asyncio.gather(*(writer.write([incident(2 * n), incident(2 * n + 1)]) for n in range(50)))

    assert heard == list(range(1, 101))
    assert (writer.sequence, journal.count()) == (100, 100)
    journal.close()


async def test_a_fill_that_is_in_the_journal_already_is_not_booked_twice(heard: list[int]) -> None:
    held = DeskState(portfolio=portfolio(orders=(builders.open_order(ENTRY),)))
    writer = writer_on(ListJournal(), heard, held)
    await writer.write([builders.fill(ENTRY)])
    cash = writer.state.portfolio.cash

    await writer.write([builders.fill(ENTRY)])
    await writer.write([builders.fill(ENTRY), incident(1)])

    assert cash < held.portfolio.cash
    assert writer.state.portfolio.cash == cash
    assert heard == [1, 2]


async def test_the_same_fill_with_another_price_is_refused_and_changes_nothing(heard: list[int]) -> None:
    writer = writer_on(ListJournal(), heard)
    await writer.write([builders.fill(ENTRY)])
    before = writer.state

    with pytest.raises(Impossible):
        await writer.write([builders.fill(ENTRY, fee=builders.decimal("99"))])

    assert writer.state == before


async def test_what_cannot_follow_is_refused_before_it_is_durable(heard: list[int]) -> None:
    """A record that the fold cannot take would be read by every start to come, and end each of them."""
    journal = ListJournal()
    writer = writer_on(journal, heard, DeskState(portfolio=portfolio(orders=(builders.open_order(ENTRY),))))
    before = writer.state

    with pytest.raises(Impossible, match="an order cannot go from accepted to intent"):
        await writer.write([incident(1), builders.order_record(ENTRY, OrderStatus.INTENT)])

    assert (journal.count(), writer.state, heard) == (0, before, [])


async def test_what_is_known_may_come_again_beside_what_is_new(heard: list[int]) -> None:
    """An intent that was answered since cannot follow its answer, but it was there before."""
    journal = ListJournal()
    writer = writer_on(journal, heard)
    intent = builders.order_record(ENTRY, OrderStatus.INTENT)
    held = DeskState(portfolio=portfolio(orders=(builders.open_order(ENTRY, OrderStatus.INTENT),)))
    writer.state = held
    await writer.write([intent, builders.order_record(ENTRY, OrderStatus.ACCEPTED)])

    await writer.write([intent, incident(1)])

    assert heard == [1, 2, 3]
    known = writer.state.portfolio.order(ENTRY.client_id)
    assert known is not None
    assert known.status is OrderStatus.ACCEPTED


async def test_what_cannot_be_written_leaves_the_state_as_it_was(heard: list[int]) -> None:
    journal = LateJournal()
    writer = writer_on(journal, heard)
    journal.refuse = True
    before = writer.state

    with pytest.raises(StoreFailed):
        await writer.write([builders.fill(ENTRY)])

    assert (writer.state, writer.sequence, heard) == (before, 0, [])


async def test_writing_nothing_asks_nothing_of_the_disk(heard: list[int]) -> None:
    journal = LateJournal()
    journal.refuse = True

    await writer_on(journal, heard).write([])


async def test_a_listener_that_fails_is_counted_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    bus, heard = Bus(), []

    def fail(event: Recorded) -> None:
        raise ValueError("chat is down")

    bus.listen(fail)
    bus.listen(lambda event: heard.append(event.sequence))
    writer = Writer(ListJournal(), bus, DeskState(portfolio=portfolio()), 0)

    await writer.write([incident(1), incident(2)])

    assert heard == [1, 2]
    assert bus.failures == 2
    assert "listener failed on record 1" in caplog.text
