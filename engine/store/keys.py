"""The key that signs checkpoints: Ed25519, made once, readable by its owner alone.

The private half stays in the home. The public half lies beside it, to be given to whoever checks from elsewhere.
The library is imported where it is used: nobody else's start pays for it.
"""

import os
import stat
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.domain.errors import BadInput, Refused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PRIVATE, PUBLIC = "audit.pem", "audit.pub"


class PublicKey:
    """Tells whether a signature is that of one key."""

    def __init__(self, key: "Ed25519PublicKey") -> None:
        self._key = key

    @cached_property
    def name(self) -> str:
        """Sixteen hex digits that tell this key from others."""
        return sha256(self._key.public_bytes_raw()).hexdigest()[:16]

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the owner of the private half signed exactly this."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """Both halves."""

    def __init__(self, key: "Ed25519PrivateKey") -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(message)


def signing_key(folder: Path, *, make: bool = True) -> SigningKey:
    """The key of this home; made if there is none, unless `make` is false. Refused when others could read it.

    OSError where it is not there and cannot be made.
    """
    path = folder / PRIVATE
    if make and not path.exists():
        _make(folder)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise Refused(f"{path} can be read by others (mode {mode:o}) and signs nothing: chmod 600 it")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadInput(f"{path} holds no Ed25519 key without a password")
    return SigningKey(key)


def public_key(path: Path) -> PublicKey:
    """The public half, from the file that lies beside the private one or a copy of it."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: the public key cannot be read ({error.strerror})") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise BadInput(f"{path} holds no public Ed25519 key")
    return PublicKey(key)


def _make(folder: Path) -> None:
    """Both files, durable; of two processes that make one at the same moment, both use the first one's."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    fresh = folder / f"{PRIVATE}.{os.getpid()}"
    _write(fresh, private, 0o600)
    try:
        os.link(fresh, folder / PRIVATE)
    except FileExistsError:
        return
    finally:
        fresh.unlink()
    shown = folder / f"{PUBLIC}.{os.getpid()}"
    _write(shown, public, 0o644)
    shown.replace(folder / PUBLIC)


def _write(path: Path, content: bytes, mode: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.write(file, content)
        os.fsync(file)
    finally:
        os.close(file)
