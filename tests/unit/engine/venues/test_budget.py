from engine.venues.ccxt.budget import Budget
from tests.exchange import TurnedClock


def test_a_fifth_is_only_for_what_is_urgent() -> None:
    budget = Budget(100, TurnedClock().monotonic)

    assert budget.take(80, urgent=False) == ""
    assert budget.take(1, urgent=False) == "the request budget of this minute is used up (80 of 80)"
    assert budget.take(20, urgent=True) == ""
    assert budget.take(1, urgent=True) == "the request budget of this minute is used up (100 of 100)"


def test_what_was_spent_is_free_again_after_a_minute() -> None:
    clock = TurnedClock()
    budget = Budget(100, clock.monotonic)
    budget.take(50, urgent=False)
    clock.advance(30)
    budget.take(30, urgent=False)

    clock.advance(30)

    assert budget.used == 30


def test_silence_is_for_everybody_and_the_longer_one_counts() -> None:
    clock = TurnedClock()
    budget = Budget(100, clock.monotonic)

    assert budget.silence(418, "30") == 30
    assert budget.silence(429, "1") == 1
    clock.advance(29)
    assert "demands silence for another 1.0 s" in budget.take(1, urgent=True)
    assert budget.silent_until == clock.monotonic() + 1
    clock.advance(1)
    assert budget.silent_until is None
    assert budget.take(1, urgent=False) == ""


def test_a_time_that_makes_no_sense_is_replaced_or_bounded() -> None:
    budget = Budget(100, TurnedClock().monotonic)

    assert [budget.silence(429, told) for told in (None, "", "soon", "-1", "nan", "9" * 30)] == [60] * 6
    assert [budget.silence(418, told) for told in (None, "tomorrow")] == [120, 120]
    assert budget.silence(429, "0") == 1
    assert budget.silence(429, "1e9") == budget.silence(429, "inf") == 3 * 86_400


def test_the_venues_own_count_fills_what_ours_does_not_know() -> None:
    clock = TurnedClock()
    budget = Budget(100, clock.monotonic)
    budget.take(10, urgent=False)

    budget.told(70)
    budget.told(5)

    assert budget.used == 70
    clock.advance(60)
    assert budget.used == 0


def test_what_is_remembered_has_a_bound_however_much_the_venue_claims() -> None:
    budget = Budget(100, TurnedClock().monotonic)
    for _ in range(10_000):
        budget.take(1, urgent=True)
        budget.told(999_999_999)

    assert budget.used == 1000
