"""What stands in the repository holds on every machine, not on the one where it was written."""

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source import FLOORS, ROOT

# Folders of one person or one machine; a comment, a default or a test that names one is true only there.
OWN_PLACES = re.compile(r"(?<![\w.~-])/(?:home|Users|root|work|workspace|builds|mnt)/[\w.-]+")
OWN_SOURCES = re.compile(
    r"file://|--?(?:extra-)?index-url|--?find-links|(?:PIP|UV)_(?:FIND_LINKS|\w*INDEX\w*)"
)
URL = re.compile(r"\bhttps?://([\w.-]+)")


def texts() -> Iterator[tuple[str, str]]:
    """Every text file that belongs to the project, by its path."""
    folders = (*FLOORS, "tests", ".ci", ".github")
    paths: list[Path] = [path for path in ROOT.iterdir() if path.is_file()]
    paths += [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in sorted(paths):
        if (
            path == Path(__file__).resolve()
            or "__pycache__" in path.parts
            or path.name.startswith(".coverage")
        ):
            continue
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def is_private(host: str) -> bool:
    """True for a host that exists in one network only. Loopback exists everywhere."""
    if host == "localhost" or host.endswith((".example", ".invalid", ".test", "example.com", "example.org")):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".internal", ".local", ".lan", ".corp", ".svc"))
    return not address.is_loopback


def test_no_text_names_a_place_on_one_machine() -> None:
    found = [f"{path}: {match}" for path, text in texts() for match in OWN_PLACES.findall(text)]

    assert found == []


def test_no_text_names_where_one_machine_gets_its_packages() -> None:
    found = [f"{path}: {match}" for path, text in texts() for match in OWN_SOURCES.findall(text)]

    assert found == []


def test_no_text_names_a_host_of_one_network() -> None:
    found = [f"{path}: {host}" for path, text in texts() for host in URL.findall(text) if is_private(host)]

    assert found == []


def test_the_lock_brings_no_gpu_library() -> None:
    lock = (ROOT / "constraints.txt").read_text()

    assert re.findall(r"(?im)^(?:nvidia|torch|triton|xgboost=|cupy)[\w-]*", lock) == []


def test_the_lock_names_each_package_once_with_one_exact_version() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]

    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[\w.]+", line)] == []
    assert len({line.partition("==")[0] for line in lines}) == len(lines)
