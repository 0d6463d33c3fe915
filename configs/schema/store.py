"""Where records are kept, and where what vouches for them."""

from typing import Annotated

import msgspec
from msgspec import Meta

Path = Annotated[str, Meta(min_length=1, max_length=1000)]


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`url` empty means SQLite in the home folder; otherwise a PostgreSQL URL.

    `anchors` are the files of signed checkpoints, by a path or one that begins in the home; none named means
    `anchors.jsonl` in the home. The newest head is written there every `anchor_every_s` seconds.
    """

    url: str = ""
    anchors: Annotated[tuple[Path, ...], Meta(max_length=8)] = ()
    anchor_every_s: Annotated[float, Meta(ge=1, le=86_400)] = 60.0
