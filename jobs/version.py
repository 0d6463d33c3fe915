"""What code made a record: the version, and a hash of everything that decides."""

import hashlib
from functools import cache
from pathlib import Path

VERSION = "0.1.0"


@cache
def code_version() -> str:
    """`0.1.0+` and 12 hex digits that change with any file of the pure core or the settings' schema."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for folder in ("configs/schema", "engine/core"):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{VERSION}+{digest.hexdigest()[:12]}"
