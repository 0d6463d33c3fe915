"""What the console says to bad input: one clear line, the right exit code, and never a traceback."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from engine.store.lock import hold
from jobs import __main__ as console
from jobs.clocks import WallClock
from tests.desks import brisk, opened_journal, profile, trending_bars, write_csv

ROOT = Path(__file__).parents[2]


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line on stderr."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


Say = Callable[..., Said]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """The console command in this process, from its arguments to its exit code."""

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["whydesk", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            console.main()
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else int(left.code is not None)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "AAA.csv", trending_bars(3, 40))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def ran(say: Say, bars: Path, home: Path) -> Path:
    """A home with forty days in it."""
    assert say("run", "--replay", bars, "--home", home, "--no-chat", "--json").code == 0
    return home


def spoiled(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


FILES: dict[str, tuple[str, str | bytes, str]] = {
    "garbage": ("a.csv", "garbage\n", "column open, high, low, close is missing"),
    "other columns": ("a.csv", "ts,a,b\n1,2,3\n", "column open, high, low, close is missing: found ts, a, b"),
    "no rows": ("a.csv", "ts,open,high,low,close\n", "there are columns but no rows"),
    "nothing": ("a.csv", "", "the file is empty"),
    "no parquet": ("a.parquet", "garbage", "this is no parquet file"),
    "half a parquet": ("a.parquet", b"PAR1" + bytes(200), "a.parquet: "),
    "words for prices": ("a.csv", "ts,open,high,low,close\n2001-01-01,a,b,c,d\n", "a.csv: "),
    "no times": ("a.csv", "ts,open,high,low,close\nnow,1,1,1,1\nthen,1,1,1,1\n", "a.csv: "),
    "bytes": ("a.csv", bytes(range(256)) * 10, "a.csv: "),
    "high below low": (
        "a.csv",
        "ts,open,high,low,close\n" + "".join(f"2001-01-{d:02},5,1,9,5\n" for d in range(1, 29)),
        "a.csv: ",
    ),
}


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("command", [("run", "--replay"), ("backtest", "--data")], ids=["run", "backtest"])
def test_a_broken_file_is_bad_input(
    say: Say, tmp_path: Path, home: Path, command: tuple[str, ...], case: str
) -> None:
    name, content, expected = FILES[case]

    said = say(*command, spoiled(tmp_path / name, content), "--home", home, "--json")

    assert said.code == 2
    assert str(tmp_path / name) in said.line
    assert expected in said.line
    assert said.out == ""
    assert not (home / "desk.sqlite3").exists(), "nothing half-written"


def test_files_that_cannot_be_used_are_bad_input(say: Say, tmp_path: Path, bars: Path, home: Path) -> None:
    run = ("--home", home, "--no-chat")

    assert say("run", *run)[0] == 2
    assert "expected --replay FILE" in say("run", *run).line
    assert "cannot be read (No such file" in say("run", "--replay", tmp_path / "nope.csv", *run).line
    assert "this is a folder" in say("run", "--replay", tmp_path, *run).line
    assert "AAA was loaded from another file already" in say("run", *["--replay", bars] * 2, *run).line
    assert "no column symbol to find XX in" in say("run", "--replay", bars, "--symbol", "XX", *run).line
    assert not home.exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--from", "blah"), "'blah' is not a date; expected one such as 2008-10-15"),
        (("--to", "2001-02-30"), "'2001-02-30' is not a date"),
        (("--from", "2030-01-01"), "no bars from 2030-01-01"),
        (("--from", "2001-02-01", "--to", "2001-01-05"), "no bars from 2001-02-01"),
    ],
)
def test_a_period_without_bars_is_bad_input(
    say: Say, bars: Path, home: Path, words: tuple[str, ...], expected: str
) -> None:
    said = say("run", "--replay", bars, "--home", home, *words)

    assert said.code == 2
    assert expected in said.line


@pytest.mark.parametrize(
    "words", [("--speed", "-1"), ("--speed", "nan"), ("--speed", "fast"), ("--nonsense",), ("extra",)]
)
def test_bad_usage_says_which_option(say: Say, bars: Path, home: Path, words: tuple[str, ...]) -> None:
    said = say("run", "--replay", bars, "--home", home, *words)

    assert said.code == 2
    assert said.out == ""
    assert words[0] in said.err


def test_bad_settings_are_bad_input(
    say: Say, tmp_path: Path, bars: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = spoiled(tmp_path / "mine.yaml", "risk:\n  max_gros: 1\n")
    run = ("run", "--replay", bars, "--home", home, "--profile")

    assert say(*run, wrong).code == say(*run, "nope").code == 2
    assert say(*run, wrong).line == f"{wrong} line 2: unknown key risk.max_gros; did you mean max_gross?"
    assert (
        say(*run, "nope").line
        == "profile 'nope' is neither a file nor one of: binance, demo, live-paper, paper"
    )
    monkeypatch.setenv("WHYDESK__RISK__MAX_GROSS", "99")
    assert say(*run, "paper").line.startswith(
        "environment WHYDESK__RISK__MAX_GROSS: risk.max_gross: expected"
    )
    assert not home.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("resume",),
        ("report",),
        ("journal", "verify"),
        ("journal", "replay"),
        ("journal", "export"),
        ("models", "show", "x"),
        ("models", "promote", "x", "y"),
        ("models", "show", "../../etc"),
        ("ask", "why did you buy AAA"),
    ],
)
def test_an_empty_home_is_bad_input_and_stays_empty(say: Say, home: Path, words: tuple[str, ...]) -> None:
    said = say(*words, "--home", home)

    assert said.code == 2
    assert said.line
    assert said.out == ""
    assert not home.exists()


def test_a_home_that_another_process_holds_is_refused(say: Say, bars: Path, home: Path) -> None:
    with hold(home, WallClock().now()):
        said = say("run", "--replay", bars, "--home", home, "--no-chat", "--json")

    assert said.code == 1
    assert f"{home} is held by pid " in said.line
    assert said.out == ""


@pytest.mark.parametrize("words", [("run", "--replay", "BARS", "--no-chat"), ("kill",)])
def test_a_home_that_is_a_file_is_refused(say: Say, bars: Path, words: tuple[str, ...]) -> None:
    said = say(*(bars if word == "BARS" else word for word in words), "--home", bars)

    assert said.code == 1
    assert said.line == f"{bars}: File exists"


@pytest.mark.parametrize(
    "words", [("status",), ("journal", "verify"), ("report",), ("run", "--replay", "BARS", "--no-chat")]
)
def test_a_damaged_store_is_refused(say: Say, bars: Path, home: Path, words: tuple[str, ...]) -> None:
    home.mkdir()
    spoiled(home / "desk.sqlite3", b"this is not a database" * 1000)

    said = say(*(bars if word == "BARS" else word for word in words), "--home", home)

    assert said.code == 1
    assert "file is not a database" in said.line


def test_reports_of_days_that_were_not_recorded_are_bad_input(say: Say, ran: Path) -> None:
    assert "'blah' is not a day" in say("report", "--day", "blah", "--home", ran).line
    none = say("report", "--day", "2050-01-01", "--home", ran)

    assert none.code == 2
    assert "there is no cycle on 2050-01-01; cycles go from 2001-01-01" in none.line


# --- one JSON object ------------------------------------------------------------------------------

JSON: dict[tuple[str, ...], set[str]] = {
    ("status",): {"state", "since", "by", "equity", "positions", "last_bar", "records"},
    ("journal", "verify"): {"records", "chain_ok", "first_break"},
    ("journal", "replay"): {"records", "replayed", "mismatches"},
    ("report",): {"day", "agrees", "bought", "sold", "fees", "net", "cash_change", "cash_flow"},
    ("kill", "because"): {"state", "since", "by", "reason"},
    ("pause", "lunch"): {"state", "since", "by", "reason"},
    ("lock", "trend", "not trusted"): {"name", "locked", "since", "reason"},
    ("unlock", "trend"): {"name", "locked", "since", "reason"},
    ("risk",): {"state", "checks", "holds", "locks", "tightened"},
    ("resume",): {"state", "since", "by", "reason"},
}


@pytest.mark.parametrize("words", JSON, ids=" ".join)
def test_json_is_exactly_one_object(say: Say, ran: Path, words: tuple[str, ...]) -> None:
    said = say(*words, "--home", ran, "--json")

    assert said.code == 0
    assert len(said.out.splitlines()) == 1
    assert said.err == ""
    assert set(json.loads(said.out)) >= JSON[words]


def test_a_kill_that_flattens_halts_first_and_says_so_where_no_engine_can_close(say: Say, ran: Path) -> None:
    said = say("kill", "--flatten", "the news", "--home", ran, "--json")

    assert said.code == 1
    told = json.loads(said.out)
    assert (told["ok"], "no engine took it" in told["reply"]) == (False, True)
    assert json.loads(say("status", "--home", ran, "--json").out)["state"] == "halted"


def test_who_may_talk_is_said_from_the_machine_itself_and_kept(say: Say, ran: Path) -> None:
    nobody = say("cmd", "/roles", "--home", ran)
    granted = say("cmd", "/roles grant telegram:99 owner ana", "--home", ran, "--json")
    listed = say("cmd", "/roles", "--home", ran)

    assert nobody.out.startswith("Nobody is named, so nobody but this machine's terminal is heard.")
    assert json.loads(granted.out)["reply"] == "Ana is owner, at telegram account 99."
    assert listed.out == "ana: owner, said by console; telegram 99\n"
    assert say("cmd", "/roles grant nobody owner", "--home", ran).code == 1


def test_a_run_and_a_check_say_what_was_done_as_one_object(say: Say, bars: Path, home: Path) -> None:
    ran = say("run", "--replay", bars, "--home", home, "--no-chat", "--json")
    checked = say("data", "check", bars, "--json")

    assert json.loads(ran.out)["cycles"] == 40
    assert json.loads(checked.out)["files"][0]["rows"] == 40
    assert [len(said.out.splitlines()) for said in (ran, checked)] == [1, 1]


def test_a_file_that_the_desk_would_not_take_is_shown_with_its_reason(say: Say, tmp_path: Path) -> None:
    name, content, _ = FILES["high below low"]

    said = say("data", "check", spoiled(tmp_path / name, content), "--json")

    (file,) = json.loads(said.out)["files"]
    assert said.code == 1
    assert not file["accepted"]
    assert file["reason"]


def test_every_line_of_an_export_is_a_record(say: Say, ran: Path) -> None:
    said = say("journal", "export", "--home", ran)
    journal = opened_journal(ran)

    assert len([json.loads(line) for line in said.out.splitlines()]) == journal.count()
    journal.close()


def test_a_change_in_the_store_is_found_by_verify(say: Say, ran: Path) -> None:
    raw = (ran / "desk.sqlite3").read_bytes()
    told = msgspec.msgpack.encode("no_signal")  # as a payload holds it; columns and indices do otherwise
    assert raw.count(told) > 10
    spoiled(ran / "desk.sqlite3", raw.replace(told, told[:-1] + b"I"))

    said = say("journal", "verify", "--home", ran, "--json")

    assert said.code == 1
    found = json.loads(said.out)
    assert not found["chain_ok"]
    assert found["first_break"] is not None


# --- as a process ---------------------------------------------------------------------------------


@pytest.fixture
def process() -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "jobs", *map(str, words)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.slow
def test_codes_and_streams_are_the_same_for_a_real_process(
    process: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, bars: Path, home: Path
) -> None:
    settings = profile(tmp_path / "mine.yaml", brisk("AAA"))
    run = ("run", "--replay", bars, "--home", home, "--profile")

    good = process(*run, settings, "--no-chat", "--json")
    bad = process(*run, "nope")
    with hold(home, WallClock().now()):
        held = process(*run, settings, "--no-chat")

    assert [each.returncode for each in (good, bad, held)] == [0, 2, 1]
    assert json.loads(good.stdout)["cycles"] == 40
    assert (bad.stdout, held.stdout) == ("", "")
    assert len(bad.stderr.splitlines()) == len(held.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_reader_that_goes_away_early_is_no_traceback(ran: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m jobs journal export --home {ran} | head -n 1",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert json.loads(done.stdout)
    assert "Traceback" not in done.stderr


def test_what_a_light_installation_does_without_is_named_with_the_extra_that_brings_it(
    say: Say, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for loaded in ("jobs.setup", "bot.chat.telegram_setup", "bot.chat.telegram_wire"):
        monkeypatch.delitem(sys.modules, loaded, raising=False)
    monkeypatch.setitem(sys.modules, "telegram", None)

    said = say("setup", "--home", home)

    assert said.code == 2
    assert said.line == "telegram is not installed: pip install 'whydesk[chat]'"
    assert not home.exists()


def test_every_extra_that_is_named_is_one(say: Say) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    assert set(console.EXTRAS.values()) <= set(extras)
