"""The model folder from the console."""

from pathlib import Path
from typing import Any

import msgspec

from engine.core.domain.errors import BadInput
from engine.store.models import Manifest, ModelFolder
from jobs.output import show


def list_models(root: Path, *, as_json: bool) -> None:
    """Every published version, with a mark at the one in use."""
    folder = ModelFolder(root)
    used = folder.versions()
    rows = [
        {"name": m.name, "version": m.version, "in_use": used.get(m.name) == m.version, "card": _card(m)}
        for m in folder.list()
    ]
    lines = [f"{'*' if row['in_use'] else ' '} {row['name']} {row['version']}" for row in rows]
    show(as_json, {"models": rows}, lines or ["no model was published here"])


def show_model(root: Path, name: str, *, as_json: bool) -> None:
    """The card of the version in use."""
    manifest = ModelFolder(root).current(name)
    if manifest is None:
        raise BadInput(f"no version of model {name!r} is in use in {root / 'models'}")
    card = _card(manifest)
    show(as_json, card, msgspec.json.format(msgspec.json.encode(card)).decode().splitlines())


def promote(root: Path, name: str, version: str, *, as_json: bool) -> None:
    """Put a version to use."""
    _in_use(ModelFolder(root).promote(name, version), as_json)


def rollback(root: Path, name: str, *, as_json: bool) -> None:
    """Back to the version before."""
    _in_use(ModelFolder(root).rollback(name), as_json)


def _in_use(manifest: Manifest, as_json: bool) -> None:
    value = {"name": manifest.name, "version": manifest.version}
    show(as_json, value, [f"{manifest.name} {manifest.version} is in use"])


def _card(manifest: Manifest) -> dict[str, Any]:
    card: dict[str, Any] = msgspec.to_builtins(manifest)
    return card
