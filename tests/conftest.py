"""What all tests share: reproducible examples, a closed network, and a PostgreSQL server for those that ask for one."""

import os

# Before numpy is imported by anyone: on a shared machine one thread is several times as fast as two.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import ipaddress
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings

# `check` finds the same thing on every machine; HYPOTHESIS_PROFILE=explore looks further with each run.
settings.register_profile("check", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "check"))


@pytest.fixture(autouse=True)
def _closed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that would leave this machine."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def is_local(address: Any) -> bool:
        if not isinstance(address, tuple):  # a Unix socket
            return True
        host = address[0]
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def refuse_or(act: Any) -> Any:
        def guarded(self: socket.socket, address: Any) -> Any:
            if not is_local(address):
                self.close()
                pytest.fail(f"a test tried to reach {address}: tests call nothing outside this machine")
            return act(self, address)

        return guarded

    monkeypatch.setattr(socket.socket, "connect", refuse_or(connect))
    monkeypatch.setattr(socket.socket, "connect_ex", refuse_or(connect_ex))


# --- PostgreSQL -----------------------------------------------------------------------------------


def _postgres_tools() -> Path | None:
    """Return the folder with initdb and pg_ctl: the one on the path, else the newest that Debian installed."""
    on_path = shutil.which("initdb")
    if on_path and shutil.which("pg_ctl"):
        return Path(on_path).resolve().parent
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: float(path.parent.name), default=None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A throwaway PostgreSQL server on loopback, as `postgresql+asyncpg://...`; it starts in about a second.

    All tests of one worker share its database: `postgres_database` gives an empty one of its own.
    """
    tools = _postgres_tools()
    if tools is None:
        pytest.skip("no PostgreSQL server is installed here; tests/setup_system.sh installs one")
    as_owner: list[str] = []
    home = Path(tempfile.mkdtemp(prefix="whydesk-postgres-"))
    if os.geteuid() == 0:  # the server refuses to run as root
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("running as root, and there is no user `postgres` to run the server")
        os.chown(home, owner.pw_uid, owner.pw_gid)
        as_owner = ["runuser", "-u", "postgres", "--"]

    def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*as_owner, str(tools / name), "-D", str(home / "data"), *arguments],
            cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    try:
        made = tool("initdb", "-U", "whydesk", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        assert made.returncode == 0, made.stderr

        def start(port: int) -> bool:
            options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off"
            return tool("pg_ctl", "start", "-w", "-l", str(home / "log"), "-o", options).returncode == 0

        # Another process may take a port between our look and the server's.
        port = next((port for port in (_free_port() for _ in range(3)) if start(port)), None)
        assert port is not None, (home / "log").read_text()
        yield f"postgresql+asyncpg://whydesk@127.0.0.1:{port}/postgres"
    finally:
        tool("pg_ctl", "stop", "-m", "immediate")
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """An empty PostgreSQL database for one test, as `postgresql+asyncpg://...`."""
    psycopg = pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    name = f"t_{uuid4().hex}"
    with psycopg.connect(postgres_url.replace("+asyncpg", ""), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        yield postgres_url.rpartition("/")[0] + f"/{name}"
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store in either database: what a store promises, it promises in both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/desk.db"
    found: str = request.getfixturevalue("postgres_database")
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the suites measured: a test says it with `record_property("figure", ...)`, or as one of many that are
    to be added up with `record_property("sums", {...})`."""
    told = [
        (name, value)
        for kind in ("passed", "failed")
        for report in terminalreporter.getreports(kind)
        if report.when == "call"
        for name, value in report.user_properties
    ]
    figures = sorted(str(value) for name, value in told if name == "figure")
    figures += added_up([value for name, value in told if name == "sums" and isinstance(value, dict)])
    if figures:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.line(line)


def added_up(parts: list[dict[str, Any]]) -> list[str]:
    """One line a name: numbers are added up, of words the last is told."""
    total: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = value if isinstance(value, str) else total.get(name, 0) + value
    return [
        f"{name}: {value if isinstance(value, str) else format(value, ',')}" for name, value in total.items()
    ]
