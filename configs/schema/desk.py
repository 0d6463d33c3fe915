"""Who trades what: the desk, its instruments and the rules of each."""

import re
from decimal import Decimal
from functools import cache
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9][A-Za-z0-9_/\-.]*$")]
Timeframe = Literal["1s", "1m", "5m", "15m", "30m", "1h", "4h", "1d"]
TIMEFRAME_MS: dict[str, int] = {
    "1s": 1000,
    "1m": 60_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "4h": 14_400_000,
    "1d": 86_400_000,
}

AssetClass = Literal["crypto", "stock", "fx"]
MONEY = frozenset(
    (
        *(
            "AUD",
            "BRL",
            "CAD",
            "CHF",
            "CNH",
            "CNY",
            "CZK",
            "DKK",
            "EUR",
            "GBP",
            "HKD",
            "HUF",
            "ILS",
            "INR",
            "JPY",
        ),
        *("KRW", "MXN", "NOK", "NZD", "PLN", "RUB", "SEK", "SGD", "THB", "TRY", "USD", "ZAR"),
    )
)
"""What governments issue: a pair of two of them is foreign exchange, any other pair is crypto."""

COINS = ("USDT", "USDC", "BUSD", "FDUSD", "PERP", "BTC", "ETH")
"""What a pair of coins written in one word ends with."""

SMALLEST, LARGEST = Decimal("1E-12"), Decimal("1E+15")
"""Decimals keep 28 digits: within these bounds a quantity times a price loses none that matter."""


class Instrument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be traded and how finely. Quantities and prices are multiples of `lot` and `tick`."""

    name: Name
    tick: Decimal = Decimal("0.01")
    lot: Decimal = Decimal("0.001")
    min_notional: Decimal = Decimal("10")
    bars_per_year: Annotated[float, Meta(gt=0, le=32_000_000)] = 252.0
    asset_class: AssetClass | Literal["auto"] = "auto"
    """Which of the limits by class hold; `auto` reads it from the name."""
    group: Annotated[str, Meta(max_length=32)] = ""
    """Instruments that fall together share `risk.max_group_value`; empty for none."""

    @property
    def kind(self) -> AssetClass:
        """The class whose limits hold.

        >>> names = ("BTC/USDT", "BTCUSDT_spot_1h", "EUR/USD", "EURUSD", "SP500")
        >>> [Instrument(name=name).kind for name in names]
        ['crypto', 'crypto', 'fx', 'fx', 'stock']
        """
        return _class_of(self.name) if self.asset_class == "auto" else self.asset_class

    def __post_init__(self) -> None:
        for field, value in (("tick", self.tick), ("lot", self.lot)):
            if not value.is_finite() or not SMALLEST <= value <= LARGEST:
                raise ValueError(f"{self.name}: {field} must be from {SMALLEST} to {LARGEST}, was {value}")
        if not self.min_notional.is_finite() or not 0 <= self.min_notional <= LARGEST:
            raise ValueError(
                f"{self.name}: min_notional must be from 0 to {LARGEST}, was {self.min_notional}"
            )


@cache
def _class_of(name: str) -> AssetClass:
    base, slash, quote = name.partition("/")
    if not slash:
        base, quote = _halves(name)
    if not quote:
        return "stock"
    return "fx" if {base, quote} <= MONEY else "crypto"


def _halves(name: str) -> tuple[str, str]:
    """The two sides of a pair that is written without a slash, as files are named; empty where it is none."""
    pair, *rest = re.split(r"[^A-Z0-9]", name.upper())
    if rest and rest[0] in (*COINS, *MONEY):
        return pair, rest[0]
    for coin in COINS:
        if pair.endswith(coin) and pair != coin:
            return pair.removesuffix(coin), coin
    base, quote = pair[:-3], pair[-3:]
    return (base, quote) if len(base) >= 3 and quote in MONEY else ("", "")


class DeskSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The desk itself. `cash` is what the paper account starts with, in `currency`."""

    name: Name = "desk"
    timeframe: Timeframe = "1d"
    currency: Annotated[str, Meta(min_length=3, max_length=8)] = "USD"
    cash: Decimal = Decimal("100000")
    instruments: Annotated[tuple[Instrument, ...], Meta(max_length=500)] = ()
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 7

    def __post_init__(self) -> None:
        if not self.cash.is_finite() or not 0 < self.cash <= LARGEST:
            raise ValueError(f"cash must be more than 0 and at most {LARGEST}, was {self.cash}")
        names = [instrument.name for instrument in self.instruments]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"instruments: {', '.join(twice)} is listed twice")
