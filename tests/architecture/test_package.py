"""What is installed is what stands here: nothing that is read at run time stays behind."""

import tomllib
from fnmatch import fnmatch

from jobs.version import VERSION
from tests.architecture.source import FLOORS, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_file_that_is_no_python_is_packed_into_the_wheel() -> None:
    data = PROJECT["tool"]["setuptools"]["package-data"]
    packed = [
        f"{package.replace('.', '/')}/{pattern}" for package, patterns in data.items() for pattern in patterns
    ]
    files = [
        path.relative_to(ROOT).as_posix()
        for floor in FLOORS
        for path in (ROOT / floor).rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    ]

    assert len(files) > 10
    assert [
        file
        for file in files
        if not any(fnmatch(file, pattern) and file.count("/") == pattern.count("/") for pattern in packed)
    ] == []


def test_the_version_stands_in_one_place() -> None:
    assert "version" not in PROJECT["project"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "jobs.version.VERSION"}
    assert VERSION.count(".") == 2
