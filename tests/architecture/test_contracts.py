"""The import contracts of `pyproject.toml` hold, and they leave no room out."""

import subprocess
import sys
import tomllib
from typing import Any

from tests.architecture.source import FLOORS, ROOT

CORE = ROOT / "engine" / "core"


def contract(name: str) -> dict[str, Any]:
    """Read one import contract by its id."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return next(found for found in settings["contracts"] if found["id"] == name)


def test_the_import_contracts_hold() -> None:
    command = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-logo", "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr


def test_no_floor_exists_beside_the_six() -> None:
    floors = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}

    assert floors == set(FLOORS)


def test_the_upper_floors_are_kept_out_of_every_room_of_the_core_but_the_nouns() -> None:
    rooms = {path.stem for path in CORE.glob("*.py")} | {
        path.parent.name for path in CORE.glob("*/__init__.py")
    }
    closed = {name.removeprefix("engine.core.") for name in contract("upper-floors")["forbidden_modules"]}

    assert closed == rooms - {"__init__", "domain"}


def test_every_room_of_the_engines_shell_is_opened_only_by_jobs() -> None:
    rooms = {f"engine.{path.parent.name}" for path in (ROOT / "engine").glob("*/__init__.py")} - {
        "engine.core"
    }
    guarded = {
        name
        for contract_id in ("shell-doors", "adapter-doors")
        for name in contract(contract_id)["protected_modules"]
    }

    assert rooms <= guarded


def test_every_folder_of_a_floor_is_a_package_so_that_the_contracts_see_it() -> None:
    folders = {path.parent for floor in FLOORS for path in (ROOT / floor).rglob("*.py")}
    scripts = ROOT / "engine" / "store" / "migrations"  # Alembic runs these by their path
    bare = [
        folder.relative_to(ROOT).as_posix()
        for folder in sorted(folders)
        if not (folder / "__init__.py").exists() and not folder.is_relative_to(scripts)
    ]

    assert bare == []
