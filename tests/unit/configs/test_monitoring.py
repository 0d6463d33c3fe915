"""Who is told of a desk that stands still, and what may be set for that."""

import msgspec
import pytest

from configs.schema.monitoring import MonitoringSettings
from configs.schema.settings import Settings, settings_hash
from engine.core.domain.records import plain


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://example.org",
        "https://example.org:8443/hook/abc?x=1&y=a%20b",
        "http://127.0.0.1:9000/alerts",
        "http://localhost/alerts",
        "http://[::1]:9000/",
    ],
)
def test_an_alert_goes_over_https_or_stays_on_this_machine(url: str) -> None:
    assert MonitoringSettings(alert_url=url).alert_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/alerts",
        "http://localhost.example.org/",
        "http://127.0.0.1.example.org/",
        "https://me.example:s3cret@example.org/",
        "https://example.org/a b",
        "https://example.org/a\r\nHost: other",
        "ftp://example.org/",
        "gopher://example.org/s3cret",
        "example.org/s3cret",
    ],
)
def test_any_other_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="alert_url must be") as refused:
        MonitoringSettings(alert_url=url)

    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("seconds", [1.9, 0, -1, 601, float("nan"), float("inf"), "ten", None])
def test_a_limit_of_silence_that_makes_no_sense_is_refused(seconds: object) -> None:
    with pytest.raises(msgspec.ValidationError, match="heartbeat_lost_s"):
        msgspec.convert({"heartbeat_lost_s": seconds}, MonitoringSettings)


@pytest.mark.parametrize("command", [[""], ["", "x"], ["a\0b"], "mail", [1], ["x"] * 101])
def test_a_command_that_is_none_is_refused(command: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"alert_command": command}, MonitoringSettings)


def test_who_is_told_stands_in_no_record_and_changes_no_decision() -> None:
    told = MonitoringSettings(alert_url="https://example.org/s3cret", alert_command=("send", "s3cret"))
    settings = Settings(monitoring=told)

    assert "s3cret" not in str(plain(settings))
    assert settings_hash(settings) == settings_hash(Settings())
