"""Where orders go: the simulated book, or a spot account at Binance or at whatever speaks its language."""

import re
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

VenueKind = Literal["paper", "binance"]
Seconds = Annotated[float, Meta(gt=0, le=3600)]

_URL = re.compile(r"\A(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?\Z")
_LOOPBACK = re.compile(r"\A(localhost|127\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}|\[::1\])\Z")


class VenueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The defaults simulate. Keys are never settings: they come from the environment or from `key_file`."""

    kind: VenueKind = "paper"
    base_url: Annotated[str, Meta(max_length=200)] = "https://api.binance.com"
    """Without `/api/v3`. Plain http only to this machine, for tests."""
    key_file: Annotated[str, Meta(max_length=1000)] = ""
    """A file with `WHYDESK_VENUE_KEY=...` and `WHYDESK_VENUE_SECRET=...` that only its owner may read."""
    request_timeout_s: Annotated[float, Meta(ge=0.01, le=60)] = 4.0
    """After that long a request counts as unanswered. The stop of an entry without an answer waits for it too."""
    recv_window_ms: Annotated[int, Meta(ge=100, le=60_000)] = 5000
    """A request that reaches the venue later than this after it was signed is refused there."""
    visibility_s: Annotated[float, Meta(ge=0, le=600)] = 12.0
    """How long the venue may not show an order that it has taken."""
    clock_bound_s: Annotated[float, Meta(ge=0, le=60)] = 1.0
    """How far the venue's clock may be off after it was measured."""
    retry_exit_s: Annotated[float, Meta(ge=0, le=600)] = 3.0
    """After that long without a trace an order that sells only what is held may be sent again."""
    poll_s: Annotated[float, Meta(ge=0.01, le=60)] = 2.0
    """How often open orders, and bars that are due, are asked for."""
    reconcile_s: Seconds = 60.0
    """How often the whole account is compared."""
    max_clock_offset_s: Annotated[float, Meta(gt=0, le=10)] = 1.0
    """A venue's clock further away from ours than this holds new entries."""
    stop_collar: Decimal = Decimal("0.03")
    """Share beyond its trigger up to which a stop may fill, where the venue knows only stops with a limit."""
    weight_per_minute: Annotated[int, Meta(ge=100, le=100_000)] = 3000
    """Request weight that the desk allows itself. A fifth is kept for cancels, exits and look-ups."""
    bar_delay_s: Annotated[float, Meta(ge=0, le=60)] = 1.0
    """How long after its close a candle is asked for: it may still change in the first moments."""
    bar_grace_s: Annotated[float, Meta(gt=0, le=3600)] = 20.0
    """How long a moment waits for the bars of slower instruments."""

    @property
    def answer_s(self) -> float:
        """Seconds to wait for what may be a few requests; after that what was asked for is unknown."""
        return 3 * self.request_timeout_s

    @property
    def absent_after_s(self) -> float:
        """After that long an order of which the venue shows no trace has never arrived."""
        return self.recv_window_ms / 1000 + self.visibility_s + self.clock_bound_s

    def __post_init__(self) -> None:
        if not self.stop_collar.is_finite() or not 0 < self.stop_collar <= Decimal("0.5"):
            raise ValueError(f"stop_collar must be more than 0 and at most 0.5, was {self.stop_collar}")
        match = _URL.match(self.base_url)
        if match is None:
            raise ValueError(
                "base_url must be a URL such as https://api.binance.com, without user, query or spaces"
            )
        if match[1] != "https" and not _LOOPBACK.match(match[2]):
            raise ValueError(
                f"base_url must begin with https:// (only this machine may do without), was {self.base_url}"
            )
