from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.core.domain.errors import BadInput, Refused
from engine.core.maths.calibration import Calibration
from engine.store.models import Label, Manifest, ModelFolder, TrainedOn, hash_of

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def about(**changes: Any) -> dict[str, Any]:
    return {
        "name": "barrier",
        "feature_set": "v1",
        "features": ("rsi", "atr"),
        "trained_on": TrainedOn(("SP500",), "2010-01-04", "2020-12-31", 2770, "ab12"),
        "label": Label(10, 2.0, 2.0),
        "params": {"max_depth": 3},
        "metrics": {"folds": [{"auc": 0.53}]},
        "calibration": Calibration(0.4, 0.1),
        "parity": 1e-7,
        "created_at": NOW,
    } | changes


def test_a_published_model_is_in_use_and_loads(tmp_path: Path) -> None:
    models = ModelFolder(tmp_path)

    published = models.publish(b"one", **about())

    assert published.version == hash_of(b"one")[0]
    assert models.current("barrier") == published
    assert ModelFolder(tmp_path).load_bytes("barrier") == (b"one", published)
    assert models.versions() == {"barrier": published.version}


def test_a_model_can_be_kept_without_being_used(tmp_path: Path) -> None:
    models = ModelFolder(tmp_path)
    first = models.publish(b"one", **about())
    second = models.publish(b"two", use=False, **about(created_at=datetime(2026, 11, 22, tzinfo=UTC)))

    assert models.current("barrier") == first
    assert models.list("barrier") == (first, second)
    assert models.promote("barrier", second.version) == second
    assert models.current("barrier") == second
    assert models.rollback("barrier") == first
    assert models.current("barrier") == first
    with pytest.raises(Refused, match="no version before"):
        models.rollback("barrier")


def test_the_same_file_again_is_the_same_version_with_its_first_manifest(tmp_path: Path) -> None:
    models = ModelFolder(tmp_path)
    first = models.publish(b"one", **about())

    assert models.publish(b"one", **about(parity=0.5)) == first
    assert len(models.list()) == 1


def test_no_models_is_an_answer(tmp_path: Path) -> None:
    models = ModelFolder(tmp_path)

    assert (models.list(), models.current("barrier"), models.versions()) == ((), None, {})


def test_a_changed_file_is_not_loaded_and_not_promoted(tmp_path: Path) -> None:
    models = ModelFolder(tmp_path)
    published = models.publish(b"one", **about())
    (tmp_path / "models/barrier" / published.version / "model.onnx").write_bytes(b"two")

    with pytest.raises(Refused, match="is not the file that was published"):
        models.load_bytes("barrier")
    with pytest.raises(Refused, match="is not the file that was published"):
        models.promote("barrier", published.version)


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    models = ModelFolder(tmp_path)
    published = models.publish(b"one", **about())
    (tmp_path / "models/barrier" / published.version / "manifest.json").write_bytes(b'{"name": "barrier"}')

    with pytest.raises(Refused, match="manifest cannot be read"):
        models.load_bytes("barrier")


def test_a_folder_under_another_version_is_refused(tmp_path: Path) -> None:
    models = ModelFolder(tmp_path)
    published = models.publish(b"one", **about())
    other = "0" * 16
    (tmp_path / "models/barrier" / published.version).rename(tmp_path / "models/barrier" / other)

    with pytest.raises(Refused, match="the manifest is of"):
        models.load_bytes("barrier", other)


@pytest.mark.parametrize(
    ("name", "version"), [("barrier", "0" * 16), ("../home", "0" * 16), ("barrier", "../x")]
)
def test_an_unknown_model_is_bad_input(tmp_path: Path, name: str, version: str) -> None:
    with pytest.raises(BadInput, match="there is no model"):
        ModelFolder(tmp_path).load_bytes(name, version)


@pytest.mark.parametrize("changes", [{"name": "../x"}, {"name": ""}, {"created_at": datetime(2026, 1, 1)}])  # noqa: DTZ001
def test_a_manifest_cannot_be_made_wrong(changes: dict[str, Any]) -> None:
    version, digest = hash_of(b"one")

    with pytest.raises(BadInput):
        Manifest(version=version, sha256=digest, **about(**changes))


def test_a_failed_publication_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = ModelFolder(tmp_path)

    def refuse(*_: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="no room"):
        models.publish(b"one", **about())

    assert list((tmp_path / "models/barrier").iterdir()) == []
