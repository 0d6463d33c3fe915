"""The page: one file, readable by people, screens and screen readers."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from configs.schema.decision import DecisionSettings
from engine.backtest.replay import run
from engine.backtest.report import judge
from jobs import charts
from jobs.report_html import page, percent, write_report
from tests.unit.engine.backtest.markets import WIDE, random_walk, trading

EAGER = DecisionSettings(confidence=0.55, long_only=False, max_bars=15)


@pytest.fixture(scope="module")
def text() -> str:
    return page(judge(run({"BTC": random_walk(1500, 1)}, trading("BTC", decision=EAGER, risk=WIDE))))


def test_the_page_needs_nothing_from_anywhere(text: str) -> None:
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)

    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!#)', without_names)
    assert "url(http" not in text


def test_every_tag_is_closed(text: str) -> None:
    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "link", "br"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    reader = Reader()
    reader.feed(text)
    assert reader.open == []


def test_charts_speak_to_those_who_cannot_see_them(text: str) -> None:
    drawings = re.findall(r"<svg[^>]*>", text)

    assert len(drawings) == 3
    assert all('role="img"' in drawing and 'aria-label="' in drawing for drawing in drawings)


def test_charts_follow_light_and_dark(text: str) -> None:
    assert not set(charts.VARIABLES) & set(re.findall(r"#[0-9a-f]{6}", text))
    assert "prefers-color-scheme: dark" in text


def test_the_sentences_the_hashes_and_the_sample_sizes_are_on_the_page(text: str) -> None:
    report = judge(run({"BTC": random_walk(1500, 1)}, trading("BTC", decision=EAGER, risk=WIDE)))

    for sentence in report.sentences:
        assert sentence in text
    for known in (report.run_id, report.data_hash, report.result.settings_hash, report.result.feature_set):
        assert known in text
    assert f"{report.net.bars:,} bars" in text


def test_the_page_says_whether_the_value_at_risk_was_right(text: str) -> None:
    assert "Was the value at risk right?" in text
    for name in ("normal", "historical", "evt", "used"):
        assert f'<td class="words">{name}</td>' in text


def test_a_run_without_trades_has_a_page_too(tmp_path: Path) -> None:
    write_report(judge(run({"BTC": random_walk(20, 2)}, trading("BTC"))), tmp_path / "report.html")

    assert "No trade was closed." in (tmp_path / "report.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_names_from_settings_cannot_become_markup() -> None:
    assert "&lt;b&gt;" in charts.area(np.arange(3) * 10**12, np.array([0.0, -1.0, 0.0]), '<b>"')


def test_a_long_line_keeps_its_extremes() -> None:
    values = np.zeros(1_000_000)
    values[123_456], values[654_321] = 5.0, -5.0

    kept = charts.thinned(values)

    assert {0, 123_456, 654_321, 999_999} <= set(kept.tolist())
    assert kept.size <= charts.POINTS + 2


def test_no_minus_before_a_zero() -> None:
    assert percent(-0.0001) == "0.0 %"
    assert percent(-0.012) == "−1.2 %"
