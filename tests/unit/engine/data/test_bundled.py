import importlib.util
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest

from engine.core.domain.errors import BadData
from engine.data.bundled import FILES, load

needs_arch = pytest.mark.skipif(importlib.util.find_spec("arch") is None, reason="needs the demo extra")


@needs_arch
@pytest.mark.parametrize("instrument", list(FILES))
def test_the_bundled_bars_are_whole_and_consistent(instrument: str) -> None:
    bundled = load(instrument)
    end_ms, opened, high, low, close, volume = bundled.bars

    assert (bundled.instrument, bundled.timeframe, bundled.bars.size) == (instrument, "1d", 5031)
    assert (low > 0).all()
    assert (low <= np.minimum(opened, close)).all()
    assert (np.maximum(opened, close) <= high).all()
    assert (volume >= 0).all()
    assert (np.diff(end_ms) > 0).all()
    ends = [datetime.fromtimestamp(moment / 1000, UTC) for moment in (end_ms[0], end_ms[-1])]
    assert ends == [datetime(1999, 1, 4, 21, tzinfo=UTC), datetime(2018, 12, 31, 21, tzinfo=UTC)]


@needs_arch
def test_the_first_day_of_the_index_is_as_published() -> None:
    first = [float(column[0]) for column in load("SP500").bars[1:]]

    assert first == [1229.22998, 1248.810059, 1219.099976, 1228.099976, 877_000_000.0]


@needs_arch
def test_reading_them_imports_neither_arch_nor_pandas() -> None:
    code = "import sys; from engine.data.bundled import load; load('SP500'); print({'arch', 'pandas'} & {*sys.modules})"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(BadData) as refused:
        load("SP500")

    assert str(refused.value) == 'the bundled market data is not installed: pip install "whydesk[demo]"'


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(BadData, match="DAX is not bundled, there are SP500, NASDAQ"):
        load("DAX")
