"""The exchange's own truth: balances, orders and trades, matched against the price, with Binance's rules and codes."""

from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from tests.exchange.prices import Prices

ZERO = Decimal(0)
ENDED = ("FILLED", "CANCELED", "EXPIRED", "REJECTED")


class Refusal(Exception):
    """An error as Binance tells it."""

    def __init__(self, code: int, msg: str, status: int = 400) -> None:
        super().__init__(msg)
        self.code, self.msg, self.status = code, msg, status


@dataclass
class SymbolRules:
    """What exchangeInfo tells of a symbol."""

    base: str
    quote: str
    tick: Decimal = Decimal("0.01")
    step: Decimal = Decimal("0.00001")
    min_qty: Decimal = Decimal("0.00001")
    max_qty: Decimal = Decimal(9000)
    min_notional: Decimal = Decimal(5)
    status: str = "TRADING"
    order_types: tuple[str, ...] = ("LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT")

    def info(self) -> dict[str, Any]:
        """As Binance writes it."""
        return {
            "symbol": self.base + self.quote,
            "status": self.status,
            "baseAsset": self.base,
            "quoteAsset": self.quote,
            "orderTypes": list(self.order_types),
            "isSpotTradingAllowed": True,
            "permissions": ["SPOT"],
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": str(self.tick),
                    "maxPrice": "1000000.00",
                    "tickSize": text(self.tick),
                },
                {
                    "filterType": "LOT_SIZE",
                    "minQty": text(self.min_qty),
                    "maxQty": text(self.max_qty),
                    "stepSize": text(self.step),
                },
                {
                    "filterType": "MARKET_LOT_SIZE",
                    "minQty": "0.00000000",
                    "maxQty": "100.00000000",
                    "stepSize": "0.00000000",
                },
                {"filterType": "ICEBERG_PARTS", "limit": 10},
                {
                    "filterType": "NOTIONAL",
                    "minNotional": text(self.min_notional),
                    "applyMinToMarket": True,
                    "avgPriceMins": 5,
                },
            ],
        }


@dataclass
class Placed:
    """An order in the books."""

    id: int
    symbol: str
    client_id: str
    side: str
    type: str
    quantity: Decimal
    price: Decimal
    stop: Decimal
    at: int
    who: str
    status: str = "NEW"
    done: Decimal = ZERO
    quote: Decimal = ZERO
    triggered: bool = False
    updated: int = 0
    visible_at: int = 0

    @property
    def open(self) -> bool:
        """Whether it may still fill."""
        return self.status not in ENDED

    @property
    def rest(self) -> Decimal:
        """What has not filled."""
        return self.quantity - self.done

    def row(self) -> dict[str, Any]:
        """As Binance tells it."""
        return {
            "symbol": self.symbol, "orderId": self.id, "orderListId": -1, "clientOrderId": self.client_id,
            "price": text(self.price), "origQty": text(self.quantity), "executedQty": text(self.done),
            "cummulativeQuoteQty": text(self.quote), "status": self.status, "timeInForce": "GTC", "type": self.type,
            "side": self.side, "stopPrice": text(self.stop), "time": self.at, "updateTime": self.updated,
            "transactTime": self.updated, "isWorking": True, "origQuoteOrderQty": "0.00000000",
        }  # fmt: skip


@dataclass
class Books:
    """One account. `parts` trades make a fill; `share` of a market order finds a match, the rest expires."""

    symbols: dict[str, SymbolRules]
    prices: dict[str, Prices]
    free: dict[str, Decimal]
    locked: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[int, Placed] = field(default_factory=dict)
    trades: list[dict[str, Any]] = field(default_factory=list)
    fee: Decimal = Decimal("0.001")
    fee_asset: str = ""
    parts: int = 1
    share: Decimal = Decimal(1)
    fill_before_cancel: bool = False
    hide_s: float = 0.0
    trades_lag_s: float = 0.0
    repeat_trades: bool = False
    settled_ms: int = 0
    next_order: int = 1000
    next_trade: int = 500

    # --- Matching -------------------------------------------------------------------------------------

    def settle(self, now: int) -> None:
        """Everything that the price has done since last looked at, move by move."""
        moments = {ms for prices in self.prices.values() for ms in prices.changes(self.settled_ms, now)} | {
            now
        }
        for moment in sorted(moments):
            for order in [each for each in self.orders.values() if each.open]:
                self._match(order, self.prices[order.symbol].at(moment), moment)
        self.settled_ms = now

    def _match(self, order: Placed, price: Decimal, now: int) -> None:
        if self.symbols[order.symbol].status != "TRADING":
            return
        buys = order.side == "BUY"
        if order.type.startswith("STOP") and not order.triggered:
            order.triggered = price >= order.stop if buys else price <= order.stop
            if not order.triggered:
                return
        if order.type in ("MARKET", "STOP_LOSS"):
            self._fill(order, self._lots(order, self.share), price, now)
            if order.open:
                self._end(order, "EXPIRED", now)
        elif price <= order.price if buys else price >= order.price:
            self._fill(order, self._lots(order, self.share), price, now)

    def _lots(self, order: Placed, share: Decimal) -> Decimal:
        if not share:
            return ZERO
        step = self.symbols[order.symbol].step
        return min(order.rest, max((order.rest * share // step) * step, step))

    def _fill(self, order: Placed, quantity: Decimal, price: Decimal, now: int) -> None:
        if not quantity:
            return
        rules = self.symbols[order.symbol]
        part = max((quantity / self.parts // rules.step) * rules.step, rules.step)
        while quantity > 0:
            lot = quantity if quantity < 2 * part else part
            self._trade(order, lot, price, now)
            quantity -= lot
        if order.rest == 0:
            self._end(order, "FILLED", now)
        else:
            order.status, order.updated = "PARTIALLY_FILLED", now

    def _trade(self, order: Placed, lot: Decimal, price: Decimal, now: int) -> None:
        rules, buys = self.symbols[order.symbol], order.side == "BUY"
        pays, gets = (rules.quote, rules.base) if buys else (rules.base, rules.quote)
        paid, got = (lot * price, lot) if buys else (lot, lot * price)
        reserved = self._reserve(order, lot)
        self.locked[pays] = self.locked.get(pays, ZERO) - reserved
        self.free[pays] = self.free.get(pays, ZERO) + reserved - paid
        commission, asset = (got * self.fee).quantize(Decimal("1e-8")), gets
        worth = self.prices.get(self.fee_asset + rules.quote)
        third = (lot * price * self.fee / (worth.at(now) if worth else 1)).quantize(Decimal("1e-8"))
        if self.fee_asset and self.free.get(self.fee_asset, ZERO) >= third:
            commission, asset = third, self.fee_asset
            self.free[asset] -= third
        else:  # as at Binance, also when there is not enough of the third asset
            got -= commission
        self.free[gets] = self.free.get(gets, ZERO) + got
        order.done += lot
        order.quote += lot * price
        self.trades.append(
            {
                "symbol": order.symbol,
                "id": self.next_trade,
                "orderId": order.id,
                "orderListId": -1,
                "price": text(price),
                "qty": text(lot),
                "quoteQty": text(lot * price),
                "commission": text(commission),
                "commissionAsset": asset,
                "time": now,
                "isBuyer": buys,
                "isMaker": order.type == "LIMIT",
                "isBestMatch": True,
            }
        )
        self.next_trade += 1

    def _reserve(self, order: Placed, lot: Decimal) -> Decimal:
        """What was put aside for so much of the order. A market buy pays as it goes."""
        if order.side == "SELL":
            return lot
        return lot * order.price if order.price else ZERO

    def _end(self, order: Placed, status: str, now: int) -> None:
        rest = self._reserve(order, order.rest)
        asset = self.symbols[order.symbol].quote if order.side == "BUY" else self.symbols[order.symbol].base
        self.locked[asset] = self.locked.get(asset, ZERO) - rest
        self.free[asset] = self.free.get(asset, ZERO) + rest
        order.status, order.updated = status, now

    # --- What is asked --------------------------------------------------------------------------------

    def place(self, q: dict[str, str], now: int, who: str = "desk") -> Placed:
        """Take an order, or say why not with Binance's code."""
        symbol = q.get("symbol", "")
        rules = self.symbols.get(symbol)
        if rules is None:
            raise Refusal(-1121, "Invalid symbol.")
        for name in ("side", "type", "quantity"):
            if not q.get(name):
                raise Refusal(
                    -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
                )
        if rules.status != "TRADING":
            raise Refusal(-1013, "Market is closed.")
        kind, side = q["type"], q["side"]
        if kind not in rules.order_types or side not in ("BUY", "SELL"):
            raise Refusal(-1116, "Invalid orderType.")
        market = self.prices[symbol].at(now)
        quantity = Decimal(q["quantity"])
        price = Decimal(q["price"]) if kind in ("LIMIT", "STOP_LOSS_LIMIT") else ZERO
        stop = Decimal(q["stopPrice"]) if kind.startswith("STOP") else ZERO
        client_id = q.get("newClientOrderId") or f"x-{self.next_order}"
        if any(each.client_id == client_id and each.open for each in self.orders.values()):
            raise Refusal(-2010, "Duplicate order sent.")
        if quantity < rules.min_qty or quantity > rules.max_qty or quantity % rules.step:
            raise Refusal(-1013, "Filter failure: LOT_SIZE")
        if any(each % rules.tick for each in (price, stop)):
            raise Refusal(-1013, "Filter failure: PRICE_FILTER")
        if quantity * (price or stop or market) < rules.min_notional:
            raise Refusal(-1013, "Filter failure: NOTIONAL")
        if stop and (market >= stop if side == "BUY" else market <= stop):
            raise Refusal(-2010, "Stop price would trigger immediately.")
        order = Placed(
            self.next_order, symbol, client_id, side, kind, quantity, price, stop, now, who, updated=now
        )
        asset = rules.base if side == "SELL" else rules.quote
        need = quantity if side == "SELL" else quantity * (price or stop or market)
        if self.free.get(asset, ZERO) < need:
            raise Refusal(-2010, "Account has insufficient balance for requested action.")
        reserved = self._reserve(order, quantity)
        self.free[asset] = self.free.get(asset, ZERO) - reserved
        self.locked[asset] = self.locked.get(asset, ZERO) + reserved
        self.orders[order.id] = order
        self.next_order += 1
        order.visible_at = now + int(self.hide_s * 1000)
        self._match(order, market, now)
        return order

    def find(self, q: dict[str, str], now: int) -> Placed:
        """By the exchange's id or the sender's; the newest, for ids may be used again."""
        for order in sorted(self.orders.values(), key=lambda each: -each.id):
            named = str(order.id) == q.get("orderId") or order.client_id == q.get("origClientOrderId")
            if named and order.symbol == q.get("symbol") and order.visible_at <= now:
                return order
        raise Refusal(-2013, "Order does not exist.")

    def cancel(self, q: dict[str, str], now: int) -> dict[str, Any]:
        """End an open order."""
        try:
            order = self.find(q, now)
        except Refusal:
            raise Refusal(-2011, "Unknown order sent.") from None
        if order.open and self.fill_before_cancel:
            self._fill(order, order.rest, self.prices[order.symbol].at(now), now)
        if not order.open:
            raise Refusal(-2011, "Unknown order sent.")
        self._end(order, "CANCELED", now)
        return order.row() | {"origClientOrderId": order.client_id, "clientOrderId": f"cancel-{order.id}"}

    def vanish(self, client_id: str, now: int) -> None:
        """The exchange itself ends an order, without a word."""
        for order in self.orders.values():
            if order.client_id == client_id and order.open:
                self._end(order, "CANCELED", now)

    def open_orders(self, symbol: str | None, now: int) -> list[dict[str, Any]]:
        """What rests."""
        return [
            order.row() for order in self.orders.values()
            if order.open and order.visible_at <= now and symbol in (None, order.symbol)
        ]  # fmt: skip

    def my_trades(self, q: dict[str, str], now: int) -> list[dict[str, Any]]:
        """Executions, oldest first; those after a lag when one is set."""
        if q.get("symbol") not in self.symbols:
            raise Refusal(-1121, "Invalid symbol.")
        told = [
            trade for trade in self.trades
            if trade["symbol"] == q["symbol"]
            and q.get("orderId") in (None, str(trade["orderId"]))
            and trade["id"] >= int(q.get("fromId", 0))
            and trade["time"] >= int(q.get("startTime", 0))
            and trade["time"] + int(self.trades_lag_s * 1000) <= now
            and self.orders[trade["orderId"]].visible_at <= now
        ][: int(q.get("limit", 500))]  # fmt: skip
        return [each for trade in told for each in (trade, trade)] if self.repeat_trades else told

    def account(self) -> list[dict[str, str]]:
        """Balances of everything there ever was."""
        return [
            {
                "asset": asset,
                "free": text(self.free.get(asset, ZERO)),
                "locked": text(self.locked.get(asset, ZERO)),
            }
            for asset in sorted({*self.free, *self.locked})
        ]

    def truth(self) -> dict[str, Any]:
        """Everything, for whoever judges."""
        return {
            "orders": [order.row() | {"who": order.who} for order in self.orders.values()],
            "trades": self.trades,
            "balances": self.account(),
            "symbols": {name: asdict(rules) for name, rules in self.symbols.items()},
        }


def text(value: Decimal) -> str:
    """Eight places, as Binance writes amounts."""
    return f"{value:.8f}"
