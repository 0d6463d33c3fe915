"""A page for machines: whether the desk runs, in which state, and why it opens nothing new. This machine only."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

LONGEST = 4096
PATIENCE_S = 2.0


@contextlib.asynccontextmanager
async def serve(
    port: int, status: Callable[[], dict[str, Any]], lag_s: Callable[[], float]
) -> AsyncIterator[None]:
    """Answer `GET /health` on loopback for the length of the block; with port 0 nothing listens."""
    if not port:
        yield
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(PATIENCE_S):
                asked = await reader.readuntil(b"\r\n")
                writer.write(_page(asked, status, lag_s))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, limit=LONGEST)
    async with server:
        yield


def _page(asked: bytes, status: Callable[[], dict[str, Any]], lag_s: Callable[[], float]) -> bytes:
    if not asked.startswith((b"GET /health ", b"GET /health?")):
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    shown = status()
    body = msgspec.json.encode(
        {
            "state": shown["state"],
            "since": shown["since"],
            "by": shown["by"],
            "reason": shown["reason"],
            "holds": shown["holds"],
            "last_bar": shown["last_bar"],
            "open_orders": shown["open_orders"],
            "positions": len(shown["positions"]),
            "records": shown["records"],
            "worst_lag_s": round(lag_s(), 3),
            "heartbeat_age_s": shown.get("heartbeat_age_s"),
            "watchdog": shown.get("watchdog", ""),
            "crashes": shown.get("crashes", 0),
            "chats": shown.get("chats", {}),
            "pid": os.getpid(),
        }
    )
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
