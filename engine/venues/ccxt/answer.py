"""What can come of a request: an answer, an error that the venue told, or none, and then whether it had left at all."""

from typing import NamedTuple

from engine.core.domain.errors import VenueDown
from engine.venues.ccxt.convert import verdict


class Reply(NamedTuple):
    """What came back, unread."""

    status: int
    headers: dict[str, str]
    body: bytes


class NeverSent(VenueDown):
    """Nothing has left: no connection was made, or we kept silent ourselves."""


class Unanswered(VenueDown):
    """It left, or may have, and no answer that can be read came back."""


class Declined(VenueDown):
    """The venue answered with an error: its HTTP status, its code, its words, and what that means for an order."""

    def __init__(self, status: int, code: int, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.verdict = verdict(status, code, message)
        super().__init__(f"the venue said {status} {code}: {message}")
