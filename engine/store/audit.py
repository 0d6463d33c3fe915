"""The chain that makes every edit of the journal show.

Each record has a leaf, the hash of its bytes, and a link, the hash of the link before it, its number and its
leaf. Whoever knows the newest link knows every record before it: changing, removing, adding or reordering one
changes all links from there on. Leaves and links begin with different bytes, so that neither can pass for the
other (the prefixes of RFC 6962, section 2.1). Cutting records off the end leaves a shorter chain that is
still whole; only a link noted somewhere else can show that.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

GENESIS = bytes(32)
"""What stands in for the link before the first record."""


class Walk(NamedTuple):
    """How far a walk along the chain came: the last number and link that fit, and what did not, if anything."""

    sequence: int
    link: bytes
    first_break: int | None = None
    reason: str = ""


def leaf(payload: bytes) -> bytes:
    """The hash of a record's bytes.

    >>> leaf(b"").hex()[:16]
    '6e340b9cffb37a98'
    """
    return sha256(b"\x00" + payload).digest()


def link(previous: bytes, sequence: int, leaf_hash: bytes) -> bytes:
    """The hash that ties record `sequence` to all before it.

    >>> link(GENESIS, 1, leaf(b"{}")).hex()[:16]
    'ddb2cbcca9757eae'
    """
    return sha256(b"\x01" + previous + sequence.to_bytes(8, "big") + leaf_hash).digest()


def walk(rows: Iterable[tuple[int, bytes, bytes]], start: Walk = Walk(0, GENESIS)) -> Walk:
    """Follow `rows` of (sequence, payload, stored link) from where `start` stopped, to the end or the first break.

    The two hashes are written out here: calls would cost as much as the hashing.
    """
    number, previous = start.sequence, start.link
    if type(previous) is not bytes:
        return Walk(number, GENESIS, number, f"the hash of record {number} is not bytes")
    if type(number) is not int:
        return Walk(0, GENESIS, 0, f"the number of a record is {type(number).__name__}")
    for sequence, payload, stored in rows:
        number += 1
        if sequence != number:
            first = min(sequence, number) if type(sequence) is int else number
            return Walk(number - 1, previous, first, _gap(sequence, number))
        if type(payload) is not bytes:
            return Walk(number - 1, previous, number, f"the payload of record {number} is not bytes")
        inner = sha256(b"\x00" + payload).digest()
        current = sha256(b"\x01" + previous + number.to_bytes(8, "big") + inner).digest()
        if current != stored:
            return Walk(
                number - 1, previous, number, f"record {number} does not have the hash that was stored"
            )
        previous = current
    return Walk(number, previous)


def _gap(found: Any, expected: int) -> str:
    if type(found) is not int:
        return f"record {expected} has no number, but {type(found).__name__}"
    if found > expected:
        return f"record {expected} is missing: {found} comes next"
    return f"record {found} stands before the first"
