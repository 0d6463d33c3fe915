import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from configs.schema.risk import RiskSettings
from engine.core.accounting.fold import count_trade
from engine.core.domain.order import Side
from engine.core.domain.risk import Approved, RiskState
from engine.core.risk.daily import count_bar_loss, count_decision, day_loss, day_of, open_day
from tests.builders import CLOSE, DAY, trade_record
from tests.core_builders import QUIET

MIDNIGHT = datetime(2008, 10, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (MIDNIGHT - timedelta(hours=3), "2008-10-15"),
        (MIDNIGHT, "2008-10-15"),
        (MIDNIGHT + timedelta(microseconds=1), "2008-10-16"),
    ],
)
def test_a_bar_that_closes_at_midnight_belongs_to_the_day_it_covers(moment: datetime, day: str) -> None:
    assert day_of(moment) == day


def test_a_days_loss_counts_from_the_close_before_it() -> None:
    """The first bar of the day already lost: that loss is the day's."""
    opened = open_day(QUIET, CLOSE + DAY, Decimal(97_000))

    assert (opened.day, opened.day_equity, opened.last_equity) == ("2008-10-16", 100_000, 97_000)
    assert day_loss(opened, 97_000.0) == 0.03


def test_several_instruments_in_one_moment_open_the_day_once() -> None:
    first = open_day(QUIET, CLOSE + DAY, Decimal(97_000))
    counted = replace(first, day_entries=1)

    assert open_day(counted, CLOSE + DAY, Decimal(97_000)) == counted


def test_a_new_day_starts_the_counters_again() -> None:
    busy = replace(
        QUIET, day_entries=5, day_turnover=Decimal(7), instrument_entries={"SP500": 2}, losses_in_a_row=4
    )
    opened = open_day(busy, CLOSE + DAY, Decimal(101_000))

    assert (opened.day_entries, opened.day_turnover, opened.instrument_entries) == (0, 0, {})
    assert opened.losses_in_a_row == 4
    assert opened.high_water == 101_000


def test_a_late_bar_of_an_earlier_day_does_not_start_the_day_again() -> None:
    """Else a late instrument would wipe out the day's entries and its loss."""
    busy = replace(QUIET, day="2008-10-16", day_entries=5)
    late = open_day(busy, CLOSE, Decimal(97_000))

    assert (late.day, late.day_entries, late.day_equity) == ("2008-10-16", 5, 100_000)


def test_the_first_day_counts_from_what_there_is() -> None:
    opened = open_day(RiskState(), CLOSE, Decimal(5_000))

    assert (opened.day_equity, opened.high_water, opened.last_equity) == (5_000, 5_000, 5_000)


def test_the_high_water_mark_never_falls() -> None:
    assert open_day(QUIET, CLOSE, Decimal(99_000)).high_water == 100_000
    assert open_day(QUIET, CLOSE, Decimal(100_001)).high_water == 100_001


@pytest.mark.parametrize(
    ("start", "equity", "loss"),
    [(100_000, 96_000.0, 0.04), (100_000, 101_000.0, -0.01), (0, -5.0, 0.0), (-1, -5.0, 0.0)],
)
def test_the_days_loss_is_a_share_of_its_start(start: int, equity: float, loss: float) -> None:
    assert day_loss(replace(QUIET, day_equity=Decimal(start)), equity) == loss


def approved(*, reduce_only: bool, instrument: str = "SP500") -> Approved:
    return Approved("d-1", instrument, Side.BUY, Decimal(3), reduce_only)


def test_entries_are_counted_when_they_are_approved() -> None:
    once = count_decision(QUIET, approved(reduce_only=False), 10.5)
    twice = count_decision(once, approved(reduce_only=False, instrument="NASDAQ"), 1.0)

    assert (once.day_entries, once.day_turnover) == (1, Decimal("31.5"))
    assert (twice.day_entries, twice.day_turnover) == (2, Decimal("34.5"))
    assert twice.instrument_entries == {"SP500": 1, "NASDAQ": 1}


def test_an_exit_is_turnover_but_no_entry() -> None:
    counted = count_decision(QUIET, approved(reduce_only=True), 10.5)

    assert (counted.day_entries, counted.instrument_entries) == (0, {})
    assert counted.day_turnover == Decimal("31.5")


@pytest.mark.parametrize(("equity", "losses"), [(97_001.0, 1), (97_000.0, 1), (96_999.0, 2), (math.nan, 2)])
def test_a_bar_that_lost_more_than_is_allowed_for_is_counted(equity: float, losses: int) -> None:
    before = replace(QUIET, bar_losses=1)
    after = count_bar_loss(before, before, equity, CLOSE, RiskSettings(max_bar_loss=0.03))

    assert (after.bar_losses, after.last_bar_loss) == (losses, CLOSE if losses == 2 else None)


def test_a_desk_without_equity_before_has_lost_nothing_in_a_bar() -> None:
    new = replace(QUIET, last_equity=Decimal(0))

    assert count_bar_loss(new, new, 1.0, CLOSE, RiskSettings()) is new


def test_a_new_day_counts_bars_anew_and_keeps_the_pause() -> None:
    opened = open_day(replace(QUIET, bar_losses=2, last_bar_loss=CLOSE), CLOSE + DAY, Decimal(97_000))

    assert (opened.bar_losses, opened.last_bar_loss) == (0, CLOSE)


@pytest.mark.parametrize(
    ("opened", "net", "over"),
    [(1, "1", True), (1, "0", False), (1, "-1", False), (-1, "1", False), (0, "1", False)],
)
def test_the_pause_after_a_bad_bar_ends_with_a_trade_that_began_after_it_and_won(
    opened: int, net: str, over: bool
) -> None:
    paused = replace(QUIET, last_bar_loss=CLOSE, bar_loss_streak=2)
    trade = trade_record(opened_at=CLOSE + opened * DAY, closed_at=CLOSE + 3 * DAY, net=Decimal(net))

    after = count_trade(paused, trade)

    assert (after.last_bar_loss, after.bar_loss_streak) == ((None, 0) if over else (CLOSE, 2))
    assert after.last_losses == ({trade.instrument: trade.closed_at} if Decimal(net) < 0 else {})
