"""What a start of the command loads: a desk in trouble is asked for its state first, and must answer at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

HEAVY = {
    "aiohttp", "alembic", "arch", "ccxt", "chromadb", "cryptography", "discord", "jinja2", "langchain",
    "langchain_core", "lightgbm", "matplotlib", "onnx", "onnxmltools", "onnxruntime", "pandas", "polars", "scipy",
    "sentence_transformers", "sklearn", "skl2onnx", "talib", "telegram", "torch", "xgboost",
}  # fmt: skip

# The last line on stdout is ours, whatever the command prints before it and however it ends.
RUNNER = """
import json, sys
from jobs.__main__ import main
try:
    code = main()
except SystemExit as ended:
    code = ended.code
print()
print(json.dumps({"code": code or 0, "modules": sorted(name.partition(".")[0] for name in sys.modules)}))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["status", "--json"]], ids=" ".join)
def test_help_and_status_load_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    home = [] if arguments == ["--help"] else ["--home", str(tmp_path / "var")]

    done = subprocess.run(
        [sys.executable, "-c", RUNNER, *arguments, *home],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout.splitlines()[-1])
    assert ended["code"] == 0, done.stdout + done.stderr
    assert HEAVY & set(ended["modules"]) == set()


def test_an_exchange_is_loaded_only_by_whoever_opens_it() -> None:
    """The settings of every desk are read by code that may have to open one."""
    code = "import sys, json, engine.venues.ccxt.broker; print(json.dumps(list(sys.modules)))"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert HEAVY & set(json.loads(done.stdout)) == set()


def test_a_watchdog_loads_nothing_that_it_may_never_need() -> None:
    """It outlives the desk in little room: what speaks to an exchange is loaded by a process that ends."""
    code = "import sys, json, jobs.__main__, jobs.watchdog; print(json.dumps(list(sys.modules)))"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert (HEAVY | {"numpy", "sqlalchemy", "http.client", "tenacity"}) & loaded == set()


def test_importing_the_floors_loads_nothing_heavy() -> None:
    code = "import sys, json, configs, engine, engine.ports, explain, bot, jobs; print(json.dumps(list(sys.modules)))"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert HEAVY & set(json.loads(done.stdout)) == set()
