"""Where records are kept."""

import msgspec


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`url` empty means SQLite in the home folder; otherwise a PostgreSQL URL."""

    url: str = ""
