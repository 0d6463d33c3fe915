"""The rules of an instrument applied: how a wish becomes a price or a quantity that a venue takes."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from configs.schema.desk import Instrument

__all__ = ["Instrument", "base_of", "exact", "price_down", "price_up", "whole_lots"]


def exact(value: float) -> Decimal:
    """The decimal that a float is written as: 0.1 becomes 0.1, not what binary makes of it."""
    return Decimal(repr(value))


def whole_lots(instrument: Instrument, quantity: Decimal) -> Decimal:
    """The largest multiple of the lot that is not above `quantity`.

    >>> whole_lots(Instrument(name="X", lot=Decimal("0.5")), Decimal("1.9"))
    Decimal('1.5')
    """
    return (quantity / instrument.lot).to_integral_value(ROUND_FLOOR) * instrument.lot


def price_down(instrument: Instrument, price: Decimal) -> Decimal:
    """The nearest tick at or below `price`."""
    return (price / instrument.tick).to_integral_value(ROUND_FLOOR) * instrument.tick


def price_up(instrument: Instrument, price: Decimal) -> Decimal:
    """The nearest tick at or above `price`."""
    return (price / instrument.tick).to_integral_value(ROUND_CEILING) * instrument.tick


def base_of(instrument: str) -> str:
    """The asset that is traded.

    >>> base_of("BTC/USDT")
    'BTC'
    """
    return instrument.partition("/")[0]
