"""The recent bars of every instrument, and what is wrong with the newest."""

from collections.abc import Callable
from datetime import datetime

from configs.schema.desk import TIMEFRAME_MS
from configs.schema.settings import Settings
from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.instrument import exact
from engine.core.domain.market import Bar, BarArrays, MarketWindow
from engine.core.market.others import chosen
from engine.core.market.quality import check_bar, robust_sigma
from engine.core.market.window import BarWindow
from engine.core.pipeline import NEED

History = Callable[[str, int], BarArrays]


class Windows:
    """One window an instrument, filled from history at the start and by one bar at a time after that."""

    def __init__(self, settings: Settings, history: History) -> None:
        """`history(instrument, bars)` gives the bars that were known before the desk goes on."""
        self._settings = settings
        self._windows: dict[str, BarWindow] = {}
        self._last: dict[str, Bar] = {}
        self._sigma: dict[str, float] = {}
        for instrument in settings.desk.instruments:
            bars = history(instrument.name, NEED)
            self._windows[instrument.name] = BarWindow(NEED, bars if bars.size else None)
            self._sigma[instrument.name] = robust_sigma(bars.close)
            if bars.size:
                self._last[instrument.name] = _last_bar(instrument.name, bars)

    def slide(self, bar: Bar, as_of: datetime) -> MarketWindow:
        """Take the bar in and give the window that ends with it; a bar that is there already is not added twice."""
        previous = self._last.get(bar.instrument)
        window = self._windows[bar.instrument]
        step = TIMEFRAME_MS[self._settings.desk.timeframe]
        sigma = self._sigma[bar.instrument]
        issues = check_bar(previous, bar, as_of, step, self._settings.data, sigma)
        if previous is None or bar.end > previous.end:
            window.append(bar)
            self._last[bar.instrument] = bar
        return MarketWindow(bar.instrument, window.arrays(), bar, issues)

    def others(self, instrument: str) -> dict[str, BarArrays]:
        """The bars of the desk's other instruments that this one is set beside."""
        return {name: self._windows[name].arrays() for name in chosen(instrument, tuple(self._windows))}


def _last_bar(name: str, bars: BarArrays) -> Bar:
    prices = [exact(float(column[-1])) for column in bars[1:]]
    return Bar(name, from_epoch_ms(int(bars.end_ms[-1])), *prices)
