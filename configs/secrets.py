"""Keys of a venue and tokens of chats: read once at start, shown to nobody, cut out of every text by their value."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from configs.load import SettingsError
from configs.schema.chat import ChatSettings
from configs.schema.venue import VenueSettings

KEY, SECRET = "WHYDESK_VENUE_KEY", "WHYDESK_VENUE_SECRET"
TELEGRAM, DISCORD = "WHYDESK_TELEGRAM_TOKEN", "WHYDESK_DISCORD_TOKEN"
HIDDEN = "[hidden]"
MOST_BYTES = 10_000


class Keys:
    """An API key and its secret. Neither is part of any text that this object gives of itself."""

    __slots__ = ("key", "secret")

    def __init__(self, key: str, secret: str) -> None:
        self.key = key
        self.secret = secret

    def __repr__(self) -> str:
        return f"Keys({HIDDEN})"

    def __reduce__(self) -> str:
        raise TypeError("keys are not written anywhere")

    def redact_bytes(self, body: bytes) -> bytes:
        """The same for what has not been read yet, so that nothing can be read out of it."""
        for value in (self.secret, self.key):
            if value:
                body = body.replace(value.encode(), HIDDEN.encode())
        return body

    def redact(self, text: str) -> str:
        """The text without them, wherever it came from."""
        for value in (self.secret, self.key):
            if value:
                text = text.replace(value, HIDDEN)
        return text


def load_keys(settings: VenueSettings, environment: Mapping[str, str]) -> Keys:
    """From the environment, else from the file that the settings name. SettingsError says what is missing."""
    found, where = _find((KEY, SECRET), settings.key_file, environment)
    missing = [name for name in (KEY, SECRET) if name not in found]
    if missing:
        raise SettingsError(
            f"{' and '.join(missing)} not found in {where}; set both, or name a venue.key_file"
        )
    return Keys(found[KEY], found[SECRET])


def load_token(name: str, settings: ChatSettings, environment: Mapping[str, str]) -> str:
    """The token of a chat (`TELEGRAM` or `DISCORD`), as `load_keys` finds keys."""
    found, where = _find((name,), settings.key_file, environment)
    if name not in found:
        raise SettingsError(f"{name} not found in {where}; set it, or name a chat.key_file")
    return found[name]


def _find(names: tuple[str, ...], file: str, environment: Mapping[str, str]) -> tuple[dict[str, str], str]:
    found = {name: environment[name].strip() for name in names if environment.get(name, "").strip()}
    where = "the environment"
    if not found and file:
        where, found = file, _read(Path(file), names)
    for name, value in found.items():
        if not value.isascii() or not value.isprintable() or " " in value or len(value) < 8:
            raise SettingsError(
                f"{name} in {where} is not a key: expected at least 8 printable ASCII characters"
            )
    return found, where


def _read(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Lines of NAME=value. The file must be for its owner's eyes only, and is looked at through one open handle."""
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise SettingsError(f"{path}: is not a file")
            if stat.S_IMODE(state.st_mode) & 0o177:
                mode = f"{stat.S_IMODE(state.st_mode):04o}"
                raise SettingsError(
                    f"{path}: may be read by others (mode {mode}); do `chmod 600` and make new keys"
                )
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        lines = raw.decode("utf-8-sig").splitlines() if len(raw) <= MOST_BYTES else []
    except UnicodeDecodeError:
        lines = []
    pairs = [line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#")]
    return {
        name.strip(): value.strip().strip("\"'")
        for name, _, value in pairs
        if name.strip() in names and value.strip().strip("\"'")
    }
