"""Identifiers as functions of their inputs, so that a retry can never make a second one.

Every id begins with the time of the bar that caused it, in base 36, so that sorting by id is sorting by time.
"""

import hashlib
import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
_ORDER = re.compile(r"wd[0-9a-z]{9}[0-9a-f]{16}[a-z][0-9]*")


def epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970 in UTC, exactly."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def from_epoch_ms(ms: int) -> datetime:
    """The aware UTC moment of `ms` milliseconds since 1970, exactly."""
    return _EPOCH + timedelta(milliseconds=ms)


def time36(moment: datetime) -> str:
    """Nine base-36 digits that sort as the moment does, to the year 5188.

    >>> time36(datetime(2008, 10, 15, tzinfo=UTC))
    '0fmb756o0'
    """
    number, digits = epoch_ms(moment), ""
    for _ in range(4):
        number, pair = divmod(number, 36 * 36)
        digits = _PAIRS[pair] + digits
    return _DIGITS[number % 36] + digits


def digest(*parts: str, length: int = 8) -> str:
    """Hex digits of the parts, told apart by a separator that names cannot hold."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:length]


def cycle_id(desk: str, timeframe: str, close: datetime) -> str:
    """One turn of the desk at one bar close."""
    return f"c-{time36(close)}-{digest(desk, timeframe, length=4)}"


def decision_id(cycle: str, instrument: str) -> str:
    """One instrument looked at in one cycle.

    >>> decision_id("c-0fmb756o0-1a2b", "SP500")
    'd-0fmb756o0-aa839972'
    """
    return f"d-{cycle[2:11]}-{digest(cycle, instrument)}"


def order_id(decision: str, leg: str) -> str:
    """The client order id: at most 32 of [a-z0-9], equal for the same decision and leg.

    `leg` is a letter: e entry, s stop, t target, x exit, m manual; s2, x3 and so on are later tries.
    """
    return f"wd{decision[2:11]}{digest(decision, leg, length=16)}{leg}"


def is_order_id(text: str) -> bool:
    """Whether a client order id is one that `order_id` makes: an order of this desk, or of one like it.

    >>> is_order_id(order_id("d-0fmb756o0-aa839972", "s2")), is_order_id("web_5f3e")
    (True, False)
    """
    return _ORDER.fullmatch(text) is not None


def is_entry_id(text: str) -> bool:
    """Whether it is one of an order that can add risk: an entry. All others only reduce.

    >>> is_entry_id(order_id("d-0fmb756o0-aa839972", "e")), is_entry_id(order_id("d-0fmb756o0-aa839972", "s2"))
    (True, False)
    """
    return is_order_id(text) and text.rstrip(_DIGITS[:10])[-1] == "e"


def fill_id(order: str, venue_trade: str) -> str:
    """The record of one fill; the venue's trade id makes it unique however often it is told."""
    return f"f-{order[2:11]}-{digest(order, venue_trade, length=12)}"


def record_id(kind: str, at: datetime, *parts: str) -> str:
    """Any other record: a short kind, the time, and what makes it unique."""
    return f"{kind}-{time36(at)}-{digest(kind, *parts)}"
