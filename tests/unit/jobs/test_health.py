"""The page for machines answers what it is asked, and nothing else."""

import asyncio
import json
import socket

import pytest

from jobs.health import serve
from tests.builders import status


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
    return found


async def ask(port: int, said: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_it_tells_the_state_and_why_nothing_new_is_opened(port: int) -> None:
    shown = dict(status(state="reducing", holds={"venue": "silent"}))

    async with serve(port, lambda: shown, lambda: 0.0125):
        head, _, body = (await ask(port, b"GET /health HTTP/1.1\r\n\r\n")).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK")
    told = json.loads(body)
    assert (told["state"], told["holds"], told["worst_lag_s"]) == ("reducing", {"venue": "silent"}, 0.013)
    assert told["pid"] > 0


async def test_it_tells_who_watches_and_how_the_heart_is(port: int) -> None:
    seen = {"heartbeat_age_s": 0.4, "watchdog": "held by pid 7", "crashes": 2}

    async with serve(port, lambda: dict(status()) | seen, lambda: 0.0):
        _, _, body = (await ask(port, b"GET /health HTTP/1.1\r\n\r\n")).partition(b"\r\n\r\n")

    assert seen.items() <= json.loads(body).items()


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n\r\n", b"POST /health HTTP/1.1\r\n\r\n", b"GET /healthy HTTP/1.1\r\n\r\n"]
)
async def test_anything_else_is_not_there(port: int, said: bytes) -> None:
    async with serve(port, lambda: dict(status()), lambda: 0.0):
        assert (await ask(port, said)).startswith(b"HTTP/1.1 404")


async def test_what_is_no_request_gets_no_answer_and_harms_nobody(port: int) -> None:
    async with serve(port, lambda: dict(status()), lambda: 0.0):
        assert await ask(port, b"x" * 10_000 + b"\r\n") == b""
        assert (await ask(port, b"GET /health HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_without_a_port_nothing_listens() -> None:
    async with serve(0, lambda: dict(status()), lambda: 0.0):
        assert len(asyncio.all_tasks()) == 1
