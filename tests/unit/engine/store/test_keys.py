import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.core.domain.errors import BadInput, Refused
from engine.store.keys import PRIVATE, PUBLIC, _make, public_key, signing_key


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_use_makes_a_key_that_only_its_owner_can_read_and_later_ones_use_it(tmp_path: Path) -> None:
    made = signing_key(tmp_path / "keys")

    assert mode(tmp_path / "keys") == 0o700
    assert mode(tmp_path / "keys" / PRIVATE) == 0o600
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == [PRIVATE, PUBLIC]
    again = signing_key(tmp_path / "keys")
    assert again.public.name == made.public.name
    assert made.public.signed(b"word", again.sign(b"word"))


def test_the_public_half_tells_its_owners_signatures_from_all_others(tmp_path: Path) -> None:
    key, other = signing_key(tmp_path / "one"), signing_key(tmp_path / "other")
    public = public_key(tmp_path / "one" / PUBLIC)

    assert public.name == key.public.name != other.public.name
    assert public.signed(b"word", key.sign(b"word"))
    assert not public.signed(b"words", key.sign(b"word"))
    assert not public.signed(b"word", other.sign(b"word"))
    assert not public.signed(b"word", b"")


@pytest.mark.parametrize("open_to", [0o640, 0o604, 0o660, 0o666])
def test_a_key_that_others_can_read_signs_nothing(tmp_path: Path, open_to: int) -> None:
    signing_key(tmp_path)
    (tmp_path / PRIVATE).chmod(open_to)

    with pytest.raises(
        Refused, match=f"can be read by others .mode {open_to:o}. and signs nothing: chmod 600"
    ):
        signing_key(tmp_path)


RSA = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIGj\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize("content", [b"", b"words", RSA, bytes(range(256))])
def test_files_that_hold_no_key_are_bad_input(tmp_path: Path, content: bytes) -> None:
    for name in (PRIVATE, PUBLIC):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)

    with pytest.raises(BadInput, match="holds no Ed25519 key"):
        signing_key(tmp_path)
    with pytest.raises(BadInput, match="holds no public Ed25519 key"):
        public_key(tmp_path / PUBLIC)
    with pytest.raises(BadInput, match=r"the public key cannot be read .No such file"):
        public_key(tmp_path / "none")


def test_a_private_key_is_no_public_one(tmp_path: Path) -> None:
    signing_key(tmp_path)

    with pytest.raises(BadInput, match="holds no public Ed25519 key"):
        public_key(tmp_path / PRIVATE)


def test_no_key_is_made_where_none_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        signing_key(tmp_path / "keys", make=False)

    assert not (tmp_path / "keys").exists()


MAKE = """
import sys
from pathlib import Path
from engine.store.keys import signing_key
print(signing_key(Path(sys.argv[1])).public.name)
"""


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE, str(tmp_path / "keys")]
    starting = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]

    names = {process.communicate(timeout=60)[0] for process in starting}

    assert len(names) == 1
    assert public_key(tmp_path / "keys" / PUBLIC).name == names.pop().strip()


def test_whoever_comes_second_in_making_a_key_leaves_the_first_ones(tmp_path: Path) -> None:
    """Two processes found none at the same moment; the other one was quicker."""
    first = signing_key(tmp_path)
    shown = (tmp_path / PUBLIC).read_bytes()

    _make(tmp_path)

    assert signing_key(tmp_path).public.name == first.public.name
    assert (tmp_path / PUBLIC).read_bytes() == shown
    assert sorted(path.name for path in tmp_path.iterdir()) == [PRIVATE, PUBLIC]
