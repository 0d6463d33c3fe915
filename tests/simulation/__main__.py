"""`python -m tests.simulation SEED` shows one world; `--seeds N` looks for one that breaks a promise."""

import argparse
import os
import sys
import time
from multiprocessing import Pool

from tests.simulation.run import examine, failures, figures
from tests.simulation.world import Found, World


def main() -> int:
    """What is asked for on the command line; 1 when a promise was broken."""
    asked = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    asked.add_argument("seed", nargs="?", type=int, help="show this world, line by line")
    asked.add_argument("--seeds", type=int, default=0, help="run so many worlds")
    asked.add_argument("--first", type=int, default=0, help="the first of them")
    asked.add_argument("--traces", type=int, default=0, help="print the hash of the trace of so many worlds")
    given = asked.parse_args()
    if given.seed is not None:
        return _show(examine(given.seed, told=True))
    for seed in range(given.first, given.first + given.traces):
        print(seed, World(seed, told=True).run().trace)
    return _campaign(given.first, given.seeds) if given.seeds else 0


def _show(found: Found) -> int:
    print("\n".join(found.lines))
    print("\n".join(found.violations) or "no promise was broken")
    return bool(found.violations)


def _campaign(first: int, count: int) -> int:
    began, worlds = time.monotonic(), []
    with Pool(os.cpu_count()) as pool:
        for found in pool.imap_unordered(examine, range(first, first + count), chunksize=10):
            worlds.append(found._replace(lines=()))
            for line in failures([found]):
                print(line, flush=True)
    took = time.monotonic() - began
    for name, value in figures(worlds).items():
        print(f"{name:>24}  {value:,}")
    print(f"{'worlds a second':>24}  {count / took:.1f}")
    return bool(failures(worlds))


if __name__ == "__main__":
    sys.exit(main())
