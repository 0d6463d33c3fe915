import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.core.domain.errors import HeldElsewhere
from engine.store import lock
from engine.store.lock import hold, holder

NOW = datetime(2026, 11, 21, tzinfo=UTC)
HOLDER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from engine.store.lock import hold
with hold(Path(sys.argv[1]), datetime(2026, 11, 21, tzinfo=UTC)):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_is_told_who_has_it(tmp_path: Path) -> None:
    with hold(tmp_path, NOW), pytest.raises(HeldElsewhere) as refused, hold(tmp_path, NOW):
        pass

    assert f"held by pid {os.getpid()} on {socket.gethostname()} since 2026-11-21" in str(refused.value)


def test_it_can_be_held_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with hold(tmp_path / "home", NOW):
            pass


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(HeldElsewhere, match=f"held by pid {holder.pid} on"), hold(tmp_path, NOW):
            pass
        holder.send_signal(signal.SIGKILL)

    with hold(tmp_path, NOW):
        pass


def test_a_lock_without_words_still_holds(tmp_path: Path) -> None:
    with hold(tmp_path, NOW):
        (tmp_path / "desk.lock").write_text("")
        with pytest.raises(HeldElsewhere, match="held by another process"), hold(tmp_path, NOW):
            pass


def test_one_who_waits_is_told_once_who_has_it_and_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "POLL_S", 0.005)
    told, heard, taken, pause = list[str](), threading.Event(), threading.Event(), threading.Event()

    def tell(text: str) -> None:
        told.append(text)
        heard.set()

    def wait() -> None:
        with hold(tmp_path, NOW, tell):
            taken.set()

    with hold(tmp_path, NOW):
        assert holder(tmp_path).startswith(f"held by pid {os.getpid()} on ")
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert heard.wait(10)
        pause.wait(0.1)  # it looks again and again
        assert not taken.is_set()
    waiting.join(10)

    assert taken.is_set()
    assert len(told) == 1
    assert f"{tmp_path} is held by pid {os.getpid()} on" in told[0]
    assert holder(tmp_path) == ""


def test_a_home_that_nobody_ever_held_has_no_holder(tmp_path: Path) -> None:
    assert holder(tmp_path) == ""
