"""Signed checkpoints of the chain, kept where whoever can write the journal cannot.

A chain shows every edit but two: its end cut off, and all of it written anew with hashes that fit. Both show
against a link that was noted somewhere else. A checkpoint is such a note: desk, number, link and time, signed
with the desk's key. Anchor files hold one a line. Each line names the hash of the line before it, so that a file
of anchors is a chain of its own, and only its end can be lost without a trace: hence several files, on other
disks, and a form of one line that can be posted to a chat and pasted back.

When an older journal was put back on purpose, a person says so with an anchor that carries a note. It names the
hash of everything that stands before it in its file: what it set aside can no longer be changed either.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from engine.core.domain.errors import BadInput, Refused
from engine.ports import Verification
from engine.store.audit import GENESIS
from engine.store.keys import PRIVATE, PublicKey, SigningKey, signing_key

LONGEST_NOTE = 400
_LONGEST_LINE = 8192
_PATIENCE, _PATIENCE_S = 20, 1.0
_PREFIX = b"whydesk checkpoint 1\n"
"""Stands before everything that this key signs as a checkpoint: no other message can pass for one."""
_WORD, _VERSION = "whydesk-anchor", "1"
_FIRST = GENESIS.hex()


class Links(Protocol):
    """What anchors are held against."""

    def head(self) -> tuple[int, str]: ...
    def link(self, sequence: int) -> str: ...
    def walk(
        self, marks: Sequence[int] = (), *, deep: bool = False
    ) -> tuple[Verification, dict[int, str]]: ...


class Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the chain was at one moment. `key` names the key that signed it.

    `previous` is the hash of what stands before it in its file, and empty for one that stands alone. A `note` says
    why a person took the journal as it was, against earlier anchors.
    """

    desk: str
    sequence: int
    link: str
    at: datetime
    key: str
    previous: str = ""
    note: str = ""
    signature: str = ""

    def __post_init__(self) -> None:
        if self.sequence < 0 or len(self.link) != 64 or self.at.tzinfo is None:
            raise ValueError("a checkpoint needs a number, a link of 64 digits and an aware time")

    def message(self) -> bytes:
        """What is signed: every field but the signature, in one fixed order."""
        fields = (self.desk, self.sequence, self.link, self.at, self.key, self.previous, self.note)
        return _PREFIX + msgspec.json.encode(fields)

    def line(self) -> bytes:
        """As it stands in a file."""
        return msgspec.json.encode(self)

    def text(self) -> str:
        """As it can be posted: words that no chat takes for markup."""
        at = self.at.strftime("%Y-%m-%dT%H:%M:%SZ")
        words = (_WORD, _VERSION, self.desk, str(self.sequence), self.link, at, self.key, self.signature)
        return " ".join(words)


def signed(
    key: SigningKey, desk: str, head: tuple[int, str], at: datetime, previous: str = "", note: str = ""
) -> Checkpoint:
    """The checkpoint of a head, to the second."""
    moment = at.astimezone(UTC).replace(microsecond=0)
    bare = Checkpoint(desk, *head, moment, key.public.name, previous, " ".join(note.split())[:LONGEST_NOTE])
    return msgspec.structs.replace(bare, signature=key.sign(bare.message()).hex())


def read_text(text: str) -> Checkpoint:
    """A checkpoint as it was posted; a chat may have broken it into several lines."""
    words = text.split()
    if len(words) != 8 or words[0] != _WORD:
        raise BadInput(f"expected `{_WORD} 1 DESK NUMBER LINK TIME KEY SIGNATURE`, found {len(words)} words")
    if words[1] != _VERSION:
        raise BadInput(
            f"an anchor of form {words[1][:8]!r} is of a newer Whydesk; this one reads form {_VERSION}"
        )
    _, _, desk, sequence, link, at, key, signature = words
    fields = {"desk": desk, "link": link, "at": at, "key": key, "signature": signature}
    try:
        return msgspec.convert(fields | {"sequence": int(sequence)}, Checkpoint)
    except ValueError as error:
        raise BadInput(f"the anchor cannot be read: {error}") from None


class Found(NamedTuple):
    """One checkpoint and where it stands."""

    where: str
    checkpoint: Checkpoint


class Trace(NamedTuple):
    """What one anchor file, or one line, holds: the checkpoints that speak, the first that is wrong, and the
    checkpoints with which a person set aside what stood before them.
    """

    found: tuple[Found, ...]
    first_bad: str | None = None
    reason: str = ""
    accepted: tuple[Checkpoint, ...] = ()


def trace_line(text: str, key: PublicKey) -> Trace:
    """One checkpoint that was posted somewhere."""
    checkpoint, where = read_text(text), "the anchor given"
    reason = _forged(checkpoint, key)
    return Trace((), where, reason) if reason else Trace((Found(where, checkpoint),))


def trace_file(path: Path, key: PublicKey) -> Trace:
    """Every line of an anchor file, in order. BadInput when it cannot be read."""
    try:
        with path.open("rb") as lines:
            return _trace(path, lines, key)
    except OSError as error:
        raise BadInput(f"{path}: the anchors cannot be read ({error.strerror})") from None


def _trace(path: Path, lines: Iterator[bytes], key: PublicKey) -> Trace:
    found: list[Found] = []
    accepted: list[Checkpoint] = []
    bad: tuple[int, str] | None = None
    doubt: tuple[int, str] | None = None
    """A line that cannot be read: half of it may have been written when the power failed. The next one names it."""
    previous, before = _FIRST, sha256()
    for number, raw in enumerate(lines, start=1):
        line = raw.removesuffix(b"\n")
        checkpoint = _read_line(line)
        if checkpoint is None:
            torn = raw == line and len(line) <= _LONGEST_LINE
            bad, doubt = bad or doubt, None if torn else (number, "it is not an anchor")
        else:
            forged = _forged(checkpoint, key)
            fits = checkpoint.previous == (before.hexdigest() if checkpoint.note else previous)
            if forged or not fits:
                bad = bad or doubt or (number, forged or "a line before it is missing or was changed")
            elif checkpoint.note:
                found, bad = [], None
                accepted.append(checkpoint)
            doubt = None
            if not forged:
                found.append(Found(f"{path} line {number}", checkpoint))
        previous = sha256(line).hexdigest()
        before.update(raw)
    bad = bad or doubt
    if bad is None:
        return Trace(tuple(found), accepted=tuple(accepted))
    return Trace(tuple(found), f"{path} line {bad[0]}", bad[1], tuple(accepted))


def _read_line(line: bytes) -> Checkpoint | None:
    """The checkpoint; None unless it is written exactly as we write it."""
    try:
        checkpoint = msgspec.json.decode(line, type=Checkpoint)
    except (msgspec.MsgspecError, ValueError):
        return None
    return checkpoint if checkpoint.line() == line else None


def _forged(checkpoint: Checkpoint, key: PublicKey) -> str:
    if checkpoint.key != key.name:
        return f"it was signed with key {checkpoint.key[:16]}, not with {key.name}"
    try:
        signature = bytes.fromhex(checkpoint.signature)
    except ValueError:
        signature = b""
    written_as_ours = signature.hex() == checkpoint.signature  # and not in capitals, which mean the same
    if written_as_ours and key.signed(checkpoint.message(), signature):
        return ""
    return "its signature is not of what it says"


class Examined(NamedTuple):
    """A journal held against its anchors. `vouched` is the newest record that an anchor speaks for."""

    chain: Verification
    anchors: int
    first_bad: str | None
    reason: str
    vouched: int
    vouching: int
    newest: datetime | None
    accepted: tuple[Checkpoint, ...]

    @property
    def anchors_ok(self) -> bool:
        """Whether every anchor is genuine and fits."""
        return self.first_bad is None


def examine(journal: Links, traces: Sequence[Trace], *, deep: bool = True) -> Examined:
    """Walk the whole chain, and hold every anchor against the link that was walked over."""
    found = [each for trace in traces for each in trace.found]
    chain, links = journal.walk(sorted({each.checkpoint.sequence for each in found}), deep=deep)
    wrong = [(trace.first_bad, trace.reason) for trace in traces if trace.first_bad is not None]
    fitting: list[Checkpoint] = []
    for where, checkpoint in found:
        link = links.get(checkpoint.sequence)
        if link == checkpoint.link:
            fitting.append(checkpoint)
        elif link is not None or chain.chain_ok:
            wrong.append((where, _contradiction(checkpoint, chain.records, link or "")))
    first_bad, reason = wrong[0] if wrong else (None, "")
    return Examined(
        chain=chain,
        anchors=len(found),
        first_bad=first_bad,
        reason=reason,
        vouched=max((each.sequence for each in fitting), default=0),
        vouching=len(fitting),
        newest=max((each.at for each in fitting), default=None),
        accepted=tuple(checkpoint for trace in traces for checkpoint in trace.accepted),
    )


def _contradiction(checkpoint: Checkpoint, records: int, link: str) -> str:
    if not link:
        return (
            f"it names record {checkpoint.sequence:,} of {checkpoint.at:%Y-%m-%d %H:%M:%S} UTC, and the journal ends"
            f" at {records:,}: its end was cut off, or an older copy was put back"
        )
    return (
        f"record {checkpoint.sequence:,} is not the one that was anchored on {checkpoint.at:%Y-%m-%d %H:%M:%S} UTC:"
        " the journal was rewritten, or is another one"
    )


class Anchors:
    """The anchor files of one desk, and the key in its home."""

    def __init__(self, desk: str, paths: Sequence[Path], keys: Path) -> None:
        self.desk = desk
        self.paths = tuple(paths)
        self._keys = keys
        self.gone = tuple(path for path in paths if (keys / PRIVATE).exists() and not path.exists())
        """Files that are not there although the desk has signed before: they were removed, or named only now."""

    @cached_property
    def key(self) -> SigningKey:
        """The desk's own, made if there is none."""
        return signing_key(self._keys)

    def checkpoint(self, head: tuple[int, str], at: datetime) -> Checkpoint:
        """One that stands alone, to be posted."""
        return signed(self.key, self.desk, head, at)

    def objection(self, journal: Links) -> str:
        """What the newest anchors have against this journal; empty when nothing. Costs the same after ten years.

        A file that cannot be read objects to nothing: whoever writes the next anchor is told.
        """
        for path in self.paths:
            with suppress(OSError):
                reason = self._object(path, journal)
                if reason:
                    return reason
        return ""

    def _object(self, path: Path, journal: Links) -> str:
        if not path.exists():
            return ""
        with path.open("rb") as file:
            tail = _tail(file.fileno())
        newest = self._newest(tail)
        if isinstance(newest, str):
            return f"the anchors in {path} do not hold at their end: {newest}"
        if newest is None or (link := journal.link(newest.sequence)) == newest.link:
            return ""
        return f"the newest anchor in {path} does not fit: {_contradiction(newest, journal.head()[0], link)}"

    def _newest(self, tail: "_Tail") -> Checkpoint | str | None:
        """The last anchor, or what is wrong with it; None in a file that is empty, or held only half a line."""
        if not tail.line:
            return None
        checkpoint = _read_line(tail.line)
        if checkpoint is None:
            return "the last line is not an anchor"
        return _forged(checkpoint, self.key.public) or checkpoint

    def write(self, head: tuple[int, str], at: datetime, note: str = "") -> list[str]:
        """Add the head to every file in which it does not stand yet; what went wrong, a line for each file.

        With a `note` it sets aside what stands there: a person took the journal as it is.
        """
        wrong = []
        for path in self.paths:
            try:
                self._append(path, head, at, note)
            except OSError as error:
                wrong.append(f"no anchor could be written to {path}: {error.strerror}")
            except Refused as error:
                wrong.append(f"no anchor was written to {path}: {error}")
        return wrong

    def _append(self, path: Path, head: tuple[int, str], at: datetime, note: str) -> None:
        with _locked(path) as file:
            tail = _tail(file)
            newest = self._newest(tail)
            if note:
                # What ends a line that was cut short belongs to what stands before the note.
                previous = _hash_of_all(file, b"\n" if tail.torn else b"")
            elif isinstance(newest, str):
                raise Refused(newest)
            elif newest is not None and newest.sequence == head[0]:
                return
            else:
                last = tail.torn or tail.line
                previous = sha256(last).hexdigest() if last else _FIRST
            line = signed(self.key, self.desk, head, at, previous, note).line() + b"\n"
            whole = b"\n" + line if tail.torn else line
            if os.write(file, whole) != len(whole):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)


class _Tail(NamedTuple):
    """The last whole line of a file, and what a crash left of another one behind it."""

    line: bytes
    torn: bytes


def _tail(file: int) -> _Tail:
    size = os.fstat(file).st_size
    content = os.pread(file, 2 * _LONGEST_LINE, max(0, size - 2 * _LONGEST_LINE))
    whole, ended, torn = content.rpartition(b"\n")
    if len(torn) > _LONGEST_LINE:
        return _Tail(b"?", torn)  # no line of ours was ever that long
    if not ended:
        return _Tail(b"", torn)
    return _Tail(whole.rpartition(b"\n")[2] or b"?", torn)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, open for adding to its end, and nobody else adding meanwhile. Its folder must be there: an anchor
    that was meant for another disk is not written into the empty place where that disk should be.
    """
    new = not path.exists()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        _lock(file)
        yield file
        if new:
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    finally:
        os.close(file)


def _lock(file: int) -> None:
    """Another writer needs a flush; one that takes longer is frozen, or its disk is."""
    for _ in range(_PATIENCE):
        with suppress(BlockingIOError):
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_PATIENCE_S / _PATIENCE)
    raise OSError(errno.EAGAIN, "another process has been writing to it all the time")


def _hash_of_all(file: int, more: bytes) -> str:
    whole, at = sha256(), 0
    while part := os.pread(file, 1 << 20, at):
        whole.update(part)
        at += len(part)
    whole.update(more)
    return whole.hexdigest()
