"""One table of units: how any recorded value is written for people. The same value is always written the same way."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

NEVER = 1_000_000
"""What records hold for a number of bars since something that has not happened."""
BEYOND = Decimal(1_000_000)
"""A share of equity above this stands for "more than anything": the desk had nothing left to measure it by."""
LONGEST = 160
"""Characters of a recorded sentence that an answer repeats."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
STATES = ("halted", "reducing", "active")


def write(value: Any, unit: str) -> str:
    """The value as an answer prints it.

    >>> write(0.6498, "share"), write(Decimal("1240.1"), "price"), write(-0.25, "score"), write(1, "bars")
    ('64.98 %', '1,240.10', '-0.250', '1 bar')
    """
    return UNITS[unit](value)


def exact(value: Any) -> Decimal:
    """The decimal that was recorded: floats as they are written in the record."""
    return value if isinstance(value, Decimal) else Decimal(repr(value))


def rounded(value: Decimal, places: int, *, least: int = 0, signed: bool = False) -> str:
    """Grouped by thousands, `places` decimals, of which zeros beyond `least` are left out; never a minus zero."""
    cut = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN) if value.is_finite() else value
    if not cut:
        cut = abs(cut)
    text = f"{cut:+,f}" if signed and cut else f"{cut:,f}"
    if "." in text:
        whole, _, decimals = text.partition(".")
        decimals = decimals.rstrip("0").ljust(least, "0")
        text = f"{whole}.{decimals}" if decimals else whole
    return text


def digits(value: Decimal, count: int) -> int:
    """How many decimals show `count` significant digits of a value below one."""
    return max(0, count - 1 - value.adjusted()) if value else 0


def percent(value: Any) -> str:
    """Two decimals, or three significant digits below one percent."""
    amount = exact(value) * 100
    if abs(amount) > BEYOND * 100:
        return "more than any limit"
    places = 2 if abs(amount) >= 1 or not amount else min(10, digits(amount, 3))
    return f"{rounded(amount, places)} %"


def signed_percent(value: Any) -> str:
    """A share with its sign."""
    text = percent(value)
    return f"+{text}" if exact(value) > 0 and text[0].isdigit() else text


def points(value: Any) -> str:
    """A difference of two shares."""
    return percent(value).replace(" %", " points")


def price(value: Any) -> str:
    """At least two decimals; more where a price is small."""
    amount = exact(value)
    places = 2 if abs(amount) >= 1000 else 5 if abs(amount) >= 1 else 8
    return rounded(amount, places, least=2)


def money(value: Any) -> str:
    """Hundredths of the account's currency, which the answer's `currency` names."""
    return rounded(exact(value), 2, least=2)


def gain(value: Any) -> str:
    """Money with its sign."""
    return rounded(exact(value), 2, least=2, signed=True)


def units(value: Any) -> str:
    """A quantity, as recorded, to the hundred-millionth."""
    return rounded(exact(value), 8)


def score(value: Any) -> str:
    """From -1 to 1, always with its sign."""
    return rounded(exact(value), 3, least=3, signed=True)


def reading(value: Any) -> str:
    """A feature's value to four significant digits, in the feature's own unit."""
    amount = exact(value)
    if not amount.is_finite():
        return "unknown"
    return rounded(amount, min(8, max(0, 3 - amount.adjusted())) if amount else 0, signed=True)


def bars(value: Any) -> str:
    """Whole bars; a million means that it never happened."""
    count = int(value)
    if count >= NEVER:
        return "no bar so far"
    return f"{count:,} bar" if abs(count) == 1 else f"{count:,} bars"


def count(value: Any) -> str:
    """A whole number, or as near as was recorded."""
    return rounded(exact(value), 2)


def yes(value: Any) -> str:
    """One is yes."""
    return "yes" if value else "no"


def state(value: Any) -> str:
    """A trading state by its rank."""
    return STATES[int(value)] if 0 <= int(value) < len(STATES) else "unknown"


def when(moment: datetime) -> str:
    """Date and time in UTC. Midnight belongs to the day that it ends, as a bar that closes then does.

    >>> from datetime import UTC
    >>> when(datetime(2008, 10, 15, 21, tzinfo=UTC)), when(datetime(2008, 10, 16, tzinfo=UTC))
    ('15 Oct 2008 21:00 UTC', '15 Oct 2008 24:00 UTC')
    """
    if moment.time() == datetime.min.time():
        return f"{day(moment - timedelta(days=1))} 24:00 UTC"
    seconds = f":{moment.second:02d}" if moment.second else ""
    return f"{day(moment)} {moment.hour:02d}:{moment.minute:02d}{seconds} UTC"


def day(moment: Any) -> str:
    """A calendar day."""
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"


def name(value: Any) -> str:
    """The name of an alpha, a regime, a check or a reason, as people write it."""
    return str(value).replace("_", " ")


def symbol(value: Any) -> str:
    """An instrument's name, to the letter: it is what the venue knows it by."""
    return str(value)


def words(value: Any) -> str:
    """A recorded sentence on one line, without control characters and cut where it grows long."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def quoted(value: Any) -> str:
    """What a person wrote, marked as theirs."""
    inner = words(value).replace("“", "'").replace("”", "'")
    return f"“{inner}”"


def identity(value: Any) -> str:
    """A record's id."""
    return f"[{value}]"


def operator(value: Any) -> str:
    """How a value must stand to its limit."""
    return {"<=": "at most", ">=": "at least"}.get(str(value), str(value))


def bound(value: Any) -> str:
    """The same where something was let through."""
    return {"<=": "allowed at most", ">=": "needed at least"}.get(str(value), str(value))


def _chosen(**by_value: str) -> Callable[[Any], str]:
    def choose(value: Any) -> str:
        return by_value.get(str(value), str(value))

    return choose


UNITS: dict[str, Callable[[Any], str]] = {
    "share": percent,
    "change": signed_percent,
    "points": points,
    "price": price,
    "money": money,
    "gain": gain,
    "units": units,
    "score": score,
    "reading": reading,
    "bars": bars,
    "count": count,
    "issues": count,
    "yes": yes,
    "state": state,
    "when": when,
    "day": day,
    "name": name,
    "symbol": symbol,
    "words": words,
    "quoted": quoted,
    "key": str,
    "id": identity,
    "operator": operator,
    "bound": bound,
    "bought": _chosen(buy="Bought", sell="Sold short"),
    "to_buy": _chosen(buy="buy", sell="sell short"),
    "to_close": _chosen(buy="buy back", sell="sell"),
    "holding": _chosen(buy="long", sell="short"),
}
NUMBERS = frozenset(
    {
        "share",
        "change",
        "points",
        "price",
        "money",
        "gain",
        "units",
        "score",
        "reading",
        "bars",
        "count",
        "issues",
    }
    | {"yes", "state", "when", "day"}
)
"""Units whose values are figures: everything that can be compared, dates too."""
GAPS = {"share": "points"}
"""The unit of a difference, where it is not that of what was compared."""
