import numpy as np

from engine.core.domain.market import Floats
from engine.core.market.tails import tail, tails
from engine.core.maths.coverage import kupiec_region
from engine.core.maths.losses import ESTIMATORS, NEEDED, TESTED, Losses


def prices(size: int, spread: Floats | float = 0.01) -> Floats:
    path: Floats = 100 * np.exp(np.cumsum(np.random.default_rng(3).standard_normal(size) * spread))
    return path


def test_every_estimator_speaks_with_what_its_test_counted() -> None:
    closes = prices(800)
    losses, told = Losses(closes), tail(closes)

    assert [estimate.name for estimate in told.estimates] == list(ESTIMATORS)
    for estimate in told.estimates:
        tested, hits = losses.tests(estimate.name)
        assert (estimate.tested, estimate.exceptions) == (
            tested[-TESTED:].sum(),
            hits[-TESTED:].sum(),
        )
        low, high = kupiec_region(TESTED)
        assert estimate.accepted is bool(low <= estimate.exceptions <= high)
        assert estimate.es > estimate.var > 0


def test_a_market_that_has_turned_wild_rejects_the_one_that_looks_furthest_back() -> None:
    wild = np.where(np.arange(NEEDED) < 300, 0.005, 0.02)

    told = {estimate.name: estimate for estimate in tail(prices(NEEDED, wild)).estimates}

    assert not told["historical"].accepted
    assert told["historical"].exceptions > kupiec_region(TESTED)[1]


def test_many_bars_at_once_are_told_as_each_alone() -> None:
    closes = prices(1200)

    assert tails(Losses(closes), 700, 720) == [
        tail(closes[row + 1 - NEEDED : row + 1]) for row in range(700, 720)
    ]


def test_who_has_nothing_to_say_is_absent() -> None:
    assert [estimate.name for estimate in tail(np.full(NEEDED, 100.0)).estimates] == ["normal", "historical"]
    assert tail(prices(1)).estimates == ()
