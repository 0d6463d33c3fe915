import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.simulation.canaries import CANARIES, WITHIN, Canary, find
from tests.simulation.market import remember_features
from tests.simulation.run import die_everywhere, examine, failures, figures, regressions

SEEDS, CHUNK = 5_000, 200
REFERENCE_DAYS = range(100, 110)
COMPARED = 40

Note = Callable[[str, object], None]
pytestmark = pytest.mark.slow


@pytest.mark.timeout(900)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_world_breaks_a_promise(first: int, record_property: Note) -> None:
    worlds = [examine(seed) for seed in range(first, first + CHUNK)]

    record_property("sums", figures(worlds))
    assert failures(worlds) == []
    # A run with too little traffic would prove nothing.
    assert sum(found.orders for found in worlds) >= 10 * CHUNK
    assert sum(found.crashes for found in worlds) >= CHUNK


@pytest.mark.timeout(900)
@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.name)
def test_a_planted_bug_is_found(canary: Canary, record_property: Note) -> None:
    remember_features()
    found = find(canary)

    assert found is not None, f"not found within {WITHIN} seeds: {canary.name}"
    record_property("sums", {"canaries found": 1, f"canary: {canary.name}": f"seed {found.seed}"})


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", REFERENCE_DAYS)
def test_a_process_may_die_at_any_seam_of_a_day(seed: int, record_property: Note) -> None:
    positions, broken = die_everywhere(seed)

    record_property("sums", {"crash positions": positions})
    assert broken == []
    assert positions > 200


@pytest.mark.timeout(300)
def test_the_same_seed_is_the_same_world_in_every_process(record_property: Note) -> None:
    def traces(hash_seed: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--traces", str(COMPARED)],
            env=os.environ | {"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    one, other = traces("1"), traces("2")

    record_property("sums", {"traces equal": COMPARED})
    assert one == other
    assert len(one.splitlines()) == COMPARED


@pytest.mark.parametrize(("seed", "reason"), regressions())
def test_what_was_broken_once_stays_whole(seed: int, reason: str) -> None:
    assert examine(seed).violations == (), reason
