"""A model that is not itself."""

import pytest

from engine.core.accounting.fold import DeskState
from engine.core.domain.records import CycleRecord
from engine.core.domain.signal import Prediction
from engine.live.bus import Bus
from engine.live.holds import SAME, Holds, Models
from engine.live.writer import Writer
from tests.builders import cycle_record, portfolio
from tests.core_builders import observation
from tests.fakes import FakeClock, ListJournal


class Watched:
    """Models that are looked at, and the holds that come of it."""

    def __init__(self) -> None:
        self._writer = Writer(ListJournal(), Bus(), DeskState(portfolio=portfolio()), 0)
        self._models = Models(Holds(self._writer, FakeClock()))

    async def look(self, *records: CycleRecord) -> dict[str, str]:
        await self._models.look(records)
        return self._writer.state.risk.holds


def told(probability: float | None, raw: float | None = None, instrument: str = "SP500") -> CycleRecord:
    said = Prediction("signal", "8b2771fc", probability, "late" if probability is None else "", raw)
    return cycle_record(instrument=instrument, observation=observation(), predictions=(said,))


@pytest.fixture
def models() -> Watched:
    return Watched()


async def test_h1_a_model_that_is_silent_three_times_holds_entries_until_it_answers(models: Watched) -> None:
    assert await models.look(told(None)) == {}
    assert await models.look(told(None)) == {}
    assert await models.look(told(None)) == {"model": "signal has not answered 3 times in a row"}
    assert await models.look(told(None), told(None)) == {"model": "signal has not answered 5 times in a row"}
    assert await models.look(told(0.6, 0.6)) == {}


async def test_a_single_answer_begins_the_count_again(models: Watched) -> None:
    for _ in range(5):
        assert await models.look(told(None), told(None), told(0.5, 0.5)) == {}


async def test_a_window_that_warms_up_is_no_silence(models: Watched) -> None:
    warming = cycle_record(
        observation=observation(features={}),
        predictions=(Prediction("signal", "8b2771fc", None, "warming up"),),
    )

    assert await models.look(*[warming] * 5) == {}


async def test_h1_a_model_that_always_says_the_same_of_one_instrument_holds_entries(models: Watched) -> None:
    others = [told(0.6, 0.6 + n / 1000, "NASDAQ") for n in range(SAME)]
    same = [told(0.6, 0.61) for _ in range(SAME - 1)]

    assert await models.look(*others, *same) == {}
    assert await models.look(same[0]) == {
        "model": f"signal has answered 0.61 for SP500 {SAME} times in a row"
    }
    assert await models.look(told(0.6, 0.62)) == {}


async def test_nothing_looked_at_changes_nothing(models: Watched) -> None:
    held = await models.look(*[told(None)] * 3)

    assert await models.look() == held
