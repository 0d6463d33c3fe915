from pathlib import Path

import pytest

from engine.core.domain.errors import BadSettings
from engine.store.driver import POSTGRESQL, SQLITE, place


@pytest.mark.parametrize(
    ("url", "dialect", "target"),
    [
        (Path("var/desk.db"), SQLITE, "var/desk.db"),
        ("var/desk.db", SQLITE, "var/desk.db"),
        ("sqlite:///var/desk.db", SQLITE, "var/desk.db"),
        ("sqlite+aiosqlite:////var/my%20desk.db", SQLITE, "/var/my desk.db"),
        ("postgresql://me@host/desk", POSTGRESQL, "me@host/desk"),
        ("postgresql+asyncpg://me@host/desk", POSTGRESQL, "me@host/desk"),
    ],
)
def test_paths_and_urls_name_a_place(url: str | Path, dialect: object, target: str) -> None:
    assert place(url) == (dialect, target)


@pytest.mark.parametrize("url", ["mysql://host/desk", "sqlite://", "sqlite:///", "sqlite://desk.db"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(BadSettings, match=r"store\.url"):
        place(url)


def test_a_place_is_shown_without_its_password() -> None:
    assert "secret" not in str(place("postgresql://desk:secret@db/desk"))
