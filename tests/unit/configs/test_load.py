from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.load import MOST_BYTES, PROFILES, SettingsError, load
from configs.schema.settings import Settings

GOOD = """\
desk:
  name: mine
  cash: "5000"
  instruments:
    - {name: AAA, tick: "0.01", lot: "0.001"}
    - name: BBB
      bars_per_year: 365
risk:
  max_gross: 0.5      # half
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def refused(file: Path, text: str | bytes, environment: Mapping[str, str] | None = None) -> str:
    """The one line that a profile is refused with."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError) as caught:
        load(str(file), environment or {})
    line = str(caught.value)
    assert line
    assert len(line.splitlines()) == 1
    return line.replace(str(file), "FILE")


def test_a_good_profile_is_taken_and_the_rest_keeps_its_defaults(file: Path) -> None:
    file.write_text(GOOD)

    settings = load(str(file), {})

    assert settings.desk.cash == Decimal("5000")
    assert [each.name for each in settings.desk.instruments] == ["AAA", "BBB"]
    assert settings.risk.max_gross == 0.5
    assert settings.sizing == Settings().sizing


@pytest.mark.parametrize("name", sorted(each.stem for each in PROFILES.glob("*.yaml")))
def test_every_shipped_profile_is_valid(name: str) -> None:
    assert load(name, {}).desk.instruments


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    windows = load(str(file), {})
    file.write_text(GOOD)

    assert windows == load(str(file), {})


def test_an_empty_profile_is_the_defaults(file: Path) -> None:
    file.write_text("# nothing\n")

    assert load(str(file), {}) == Settings()


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "unknown section": ("rsk:\n  max_gross: 1\n", "FILE line 1: unknown key rsk; did you mean risk?"),
    "unknown key": ("a: 1\n", "FILE line 1: unknown key a; known are desk, data"),
    "unknown key, near": (
        "risk:\n  # note\n  max_gros: 1\n",
        "FILE line 3: unknown key risk.max_gros; did you mean max_gross?",
    ),
    "unknown key in a list": (
        "desk:\n  instruments:\n    - {name: A}\n    - {name: B, tik: 1}\n",
        "FILE line 4: unknown key desk.instruments[1].tik; did you mean tick?",
    ),
    "wrong type": (
        "risk:\n  max_gross: high\n",
        "FILE line 2: risk.max_gross: expected `float`, got `str`, was 'high'",
    ),
    "a fraction for a count": (
        "risk:\n  max_positions: 1.5\n",
        "FILE line 2: risk.max_positions: expected `int`, got `float`, was 1.5",
    ),
    "a word for a switch": (
        "decision:\n  long_only: maybe\n",
        "FILE line 2: decision.long_only: expected `bool`, got `str`, was 'maybe'",
    ),
    "a truth for a number": ("risk:\n  max_gross: true\n", "FILE line 2: risk.max_gross: expected `float`"),
    "out of range": (
        "risk:\n  max_gross: 11\n",
        "FILE line 2: risk.max_gross: expected `float` <= 10.0, was 11",
    ),
    "below its range": (
        "risk:\n  max_gross: 0\n",
        "FILE line 2: risk.max_gross: expected `float` > 0.0, was 0",
    ),
    "not a number": (
        "risk:\n  max_gross: .nan\n",
        "FILE line 2: risk.max_gross: expected `float` > 0.0, was nan",
    ),
    "infinite": (
        "risk:\n  max_gross: .inf\n",
        "FILE line 2: risk.max_gross: expected `float` <= 10.0, was inf",
    ),
    "not a decimal": ("desk:\n  cash: .nan\n", "desk: cash must be more than 0"),
    "a decimal out of all bounds": ("desk:\n  cash: '1e999'\n", "desk: cash must be more than 0"),
    "no decimal": ("desk:\n  cash: much\n", "FILE line 2: desk.cash: invalid decimal string, was 'much'"),
    "not a number in a list": (
        "desk:\n  instruments:\n    - name: A\n    - name: B\n      bars_per_year: .nan\n",
        "FILE line 5: desk.instruments[1].bars_per_year: expected `float` > 0.0, was nan",
    ),
    "a rule of its own, with the name as it is written": (
        "desk:\n  instruments:\n    - {name: A}\n    - {name: B, tick: -1}\n",
        "FILE line 4: desk.instruments[1]: B: tick must be from 1E-12 to 1E+15, was -1",
    ),
    "an instrument without a name": (
        "desk:\n  instruments:\n    - {tick: 1}\n",
        "FILE line 3: desk.instruments[0]: object missing required field `name`",
    ),
    "one instrument twice": ("desk:\n  instruments: [{name: A}, {name: A}]\n", "A is listed twice"),
    "unknown choice": ("desk:\n  timeframe: 2d\n", "FILE line 2: desk.timeframe: invalid enum value '2d'"),
    "unknown choice in a list": (
        "alpha:\n  enabled: [momentum, magic]\n",
        "FILE line 2: alpha.enabled[1]: invalid enum value 'magic'",
    ),
    "two limits that contradict each other": (
        "risk:\n  max_daily_loss: 0.5\n",
        "FILE line 1: risk: halt_daily_loss (0.04) must not be below max_daily_loss (0.5)",
    ),
    "key twice": (
        "risk:\n  max_gross: 1\n  max_gross: 2\n",
        "FILE line 3: risk.max_gross is set twice, first at FILE line 2",
    ),
    "section twice": (
        "risk:\n  max_gross: 1\nrisk: {}\n",
        "FILE line 3: risk is set twice, first at FILE line 1",
    ),
    "key twice in a list": (
        "desk:\n  instruments:\n    - {name: A, name: B}\n",
        "desk.instruments[0].name is set twice",
    ),
    "section without keys": ("desk:\n", "FILE line 1: desk: expected `object`, got `null`"),
    "a value for a section": ("desk: 5\n", "FILE line 1: desk: expected `object`, got `int`, was 5"),
    "a list for the whole": ("- 1\n", "FILE: expected sections such as `desk:`, found list"),
    "text for the whole": ("hello\n", "FILE: expected sections such as `desk:`, found str"),
    "a number for a key": ("1: 2\n", "FILE line 1: '1' cannot be a key"),
    "a merge": ("<<: {risk: {}}\n", "FILE line 1: '<<' cannot be a key"),
    "two documents": ("---\ndesk: {}\n---\nrisk: {}\n", "FILE: is not YAML: expected a single document"),
    "a value that contains itself": ("desk: &a\n  x: *a\n", "FILE line 2: *a is a reference"),
    "a billion values": ("a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]\n", "FILE line 2: *a is a reference"),
    "an object of Python": (
        "!!python/object/apply:os.system ['true']\n",
        "FILE: is not YAML: could not determine",
    ),
    "an impossible date": ("desk:\n  cash: 2001-99-99\n", "FILE: is not YAML: month must be in 1..12"),
    "an integer of thousands of digits": (f"desk:\n  seed: {'9' * 5000}\n", "FILE: is not YAML"),
    "the same in hexadecimal": (f"desk:\n  seed: 0x{'f' * 5000}\n", "FILE line 2: desk.seed: expected `int`"),
    "a key of hundreds of letters": (f"desk:\n  {'x' * 900}: 1\n", "FILE line 2: unknown key desk.xxx"),
    "very deep": ("[" * 3000, "FILE: is not YAML"),
    "control characters": (b"desk:\n  name: \x00\n", "FILE: is not YAML: unacceptable character"),
    "another encoding": ("desk:\n  name: ä\n".encode("latin-1"), "FILE: is not UTF-8 text"),
    "endless": (b"#" * (MOST_BYTES + 1), f"FILE: {MOST_BYTES + 1} bytes is too long"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_profile_is_refused_in_one_line_with_key_and_line(file: Path, case: str) -> None:
    text, expected = REFUSED[case]

    said = refused(file, text)

    assert expected in said
    assert len(said) < 1000


def test_a_profile_cut_off_at_any_byte_is_taken_or_refused_in_one_line(file: Path) -> None:
    raw = GOOD.encode()
    outcomes, said = set(), set()
    for size in range(len(raw)):
        file.write_bytes(raw[:size])
        try:
            load(str(file), {})
            outcomes.add("taken")
        except SettingsError as error:
            outcomes.add("refused")
            said.add(len(str(error).splitlines()))

    assert said == {1}
    assert outcomes == {"taken", "refused"}


@given(
    position=st.integers(0, len(GOOD) - 1),
    inserted=st.text(st.characters(codec="utf-8"), max_size=4),
    removed=st.integers(0, 5),
)
def test_a_profile_with_any_slip_of_the_pen_never_ends_in_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, position: int, inserted: str, removed: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "slip.yaml"
    text = GOOD[:position] + inserted + GOOD[position + removed :]
    file.write_text(text, encoding="utf-8", newline="")
    said = "one line"
    try:
        load(str(file), {})
    except SettingsError as error:
        said = str(error)

    assert len(said.splitlines()) == 1


def test_a_profile_that_is_not_there_is_refused_with_the_names_of_those_that_are() -> None:
    for name in ("nope", "../paper", "/", ""):
        with pytest.raises(
            SettingsError, match=r"is neither a file nor one of: binance, demo, live-paper, paper"
        ):
            load(name, {})


# --- the environment ------------------------------------------------------------------------------


def test_variables_lie_over_the_file_and_are_read_as_yaml(file: Path) -> None:
    file.write_text(GOOD)
    environment = {
        "WHYDESK__RISK__MAX_GROSS": "0.25",
        "WHYDESK__DESK__CASH": "'7000'",
        "WHYDESK__ALPHA__ENABLED": "[trend, breakout]",
        "WHYDESK__DESK__INSTRUMENTS": "[{name: CCC}]",
        "HOME": "/root",
        "WHYDESK_RISK": "not one of ours",
    }

    settings = load(str(file), environment)

    assert settings.risk.max_gross == 0.25
    assert settings.desk.cash == 7000
    assert settings.desk.name == "mine"
    assert settings.alpha.enabled == ("trend", "breakout")
    assert [each.name for each in settings.desk.instruments] == ["CCC"]


def test_a_longer_name_lies_over_a_shorter_one(file: Path) -> None:
    file.write_text(GOOD)

    settings = load(
        str(file), {"WHYDESK__RISK__MAX_GROSS": "0.4", "WHYDESK__RISK": "{max_gross: 0.3, max_positions: 2}"}
    )

    assert (settings.risk.max_gross, settings.risk.max_positions) == (0.4, 2)


REFUSED_VARIABLES = {
    "WHYDESK__RISK__MAX_GROSS": ("99", "risk.max_gross: expected `float` <= 10.0, was 99"),
    "WHYDESK__RISK__MAX_GROS": ("1", "unknown key risk.max_gros; did you mean max_gross?"),
    "WHYDESK__NOPE__X": ("1", "unknown key nope"),
    "WHYDESK__RISK": ("5", "risk: expected `object`, got `int`, was 5"),
    "WHYDESK__RISK__MAX_GROSS__X": ("1", "max_gross is a value, not a section"),
    "WHYDESK__": ("1", "unknown key"),
    "WHYDESK__RISK__": ("1", "unknown key risk."),
    "WHYDESK__DESK__CASH": ("", "desk.cash: expected `decimal`, got `null`"),
    "WHYDESK__DESK__NAME": ("[: bad", "is not a YAML value"),
    "WHYDESK__DESK__SEED": ("2001-99-99", "is not a YAML value: month must be in 1..12"),
    "WHYDESK__ALPHA__ENABLED": ("&a [*a]", "*a is a reference"),
    "WHYDESK__DESK__INSTRUMENTS": ("[{name: A, tik: 2}]", "unknown key desk.instruments[0].tik"),
    "WHYDESK__SIZING": ("{1: 2}", "sizing: expected `str`"),
}


@pytest.mark.parametrize("name", REFUSED_VARIABLES)
def test_a_bad_variable_is_refused_by_its_name(file: Path, name: str) -> None:
    value, expected = REFUSED_VARIABLES[name]

    said = refused(file, GOOD, {name: value})

    assert said.startswith(f"environment {name}")
    assert expected in said
