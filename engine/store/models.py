"""Trained models as folders: the file, what is known of it, and which version is in use.

    home/models/<name>/<version>/model.onnx
    home/models/<name>/<version>/manifest.json
    home/models/<name>/current                  one version a line; the last is in use, the others were

A version is the beginning of the file's own hash, so a version cannot change. Models are ONNX and manifests are
JSON: loading one runs no code.
"""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from engine.core.domain.errors import BadInput, Refused
from engine.core.maths.calibration import Calibration

_MODEL, _MANIFEST, _CURRENT = "model.onnx", "manifest.json", "current"
_NAME = re.compile(r"[a-z0-9][a-z0-9_\-]{0,63}")
_VERSION = re.compile(r"[0-9a-f]{16}")
_REMEMBERED = 20  # versions that were in use, for going back


class TrainedOn(msgspec.Struct, frozen=True):
    """The data that a model has seen. Dates are of the first and last bar, as ISO text."""

    instruments: tuple[str, ...]
    first: str
    last: str
    rows: int
    data_hash: str


class Label(msgspec.Struct, frozen=True):
    """What it was trained to tell: which barrier is met first, within `horizon` bars. Barriers in volatilities."""

    horizon: int
    upper: float
    lower: float


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that must be known of a model to use it, judge it and make it again.

    `features` are in the order of its columns; `calibration` is what its answers are put through; `parity` is the
    largest difference between what the trained model and the exported file answered; `metrics` hold the folds.
    """

    name: str
    version: str
    sha256: str
    feature_set: str
    features: tuple[str, ...]
    trained_on: TrainedOn
    label: Label
    params: dict[str, Any]
    metrics: dict[str, Any]
    calibration: Calibration
    parity: float
    created_at: datetime

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadInput(f"a model's name is of a-z, 0-9, - and _, at most 64: was {self.name!r}")
        if self.version != self.sha256[:16] or not _VERSION.fullmatch(self.version):
            raise BadInput(f"model {self.name}: version {self.version!r} does not begin hash {self.sha256!r}")
        if self.created_at.tzinfo is None:
            raise BadInput(f"model {self.name}: created_at must be aware, was {self.created_at}")


def hash_of(model: bytes) -> tuple[str, str]:
    """The version and the whole hash of a model's file."""
    digest = sha256(model).hexdigest()
    return digest[:16], digest


class ModelFolder:
    """The models of one home."""

    def __init__(self, home: Path) -> None:
        self._root = home / "models"

    def publish(self, model: bytes, *, use: bool = True, **known: Any) -> Manifest:
        """Keep a model with what is `known` of it: the fields of Manifest but version and sha256.

        The same file again is the same version: the manifest that is there already stays. With `use` the
        version is put to use.
        """
        version, digest = hash_of(model)
        manifest = Manifest(version=version, sha256=digest, **known)
        folder = self._root / manifest.name / version
        if not folder.exists():
            self._write(folder, {_MODEL: model, _MANIFEST: msgspec.json.encode(manifest)})
        manifest = self.manifest(manifest.name, version)
        if use:
            self.promote(manifest.name, version)
        return manifest

    def manifest(self, name: str, version: str) -> Manifest:
        """What is known of one version. BadInput if there is none, Refused if its manifest is damaged."""
        if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
            raise BadInput(f"there is no model {name} {version}")
        path = self._root / name / version / _MANIFEST
        try:
            manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        except FileNotFoundError:
            raise BadInput(f"there is no model {name} {version} in {self._root}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, BadInput) as error:
            raise Refused(f"model {name} {version}: the manifest cannot be read: {error}") from error
        if (manifest.name, manifest.version) != (name, version):
            raise Refused(f"model {name} {version}: the manifest is of {manifest.name} {manifest.version}")
        return manifest

    def current(self, name: str) -> Manifest | None:
        """The version in use; None when there is none."""
        used = self._used(name)
        return self.manifest(name, used[-1]) if used else None

    def list(self, name: str = "") -> tuple[Manifest, ...]:
        """All versions of `name`, or of all names; oldest first within a name."""
        folders = [self._root / name] if name else sorted(self._root.glob("*"))
        found = []
        for folder in folders:
            versions = [each.name for each in folder.glob("*") if _VERSION.fullmatch(each.name)]
            manifests = [self.manifest(folder.name, version) for version in versions]
            found += sorted(manifests, key=lambda each: (each.created_at, each.version))
        return tuple(found)

    def load_bytes(self, name: str, version: str = "") -> tuple[bytes, Manifest]:
        """The file of a version, or of the one in use, after its hash has been checked against the manifest."""
        manifest = self.manifest(name, version) if version else self.current(name)
        if manifest is None:
            raise BadInput(f"no version of model {name} is in use in {self._root}")
        path = self._root / name / manifest.version / _MODEL
        try:
            model = path.read_bytes()
        except OSError as error:
            raise Refused(
                f"model {name} {manifest.version}: {path} cannot be read ({error.strerror})"
            ) from error
        if hash_of(model) != (manifest.version, manifest.sha256):
            raise Refused(f"model {name} {manifest.version}: {path} is not the file that was published")
        return model, manifest

    def promote(self, name: str, version: str) -> Manifest:
        """Put a version to use. It is loaded first: one that cannot be loaded is never in use."""
        _, manifest = self.load_bytes(name, version)
        used = self._used(name)
        if used[-1:] != (version,):
            self._use(name, (*used, version)[-_REMEMBERED:])
        return manifest

    def rollback(self, name: str) -> Manifest:
        """Go back to the version that was in use before this one."""
        used = self._used(name)
        if len(used) < 2:
            raise Refused(f"model {name} has no version before this one")
        _, manifest = self.load_bytes(name, used[-2])
        self._use(name, used[:-1])
        return manifest

    def versions(self) -> Mapping[str, str]:
        """Names and the versions in use."""
        names = sorted(folder.parent.name for folder in self._root.glob(f"*/{_CURRENT}"))
        return {name: self._used(name)[-1] for name in names}

    def _used(self, name: str) -> tuple[str, ...]:
        if not _NAME.fullmatch(name):
            raise BadInput(f"there is no model {name}")
        path = self._root / name / _CURRENT
        used = tuple(path.read_text().split()) if path.exists() else ()
        if not all(_VERSION.fullmatch(version) for version in used):
            raise Refused(f"model {name}: {path} does not hold versions")
        return used

    def _use(self, name: str, used: tuple[str, ...]) -> None:
        folder = self._root / name
        file, path = tempfile.mkstemp(dir=folder, prefix=".current-")
        with os.fdopen(file, "w") as text:
            text.write("\n".join(used) + "\n")
            text.flush()
            os.fsync(text.fileno())
        Path(path).replace(folder / _CURRENT)
        _flush(folder)

    def _write(self, folder: Path, files: Mapping[str, bytes]) -> None:
        """Make the folder whole or not at all; if another process made it meanwhile, theirs is the same."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".draft-"))
        try:
            for name, content in files.items():
                with (draft / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            draft.chmod(0o755)
            with contextlib.suppress(FileExistsError, IsADirectoryError):
                draft.rename(folder)
            _flush(folder.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Make what was renamed in the folder outlive a power cut."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
