"""What the watchdog decides, as a table and as properties: no process, no clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.risk.watchdog import (
    CRASHES,
    LONGEST_LOOK_S,
    LONGEST_WAIT_S,
    SLOW_S,
    WINDOW_S,
    Ending,
    Next,
    Phase,
    Watch,
    after,
    is_lost,
    listened,
    recent,
)

LOST_S = 10.0


def heard(looks: list[tuple[float, int]], phase: Phase = Phase.UP) -> Watch:
    """A watch after these looks: when, and the number of the newest beat."""
    watch = Watch(phase, 0, 0.0)
    for at, beat in looks:
        watch = listened(watch, phase, beat, at)
    return watch


@pytest.mark.parametrize(
    ("phase", "silent_s", "lost"),
    [
        (Phase.UP, LOST_S - 0.1, False),
        (Phase.UP, LOST_S, True),
        (Phase.STARTING, LOST_S, False),
        (Phase.STARTING, SLOW_S, True),
        (Phase.ENDING, SLOW_S - 0.1, False),
        (Phase.ENDED, SLOW_S, True),
    ],
)
def test_silence_counts_by_what_the_desk_was_doing(phase: Phase, silent_s: float, lost: bool) -> None:
    assert is_lost(Watch(phase, 3, 100.0, silent_s), LOST_S) is lost


def test_a_limit_longer_than_that_of_a_slow_start_holds_for_a_start_too() -> None:
    assert not is_lost(Watch(Phase.STARTING, 3, 100.0, SLOW_S), 2 * SLOW_S)


def test_one_that_may_wait_is_not_lost_before_its_first_beat() -> None:
    assert not is_lost(Watch(Phase.STARTING, 0, 0.0, 1e6), LOST_S, may_wait=True)
    assert is_lost(Watch(Phase.STARTING, 0, 0.0, 1e6), LOST_S)
    assert is_lost(Watch(Phase.UP, 1, 0.0, 1e6), LOST_S, may_wait=True)


def test_a_beat_ends_any_silence() -> None:
    assert heard([(t * 0.5, 1) for t in range(1, 19)]).silent_s == pytest.approx(8.5)
    assert heard([*((t * 0.5, 1) for t in range(1, 19)), (9.5, 2)]).silent_s == 0


def test_c3_a_watchdog_that_slept_itself_concludes_nothing_from_that() -> None:
    watch = heard([(1.0, 5), (1.5, 5), (4000.0, 5)])

    assert watch.silent_s == 0.5 + LONGEST_LOOK_S
    assert not is_lost(watch, LOST_S)


def test_a_clock_that_is_set_back_counts_no_silence() -> None:
    assert heard([(100.0, 1), (50.0, 1)]).silent_s == 0


@given(st.lists(st.tuples(st.floats(0, 1.9), st.booleans()), min_size=1, max_size=60))
def test_the_silence_is_the_time_since_the_last_look_that_found_a_new_beat(
    steps: list[tuple[float, bool]],
) -> None:
    now, beat, since, looks = 0.0, 1, 0.0, []
    for passed, beats in steps:
        now += passed
        if beats:
            beat, since = beat + 1, now
        looks.append((now, beat))

    assert heard([(0.0, 1), *looks]).silent_s == pytest.approx(now - since)


@pytest.mark.parametrize(
    ("ending", "follows"),
    [
        (Ending(0), Next(None)),
        (Ending(2), Next(None, alert=True)),
        (Ending(-15), Next(None)),
        (Ending(-2), Next(None)),
        (Ending(1), Next(1.0, alert=True, crashes=(1000.0,))),
        (Ending(-9), Next(1.0, alert=True, crashes=(1000.0,))),
        (Ending(-11), Next(1.0, alert=True, crashes=(1000.0,))),
        (Ending(None), Next(1.0, alert=True, crashes=(1000.0,))),
        (Ending(None, frozen=True), Next(1.0, alert=True, crashes=(1000.0,))),
        (Ending(0, frozen=True), Next(1.0, alert=True, crashes=(1000.0,))),
        (Ending(1, elsewhere=True), Next(LONGEST_WAIT_S)),
        (Ending(None, frozen=True, elsewhere=True), Next(LONGEST_WAIT_S)),
        (Ending(0, asked=True), Next(None)),
        (Ending(1, asked=True), Next(None)),
        (Ending(None, frozen=True, asked=True), Next(None, alert=True)),
    ],
    ids=str,
)
def test_what_follows_from_an_ending(ending: Ending, follows: Next) -> None:
    assert after(ending, (), 1000.0) == follows


def test_e9_the_waits_double_and_the_fifth_crash_halts() -> None:
    crashes: tuple[float, ...] = ()
    found = []
    for number in range(6):
        follows = after(Ending(1), crashes, 100.0 * number)
        crashes = follows.crashes
        found.append((follows.wait_s, follows.halt, follows.alert))

    assert found == [
        (1.0, False, True),
        (2.0, False, True),
        (4.0, False, True),
        (8.0, False, True),
        (60.0, True, True),
        (60.0, True, False),
    ]


def test_e9_a_crash_counts_for_ten_minutes_and_not_a_second_longer() -> None:
    assert after(Ending(1), (0.0, 1.0, 2.0, 3.0), WINDOW_S - 0.1).halt
    assert not after(Ending(1), (0.0, 1.0, 2.0, 3.0), WINDOW_S).halt
    assert (
        recent((5.0, 2000.0), 1000.0) == ()
    )  # a moment that has not come is of another start of the machine


@given(
    st.lists(
        st.tuples(
            st.floats(0, 400),
            st.sampled_from([0, 1, 2, -9, -11, -15, None]),
            st.booleans(),
            st.booleans(),
            st.booleans(),
        ),
        max_size=40,
    )
)
def test_e9_whatever_happens_only_five_recent_crashes_halt_and_no_wait_leaves_its_bounds(
    endings: list[tuple[float, int | None, bool, bool, bool]],
) -> None:
    now, counted = 0.0, list[float]()
    crashes: tuple[float, ...] = ()
    for passed, code, frozen, elsewhere, asked in endings:
        now += passed
        ending = Ending(code, frozen, elsewhere, asked)
        follows = after(ending, crashes, now)
        if not asked and not elsewhere and (frozen or code not in (0, 2, -15)):
            counted.append(now)
        crashes = follows.crashes

        within = [at for at in counted if at > now - WINDOW_S]
        assert list(crashes) == within
        assert follows.wait_s is None or 1 <= follows.wait_s <= LONGEST_WAIT_S
        assert follows.halt <= (len(within) >= CRASHES)
        if asked:
            assert follows.wait_s is None
