"""What the venue says, as our values; what we want, as its parameters. Nothing malformed goes further than this file.

Numbers come as text of digits, of bounded length: what is negative, not a number, in scientific notation, or simply
of another type is BadData here. Amounts stay decimals all the way; ccxt's floats are never used.

Rounding: quantities down to the venue's step. Prices to its tick, up for sells and down for buys: never at a worse
price than asked, and a stop rather a tick too early than too late. Only the collar of a stop that rests as a limit
order is rounded the other way, for it must fill.
"""

import itertools
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import Enum
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from engine.core.domain.errors import BadData
from engine.core.domain.ids import epoch_ms, from_epoch_ms
from engine.core.domain.market import Bar
from engine.core.domain.order import Fill, OrderRequest, OrderStatus, OrderType, Side
from engine.core.domain.venue import Depth, OpenOrder, Sighting

Kind = TypeVar("Kind")

Amount = Annotated[str, Meta(pattern=r"\A[0-9]{1,15}(\.[0-9]{1,18})?\Z")]
Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Millis = Annotated[int, Meta(ge=1_000_000_000_000, le=4_102_444_800_000)]  # 2001 to 2100
Symbol = Annotated[str, Meta(pattern=r"\A[A-Z0-9]{2,20}\Z")]
Asset = Annotated[str, Meta(pattern=r"\A[^\s\x00-\x20\x7f]{1,40}\Z")]  # some are not written in Latin letters
ClientId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[\x21-\x7e]+\Z")]
Word = Annotated[str, Meta(pattern=r"\A[A-Z_]{1,40}\Z")]

ZERO = Decimal(0)
LARGEST_SPREAD = Decimal(2)  # an ask at more than twice the bid is not a market
LONGEST_TEXT = 200
CLOCK_BOUND_MS = 5_000  # what is further ahead than this cannot be explained by clocks that disagree

STATUS: dict[str, OrderStatus] = {
    "NEW": OrderStatus.ACCEPTED,
    "PENDING_NEW": OrderStatus.ACCEPTED,
    "PARTIALLY_FILLED": OrderStatus.PARTIAL,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "PENDING_CANCEL": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REFUSED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}

# --- What an error of the venue means for an order ------------------------------------------------


class Verdict(Enum):
    """What became of an order that was answered with an error: it never was, or nobody knows."""

    REFUSED = "refused"
    NOT_EXECUTED = "not executed"
    UNKNOWN = "unknown"


AUTH_CODES = frozenset({-1002, -1022, -2008, -2014, -2015})
CLOCK_CODE = -1021
FILTER_CODE = -1013
NO_SUCH_SYMBOL = -1121
PARAMETER_CODES = frozenset(
    range(-1135, -1099)
)  # a parameter is missing, malformed or does not fit the others
NO_SUCH_ORDER = frozenset({-2011, -2013})
# Only these say for certain that the order was not taken. Whatever is not here is looked up.
REFUSALS = (
    AUTH_CODES
    | frozenset({-1013, -1014, -1020, -1021, -2010, -2016, -2021, -2022})
    | PARAMETER_CODES
    | frozenset({-1145, -1151, -1152})
)


def verdict(status: int, code: int, message: str) -> Verdict:
    """Judge by the HTTP status and the venue's code, never by the class of an exception.

    >>> verdict(400, -2010, "Account has insufficient balance for requested action.").value
    'refused'
    >>> verdict(503, -2010, "Account has insufficient balance for requested action.").value
    'unknown'
    >>> verdict(400, -2010, "Duplicate order sent.").value  # then there is one
    'unknown'
    >>> verdict(429, -1003, "Too many requests.").value
    'not executed'
    """
    if status in (418, 429):
        return Verdict.NOT_EXECUTED
    if status not in (400, 401, 403) or code not in REFUSALS or "duplicate" in message.lower():
        return Verdict.UNKNOWN
    return Verdict.REFUSED


class VenueError(msgspec.Struct, frozen=True, rename="camel"):
    """The body of an error."""

    code: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]
    msg: Annotated[str, Meta(max_length=10_000)] = ""


def printable(text: str) -> str:
    """One short line without anything that a terminal, a log or a chat could take for more than text."""
    clean = "".join(
        each if each.isascii() and each.isprintable() else "?" for each in text[: 2 * LONGEST_TEXT]
    )
    return " ".join(clean.split())[:LONGEST_TEXT]


# --- Names ----------------------------------------------------------------------------------------


def assets_of(instrument: str) -> tuple[str, str]:
    """Base and quote of a name such as BTC/USDT."""
    base, _, quote = instrument.partition("/")
    if not base or not quote or "/" in quote:
        raise BadData(f"{instrument} is no name of the form BTC/USDT")
    return base, quote


def symbol_of(instrument: str) -> str:
    """The venue's name.

    >>> symbol_of("BTC/USDT")
    'BTCUSDT'
    """
    return "".join(assets_of(instrument))


# --- Reading --------------------------------------------------------------------------------------


def parsed(body: bytes) -> Any:
    """The body as JSON: one value, whole, not too deep; else BadData."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadData("the venue's answer cannot be read") from None


def read(payload: Any, kind: type[Kind]) -> Kind:
    """The payload as `kind`, every field of its type and within its bounds; else BadData."""
    try:
        return msgspec.convert(payload, kind)
    except (msgspec.ValidationError, UnicodeError, RecursionError) as error:
        raise BadData(f"the venue's answer is malformed: {printable(str(error))}") from None


class ServerTime(msgspec.Struct, frozen=True, rename="camel"):
    """The venue's clock."""

    server_time: Millis


class _Filter(msgspec.Struct, frozen=True, rename="camel"):
    filter_type: Word
    tick_size: Amount = "0"
    step_size: Amount = "0"
    min_qty: Amount = "0"
    max_qty: Amount = "0"
    min_notional: Amount = "0"


class _SymbolInfo(msgspec.Struct, frozen=True, rename="camel"):
    symbol: Symbol
    status: Word
    base_asset: Asset
    quote_asset: Asset
    order_types: Annotated[list[Word], Meta(max_length=50)]
    filters: Annotated[list[dict[str, Any]], Meta(max_length=50)]


class _Info(msgspec.Struct, frozen=True, rename="camel"):
    symbols: Annotated[list[dict[str, Any]], Meta(max_length=10_000)]  # others are of all kinds


class Rules(NamedTuple):
    """How finely, and whether at all, an instrument can be traded there just now. Quantities and money are lowest."""

    instrument: str
    tick: Decimal
    lot: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    status: str
    order_types: frozenset[str]

    @property
    def trading(self) -> bool:
        """False while the venue has halted it."""
        return self.status == "TRADING"


def rules(payload: Any, instruments: Iterable[str]) -> dict[str, Rules]:
    """The rules of those of our instruments that the venue names; the others it does not know."""
    wanted = {symbol_of(name): name for name in instruments}
    found: dict[str, Rules] = {}
    for row in read(payload, _Info).symbols:
        name = wanted.get(read(row, _Named).symbol)
        if name is None:
            continue
        info = read(row, _SymbolInfo)
        if name in found or (info.base_asset, info.quote_asset) != assets_of(name):
            raise BadData(f"the venue's rules for {info.symbol} contradict themselves")
        found[name] = _rules(name, info)
    return found


def _rules(name: str, info: _SymbolInfo) -> Rules:
    kinds = ("PRICE_FILTER", "LOT_SIZE", "MIN_NOTIONAL", "NOTIONAL")
    filters = {
        each["filterType"]: read(each, _Filter)
        for each in info.filters
        if isinstance(each.get("filterType"), str) and each["filterType"] in kinds
    }
    if "PRICE_FILTER" not in filters or "LOT_SIZE" not in filters:
        raise BadData(f"the venue tells no tick or no step for {info.symbol}")
    lots = filters["LOT_SIZE"]
    tick, lot, most = (
        Decimal(filters["PRICE_FILTER"].tick_size),
        Decimal(lots.step_size),
        Decimal(lots.max_qty),
    )
    if not (tick > 0 and lot > 0 and most > 0):
        raise BadData(
            f"the venue tells a tick of {tick}, a step of {lot} and at most {most} for {info.symbol}"
        )
    notional = max(
        (Decimal(filters[kind].min_notional) for kind in ("NOTIONAL", "MIN_NOTIONAL") if kind in filters),
        default=ZERO,
    )
    return Rules(
        name, tick, lot, Decimal(lots.min_qty), most, notional, info.status, frozenset(info.order_types)
    )


class _Permissions(msgspec.Struct, frozen=True, rename="camel"):
    enable_spot_and_margin_trading: bool
    enable_withdrawals: bool
    ip_restrict: bool


class Permissions(NamedTuple):
    """What the key may do. None: the venue does not say."""

    can_trade: bool
    can_withdraw: bool | None
    bound_to_address: bool | None

    @property
    def objection(self) -> str:
        """Why nobody should trade real money with such a key; empty when nothing that was told speaks against it."""
        if self.can_withdraw:
            return "the key may withdraw: make one that may only trade"
        if self.bound_to_address is False:
            return "the key works from any address: bind it to this machine's"
        return "" if self.can_trade else "the key or its account may not trade"


def permissions(restrictions: Any | None, account: Any) -> Permissions:
    """From the key's restrictions where the venue tells them, and the account's own right to trade.

    The account's `canWithdraw` is about the account, not about the key, and says nothing here.
    """
    may = read(account, _AccountInfo).can_trade
    if restrictions is None:
        return Permissions(may, None, None)
    told = read(restrictions, _Permissions)
    return Permissions(may and told.enable_spot_and_margin_trading, told.enable_withdrawals, told.ip_restrict)


class _Ticker(msgspec.Struct, frozen=True, rename="camel"):
    symbol: Symbol
    bid_price: Amount
    ask_price: Amount


def quote(payload: Any, symbol: str) -> tuple[Decimal, Decimal]:
    """Bid and ask; BadData for a book that is empty, crossed, absurdly wide, or another's."""
    ticker = read(payload, _Ticker)
    bid, ask = Decimal(ticker.bid_price), Decimal(ticker.ask_price)
    if ticker.symbol != symbol:
        raise BadData(f"asked for {symbol}, the venue answered for {ticker.symbol}")
    if not 0 < bid <= ask <= bid * LARGEST_SPREAD:
        raise BadData(f"{symbol}: a bid of {bid} and an ask of {ask} are no market")
    return bid, ask


class _Level(msgspec.Struct, frozen=True, array_like=True):
    price: Amount
    quantity: Amount


class _Book(msgspec.Struct, frozen=True):
    bids: Annotated[list[_Level], Meta(max_length=5000)]
    asks: Annotated[list[_Level], Meta(max_length=5000)]


def depth(payload: Any, symbol: str, side: Side, asked: int) -> Depth:
    """The asks for a buy, the bids for a sell; BadData for a book that is empty, crossed, absurdly wide or in disorder.

    One with fewer levels than the `asked` is whole. It names neither its symbol nor its time: whoever uses it holds it
    against a price.
    """
    told = read(payload, _Book)
    bids, asks = (
        [(Decimal(row.price), Decimal(row.quantity)) for row in rows] for rows in (told.bids, told.asks)
    )
    if not bids or not asks:
        raise BadData(f"{symbol}: a book of {len(bids)} bids and {len(asks)} asks is no market")
    if not 0 < bids[0][0] < asks[0][0] <= bids[0][0] * LARGEST_SPREAD:
        raise BadData(f"{symbol}: a book with a bid of {bids[0][0]} and an ask of {asks[0][0]} is no market")
    levels = asks if side is Side.BUY else bids
    if any(side.sign * (after[0] - before[0]) <= 0 for before, after in itertools.pairwise(levels)):
        raise BadData(f"{symbol}: the prices of its book are in disorder")
    return Depth(tuple(levels), whole=len(levels) < asked)


class _Kline(msgspec.Struct, frozen=True, array_like=True):
    open_time: Millis
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    volume: Amount
    close_time: Millis


class Candles(NamedTuple):
    """The closed bars of one answer, oldest first, and what was wrong with the other rows."""

    bars: tuple[Bar, ...]
    refused: tuple[str, ...]


def candles(payload: Any, instrument: str, step_ms: int, now_ms: int, settle_ms: int = 0) -> Candles:
    """Each row on its own: a bad one is refused, the rest is used. Unclosed candles are left out without a word.

    So are those that closed less than `settle_ms` ago, for they may still change.

    Two different candles of one time are both refused: nobody can say which is right.
    """
    if not isinstance(payload, list) or len(payload) > 1000:
        raise BadData(f"{instrument}: the venue's candles are malformed")
    found: dict[int, Bar] = {}
    refused: list[str] = []
    contradicted: set[int] = set()
    for row in payload:
        try:
            kline = read(row, _Kline)
            end_ms = kline.open_time + step_ms
            if kline.open_time % step_ms or kline.close_time != end_ms - 1:
                raise BadData(
                    f"{instrument}: {kline.open_time} to {kline.close_time} is no candle of {step_ms} ms"
                )
            if kline.open_time > now_ms + CLOCK_BOUND_MS:
                raise BadData(
                    f"{instrument}: a candle of {from_epoch_ms(kline.open_time)} is from the future"
                )
            if end_ms > now_ms - settle_ms:
                continue
            prices = (
                Decimal(each) for each in (kline.open, kline.high, kline.low, kline.close, kline.volume)
            )
            bar = Bar(instrument, from_epoch_ms(end_ms), *prices)
        except BadData as error:
            refused.append(str(error))
            continue
        if found.setdefault(end_ms, bar) != bar:
            contradicted.add(end_ms)
    refused += [f"{instrument}: two candles of {from_epoch_ms(end_ms)}" for end_ms in sorted(contradicted)]
    return Candles(tuple(found[end] for end in sorted(found) if end not in contradicted), tuple(refused))


# --- Orders ---------------------------------------------------------------------------------------


class VenueOrder(msgspec.Struct, frozen=True, rename="camel"):
    """An order as the venue tells it."""

    symbol: Symbol
    order_id: Id
    client_order_id: ClientId
    status: Word
    side: Word
    orig_qty: Amount
    executed_qty: Amount
    orig_client_order_id: ClientId | None = None
    """Told in the answer to a cancel, where the other one is the cancel's own."""

    @property
    def quantity(self) -> Decimal:
        """What was asked for."""
        return Decimal(self.orig_qty)

    @property
    def executed(self) -> Decimal:
        """What was done of it."""
        return Decimal(self.executed_qty)


def order_answer(payload: Any, request: OrderRequest) -> VenueOrder:
    """An answer about `request`; BadData when it is about another order, for then nothing is known of ours."""
    order = read(payload, VenueOrder)
    told = (order.symbol, order.orig_client_order_id or order.client_order_id, order.side.lower())
    asked = (symbol_of(request.instrument), request.client_id, request.side.value)
    if told != asked:
        raise BadData(f"asked about {' '.join(asked)}, the venue answered about {printable(' '.join(told))}")
    if order.status not in STATUS:
        raise BadData(
            f"{request.client_id}: the venue tells of a state {order.status}, which is not known here"
        )
    return order


class _Named(msgspec.Struct, frozen=True):
    symbol: Annotated[str, Meta(max_length=64)]  # of another instrument, and those have names of all kinds


def open_order(payload: Any, names: Mapping[str, str]) -> OpenOrder | None:
    """One order that rests there, None if it is in none of our instruments."""
    name = names.get(read(payload, _Named).symbol)
    if name is None:
        return None
    order = read(payload, VenueOrder)
    side = _side(order.side)
    return OpenOrder(order.client_order_id, str(order.order_id), name, side, order.quantity, order.executed)


def _side(word: str) -> Side:
    try:
        return Side(word.lower())
    except ValueError:
        raise BadData(f"the venue tells of a side {word}") from None


def order_parameters(request: OrderRequest, rules: Rules, collar: Decimal) -> dict[str, str] | str:
    """What to send, or why the venue would not take it, with the numbers."""
    symbol = symbol_of(request.instrument)
    if not rules.trading:
        return f"{symbol} is not traded there now: its status is {rules.status}"
    if not request.quantity.is_finite() or (request.price is not None and not request.price.is_finite()):
        return f"a quantity of {request.quantity} at {request.price} is no order"
    quantity = _multiple(request.quantity, rules.lot, ROUND_FLOOR)
    least = max(rules.min_quantity, rules.lot)
    if not least <= quantity <= rules.max_quantity:
        return f"{plain(quantity)} {symbol} is not from {plain(least)} to {plain(rules.max_quantity)}"
    sent = {
        "symbol": symbol,
        "side": request.side.value.upper(),
        "quantity": plain(quantity),
        "newClientOrderId": request.client_id,
        "newOrderRespType": "RESULT",
    }
    if request.type is OrderType.MARKET:
        return sent | {"type": "MARKET"}
    if request.price is None:
        return f"a {request.type.value} order needs a price"
    price = _rounded(request.price, request.side, rules.tick)
    if price <= 0:
        return f"a price of {request.price} is less than one tick of {plain(rules.tick)}"
    if quantity * price < rules.min_notional:
        worth, least_worth = plain(quantity * price), plain(rules.min_notional)
        return f"{plain(quantity)} {symbol} at {plain(price)} is worth {worth}; the venue takes {least_worth} or more"
    if request.type is OrderType.LIMIT:
        return sent | {"type": "LIMIT", "timeInForce": "GTC", "price": plain(price)}
    if "STOP_LOSS" in rules.order_types:
        return sent | {"type": "STOP_LOSS", "stopPrice": plain(price)}
    worst = _rounded(price * (1 + request.side.sign * collar), request.side.opposite, rules.tick)
    return sent | {
        "type": "STOP_LOSS_LIMIT",
        "timeInForce": "GTC",
        "stopPrice": plain(price),
        "price": plain(max(worst, rules.tick)),
    }


def _multiple(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return (value / step).to_integral_value(rounding) * step


def _rounded(price: Decimal, side: Side, tick: Decimal) -> Decimal:
    """To the tick, up for sells and down for buys."""
    return _multiple(price, tick, ROUND_CEILING if side is Side.SELL else ROUND_FLOOR)


def plain(value: Decimal) -> str:
    """Without an exponent and without zeros at the end, as venues read it.

    >>> plain(Decimal("1E+2")), plain(Decimal("0.00010"))
    ('100', '0.0001')
    """
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# --- Trades ---------------------------------------------------------------------------------------


class Trade(msgspec.Struct, frozen=True, rename="camel"):
    """One execution as the venue tells it."""

    symbol: Symbol
    id: Id
    order_id: Id
    price: Amount
    qty: Amount
    commission: Amount
    commission_asset: Asset
    time: Millis
    is_buyer: bool

    @property
    def quantity(self) -> Decimal:
        """What was traded, before any fee."""
        return Decimal(self.qty)


class _Trades(msgspec.Struct, frozen=True):
    trades: Annotated[list[Trade], Meta(max_length=5000)]


def trades(payload: Any, symbol: str, order_id: int | None = None) -> list[Trade]:
    """The trades of one answer, each once, in the order of their ids; BadData if one is not what was asked for."""
    found: dict[int, Trade] = {}
    for trade in read({"trades": payload}, _Trades).trades:
        if trade.symbol != symbol or (order_id is not None and trade.order_id != order_id):
            raise BadData(
                f"asked for trades of {symbol}, the venue told of {trade.symbol} order {trade.order_id}"
            )
        if not (trade.quantity > 0 and Decimal(trade.price) > 0):
            raise BadData(f"{symbol}: a trade of {trade.qty} at {trade.price}")
        if found.setdefault(trade.id, trade) != trade:
            raise BadData(f"{symbol}: the venue tells trade {trade.id} in two ways")
    return [found[number] for number in sorted(found)]


class Owner(NamedTuple):
    """Whose order a trade belongs to: everything that only the desk can know of it is empty for a stranger's."""

    client_id: str
    decision: str = ""
    leg: str = ""
    reason: str = ""
    reference: Decimal | None = None

    @classmethod
    def of(cls, request: OrderRequest) -> "Owner":
        """The desk's own order."""
        return cls(request.client_id, request.decision, request.leg, request.reason, request.price)


def fill(trade: Trade, instrument: str, owner: Owner, fee: Decimal) -> Fill:
    """`fee` is the commission's worth in the quote currency. What the venue kept of the thing bought is `withheld`."""
    base, quote = assets_of(instrument)
    price, kept = Decimal(trade.price), Decimal(trade.commission)
    withheld = kept if trade.is_buyer and trade.commission_asset == base else ZERO
    elsewhere = bool(kept) and not withheld and trade.commission_asset != quote
    if withheld >= trade.quantity:
        raise BadData(f"{trade.symbol}: a fee of {withheld} on a trade of {trade.quantity}")
    return Fill(
        trade_id=f"{trade.symbol}-{trade.id}",
        client_id=owner.client_id,
        decision=owner.decision,
        instrument=instrument,
        side=Side.BUY if trade.is_buyer else Side.SELL,
        quantity=trade.quantity - withheld,
        price=price,
        reference=price if owner.reference is None else owner.reference,
        fee=fee,
        leg=owner.leg,
        reason=owner.reason,
        at=from_epoch_ms(trade.time),
        withheld=withheld,
        paid_asset=trade.commission_asset if elsewhere else "",
        paid=kept if elsewhere else ZERO,
    )


def sighting(order: VenueOrder, fills: tuple[Fill, ...]) -> Sighting:
    """How it stands. An end is an end only once every execution has been told: trades may lag behind their order.

    More than was asked for is told as it is: the desk has to know.
    """
    filled = sum((each.quantity + each.withheld for each in fills), ZERO)
    status = STATUS[order.status]
    if filled < order.executed or (filled > 0 and status is OrderStatus.ACCEPTED):
        status = OrderStatus.PARTIAL
    if status is OrderStatus.FILLED and order.executed < order.quantity:
        raise BadData(
            f"{order.client_order_id}: the venue calls {order.executed_qty} of {order.orig_qty} filled"
        )
    return Sighting(status, filled, fills, str(order.order_id), untold=max(order.executed - filled, ZERO))


# --- The account ----------------------------------------------------------------------------------


class _Balance(msgspec.Struct, frozen=True, rename="camel"):
    asset: Asset
    free: Amount
    locked: Amount


class _AccountInfo(msgspec.Struct, frozen=True, rename="camel"):
    can_trade: bool
    balances: Annotated[list[_Balance], Meta(max_length=5000)]


def balances(payload: Any, wanted: Iterable[str]) -> dict[str, Decimal]:
    """Free and locked together: of everything that is there, and of what is wanted even if none of it is."""
    found: dict[str, Decimal] = {}
    for each in read(payload, _AccountInfo).balances:
        if each.asset in found:
            raise BadData(f"the venue tells two balances of {each.asset}")
        found[each.asset] = Decimal(each.free) + Decimal(each.locked)
    there = {asset: amount for asset, amount in found.items() if amount}
    return dict.fromkeys(wanted, ZERO) | there


def since_ms(moment: datetime) -> int:
    """The moment as the venue takes it, never later."""
    return max(1_000_000_000_000, epoch_ms(moment))
