import copy
import pickle
from pathlib import Path

import pytest

from configs.load import SettingsError
from configs.schema.venue import VenueSettings
from configs.secrets import KEY, SECRET, Keys, load_keys

A, B = "key-of-somebody-123", "secret-of-somebody-456"


def file(folder: Path, text: str, mode: int = 0o600) -> VenueSettings:
    path = folder / "venue.key"
    path.write_text(text)
    path.chmod(mode)
    return VenueSettings(key_file=str(path))


def test_keys_come_from_the_environment_first_and_else_from_the_file(tmp_path: Path) -> None:
    settings = file(tmp_path, f"# mine\n{KEY}={A}\n{SECRET} = '{B}'\nOTHER=1\n")

    from_file = load_keys(settings, {})
    from_environment = load_keys(settings, {KEY: "another-key", SECRET: "another-secret"})

    assert (from_file.key, from_file.secret) == (A, B)
    assert (from_environment.key, from_environment.secret) == ("another-key", "another-secret")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o700])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SettingsError, match=f"may be read by others \\(mode 0{mode:o}\\)") as told:
        load_keys(file(tmp_path, f"{KEY}={A}\n{SECRET}={B}\n", mode), {})

    assert A not in str(told.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "WHYDESK_VENUE_KEY and WHYDESK_VENUE_SECRET not found"),
        (f"{KEY}={A}", "WHYDESK_VENUE_SECRET not found"),
        (f"{KEY}={A}\n{SECRET}=\n", "WHYDESK_VENUE_SECRET not found"),
        (f"{KEY}={A}\n{SECRET}=short\n", "is not a key"),
        (f"{KEY}={A}\n{SECRET}=with space inside\n", "is not a key"),
        (f"{KEY}={A}\n{SECRET}=schlüssel-des-hauses\n", "is not a key"),
        ("x" * 20_000, "not found"),
    ],
)
def test_what_is_no_pair_of_keys_is_refused_without_being_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as told:
        load_keys(file(tmp_path, text), {})

    assert len(str(told.value).splitlines()) == 1
    assert not any(value in str(told.value) for value in (A, "short", "with space", "schlüssel"))


@pytest.mark.parametrize("place", ["missing", "folder"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(SettingsError):
        load_keys(VenueSettings(key_file=str(tmp_path / place)), {})


def test_keys_show_themselves_to_nobody() -> None:
    keys = Keys(A, B)
    texts = [repr(keys), str(keys), f"{keys}", repr([keys]), repr({"keys": keys})]

    assert not any(A in text or B in text for text in texts)
    with pytest.raises(TypeError, match="not written anywhere"):
        pickle.dumps(keys)
    with pytest.raises(TypeError, match="not written anywhere"):
        copy.copy(keys)
    with pytest.raises(AttributeError):
        keys.__dict__  # noqa: B018


def test_a_text_is_cleared_of_them_by_value() -> None:
    assert Keys(A, B).redact(f"{A}:{B}, {A}") == "[hidden]:[hidden], [hidden]"
    assert Keys("", "").redact("nothing to hide") == "nothing to hide"
