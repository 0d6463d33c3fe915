"""The main job as a user runs it, on the bundled market data. A shorter stretch of years keeps it quick."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

YEARS = ("--from", "2015-01-01", "--to", "2016-07-01")


def whydesk(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobs", *arguments], capture_output=True, text=True, timeout=110, check=False
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def told(root: Path) -> dict[str, Any]:
    """The demo's one JSON object."""
    done = whydesk("demo", "--home", str(root), "--json", *YEARS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_the_demo_tells_what_it_did(told: dict[str, Any]) -> None:
    assert told["cycles"] == 377  # 252 trading days of 2015 and 125 of 2016
    assert sum(told["decisions"].values()) == 2 * told["cycles"]
    assert told["trades"] > 0
    assert told["fills"] >= 2 * told["trades"]
    assert told["metrics"]["net"]["total_return"] <= told["metrics"]["gross"]["total_return"]
    assert "buy_and_hold" in told["baselines"]
    assert 0 <= told["honesty"]["dsr"] <= 1
    assert told["seconds"] < 90


def test_its_journal_holds_and_every_decision_comes_out_the_same(told: dict[str, Any], root: Path) -> None:
    assert told["journal"]["chain_ok"]
    assert told["journal"]["replayed"] == 2 * told["cycles"]
    assert told["journal"]["mismatches"] == 0
    verified = json.loads(whydesk("journal", "verify", "--home", str(root / "demo"), "--json").stdout)
    assert verified["head"] == told["journal"]["head"]


def test_three_whys_are_answered_with_figures_that_stand_in_the_records(
    told: dict[str, Any], root: Path
) -> None:
    records = exported(root)
    assert [answer["kind"] for answer in told["answers"]] == ["why_entry", "why_not", "why_exit"]
    for answer in told["answers"]:
        assert not answer["refused"]
        assert answer["citations"]
        for figure in answer["figures"]:
            assert figure["record"] in records
            assert figure["text"] in answer["text"]


def test_the_same_seed_gives_the_same_journal(told: dict[str, Any], tmp_path: Path) -> None:
    again = json.loads(whydesk("demo", "--home", str(tmp_path), "--json", *YEARS).stdout)

    assert again["journal"]["head"] == told["journal"]["head"]
    assert again["run_id"] == told["run_id"]


def test_a_question_that_the_records_cannot_answer_is_not_answered(told: dict[str, Any], root: Path) -> None:
    done = whydesk("ask", "--home", str(root / "demo"), "--json", "why did you buy SP500 on 1987-10-19")

    answer = json.loads(done.stdout)
    assert answer["refused"]
    assert "begin" in answer["answer"]


@cache
def exported(root: Path) -> set[str]:
    lines = whydesk("journal", "export", "--home", str(root / "demo")).stdout.splitlines()
    return {json.loads(line)["id"] for line in lines}
