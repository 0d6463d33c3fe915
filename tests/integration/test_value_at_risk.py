"""One bar's loss at 95 %, over the demo's series and over real files: passed as often as promised."""

import importlib.util
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from configs.schema.data import DataQualitySettings
from engine.core.analytics.value_at_risk import TailTest, value_at_risk
from engine.core.domain.market import Floats
from engine.data.bundled import load
from engine.data.files import read_bars

LATE = datetime(2026, 1, 1, tzinfo=UTC)
FILES = (
    "crypto/BTCUSDT_binance_spot_5m.parquet",
    "perp/DOGEUSDT_binance_perp_5m.parquet",
    "forex/XAUUSD_mt5_1h.parquet",
)
"""Files of bars that are not in the repository, and that no estimator was chosen by. WHYDESK_MARKET_DATA names their
folder."""
FOLDER = os.environ.get("WHYDESK_MARKET_DATA", "")


def told(closes: Floats) -> dict[str, TailTest]:
    return {test.estimator: test for test in value_at_risk("X", closes)}


@pytest.mark.skipif(importlib.util.find_spec("arch") is None, reason="needs the demo extra")
@pytest.mark.parametrize("name", ["SP500", "NASDAQ"])
def test_the_tail_of_the_demo_is_inside_the_region(name: str) -> None:
    assert told(load(name).bars.close)["evt"].verdict == "right"


@pytest.mark.skipif(not FOLDER, reason="WHYDESK_MARKET_DATA does not name a folder of bars")
@pytest.mark.parametrize("path", FILES)
def test_the_tail_of_real_files_is_inside_the_region(path: str) -> None:
    if not (Path(FOLDER) / path).is_file():
        pytest.skip(f"there is no {path}")
    evt = told(read_bars(Path(FOLDER) / path, check=DataQualitySettings(), as_of=LATE).bars.close)["evt"]

    assert evt.low <= evt.exceptions <= evt.high
