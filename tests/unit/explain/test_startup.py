import json
import subprocess
import sys

from tests.architecture.source import ROOT

HEAVY = {"pandas", "polars", "scipy", "sqlalchemy", "talib", "rich", "typer", "matplotlib", "onnxruntime"}


def test_answering_and_talking_load_nothing_heavy() -> None:
    code = "import sys, json, explain.why, bot.app, bot.chat.console; print(json.dumps(list(sys.modules)))"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert HEAVY & {name.partition(".")[0] for name in json.loads(done.stdout)} == set()
