"""Where one desk keeps everything: the layout of its home folder."""

from pathlib import Path
from typing import NamedTuple

from configs.schema.settings import Settings


class Home(NamedTuple):
    """The folder that `--home` names."""

    root: Path

    def store(self, settings: Settings) -> str:
        """The store's place: the URL of the settings, or SQLite in the home."""
        return settings.store.url or str(self.root / "desk.sqlite3")

    @property
    def keys(self) -> Path:
        """What the desk signs with."""
        return self.root / "keys"

    def anchors(self, settings: Settings) -> tuple[Path, ...]:
        """The files of signed checkpoints: those of the settings, or one in the home."""
        return tuple(self.root / path for path in settings.store.anchors or ("anchors.jsonl",))

    @property
    def reports(self) -> Path:
        """HTML reports."""
        return self.root / "reports"

    @property
    def charts(self) -> Path:
        """Pictures, for chats that show none."""
        return self.root / "charts"

    @property
    def backtests(self) -> Path:
        """One journal and one report a back-test."""
        return self.root / "backtests"
