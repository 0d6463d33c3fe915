"""What the watchdog does with a store that takes nothing; with real desks: tests/chaos."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.schema.settings import Settings
from engine.core.domain.risk import TradingState
from engine.store.state import SqlStateStore
from jobs.home import Home
from jobs.watchdog import Watchdog


@pytest.fixture
def watchdog(tmp_path: Path) -> Iterator[Watchdog]:
    one = Watchdog(Home(tmp_path / "home"), Settings(), "paper", [], attach=False)
    yield one
    one.close()


def test_a_halt_that_cannot_be_written_is_owed_and_nothing_starts_before_it_is(
    watchdog: Watchdog, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.rmtree(home)
    home.touch()  # as after a disk that was lost: there is no folder any more

    assert watchdog._halt("no heartbeat").startswith("THE HALT COULD NOT BE WRITTEN (")
    assert not watchdog._may_start()

    home.unlink()
    assert watchdog._may_start()
    seen = SqlStateStore(home / "desk.sqlite3", read_only=True)
    row = seen.halt()
    seen.close()
    assert (row.state, row.by, row.reason) == (TradingState.HALTED, "watchdog", "no heartbeat")


def test_a_halt_that_stands_keeps_its_own_words(watchdog: Watchdog) -> None:
    watchdog._halts().set_halt(TradingState.HALTED, "console", "lunch", watchdog._clock.now())

    assert watchdog._halt("no heartbeat") == "it was halted already by console"
    assert watchdog._halts().halt().reason == "lunch"
    assert watchdog._may_start()
