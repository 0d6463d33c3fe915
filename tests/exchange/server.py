"""The exchange's door: signatures, time stamps, weights, faults, and the control page for tests."""

import asyncio
import hashlib
import hmac
import json
import ssl
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Self
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from configs.schema.desk import TIMEFRAME_MS
from configs.secrets import Keys
from engine.core.domain.ids import epoch_ms
from tests.exchange.books import Books, Refusal, SymbolRules
from tests.exchange.clock import RealClock, TurnedClock
from tests.exchange.faults import Fault, Faults
from tests.exchange.prices import Prices

KEY, SECRET = "fake-exchange-key-0123456789", "fake-exchange-secret-9876543210"
STEPS = TIMEFRAME_MS
WEIGHTS = {
    "order": 1,
    "GET order": 4,
    "openOrders": 6,
    "account": 20,
    "myTrades": 20,
    "klines": 2,
    "exchangeInfo": 20,
}
DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))
DEPTH_WORTH = 1_000_000
"""Of each level of a book, in the quote currency."""
SIGNED = ("order", "openOrders", "account", "myTrades", "account/apiRestrictions")
LIMIT = 6000
MOST_LOGGED = 200_000

Rewrite = Callable[[Any, dict[str, str]], Any]


class FakeExchange:
    """Listens on a free port of loopback while it is entered."""

    def __init__(
        self,
        prices: dict[str, str] | None = None,
        balances: dict[str, str] | None = None,
        clock: TurnedClock | RealClock | None = None,
        *,
        seed: int = 7,
        moving: bool = False,
        port: int = 0,
        weight_limit: int = LIMIT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.clock = clock or RealClock()
        self.offset_ms = 0
        self.can_trade, self.can_withdraw, self.bound, self.key_works = True, False, True, True
        self.tells_rights = self.tells_depth = True
        self.faults = Faults(seed)
        self.rewrites: dict[str, Rewrite] = {}
        self.log: list[dict[str, Any]] = []
        self.violations = 0
        self.keys = Keys(KEY, SECRET)
        symbols = {name: SymbolRules(name[:-4], name[-4:]) for name in prices or {"BTCUSDT": ""}}
        told = {name: Decimal(price or "50000") for name, price in (prices or {"BTCUSDT": ""}).items()}
        self.books = Books(
            symbols,
            {
                name: Prices(price, symbols[name].tick, self.now_ms(), seed + number, moving=moving)
                for number, (name, price) in enumerate(told.items())
            },
            {asset: Decimal(amount) for asset, amount in (balances or {"USDT": "10000"}).items()},
            settled_ms=self.now_ms(),
        )
        self._banned_until_ms = 0
        self._banned_at = 0.0
        self._minute, self._weight = 0, 0
        self._limit = weight_limit
        self.used = 0  # by others at the same address
        self._port, self._tls = port, tls
        self._closing = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    # --- For tests ------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """The exchange's own clock."""
        return epoch_ms(self.clock.now()) + self.offset_ms

    def fault(self, path: str = "*", **how: Any) -> None:
        """Misbehave at the next fitting request; see Fault."""
        self.faults.waiting.append(msgspec.convert({"path": path, **how}, Fault))

    def set_price(self, symbol: str, price: str, *, moving: bool = False) -> None:
        """From now on it costs that. What was waiting for the price is matched at once."""
        self.books.prices[symbol].set(Decimal(price), self.now_ms(), moving=moving)
        self.books.settled_ms = min(self.books.settled_ms, self.now_ms() - 1)
        self.books.settle(self.now_ms())

    def requests(self, path: str = "") -> list[dict[str, Any]]:
        """What was asked, all of it or of one path such as `POST order`."""
        return [each for each in self.log if path in ("", each["path"], f"{each['method']} {each['path']}")]

    def trade_outside(self, symbol: str, side: str, quantity: str, client_id: str = "") -> None:
        """Somebody else, with the same account, trades at the market."""
        q = {
            "symbol": symbol,
            "side": side,
            "type": "MARKET",
            "quantity": quantity,
            "newClientOrderId": client_id,
        }
        self.books.place(q, self.now_ms(), "outside")

    async def quiet(self) -> None:
        """Wait until what was to happen later has happened."""
        await asyncio.gather(*self._tasks)

    # --- Life -----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=100_000)
        app.router.add_route("*", "/_control/{what}", self._control)
        app.router.add_route("*", "/{api:(?:api/v3|sapi/v1)}/{path:.+}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._tls).start()
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        for task in self._tasks:
            task.cancel()
        await self._runner.cleanup()

    async def _pass(self, seconds: float) -> None:
        """Real seconds go by, unless the exchange closes."""
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return

    # --- Requests -------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        text = request.query_string or await request.text()
        q = dict(parse_qsl(text))
        shown = {name: value for name, value in q.items() if name != "signature"}
        entry = {"at": self.now_ms(), "method": request.method, "path": path, "query": shown, "status": 0}
        self.log.append(entry)
        del self.log[:-MOST_LOGGED]
        if self.now_ms() < self._banned_until_ms:
            # What was on its way when the ban began is nobody's fault.
            self.violations += asyncio.get_running_loop().time() > self._banned_at + 0.1
            entry["status"] = 418
            left = {"Retry-After": str(1 + (self._banned_until_ms - self.now_ms()) // 1000)}
            return self._json({"code": -1003, "msg": "Way too many requests; IP banned."}, 418, left)
        fault = self.faults.pick(request.method, path)
        if fault is None:
            status, payload = self._process(request, path, text, q)
            entry["status"] = status
            return self._json(payload, status)
        entry["fault"] = f"{fault.when} {fault.answer}"
        status, payload = 0, None
        if fault.when == "after":
            hidden, self.books.hide_s = self.books.hide_s, fault.hide_s or self.books.hide_s
            status, payload = self._process(request, path, text, q)
            self.books.hide_s = hidden
        elif fault.when == "later":
            self._keep(self._process_later(fault.seconds, request, path, text, q))
        entry["status"] = status
        return await self._misbehave(request, fault, status, payload)

    def _keep(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _process_later(self, seconds: float, *request: Any) -> None:
        await self._pass(seconds)
        self._process(*request)

    async def _misbehave(
        self, request: web.Request, fault: Fault, status: int, payload: Any
    ) -> web.StreamResponse:
        body = json.dumps(payload)
        match fault.answer:
            case "hang":
                await self._pass(fault.seconds)
            case "real":
                return self._json(payload, status)
            case "error":
                headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
                if fault.status in (418, 429) and fault.retry_after.isdecimal():
                    self._ban(self.now_ms() + int(fault.retry_after) * 1000)
                return self._json({"code": fault.code, "msg": fault.msg}, fault.status, headers)
            case "html":
                page = "<html><head><title>502 Bad Gateway</title></head></html>"
                return web.Response(text=page, status=fault.status, content_type="text/html")
            case "truncated":
                return web.Response(text=body[: len(body) // 2], status=200, content_type="application/json")
            case "doubled":
                return web.Response(text=body * 2, status=200, content_type="application/json")
            case "huge":
                return web.Response(
                    text='{"msg": "' + "x" * 10_000_000 + '"}', content_type="application/json"
                )
            case "nested":
                return web.Response(text="[" * 100_000 + "]" * 100_000, content_type="application/json")
            case "empty":
                return web.Response(text="", content_type="application/json")
            case "other_order":
                changed = {**payload, "clientOrderId": "another", "origClientOrderId": "another"}
                return self._json(changed, 200)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _json(self, payload: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
        used = {"X-MBX-USED-WEIGHT-1M": str(self._weight + self.used)}
        return web.json_response(payload, status=status, headers=used | (headers or {}))

    def _process(self, request: web.Request, path: str, text: str, q: dict[str, str]) -> tuple[int, Any]:
        now = self.now_ms()
        self.books.settle(now)
        try:
            self._weigh(request.method, path, q, now)
            if path in SIGNED:
                self._check(request, path, text, q, now)
            payload = self._answer(request.method, path, q, now)
        except Refusal as refusal:
            return refusal.status, {"code": refusal.code, "msg": refusal.msg}
        rewrite = self.rewrites.get(path) or self.rewrites.get(f"{request.method} {path}")
        return 200, rewrite(payload, q) if rewrite else payload

    def _weigh(self, method: str, path: str, q: dict[str, str], now: int) -> None:
        if now // 60_000 != self._minute:
            self._minute, self._weight = now // 60_000, 0
        weight = WEIGHTS.get(f"{method} {path}", WEIGHTS.get(path, 1))
        if path == "depth":
            weight = next((cost for most, cost in DEPTH_WEIGHTS if _levels(q) <= most), weight)
        self._weight += weight
        if self._weight > self._limit:
            self._ban((self._minute + 1) * 60_000)
            raise Refusal(-1003, "Too many requests.", 429)

    def _ban(self, until_ms: int) -> None:
        self._banned_until_ms = until_ms
        self._banned_at = asyncio.get_running_loop().time()

    def _check(self, request: web.Request, path: str, text: str, q: dict[str, str], now: int) -> None:
        if request.headers.get("X-MBX-APIKEY") != KEY:
            raise Refusal(-2014, "API-key format invalid.", 401)
        payload, _, signature = text.rpartition("&signature=")
        if hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest() != signature:
            raise Refusal(-1022, "Signature for this request is not valid.")
        window = int(q.get("recvWindow", 5000))
        if "timestamp" not in q:
            raise Refusal(
                -1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed."
            )
        ahead = int(q["timestamp"]) - now
        if ahead > 1000:
            raise Refusal(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if -ahead > window:
            raise Refusal(-1021, "Timestamp for this request is outside of the recvWindow.")
        if not self.key_works or (
            not self.can_trade and f"{request.method} {path}" in ("POST order", "DELETE order")
        ):
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)

    def _answer(self, method: str, path: str, q: dict[str, str], now: int) -> Any:
        match f"{method} {path}":
            case "GET time":
                return {"serverTime": now}
            case "GET exchangeInfo":
                asked = json.loads(q["symbols"]) if "symbols" in q else list(self.books.symbols)
                asked = [q["symbol"]] if "symbol" in q else asked
                if any(name not in self.books.symbols for name in asked):
                    raise Refusal(-1121, "Invalid symbol.")
                return {
                    "timezone": "UTC",
                    "serverTime": now,
                    "symbols": [self.books.symbols[name].info() for name in asked],
                }
            case "GET ticker/bookTicker":
                prices = self._prices(q)
                price = prices.at(now)
                ask = price + prices.tick
                return {
                    "symbol": q["symbol"],
                    "bidPrice": str(price),
                    "bidQty": "1",
                    "askPrice": str(ask),
                    "askQty": "1",
                }
            case "GET depth" if self.tells_depth:
                return self._depth(q, now)
            case "GET klines":
                return self._klines(q, now)
            case "POST order":
                return self.books.place(q, now).row()
            case "GET order":
                return self.books.find(q, now).row()
            case "DELETE order":
                return self.books.cancel(q, now)
            case "GET openOrders":
                return self.books.open_orders(q.get("symbol"), now)
            case "GET myTrades":
                return self.books.my_trades(q, now)
            case "GET account":
                return {
                    "canTrade": self.can_trade,
                    "canWithdraw": True,
                    "balances": self.books.account(),
                    "permissions": ["SPOT"],
                }
            case "GET account/apiRestrictions" if self.tells_rights:
                return {
                    "ipRestrict": self.bound,
                    "enableReading": True,
                    "enableWithdrawals": self.can_withdraw,
                    "enableSpotAndMarginTrading": self.can_trade,
                }
        raise Refusal(-1000, "No such path.", 404)

    def _prices(self, q: dict[str, str]) -> Prices:
        if q.get("symbol") not in self.books.prices:
            raise Refusal(-1121, "Invalid symbol.")
        return self.books.prices[q["symbol"]]

    def _depth(self, q: dict[str, str], now: int) -> dict[str, Any]:
        """A thousand levels on each side of the price, a tick apart, each worth the same."""
        prices, rules = self._prices(q), self.books.symbols[q["symbol"]]
        price = prices.at(now)
        units = max(DEPTH_WORTH / price // rules.step * rules.step, rules.step)
        limit = min(_levels(q), 1000)

        def side(best: Decimal, step: Decimal) -> list[list[str]]:
            found = (best + step * place for place in range(limit))
            return [[str(each), str(units)] for each in found if each > 0]

        return {
            "lastUpdateId": now,
            "bids": side(price, -prices.tick),
            "asks": side(price + prices.tick, prices.tick),
        }

    def _klines(self, q: dict[str, str], now: int) -> list[list[Any]]:
        prices, step = self._prices(q), STEPS.get(q.get("interval", ""), 0)
        if not step:
            raise Refusal(-1120, "Invalid interval.")
        limit = min(int(q.get("limit", 500)), 1000)
        last = min(int(q["endTime"]), now) if "endTime" in q else now
        if "startTime" in q:
            first = -(-int(q["startTime"]) // step) * step
            count = min(limit, max((last - first) // step + 1, 0))
        else:
            first, count = last // step * step - (limit - 1) * step, limit
        return prices.candles(step, first, count, now)

    # --- Strings to pull from another process ---------------------------------------------------------

    async def _control(self, request: web.Request) -> web.Response:
        """GET truth, requests; POST fault, price, path, trade, balance, rules, clock, rights, vanish, books, calm."""
        what = request.match_info["what"]
        said = await request.json() if request.can_read_body else {}
        try:
            return web.json_response(self._pull(what, said), dumps=_dump)
        except (KeyError, ValueError, TypeError, ArithmeticError, Refusal) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)

    def _pull(self, what: str, said: dict[str, Any]) -> Any:
        now = self.now_ms()
        self.books.settle(now)
        match what:
            case "truth":
                prices = {name: str(prices.at(now)) for name, prices in self.books.prices.items()}
                return self.books.truth() | {"now": now, "violations": self.violations, "prices": prices}
            case "requests":
                return self.log
            case "fault":
                self.fault(**said)
            case "calm":
                self.faults.waiting.clear()
            case "price":
                self.set_price(said["symbol"], said["price"], moving=said.get("moving", False))
            case "path":  # [[seconds from now, price], ...]
                for seconds, price in said["path"]:
                    self.books.prices[said["symbol"]].set(Decimal(price), now + int(seconds * 1000))
            case "trade":
                self.trade_outside(said["symbol"], said["side"], said["quantity"], said.get("client_id", ""))
            case "balance":
                self.books.free[said["asset"]] = Decimal(said["free"])
            case "rules":
                rules = self.books.symbols[said.pop("symbol")]
                for name, value in said.items():
                    kind = type(getattr(rules, name))
                    setattr(rules, name, kind(value))
            case "clock":
                self.offset_ms = int(said.get("offset_ms", self.offset_ms))
                self.clock.advance(said.get("advance_s", 0))
            case "rights":
                for name in (
                    "can_trade",
                    "can_withdraw",
                    "bound",
                    "key_works",
                    "tells_rights",
                    "tells_depth",
                ):
                    setattr(self, name, said.get(name, getattr(self, name)))
            case "vanish":
                self.books.vanish(said["client_id"], now)
            case "books":  # parts, share, fee_asset, hide_s, trades_lag_s, repeat_trades, fill_before_cancel
                for name, value in said.items():
                    kind = type(getattr(self.books, name))
                    setattr(self.books, name, kind(value))
            case _:
                raise ValueError(f"no string is called {what}")
        return {"done": what}


def _levels(q: dict[str, str]) -> int:
    """How many levels of a book are asked for."""
    asked = q.get("limit", "100")
    if not asked.isdecimal() or not 1 <= int(asked) <= 5000:
        raise Refusal(-1130, "Data sent for parameter 'limit' is not valid.")
    return int(asked)


def _dump(value: Any) -> str:
    return json.dumps(value, default=str)
