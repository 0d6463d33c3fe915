"""One request on the wire. ccxt knows the paths and signs; sending, waiting and reading are done here.

ccxt's own way of sending may repeat a request, reads answers of any size, turns amounts into floats and tells failures
apart by exception classes that do not say whether an order can have been taken. The question that matters is another
one: had a connection been made when it failed? Only if not, the request has certainly never left.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import yarl
from ccxt.async_support.binance import binance
from ccxt.base.errors import BaseError

from engine.venues.ccxt.answer import NeverSent, Reply, Unanswered

MOST_BYTES = 4_000_000
"""Longer answers are not read to their end. The longest that are asked for have some 300,000."""
_CHUNK = 65_536
_FAR_OFF = 4.0  # ccxt waits on its own timers, too; ours are the tighter ones


class Wire(binance):
    """ccxt's binance with our own sending. One attempt, one deadline, a bounded answer, no redirects."""

    def __init__(
        self,
        key: str,
        secret: str,
        base_url: str,
        timeout_s: float,
        stamp_ms: Callable[[], int],
        veto: Callable[[], str],
    ) -> None:
        super().__init__(
            {
                "apiKey": key,
                "secret": secret,
                "enableRateLimit": False,
                "maxRetriesOnFailure": 0,
                "timeout_on_exit": 0,
                "timeout": int(timeout_s * 1000 * _FAR_OFF),
                "options": {"maxRetriesOnFailure": 0},
            }
        )
        root = base_url.rstrip("/")
        self.urls["api"].update(
            {"public": f"{root}/api/v3", "private": f"{root}/api/v3", "sapi": f"{root}/sapi/v1"}
        )
        self._timeout_s = timeout_s
        self._stamp_ms = stamp_ms
        self._veto = veto
        self._http: aiohttp.ClientSession | None = None

    def nonce(self) -> int:
        """The moment that a request is signed with, by the venue's clock."""
        return self._stamp_ms()

    async def call(self, method: str, parameters: Mapping[str, str | int]) -> Reply:
        """One of ccxt's implicit methods. What ccxt itself will not send has not been sent."""
        try:
            return await getattr(self, method)(dict(parameters))
        except BaseError as error:  # its words may hold anything; its kind is enough
            raise NeverSent(f"not sent ({type(error).__name__})") from None

    async def fetch(
        self,
        url: str,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: str | None = None,
    ) -> Reply:
        """Send once. NeverSent or Unanswered; anything that was read within bounds is a Reply, whatever it says."""
        refused = self._veto()
        if refused:
            raise NeverSent(refused)
        connected: list[bool] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._send(url, method, dict(headers or {}), body, connected)
        except (OSError, aiohttp.ClientError, TimeoutError, ValueError, RuntimeError, EOFError) as error:
            # Neither the address, which holds the signature, nor the headers, which hold the key, are told.
            words = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
            if connected:
                raise Unanswered(f"{words} after the request had left") from None
            raise NeverSent(f"no connection to the venue ({words})") from None

    async def _send(
        self, url: str, method: str, headers: dict[str, str], body: str | None, connected: list[bool]
    ) -> Reply:
        if self._http is None:
            self._http = self._open()
        async with self._http.request(
            method,
            yarl.URL(url, encoded=True),
            data=body.encode() if body else None,
            headers=headers | {"Accept-Encoding": "gzip"},
            allow_redirects=False,
            trace_request_ctx=connected,
        ) as response:
            read = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK):
                read += chunk
                if len(read) > MOST_BYTES:
                    response.close()
                    raise Unanswered(f"the answer is longer than {MOST_BYTES} bytes")
            names = ("Retry-After", "X-MBX-USED-WEIGHT-1M")
            kept = {name: response.headers[name] for name in names if name in response.headers}
            return Reply(response.status, kept, bytes(read))

    def _open(self) -> aiohttp.ClientSession:
        """A session of our own: no cookies, few connections, and a note of when a connection was there."""
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_note)
        trace.on_connection_reuseconn.append(_note)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=16, keepalive_timeout=10),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_s),
            trace_configs=[trace],
            max_line_size=8190,
            max_field_size=8190,
        )
        # aiohttp would send a question or a cancel once more by itself when a kept connection breaks: unpaid, unseen.
        session._retry_connection = False
        return session

    async def close(self, clean_instance_data: bool = False) -> None:
        """Let go of the connections."""
        if self._http is not None:
            http, self._http = self._http, None
            await http.close()
        await super().close(clean_instance_data)


async def _note(_: Any, context: Any, __: Any) -> None:
    context.trace_request_ctx.append(True)
