from pathlib import Path

import pytest

from configs.load import SettingsError, load
from configs.schema.settings import Settings, settings_hash
from configs.schema.venue import VenueSettings


@pytest.mark.parametrize(
    "url",
    [
        "https://api.binance.com",
        "https://testnet.binance.vision/",
        "http://127.0.0.1:8080",
        "http://localhost:1",
        "http://[::1]:9/x",
    ],
)
def test_a_venue_is_spoken_to_in_private_or_on_this_machine(url: str) -> None:
    assert VenueSettings(base_url=url).base_url == url


@pytest.mark.parametrize(
    "url",
    ["http://api.binance.com", "http://127.0.0.1.example.com", "http://localhost.example.com", "http://venue.example",
     "https" + "://user:word@api.binance.com", "https://api.binance.com?x=1",
     "ftp://api.binance.com", "api.binance.com", "",
     "https://api.binance.com\nX: y", "https://", "https://venue.example/a b"],
)  # fmt: skip
def test_any_other_place_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        VenueSettings(base_url=url)


def refused(environment: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as told:
        load("binance", environment)
    assert len(str(told.value).splitlines()) == 1
    return str(told.value)


def test_spot_cannot_sell_what_it_does_not_hold() -> None:
    assert "set decision.long_only" in refused({"WHYDESK__DECISION__LONG_ONLY": "false"})


@pytest.mark.parametrize("name", ["BTCUSDT", "BTC/USD", "/USDT", "BTC/USDT/USDT"])
def test_instruments_of_a_spot_venue_are_pairs_in_the_desks_currency(name: str, tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text(
        f"desk:\n  currency: USDT\n  instruments:\n    - {{name: {name}}}\nvenue: {{kind: binance}}\n"
    )

    with pytest.raises(SettingsError):
        load(str(profile), {})


def test_the_shipped_profile_waits_long_enough_before_it_believes_that_an_order_never_came() -> None:
    settings = load("binance", {})

    assert settings.venue.kind == "binance"
    assert settings.venue.absent_after_s == 18
    assert settings.decision.long_only


def test_where_orders_go_changes_no_decision() -> None:
    assert settings_hash(Settings()) == settings_hash(
        Settings(venue=VenueSettings(base_url="http://localhost:1"))
    )
