"""`whydesk backtest --stress` from the command to the page, and on recorded days where their files are at hand."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs import __main__ as console
from tests.architecture.source import ROOT
from tests.desks import trending_bars, write_csv

DATA = Path(os.environ.get("WHYDESK_DATA", ROOT.parent / "shared" / "data"))
"""Market data that is not part of the project: files by the names that their recorders gave them."""


class Said:
    """What a command left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def backtest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    def run(*words: object) -> Said:
        home = tmp_path / "home"
        monkeypatch.setattr(
            sys, "argv", ["whydesk", "backtest", "--data", *map(str, words), "--home", str(home)]
        )
        capsys.readouterr()
        code = 0
        try:
            console.main()
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def daily(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "AAA.csv", trending_bars(3, 700))


def test_the_report_has_a_table_a_section_with_a_chart_and_plain_values(backtest: Any, daily: Path) -> None:
    names = ("--scenario", "march-2020", "--scenario", "ftx-2022")
    said = backtest(daily, "--stress", *names, "--no-journal")
    told = json.loads(backtest(daily, "--stress", *names, "--no-journal", "--json").out)

    assert said.code == 0
    assert "2 scenarios at" in said.out
    assert re.search(r"march-2020 +as it was", said.out)
    assert re.search(r"cut off, x2", said.out)
    assert "not reachable" in said.out
    assert max(map(len, said.out.splitlines())) < 300
    stressed = told["stress"]
    assert {outcome["scenario"] for outcome in stressed["outcomes"]} == {"march-2020", "ftx-2022"}
    assert 0 <= stressed["score"] <= 100
    page = Path(told["report"]).read_text()
    assert "<h2>Stress</h2>" in page
    assert "Loss to the lowest equity in each scenario" in page
    assert all(sentence.replace("'", "&#39;") in page for sentence in stressed["sentences"])


def test_an_ordinary_back_test_says_nothing_of_stress(backtest: Any, daily: Path) -> None:
    told = json.loads(backtest(daily, "--no-journal", "--json").out)

    assert "stress" not in told
    assert "<h2>Stress</h2>" not in Path(told["report"]).read_text()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--stress", "--scenario", "1929"), "'1929' is no scenario; there are 2008, 1987, flash-2010"),
        (("--scenario", "2008"), "--scenario names what --stress should run: say --stress as well"),
        (("--stress", "--to", "2001-12-01"), "bars are too few for a stress run, expected 594 at least"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_no_run(
    backtest: Any, daily: Path, tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    said = backtest(daily, *words, "--json")

    assert said.code == 2
    assert expected in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""
    assert not list((tmp_path / "home").rglob("report.html"))


def test_files_of_two_timeframes_are_bad_input(backtest: Any, daily: Path, tmp_path: Path) -> None:
    from datetime import timedelta

    hour = timedelta(hours=1)
    other = write_csv(tmp_path / "BBB.csv", trending_bars(4, 700, step=hour), step=hour)

    said = backtest(daily, other, "--stress")

    assert said.code == 2
    assert "bars of 1h beside bars of 1d" in said.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "start", "stop", "stretch", "fall"),
    [
        ("crypto/BTCUSDT_binance_spot_1h.parquet", "2020-02-01", "2020-04-01", "march-2020", 0.4),
        ("crypto/BTCUSDT_binance_spot_1h.parquet", "2021-04-15", "2021-06-15", "may-2021", 0.16),
        ("crypto/BTCUSDT_binance_spot_1h.parquet", "2022-10-15", "2022-12-15", "november-2022", 0.16),
        ("perp/DOGEUSDT_binance_perp_5m.parquet", "2025-10-08", "2025-10-13", "october-2025", 0.4),
    ],
)
def test_recorded_days_are_told_as_they_were(
    backtest: Any, file: str, start: str, stop: str, stretch: str, fall: float
) -> None:
    """A full desk whose venue is gone until the low loses as much of what it holds as its price fell then."""
    if not (DATA / file).exists():
        pytest.skip(f"{file} is not at hand (WHYDESK_DATA)")

    told = backtest(
        DATA / file,
        "--from",
        start,
        "--to",
        stop,
        "--stress",
        "--scenario",
        "usdc-2023",
        "--no-journal",
        "--json",
    )

    outcomes = {(o["form"], o["size"]): o for o in json.loads(told.out)["stress"]["recorded"]}
    assert {o["scenario"] for o in outcomes.values()} == {stretch}
    gone = outcomes["cut off", 1]
    assert 0.15 < gone["gross"] < 0.25
    assert fall * gone["gross"] < gone["loss_low"] < gone["gross"]
    assert gone["above_zero"]
    assert outcomes["full", 1]["loss_low"] <= gone["loss_low"]
    assert outcomes["as it was", 1]["loss_low"] <= gone["loss_low"]
