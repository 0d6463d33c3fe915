from decimal import Decimal

import pytest
from msgspec.structs import replace

from configs.schema.risk import RiskSettings
from engine.core.domain.commands import CommandKind
from engine.core.domain.risk import RiskState, TradingState
from engine.core.risk.breakers import trip
from engine.core.risk.killswitch import NEXT, next_state, switched
from tests.builders import CLOSE, DAY, halted
from tests.core_builders import QUIET

ACTIVE, REDUCING, HALTED = TradingState
KILL, FLATTEN, PAUSE = CommandKind.KILL, CommandKind.FLATTEN, CommandKind.PAUSE
RESUME = CommandKind.RESUME


@pytest.mark.parametrize(
    ("state", "kind", "after"),
    [
        (ACTIVE, KILL, HALTED),
        (REDUCING, KILL, HALTED),
        (HALTED, KILL, HALTED),
        (ACTIVE, FLATTEN, HALTED),
        (REDUCING, FLATTEN, HALTED),
        (HALTED, FLATTEN, HALTED),
        (ACTIVE, PAUSE, REDUCING),
        (REDUCING, PAUSE, REDUCING),
        (HALTED, PAUSE, HALTED),
        (ACTIVE, RESUME, ACTIVE),
        (REDUCING, RESUME, ACTIVE),
        (HALTED, RESUME, REDUCING),
    ],
)
def test_the_kill_switch_follows_its_table(
    state: TradingState, kind: CommandKind, after: TradingState
) -> None:
    assert next_state(state, kind) is after


def test_the_table_is_whole() -> None:
    assert set(NEXT) == {(state, kind) for state in TradingState for kind in (KILL, FLATTEN, PAUSE, RESUME)}


def lost() -> RiskState:
    """A desk that a breaker has halted: a tenth of yesterday's equity is gone."""
    return trip(replace(QUIET, losses_in_a_row=6), 90_000.0, CLOSE, RiskSettings())


def switch(risk: RiskState, state: TradingState, *, flatten: bool = False) -> RiskState:
    return switched(risk, state, "ana", "because", CLOSE + DAY, Decimal(90_000), flatten)


def test_a_switch_says_who_when_and_why() -> None:
    after = switch(QUIET, HALTED, flatten=True)

    assert (after.trading, after.by, after.why, after.since) == (HALTED, "ana", "because", CLOSE + DAY)
    assert after.flatten


def test_a_kill_keeps_what_losses_are_measured_against() -> None:
    after = switch(QUIET, HALTED)

    assert (after.high_water, after.day_equity) == (QUIET.high_water, QUIET.day_equity)


@pytest.mark.parametrize("state", [REDUCING, ACTIVE])
def test_a_step_up_accepts_the_losses_so_far(state: TradingState) -> None:
    """Else the breaker would halt the desk again at the next bar, before anybody could take the second step."""
    after = switch(lost(), state)

    assert (after.high_water, after.day_equity, after.losses_in_a_row) == (90_000, 90_000, 0)
    assert trip(after, 90_000.0, CLOSE + DAY, RiskSettings()) is after


def test_losses_made_while_reducing_are_accepted_by_the_second_step() -> None:
    reducing = switch(lost(), REDUCING)
    active = switched(reducing, ACTIVE, "ana", "", CLOSE + 2 * DAY, Decimal(88_000), False)

    assert (active.high_water, active.day_equity) == (88_000, 88_000)


@pytest.mark.parametrize(
    ("risk", "state", "flatten"),
    [(halted(), HALTED, False), (halted(flatten=True), HALTED, True), (QUIET, ACTIVE, False)],
)
def test_a_switch_to_where_the_desk_stands_changes_nothing(
    risk: RiskState, state: TradingState, flatten: bool
) -> None:
    assert switch(risk, state, flatten=flatten) is risk


def test_a_halt_can_be_told_to_flatten_as_well() -> None:
    after = switch(replace(halted(), high_water=Decimal(5)), HALTED, flatten=True)

    assert (after.trading, after.flatten, after.high_water) == (HALTED, True, 5)
