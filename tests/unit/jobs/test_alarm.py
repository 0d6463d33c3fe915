"""Telling somebody: each way by itself, within its time, and nothing of it in the way of the watchdog."""

import http.server
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from configs.schema.monitoring import MonitoringSettings
from jobs import alarm
from jobs.alarm import FILE, Alarm


class Server:
    """Answers each POST with `status`, and remembers what was asked of it."""

    def __init__(self) -> None:
        self.status = 204
        self.asked: list[tuple[str, dict[str, Any]]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append((self.path, json.loads(body)))
                self.send_response(outer.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/alerts?token=s3cret"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.http.shutdown()
    one.http.server_close()


def raised(home: Path, **settings: Any) -> str:
    """What the file says after an alert."""
    one = Alarm(home, "spot", MonitoringSettings(**settings))
    one.raise_("no heartbeat\nfor 10 s")
    one.finish()
    return (home / FILE).read_text()


def test_an_alert_is_posted_run_written_and_said(
    tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (
        sys.executable,
        "-c",
        f"import sys; open({str(tmp_path / 'heard')!r}, 'w').write(sys.stdin.read())",
    )

    written = raised(tmp_path, alert_url=server.url, alert_command=command)

    ((path, body),) = server.asked
    assert path == "/alerts?token=s3cret"
    assert body["desk"] == "spot"
    assert body["text"].endswith(": no heartbeat\nfor 10 s")
    assert "no heartbeat" in (tmp_path / "heard").read_text()
    assert written.rstrip().endswith("ALERT no heartbeat for 10 s")
    assert written in capsys.readouterr().err.replace("watchdog: ", "")


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 500])
def test_nobody_is_followed_elsewhere_and_a_refusal_is_told(
    tmp_path: Path, server: Server, status: int
) -> None:
    server.status = status

    written = raised(tmp_path, alert_url=server.url)

    assert len(server.asked) == 1
    assert f"monitoring.alert_url told nobody: it answered {status}" in written


def test_a_way_that_does_not_work_is_told_without_its_address(tmp_path: Path) -> None:
    written = raised(
        tmp_path, alert_url="http://127.0.0.1:1/hook/s3cret", alert_command=("no-such-program", "s3cret")
    )

    assert "monitoring.alert_url told nobody: ConnectionRefusedError" in written
    assert "monitoring.alert_command told nobody: No such file or directory" in written
    assert "s3cret" not in written


def test_a_command_that_fails_or_hangs_is_told_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "told nobody: it ended with 3" in raised(
        tmp_path, alert_command=(sys.executable, "-c", "raise SystemExit(3)")
    )
    monkeypatch.setattr(alarm, "LIMIT_S", 0.3)

    hangs = (sys.executable, "-c", "import time; time.sleep(60)")

    assert "told nobody: it had not ended after 0.3 s" in raised(tmp_path, alert_command=hangs)


def test_a_file_that_cannot_be_written_stops_no_alert(tmp_path: Path, server: Server) -> None:
    (tmp_path / FILE).mkdir()
    one = Alarm(tmp_path, "spot", MonitoringSettings(alert_url=server.url))

    one.raise_("no heartbeat")
    one.finish()

    assert len(server.asked) == 1
