"""What a live desk knows of the other instruments when a bar of one closes."""

from engine.core.domain.ids import from_epoch_ms
from engine.core.domain.instrument import exact
from engine.core.domain.market import Bar, BarArrays
from engine.core.pipeline import NEED, observe
from engine.live.windows import Windows
from tests.unit.engine.backtest.markets import random_walk, trading

SERIES = {"BTC": random_walk(NEED + 5, 1), "ETH": random_walk(NEED + 5, 2)}
SETTINGS = trading("BTC", "ETH")


def bar(name: str, row: int) -> Bar:
    values = [float(column[row]) for column in SERIES[name][1:]]
    return Bar(name, from_epoch_ms(int(SERIES[name].end_ms[row])), *map(exact, values))


def windows() -> Windows:
    def history(name: str, bars: int) -> BarArrays:
        return SERIES[name].slice(0, NEED).tail(bars)

    return Windows(SETTINGS, history)


def test_the_others_are_all_but_the_one_with_their_newest_bars() -> None:
    held = windows()
    held.slide(bar("ETH", NEED), bar("ETH", NEED).end)

    (name,) = held.others("BTC")

    assert name == "ETH"
    assert held.others("BTC")["ETH"].end_ms[-1] == SERIES["ETH"].end_ms[NEED]
    assert held.others("BTC")["ETH"].size == NEED


def test_an_observation_says_how_an_instrument_moves_with_the_other() -> None:
    held = windows()
    moment = {name: held.slide(bar(name, NEED), bar(name, NEED).end) for name in SERIES}

    told = observe(moment["BTC"], SETTINGS, held.others("BTC"))

    assert set(told.correlations) == set(told.volatilities) == {"ETH"}
    assert -1 <= told.correlations["ETH"] <= 1
    assert told.tail is not None and len(told.tail.estimates) == 3
