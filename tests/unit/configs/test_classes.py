"""Which limits hold for which instrument, and what a real venue does not take."""

import pytest

from configs.schema.desk import DeskSettings, Instrument
from configs.schema.risk import RiskSettings
from configs.schema.settings import Settings
from configs.schema.venue import VenueSettings

BTC = DeskSettings(currency="USDT", instruments=(Instrument("BTC/USDT"),))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("BTC/USDT", "crypto"),
        ("BTC/USD", "crypto"),
        ("BTCUSDT_binance_spot_1h", "crypto"),
        ("DOGEPERP", "crypto"),
        ("ETHBTC", "crypto"),
        ("BTCUSD", "crypto"),
        ("btcusdt", "crypto"),
        ("BTC-USD", "crypto"),
        ("BTCEUR_1h", "crypto"),
        ("EUR/USD", "fx"),
        ("EURUSD", "fx"),
        ("USDCHF_1h", "fx"),
        ("EUR-USD", "fx"),
        ("SP500", "stock"),
        ("SPY", "stock"),
        ("BTC", "stock"),
        ("AAPL.US", "stock"),
    ],
)
def test_the_class_of_an_instrument_is_read_from_its_name(name: str, kind: str) -> None:
    assert Instrument(name).kind == kind


def test_a_class_that_is_set_is_the_one_that_counts() -> None:
    assert Instrument("GOLD", asset_class="fx").kind == "fx"


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("crypto", (0.2, "risk.max_crypto_position")),
        ("stock", (0.25, "risk.max_position_value")),
        ("fx", (0.1, "risk.max_fx_position")),
    ],
)
def test_the_smaller_of_two_limits_on_a_position_holds_and_is_named(
    kind: str, limit: tuple[float, str]
) -> None:
    assert RiskSettings(max_fx_position=0.1).position_limit(kind) == limit  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["max_crypto_position", "max_stock_position", "max_fx_position"])
def test_a_real_venue_takes_no_position_above_the_ceiling_of_its_class(name: str) -> None:
    wide = RiskSettings(**{name: 0.26})

    with pytest.raises(ValueError, match=f"risk.{name} may be at most 0.2.* at a real venue, was 0.26"):
        Settings(desk=BTC, risk=wide, venue=VenueSettings(kind="binance"))
    assert Settings(desk=BTC, risk=wide).risk is wide, "on paper a profile may"


def test_what_is_restricted_must_be_an_instrument_of_the_desk() -> None:
    with pytest.raises(ValueError, match=r"risk.restricted: DOGE/USDT is not in desk.instruments"):
        Settings(desk=BTC, risk=RiskSettings(restricted=("DOGE/USDT",)))
