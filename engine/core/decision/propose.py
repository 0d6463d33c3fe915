"""What the desk would do at this bar: leave, enter or nothing, with the geometry of the trade.

A trade is a triple barrier (Lopez de Prado 2018, chapter 3): a stop below, a target above, both in average true
ranges from the close that decided, and a last bar. The trailing exit follows the best close.
"""

from decimal import Decimal

from configs.schema.decision import DecisionSettings
from configs.schema.desk import Instrument
from engine.core.domain.instrument import exact, price_down, price_up
from engine.core.domain.order import Side
from engine.core.domain.records import Proposal

NOTHING = Proposal("none", None, "")


def propose_entry(
    direction: int, close: Decimal, atr: float, instrument: Instrument, settings: DecisionSettings
) -> Proposal:
    """Enter in `direction`; `atr` is in price units. The stop is rounded away from the close, the target too.

    A stop of a long trade is kept one tick above zero, for a wild market's range may exceed its price.
    """
    side = Side.BUY if direction > 0 else Side.SELL
    stop = close - side.sign * exact(settings.stop_atr * atr)
    target = close + side.sign * exact(settings.target_atr * atr)
    low, high = (stop, target) if direction > 0 else (target, stop)
    low = max(price_down(instrument, low), instrument.tick)
    high = price_up(instrument, high)
    stop, target = (low, high) if direction > 0 else (high, low)
    return Proposal("enter", side, "signal", stop=stop, target=target, max_bars=settings.max_bars)
