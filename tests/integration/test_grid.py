"""The life of a grid: bought lower down within its risk, over at its stop, the same after any restart."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from engine.core.accounting.fold import DeskState, apply
from engine.core.domain.order import Side
from engine.core.domain.records import CycleRecord, OutcomeKind, decode, encode
from engine.core.pipeline import decide
from tests.builders import INSTRUMENT
from tests.grids import GRID, GridDesk, grid_settings


def rungs(*closes: str, quantity: str = "10", desk: GridDesk | None = None) -> GridDesk:
    """A desk that bought at each of these closes, the last of which has filled at the next open."""
    desk = desk or GridDesk()
    for close in closes:
        desk.tell(close)
        assert desk.buy(quantity).result.refused_by == ""
    desk.tell(closes[-1])
    return desk


def refusal(decided: CycleRecord) -> tuple[str, float, float, str]:
    """The first check that failed, with its numbers."""
    check = next(check for check in decided.result.review.checks if not check.passed)
    assert decided.result.outcome is OutcomeKind.REFUSED
    assert decided.result.orders == ()
    assert check.headroom < 0
    return check.name, check.value, check.limit, check.key


def test_one_instrument_is_bought_again_lower_down_and_leaves_at_one_stop() -> None:
    desk = rungs("99", "97", "95")
    position = desk.held()

    assert (position.quantity, position.stop, len(position.added)) == (30, 85, 2)
    assert {order.request.price for order in desk.portfolio.orders if order.request.leg == "s"} == {85}
    assert {order.request.price for order in desk.portfolio.orders if order.request.leg == "t"} == {
        position.target
    }
    desk.tell("86", low="84.5")

    assert desk.portfolio.positions == desk.portfolio.orders == ()
    (trade,) = desk.trades()
    assert (trade.quantity, trade.exit_reason) == (30, "stop")
    assert desk.run is None
    assert desk.state.risk.locks[INSTRUMENT].why.startswith("the grid of SP500 ended: sold at 84.")


def test_without_a_grid_the_second_purchase_is_refused() -> None:
    desk = GridDesk(grid_settings(None))
    desk.tell("99")
    desk.buy()
    desk.tell("97")

    assert refusal(desk.buy())[:3] == ("already held", 1, 0)


def test_the_desk_itself_enters_within_a_grid_and_a_person_adds() -> None:
    desk = GridDesk()
    above = desk.tell("101", trend=1.0)
    within = desk.tell("99", trend=1.0)
    desk.tell("99", trend=1.0)
    added = rungs("95", quantity="1", desk=desk)

    assert refusal(above) == ("grid upper", 101, 100, "risk.grids.upper")
    assert (within.result.outcome, within.result.proposal.stop) == (OutcomeKind.ENTERED, 85)
    assert within.wish is None
    assert (added.held().entry_decision, len(added.held().added)) == (within.id, 1)


def test_what_the_desk_sizes_leaves_as_much_to_each_level() -> None:
    desk = GridDesk()
    risks = []
    for close in ("99", "97", "95", "93", "91"):
        desk.tell(close)
        decided = desk.buy("0")
        assert decided.result.size is not None
        assert "grid" in [step.name for step in decided.result.size.steps if step.bound]
        risks.append(next(c.value for c in decided.result.review.checks if c.name == "grid risk"))

    assert risks == sorted(risks)
    assert all(0 < risk <= 0.002 * number for number, risk in enumerate(risks, start=1))
    desk.tell("89.5")
    last = desk.buy("0")
    assert last.result.size is not None
    assert last.result.size.quantity == 0


def test_the_desk_itself_never_adds_to_what_it_holds() -> None:
    desk = rungs("99")

    assert desk.tell("93", trend=1.0).result.outcome is OutcomeKind.HELD


@pytest.mark.parametrize(
    ("close", "said"),
    [
        ("89.99", ("grid lower", 89.99, 90, "risk.grids.lower")),
        ("100.01", ("grid upper", 100.01, 100, "risk.grids.upper")),
        ("98.5", ("grid level", 1, 0, "risk.grids.levels")),
    ],
)
def test_a_wish_is_refused_with_the_number_and_the_limit(
    close: str, said: tuple[str, float, float, str]
) -> None:
    desk = rungs("99")
    desk.tell(close)

    assert refusal(desk.buy("1")) == said


def test_an_entry_beyond_what_may_be_lost_is_refused_and_a_smaller_one_is_not() -> None:
    desk = rungs("99", quantity="40")
    desk.tell("95")

    name, value, limit, key = refusal(desk.buy("40"))
    assert (name, limit, key) == ("grid risk", 0.01, "risk.grids.max_risk")
    assert 0.01 < value < 0.012
    assert desk.buy("20").result.outcome is OutcomeKind.ENTERED


def test_there_are_as_many_entries_as_levels() -> None:
    desk = rungs("99", "97", "95", "93", "91", quantity="5")
    desk.tell("92.01")

    found = {check.name for check in desk.buy("1").result.review.checks if not check.passed}
    assert found == {"grid level", "grid entries"}


def test_a_grid_that_is_over_stays_closed_until_a_person_unlocks_it_and_then_begins_anew() -> None:
    desk = rungs("99")
    desk.tell("86", low="84.5")
    desk.tell("95")

    assert refusal(desk.buy())[0] == "locks"
    assert refusal(desk.tell("95", trend=1.0))[0] == "locks"
    again = desk.restarted()
    assert refusal(again.buy())[0] == "locks"
    again.unlock()
    assert again.buy().result.outcome is OutcomeKind.ENTERED
    assert again.run is not None
    assert float(again.run.equity) == pytest.approx(float(again.portfolio.equity))
    assert again.run.equity < 100_000


def test_what_of_a_grid_its_stop_has_not_sold_is_sold_at_the_next_close() -> None:
    """A stop takes no more than its share of a bar: what is left must not wait for the price to fall again."""
    scarce = replace(grid_settings().execution, volume_is_known=True, participation=0.05)
    desk = GridDesk(grid_settings(execution=scarce))
    for close in ("99", "97"):
        desk.tell(close)
        desk.buy()
    desk.tell("97")
    desk.tell("90", low="84.5", volume="100")  # five of each stop
    assert desk.held().quantity == 10
    assert desk.run is not None and desk.run.over

    decided = next(
        record for record in reversed(desk.records()) if isinstance(record, CycleRecord) and not record.wish
    )
    desk.tell("91")

    assert (decided.result.outcome, decided.result.proposal.reason) == (OutcomeKind.EXITED, "grid")
    assert [check.name for check in decided.result.exits if not check.passed] == ["grid"]
    assert desk.portfolio.positions == ()
    assert desk.run is None


def test_what_a_position_of_the_grid_has_lost_leaves_less_for_the_next() -> None:
    desk = rungs("99", quantity="40")
    crash = replace(desk.settings.decision, max_bars=1)
    leaving = desk.restarted(replace(desk.settings, decision=crash))
    position = replace(leaving.held(), expires_bars=1)
    leaving.state = replace(leaving.state, portfolio=replace(leaving.portfolio, positions=(position,)))
    assert leaving.tell("92").result.proposal.reason == "time"
    leaving.tell("92")
    (trade,) = leaving.trades()
    assert leaving.run is not None and leaving.run.lost == -trade.net
    assert leaving.state.risk.locks == {}

    leaving.tell("98")
    name, value, *_ = refusal(leaving.buy("48"))
    assert name == "grid risk"
    assert value > 0.01 > value - float(leaving.run.lost) / 100_000, "alone it would be within it"
    assert leaving.restarted().run == leaving.run


@pytest.mark.parametrize("told", range(2, 12))
def test_a_restart_at_any_moment_finds_the_grid_as_it_was(told: int) -> None:
    closes = ["99", "97", "96.5", "95", "93", "91", "90.5", "95", "86", "92", "95"][:told]
    whole, broken = GridDesk(), GridDesk()
    for close in closes:
        for desk in (whole, broken):
            desk.tell(close, low="84.5" if close == "86" else close)
            desk.buy("5")
        broken = broken.restarted()

    assert broken.state.risk == whole.state.risk
    assert broken.portfolio == whole.portfolio
    assert [encode(record) for record in broken.records()] == [encode(record) for record in whole.records()]


def test_every_decision_of_a_grid_comes_out_the_same_when_it_is_taken_again() -> None:
    desk = rungs("99", "97", "95", "93")
    desk.tell("89")
    desk.buy()
    desk.tell("86", low="84.5")
    desk.buy()
    decisions = [record for record in desk.records() if isinstance(record, CycleRecord)]

    for kept in decisions:
        record = decode(encode(kept))
        assert isinstance(record, CycleRecord)
        assert decide(record.inputs(desk.settings)) == record.result


def test_a_grid_that_goes_on_after_a_change_of_settings_keeps_the_stop_it_began_with() -> None:
    desk = rungs("99")
    lower = grid_settings(replace(GRID, stop=Decimal(80), levels=10))
    changed = desk.restarted(lower)
    changed.tell("97.9")

    entered = changed.buy()

    assert entered.result.proposal.stop == 85
    assert entered.result.outcome is OutcomeKind.ENTERED, "of ten levels it is another"


def test_where_the_grid_was_taken_out_of_the_profile_nothing_is_added_and_its_stop_still_ends_it() -> None:
    desk = rungs("99")
    without = desk.restarted(grid_settings(None))
    without.tell("95")
    assert refusal(without.buy())[0] == "already held"

    without.tell("86", low="84.5")

    assert list(without.state.risk.locks) == [INSTRUMENT]
    assert without.run is None


def test_what_sells_short_is_not_for_a_grid() -> None:
    both = grid_settings(decision=replace(grid_settings().decision, long_only=False))
    desk = GridDesk(both)
    desk.tell("95")

    assert refusal(desk.buy(side=Side.SELL))[:3] == ("grid side", 1, 0)


def test_the_fold_over_the_records_alone_is_the_state() -> None:
    desk = rungs("99", "97", "95")
    state = DeskState(replace(desk.portfolio, positions=(), orders=()))
    for record in desk.records():
        state = apply(state, decode(encode(record)))

    assert state.risk == desk.state.risk
    assert state.portfolio == desk.portfolio
