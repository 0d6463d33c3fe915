"""How the desk is watched from outside, and who hears of it when it stands still."""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

Word = Annotated[str, Meta(max_length=1000)]

_URL = re.compile(
    r"\A(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?(/[!-~]*)?\Z", re.IGNORECASE | re.ASCII
)
_LOOPBACK = re.compile(r"\A(localhost|127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}|\[::1\])\Z", re.IGNORECASE)


class MonitoringSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing here can change a decision. No record keeps it: an address or a command may hold a token."""

    health_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """A port on this machine that answers `GET /health` while the desk runs; 0 for none."""
    heartbeat_lost_s: Annotated[float, Meta(ge=2, le=600)] = 10.0
    """After so long without a heartbeat the watchdog halts the desk, kills its process and starts it again."""
    alert_command: Annotated[tuple[Word, ...], Meta(max_length=100)] = ()
    """What the watchdog runs to tell somebody, a word an element, with the text on its stdin; nothing for none."""
    alert_url: Annotated[str, Meta(max_length=2000)] = ""
    """Where the watchdog posts the same as JSON; empty for nowhere. Plain http only to this machine."""

    def __post_init__(self) -> None:
        if any("\0" in word for word in self.alert_command) or self.alert_command[:1] == ("",):
            raise ValueError("alert_command must begin with a program and hold no null characters")
        match = _URL.match(self.alert_url) if self.alert_url else None
        # What was found is not repeated: it may hold a token.
        if self.alert_url and (
            match is None or (match[1].lower() != "https" and not _LOOPBACK.match(match[2]))
        ):
            raise ValueError(
                "alert_url must be a URL such as https://example.org/alerts, without user or spaces"
                " (only this machine may do without https)"
            )
